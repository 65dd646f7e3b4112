//! The models of the example `ocr`, out of the package that publishes them, and the symbols
//! of the one that reads, out of its own metadata.

use super::pins::{RAPIDOCR, RAPIDOCR_FILES, RAPIDOCR_READER, RAPIDOCR_VERSION};
use super::wheel;
use crate::failure::Failure;
use crate::layout::Layout;
use crate::progress::Progress;
use std::fs;

/// The key of the metadata that holds the symbols, one a line.
const SYMBOLS: &[u8] = b"character";

/// Where a model's metadata are: `metadata_props` of ONNX's `ModelProto`.
const METADATA_FIELD: u64 = 14;
/// `key` and `value` of `StringStringEntryProto`.
const KEY_FIELD: u64 = 1;
const VALUE_FIELD: u64 = 2;

/// Makes sure that the models and the symbols are there.
pub(crate) fn install(layout: &Layout, progress: Progress) -> Result<(), Failure> {
    let dir = layout.root.join("examples/ocr/model");
    wheel::unpack(
        layout,
        progress,
        &format!("text models of rapidocr-onnxruntime {RAPIDOCR_VERSION}"),
        &RAPIDOCR,
        RAPIDOCR_FILES,
        &dir,
    )?;
    let reader = dir.join(RAPIDOCR_READER);
    let dictionary = dir.join("dictionary.txt");
    let model = fs::read(&reader).map_err(Failure::file("cannot read", &reader))?;
    let symbols = metadata(&model, SYMBOLS).ok_or_else(|| Failure::NotMade {
        made: format!("the metadata `character` of {RAPIDOCR_READER}"),
        missing: dictionary.clone(),
    })?;
    if fs::read(&dictionary).is_ok_and(|found| found == symbols) {
        return Ok(());
    }
    fs::write(&dictionary, symbols).map_err(Failure::file("cannot write", &dictionary))
}

/// The value of a key in the metadata of a model's file.
fn metadata<'a>(model: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    Fields(model)
        .filter(|(field, _)| *field == METADATA_FIELD)
        .find_map(|(_, entry)| {
            let part = |wanted| Fields(entry).find(|(field, _)| *field == wanted);
            let (_, found) = part(KEY_FIELD)?;
            (found == key).then(|| part(VALUE_FIELD))?
        })
        .map(|(_, value)| value)
}

/// The fields of a message of protocol buffers that have a length: texts and messages.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let tag = self.number()?;
            match tag & 7 {
                0 => {
                    self.number()?;
                }
                1 => {
                    self.take(8)?;
                }
                5 => {
                    self.take(4)?;
                }
                2 => {
                    let length = usize::try_from(self.number()?).ok()?;
                    return Some((tag >> 3, self.take(length)?));
                }
                _ => return None,
            }
        }
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of seven bits a byte, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let [byte] = *self.take(1)? else { return None };
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_key() {
        // A version (field 1, a number), then two entries (field 14).
        let model = b"\x08\x96\x01\x72\x06\x0a\x01a\x12\x01x\x72\x07\x0a\x01b\x12\x02y\n";
        assert_eq!(metadata(model, b"a"), Some(&b"x"[..]));
        assert_eq!(metadata(model, b"b"), Some(&b"y\n"[..]));
        assert_eq!(metadata(model, b"c"), None);
        assert_eq!(metadata(&model[..12], b"b"), None);
        assert_eq!(metadata(b"", b"a"), None);
    }
}
