//! Read-only files that the manifest gives a plugin by name.

use crate::Error;
use std::collections::BTreeMap;

/// The assets of a plugin. In a unit test, make them with [`Assets::from_pairs`].
#[derive(Debug)]
pub struct Assets {
    source: Source,
}

#[derive(Debug)]
enum Source {
    #[cfg(target_family = "wasm")]
    Host,
    Pairs(BTreeMap<String, Vec<u8>>),
}

// === impl Assets ===

impl Assets {
    /// Assets of these names and contents.
    pub fn from_pairs<N: Into<String>, C: Into<Vec<u8>>>(
        pairs: impl IntoIterator<Item = (N, C)>,
    ) -> Self {
        let pairs = pairs
            .into_iter()
            .map(|(name, content)| (name.into(), content.into()));
        Self {
            source: Source::Pairs(pairs.collect()),
        }
    }

    /// No assets.
    pub fn none() -> Self {
        Self::from_pairs::<&str, &str>([])
    }

    /// The names, in alphabetical order.
    pub fn names(&self) -> Vec<String> {
        match &self.source {
            #[cfg(target_family = "wasm")]
            Source::Host => crate::bindings::assets::names(),
            Source::Pairs(pairs) => pairs.keys().cloned().collect(),
        }
    }

    /// The whole content of an asset; the error lists the names there are.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        match &self.source {
            #[cfg(target_family = "wasm")]
            Source::Host => crate::bindings::assets::read(name).map_err(Error::Failed),
            Source::Pairs(pairs) => pairs.get(name).cloned().ok_or_else(|| {
                let names: Vec<_> = pairs.keys().map(|name| format!("\"{name}\"")).collect();
                let known = if names.is_empty() {
                    "there are none".to_owned()
                } else {
                    format!("the names are {}", names.join(", "))
                };
                Error::failed(format!("there is no asset \"{name}\"; {known}"))
            }),
        }
    }

    /// The whole content of an asset that must be UTF-8 text.
    pub fn text(&self, name: &str) -> Result<String, Error> {
        String::from_utf8(self.read(name)?).map_err(|error| {
            let error = error.utf8_error();
            Error::failed(format!("asset \"{name}\" is not UTF-8 text: {error}"))
        })
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn host() -> Self {
        Self {
            source: Source::Host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_are_found_by_name() {
        let assets = Assets::from_pairs([("b.txt", "bee"), ("a.bin", "\u{e4}")]);
        assert_eq!(assets.names(), ["a.bin", "b.txt"]);
        assert_eq!(assets.read("a.bin").unwrap(), [0xc3, 0xa4]);
        assert_eq!(assets.text("b.txt").unwrap(), "bee");
    }

    #[test]
    fn a_missing_asset_is_told_with_those_there_are() {
        let assets = Assets::from_pairs([("b.txt", "bee"), ("a.bin", "")]);
        assert_eq!(
            assets.read("config.json").unwrap_err().to_string(),
            "there is no asset \"config.json\"; the names are \"a.bin\", \"b.txt\""
        );
        assert_eq!(
            Assets::none().text("x").unwrap_err().to_string(),
            "there is no asset \"x\"; there are none"
        );
    }

    #[test]
    fn text_must_be_utf8() {
        let assets = Assets::from_pairs([("x", vec![b'a', 0xff])]);
        let error = assets.text("x").unwrap_err();
        assert!(matches!(error, Error::Failed(_)));
        assert!(
            error
                .message()
                .starts_with("asset \"x\" is not UTF-8 text: "),
            "{error}"
        );
    }
}
