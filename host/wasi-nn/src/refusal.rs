//! What a backend's errors mean, and how its panics are kept from the host.

use consort_inference::PredictError;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wasmtime_wasi_nn::backend::BackendError;

/// Phrases of a failed allocation, each from one place. The backends have no code for it.
const OUT_OF_MEMORY: [&str; 7] = [
    // C++, as libstdc++ and libc++ say it, and as Microsoft's library does.
    "std::bad_alloc",
    "bad allocation",
    // oneDNN, below OpenVINO on the CPU.
    "out of memory",
    // OpenCL, below OpenVINO on a GPU.
    "CL_MEM_OBJECT_ALLOCATION_FAILURE",
    "CL_OUT_OF_HOST_MEMORY",
    "Exceeded max size of memory object allocation",
    // PyTorch on the CPU; on a GPU it says "out of memory".
    "not enough memory",
];

/// Why a backend did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    OutOfMemory(String),
    Other(String),
}

/// Runs a call into a backend. Where the backend panics, that is its error, and whatever it
/// worked on must not be used again.
pub(crate) fn contained<T>(call: impl FnOnce() -> Result<T, BackendError>) -> Result<T, Refusal> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| Refusal::from(&error)),
        Err(payload) => Err(Refusal::Other(format!(
            "the backend panicked: {}",
            panic_message(&*payload)
        ))),
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    one_line(text.unwrap_or("it did not say why"))
}

/// A message without line breaks.
pub(crate) fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

// === impl Refusal ===

impl Refusal {
    pub(crate) fn of_message(message: &str) -> Self {
        let message = one_line(message);
        if OUT_OF_MEMORY.iter().any(|phrase| message.contains(phrase)) {
            Self::OutOfMemory(message)
        } else {
            Self::Other(message)
        }
    }
}

impl From<&BackendError> for Refusal {
    fn from(error: &BackendError) -> Self {
        match error {
            // The causes say it; the error itself only says that there is one.
            BackendError::BackendAccess(cause) => Self::of_message(&format!("{cause:#}")),
            BackendError::NotEnoughMemory(_) => Self::OutOfMemory(error.to_string()),
            _ => Self::of_message(&error.to_string()),
        }
    }
}

impl From<Refusal> for PredictError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::OutOfMemory(message) => Self::OutOfMemory(message),
            Refusal::Other(message) => Self::Failed(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_allocations_are_recognised() {
        for message in [
            "Exception from src/core/src/runtime/tensor.cpp:96:\nstd::bad_alloc\n",
            "[GPU] Exceeded max size of memory object allocation: requested 9 bytes",
            "CUDA out of memory. Tried to allocate 2.00 GiB",
            "DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes",
        ] {
            assert!(
                matches!(Refusal::of_message(message), Refusal::OutOfMemory(_)),
                "{message}"
            );
        }
        let other = Refusal::of_message("Check 'x' failed at\n  a.cpp:1");
        assert_eq!(
            other,
            Refusal::Other("Check 'x' failed at a.cpp:1".to_owned())
        );
        let counted = Refusal::from(&BackendError::NotEnoughMemory(9));
        assert!(matches!(counted, Refusal::OutOfMemory(_)));
    }

    #[test]
    fn a_backend_that_panics_is_an_error() {
        let result = contained::<()>(|| panic!("no {}", "such thing"));
        let expected = "the backend panicked: no such thing";
        assert_eq!(result, Err(Refusal::Other(expected.to_owned())));
    }
}
