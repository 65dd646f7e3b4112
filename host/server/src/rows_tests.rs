//! Taking requests apart and putting answers together.

use super::*;
use consort_inference::{BoxFuture, Call, Datatype, Failure, InferenceArgs, ModelId, Priority};

struct Described {
    signature: Signature,
    has_batch_axis: bool,
}

impl Endpoint for Described {
    fn name(&self) -> &str {
        "described"
    }
    fn version(&self) -> &str {
        "1"
    }
    fn platform(&self) -> &str {
        "test"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn has_batch_axis(&self) -> bool {
        self.has_batch_axis
    }
    fn is_ready(&self) -> bool {
        true
    }
    fn infer(&self, _: Vec<Example>, _: Call) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        unreachable!("only described")
    }
}

fn described(has_batch_axis: bool) -> Described {
    Described {
        signature: Signature {
            inputs: vec![
                TensorSpec::new("x", Datatype::Int32, vec![Some(2)]),
                TensorSpec::new("t", Datatype::Bytes, vec![None]),
            ],
            outputs: vec![
                TensorSpec::new("y", Datatype::Fp32, vec![None]),
                TensorSpec::new("h", Datatype::Fp16, vec![Some(1)]),
            ],
        },
        has_batch_axis,
    }
}

fn ints(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>() as i32;
    Tensor::from_slice(shape.to_vec(), &(0..count).collect::<Vec<_>>()).unwrap()
}

fn texts(shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>();
    let texts = (0..count).map(|index| index.to_string());
    Tensor::from_byte_strings(shape.to_vec(), texts).unwrap()
}

fn request(inputs: Vec<(&str, Tensor)>) -> InferRequest {
    let own = |(name, tensor): (&str, Tensor)| (name.to_owned(), tensor);
    InferRequest {
        id: None,
        timeout: None,
        priority: Priority::default(),
        args: InferenceArgs::new(),
        key: None,
        stream: None,
        keep_example: None,
        inputs: inputs.into_iter().map(own).collect(),
        outputs: RequestedOutputs::All(Form::Binary),
    }
}

fn split_at_most(request: InferRequest, rows_max: usize) -> Result<Rows, String> {
    split(&described(true), request, &TenantId::default(), rows_max)
        .map_err(|error| error.to_string())
}

#[track_caller]
fn refused(inputs: Vec<(&str, Tensor)>, expected: &str) {
    let error = split_at_most(request(inputs), 10).err().unwrap();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn each_row_is_an_example() {
    // The order of the request does not matter.
    let rows = split_at_most(
        request(vec![("t", texts(&[3, 1])), ("x", ints(&[3, 2]))]),
        3,
    );
    let rows = rows.unwrap();
    assert_eq!(rows.examples.len(), 3);
    for (index, example) in rows.examples.iter().enumerate() {
        let x = example.tensors.tensor("x").unwrap();
        let first = 2 * index as i32;
        assert_eq!(x.to_vec::<i32>().unwrap(), [first, first + 1]);
        assert_eq!(x.shape(), [2]);
        let t = example.tensors.tensor("t").unwrap();
        assert_eq!(t.byte_strings().unwrap(), [index.to_string()]);
    }
}

#[test]
fn rows_are_slices_of_the_request() {
    let (x, t) = (ints(&[2, 2]), texts(&[2, 1]));
    let ranges = [x.data().as_ptr_range(), t.data().as_ptr_range()];
    let rows = split_at_most(request(vec![("x", x), ("t", t)]), 2).unwrap();
    for example in &rows.examples {
        for ((_, tensor), range) in example.tensors.iter().zip(&ranges) {
            assert!(
                range.contains(&tensor.data().as_ptr()),
                "{tensor:?} was copied"
            );
        }
    }
}

#[test]
fn without_a_batch_axis_a_request_is_one_example() {
    let endpoint = described(false);
    let whole = request(vec![("x", ints(&[2])), ("t", texts(&[5]))]);
    let rows = split(&endpoint, whole, &TenantId::default(), 1).unwrap();
    assert_eq!(rows.examples.len(), 1);
    assert_eq!(rows.examples[0].tensors.tensor("t").unwrap().shape(), [5]);
    let batch = request(vec![("x", ints(&[1, 2])), ("t", texts(&[5]))]);
    let error = split(&endpoint, batch, &TenantId::default(), 1)
        .err()
        .unwrap();
    assert!(
        error
            .to_string()
            .contains("has shape [1, 2], [2] is expected"),
        "{error}"
    );
}

#[test]
fn a_request_must_fit() {
    refused(
        vec![("x", ints(&[3, 2]))],
        "the inputs do not fit: tensor \"t\" is missing; BYTES [-1, -1] is expected",
    );
    refused(
        vec![
            ("x", ints(&[1, 2])),
            ("t", texts(&[1, 1])),
            ("X", ints(&[1, 2])),
        ],
        "tensor \"X\" is not expected; the names are \"x\", \"t\"",
    );
    refused(
        vec![("x", texts(&[1, 2])), ("t", texts(&[1, 1]))],
        "an input does not fit: tensor \"x\" is BYTES, INT32 is expected",
    );
    refused(
        vec![("x", ints(&[2])), ("t", texts(&[1, 1]))],
        "tensor \"x\" has shape [2], [-1, 2] is expected",
    );
    refused(
        vec![("x", ints(&[3, 2])), ("t", texts(&[4, 1]))],
        "input \"t\" has 4 rows, but input \"x\" has 3; the first axis of every input is the batch",
    );
    refused(
        vec![("x", ints(&[0, 2])), ("t", texts(&[0, 1]))],
        "input \"x\" has no elements: a request needs at least one row",
    );
    refused(
        vec![("x", ints(&[11, 2])), ("t", texts(&[11, 1]))],
        "the request has 11 rows; at most 10 are allowed",
    );
}

fn asking(outputs: RequestedOutputs) -> Result<Vec<(Arc<str>, Form)>, String> {
    let inputs = vec![("x", ints(&[1, 2])), ("t", texts(&[1, 1]))];
    let request = InferRequest {
        outputs,
        ..request(inputs)
    };
    split_at_most(request, 1).map(|rows| rows.outputs)
}

#[test]
fn outputs_are_chosen() {
    let listed = |names: &[(&str, Form)]| {
        let own = names.iter().map(|(name, form)| ((*name).to_owned(), *form));
        RequestedOutputs::Listed(own.collect())
    };
    let all = asking(RequestedOutputs::All(Form::Binary)).unwrap();
    assert_eq!(
        all,
        [("y".into(), Form::Binary), ("h".into(), Form::Binary)]
    );
    let some = asking(listed(&[("h", Form::Binary), ("y", Form::Json)])).unwrap();
    assert_eq!(some, [("h".into(), Form::Binary), ("y".into(), Form::Json)]);
    let error = asking(listed(&[("z", Form::Json)])).unwrap_err();
    assert_eq!(
        error,
        "output \"z\" does not exist; the outputs are \"y\", \"h\""
    );
    for outputs in [
        RequestedOutputs::All(Form::Json),
        listed(&[("h", Form::Json)]),
    ] {
        let error = asking(outputs).unwrap_err();
        assert!(
            error.contains("output \"h\" is FP16, which has no form in JSON"),
            "{error}"
        );
    }
}

fn prediction(y: Tensor) -> Prediction {
    Prediction::new(
        None,
        Tensors::from_named([("y".into(), y)]).unwrap(),
        ModelId::new("m", "1"),
    )
}

#[test]
fn rows_are_put_together() {
    let predictions = [prediction(ints(&[2])), prediction(ints(&[2]))];
    let wanted = || vec![("y".into(), Form::Json)];
    let joined = join(&predictions, wanted(), true).unwrap();
    let (name, tensor, form) = &joined[0];
    assert_eq!(
        (&**name, tensor.shape(), *form),
        ("y", &[2, 2][..], Form::Json)
    );
    assert_eq!(tensor.to_vec::<i32>().unwrap(), [0, 1, 0, 1]);
    let whole = join(&predictions[..1], wanted(), false).unwrap();
    assert_eq!(whole[0].1.shape(), [2]);
}

#[test]
fn rows_that_do_not_go_together_are_refused() {
    let join = |predictions: &[Prediction], name: &str| {
        let error = join(predictions, vec![(name.into(), Form::Json)], true)
            .err()
            .unwrap();
        error.to_string()
    };
    let shapes = [
        prediction(ints(&[2])),
        prediction(ints(&[2])),
        prediction(ints(&[3])),
    ];
    let expected = "output \"y\" has shape [2] for row 0 but [3] for row 2, and rows of unequal \
                    shapes cannot be answered together; send these rows as requests of their own";
    assert_eq!(join(&shapes, "y"), expected);
    assert_eq!(
        join(&shapes, "z"),
        "the prediction for row 0 has no output \"z\""
    );
    let mixed = [prediction(ints(&[2])), prediction(texts(&[2]))];
    assert_eq!(
        join(&mixed, "y"),
        "output \"y\": the tensor is BYTES, not INT32"
    );
}
