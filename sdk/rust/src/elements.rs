//! What a tensor's content looks like to the plugin once it was read: numbers in place,
//! or byte strings. Nothing here calls the host.

use crate::raw::Raw;
use crate::{Element, TensorError};
use std::fmt;
use std::ops::{Deref, Range};
use std::str::Utf8Error;
use zerocopy::TryFromBytes;

/// The elements of a tensor, read once; use it as a slice.
#[derive(Clone)]
pub struct Elements<T: Element> {
    storage: Storage<T>,
}

#[derive(Clone)]
enum Storage<T> {
    /// The bytes as they came, which are aligned and valid for `T`.
    InPlace(Raw),
    /// Copied, since the bytes were not aligned for `T`.
    Copied(Vec<T>),
}

/// The elements of a `BYTES` tensor, read once.
#[derive(Clone)]
pub struct ByteStrings {
    /// Whole elements each.
    parts: Vec<Raw>,
    /// In which part each element lies, and where in it, without its length.
    places: Vec<(usize, Range<usize>)>,
}

/// One end of each element of a `BYTES` tensor, read once.
#[derive(Clone, PartialEq, Eq)]
pub struct Ends {
    most: usize,
    /// Of each element, all of it.
    lengths: Vec<u32>,
    /// The ends, one after another.
    data: Raw,
}

/// Where a byte string begins, or where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Head,
    Tail,
}

/// The one element of a `BYTES` tensor; use it as a slice of bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct ByteString {
    /// The element behind its four bytes of length.
    data: Raw,
}

/// Bytes of the length that stands before each element of a `BYTES` tensor.
pub(crate) const LENGTH_BYTES: usize = size_of::<u32>();

// === impl Elements ===

impl<T: Element> Elements<T> {
    /// Reads `bytes` as elements without a copy where their alignment allows it. (Memory
    /// from wasm's allocator is always aligned well enough.)
    pub(crate) fn from_bytes(bytes: impl Into<Raw>) -> Result<Self, TensorError> {
        let bytes = bytes.into();
        let is_aligned = bytes.as_ptr().addr().is_multiple_of(align_of::<T>());
        let storage = if is_aligned {
            <[T]>::try_ref_from_bytes(&bytes).map_err(|_| bad_elements::<T>(&bytes))?;
            Storage::InPlace(bytes)
        } else {
            let elements = bytes
                .chunks(size_of::<T>())
                .map(|chunk| T::try_read_from_bytes(chunk).ok())
                .collect::<Option<Vec<T>>>()
                .ok_or_else(|| bad_elements::<T>(&bytes))?;
            Storage::Copied(elements)
        };
        Ok(Self { storage })
    }

    /// The elements as a vector.
    pub fn into_vec(self) -> Vec<T> {
        match self.storage {
            Storage::InPlace(_) => self.to_vec(),
            Storage::Copied(elements) => elements,
        }
    }
}

impl<T: Element> Deref for Elements<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.storage {
            // `from_bytes` has seen this succeed on the same allocation.
            Storage::InPlace(bytes) => <[T]>::try_ref_from_bytes(bytes).unwrap_or_default(),
            Storage::Copied(elements) => elements,
        }
    }
}

impl<T: Element> fmt::Debug for Elements<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn bad_elements<T: Element>(bytes: &[u8]) -> TensorError {
    TensorError::Content(format!(
        "{} bytes are no {} elements",
        bytes.len(),
        T::DATATYPE
    ))
}

// === impl ByteStrings ===

impl ByteStrings {
    /// Finds the elements in a `BYTES` tensor's data, which came in parts.
    pub(crate) fn from_parts(parts: Vec<Raw>) -> Result<Self, TensorError> {
        let mut places = Vec::with_capacity(parts.len());
        for (index, part) in parts.iter().enumerate() {
            each_range(part, |range| places.push((index, range)))?;
        }
        Ok(Self { parts, places })
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// One element.
    pub fn element(&self, index: usize) -> Option<&[u8]> {
        self.places.get(index).map(|place| self.at(place))
    }

    /// All elements in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.places.iter().map(|place| self.at(place))
    }

    fn at(&self, (part, range): &(usize, Range<usize>)) -> &[u8] {
        let part = self.parts.get(*part);
        part.and_then(|part| part.get(range.clone()))
            .unwrap_or_default()
    }

    /// All elements as texts; an error says which is not UTF-8.
    pub fn texts(&self) -> Result<Vec<&str>, TensorError> {
        self.iter()
            .enumerate()
            .map(|(index, bytes)| text(index, bytes))
            .collect()
    }
}

// === impl Ends ===

impl Ends {
    /// What the host read: of each element so many bytes at most.
    pub(crate) fn new(most: usize, lengths: Vec<u32>, data: impl Into<Raw>) -> Self {
        let data = data.into();
        Self {
            most,
            lengths,
            data,
        }
    }

    /// Reads the ends of the elements in a `BYTES` tensor's data.
    pub(crate) fn of(bytes: &[u8], end: End, most: usize) -> Result<Self, TensorError> {
        let (mut lengths, mut data) = (Vec::new(), Vec::new());
        each_range(bytes, |range| {
            // It came as a u32.
            lengths.push(u32::try_from(range.len()).unwrap_or(u32::MAX));
            let size = range.len().min(most);
            let part = match end {
                End::Head => range.start..range.start + size,
                End::Tail => range.end - size..range.end,
            };
            data.extend_from_slice(bytes.get(part).unwrap_or_default());
        })?;
        Ok(Self::new(most, lengths, data))
    }

    /// The end of each element, in order, and how many bytes the element has, all of it.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], usize)> {
        let mut rest: &[u8] = &self.data;
        self.lengths.iter().map(move |length| {
            let length = usize::try_from(*length).unwrap_or(usize::MAX);
            let (end, after) = rest
                .split_at_checked(length.min(self.most))
                .unwrap_or_default();
            rest = after;
            (end, length)
        })
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }
}

impl fmt::Debug for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = self.iter().map(|(end, _)| end.escape_ascii().to_string());
        f.debug_list().entries(ends).finish()
    }
}

impl PartialEq for ByteStrings {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for ByteStrings {}

impl fmt::Debug for ByteStrings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = self
            .iter()
            .map(|element| element.escape_ascii().to_string());
        f.debug_list().entries(escaped).finish()
    }
}

// === impl ByteString ===

impl ByteString {
    /// The element of a `BYTES` tensor that must hold exactly one.
    pub(crate) fn from_bytes(data: impl Into<Raw>) -> Result<Self, TensorError> {
        let data = data.into();
        let length = data.first_chunk().copied().map(u32::from_le_bytes);
        let is_single = length.is_some_and(|length| {
            data.len().checked_sub(LENGTH_BYTES) == usize::try_from(length).ok()
        });
        if is_single {
            return Ok(Self { data });
        }
        let count = ranges(&data)?.len();
        Err(TensorError::Content(format!(
            "one element is expected, there are {count}"
        )))
    }

    /// The element as text.
    pub fn text(&self) -> Result<&str, TensorError> {
        text(0, self)
    }

    /// The element as text of its own.
    pub fn into_string(self) -> Result<String, TensorError> {
        let mut data = self.data.into_vec();
        data.drain(..LENGTH_BYTES);
        String::from_utf8(data).map_err(|error| not_text(0, error.utf8_error()))
    }
}

impl Deref for ByteString {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.data.get(LENGTH_BYTES..).unwrap_or_default()
    }
}

impl fmt::Debug for ByteString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.escape_ascii())
    }
}

fn text(index: usize, bytes: &[u8]) -> Result<&str, TensorError> {
    std::str::from_utf8(bytes).map_err(|error| not_text(index, error))
}

fn not_text(index: usize, error: Utf8Error) -> TensorError {
    TensorError::Content(format!("element {index} is not UTF-8 text: {error}"))
}

/// Where each element lies in the data of a `BYTES` tensor, without its length.
pub(crate) fn ranges(data: &[u8]) -> Result<Vec<Range<usize>>, TensorError> {
    let mut ranges = Vec::new();
    each_range(data, |range| ranges.push(range))?;
    Ok(ranges)
}

fn each_range(data: &[u8], mut visit: impl FnMut(Range<usize>)) -> Result<(), TensorError> {
    let (mut offset, mut index) = (0, 0);
    while offset < data.len() {
        let rest = data.get(offset..).unwrap_or_default();
        let length = rest.first_chunk().copied().map(u32::from_le_bytes);
        let end = length
            .and_then(|length| usize::try_from(length).ok())
            .and_then(|length| length.checked_add(LENGTH_BYTES))
            .filter(|end| *end <= rest.len());
        let Some(end) = end else {
            return Err(TensorError::Content(format!(
                "BYTES element {index} is truncated"
            )));
        };
        visit(offset + LENGTH_BYTES..offset + end);
        offset += end;
        index += 1;
    }
    Ok(())
}

/// Adds an element to the data of a `BYTES` tensor.
pub(crate) fn push_byte_string(data: &mut Vec<u8>, element: &[u8]) -> Result<(), TensorError> {
    let length = u32::try_from(element.len()).map_err(|_| {
        TensorError::Invalid(format!(
            "a BYTES element of {} bytes is longer than {} bytes",
            element.len(),
            u32::MAX
        ))
    })?;
    data.extend_from_slice(&length.to_le_bytes());
    data.extend_from_slice(element);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_read_in_place_or_copied_are_the_same() {
        let numbers: Vec<f64> = (0..9).map(|n| f64::from(n) / 3.0).collect();
        let raw: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        let in_place = Elements::<f64>::from_bytes(raw.clone()).unwrap();
        assert_eq!(*in_place, *numbers);
        assert_eq!(in_place.into_vec(), numbers);
        let copied = Elements {
            storage: Storage::Copied(numbers.clone()),
        };
        assert_eq!(*copied, *numbers);
        assert_eq!(copied.into_vec(), numbers);
    }

    #[test]
    fn a_byte_that_is_no_bool_is_refused() {
        assert_eq!(
            *Elements::<bool>::from_bytes(vec![0, 1, 1]).unwrap(),
            [false, true, true]
        );
        let error = Elements::<bool>::from_bytes(vec![0, 2]).unwrap_err();
        assert_eq!(error.to_string(), "2 bytes are no BOOL elements");
    }

    #[test]
    fn left_over_bytes_are_refused() {
        assert!(Elements::<u16>::from_bytes(vec![0, 1, 2]).is_err());
        assert!(Elements::<u16>::from_bytes(vec![]).unwrap().is_empty());
    }

    fn encoded(elements: &[&[u8]]) -> Vec<u8> {
        let mut data = Vec::new();
        for element in elements {
            push_byte_string(&mut data, element).unwrap();
        }
        data
    }

    #[test]
    fn byte_strings_are_found() {
        let strings =
            ByteStrings::from_parts(vec![encoded(&[b"ab", b"", b"\xff"]).into()]).unwrap();
        assert_eq!((strings.len(), strings.is_empty()), (3, false));
        assert_eq!(
            strings.iter().collect::<Vec<_>>(),
            [&b"ab"[..], b"", b"\xff"]
        );
        assert_eq!(strings.element(0), Some(&b"ab"[..]));
        assert_eq!(strings.element(3), None);
        let error = strings.texts().unwrap_err().to_string();
        assert!(error.starts_with("element 2 is not UTF-8 text"), "{error}");
        assert_eq!(format!("{strings:?}"), r#"["ab", "", "\\xff"]"#);
    }

    #[test]
    fn byte_strings_of_parts_are_those_of_the_whole() {
        let whole = ByteStrings::from_parts(vec![encoded(&[b"ab", b"", b"c"]).into()]).unwrap();
        let parts = [encoded(&[b"ab", b""]), vec![], encoded(&[b"c"])];
        let parts = ByteStrings::from_parts(parts.map(Raw::from).into()).unwrap();
        assert_eq!(parts, whole);
        assert_eq!(parts.element(2), Some(&b"c"[..]));
        assert_ne!(ByteStrings::from_parts(vec![]).unwrap(), whole);
    }

    #[test]
    fn truncated_byte_strings_are_refused() {
        let data = encoded(&[b"ab", b"cde"]);
        for length in (1..data.len()).filter(|length| *length != 6) {
            let error = ByteStrings::from_parts(vec![data[..length].to_vec().into()]).unwrap_err();
            let index = usize::from(length > 6);
            assert_eq!(
                error.to_string(),
                format!("BYTES element {index} is truncated")
            );
        }
    }

    #[test]
    fn a_single_byte_string_is_single() {
        assert_eq!(
            *ByteString::from_bytes(encoded(&[b"abc"])).unwrap(),
            *b"abc"
        );
        assert_eq!(*ByteString::from_bytes(encoded(&[b""])).unwrap(), *b"");
        let single = ByteString::from_bytes(encoded(&["ä".as_bytes()])).unwrap();
        assert_eq!(single.text().unwrap(), "ä");
        assert_eq!(single.into_string().unwrap(), "ä");
        assert!(
            ByteString::from_bytes(encoded(&[b"\xff"]))
                .unwrap()
                .into_string()
                .is_err()
        );
        for (elements, message) in [
            (
                encoded(&[b"a", b"b"]),
                "one element is expected, there are 2",
            ),
            (vec![], "one element is expected, there are 0"),
            (vec![9, 0, 0, 0], "BYTES element 0 is truncated"),
        ] {
            assert_eq!(
                ByteString::from_bytes(elements).unwrap_err().to_string(),
                message
            );
        }
    }
}
