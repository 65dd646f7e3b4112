//! Answers as bodies, and that what is written is read back.

use super::*;
use crate::protocol::{DecodeLimits, HeaderLength, decode_infer};
use consort_inference::Tensor;
use proptest::prelude::*;

fn answer(outputs: Vec<(&str, Tensor, Form)>) -> InferAnswer {
    InferAnswer {
        model_name: "m".into(),
        model_version: "3".into(),
        id: None,
        made_by: String::new(),
        arms: String::new(),
        partial: String::new(),
        outputs: outputs
            .into_iter()
            .map(|(name, tensor, form)| (name.into(), tensor, form))
            .collect(),
    }
}

fn body(encoded: &Encoded) -> Vec<u8> {
    encoded.pieces.concat()
}

#[test]
fn json_in_the_order_of_the_protocol() {
    let numbers = Tensor::from_slice(vec![1, 3], &[0.1f32, 1.0, -1e30]).unwrap();
    let texts = Tensor::from_byte_strings(vec![2], ["a\"\n", "é"]).unwrap();
    let outputs = vec![("n", numbers, Form::Json), ("t\"", texts, Form::Json)];
    let answer = InferAnswer {
        id: Some("i\\d".to_owned()),
        made_by: "m:3".to_owned(),
        arms: String::new(),
        partial: String::new(),
        ..answer(outputs)
    };
    let encoded = encode_infer(&answer).unwrap();
    assert_eq!(encoded.header_length, None);
    let expected = concat!(
        r#"{"model_name":"m","model_version":"3","id":"i\\d","parameters":{"model_id":"m:3"},"#,
        r#""outputs":[{"name":"n","datatype":"FP32","shape":[1,3],"data":[0.1,1.0,-1e+30]},"#,
        r#"{"name":"t\"","datatype":"BYTES","shape":[2],"data":["a\"\n","é"]}]}"#
    );
    assert_eq!(String::from_utf8(body(&encoded)).unwrap(), expected);
}

#[test]
fn binary_follows_in_the_order_of_the_json() {
    let a = Tensor::from_slice(vec![2], &[1i16, 2]).unwrap();
    let b = Tensor::from_slice(vec![0], &[0u8; 0]).unwrap();
    let c = Tensor::from_byte_strings(vec![1], [[0xff]]).unwrap();
    let encoded = encode_infer(&answer(vec![
        ("a", a, Form::Binary),
        ("b", b.clone(), Form::Binary),
        ("j", b, Form::Json),
        ("c", c, Form::Binary),
    ]))
    .unwrap();
    let json = concat!(
        r#"{"model_name":"m","model_version":"3","outputs":["#,
        r#"{"name":"a","datatype":"INT16","shape":[2],"parameters":{"binary_data_size":4}},"#,
        r#"{"name":"b","datatype":"UINT8","shape":[0],"parameters":{"binary_data_size":0}},"#,
        r#"{"name":"j","datatype":"UINT8","shape":[0],"data":[]},"#,
        r#"{"name":"c","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}}]}"#
    );
    assert_eq!(encoded.header_length, Some(json.len()));
    let expected = [json.as_bytes(), &[1, 0, 2, 0, 1, 0, 0, 0, 0xff]].concat();
    assert_eq!(body(&encoded), expected);
    assert_eq!(encoded.byte_len(), expected.len());
}

#[test]
fn large_binary_outputs_are_not_copied() {
    let large = Tensor::from_slice(vec![10_000], &[1.0f64; 10_000]).unwrap();
    let address = large.data().as_ptr();
    let encoded = encode_infer(&answer(vec![("x", large, Form::Binary)])).unwrap();
    assert_eq!(encoded.pieces.len(), 2);
    assert_eq!(encoded.pieces[1].as_ptr(), address);
}

#[test]
fn what_json_cannot_say_is_refused() {
    let refused = |tensor: Tensor| {
        let outputs = vec![("x", tensor, Form::Json)];
        encode_infer(&answer(outputs)).unwrap_err().to_string()
    };
    let advice = "ask for this output in binary (its parameter \"binary_data\": true)";
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let expected =
            format!("output \"x\": element 1 is NaN or infinite, which JSON cannot say; {advice}");
        assert_eq!(
            refused(Tensor::from_slice(vec![2], &[1.0, bad]).unwrap()),
            expected
        );
    }
    let double = Tensor::from_slice(vec![1], &[f64::NAN]).unwrap();
    assert!(refused(double).contains("element 0 is NaN"));
    let bytes = Tensor::from_byte_strings(vec![2], [&b"ok"[..], b"\xff"]).unwrap();
    let expected = format!("output \"x\": element 1 is not UTF-8, which JSON texts are; {advice}");
    assert_eq!(refused(bytes), expected);
    let half = Tensor::new(Datatype::Bf16, vec![1], vec![0, 0].into()).unwrap();
    assert_eq!(
        refused(half),
        format!("output \"x\": BF16 has no form in JSON; {advice}")
    );
}

/// Any tensor of a datatype; only elements that have a JSON form if asked for.
fn any_tensor(datatype: Datatype, is_json: bool) -> BoxedStrategy<Tensor> {
    let shape = prop::collection::vec(0usize..4, 0..4);
    let elements = |shape: &Vec<usize>| shape.iter().product::<usize>();
    let made = move |shape: Vec<usize>, data: Vec<u8>| Tensor::new(datatype, shape, data.into());
    match datatype {
        Datatype::Bytes if is_json => shape
            .prop_flat_map(move |shape| {
                let texts = prop::collection::vec(any::<String>(), elements(&shape));
                texts
                    .prop_map(move |texts| Tensor::from_byte_strings(shape.clone(), texts).unwrap())
            })
            .boxed(),
        Datatype::Bytes => shape
            .prop_flat_map(move |shape| {
                let texts = prop::collection::vec(any::<Vec<u8>>(), elements(&shape));
                texts
                    .prop_map(move |texts| Tensor::from_byte_strings(shape.clone(), texts).unwrap())
            })
            .boxed(),
        Datatype::Bool => shape
            .prop_flat_map(move |shape| {
                let data = prop::collection::vec(0u8..2, elements(&shape));
                data.prop_map(move |data| made(shape.clone(), data).unwrap())
            })
            .boxed(),
        _ => shape
            .prop_flat_map(move |shape| {
                let bytes = elements(&shape) * datatype.size_bytes().unwrap();
                let data = prop::collection::vec(any::<u8>(), bytes);
                data.prop_map(move |data| made(shape.clone(), data).unwrap())
            })
            .prop_filter("JSON has no NaN", move |tensor| {
                !is_json || is_finite(tensor)
            })
            .boxed(),
    }
}

fn is_finite(tensor: &Tensor) -> bool {
    match tensor.datatype() {
        Datatype::Fp32 => tensor
            .to_vec::<f32>()
            .unwrap()
            .iter()
            .all(|x| x.is_finite()),
        Datatype::Fp64 => tensor
            .to_vec::<f64>()
            .unwrap()
            .iter()
            .all(|x| x.is_finite()),
        _ => true,
    }
}

fn any_output() -> impl Strategy<Value = (Tensor, Form)> {
    let every = Datatype::ALL.into_iter().flat_map(|datatype| {
        let json = (!matches!(datatype, Datatype::Fp16 | Datatype::Bf16)).then_some(Form::Json);
        json.into_iter()
            .chain([Form::Binary])
            .map(move |form| (datatype, form))
    });
    let every: Vec<(Datatype, Form)> = every.collect();
    prop::sample::select(every).prop_flat_map(|(datatype, form)| {
        any_tensor(datatype, form == Form::Json).prop_map(move |tensor| (tensor, form))
    })
}

proptest! {
    /// A response's outputs have the shape of a request's inputs, so what is written can
    /// be read by the decoder: the same tensors come back, in JSON and in binary.
    #[test]
    fn what_is_written_is_read_back(outputs in prop::collection::vec(any_output(), 0..5)) {
        let names: Vec<String> = (0..outputs.len()).map(|i| format!("t{i}")).collect();
        let named = names.iter().zip(&outputs);
        let encoded = encode_infer(&answer(
            named.map(|(name, (tensor, form))| (name.as_str(), tensor.clone(), *form)).collect(),
        ))
        .unwrap();
        let mut body = body(&encoded);
        let json_bytes = encoded.header_length.unwrap_or(body.len());
        let json = String::from_utf8(body[..json_bytes].to_vec()).unwrap();
        let as_request = json.replacen("\"outputs\"", "\"inputs\" ", 1);
        body.splice(..json_bytes, as_request.bytes());
        let length = match encoded.header_length {
            None => HeaderLength::Absent,
            Some(_) => HeaderLength::Json(as_request.len()),
        };
        let limits = DecodeLimits { json_depth_max: 100 };
        let request = decode_infer(&body.into(), length, &limits).unwrap();
        let tensors: Vec<Tensor> = request.inputs.into_iter().map(|(_, tensor)| tensor).collect();
        let expected: Vec<Tensor> = outputs.into_iter().map(|(tensor, _)| tensor).collect();
        prop_assert_eq!(tensors, expected);
    }
}
