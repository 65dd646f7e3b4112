//! Elements of a tensor, as far as conditions look at them.

use consort_inference::{Datatype, Tensor};

/// One element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Element<'a> {
    Bool(bool),
    Whole(i128),
    Real(f64),
    Text(&'a [u8]),
}

/// What the elements of a datatype are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Bool,
    Number,
    Text,
}

// === impl Sort ===

impl Sort {
    pub(super) const fn of(datatype: Datatype) -> Self {
        match datatype {
            Datatype::Bool => Self::Bool,
            Datatype::Bytes => Self::Text,
            _ => Self::Number,
        }
    }

    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Bool => "booleans",
            Self::Number => "numbers",
            Self::Text => "texts",
        }
    }
}

/// All elements, in order.
pub(super) fn elements(tensor: &Tensor) -> Box<dyn Iterator<Item = Element<'_>> + '_> {
    let datatype = tensor.datatype();
    match datatype.size_bytes() {
        Some(size) => {
            let chunks = tensor.data().chunks_exact(size);
            Box::new(chunks.filter_map(move |bytes| fixed(datatype, bytes)))
        }
        None => Box::new(texts(tensor.data())),
    }
}

/// The texts of a `BYTES` tensor, each behind its length.
fn texts(mut data: &[u8]) -> impl Iterator<Item = Element<'_>> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (text, rest) = rest.split_at_checked(length)?;
        data = rest;
        Some(Element::Text(text))
    })
}

fn fixed(datatype: Datatype, bytes: &[u8]) -> Option<Element<'static>> {
    macro_rules! read {
        ($number:ty) => {
            <$number>::from_le_bytes(bytes.try_into().ok()?)
        };
    }
    Some(match datatype {
        Datatype::Bool => Element::Bool(read!(u8) != 0),
        Datatype::Uint8 => Element::Whole(read!(u8).into()),
        Datatype::Uint16 => Element::Whole(read!(u16).into()),
        Datatype::Uint32 => Element::Whole(read!(u32).into()),
        Datatype::Uint64 => Element::Whole(read!(u64).into()),
        Datatype::Int8 => Element::Whole(read!(i8).into()),
        Datatype::Int16 => Element::Whole(read!(i16).into()),
        Datatype::Int32 => Element::Whole(read!(i32).into()),
        Datatype::Int64 => Element::Whole(read!(i64).into()),
        Datatype::Fp16 => Element::Real(half(read!(u16))),
        Datatype::Bf16 => Element::Real(f32::from_bits(u32::from(read!(u16)) << 16).into()),
        Datatype::Fp32 => Element::Real(read!(f32).into()),
        Datatype::Fp64 => Element::Real(read!(f64)),
        Datatype::Bytes => return None,
    })
}

/// An IEEE 754 half: a sign, 5 bits of exponent, 10 of fraction.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let fraction = f64::from(bits & 0x3ff);
    match i32::from(bits >> 10 & 0x1f) {
        0 => sign * fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        exponent => sign * (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

/// The nearest number that elements of that datatype can be: what `0.1` is to a tensor.
pub(super) fn rounded(number: f64, datatype: Datatype) -> f64 {
    match datatype {
        Datatype::Fp16 => nearest(number, 10, -14),
        Datatype::Bf16 => nearest(number, 7, -126),
        Datatype::Fp32 => nearest(number, 23, -126),
        _ => number,
    }
}

/// Rounds to so many bits of fraction, ties to even; exponents below the least one lose
/// bits of their fraction.
fn nearest(number: f64, fraction_bits: i32, exponent_min: i32) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return number;
    }
    let biased = i32::try_from(number.to_bits() >> 52 & 0x7ff).unwrap_or_default();
    let exponent = (biased - 1023).max(exponent_min);
    let unit = 2f64.powi(exponent - fraction_bits);
    (number / unit).round_ties_even() * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read_and_numbers_rounded_to_them() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x2e66, 0.099_975_585_937_5),
            (0x0001, 2f64.powi(-24)),
            (0x7bff, 65504.0),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:x}");
        }
        assert!(half(0x7e00).is_nan());
        assert_eq!(rounded(0.1, Datatype::Fp16), 0.099_975_585_937_5);
    }

    #[test]
    fn rounding_to_single_precision_is_what_the_language_does() {
        for number in [0.1, -1.0 / 3.0, 1e-40, 1e-46, 123_456_789.0, 3e38, 0.0] {
            let single = f64::from(number as f32);
            assert_eq!(rounded(number, Datatype::Fp32), single, "{number}");
        }
        assert_eq!(rounded(0.1, Datatype::Fp64), 0.1);
    }

    #[test]
    fn texts_are_read_in_order() {
        let tensor = Tensor::from_byte_strings(vec![3], ["a", "", "bc"]).unwrap();
        let texts: Vec<_> = elements(&tensor).collect();
        let expected = [b"a".as_slice(), b"", b"bc"].map(Element::Text);
        assert_eq!(texts, expected);
    }
}
