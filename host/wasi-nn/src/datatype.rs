//! wasi-nn's tensor types and the protocol's datatypes.

use consort_inference::Datatype;
use wasmtime_wasi_nn::wit::TensorType;

/// What messages say can be served.
pub(crate) const SERVED: &str = "UINT8, INT32, INT64, FP16, BF16, FP32 and FP64";

/// The type that wasi-nn has for a datatype, `None` where it has none.
pub(crate) const fn tensor_type(datatype: Datatype) -> Option<TensorType> {
    match datatype {
        Datatype::Uint8 => Some(TensorType::U8),
        Datatype::Int32 => Some(TensorType::I32),
        Datatype::Int64 => Some(TensorType::I64),
        Datatype::Fp16 => Some(TensorType::Fp16),
        Datatype::Bf16 => Some(TensorType::Bf16),
        Datatype::Fp32 => Some(TensorType::Fp32),
        Datatype::Fp64 => Some(TensorType::Fp64),
        _ => None,
    }
}

/// The datatype of a type of wasi-nn.
pub(crate) const fn datatype(tensor_type: TensorType) -> Datatype {
    match tensor_type {
        TensorType::U8 => Datatype::Uint8,
        TensorType::I32 => Datatype::Int32,
        TensorType::I64 => Datatype::Int64,
        TensorType::Fp16 => Datatype::Fp16,
        TensorType::Bf16 => Datatype::Bf16,
        TensorType::Fp32 => Datatype::Fp32,
        TensorType::Fp64 => Datatype::Fp64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_served_datatype_has_a_type_of_its_own() {
        let mut served = Vec::new();
        for one in Datatype::ALL {
            if let Some(tensor_type) = tensor_type(one) {
                assert_eq!(datatype(tensor_type), one);
                served.push(one.as_str());
            }
        }
        let told: Vec<&str> = SERVED
            .split([',', ' '])
            .filter(|word| !word.is_empty())
            .collect();
        let told: Vec<&str> = told.into_iter().filter(|word| *word != "and").collect();
        assert_eq!(served, told);
    }
}
