//! Requests as bodies, and what becomes of them.

use super::*;
use crate::status::Code;
use consort_inference::ArgValue;
use proptest::prelude::*;

const LIMITS: DecodeLimits = DecodeLimits { json_depth_max: 10 };

fn json(body: &str) -> Result<InferRequest, DecodeError> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    decode_infer(&body, HeaderLength::Absent, &LIMITS)
}

fn with_binary(json: &str, binary: &[u8]) -> Result<InferRequest, DecodeError> {
    let body = [json.as_bytes(), binary].concat().into();
    decode_infer(&body, HeaderLength::Json(json.len()), &LIMITS)
}

#[track_caller]
fn refused(result: Result<InferRequest, DecodeError>, expected: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let message = error.to_string();
    assert!(message.contains(expected), "{message}");
}

fn input(fields: &str) -> String {
    format!(r#"{{"inputs": [{{"name": "x", {fields}}}]}}"#)
}

#[test]
fn a_whole_request() {
    // The datatype may come after the data that it is needed for; unknown fields are
    // passed over.
    let request = json(
        r#"{"id": "42", "model_name": "x", "parameters": {"timeout": 2500, "mine": 1.5},
            "inputs": [
                {"data": [[1, 2], [3, 4]], "shape": [2, 2], "datatype": "INT32", "name": "x"},
                {"name": "s", "datatype": "BYTES", "shape": [1], "data": ["hé"], "extra": [[{}]]}],
            "outputs": [{"name": "b", "parameters": {"binary_data": true}}, {"name": "a"}]}"#,
    )
    .unwrap();
    let x = Tensor::from_slice(vec![2, 2], &[1i32, 2, 3, 4]).unwrap();
    let s = Tensor::from_byte_strings(vec![1], ["hé"]).unwrap();
    let listed = vec![("b".to_owned(), Form::Binary), ("a".to_owned(), Form::Json)];
    let expected = InferRequest {
        id: Some("42".to_owned()),
        timeout: Some(Duration::from_micros(2500)),
        priority: Priority::default(),
        args: [("mine".into(), ArgValue::Float(1.5))]
            .into_iter()
            .collect(),
        key: None,
        stream: None,
        keep_example: None,
        inputs: vec![("x".to_owned(), x), ("s".to_owned(), s)],
        outputs: RequestedOutputs::Listed(listed),
    };
    assert_eq!(request, expected);
}

#[test]
fn what_is_left_out_has_a_meaning() {
    let ask = |extra: &str| json(&format!(r#"{{"inputs": []{extra}}}"#)).unwrap();
    assert_eq!(ask("").outputs, RequestedOutputs::All(Form::Json));
    assert_eq!(
        ask(r#", "outputs": []"#).outputs,
        RequestedOutputs::All(Form::Json)
    );
    assert_eq!(ask(r#", "outputs": null, "id": null"#), ask(""));
    assert_eq!(ask(r#", "id": """#).id, None);
    assert_eq!(ask(r#", "parameters": {"timeout": 0}"#).timeout, None);
    let priority =
        |number: u64| ask(&format!(r#", "parameters": {{"priority": {number}}}"#)).priority;
    // Downwards: 1 goes first, 0 and 64 are as if nothing was said.
    assert_eq!(ask("").priority, Priority(0));
    assert_eq!((priority(0), priority(64)), (Priority(0), Priority(0)));
    assert_eq!((priority(1), priority(63)), (Priority(63), Priority(1)));
    assert_eq!(
        (priority(127), priority(u64::MAX)),
        (Priority(-63), Priority(-63))
    );
    let keep = r#", "parameters": {"keep_example": true, "binary_data_output": true}"#;
    assert_eq!(ask(keep).keep_example, Some(Form::Binary));
    let keep = r#", "parameters": {"keep_example": false}"#;
    assert_eq!(ask(keep).keep_example, None);
    let binary = r#", "parameters": {"binary_data_output": true}"#;
    assert_eq!(ask(binary).outputs, RequestedOutputs::All(Form::Binary));
    // The output's own wish goes before the request's.
    let own =
        r#", "outputs": [{"name": "a", "parameters": {"binary_data": false}}, {"name": "b"}]"#;
    let listed = vec![("a".to_owned(), Form::Json), ("b".to_owned(), Form::Binary)];
    let outputs = ask(&format!("{binary}{own}")).outputs;
    assert_eq!(outputs, RequestedOutputs::Listed(listed));
}

#[test]
fn binary_inputs_are_slices_of_the_body() {
    let text = r#"{"inputs": [
        {"name": "x", "datatype": "INT16", "shape": [2], "parameters": {"binary_data_size": 4}},
        {"name": "y", "datatype": "FP16", "shape": [1], "parameters": {"binary_data_size": 2}},
        {"name": "j", "datatype": "BOOL", "shape": [1], "data": [true]},
        {"name": "z", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}}]}"#;
    let body: Bytes = [text.as_bytes(), &[1, 0, 2, 0], &[0, 60], b"\x01\0\0\0!"]
        .concat()
        .into();
    let request = decode_infer(&body, HeaderLength::Json(text.len()), &LIMITS).unwrap();
    let tensors: Vec<&Tensor> = request.inputs.iter().map(|(_, tensor)| tensor).collect();
    assert_eq!(tensors[0].to_vec::<i16>().unwrap(), [1, 2]);
    assert_eq!(tensors[1].datatype(), Datatype::Fp16);
    assert_eq!(tensors[3].byte_strings().unwrap(), ["!"]);
    let body = body.as_ptr_range();
    for tensor in [tensors[0], tensors[1], tensors[3]] {
        assert!(
            body.contains(&tensor.data().as_ptr()),
            "{tensor:?} was copied"
        );
    }
}

#[test]
fn malformed_json_is_told_from_other_json() {
    refused(json(""), "malformed JSON, it ends too early");
    refused(json(r#"{"inputs": ["#), "malformed JSON, it ends too early");
    refused(json("{]"), "malformed JSON: ");
    refused(
        json(r#"{"inputs": []} {}"#),
        "trailing characters at line 1 column 16",
    );
    refused(
        json(&input(r#""datatype": "FP32", "shape": [1], "data": [NaN]"#)),
        "malformed JSON: ",
    );
    refused(json("{\"id\": \"\u{1}\"}"), "malformed JSON: ");
    let other = "the body is JSON, but not a request of the Open Inference Protocol: ";
    refused(json("[]"), other);
    refused(json("5"), "expected an object with \"inputs\"");
    refused(json(r#"{"inputs": {}}"#), "expected a list of at most 256");
    refused(
        json(r#"{"inputs": [5]}"#),
        "expected an input: an object with \"name\"",
    );
    refused(
        json(r#"{"inputs": [], "inputs": []}"#),
        "duplicate field `inputs`",
    );
    refused(json(r#"{"inputs": [], "id": 5}"#), "expected a string");
    refused(
        json(r#"{"inputs": [], "parameters": {"a": {}}}"#),
        "expected a text, a number",
    );
    refused(
        json(&input(r#""shape": [1], "data": [1]"#)),
        "missing field `datatype`",
    );
    refused(
        json(r#"{"inputs": [], "id": "\ud800"}"#),
        "malformed JSON: ",
    );
    let not_text = Bytes::from_static(b"{\"inputs\": [], \"id\": \"\xff\"}");
    refused(
        decode_infer(&not_text, HeaderLength::Absent, &LIMITS),
        "malformed JSON",
    );
}

#[test]
fn inputs_are_checked() {
    refused(json("{}"), "the request has no \"inputs\"");
    let content = |fields: &str| json(&input(fields));
    let float = r#""datatype": "FLOAT", "shape": [1], "data": [1]"#;
    refused(
        content(float),
        "input \"x\": unknown datatype \"FLOAT\"; one of BOOL, ",
    );
    let lower = r#""datatype": "fp32", "shape": [1], "data": [1]"#;
    refused(content(lower), "unknown datatype \"fp32\"");
    let negative = r#""datatype": "FP32", "shape": [2, -1], "data": [1]"#;
    refused(
        content(negative),
        "input \"x\": axis 1 of the shape is -1; a request gives",
    );
    let none = r#""datatype": "FP32", "shape": [1]"#;
    refused(
        content(none),
        "input \"x\" has no content: give either \"data\" or",
    );
    let both =
        r#""datatype": "INT8", "shape": [1], "data": [1], "parameters": {"binary_data_size": 1}"#;
    refused(content(both), "input \"x\" has both \"data\" and");
    let huge = r#""datatype": "INT8", "shape": [9223372036854775807, 9], "data": [1]"#;
    refused(content(huge), "has more elements than memory can hold");
    let many = r#""datatype": "INT8", "shape": [9000000000000000000], "data": [1]"#;
    refused(
        content(many),
        "takes 9000000000000000000 elements, but \"data\" has 1",
    );
    let half = r#""datatype": "FP16", "shape": [1], "data": [1]"#;
    refused(
        content(half),
        "FP16 has no form in JSON; send it with the binary tensor extension",
    );
    let axes = format!(
        r#""datatype": "INT8", "shape": [{}1], "data": [1]"#,
        "1,".repeat(32)
    );
    refused(content(&axes), "more than 32 items");
    let twice = r#"{"name": "x", "datatype": "INT8", "shape": [1], "data": [1]}"#;
    let twice = format!(r#"{{"inputs": [{twice}, {twice}]}}"#);
    refused(json(&twice), "input \"x\" is given twice");
    let long = json(&format!(
        r#"{{"inputs": [], "id": "{}"}}"#,
        "x".repeat(1025)
    ));
    refused(long, "\"id\" has 1025 bytes; at most 1024 are allowed");
}

#[test]
fn binary_is_counted() {
    let one = |size: &str| {
        input(&format!(
            r#""datatype": "FP32", "shape": [2], "parameters": {{"binary_data_size": {size}}}"#
        ))
    };
    assert!(with_binary(&one("8"), &[0; 8]).is_ok());
    refused(
        with_binary(&one("8"), &[0; 5]),
        "only 5 bytes are left in the body: 3 bytes are missing",
    );
    refused(
        with_binary(&one("8"), &[0; 9]),
        "1 bytes are left over behind the binary inputs",
    );
    refused(
        with_binary(&one("4"), &[0; 4]),
        "FP32 of shape [2] takes 8 bytes, 4 were given",
    );
    refused(
        with_binary(&one("-8"), &[0; 8]),
        "parameter \"binary_data_size\": a whole number",
    );
    refused(
        with_binary(&one("\"8\""), &[0; 8]),
        "parameter \"binary_data_size\": a whole number",
    );
    refused(
        with_binary(&one("18446744073709551615"), &[0; 8]),
        "bytes are missing",
    );
    refused(
        json(&one("8")),
        "the request has no header Inference-Header-Content-Length",
    );
    let truth = input(r#""datatype": "BOOL", "shape": [2], "parameters": {"binary_data_size": 2}"#);
    refused(
        with_binary(&truth, &[1, 7]),
        "input \"x\": byte 1 is 7; BOOL takes 0 and 1",
    );
    let text = input(r#""datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}"#);
    refused(
        with_binary(&text, &[9, 0, 0, 0, 1]),
        "BYTES element 0 is truncated: 8 bytes are missing",
    );
}

#[test]
fn outputs_are_checked() {
    let twice = json(r#"{"inputs": [], "outputs": [{"name": "a"}, {"name": "a"}]}"#);
    refused(twice, "output \"a\" is asked for twice");
    let word =
        json(r#"{"inputs": [], "outputs": [{"name": "a", "parameters": {"binary_data": 1}}]}"#);
    refused(word, "parameter \"binary_data\": true or false is expected");
    let class =
        r#"{"inputs": [], "outputs": [{"name": "a", "parameters": {"classification": 3}}]}"#;
    let error = json(class).unwrap_err();
    assert_eq!(error.code(), Code::Unsupported);
    assert!(
        error
            .to_string()
            .contains("the classification extension is not offered"),
        "{error}"
    );
}

#[test]
fn nesting_has_a_limit_everywhere() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(20), close.repeat(20));
        let body = format!(r#"{{"inputs": [], "junk": {deep}}}"#);
        refused(json(&body), "nests deeper than 10 levels");
    }
    let in_text = format!(r#"{{"inputs": [], "id": "\"{}"}}"#, "[".repeat(20));
    assert!(json(&in_text).is_ok());
}

fn signature(inputs: Vec<TensorSpec>) -> Signature {
    Signature {
        inputs,
        outputs: vec![],
    }
}

#[test]
fn a_raw_body_is_the_one_input() {
    let raw = |datatype, shape: &[Option<usize>], has_batch_axis, bytes: usize| {
        let spec = TensorSpec::new("x", datatype, shape.to_vec());
        decode_raw(
            &vec![0; bytes].into(),
            &signature(vec![spec]),
            has_batch_axis,
        )
        .map(|request| request.inputs[0].1.shape().to_vec())
        .map_err(|error| error.to_string())
    };
    let float = Datatype::Fp32;
    assert_eq!(raw(float, &[Some(3)], true, 24), Ok(vec![2, 3]));
    assert_eq!(raw(float, &[], true, 8), Ok(vec![2]));
    assert_eq!(raw(float, &[None, Some(2)], true, 24), Ok(vec![1, 3, 2]));
    assert_eq!(raw(float, &[None, Some(2)], false, 24), Ok(vec![3, 2]));
    assert_eq!(raw(float, &[Some(6)], false, 24), Ok(vec![6]));
    assert_eq!(raw(Datatype::Bytes, &[Some(1)], true, 24), Ok(vec![1, 1]));
    assert_eq!(raw(Datatype::Bytes, &[None], false, 0), Ok(vec![1]));
    let uneven = raw(float, &[Some(3)], true, 25).unwrap_err();
    assert!(
        uneven.contains("FP32 [-1, 3], which 25 bytes do not fill evenly"),
        "{uneven}"
    );
    assert!(raw(float, &[Some(6)], false, 48).is_err());
    assert!(raw(float, &[Some(6)], false, 0).is_err());
    let two = raw(float, &[None, None], true, 24).unwrap_err();
    assert!(two.contains("the length of one axis only"), "{two}");
    let texts = raw(Datatype::Bytes, &[Some(2)], true, 24).unwrap_err();
    assert!(texts.contains("its body is one BYTES element"), "{texts}");
    assert!(raw(float, &[Some(usize::MAX), Some(2)], true, 24).is_err());
    let none = decode_raw(&Bytes::new(), &signature(vec![]), true).unwrap_err();
    assert!(
        none.to_string().contains("the endpoint has 0 inputs"),
        "{none}"
    );
}

#[test]
fn a_raw_text_is_not_parsed() {
    let spec = TensorSpec::new("x", Datatype::Bytes, vec![Some(1)]);
    let body = Bytes::from_static(b"\xff\0plain");
    let request = decode_raw(&body, &signature(vec![spec]), true).unwrap();
    assert_eq!(request.inputs[0].1.byte_strings().unwrap(), [body]);
    assert_eq!(request.outputs, RequestedOutputs::All(Form::Binary));
}

/// Bodies that are nearly requests: pieces of requests in any order.
fn nearly() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"inputs\"",
        "\"outputs\"",
        "\"name\"",
        "\"x\"",
        "\"datatype\"",
        "\"INT32\"",
        "\"BYTES\"",
        "\"shape\"",
        "\"data\"",
        "\"parameters\"",
        "\"binary_data_size\"",
        "1",
        "-1",
        "4",
        "1e999",
        "null",
        "true",
        "\"\\u0000\"",
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"INT32\",\"shape\":[1],\"data\":[1]}",
        "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"UINT8\",\"shape\":[1,2],",
        "\"parameters\":{\"binary_data_size\":2}",
        "\"data\":[[1,2]]",
        "}]}",
    ]);
    prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_an_error(body: Vec<u8>, length in 0usize..64) {
        let body = Bytes::from(body);
        let _ = decode_infer(&body, HeaderLength::Absent, &LIMITS);
        let _ = decode_infer(&body, HeaderLength::Json(length), &LIMITS);
    }

    #[test]
    fn nearly_requests_are_requests_or_errors(text in nearly(), tail: Vec<u8>) {
        let body: Bytes = [text.as_bytes(), &tail].concat().into();
        let decoded = decode_infer(&body, HeaderLength::Json(text.len()), &LIMITS);
        if let Ok(request) = decoded {
            for (_, tensor) in request.inputs {
                let again = Tensor::new(tensor.datatype(), tensor.shape().to_vec(), tensor.data().clone());
                prop_assert_eq!(again, Ok(tensor));
            }
        }
    }

    #[test]
    fn any_raw_body_fits_or_is_refused(
        body: Vec<u8>,
        shape in prop::collection::vec(prop::option::of(0usize..4), 0..4),
        datatype in prop::sample::select(Datatype::ALL.to_vec()),
        has_batch_axis: bool,
    ) {
        let spec = TensorSpec::new("x", datatype, shape);
        let wire = wire_spec(&spec, has_batch_axis);
        if let Ok(request) = decode_raw(&body.into(), &signature(vec![spec]), has_batch_axis) {
            prop_assert_eq!(wire.check(&request.inputs[0].1), Ok(()));
        }
    }

    #[test]
    fn every_number_is_read_as_rust_reads_it(numbers: Vec<i64>) {
        let body = input(&format!(r#""datatype": "INT64", "shape": [{}], "data": {numbers:?}"#, numbers.len()));
        let request = json(&body).unwrap();
        prop_assert_eq!(request.inputs[0].1.to_vec::<i64>().unwrap(), numbers);
    }
}
