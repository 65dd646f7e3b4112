//! Numbers of a tensor whose datatype the configuration names.

use consort_sdk::{Bf16, Datatype, Element, F16};
use serde::Deserialize;

/// The datatype of a tensor of numbers, by its name in small letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NumberType {
    /// Unsigned, 8 bits.
    Uint8,
    /// Unsigned, 16 bits.
    Uint16,
    /// Unsigned, 32 bits.
    Uint32,
    /// Unsigned, 64 bits.
    Uint64,
    /// Signed, 8 bits.
    Int8,
    /// Signed, 16 bits.
    Int16,
    /// Signed, 32 bits.
    Int32,
    /// Signed, 64 bits.
    Int64,
    /// Half precision.
    Fp16,
    /// The upper half of single precision.
    Bf16,
    /// Single precision.
    #[default]
    Fp32,
    /// Double precision.
    Fp64,
}

/// A number of a tensor.
pub trait Number: Element {
    /// As `f64`: exact, but for 64-bit integers beyond 2^53, which are rounded.
    fn to_f64(self) -> f64;
}

macro_rules! numbers {
    ($($ty:ty: $number:ident => $as:expr),* $(,)?) => {
        $(impl Number for $ty {
            fn to_f64(self) -> f64 {
                let $number = self;
                $as
            }
        })*
    };
}

numbers! {
    u8: number => number.into(),
    u16: number => number.into(),
    u32: number => number.into(),
    u64: number => number as f64,
    i8: number => number.into(),
    i16: number => number.into(),
    i32: number => number.into(),
    i64: number => number as f64,
    F16: number => number.to_f32().into(),
    Bf16: number => number.to_f32().into(),
    f32: number => number.into(),
    f64: number => number,
}

/// An expression for the Rust type of a [`NumberType`]: `of_type!(number_type, T => f::<T>())`.
#[macro_export]
macro_rules! of_type {
    ($number_type:expr, $ty:ident => $value:expr) => {
        match $number_type {
            $crate::NumberType::Uint8 => {
                type $ty = u8;
                $value
            }
            $crate::NumberType::Uint16 => {
                type $ty = u16;
                $value
            }
            $crate::NumberType::Uint32 => {
                type $ty = u32;
                $value
            }
            $crate::NumberType::Uint64 => {
                type $ty = u64;
                $value
            }
            $crate::NumberType::Int8 => {
                type $ty = i8;
                $value
            }
            $crate::NumberType::Int16 => {
                type $ty = i16;
                $value
            }
            $crate::NumberType::Int32 => {
                type $ty = i32;
                $value
            }
            $crate::NumberType::Int64 => {
                type $ty = i64;
                $value
            }
            $crate::NumberType::Fp16 => {
                type $ty = $crate::consort_sdk::F16;
                $value
            }
            $crate::NumberType::Bf16 => {
                type $ty = $crate::consort_sdk::Bf16;
                $value
            }
            $crate::NumberType::Fp32 => {
                type $ty = f32;
                $value
            }
            $crate::NumberType::Fp64 => {
                type $ty = f64;
                $value
            }
        }
    };
}

// === impl NumberType ===

impl NumberType {
    /// The datatype of the tensor.
    pub fn datatype(self) -> Datatype {
        of_type!(self, T => <T as Element>::DATATYPE)
    }

    /// Whether there is nothing behind the point.
    pub fn is_integer(self) -> bool {
        !matches!(self, Self::Fp16 | Self::Bf16 | Self::Fp32 | Self::Fp64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_protocols_in_small_letters() {
        for datatype in Datatype::ALL {
            let name = format!("\"{}\"", datatype.as_str().to_lowercase());
            let read: Result<NumberType, _> = serde_json::from_str(&name);
            match datatype {
                Datatype::Bool | Datatype::Bytes => assert!(read.is_err()),
                _ => assert_eq!(read.unwrap().datatype(), datatype),
            }
        }
    }

    #[test]
    fn numbers_keep_their_value() {
        assert_eq!(u8::MAX.to_f64(), 255.0);
        assert_eq!(i64::MIN.to_f64(), -9_223_372_036_854_775_808.0);
        assert_eq!(F16::from_f32(0.5).to_f64(), 0.5);
        assert_eq!(Bf16::from_f32(-2.0).to_f64(), -2.0);
        assert!(f32::NAN.to_f64().is_nan());
    }
}
