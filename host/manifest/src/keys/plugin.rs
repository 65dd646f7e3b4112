//! `[plugin.NAME]`: a sandboxed component.

use std::path::PathBuf;

use super::limits::Limits;
use crate::place::Located;
use crate::rule::collection::{Keyed, List, Map, Named, Table};
use crate::rule::free::Anything;
use crate::rule::text::{ASSET, CAPABILITY, COMPONENT, NAME, PATH, SHA256, VERSION};
use crate::rule::words::{OneOf, words};
use crate::section::{Default, Optional, OwnName, Required, independent, section};

section! {
    /// A WebAssembly component that prepares examples, runs a model or finishes answers, in a
    /// sandbox.
    pub struct Plugin {
        /// The plugin's name.
        pub name: Located<String> = OwnName;
        /// The component's file, relative to the manifest.
        pub path: Located<PathBuf> = Required(COMPONENT);
        /// The SHA-256 of the file. Another content is an error at load.
        pub sha256: Option<Located<String>> = Optional(SHA256);
        /// The version that every prediction made by the plugin carries.
        pub version: Located<String> = Default(VERSION, "\"1\"");
        /// What the plugin's `init` receives: a text as it is, everything else as JSON.
        pub config: Option<Located<String>> = Optional(Anything);
        /// Files that the plugin may read, by the names it knows them by. The paths are
        /// relative to the manifest.
        pub assets: Located<Vec<Named<PathBuf>>> =
            Default(Map { keys: ASSET, item: Keyed(PATH) }, "{}");
        /// What becomes of an instance after a call.
        pub instances: Located<Instances> = Default(OneOf::new(), "\"fresh\"");
        /// What the plugin asks to be allowed beyond computing.
        pub capabilities: Located<Vec<Located<String>>> =
            Default(List { item: CAPABILITY, min: 0, max: 64 }, "[]");
        /// Models, model maps and ensembles that the plugin may call.
        pub models: Located<Vec<Located<String>>> =
            Default(List { item: NAME, min: 0, max: 1024 }, "[]");
        /// Limits of this plugin, where they differ from `[limits]`.
        pub limits: Located<Limits> = Default(Table::new(), "{}");
    }
}

words! {
    /// What becomes of a plugin's instance after a call.
    pub enum Instances {
        /// Every call starts from the memory as `init` left it.
        Fresh = "fresh",
        /// Later calls of the same tenant find the memory as the last call left it.
        Reuse = "reuse",
    }
}

independent!(Plugin);
