//! Tensors of every kind, for property tests.

use consort_inference::{Datatype, Element, Tensor, TensorSpec, Tensors};
use proptest::prelude::*;
use proptest::sample::select;

/// Any tensor of a datatype and shape, NaN and bytes that are no text included.
pub(crate) fn tensor_of(datatype: Datatype, shape: Vec<usize>) -> BoxedStrategy<Tensor> {
    let count: usize = shape.iter().product();
    match datatype.size_bytes() {
        None => {
            let element = prop_oneof![
                "\\PC{0,6}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..6),
            ];
            prop::collection::vec(element, count)
                .prop_map(move |elements| {
                    Tensor::from_byte_strings(shape.clone(), elements).unwrap()
                })
                .boxed()
        }
        Some(size) => {
            let byte = match datatype {
                Datatype::Bool => (0u8..2).boxed(),
                _ => any::<u8>().boxed(),
            };
            prop::collection::vec(byte, count * size)
                .prop_map(move |data| Tensor::new(datatype, shape.clone(), data.into()).unwrap())
                .boxed()
        }
    }
}

/// Any datatype, up to three axes.
pub(crate) fn any_tensor() -> impl Strategy<Value = Tensor> {
    let shape = prop::collection::vec(0usize..4, 0..4);
    (select(Datatype::ALL.to_vec()), shape)
        .prop_flat_map(|(datatype, shape)| tensor_of(datatype, shape))
}

/// Named promises with rows that keep them, one to four of each.
pub(crate) fn any_rows() -> impl Strategy<Value = (Vec<TensorSpec>, Vec<Tensors>)> {
    let shape = prop::collection::vec(0usize..4, 0..3);
    let specs = prop::collection::vec((select(Datatype::ALL.to_vec()), shape), 1..4);
    (specs, 1usize..5).prop_flat_map(|(specs, count)| {
        let named = |index: usize| format!("tensor \"{index}\"");
        let promises: Vec<_> = specs
            .iter()
            .enumerate()
            .map(|(index, (datatype, shape))| {
                // Every other axis is promised by its length.
                let dims = shape.iter().enumerate();
                let dims = dims.map(|(axis, length)| (axis % 2 == 0).then_some(*length));
                TensorSpec::new(named(index), *datatype, dims.collect())
            })
            .collect();
        let row: Vec<_> = specs
            .into_iter()
            .map(|(datatype, shape)| tensor_of(datatype, shape))
            .collect();
        let row = row.prop_map(move |tensors| {
            let tensors = tensors.into_iter().enumerate();
            let tensors = tensors.map(|(index, tensor)| (named(index).into(), tensor));
            Tensors::from_named(tensors).unwrap()
        });
        (Just(promises), prop::collection::vec(row, count))
    })
}

/// Whether JSON of Vertex's form can carry it.
pub(crate) fn is_json_safe(tensor: &Tensor) -> bool {
    fn all<T: Element>(tensor: &Tensor, is_safe: fn(T) -> bool) -> bool {
        tensor.to_vec::<T>().unwrap().into_iter().all(is_safe)
    }
    match tensor.datatype() {
        Datatype::Fp16 | Datatype::Bf16 => false,
        Datatype::Fp32 => all(tensor, f32::is_finite),
        Datatype::Fp64 => all(tensor, f64::is_finite),
        _ => true,
    }
}

/// Whether every `BYTES` element is UTF-8.
pub(crate) fn is_text(tensor: &Tensor) -> bool {
    tensor
        .byte_strings()
        .is_ok_and(|all| all.iter().all(|one| std::str::from_utf8(one).is_ok()))
}
