//! Element types, and which Rust type reads which.

use std::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, TryFromBytes};

/// The type of a tensor's elements, as the Open Inference Protocol v2 names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Datatype {
    /// One byte, 0 or 1; read as `bool`.
    Bool,
    /// Read as `u8`.
    Uint8,
    /// Read as `u16`.
    Uint16,
    /// Read as `u32`.
    Uint32,
    /// Read as `u64`.
    Uint64,
    /// Read as `i8`.
    Int8,
    /// Read as `i16`.
    Int16,
    /// Read as `i32`.
    Int32,
    /// Read as `i64`.
    Int64,
    /// IEEE 754 half precision; read as [`F16`].
    Fp16,
    /// The upper half of a single-precision number; read as [`Bf16`].
    Bf16,
    /// Read as `f32`.
    Fp32,
    /// Read as `f64`.
    Fp64,
    /// Byte strings of any length; read with [`Tensor::byte_strings`] and its kin.
    ///
    /// [`Tensor::byte_strings`]: crate::Tensor::byte_strings
    Bytes,
}

/// A half-precision number, as bits. Do arithmetic on [`F16::to_f32`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct F16(pub u16);

/// The upper half of an `f32`, as bits. Do arithmetic on [`Bf16::to_f32`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Bf16(pub u16);

/// A Rust type that a tensor of fixed-size elements can be read as.
pub trait Element:
    TryFromBytes + IntoBytes + Immutable + KnownLayout + Copy + PartialEq + fmt::Debug + 'static
{
    /// The datatype it reads.
    const DATATYPE: Datatype;
}

macro_rules! elements {
    ($($ty:ty => $datatype:ident),* $(,)?) => {
        $(impl Element for $ty {
            const DATATYPE: Datatype = Datatype::$datatype;
        })*
    };
}

elements! {
    bool => Bool,
    u8 => Uint8,
    u16 => Uint16,
    u32 => Uint32,
    u64 => Uint64,
    i8 => Int8,
    i16 => Int16,
    i32 => Int32,
    i64 => Int64,
    F16 => Fp16,
    Bf16 => Bf16,
    f32 => Fp32,
    f64 => Fp64,
}

// Tensors are little-endian and elements are read in place.
#[cfg(target_endian = "big")]
compile_error!("consort-sdk reads tensors in place and so needs a little-endian target");

// === impl Datatype ===

impl Datatype {
    /// Every datatype.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The protocol's name, in capitals.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// Bytes of one element, `None` for `BYTES`, whose elements vary.
    pub const fn size_bytes(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl F16 ===

impl F16 {
    /// The number, exactly.
    pub fn to_f32(self) -> f32 {
        let sign = u32::from(self.0 & 0x8000) << 16;
        let exponent = u32::from(self.0 >> 10) & 0x1f;
        let fraction = u32::from(self.0) & 0x3ff;
        match exponent {
            // Zero and subnormals are whole multiples of 2^-24, which an f32 holds exactly.
            0 => {
                let magnitude = fraction as f32 * (1.0 / 16_777_216.0);
                f32::from_bits(sign | magnitude.to_bits())
            }
            // Infinity and NaN keep their fraction.
            0x1f => f32::from_bits(sign | 0x7f80_0000 | (fraction << 13)),
            _ => f32::from_bits(sign | ((exponent + 112) << 23) | (fraction << 13)),
        }
    }

    /// The nearest half-precision number, ties to even; infinite where `value` is too
    /// large.
    pub fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        let sign = ((bits >> 16) & 0x8000) as u16;
        let magnitude = bits & 0x7fff_ffff;
        let rounded = if magnitude > 0x7f80_0000 {
            // A NaN stays one: the quiet bit is set whatever else is cut off.
            0x7e00 | ((magnitude >> 13) & 0x1ff)
        } else if magnitude >= 0x477f_f000 {
            // 65520 and above round past the largest half, 65504.
            0x7c00
        } else if magnitude >= 0x3880_0000 {
            // Normal: move the exponent, then round at the 13 bits that are cut.
            round_shift(magnitude - (112 << 23), 13)
        } else {
            // Subnormal: shift the fraction with its hidden bit to units of 2^-24.
            let exponent = magnitude >> 23;
            let shift = 126u32.saturating_sub(exponent);
            match shift {
                0..=24 => round_shift((magnitude & 0x007f_ffff) | 0x0080_0000, shift),
                _ => 0,
            }
        };
        Self(sign | rounded as u16)
    }
}

impl From<f32> for F16 {
    fn from(value: f32) -> Self {
        Self::from_f32(value)
    }
}

impl From<F16> for f32 {
    fn from(value: F16) -> Self {
        value.to_f32()
    }
}

// === impl Bf16 ===

impl Bf16 {
    /// The number, exactly.
    pub fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// The nearest such number, ties to even.
    pub fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        if value.is_nan() {
            return Self((bits >> 16) as u16 | 0x40);
        }
        let sign = (bits >> 16) & 0x8000;
        Self((sign | round_shift(bits & 0x7fff_ffff, 16)) as u16)
    }
}

impl From<f32> for Bf16 {
    fn from(value: f32) -> Self {
        Self::from_f32(value)
    }
}

impl From<Bf16> for f32 {
    fn from(value: Bf16) -> Self {
        value.to_f32()
    }
}

/// `value / 2^shift`, rounded to nearest, ties to even. `shift` is 1 to 31.
fn round_shift(value: u32, shift: u32) -> u32 {
    let kept = value >> shift;
    let cut = value & ((1 << shift) - 1);
    let half = 1 << (shift - 1);
    if cut > half || (cut == half && kept & 1 == 1) {
        kept + 1
    } else {
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The half-precision number nearest to `value`, found by trying all of them.
    fn nearest_half(value: f64) -> u16 {
        let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
        let magnitude = value.abs();
        if magnitude >= 65520.0 {
            return sign | 0x7c00;
        }
        let mut best = (f64::INFINITY, 0u16);
        for bits in 0..0x7c00u16 {
            let distance = (f64::from(F16(bits).to_f32()) - magnitude).abs();
            // On a tie the even one of two neighbours wins.
            if distance < best.0 || (distance == best.0 && bits & 1 == 0) {
                best = (distance, bits);
            }
        }
        sign | best.1
    }

    #[test]
    fn sizes_agree_with_the_rust_types() {
        fn check<T: Element>() {
            assert_eq!(T::DATATYPE.size_bytes(), Some(size_of::<T>()));
        }
        check::<bool>();
        check::<u8>();
        check::<u16>();
        check::<u32>();
        check::<u64>();
        check::<i8>();
        check::<i16>();
        check::<i32>();
        check::<i64>();
        check::<F16>();
        check::<Bf16>();
        check::<f32>();
        check::<f64>();
    }

    #[test]
    fn known_halves() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(F16(bits).to_f32(), value, "{bits:#06x}");
            assert_eq!(F16::from_f32(value).0, bits, "{value}");
        }
        assert_eq!(F16::from_f32(-0.0).0, 0x8000);
        assert!(F16::from_f32(f32::NAN).to_f32().is_nan());
    }

    #[test]
    fn every_half_survives_the_way_through_f32() {
        for bits in 0..=u16::MAX {
            let value = F16(bits).to_f32();
            let back = F16::from_f32(value);
            if value.is_nan() {
                assert!(back.to_f32().is_nan(), "{bits:#06x}");
            } else {
                assert_eq!(back.0, bits, "{bits:#06x}");
            }
        }
    }

    #[test]
    fn halves_round_to_nearest_even() {
        let mut values = vec![65519.996, 65520.0, 65536.0, 1e-8, 2.980_232_2e-8, 4e-8, 0.1];
        // The midpoints between neighbours, and both sides of them.
        for bits in [
            0x0000, 0x0001, 0x03fe, 0x03ff, 0x0400, 0x3c00, 0x3c01, 0x7bfe,
        ] {
            let middle = (F16(bits).to_f32() + F16(bits + 1).to_f32()) / 2.0;
            values.extend([middle, middle.next_up(), middle.next_down(), -middle]);
        }
        for value in values {
            assert_eq!(
                F16::from_f32(value).0,
                nearest_half(f64::from(value)),
                "{value:e}"
            );
        }
    }

    #[test]
    fn bf16_rounds_to_nearest_even() {
        assert_eq!(Bf16::from_f32(1.0).0, 0x3f80);
        assert_eq!(Bf16::from_f32(f32::from_bits(0x3f80_8000)).0, 0x3f80);
        assert_eq!(Bf16::from_f32(f32::from_bits(0x3f80_8001)).0, 0x3f81);
        assert_eq!(Bf16::from_f32(f32::from_bits(0x3f81_8000)).0, 0x3f82);
        assert_eq!(Bf16::from_f32(f32::MAX).to_f32(), f32::INFINITY);
        assert_eq!(Bf16::from_f32(-0.0).0, 0x8000);
        assert!(
            Bf16::from_f32(f32::from_bits(0x7f80_0001))
                .to_f32()
                .is_nan()
        );
        for bits in 0..=u16::MAX {
            let value = Bf16(bits).to_f32();
            if !value.is_nan() {
                assert_eq!(Bf16::from_f32(value).0, bits);
            }
        }
    }
}
