//! What can be said about a model file without ONNX Runtime: whether it is one, whether it
//! is whole, which operator sets it asks for and which other files it needs.
//!
//! An ONNX file is one protocol buffer. Only the fields in question are read; all others are
//! skipped over by their lengths, so that the weights are never read here.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// The longest text (domain, file name) that is read.
const TEXT_BYTES_MAX: u64 = 4096;

/// What a model says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    /// Operator sets: domain (empty for ONNX's own) and version.
    pub(crate) opsets: Vec<(String, i64)>,
    /// Files beside the model that hold weights, and how long each must be at least.
    pub(crate) external: BTreeMap<String, u64>,
    /// Outputs that a `ZipMap` makes, and how many class labels it was given: the type of
    /// such an output does not say how many entries its maps have.
    pub(crate) zip_maps: BTreeMap<String, usize>,
}

/// A file that is no model.
#[derive(Debug)]
pub(crate) enum OutlineError {
    /// It could not be read.
    Io(io::Error),
    /// It is something else.
    NotOnnx(&'static str),
    /// It ends too early, by at least so many bytes.
    Truncated { missing: u64 },
}

/// A field of a message, its content not yet read.
enum Field {
    Number {
        id: u64,
        value: u64,
    },
    Content {
        id: u64,
        end: u64,
    },
    /// Four or eight bytes that are skipped already.
    Fixed,
}

struct Reader<R> {
    source: BufReader<R>,
    position: u64,
    length: u64,
}

const MALFORMED: OutlineError = OutlineError::NotOnnx("it is no protocol buffer");

// === impl Outline ===

impl Outline {
    /// Reads the outline of a model.
    pub(crate) fn read<R: Read + Seek>(mut source: R) -> Result<Self, OutlineError> {
        let length = source.seek(SeekFrom::End(0)).map_err(OutlineError::Io)?;
        if length == 0 {
            return Err(OutlineError::NotOnnx("it is empty"));
        }
        source.rewind().map_err(OutlineError::Io)?;
        let mut head = Vec::new();
        Read::by_ref(&mut source)
            .take(8)
            .read_to_end(&mut head)
            .map_err(OutlineError::Io)?;
        if head.ends_with(b"ORTM") {
            // ONNX Runtime's own format, a flat buffer that names nothing outside of itself.
            return Ok(Self::default());
        }
        source.rewind().map_err(OutlineError::Io)?;
        let mut reader = Reader {
            source: BufReader::new(source),
            position: 0,
            length,
        };
        reader.model()
    }
}

// === impl Reader ===

impl<R: Read + Seek> Reader<R> {
    fn model(&mut self) -> Result<Outline, OutlineError> {
        /// Fields that hold messages or texts, of which one may be cut off at the end.
        const LONG: [u64; 10] = [2, 3, 4, 6, 7, 8, 14, 20, 25, 26];
        let mut outline = Outline::default();
        let (mut has_version, mut has_graph) = (false, false);
        while self.position < self.length {
            match self.field()? {
                Field::Number { id: 1, .. } => has_version = true,
                Field::Content { id, end } if end > self.length => {
                    return Err(if has_version && LONG.contains(&id) {
                        OutlineError::Truncated {
                            missing: end - self.length,
                        }
                    } else {
                        MALFORMED
                    });
                }
                Field::Content { id: 7, end } => {
                    has_graph = true;
                    self.graph(end, &mut outline)?;
                }
                Field::Content { id: 8, end } => {
                    let opset = self.opset(end)?;
                    outline.opsets.push(opset);
                }
                Field::Content { end, .. } => self.skip_to(end)?,
                Field::Number { .. } | Field::Fixed => {}
            }
        }
        if has_graph {
            Ok(outline)
        } else {
            Err(OutlineError::NotOnnx("it holds no graph"))
        }
    }

    fn graph(&mut self, end: u64, outline: &mut Outline) -> Result<(), OutlineError> {
        while let Some(field) = self.field_before(end)? {
            match field {
                Field::Content { id: 1, end } => {
                    if let Some((output, labels)) = self.zip_map(end)? {
                        outline.zip_maps.insert(output, labels);
                    }
                }
                Field::Content { id: 5, end } => {
                    if let Some((file, needed)) = self.initializer(end)? {
                        let known = outline.external.entry(file).or_default();
                        *known = needed.max(*known);
                    }
                }
                Field::Content { end, .. } => self.skip_to(end)?,
                Field::Number { .. } | Field::Fixed => {}
            }
        }
        Ok(())
    }

    /// The output of a node that is a `ZipMap`, and the number of its labels.
    fn zip_map(&mut self, end: u64) -> Result<Option<(String, usize)>, OutlineError> {
        let (mut output, mut labels) = (None, 0);
        let (mut is_zip_map, mut is_ml) = (false, false);
        while let Some(field) = self.field_before(end)? {
            match field {
                Field::Content { id: 2, end } if output.is_none() => {
                    output = self.short_text(end)?;
                }
                Field::Content { id: 4, end } => {
                    is_zip_map = self.short_text(end)?.as_deref() == Some("ZipMap");
                }
                // Attributes come behind the operator's name in every file there is; should
                // one not, the number stays unknown, which is allowed.
                Field::Content { id: 5, end } if is_zip_map => labels += self.labels(end)?,
                Field::Content { id: 7, end } => {
                    is_ml = self.short_text(end)?.as_deref() == Some("ai.onnx.ml");
                }
                Field::Content { end, .. } => self.skip_to(end)?,
                Field::Number { .. } | Field::Fixed => {}
            }
        }
        let known = is_zip_map && is_ml && labels > 0;
        Ok(output.filter(|_| known).map(|output| (output, labels)))
    }

    /// How many whole numbers or texts an attribute holds.
    fn labels(&mut self, end: u64) -> Result<usize, OutlineError> {
        let mut count = 0;
        while let Some(field) = self.field_before(end)? {
            match field {
                Field::Number { id: 8, .. } => count += 1,
                // Numbers may be packed behind one another.
                Field::Content { id: 8, end } => {
                    while self.position < end {
                        self.number()?;
                        count += 1;
                    }
                }
                Field::Content { id: 9, end } => {
                    self.skip_to(end)?;
                    count += 1;
                }
                Field::Content { end, .. } => self.skip_to(end)?,
                Field::Number { .. } | Field::Fixed => {}
            }
        }
        Ok(count)
    }

    /// The file that holds a weight, and up to which byte.
    fn initializer(&mut self, end: u64) -> Result<Option<(String, u64)>, OutlineError> {
        let (mut location, mut offset, mut length) = (None, 0u64, 0u64);
        let mut is_external = false;
        while let Some(field) = self.field_before(end)? {
            match field {
                Field::Number { id: 14, value } => is_external = value == 1,
                Field::Content { id: 13, end } => {
                    let (key, value) = self.entry(end)?;
                    match key.as_str() {
                        "location" => location = Some(value),
                        "offset" => offset = value.parse().unwrap_or_default(),
                        "length" => length = value.parse().unwrap_or_default(),
                        _ => {}
                    }
                }
                Field::Content { end, .. } => self.skip_to(end)?,
                Field::Number { .. } | Field::Fixed => {}
            }
        }
        let location = location.filter(|_| is_external);
        Ok(location.map(|location| (location, offset.saturating_add(length))))
    }

    fn opset(&mut self, end: u64) -> Result<(String, i64), OutlineError> {
        let (mut domain, mut version) = (String::new(), 0);
        while let Some(field) = self.field_before(end)? {
            match field {
                Field::Content { id: 1, end } => domain = self.text(end)?,
                Field::Number { id: 2, value } => version = value.cast_signed(),
                Field::Content { end, .. } => self.skip_to(end)?,
                Field::Number { .. } | Field::Fixed => {}
            }
        }
        Ok((domain, version))
    }

    fn entry(&mut self, end: u64) -> Result<(String, String), OutlineError> {
        let (mut key, mut value) = (String::new(), String::new());
        while let Some(field) = self.field_before(end)? {
            match field {
                Field::Content { id: 1, end } => key = self.text(end)?,
                Field::Content { id: 2, end } => value = self.text(end)?,
                Field::Content { end, .. } => self.skip_to(end)?,
                Field::Number { .. } | Field::Fixed => {}
            }
        }
        Ok((key, value))
    }

    /// The next field of a message, none at its end. A field may not reach past the end.
    fn field_before(&mut self, end: u64) -> Result<Option<Field>, OutlineError> {
        if self.position >= end {
            return Ok(None);
        }
        let field = self.field()?;
        let inside = match field {
            Field::Content {
                end: content_end, ..
            } => content_end <= end,
            Field::Number { .. } | Field::Fixed => self.position <= end,
        };
        inside.then_some(Some(field)).ok_or(MALFORMED)
    }

    fn field(&mut self) -> Result<Field, OutlineError> {
        let tag = self.number()?;
        let id = tag >> 3;
        if id == 0 {
            return Err(MALFORMED);
        }
        match tag & 7 {
            0 => {
                let value = self.number()?;
                Ok(Field::Number { id, value })
            }
            1 => self.skip_to(self.position + 8).map(|()| Field::Fixed),
            2 => {
                let length = self.number()?;
                let end = self.position.checked_add(length).ok_or(MALFORMED)?;
                Ok(Field::Content { id, end })
            }
            5 => self.skip_to(self.position + 4).map(|()| Field::Fixed),
            _ => Err(MALFORMED),
        }
    }

    /// A number in seven bits a byte, the lowest first.
    fn number(&mut self) -> Result<u64, OutlineError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0u8];
            self.read(&mut byte)?;
            let [byte] = byte;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(MALFORMED)
    }

    /// A text, or nothing where it is too long to be of interest.
    fn short_text(&mut self, end: u64) -> Result<Option<String>, OutlineError> {
        if end.saturating_sub(self.position) > TEXT_BYTES_MAX {
            self.skip_to(end)?;
            return Ok(None);
        }
        self.text(end).map(Some)
    }

    fn text(&mut self, end: u64) -> Result<String, OutlineError> {
        let length = end.saturating_sub(self.position);
        if length > TEXT_BYTES_MAX {
            return Err(OutlineError::NotOnnx(
                "a name in it is longer than 4,096 bytes",
            ));
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| MALFORMED)?];
        self.read(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| OutlineError::NotOnnx("a name in it is not UTF-8"))
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<(), OutlineError> {
        self.source
            .read_exact(buffer)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => MALFORMED,
                _ => OutlineError::Io(error),
            })?;
        self.position += buffer.len() as u64;
        Ok(())
    }

    fn skip_to(&mut self, end: u64) -> Result<(), OutlineError> {
        let distance = i64::try_from(end.saturating_sub(self.position)).map_err(|_| MALFORMED)?;
        self.source
            .seek_relative(distance)
            .map_err(OutlineError::Io)?;
        self.position = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    const EXTERNAL: &[u8] = include_bytes!("../fixtures/external.onnx");
    const MAP: &[u8] = include_bytes!("../fixtures/map_output.onnx");
    const STRING_MAP: &[u8] = include_bytes!("../fixtures/string_map.onnx");
    const MLP: &[u8] = include_bytes!("../fixtures/mlp.onnx");

    fn read(bytes: &[u8]) -> Result<Outline, OutlineError> {
        Outline::read(Cursor::new(bytes))
    }

    #[test]
    fn opsets_and_external_files_are_found() {
        let outline = read(EXTERNAL).unwrap();
        assert_eq!(outline.opsets, [(String::new(), 18)]);
        assert_eq!(
            outline.external,
            BTreeMap::from([("external.bin".to_owned(), 1024)])
        );
        assert_eq!(read(MLP).unwrap().external, BTreeMap::new());
    }

    #[test]
    fn the_labels_of_zip_maps_are_counted() {
        for (model, zip_maps) in [
            (MAP, BTreeMap::from([("maps".to_owned(), 2)])),
            (STRING_MAP, BTreeMap::from([("maps".to_owned(), 3)])),
            (MLP, BTreeMap::new()),
        ] {
            assert_eq!(read(model).unwrap().zip_maps, zip_maps);
        }
    }

    #[test]
    fn a_cut_off_model_is_told_from_something_else() {
        let cut = read(&MLP[..5000]);
        let Err(OutlineError::Truncated { missing }) = cut else {
            panic!("{cut:?}");
        };
        assert!(
            missing > 16_000 && missing <= MLP.len() as u64 - 5000,
            "{missing}"
        );
        for other in [
            &b"hello, this is a text and no model"[..],
            b"PK\x03\x04 an archive",
            b"{\"json\": true}",
            b"\x89PNG\r\n\x1a\n",
            b"\x7fELF\x02\x01\x01",
        ] {
            assert!(
                matches!(read(other), Err(OutlineError::NotOnnx(_))),
                "{other:?}"
            );
        }
        assert!(matches!(
            read(b""),
            Err(OutlineError::NotOnnx("it is empty"))
        ));
        assert!(matches!(
            read(b"\x08\x0a"),
            Err(OutlineError::NotOnnx("it holds no graph"))
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn a_model_cut_anywhere_is_never_whole(end in 0..MLP.len()) {
            // Cut right behind the graph, only the operator sets are gone.
            let cut = read(&MLP[..end]);
            prop_assert!(cut.is_err() || cut.unwrap().opsets.is_empty());
        }

        #[test]
        fn a_model_with_a_wrong_byte_does_not_break_the_reader(
            index in 0..EXTERNAL.len(), byte in any::<u8>(),
        ) {
            let mut bytes = EXTERNAL.to_vec();
            bytes[index] = byte;
            let _ = read(&bytes);
        }
    }
}
