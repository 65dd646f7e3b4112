//! What an example is called in the output.

use crate::os;
use consort_inference::Key;
use std::fmt::Write as _;
use std::path::Path;

/// The name of an example. One that was a JSON number is written as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowKey {
    pub(crate) text: Key,
    pub(crate) number: bool,
    /// Whether it is the example's own name, and not only its place in the input.
    pub(crate) given: bool,
}

// === impl RowKey ===

impl RowKey {
    /// A name that is written as a string.
    pub(crate) fn text(text: &str) -> Self {
        Self {
            text: text.into(),
            number: false,
            given: true,
        }
    }

    /// A JSON number, as it was spelt.
    pub(crate) fn number(number: &str) -> Self {
        Self {
            text: number.into(),
            number: true,
            given: true,
        }
    }

    /// The number of a line that has no key of its own.
    pub(crate) fn line(number: u64) -> Self {
        Self {
            given: false,
            ..Self::number(&number.to_string())
        }
    }

    /// A row that has no key of its own: its number, where there are several sources
    /// behind the name of its own.
    pub(crate) fn of_row(origin: Option<&str>, number: u64) -> Self {
        match origin {
            None => Self::line(number),
            Some(origin) => Self {
                given: false,
                ..Self::text(&format!("{}:{number}", origin.trim_matches('"')))
            },
        }
    }

    /// The path of a file, so that distinct paths have distinct keys and a path reads
    /// back: a byte that is not UTF-8 becomes `\x` and two hexadecimal digits, and a
    /// backslash (which on Unix is a letter like any other, but rare) is doubled. All
    /// other paths are their own keys.
    pub(crate) fn path(path: &Path) -> Self {
        if !cfg!(unix) {
            return Self::text(&path.to_string_lossy());
        }
        match path.to_str() {
            Some(text) if !text.contains('\\') => Self::text(text),
            _ => Self::text(&escape(os::path_bytes(path))),
        }
    }
}

fn escape(bytes: &[u8]) -> String {
    let mut key = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        key.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(key, "\\x{byte:02x}");
        }
    }
    key
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(bytes: &[u8]) -> String {
        RowKey::path(&os::path_from_bytes(bytes)).text.to_string()
    }

    #[test]
    fn paths_are_their_own_keys_but_for_odd_bytes() {
        assert_eq!(key("dir/ü.txt".as_bytes()), "dir/ü.txt");
        assert_eq!(key(b"dir/\xff\xfe.txt"), "dir/\\xff\\xfe.txt");
        assert_eq!(key(b"dir/\\xff"), "dir/\\\\xff");
    }

    /// Reads a key back; the proof that no two paths share one.
    fn unescape(key: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut bytes = key.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'\\' {
                out.push(byte);
                continue;
            }
            match bytes.next().unwrap() {
                b'\\' => out.push(b'\\'),
                _ => {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    let digits = std::str::from_utf8(&digits).unwrap();
                    out.push(u8::from_str_radix(digits, 16).unwrap());
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn keys_read_back(bytes in prop::collection::vec(
            prop_oneof![Just(b'\\'), Just(b'x'), Just(b'f'), 1u8..=255], 0..24)) {
            prop_assert_eq!(unescape(&key(&bytes)), bytes);
        }
    }
}
