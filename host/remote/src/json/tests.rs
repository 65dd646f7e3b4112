use super::*;
use crate::samples::{any_tensor, is_json_safe};
use consort_inference::{Datatype, Tensor};
use proptest::prelude::*;

fn read(json: &str, datatype: Datatype) -> Result<Nest, String> {
    read_nest(json, datatype, NonText::Refused).map_err(|error| error.to_string())
}

fn written(tensor: &Tensor, shape: &[usize]) -> Result<String, WriteError> {
    let mut out = Vec::new();
    write_nest(tensor, shape, NonText::Base64, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn nests_have_the_shape_of_their_arrays() {
    let shape = |json: &str| read(json, Datatype::Int32).map(|nest| nest.shape);
    assert_eq!(shape("7"), Ok(vec![]));
    assert_eq!(shape("[]"), Ok(vec![0]));
    assert_eq!(shape("[[],[]]"), Ok(vec![2, 0]));
    assert_eq!(shape("[[1,2],[3,4],[ 5, 6 ]]"), Ok(vec![3, 2]));
    assert_eq!(shape("[[[1]],[[2]]]"), Ok(vec![2, 1, 1]));
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(shape(&deep(32)), Ok(vec![1; 32]));
    assert!(shape(&deep(33)).unwrap_err().contains("32 levels"));
}

#[test]
fn what_is_no_nest_is_refused_with_its_place() {
    let error = |json: &str| read(json, Datatype::Int8).unwrap_err();
    assert_eq!(
        error("[[1,2],[3]]"),
        "the arrays on level 1 have 2 and 1 items; all need as many"
    );
    assert_eq!(
        error("[1,[2]]"),
        "elements and arrays stand side by side near element 1"
    );
    assert_eq!(
        error("[[],1]"),
        "elements and arrays stand side by side near element 0"
    );
    assert_eq!(
        error("[1,200]"),
        "element 1 is \"200\"; INT8 takes whole numbers from -128 to 127"
    );
    assert_eq!(error("[1"), "the text ends inside an array");
    for wrong in ["[1.5]", "[null]", "[\"1\"]", "[true]", "[{}]", ""] {
        assert!(read(wrong, Datatype::Int8).is_err(), "{wrong}");
    }
    assert!(read("[1e39]", Datatype::Fp32).is_err());
    assert!(read("[1]", Datatype::Fp16).is_err());
    assert!(read("[{\"b64\":\"AA==\"}]", Datatype::Bytes).is_err());
}

#[test]
fn texts_are_unescaped_and_bytes_are_base64() {
    let tensor = Tensor::from_byte_strings(vec![3], [&b"a\"\n"[..], b"\xff\x00", b""]).unwrap();
    let json = written(&tensor, &[3]).unwrap();
    assert_eq!(json, r#"["a\"\n",{"b64":"/wA="},""]"#);
    let nest = read_nest(&json, Datatype::Bytes, NonText::Base64).unwrap();
    assert_eq!(nest.data, tensor.data()[..]);
    let mut out = Vec::new();
    let refused = write_nest(&tensor, &[3], NonText::Refused, &mut out);
    assert_eq!(refused, Err(WriteError::NotText(1)));
}

#[test]
fn what_json_cannot_say_is_refused() {
    let nan = Tensor::from_slice(vec![2], &[0.0, f32::NAN]).unwrap();
    assert_eq!(written(&nan, &[2]), Err(WriteError::NotFinite(1)));
    let half = Tensor::new(Datatype::Bf16, vec![1], vec![0, 0].into()).unwrap();
    assert_eq!(
        written(&half, &[1]),
        Err(WriteError::Datatype(Datatype::Bf16))
    );
    let empty = Tensor::from_slice::<f32>(vec![2, 0, 3], &[]).unwrap();
    assert_eq!(written(&empty, &[2, 0, 3]).unwrap(), "[[],[]]");
    let endless = Tensor::from_slice::<f32>(vec![usize::MAX, 0], &[]).unwrap();
    assert!(written(&endless, &[usize::MAX, 0]).is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(tensor in any_tensor()) {
        let json = written(&tensor, tensor.shape());
        if !is_json_safe(&tensor) {
            prop_assert!(json.is_err());
            return Ok(());
        }
        let json = json.unwrap();
        serde_json::from_str::<serde::de::IgnoredAny>(&json).unwrap();
        let nest = read_nest(&json, tensor.datatype(), NonText::Base64).unwrap();
        prop_assert_eq!(&nest.data[..], &tensor.data()[..]);
        let mut shape = tensor.shape().to_vec();
        if let Some(zero) = shape.iter().position(|length| *length == 0) {
            shape.truncate(zero + 1);
        }
        prop_assert_eq!(nest.shape, shape);
        prop_assert_eq!(nest.count, tensor.element_count());
    }

    #[test]
    fn no_text_panics_the_reader(text in "\\PC{0,80}", brackets in "[\\[\\]{}\",0-9a\\\\ -]{0,60}") {
        for datatype in Datatype::ALL {
            for json in [&text, &brackets] {
                let _ = read_nest(json, datatype, NonText::Base64);
            }
        }
    }
}
