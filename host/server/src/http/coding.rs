//! Content codings: gzip and deflate (that is zlib), both ways.

use super::body::too_large;
use crate::admission::Charge;
use crate::protocol::quoted;
use crate::refusal::Refusal;
use crate::status::Code;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use flate2::Compression;
use flate2::bufread::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};
use std::io::{self, Read, Write};

/// What a refusal of another coding offers.
pub(super) const SUPPORTED: HeaderValue = HeaderValue::from_static("gzip, deflate");

/// Bytes decompressed between two looks at the limit.
const STEP_BYTES: usize = 64 << 10;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Deflate,
}

/// How a request's body is compressed.
pub(super) fn of_request(headers: &HeaderMap) -> Result<Coding, Refusal> {
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let (value, another) = (values.next(), values.next());
    let Some(value) = value else {
        return Ok(Coding::Identity);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let coding = named(text.trim()).filter(|_| another.is_none());
    coding.ok_or_else(|| {
        Refusal::client(
            Code::UnsupportedEncoding,
            format!(
                "Content-Encoding {} is not supported; send gzip, deflate or no encoding, and one \
                 only",
                quoted(&text)
            ),
        )
    })
}

/// How to compress a response: not at all unless the client asks for it.
pub(super) fn of_response(headers: &HeaderMap) -> Coding {
    let mut best = (Coding::Identity, 0u16);
    let lists = headers.get_all(ACCEPT_ENCODING).iter();
    for list in lists.filter_map(|list| list.to_str().ok()) {
        for offer in list.split(',') {
            let mut parts = offer.split(';');
            let name = parts.next().unwrap_or_default().trim();
            let weight = parts.find_map(weight_of).unwrap_or(1000);
            let coding = match name {
                "*" => Some(Coding::Gzip),
                name => named(name),
            };
            match coding {
                // Of equals the first one named wins.
                Some(coding) if weight > best.1 => best = (coding, weight),
                _ => {}
            }
        }
    }
    best.0
}

/// What undoing a coding may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct UnpackLimits {
    /// Bytes that come out.
    pub(super) bytes_max: usize,
    /// Members of a gzip body: each costs time, even one that holds nothing.
    pub(super) members_max: usize,
}

/// Undoes the coding, up to its limits.
pub(super) fn decompress(
    body: Bytes,
    coding: Coding,
    limits: UnpackLimits,
    charge: &mut Charge,
) -> Result<Bytes, Refusal> {
    let bytes_max = limits.bytes_max;
    let mut whole = Vec::new();
    match coding {
        Coding::Identity => Ok(body),
        Coding::Gzip => {
            let mut left = &*body;
            for _ in 0..limits.members_max {
                let mut member = GzDecoder::new(left);
                read_all(&mut member, &mut whole, bytes_max, charge)?;
                left = member.into_inner();
                if left.is_empty() {
                    return Ok(whole.into());
                }
            }
            let message = format!(
                "the gzip body has more than {} members (gzip_members_max); compress it in one go",
                limits.members_max
            );
            Err(Refusal::client(Code::TooLarge, message))
        }
        Coding::Deflate => {
            let mut decoder = ZlibDecoder::new(&*body);
            read_all(&mut decoder, &mut whole, bytes_max, charge)?;
            let left = decoder.get_ref().len();
            if left > 0 {
                let message = format!("{left} bytes follow the end of the compressed body");
                return Err(Refusal::client(Code::InvalidArgument, message));
            }
            Ok(whole.into())
        }
    }
}

/// Applies the coding. The pieces stay as they are where there is none.
pub(super) fn compress(pieces: Vec<Bytes>, coding: Coding) -> io::Result<Vec<Bytes>> {
    let whole = match coding {
        Coding::Identity => return Ok(pieces),
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            write_all(&mut encoder, &pieces)?;
            encoder.finish()?
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            write_all(&mut encoder, &pieces)?;
            encoder.finish()?
        }
    };
    Ok(vec![whole.into()])
}

// === impl Coding ===

impl Coding {
    pub(super) fn header_value(self) -> Option<HeaderValue> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some(HeaderValue::from_static("gzip")),
            Self::Deflate => Some(HeaderValue::from_static("deflate")),
        }
    }
}

fn named(name: &str) -> Option<Coding> {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    if is("gzip") || is("x-gzip") {
        Some(Coding::Gzip)
    } else if is("deflate") {
        Some(Coding::Deflate)
    } else if is("identity") || name.is_empty() {
        Some(Coding::Identity)
    } else {
        None
    }
}

/// A weight in thousandths.
fn weight_of(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value: f32 = value.trim().parse().ok()?;
    Some((value.clamp(0.0, 1.0) * 1000.0) as u16)
}

fn read_all(
    mut decoder: impl Read,
    whole: &mut Vec<u8>,
    bytes_max: usize,
    charge: &mut Charge,
) -> Result<(), Refusal> {
    let mut step = vec![0; STEP_BYTES];
    loop {
        let read = decoder.read(&mut step).map_err(|error| {
            let message = format!("the compressed body cannot be read: {error}");
            Refusal::client(Code::InvalidArgument, message)
        })?;
        if read == 0 {
            return Ok(());
        }
        if whole.len() + read > bytes_max {
            return Err(too_large(bytes_max));
        }
        charge.add(read)?;
        whole.extend_from_slice(step.get(..read).unwrap_or_default());
    }
}

fn write_all(encoder: &mut impl Write, pieces: &[Bytes]) -> io::Result<()> {
    pieces.iter().try_for_each(|piece| encoder.write_all(piece))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Admission;

    fn limits(bytes_max: usize) -> UnpackLimits {
        UnpackLimits {
            bytes_max,
            members_max: 3,
        }
    }

    fn accept(value: &'static str) -> Coding {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
        of_response(&headers)
    }

    #[test]
    fn only_a_client_that_asks_gets_compression() {
        assert_eq!(of_response(&HeaderMap::new()), Coding::Identity);
        assert_eq!(accept("gzip"), Coding::Gzip);
        assert_eq!(accept("deflate, gzip"), Coding::Deflate);
        assert_eq!(accept("deflate;q=0.5, gzip;q=0.8"), Coding::Gzip);
        assert_eq!(accept("gzip;q=0"), Coding::Identity);
        assert_eq!(accept("br, zstd"), Coding::Identity);
        assert_eq!(accept("identity, gzip;q=0.5"), Coding::Identity);
        assert_eq!(accept("*"), Coding::Gzip);
    }

    #[test]
    fn decompression_has_a_limit_and_an_end() {
        let admission = Admission::new(1, 1 << 20);
        let body = vec![Bytes::from(vec![7u8; 1000])];
        for coding in [Coding::Gzip, Coding::Deflate] {
            let packed = compress(body.clone(), coding).unwrap().remove(0);
            assert!(packed.len() < 100);
            let undo = |packed: Bytes, bytes_max| {
                decompress(packed, coding, limits(bytes_max), &mut admission.charge())
            };
            assert_eq!(undo(packed.clone(), 1000).unwrap(), body[0]);
            assert_eq!(
                undo(packed.clone(), 999).unwrap_err().code(),
                Code::TooLarge
            );
            let cut = undo(packed.slice(..packed.len() - 1), 1000).unwrap_err();
            assert_eq!(cut.code(), Code::InvalidArgument);
            let longer = [&packed[..], b"more"].concat();
            let error = undo(longer.into(), 1000).unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument, "{error}");
            let error = undo(Bytes::from_static(b"plain"), 1000).unwrap_err();
            assert!(
                error.message().starts_with("the compressed body"),
                "{error}"
            );
        }
    }

    #[test]
    fn gzip_members_are_counted_however_small() {
        let admission = Admission::new(1, 1 << 20);
        let member = |text: &'static [u8]| {
            let packed = compress(vec![Bytes::from_static(text)], Coding::Gzip);
            packed.unwrap().remove(0)
        };
        let undo = |members: usize| {
            let last = [&member(b"x")[..], &member(b"")].concat();
            let body = [member(b"").repeat(members - 2), last].concat();
            let limits = limits(1000);
            decompress(body.into(), Coding::Gzip, limits, &mut admission.charge())
        };
        assert_eq!(undo(3).unwrap(), "x");
        let refused = undo(4).unwrap_err();
        assert_eq!(refused.code(), Code::TooLarge);
        let message = refused.message();
        assert!(
            message.contains("more than 3 members (gzip_members_max)"),
            "{message}"
        );
    }

    #[test]
    fn decompressed_bytes_are_charged() {
        let admission = Admission::new(1, 500);
        let packed = compress(vec![Bytes::from(vec![7u8; 1000])], Coding::Gzip).unwrap();
        let refused = decompress(
            packed[0].clone(),
            Coding::Gzip,
            limits(1000),
            &mut admission.charge(),
        );
        assert_eq!(refused.unwrap_err().code(), Code::Overloaded);
    }
}
