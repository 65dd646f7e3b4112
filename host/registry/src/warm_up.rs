//! Running a model before it answers anybody, and a look at what it gives.

use crate::OutputCheck;
use consort_inference::{
    Batch, BatchError, Datatype, Mismatch, ModelHandler, PredictError, Signature, TenantId, Tensor,
    TensorSpec, Tensors,
};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The most bytes of an example that is made up.
const ZEROS_BYTES_MAX: usize = 64 << 20;

/// What came of the warm-up when a model was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarmUpReport {
    /// None was asked for, or the model runs elsewhere.
    Off,
    /// The model ran on so many examples and its outputs are as they should be.
    Done {
        /// How many.
        examples: usize,
    },
    /// No example could be made up: an axis has no fixed length.
    NotPossible,
    /// The model cannot run on an example of zeros, which may be the example's fault.
    Ignored(WarmUpError),
}

/// A model that does not do on the warm-up examples what it promises. Examples count
/// from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WarmUpError {
    /// The example is not what the model reads.
    #[error("warm-up example {example} does not fit the model: {mismatch}")]
    Example {
        /// Which example.
        example: usize,
        /// What does not fit.
        mismatch: Mismatch,
    },
    /// The model refused or broke off.
    #[error("on warm-up example {example}: {error}")]
    Predict {
        /// Which example; 0 for all of them in one batch.
        example: usize,
        /// What it said.
        error: PredictError,
    },
    /// The handler panicked.
    #[error("on warm-up example {example} the handler panicked: {message}")]
    Panicked {
        /// Which example; 0 for all of them in one batch.
        example: usize,
        /// What it said.
        message: String,
    },
    /// More or fewer predictions than examples.
    #[error("{expected} examples gave {actual} predictions")]
    Count {
        /// How many examples.
        expected: usize,
        /// How many predictions.
        actual: usize,
    },
    /// The outputs are not what the signature promises.
    #[error("the outputs on warm-up example {example} are not as promised: {mismatch}")]
    Output {
        /// Which example.
        example: usize,
        /// What does not fit.
        mismatch: Mismatch,
    },
    /// A number that is none.
    #[error("output \"{tensor}\" on warm-up example {example} holds NaN or infinity")]
    NotFinite {
        /// Which example.
        example: usize,
        /// Which output.
        tensor: Arc<str>,
    },
}

/// Runs a model on each example alone, then on as many as it takes in one batch. Blocks.
pub(crate) fn run(
    handler: &dyn ModelHandler,
    rows: &[Tensors],
    check: OutputCheck,
) -> Result<(), WarmUpError> {
    for (index, row) in rows.iter().enumerate() {
        let example = index + 1;
        let fits = handler.signature().check_inputs(row);
        fits.map_err(|mismatch| WarmUpError::Example { example, mismatch })?;
        run_batch(handler, vec![row.clone()], example, check)?;
    }
    let Some((first, others)) = rows.split_first() else {
        return Ok(());
    };
    let most = handler.batch_hints().max_batch_size.unwrap_or(usize::MAX);
    let alike = others.iter().filter(|row| row.same_layout(first));
    let batch: Vec<Tensors> = std::iter::once(first)
        .chain(alike)
        .take(most)
        .cloned()
        .collect();
    if batch.len() > 1 {
        run_batch(handler, batch, 0, check)?;
    }
    Ok(())
}

/// One example of zeros; `None` where the length of an axis is not known.
pub(crate) fn zeros(signature: &Signature) -> Option<Tensors> {
    let mut tensors = Tensors::new();
    for spec in &signature.inputs {
        tensors.insert(spec.name.clone(), zero(spec)?);
    }
    (!tensors.is_empty() && tensors.byte_len() <= ZEROS_BYTES_MAX).then_some(tensors)
}

/// A batch as the batcher would make it.
pub(crate) fn batch_of(
    handler: &dyn ModelHandler,
    rows: Vec<Tensors>,
) -> Result<Batch, BatchError> {
    let hints = handler.batch_hints();
    let batch = if hints.ragged {
        Batch::ragged(rows)?
    } else {
        Batch::new(rows)?
    };
    Ok(match hints.single_tenant {
        true => batch.with_tenant(TenantId::default()),
        false => batch,
    })
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

fn zero(spec: &TensorSpec) -> Option<Tensor> {
    let shape: Vec<usize> = spec.shape.iter().copied().collect::<Option<_>>()?;
    let count = shape
        .iter()
        .try_fold(1usize, |all, axis| all.checked_mul(*axis))?;
    // An empty byte string is its length alone: four bytes of zero.
    let size = spec.datatype.size_bytes().unwrap_or(4);
    let bytes = count
        .checked_mul(size)
        .filter(|bytes| *bytes <= ZEROS_BYTES_MAX)?;
    Tensor::new(spec.datatype, shape, vec![0; bytes].into()).ok()
}

fn run_batch(
    handler: &dyn ModelHandler,
    rows: Vec<Tensors>,
    example: usize,
    check: OutputCheck,
) -> Result<(), WarmUpError> {
    let expected = rows.len();
    let failed = |error| WarmUpError::Predict { example, error };
    let batch = batch_of(handler, rows);
    let batch = batch.map_err(|error| failed(PredictError::Failed(error.to_string())))?;
    let ran = catch_unwind(AssertUnwindSafe(|| handler.predict(&batch)));
    let outputs = match ran {
        Ok(outputs) => outputs.map_err(failed)?,
        Err(panic) => {
            let message = panic_text(panic.as_ref());
            return Err(WarmUpError::Panicked { example, message });
        }
    };
    if outputs.len() != expected {
        let actual = outputs.len();
        return Err(WarmUpError::Count { expected, actual });
    }
    for (index, row) in outputs.iter().enumerate() {
        let example = if example == 0 { index + 1 } else { example };
        let fits = handler.signature().check_outputs(row);
        fits.map_err(|mismatch| WarmUpError::Output { example, mismatch })?;
        if check == OutputCheck::Finite
            && let Some((tensor, _)) = row.iter().find(|(_, tensor)| !is_finite(tensor))
        {
            let tensor = tensor.clone();
            return Err(WarmUpError::NotFinite { example, tensor });
        }
    }
    Ok(())
}

/// Whether no element is NaN or infinite: all bits of such a number's exponent are set.
fn is_finite(tensor: &Tensor) -> bool {
    let all16 = |mask: u16| {
        let (halves, _) = tensor.data().as_chunks::<2>();
        halves
            .iter()
            .all(|half| u16::from_le_bytes(*half) & mask != mask)
    };
    match tensor.datatype() {
        Datatype::Fp16 => all16(0x7c00),
        Datatype::Bf16 => all16(0x7f80),
        Datatype::Fp32 => {
            let (numbers, _) = tensor.data().as_chunks::<4>();
            numbers
                .iter()
                .all(|number| f32::from_le_bytes(*number).is_finite())
        }
        Datatype::Fp64 => {
            let (numbers, _) = tensor.data().as_chunks::<8>();
            numbers
                .iter()
                .all(|number| f64::from_le_bytes(*number).is_finite())
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(datatype: Datatype, shape: &[Option<usize>]) -> TensorSpec {
        TensorSpec::new("x", datatype, shape.to_vec())
    }

    fn signature(inputs: Vec<TensorSpec>) -> Signature {
        let outputs = Vec::new();
        Signature { inputs, outputs }
    }

    #[test]
    fn zeros_fit_every_datatype() {
        for datatype in Datatype::ALL {
            let signature = signature(vec![spec(datatype, &[Some(2), Some(3)])]);
            let row = zeros(&signature).unwrap();
            assert_eq!(signature.check_inputs(&row), Ok(()), "{datatype}");
        }
    }

    #[test]
    fn unknown_and_huge_axes_have_no_zeros() {
        for shape in [
            vec![None],
            vec![Some(usize::MAX), Some(2)],
            vec![Some(1 << 40)],
        ] {
            assert_eq!(zeros(&signature(vec![spec(Datatype::Fp32, &shape)])), None);
        }
        assert_eq!(zeros(&signature(Vec::new())), None);
    }

    #[test]
    fn numbers_that_are_none_are_found_in_each_width() {
        let half = |bits: u16, datatype| {
            let data = [1u16, bits]
                .iter()
                .flat_map(|half| half.to_le_bytes())
                .collect::<Vec<u8>>();
            is_finite(&Tensor::new(datatype, vec![2], data.into()).unwrap())
        };
        assert!(half(0x7bff, Datatype::Fp16) && !half(0x7c00, Datatype::Fp16));
        assert!(half(0x7f7f, Datatype::Bf16) && !half(0xff81, Datatype::Bf16));
        let single = |number: f32| is_finite(&Tensor::from_slice(vec![1], &[number]).unwrap());
        assert!(single(f32::MAX) && !single(f32::NAN) && !single(f32::NEG_INFINITY));
        let double = |number: f64| is_finite(&Tensor::from_slice(vec![1], &[number]).unwrap());
        assert!(double(f64::MIN) && !double(f64::INFINITY));
        assert!(is_finite(&Tensor::from_slice(vec![1], &[-1i32]).unwrap()));
    }
}
