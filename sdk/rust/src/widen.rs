//! The same numbers in a larger datatype, by the host's rules: in native unit tests, and of small
//! tensors that the host has not seen yet.

use crate::Datatype;

/// Elements of `A` bytes in order, each as `B` bytes.
fn each<const A: usize, const B: usize>(data: &[u8], wide: impl Fn([u8; A]) -> [u8; B]) -> Vec<u8> {
    let elements = data.as_chunks::<A>().0.iter();
    let wide: Vec<[u8; B]> = elements.map(|element| wide(*element)).collect();
    wide.into_flattened()
}

macro_rules! widenings {
    ($($from:ident $read:expr => $($to:ident $wide:ty),+;)+) => {
        /// The elements of `data` in another datatype, where there is a way.
        pub(crate) fn widened(data: &[u8], from: Datatype, to: Datatype) -> Option<Vec<u8>> {
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
