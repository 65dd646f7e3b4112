//! What ONNX Runtime's errors mean.
//!
//! Its codes are few: an allocation that fails, an operator that refuses its input and a
//! defect all come as `FAIL` or `RUNTIME_EXCEPTION`. Where the difference matters, the message
//! is looked at, here and nowhere else.

use crate::native::Error;
use consort_inference::PredictError;

/// Phrases of a failed allocation, each from one place.
const OUT_OF_MEMORY: [&str; 8] = [
    // ONNX Runtime's arena, on the CPU and on GPUs.
    "Failed to allocate memory for requested buffer",
    // The same arena at its limit.
    "is smaller than requested bytes",
    // C++, as libstdc++ and libc++ say it, and as Microsoft's library does.
    "std::bad_alloc",
    "bad allocation",
    // CUDA (error 2) and the libraries above it.
    "CUDA failure 2: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    // DirectX: E_OUTOFMEMORY.
    "8007000E",
];

/// Whether an error says that memory was lacking.
pub(crate) fn is_out_of_memory(message: &str) -> bool {
    OUT_OF_MEMORY.iter().any(|phrase| message.contains(phrase))
}

/// The operator set that an error says is newer than the library, of those that the model
/// asks for.
pub(crate) fn unknown_opset<'a>(
    message: &str,
    opsets: &'a [(String, i64)],
) -> Option<&'a (String, i64)> {
    opsets
        .iter()
        .find(|(_, version)| message.contains(&format!("Opset {version} is under development")))
}

/// A failed run, as the batcher sees it.
pub(crate) fn predict_error(error: &Error) -> PredictError {
    let message = one_line(error.message());
    if is_out_of_memory(&message) {
        PredictError::OutOfMemory(message)
    } else {
        PredictError::Failed(message)
    }
}

/// A message without line breaks.
pub(crate) fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_allocations_are_recognised() {
        for message in [
            "Non-zero status code returned while running ConstantOfShape node. Name:'' Status \
             Message: bfc_arena.cc:360 AllocateRawInternal Failed to allocate memory for \
             requested buffer of size 4398046511104",
            "Exception during initialization: std::bad_alloc",
            "CUDA failure 2: out of memory ; GPU=0 ; hostname=x",
        ] {
            assert!(is_out_of_memory(message), "{message}");
        }
        for message in [
            "indices element out of data bounds, idx=4 must be within the inclusive range [-4,3]",
            "CUDA failure 700: an illegal memory access was encountered",
        ] {
            assert!(!is_out_of_memory(message), "{message}");
        }
    }

    #[test]
    fn only_an_opset_of_the_model_is_named() {
        let opsets = [(String::new(), 18), ("ai.onnx.ml".to_owned(), 99)];
        let message = "only guarantees support for released opsets. Opset 99 is under development";
        assert_eq!(unknown_opset(message, &opsets), Some(&opsets[1]));
        assert_eq!(
            unknown_opset("Opset 98 is under development", &opsets),
            None
        );
    }
}
