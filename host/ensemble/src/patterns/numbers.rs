//! Numbers of tensors, for patterns that calculate with them.

use bytes::Bytes;
use consort_inference::{Datatype, Tensor, TensorError};
use half::{bf16, f16};

/// All elements as numbers, whole ones rounded to 53 bits; `None` for texts.
pub(super) fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    let datatype = tensor.datatype();
    let size = datatype.size_bytes()?;
    let chunks = tensor.data().chunks_exact(size);
    Some(chunks.filter_map(|bytes| number(datatype, bytes)).collect())
}

/// Whether numbers of that datatype have a mean of that datatype.
pub(super) const fn is_float(datatype: Datatype) -> bool {
    matches!(
        datatype,
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 | Datatype::Fp64
    )
}

/// A tensor of floats of that datatype.
pub(super) fn floats(
    datatype: Datatype,
    shape: Vec<usize>,
    numbers: &[f64],
) -> Result<Tensor, TensorError> {
    let mut data = Vec::with_capacity(numbers.len() * datatype.size_bytes().unwrap_or(8));
    for number in numbers {
        match datatype {
            Datatype::Fp16 => data.extend(f16::from_f64(*number).to_le_bytes()),
            Datatype::Bf16 => data.extend(bf16::from_f64(*number).to_le_bytes()),
            Datatype::Fp32 => data.extend((*number as f32).to_le_bytes()),
            _ => data.extend(number.to_le_bytes()),
        }
    }
    Tensor::new(datatype, shape, Bytes::from(data))
}

fn number(datatype: Datatype, bytes: &[u8]) -> Option<f64> {
    macro_rules! read {
        ($number:ty) => {
            <$number>::from_le_bytes(bytes.try_into().ok()?)
        };
    }
    Some(match datatype {
        Datatype::Bool | Datatype::Uint8 => f64::from(read!(u8)),
        Datatype::Uint16 => f64::from(read!(u16)),
        Datatype::Uint32 => f64::from(read!(u32)),
        Datatype::Uint64 => read!(u64) as f64,
        Datatype::Int8 => f64::from(read!(i8)),
        Datatype::Int16 => f64::from(read!(i16)),
        Datatype::Int32 => f64::from(read!(i32)),
        Datatype::Int64 => read!(i64) as f64,
        Datatype::Fp16 => read!(f16).to_f64(),
        Datatype::Bf16 => read!(bf16).to_f64(),
        Datatype::Fp32 => f64::from(read!(f32)),
        Datatype::Fp64 => read!(f64),
        Datatype::Bytes => return None,
    })
}
