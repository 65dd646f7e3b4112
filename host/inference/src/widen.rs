//! The same numbers in a larger datatype.

use crate::{Datatype, Tensor, TensorError};

/// Elements of `A` bytes in order, each as `B` bytes.
fn each<const A: usize, const B: usize>(data: &[u8], wide: impl Fn([u8; A]) -> [u8; B]) -> Vec<u8> {
    let elements = data.as_chunks::<A>().0.iter();
    let wide: Vec<[u8; B]> = elements.map(|element| wide(*element)).collect();
    wide.into_flattened()
}

macro_rules! widenings {
    ($($from:ident $read:expr => $($to:ident $wide:ty),+;)+) => {
        /// The elements of `data` in another datatype, where there is a way.
        fn widened(data: &[u8], from: Datatype, to: Datatype) -> Option<Vec<u8>> {
            match (from, to) {
                $($((Datatype::$from, Datatype::$to) => {
                    Some(each(data, |bytes| <$wide>::from($read(bytes)).to_le_bytes()))
                })+)+
                _ => None,
            }
        }
    };
}

/// Any byte but 0 counts, as wherever such a tensor is read.
fn truth([byte]: [u8; 1]) -> bool {
    byte != 0
}

widenings! {
    Bool truth => Uint8 u8, Uint16 u16, Uint32 u32, Uint64 u64, Int8 i8, Int16 i16, Int32 i32, Int64 i64, Fp32 f32, Fp64 f64;
    Uint8 u8::from_le_bytes => Uint16 u16, Uint32 u32, Uint64 u64, Int16 i16, Int32 i32, Int64 i64, Fp32 f32, Fp64 f64;
    Uint16 u16::from_le_bytes => Uint32 u32, Uint64 u64, Int32 i32, Int64 i64, Fp32 f32, Fp64 f64;
    Uint32 u32::from_le_bytes => Uint64 u64, Int64 i64, Fp64 f64;
    Int8 i8::from_le_bytes => Int16 i16, Int32 i32, Int64 i64, Fp32 f32, Fp64 f64;
    Int16 i16::from_le_bytes => Int32 i32, Int64 i64, Fp32 f32, Fp64 f64;
    Int32 i32::from_le_bytes => Int64 i64, Fp64 f64;
    Fp32 f32::from_le_bytes => Fp64 f64;
}

impl Tensor {
    /// The same numbers, and the same shape, in a datatype that holds every number of this one
    /// exactly: of integers a wider integer, `FP32` for up to 16 bits and `FP64` for up to 32; of
    /// `BOOL` any of these, as 0 and 1; of `FP32` only `FP64`. Anything else is
    /// [`TensorError::Incompatible`].
    pub fn widen(&self, to: Datatype) -> Result<Self, TensorError> {
        if to == self.datatype() {
            return Ok(self.clone());
        }
        let data = widened(self.data(), self.datatype(), to).ok_or_else(|| {
            let from = self.datatype();
            TensorError::Incompatible(format!("{from} cannot be widened to {to}"))
        })?;
        Self::new(to, self.shape().to_vec(), data.into())
    }

    /// Whether [`widen`](Self::widen) makes a tensor of that datatype.
    pub fn can_widen(&self, to: Datatype) -> bool {
        to == self.datatype() || widened(&[], self.datatype(), to).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_what_they_are() {
        let bytes = Tensor::from_slice(vec![2, 2], &[0u8, 1, 127, 255]).unwrap();
        let wide = |to| bytes.widen(to).unwrap();
        let expected = Tensor::from_slice(vec![2, 2], &[0i32, 1, 127, 255]).unwrap();
        assert_eq!(wide(Datatype::Int32), expected);
        let expected = Tensor::from_slice(vec![2, 2], &[0f32, 1.0, 127.0, 255.0]).unwrap();
        assert_eq!(wide(Datatype::Fp32), expected);
        assert_eq!(wide(Datatype::Uint8), bytes);
        let ends = Tensor::from_slice(vec![2], &[i32::MIN, i32::MAX]).unwrap();
        let expected = [f64::from(i32::MIN), f64::from(i32::MAX)];
        let expected = Tensor::from_slice(vec![2], &expected).unwrap();
        assert_eq!(ends.widen(Datatype::Fp64).unwrap(), expected);
        let words = Tensor::from_slice(vec![2], &[true, false]).unwrap();
        let expected = Tensor::from_slice(vec![2], &[1i64, 0]).unwrap();
        assert_eq!(words.widen(Datatype::Int64).unwrap(), expected);
        // Any byte but 0 is read as true.
        let odd = Tensor::new(Datatype::Bool, vec![2], vec![7, 0].into()).unwrap();
        assert_eq!(odd.widen(Datatype::Int64).unwrap(), expected);
        assert!(odd.can_widen(Datatype::Int8) && odd.can_widen(Datatype::Bool));
    }

    #[test]
    fn what_would_lose_numbers_is_refused() {
        for (from, to) in [
            (Tensor::from_slice(vec![1], &[1i32]), Datatype::Fp32),
            (Tensor::from_slice(vec![1], &[1u8]), Datatype::Int8),
            (Tensor::from_slice(vec![1], &[1f64]), Datatype::Fp32),
            (Tensor::from_slice(vec![1], &[1i8]), Datatype::Uint16),
            (Tensor::from_byte_strings(vec![1], ["a"]), Datatype::Uint8),
        ] {
            let from = from.unwrap();
            let error = from.widen(to).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("{} cannot be widened to {to}", from.datatype())
            );
            assert!(!from.can_widen(to));
        }
    }
}
