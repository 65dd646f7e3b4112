use super::*;
use crate::samples::{any_rows, any_tensor, is_json_safe, is_text};
use crate::wire::DecodeError;
use bytes::Bytes;
use consort_inference::{
    ArgValue, Datatype, InferenceArgs, Signature, Tensor, TensorSpec, Tensors,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const BINARY: WireForm = WireForm {
    binary: true,
    batch_axis: true,
};
const JSON: WireForm = WireForm {
    binary: false,
    batch_axis: true,
};
const SINGLE: WireForm = WireForm {
    binary: false,
    batch_axis: false,
};

fn y(datatype: Datatype) -> Vec<TensorSpec> {
    vec![TensorSpec::new("y", datatype, vec![None])]
}

fn decoded(body: &Value, rows: usize) -> Result<Vec<Tensors>, String> {
    let body = Bytes::from(body.to_string());
    decode(&body, None, &y(Datatype::Fp32), rows, JSON).map_err(|error| error.to_string())
}

fn output(data: Value) -> Value {
    let mut output = json!({"name": "y", "datatype": "FP32", "shape": [2, 2]});
    let fields = output.as_object_mut().unwrap();
    fields.extend(data.as_object().unwrap().clone());
    json!({"model_name": "m", "model_version": "1", "outputs": [output]})
}

/// What a server would do that returns its inputs: the request's inputs, to the letter, as
/// outputs.
fn echo(body: &[u8], header_length: Option<usize>) -> (Bytes, Option<String>) {
    #[derive(serde::Deserialize)]
    struct Request<'a> {
        #[serde(borrow)]
        inputs: &'a serde_json::value::RawValue,
    }
    let json_length = header_length.unwrap_or(body.len());
    let request: Request<'_> = serde_json::from_slice(&body[..json_length]).unwrap();
    let answer = format!(r#"{{"model_name":"m","outputs":{}}}"#, request.inputs.get());
    let header = header_length.map(|_| answer.len().to_string());
    let mut answer = answer.into_bytes();
    answer.extend_from_slice(&body[json_length..]);
    (answer.into(), header)
}

#[test]
fn a_request_reads_as_the_protocol_says() {
    let row = |value: f32| {
        let tensor = Tensor::from_slice(vec![1], &[value]).unwrap();
        Tensors::from_named([("x".into(), tensor)]).unwrap()
    };
    let signature = Signature {
        inputs: vec![TensorSpec::new("x", Datatype::Fp32, vec![Some(1)])],
        outputs: y(Datatype::Fp32),
    };
    let args: InferenceArgs = [
        ("k".into(), ArgValue::Int(3)),
        ("t".into(), ArgValue::Float(0.5)),
        ("s".into(), ArgValue::Text("a\"b".into())),
        ("b".into(), ArgValue::Bool(true)),
    ]
    .into_iter()
    .collect();
    let rows = [row(0.1), row(-2.0)];
    let encoded = encode(&signature, &rows, &args, JSON).unwrap();
    assert_eq!(encoded.header_length, None);
    assert_eq!(
        String::from_utf8(encoded.body.to_vec()).unwrap(),
        r#"{"parameters":{"b":true,"k":3,"s":"a\"b","t":0.5},"inputs":[{"name":"x","datatype":"FP32","shape":[2,1],"data":[0.1,-2.0]}],"outputs":[{"name":"y"}]}"#
    );
    let encoded = encode(&signature, &rows, &InferenceArgs::new(), BINARY).unwrap();
    let body = encoded.body.to_vec();
    let (json, blob) = body.split_at(encoded.header_length.unwrap());
    assert_eq!(
        std::str::from_utf8(json).unwrap(),
        r#"{"inputs":[{"name":"x","datatype":"FP32","shape":[2,1],"parameters":{"binary_data_size":8}}],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}"#
    );
    assert_eq!(blob, [0.1f32.to_le_bytes(), (-2f32).to_le_bytes()].concat());
    let encoded = encode(&signature, &rows[..1], &args, SINGLE).unwrap();
    let request: Value = serde_json::from_slice(&encoded.body.to_vec()).unwrap();
    assert_eq!(request["inputs"][0]["shape"], json!([1]));
    let nan = [("k".into(), ArgValue::Float(f64::NAN))]
        .into_iter()
        .collect();
    let error = encode(&signature, &rows, &nan, JSON).err().unwrap();
    assert!(error.is_input());
}

#[test]
fn nested_and_flat_answers_are_split_into_rows() {
    for data in [json!([1, 2.5, 3, 4e1]), json!([[1, 2.5], [3, 40]])] {
        let rows = decoded(&output(json!({ "data": data })), 2).unwrap();
        let second = rows[1].tensor("y").unwrap();
        assert_eq!(second.shape(), [2]);
        assert_eq!(second.to_vec::<f32>().unwrap(), [3.0, 40.0]);
    }
}

#[test]
fn answers_are_held_to_the_metadata() {
    let good = output(json!({"data": [1, 2, 3, 4]}));
    let error = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        decoded(&body, 2).unwrap_err()
    };
    assert!(decoded(&good, 2).is_ok());
    assert_eq!(
        decoded(&good, 3).unwrap_err(),
        "tensor \"y\" has shape [2, 2], [3, -1] is expected"
    );
    assert_eq!(
        error(&|body| body["outputs"][0]["datatype"] = json!("INT32")),
        "tensor \"y\" is INT32, FP32 is expected"
    );
    assert_eq!(
        error(&|body| body["outputs"][0]["datatype"] = json!("float\n")),
        "output \"y\" has the datatype \"float\\n\", which is none"
    );
    assert_eq!(
        error(&|body| body["outputs"][0]["name"] = json!("z\u{1b}")),
        "there is an output \"z\\u{1b}\", the model has \"y\""
    );
    assert_eq!(
        error(&|body| body["outputs"] = json!([])),
        "the output \"y\" is missing"
    );
    assert_eq!(
        error(&|body| {
            let twice = body["outputs"][0].clone();
            body["outputs"].as_array_mut().unwrap().push(twice);
        }),
        "the output \"y\" is given twice"
    );
    assert_eq!(
        error(&|body| body["outputs"][0]["data"] = json!([1, 2, 3])),
        "output \"y\": FP32 of shape [2, 2] takes 16 bytes, 12 were given"
    );
    assert_eq!(
        error(&|body| body["outputs"][0]["data"] = json!([[1, 2, 3, 4]])),
        "output \"y\": data is nested like [1, 4], its shape is [2, 2]"
    );
    assert_eq!(
        error(&|body| body["outputs"][0]["parameters"] = json!({"binary_data_size": 4})),
        "output \"y\": it has both data and binary_data_size"
    );
    let shape = error(&|body| body["outputs"][0]["shape"] = json!([2, -2]));
    assert!(shape.starts_with("the body is not an answer"), "{shape}");
    let text = decoded(&json!({"error": "no\nsuch"}), 2).unwrap_err();
    assert!(
        text.contains("missing field `outputs`") && text.contains("such"),
        "{text}"
    );
    assert!(!text.contains('\n'));
}

#[test]
fn binary_answers_are_counted_to_the_byte() {
    let body = output(json!({"parameters": {"binary_data_size": 16}})).to_string();
    let decoded = |header: &str, blob: usize| {
        let mut bytes = body.clone().into_bytes();
        bytes.resize(body.len() + blob, 0);
        let specs = y(Datatype::Fp32);
        decode(&bytes.into(), Some(header.as_bytes()), &specs, 2, BINARY)
            .map_err(|error| error.to_string())
    };
    let header = body.len().to_string();
    assert_eq!(decoded(&header, 16).unwrap().len(), 2);
    assert_eq!(
        decoded(&header, 13).unwrap_err(),
        "output \"y\": binary_data_size is 16, of which 3 bytes are missing"
    );
    assert_eq!(
        decoded(&header, 18).unwrap_err(),
        "2 bytes are left over behind the binary outputs"
    );
    for wrong in ["-1", "+3", "x", "", "99999", "99999999999999999999999"] {
        let error = decoded(wrong, 16).unwrap_err();
        assert!(error.starts_with("the header Inference-Header"), "{error}");
    }
}

#[test]
fn bool_and_bytes_are_checked_in_binary() {
    let decoded = |datatype: Datatype, blob: &[u8]| {
        let body = json!({"outputs": [{
            "name": "y", "datatype": datatype.as_str(), "shape": [1, 1],
            "parameters": {"binary_data_size": blob.len()},
        }]});
        let body = body.to_string();
        let header = body.len().to_string();
        let bytes = [body.as_bytes(), blob].concat().into();
        decode(&bytes, Some(header.as_bytes()), &y(datatype), 1, BINARY)
    };
    assert!(matches!(
        decoded(Datatype::Bool, &[2]),
        Err(DecodeError::Content { .. })
    ));
    assert!(decoded(Datatype::Bool, &[1]).is_ok());
    assert!(decoded(Datatype::Bytes, b"\x02\0\0\0ab").is_ok());
    let cut = decoded(Datatype::Bytes, b"\x03\0\0\0ab");
    assert!(matches!(cut, Err(DecodeError::Tensor { .. })));
}

proptest! {
    #[test]
    fn what_is_sent_comes_back_from_an_echo((specs, rows) in any_rows()) {
        let signature = Signature { inputs: specs.clone(), outputs: specs.clone() };
        for form in [BINARY, JSON] {
            let encoded = encode(&signature, &rows, &InferenceArgs::new(), form);
            let safe = |tensor: &Tensor| is_json_safe(tensor)
                && (tensor.datatype() != Datatype::Bytes || is_text(tensor));
            let all_safe = rows.iter().flat_map(Tensors::iter).all(|(_, tensor)| safe(tensor));
            // A half without elements is refused as well, which `is_json_safe` knows.
            prop_assert_eq!(encoded.is_ok(), form.binary || all_safe);
            let Ok(encoded) = encoded else { continue };
            let (answer, header) = echo(&encoded.body.to_vec(), encoded.header_length);
            let header = header.as_deref().map(str::as_bytes);
            let outputs = decode(&answer, header, &specs, rows.len(), form).unwrap();
            prop_assert_eq!(&outputs, &rows);
        }
    }

    #[test]
    fn a_row_alone_comes_back_without_a_batch_axis((specs, rows) in any_rows()) {
        let signature = Signature { inputs: specs.clone(), outputs: specs.clone() };
        let form = WireForm { binary: true, batch_axis: false };
        let encoded = encode(&signature, &rows[..1], &InferenceArgs::new(), form).unwrap();
        let (answer, header) = echo(&encoded.body.to_vec(), encoded.header_length);
        let header = header.as_deref().map(str::as_bytes);
        prop_assert_eq!(decode(&answer, header, &specs, 1, form).unwrap(), &rows[..1]);
    }

    #[test]
    fn no_bytes_panic_the_decoder(
        body in prop::collection::vec(any::<u8>(), 0..200),
        header in prop::option::of(prop_oneof![
            (0usize..220).prop_map(|length| length.to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..8),
        ]),
    ) {
        let header = header.as_deref();
        let _ = decode(&body.clone().into(), header, &y(Datatype::Bytes), 2, BINARY);
        let _ = Metadata::read(&body);
        let _ = (has_binary_extension(&body), max_batch_size(&body));
    }

    /// Close to an answer, with one place changed: the places where a reader would slip.
    #[test]
    fn no_damaged_answer_panics_the_decoder(
        tensor in any_tensor(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let specs = vec![TensorSpec::new("y", tensor.datatype(), vec![None; tensor.shape().len()])];
        let signature = Signature { inputs: specs.clone(), outputs: specs.clone() };
        let row = Tensors::from_named([("y".into(), tensor)]).unwrap();
        for form in [BINARY, JSON] {
            let Ok(encoded) = encode(&signature, std::slice::from_ref(&row), &InferenceArgs::new(), form) else {
                continue;
            };
            let (answer, header) = echo(&encoded.body.to_vec(), encoded.header_length);
            let mut answer = answer.to_vec();
            let index = at.index(answer.len());
            answer[index] = byte;
            if let Some(cut) = cut {
                answer.truncate(cut.index(answer.len()));
            }
            let header = header.as_deref().map(str::as_bytes);
            if let Ok(rows) = decode(&answer.into(), header, &specs, 1, form) {
                prop_assert_eq!(rows.len(), 1);
                prop_assert!(signature.check_outputs(&rows[0]).is_ok());
            }
        }
    }
}
