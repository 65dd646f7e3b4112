//! Between the rows of a batch and the tensors of wasi-nn.

use crate::BatchAxis;
use crate::datatype::{self, tensor_type};
use bytes::Bytes;
use consort_inference::{Batch, PredictError, Tensor, TensorSpec};
use wasmtime_wasi_nn::Tensor as NnTensor;

/// Elements are handed over as the protocol has them, which is little-endian.
const _: () = assert!(
    cfg!(target_endian = "little"),
    "tensors are handed to the backends as they come, which needs a little-endian machine"
);

/// Makes one input of the rows. The backends panic where the data is not just as long as the
/// shape says and read from nowhere where it is empty, so that both are ruled out here.
pub(crate) fn input(
    spec: &TensorSpec,
    batch: &Batch,
    axis: BatchAxis,
) -> Result<NnTensor, PredictError> {
    let invalid =
        |what: &str| PredictError::InvalidInput(format!("tensor \"{}\" {what}", spec.name));
    let rows: Vec<&Tensor> = batch
        .rows()
        .iter()
        .map(|row| row.tensor(&spec.name))
        .collect::<Option<_>>()
        .ok_or_else(|| invalid("is missing"))?;
    let Some(first) = rows.first() else {
        return Err(invalid("is missing"));
    };
    // The batch says so, and what follows relies on it.
    if let Some(odd) = rows.iter().find(|row| row.shape() != first.shape()) {
        return Err(invalid(&format!(
            "has shape {:?} in one example and {:?} in another of the same batch",
            first.shape(),
            odd.shape()
        )));
    }
    if first.data().is_empty() {
        return Err(invalid(&format!(
            "has shape {:?} and so no elements, which this runtime cannot take",
            first.shape()
        )));
    }
    let ty = tensor_type(spec.datatype)
        .filter(|_| first.datatype() == spec.datatype)
        .ok_or_else(|| {
            invalid(&format!(
                "is {}, which this runtime cannot take",
                first.datatype()
            ))
        })?;
    let leading = match axis {
        BatchAxis::Leading => Some(rows.len()),
        BatchAxis::None => None,
    };
    let dimensions = leading
        .iter()
        .chain(first.shape())
        .map(|&length| u32::try_from(length))
        .collect::<Result<Vec<u32>, _>>()
        .map_err(|_| invalid("has an axis that is longer than wasi-nn can say"))?;
    let used: &[&Tensor] = match axis {
        BatchAxis::Leading => &rows,
        BatchAxis::None => std::slice::from_ref(first),
    };
    let bytes = used.iter().map(|row| row.data().len()).sum();
    let mut data = Vec::new();
    data.try_reserve_exact(bytes)
        .map_err(|error| PredictError::OutOfMemory(format!("{bytes} bytes of input: {error}")))?;
    for row in used {
        data.extend_from_slice(row.data());
    }
    Ok(NnTensor::new(dimensions, ty, data))
}

/// Takes an output apart, one tensor for each of `count` examples, and holds it against what
/// the model promised.
pub(crate) fn rows(
    spec: &TensorSpec,
    output: NnTensor,
    axis: BatchAxis,
    count: usize,
) -> Result<Vec<Tensor>, PredictError> {
    let broken = |what: &dyn std::fmt::Display| {
        PredictError::Contract(format!("output \"{}\": {what}", spec.name))
    };
    let actual = datatype::datatype(output.ty);
    if actual != spec.datatype {
        return Err(broken(&format!(
            "it is {actual}, and the model promises {}",
            spec.datatype
        )));
    }
    let shape: Vec<usize> = output
        .dimensions
        .iter()
        .map(|&length| length as usize)
        .collect();
    if axis == BatchAxis::Leading && shape.first() != Some(&count) {
        let found = match shape.first() {
            Some(rows) => format!("{rows} rows"),
            None => "no axes".to_owned(),
        };
        return Err(broken(&format!(
            "it has {found} for a batch of {count} examples; if the model does not give one row \
             for each example, write batching = \"off\""
        )));
    }
    let whole = Tensor::new(spec.datatype, shape, Bytes::from(output.data))
        .map_err(|error| broken(&error))?;
    let rows = match axis {
        BatchAxis::Leading => whole.unstack().map_err(|error| broken(&error))?,
        BatchAxis::None => vec![whole],
    };
    // All rows are of one shape.
    if let Some(first) = rows.first() {
        spec.check(first).map_err(|mismatch| broken(&mismatch))?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::{Datatype, Tensors};
    use proptest::prelude::*;
    use wasmtime_wasi_nn::wit::TensorType;

    fn spec(datatype: Datatype, shape: &[Option<usize>]) -> TensorSpec {
        TensorSpec::new("x", datatype, shape.to_vec())
    }

    fn batch(rows: Vec<Tensor>) -> Batch {
        let named = |tensor| Tensors::from_named([("x".into(), tensor)]).unwrap();
        Batch::ragged(rows.into_iter().map(named).collect()).unwrap()
    }

    fn refused(spec: &TensorSpec, batch: &Batch) -> String {
        let error = input(spec, batch, BatchAxis::Leading).unwrap_err();
        assert!(matches!(error, PredictError::InvalidInput(_)), "{error:?}");
        error.to_string()
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_order(
            count in 1_usize..9,
            shape in proptest::collection::vec(1_usize..4, 0..3),
            seed in any::<u32>(),
        ) {
            let length = shape.iter().product();
            let row = |index: usize| -> Vec<i32> {
                (0..length).map(|at| seed.wrapping_add((index * length + at) as u32) as i32).collect()
            };
            let tensors: Vec<Tensor> = (0..count)
                .map(|index| Tensor::from_slice(shape.clone(), &row(index)).unwrap())
                .collect();
            let spec = TensorSpec::new("x", Datatype::Int32, vec![None; shape.len()]);
            let stacked = input(&spec, &batch(tensors.clone()), BatchAxis::Leading).unwrap();
            prop_assert_eq!(stacked.dimensions.len(), shape.len() + 1);
            prop_assert_eq!(rows(&spec, stacked, BatchAxis::Leading, count).unwrap(), tensors);
        }
    }

    #[test]
    fn without_a_batch_axis_the_example_is_the_input() {
        let tensor = Tensor::from_slice(vec![2], &[1i64, 2]).unwrap();
        let spec = spec(Datatype::Int64, &[Some(2)]);
        let whole = input(&spec, &batch(vec![tensor.clone()]), BatchAxis::None).unwrap();
        assert_eq!(whole.dimensions, [2]);
        assert_eq!(rows(&spec, whole, BatchAxis::None, 1).unwrap(), [tensor]);
    }

    #[test]
    fn what_a_backend_would_choke_on_is_refused_first() {
        let floats = |length: usize| Tensor::from_slice(vec![length], &vec![0f32; length]).unwrap();
        let spec = spec(Datatype::Fp32, &[None]);
        let empty = refused(&spec, &batch(vec![floats(0)]));
        assert!(empty.contains("no elements"), "{empty}");
        let ragged = refused(&spec, &batch(vec![floats(1), floats(2)]));
        assert!(ragged.contains("[1] in one example and [2]"), "{ragged}");
        let other = Tensor::from_slice(vec![1], &[1u16]).unwrap();
        let other = refused(&spec, &batch(vec![other]));
        assert!(other.contains("is UINT16"), "{other}");
        let missing = TensorSpec::new("y", Datatype::Fp32, vec![None]);
        let missing = refused(&missing, &batch(vec![floats(1)]));
        assert_eq!(missing, "tensor \"y\" is missing");
    }

    #[test]
    fn outputs_that_break_the_promise_are_errors() {
        let spec = spec(Datatype::Fp32, &[Some(2)]);
        let output = |shape: &[u32], ty, bytes| NnTensor::new(shape.to_vec(), ty, vec![0; bytes]);
        for (output, said) in [
            (
                output(&[2, 2], TensorType::I32, 16),
                "it is INT32, and the model promises FP32",
            ),
            (
                output(&[3, 2], TensorType::Fp32, 24),
                "3 rows for a batch of 2",
            ),
            (output(&[], TensorType::Fp32, 4), "no axes for a batch of 2"),
            (
                output(&[2, 2], TensorType::Fp32, 15),
                "takes 16 bytes, 15 were given",
            ),
            (
                output(&[2, 3], TensorType::Fp32, 24),
                "has shape [3], [2] is expected",
            ),
        ] {
            let error = rows(&spec, output, BatchAxis::Leading, 2).unwrap_err();
            assert!(matches!(error, PredictError::Contract(_)), "{error:?}");
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
