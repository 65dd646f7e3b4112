//! Which keys go to which model, and which file belongs to a key.

use consort_inference::ModelName;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The word in a path that a key takes the place of.
const KEY: &str = "{key}";
/// The most entries of a folder that are looked at for a file that fits a template.
const ENTRIES_MAX: usize = 100_000;

/// A key, or many: `*` stands for any characters, `?` for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPattern(Vec<char>);

/// The path of a model's file with `{key}` in it, once.
///
/// Only keys that could be names of models are put there: letters, digits, `.`, `_` and
/// `-`, beginning with a letter or digit, at most 128 bytes. None of them leads out of the
/// template's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathTemplate {
    before: String,
    after: String,
}

/// A path that is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the path {0} must hold {KEY} once, as in models/{KEY}.onnx")]
pub struct TemplateError(pub String);

// === impl KeyPattern ===

impl KeyPattern {
    /// A pattern; every text is one.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.chars().collect())
    }

    /// Whether it fits the whole key.
    pub fn matches(&self, key: &str) -> bool {
        let key: Vec<char> = key.chars().collect();
        // Where the last star was, and how much of the key it has taken so far: when
        // something does not fit, the star takes one character more.
        let (mut at, mut read) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while let Some(char) = key.get(read) {
            match self.0.get(at) {
                Some('*') => {
                    star = Some((at, read));
                    at += 1;
                }
                Some(wanted) if *wanted == '?' || wanted == char => {
                    at += 1;
                    read += 1;
                }
                _ => match &mut star {
                    None => return false,
                    Some((star, taken)) => {
                        *taken += 1;
                        at = *star + 1;
                        read = *taken;
                    }
                },
            }
        }
        self.0.iter().skip(at).all(|char| *char == '*')
    }

    /// Whether it fits one key only.
    pub(crate) fn is_plain(&self) -> bool {
        !self.0.iter().any(|char| "*?".contains(*char))
    }

    /// How many characters it gives: the more, the more it says.
    pub(crate) fn weight(&self) -> usize {
        self.0.iter().filter(|char| !"*?".contains(**char)).count()
    }
}

// === impl PathTemplate ===

impl FromStr for PathTemplate {
    type Err = TemplateError;

    fn from_str(path: &str) -> Result<Self, TemplateError> {
        match path.split_once(KEY) {
            Some((before, after)) if !after.contains(KEY) => Ok(Self {
                before: before.to_owned(),
                after: after.to_owned(),
            }),
            _ => Err(TemplateError(path.to_owned())),
        }
    }
}

impl PathTemplate {
    /// The file of a key; `None` for a key that can have none.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        is_name(key).then(|| PathBuf::from(format!("{}{key}{}", self.before, self.after)))
    }

    /// Some key whose file is there, the first in order. Blocks.
    pub(crate) fn some_key(&self) -> Option<String> {
        let (folder, prefix) = match self.before.rsplit_once('/') {
            Some(("", prefix)) => (Path::new("/"), prefix),
            Some((folder, prefix)) => (Path::new(folder), prefix),
            None => (Path::new("."), &*self.before),
        };
        let suffix = self.after.split('/').next().unwrap_or_default();
        let mut keys: Vec<String> = std::fs::read_dir(folder)
            .ok()?
            .take(ENTRIES_MAX)
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| {
                let key = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
                Some(key.to_owned())
            })
            .collect();
        keys.sort();
        keys.into_iter()
            .find(|key| self.path(key).is_some_and(|path| path.exists()))
    }
}

fn is_name(key: &str) -> bool {
    ModelName::from_str(key).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a pattern means, said as plainly as possible.
    fn means(pattern: &[char], key: &[char]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                means(rest, key) || !key.is_empty() && means(pattern, &key[1..])
            }
            (Some((wanted, rest)), Some((char, key))) => {
                (*wanted == '?' || wanted == char) && means(rest, key)
            }
            _ => false,
        }
    }

    #[test]
    fn stars_and_question_marks() {
        let matches = |pattern: &str, key: &str| KeyPattern::new(pattern).matches(key);
        assert!(matches("de-*", "de-") && matches("de-*", "de-by-m"));
        assert!(!matches("de-*", "de") && !matches("de-*", "xde-"));
        assert!(matches("*a*b", "ab") && matches("*a*b", "xaybab") && !matches("*a*b", "ba"));
        assert!(matches("?", "ä") && !matches("?", "") && matches("", ""));
    }

    proptest! {
        #[test]
        fn patterns_mean_what_they_say(pattern in "[ab*?]{0,8}", key in "[ab]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                KeyPattern::new(&pattern).matches(&key),
                means(&chars(&pattern), &chars(&key))
            );
        }

        #[test]
        fn no_key_leads_out_of_the_folder(key in ".{0,20}") {
            let template: PathTemplate = "/models/{key}/1/m.onnx".parse().unwrap();
            if let Some(path) = template.path(&key) {
                let parts: Vec<_> = path.components().collect();
                prop_assert_eq!(parts.len(), 5);
                prop_assert!(path.starts_with("/models"));
                prop_assert!(parts.iter().all(|part| !matches!(
                    part,
                    std::path::Component::ParentDir | std::path::Component::CurDir
                )));
            }
        }
    }

    #[test]
    fn odd_keys_have_no_file() {
        let template: PathTemplate = "models/{key}.onnx".parse().unwrap();
        assert_eq!(template.path("a.b-c_1"), Some("models/a.b-c_1.onnx".into()));
        for key in [
            "",
            "..",
            ".",
            "a/b",
            "a\\b",
            "a\0",
            "../a",
            "ä",
            "-a",
            &"a".repeat(129),
        ] {
            assert_eq!(template.path(key), None, "{key:?}");
        }
        assert!("models/a.onnx".parse::<PathTemplate>().is_err());
        assert!("{key}/{key}".parse::<PathTemplate>().is_err());
    }

    #[test]
    fn a_key_with_a_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["m-b.onnx", "m-a.txt", "m-.onnx", "z"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let template = |end: &str| {
            let path = format!("{}/{end}", folder.path().display());
            path.parse::<PathTemplate>().unwrap()
        };
        assert_eq!(template("m-{key}.onnx").some_key(), Some("b".to_owned()));
        assert_eq!(template("{key}/m.onnx").some_key(), None);
        std::fs::create_dir(folder.path().join("y")).unwrap();
        std::fs::write(folder.path().join("y/m.onnx"), "").unwrap();
        assert_eq!(template("{key}/m.onnx").some_key(), Some("y".to_owned()));
    }
}
