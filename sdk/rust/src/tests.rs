//! Tests of tensors, examples and roles as an author's unit tests would use them.

use crate::{
    Assets, Bf16, Columns, Datatype, Description, Ends, Error, Example, F16, Outcome, Outputs,
    Plugin, Postprocess, Preprocess, Signature, Tensor, TensorError,
};
use proptest::prelude::*;

fn numbers(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>() as i32;
    Tensor::from_slice(shape, &(0..count).collect::<Vec<_>>()).unwrap()
}

fn values(tensor: &Tensor) -> Vec<i32> {
    tensor.to_vec().unwrap()
}

#[test]
fn every_datatype_reads_back() {
    fn check<T: crate::Element>(elements: &[T]) {
        let tensor = Tensor::from_slice(&[elements.len()], elements).unwrap();
        assert_eq!(tensor.datatype(), T::DATATYPE);
        assert_eq!(tensor.byte_length(), size_of_val(elements));
        assert_eq!(*tensor.read::<T>().unwrap(), *elements);
        let raw = Tensor::from_raw(T::DATATYPE, &[elements.len()], &tensor.read_raw()).unwrap();
        assert_eq!(raw.to_vec::<T>().unwrap(), elements);
    }
    check(&[true, false]);
    check(&[u8::MAX, 0]);
    check(&[u16::MAX, 1]);
    check(&[u32::MAX, 1]);
    check(&[u64::MAX, 1]);
    check(&[i8::MIN, 1]);
    check(&[i16::MIN, 1]);
    check(&[i32::MIN, 1]);
    check(&[i64::MIN, 1]);
    check(&[F16::from_f32(1.5)]);
    check(&[Bf16::from_f32(-1.5)]);
    check(&[f32::MAX, -0.0]);
    check(&[f64::MIN, 0.1]);
}

#[test]
fn elements_are_little_endian() {
    let tensor = Tensor::from_slice(&[1], &[0x0102_0304u32]).unwrap();
    assert_eq!(tensor.read_raw(), [4, 3, 2, 1]);
    let tensor = Tensor::single_bytes("ab").unwrap();
    assert_eq!(tensor.read_raw(), *b"\x02\0\0\0ab");
}

#[test]
fn data_must_fit_the_shape() {
    for (error, message) in [
        (
            Tensor::from_slice(&[2, 3], &[0.0f32; 5]),
            "FP32 of shape [2, 3] takes 24 bytes, 20 were given",
        ),
        (
            Tensor::from_byte_strings(&[3], ["a", "b"]),
            "shape [3] takes 3 elements, 2 were given",
        ),
        (
            Tensor::from_raw(Datatype::Bytes, &[1], &[2, 0, 0, 0, 9]),
            "BYTES element 0 is truncated",
        ),
        (
            Tensor::from_slice(&[usize::MAX, 2], &[0u8]),
            "shape [18446744073709551615, 2] has more elements than memory can hold",
        ),
        (
            Tensor::from_slice(&[usize::MAX], &[0u64]),
            "shape [18446744073709551615] has more elements than memory can hold",
        ),
    ] {
        assert_eq!(error.unwrap_err(), TensorError::Invalid(message.into()));
    }
    assert!(Tensor::from_slice::<u8>(&[usize::MAX, 0], &[]).is_ok());
    assert!(Tensor::from_slice(&[], &[7u8]).is_ok());
}

#[test]
fn a_single_element_may_have_any_rank() {
    for shape in [&[][..], &[1], &[1, 1]] {
        assert_eq!(
            Tensor::from_slice(shape, &[7i64]).unwrap().element::<i64>(),
            Ok(7)
        );
    }
    let error = numbers(&[2, 1]).element::<i32>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the tensor has shape [2, 1], 1 element is expected"
    );
    assert_eq!(Tensor::single_bytes("ä").unwrap().text().unwrap(), "ä");
}

#[test]
fn another_datatype_is_refused() {
    let tensor = numbers(&[2]);
    let expected = |expected| TensorError::Datatype {
        expected,
        actual: Datatype::Int32,
    };
    assert_eq!(
        tensor.read::<u32>().unwrap_err(),
        expected(Datatype::Uint32)
    );
    assert_eq!(
        tensor.read_range::<f32>(0..1).unwrap_err(),
        expected(Datatype::Fp32)
    );
    assert_eq!(
        tensor.byte_strings().unwrap_err(),
        expected(Datatype::Bytes)
    );
    assert_eq!(tensor.text().unwrap_err(), expected(Datatype::Bytes));
    assert_eq!(
        tensor.pad(&[3], 0u8).unwrap_err(),
        expected(Datatype::Uint8)
    );
    assert_eq!(
        tensor.pad_bytes(&[3], "").unwrap_err(),
        expected(Datatype::Bytes)
    );
}

#[test]
fn ends_of_byte_strings() {
    let tensor = Tensor::from_byte_strings(&[3], ["abcdef", "", "xy"]).unwrap();
    let of = |ends: &Ends| -> Vec<(Vec<u8>, usize)> {
        let ends = ends.iter().map(|(end, length)| (end.to_vec(), length));
        ends.collect()
    };
    let expected = |texts: [&str; 3]| -> Vec<(Vec<u8>, usize)> {
        let texts = texts.map(|text| text.as_bytes().to_vec());
        texts.into_iter().zip([6, 0, 2]).collect()
    };
    let (heads, tails) = (tensor.heads(4).unwrap(), tensor.tails(4).unwrap());
    assert_eq!(of(&heads), expected(["abcd", "", "xy"]));
    assert_eq!(of(&tails), expected(["cdef", "", "xy"]));
    assert_eq!(of(&tensor.heads(0).unwrap()), expected(["", "", ""]));
    let all = tensor.tails(usize::MAX).unwrap();
    assert_eq!(of(&all), expected(["abcdef", "", "xy"]));
    assert_eq!((heads.len(), heads.is_empty()), (3, false));
    let numbers = Tensor::from_vec(&[1], vec![1i32]).unwrap();
    let error = numbers.heads(1).unwrap_err().to_string();
    assert_eq!(error, numbers.byte_strings().unwrap_err().to_string());
}

#[test]
fn numbers_are_widened_where_none_is_lost() {
    let bytes = Tensor::from_vec(&[2], vec![0u8, 255]).unwrap();
    let wide = bytes.widen(Datatype::Int32).unwrap();
    assert_eq!(
        (wide.shape(), wide.to_vec::<i32>().unwrap()),
        (vec![2], vec![0, 255])
    );
    assert_eq!(
        bytes
            .widen(Datatype::Uint8)
            .unwrap()
            .to_vec::<u8>()
            .unwrap(),
        [0, 255]
    );
    let words = Tensor::from_vec(&[2], vec![true, false]).unwrap();
    let wide = words.widen(Datatype::Fp32).unwrap();
    assert_eq!(wide.to_vec::<f32>().unwrap(), [1.0, 0.0]);
    let error = wide.widen(Datatype::Int64).unwrap_err().to_string();
    assert!(error.contains("FP32 cannot be widened to INT64"), "{error}");
}

#[test]
fn a_range_reads_a_part() {
    let tensor = numbers(&[2, 3]);
    assert_eq!(*tensor.read_range::<i32>(2..5).unwrap(), [2, 3, 4]);
    assert!(tensor.read_range::<i32>(3..3).unwrap().is_empty());
    assert_eq!(
        tensor.read_range::<i32>(5..7).unwrap_err(),
        TensorError::OutOfRange("bytes 20 to 28 are outside of 24 bytes".into())
    );
}

#[test]
fn tensors_are_cut() {
    let tensor = numbers(&[3, 4]);
    let part = tensor.slice(&[1..3, 1..3]).unwrap();
    assert_eq!(
        (part.shape(), values(&part)),
        (vec![2, 2], vec![5, 6, 9, 10])
    );
    let nothing = tensor.slice(&[1..1, 0..4]).unwrap();
    assert_eq!((nothing.shape(), values(&nothing)), (vec![0, 4], vec![]));
    for (ranges, message) in [
        (&[][..], "0 ranges were given for the shape [3, 4]"),
        (
            &[0..3, 2..5],
            "range 2 to 5 is outside of axis 1, whose length is 4",
        ),
    ] {
        let error = tensor.slice(ranges).unwrap_err();
        assert_eq!(error, TensorError::OutOfRange(message.into()));
    }
    let row = tensor.rows(2..3).unwrap();
    assert_eq!(
        (row.shape(), values(&row)),
        (vec![1, 4], vec![8, 9, 10, 11])
    );
    assert!(tensor.rows(2..4).is_err());
    assert!(Tensor::from_slice(&[], &[1u8]).unwrap().rows(0..1).is_err());
    let texts = Tensor::from_byte_strings(&[2, 2], ["a", "bb", "", "dddd"]).unwrap();
    let column = texts.slice(&[0..2, 1..2]).unwrap();
    assert_eq!(
        column.byte_strings().unwrap().texts().unwrap(),
        ["bb", "dddd"]
    );
}

#[test]
fn tensors_are_reshaped_and_shared() {
    let tensor = numbers(&[2, 3]);
    let flat = tensor.reshape(&[6]).unwrap();
    assert_eq!((flat.shape(), values(&flat)), (vec![6], values(&tensor)));
    assert_eq!(
        tensor.reshape(&[4]).unwrap_err(),
        TensorError::Invalid("shape [4] takes 4 elements, the tensor has 6".into())
    );
    let shared = tensor.share().unwrap();
    assert_eq!(
        (shared.shape(), values(&shared)),
        (vec![2, 3], values(&tensor))
    );
    assert_eq!((tensor.element_count(), tensor.byte_length()), (6, 24));
    assert_eq!(format!("{tensor:?}"), "Tensor(INT32 [2, 3])");
}

#[test]
fn tensors_are_padded() {
    let padded = numbers(&[2, 2]).pad(&[3, 3], -1).unwrap();
    assert_eq!(values(&padded), [0, 1, -1, 2, 3, -1, -1, -1, -1]);
    let texts = Tensor::single_bytes("a")
        .unwrap()
        .pad_bytes(&[3], "pad")
        .unwrap();
    assert_eq!(
        texts.byte_strings().unwrap().texts().unwrap(),
        ["a", "pad", "pad"]
    );
    assert_eq!(
        numbers(&[2]).pad(&[1], 0).unwrap_err(),
        TensorError::OutOfRange("shape [2] cannot be padded to [1]".into())
    );
    assert!(numbers(&[2]).pad(&[2, 2], 0).is_err());
}

#[test]
fn tensors_are_joined() {
    let (a, b) = (numbers(&[2, 2]), numbers(&[2, 2]));
    let stacked = Tensor::stack(&[&a, &b]).unwrap();
    assert_eq!(stacked.shape(), [2, 2, 2]);
    assert_eq!(values(&stacked), [0, 1, 2, 3, 0, 1, 2, 3]);
    let wide = Tensor::concat(&[&a, &numbers(&[2, 1])], 1).unwrap();
    assert_eq!(
        (wide.shape(), values(&wide)),
        (vec![2, 3], vec![0, 1, 0, 2, 3, 1])
    );
    let long = Tensor::concat(&[&a, &numbers(&[1, 2])], 0).unwrap();
    assert_eq!(
        (long.shape(), values(&long)),
        (vec![3, 2], vec![0, 1, 2, 3, 0, 1])
    );

    let float = Tensor::from_slice(&[2, 2], &[0f32; 4]).unwrap();
    for (error, message) in [
        (
            Tensor::concat(&[&a, &float], 0),
            "INT32 and FP32 cannot be joined",
        ),
        (
            Tensor::stack(&[&a, &float]),
            "INT32 and FP32 cannot be joined",
        ),
        (
            Tensor::concat(&[&a, &numbers(&[1, 2])], 1),
            "shapes [2, 2] and [1, 2] cannot be joined along axis 1",
        ),
        (
            Tensor::stack(&[&a, &numbers(&[4])]),
            "shapes [2, 2] and [4] cannot be stacked",
        ),
        (
            Tensor::concat(&[&a], 2),
            "axis 2 is outside of shape [2, 2]",
        ),
        (Tensor::stack(&[]), "no tensors were given to join"),
        (Tensor::concat(&[], 0), "no tensors were given to join"),
    ] {
        assert_eq!(error.unwrap_err().to_string(), message);
    }
}

proptest! {
    #[test]
    fn cutting_and_joining_gives_the_whole_again(
        rows in 1usize..5, columns in 1usize..5, cut in 0usize..5, along_rows: bool,
    ) {
        let tensor = numbers(&[rows, columns]);
        let (axis, cut) = if along_rows { (0, cut.min(rows)) } else { (1, cut.min(columns)) };
        let part = |start: usize, end: usize| {
            let mut ranges = [0..rows, 0..columns];
            ranges[axis] = start..end;
            tensor.slice(&ranges).unwrap()
        };
        let parts = [part(0, cut), part(cut, [rows, columns][axis])];
        let joined = Tensor::concat(&[&parts[0], &parts[1]], axis).unwrap();
        prop_assert_eq!(joined.shape(), tensor.shape());
        prop_assert_eq!(values(&joined), values(&tensor));
    }

    #[test]
    fn padding_and_cutting_gives_the_tensor_again(
        shape in proptest::collection::vec(0usize..4, 0..4),
        growth in proptest::collection::vec(0usize..3, 4),
    ) {
        let tensor = numbers(&shape);
        let larger: Vec<usize> = shape.iter().zip(growth).map(|(a, b)| a + b).collect();
        let padded = tensor.pad(&larger, -1).unwrap();
        let ranges: Vec<_> = shape.iter().map(|length| 0..*length).collect();
        prop_assert_eq!(values(&padded.slice(&ranges).unwrap()), values(&tensor));
        let added = values(&padded).iter().filter(|value| **value == -1).count();
        prop_assert_eq!(added, padded.element_count() - tensor.element_count());
    }

    #[test]
    fn byte_strings_read_back(strings in proptest::collection::vec(any::<Vec<u8>>(), 0..6)) {
        let tensor = Tensor::from_byte_strings(&[strings.len()], &strings).unwrap();
        let read = tensor.byte_strings().unwrap();
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), strings);
    }
}

#[test]
fn an_examples_errors_name_the_tensor() {
    let example = Example::from_tensors([
        ("ids", numbers(&[2])),
        ("text", Tensor::single_bytes([0xff]).unwrap()),
    ])
    .with_key("row 7");
    assert_eq!(example.key(), Some("row 7"));
    assert_eq!(*example.read::<i32>("ids").unwrap(), [0, 1]);
    assert_eq!(*example.byte_string("text").unwrap(), [0xff]);
    assert_eq!(
        example.read::<i64>("ids").unwrap_err(),
        Error::Failed("tensor \"ids\": the tensor is INT32, INT64 is expected".into())
    );
    assert_eq!(
        example.element::<i32>("ids").unwrap_err(),
        Error::InvalidInput(
            "tensor \"ids\": the tensor has shape [2], 1 element is expected".into()
        )
    );
    let error = example.text("text").unwrap_err();
    assert!(matches!(error, Error::InvalidInput(_)));
    assert!(
        error
            .message()
            .starts_with("tensor \"text\": element 0 is not UTF-8 text"),
        "{error}"
    );
    assert_eq!(
        example.byte_strings("mask").unwrap_err(),
        Error::Failed(
            "there is no tensor \"mask\" in the example; it holds \"ids\", \"text\"".into()
        )
    );
    let names: Vec<_> = example.tensors().map(|(name, _)| name).collect();
    assert_eq!(names, ["ids", "text"]);
}

#[test]
fn outputs_are_made_in_several_ways() {
    let one = Outputs::new()
        .with("a", numbers(&[1]))
        .with("b", numbers(&[2]));
    let other = Outputs::from([("a", numbers(&[1])), ("b", numbers(&[2]))]);
    let third: Outputs = ["a", "b"]
        .into_iter()
        .zip([numbers(&[1]), numbers(&[2])])
        .collect();
    for outputs in [one, other, third] {
        let shapes: Vec<_> = outputs
            .tensors()
            .map(|(name, t)| (name, t.shape()))
            .collect();
        assert_eq!(shapes, [("a", vec![1]), ("b", vec![2])]);
        assert!(outputs.tensor("c").is_none());
    }
}

/// Halves even numbers; odd ones are the caller's fault, 0 is already an answer.
struct Halves;

impl Plugin for Halves {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        match config {
            "" => Ok(Self),
            other => Err(Error::failed(format!(
                "no `config` is expected, it is {other}"
            ))),
        }
    }
}

impl Preprocess for Halves {
    fn describe(&self) -> Description {
        Description::new()
            .input("n", Datatype::Int32, [1])
            .forwards("half", Datatype::Int32, [1])
            .answers("zero", Datatype::Bool, [1])
    }

    fn preprocess(&self, example: &Example) -> Result<Outcome, Error> {
        let n: i32 = example.element("n")?;
        match (n, n % 2) {
            (0, _) => Ok(Outcome::answer([("zero", Tensor::single(true)?)])),
            (_, 0) => Ok(Outcome::forward([("half", Tensor::single(n / 2)?)])),
            _ => Err(Error::invalid_input(format!("{n} is odd"))),
        }
    }
}

impl Postprocess for Halves {
    fn describe(&self) -> Signature {
        Signature::new().input("n", Datatype::Int32, [1])
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        Ok(Outputs::from([("n", example.tensor("n")?.share()?)]))
    }
}

crate::export!(Halves: preprocess, postprocess);

#[test]
fn many_examples_give_one_result_each_in_order() {
    let plugin = Halves::init("", &Assets::none()).unwrap();
    assert!(Halves::init("x", &Assets::none()).is_err());
    let example = |n: i32| Example::from_tensors([("n", Tensor::single(n).unwrap())]);
    let outcomes = plugin.preprocess_many(&[example(4), example(3), example(0)]);
    let [
        Ok(Outcome::Forward(half)),
        Err(error),
        Ok(Outcome::Answer(zero)),
    ] = &outcomes[..]
    else {
        panic!("{outcomes:?}");
    };
    assert_eq!(half.tensor("half").unwrap().element::<i32>(), Ok(2));
    assert_eq!(*error, Error::InvalidInput("3 is odd".into()));
    assert_eq!(zero.tensor("zero").unwrap().element::<bool>(), Ok(true));
    let outputs = plugin.postprocess_many(&[example(4), example(3)]);
    let ns: Vec<_> = outputs
        .into_iter()
        .map(|outputs| {
            outputs
                .unwrap()
                .tensor("n")
                .unwrap()
                .element::<i32>()
                .unwrap()
        })
        .collect();
    assert_eq!(ns, [4, 3]);
}

#[test]
fn columns_hold_the_examples_of_a_call_together() {
    let example = |n: i32, text: &str| {
        let n = Tensor::from_slice(&[2], &[n, n + 1]).unwrap();
        Example::from_tensors([("n", n), ("text", Tensor::single_bytes(text).unwrap())])
    };
    let columns = Columns::stack(&[example(1, "a"), example(5, "bc")]).unwrap();
    assert_eq!(columns.count(), 2);
    assert_eq!(columns.tensor("n").unwrap().shape(), [2, 2]);
    assert_eq!(*columns.read::<i32>("n").unwrap(), [1, 2, 5, 6]);
    let texts = columns.byte_strings("text").unwrap();
    assert_eq!(texts.texts().unwrap(), ["a", "bc"]);
    let error = columns.read::<i64>("n").unwrap_err().to_string();
    assert!(error.contains("\"n\""), "{error}");
    let longer = Example::from_tensors([("n", numbers(&[3]))]);
    let shorter = Example::from_tensors([("n", numbers(&[2]))]);
    let error = Columns::stack(&[longer, shorter]).unwrap_err().to_string();
    assert!(error.contains("\"n\""), "{error}");

    let plugin = Halves::init("", &Assets::none()).unwrap();
    assert!(plugin.preprocess_columns(&columns).unwrap().is_none());
    assert!(plugin.postprocess_columns(&columns).unwrap().is_none());
}
