//! `[model-map.NAME]`: a model for each key.

use crate::place::{Located, Place};
use crate::report::Report;
use crate::rule::collection::{Keyed, Map, Named};
use crate::rule::text::{KEY, NAME, TEMPLATE};
use crate::section::{Checked, Default, Optional, OwnName, OwnPlace, section};

section! {
    /// A model for each key: an example goes to the model of its key, and all keys of one
    /// model run together. It is served under its name, and a step runs it as it runs a
    /// model. A key itself goes before a pattern, a pattern before `path`, and `path` before
    /// `default`; a key that has no model is an error of its example.
    pub struct ModelMap {
        /// The map's name. Models, model maps and ensembles share their names.
        pub name: Located<String> = OwnName;
        /// Where the table is.
        pub place: Place = OwnPlace;
        /// Models by key, or by pattern of keys: `*` stands for any text, `?` for one
        /// character. With `[registry] model_bytes_max` these models are loaded when they are
        /// first needed, unless they have a handler, or a step or a plugin names them too.
        pub keys: Located<Vec<Named<String>>> =
            Default(Map { keys: KEY, item: Keyed(NAME) }, "{}");
        /// A model file for each key, loaded when the key first comes; `{key}` stands for the
        /// key.
        pub path: Option<Located<String>> = Optional(TEMPLATE);
        /// The model whose keys, but `path` and `sha256`, are those of the models in `path`.
        pub template: Option<Located<String>> = Optional(NAME);
        /// The model of all other keys, and of examples without one.
        pub default: Option<Located<String>> = Optional(NAME);
    }
}

// === impl ModelMap ===

impl ModelMap {
    /// Every model that the map names.
    pub fn models(&self) -> impl Iterator<Item = &Located<String>> {
        let keys = self.keys.iter().map(|key| &key.value);
        keys.chain(&self.template).chain(&self.default)
    }
}

impl Checked for ModelMap {
    type Keys = Self;

    fn check(map: Self, report: &mut Report) -> Option<Self> {
        let name = &map.name.value;
        match (&map.path, &map.template) {
            (Some(path), None) => {
                let message = "`path` needs the key `template`";
                let help = "add template = \"NAME\", the model whose keys those files take";
                report.missing(path.place, message, help);
            }
            (None, Some(template)) => {
                let message = "`template` has no effect without `path`";
                let help = "add path = \"models/{key}.onnx\", or remove it";
                report.missing(template.place, message, help);
            }
            (None, None) if map.keys.is_empty() && map.default.is_none() => {
                let message = format!("the model map `{name}` has no model");
                let help = "add keys = { \"KEY\" = \"MODEL\" }, a path or a default";
                report.missing(report.place(map.place), message, help);
            }
            _ => {}
        }
        Some(map)
    }
}
