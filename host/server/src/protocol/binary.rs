//! The binary tensor extension: where the JSON ends, and the bytes behind it.

use super::{DecodeError, quoted};
use bytes::Bytes;
use consort_inference::{Datatype, Tensor};

/// What the header `Inference-Header-Content-Length` says of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderLength {
    /// No header: the whole body is JSON.
    Absent,
    /// So many bytes of JSON, then binary inputs.
    Json(usize),
    /// Zero: no JSON, the body is the one input.
    Raw,
}

/// Hands out a body's bytes behind the JSON, one input after the other.
pub(super) struct Blobs {
    body: Bytes,
    json: usize,
    claimed: usize,
    /// Whether the header said where the JSON ends.
    expected: bool,
}

/// Reads the header against the body it belongs to.
pub fn header_length(
    header: Option<&[u8]>,
    body_bytes: usize,
) -> Result<HeaderLength, DecodeError> {
    let Some(header) = header else {
        return Ok(HeaderLength::Absent);
    };
    let text = String::from_utf8_lossy(header);
    let digits = text.trim();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let length = digits.parse::<usize>().ok().filter(|_| is_number);
    match length {
        None => Err(DecodeError::HeaderLength {
            value: quoted(&text),
        }),
        Some(0) => Ok(HeaderLength::Raw),
        Some(header) if header > body_bytes => Err(DecodeError::HeaderBeyondBody {
            header,
            body: body_bytes,
        }),
        Some(header) => Ok(HeaderLength::Json(header)),
    }
}

// === impl Blobs ===

impl Blobs {
    pub(super) fn new(body: Bytes, json: usize, expected: bool) -> Self {
        Self {
            body,
            json,
            claimed: 0,
            expected,
        }
    }

    /// The next `size` bytes: a slice of the body, not a copy.
    pub(super) fn take(&mut self, name: &str, size: u64) -> Result<Bytes, DecodeError> {
        if !self.expected {
            return Err(DecodeError::NoHeaderLength { name: name.into() });
        }
        let start = self.json + self.claimed;
        let left = self.body.len() - start;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > left {
            return Err(DecodeError::ShortBinary {
                name: name.into(),
                size,
                left,
                missing: size - left,
            });
        }
        self.claimed += size;
        Ok(self.body.slice(start..start + size))
    }

    /// Nothing may be left over.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        let extra = self.body.len() - self.json - self.claimed;
        if extra == 0 {
            return Ok(());
        }
        Err(DecodeError::ExtraBinary {
            extra,
            json: self.json,
            claimed: self.claimed,
            body: self.body.len(),
        })
    }
}

/// A tensor of bytes that came from outside.
pub(super) fn tensor(
    name: &str,
    datatype: Datatype,
    shape: Vec<usize>,
    data: Bytes,
) -> Result<Tensor, DecodeError> {
    if datatype == Datatype::Bool
        && let Some((index, &value)) = data.iter().enumerate().find(|(_, byte)| **byte > 1)
    {
        return Err(DecodeError::BoolByte {
            name: name.into(),
            index,
            value,
        });
    }
    Tensor::new(datatype, shape, data).map_err(|source| DecodeError::Tensor {
        name: name.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_a_length_within_the_body() {
        let read = |header: &str| header_length(Some(header.as_bytes()), 10);
        assert_eq!(header_length(None, 10), Ok(HeaderLength::Absent));
        assert_eq!(read("0"), Ok(HeaderLength::Raw));
        assert_eq!(read("10"), Ok(HeaderLength::Json(10)));
        let error = read("11").unwrap_err().to_string();
        assert!(error.contains("11 bytes of JSON come first"), "{error}");
        assert!(error.contains("the whole body has 10 bytes"), "{error}");
        for wrong in ["-1", "+1", "x", "", "1.5", "0x1", "99999999999999999999999"] {
            let error = read(wrong).unwrap_err().to_string();
            let expected = format!(
                "the header Inference-Header-Content-Length is \"{wrong}\", which is no length"
            );
            assert!(error.starts_with(&expected), "{error}");
        }
        assert!(header_length(Some(b"\xff"), 10).is_err());
    }

    #[test]
    fn blobs_are_counted() {
        let mut blobs = Blobs::new(Bytes::from_static(b"{}abcdef"), 2, true);
        assert_eq!(blobs.take("x", 2).unwrap(), "ab");
        let error = blobs.take("y", 7).unwrap_err().to_string();
        let expected = "input \"y\": binary_data_size is 7, but only 4 bytes are left in the body: \
                        3 bytes are missing";
        assert_eq!(error, expected);
        assert!(blobs.take("y", u64::MAX).is_err());
        assert_eq!(blobs.take("y", 3).unwrap(), "cde");
        let error = blobs.finish().unwrap_err().to_string();
        let expected = "1 bytes are left over behind the binary inputs: the JSON has 2 bytes, the \
                        inputs claim 5, the body has 8";
        assert_eq!(error, expected);
    }
}
