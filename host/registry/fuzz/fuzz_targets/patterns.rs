//! Patterns of keys match what they say, and no key leads out of a template's folder.

#![no_main]

use consort_registry::{KeyPattern, PathTemplate};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

/// Whether the pattern fits, by a table of all beginnings of both: slow, and easy to see through.
fn fits(pattern: &str, key: &str) -> bool {
    let key: Vec<char> = key.chars().collect();
    // Which beginnings of the key the pattern so far fits.
    let mut row: Vec<bool> = (0..=key.len()).map(|length| length == 0).collect();
    for wanted in pattern.chars() {
        let mut next = vec![false; key.len() + 1];
        for length in 0..=key.len() {
            let one = length > 0 && row[length - 1] && (wanted == '?' || key[length - 1] == wanted);
            let any = wanted == '*' && (row[length] || length > 0 && next[length - 1]);
            next[length] = any || (wanted != '*' && one);
        }
        row = next;
    }
    row[key.len()]
}

fuzz_target!(|texts: (&str, &str)| {
    let (pattern, key) = texts;
    let matches = KeyPattern::new(pattern).matches(key);
    assert_eq!(matches, fits(pattern, key), "{pattern:?} {key:?}");
    let template: PathTemplate = "models/{key}.onnx".parse().unwrap();
    if let Some(path) = template.path(key) {
        assert_eq!(path.parent(), Some(Path::new("models")), "{key:?}");
        let name = format!("{key}.onnx");
        assert_eq!(path.file_name(), Some(name.as_ref()), "{key:?}");
    }
    match pattern.parse::<PathTemplate>() {
        Ok(template) => drop(template.path(key)),
        Err(error) => drop(error.to_string()),
    }
});
