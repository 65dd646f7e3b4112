//! ONNX's element types and the protocol's datatypes.

use consort_inference::Datatype;
use ort::sys::ONNXTensorElementDataType as Native;

/// An element type by its number in ONNX. Kept as a number, since a library newer than this
/// crate may know more of them than `ort` has names for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element(pub(crate) i32);

// === impl Element ===

impl Element {
    /// The protocol's datatype, `None` where there is none.
    pub(crate) fn datatype(self) -> Option<Datatype> {
        Datatype::ALL
            .into_iter()
            .find(|&datatype| native(datatype) as i32 == self.0)
    }

    /// The name in messages.
    pub(crate) fn name(self) -> String {
        if let Some(datatype) = self.datatype() {
            return datatype.to_string();
        }
        let name = match self.0 {
            14 => "complex64",
            15 => "complex128",
            17 => "float8e4m3fn",
            18 => "float8e4m3fnuz",
            19 => "float8e5m2",
            20 => "float8e5m2fnuz",
            21 => "uint4",
            22 => "int4",
            23 => "float4e2m1",
            24 => "uint2",
            25 => "int2",
            26 => "float8e8m0",
            number => return format!("element type {number}"),
        };
        name.to_owned()
    }
}

/// ONNX Runtime's name of a datatype.
pub(crate) const fn native(datatype: Datatype) -> Native {
    match datatype {
        Datatype::Bool => Native::ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL,
        Datatype::Uint8 => Native::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
        Datatype::Uint16 => Native::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16,
        Datatype::Uint32 => Native::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32,
        Datatype::Uint64 => Native::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64,
        Datatype::Int8 => Native::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8,
        Datatype::Int16 => Native::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16,
        Datatype::Int32 => Native::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32,
        Datatype::Int64 => Native::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64,
        Datatype::Fp16 => Native::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16,
        Datatype::Bf16 => Native::ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16,
        Datatype::Fp32 => Native::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
        Datatype::Fp64 => Native::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE,
        Datatype::Bytes => Native::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datatypes_map_one_to_one() {
        for datatype in Datatype::ALL {
            assert_eq!(Element(native(datatype) as i32).datatype(), Some(datatype));
        }
        assert_eq!(Element(0).datatype(), None);
    }

    #[test]
    fn element_types_without_a_datatype_have_names() {
        assert_eq!(Element(22).name(), "int4");
        assert_eq!(Element(99).name(), "element type 99");
        assert_eq!(Element(1).name(), "FP32");
    }
}
