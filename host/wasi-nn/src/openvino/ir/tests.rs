//! What is read from OpenVINO's XML, and what is refused.

use super::*;
use proptest::prelude::*;

const NODES_MAX: u32 = 10_000;

fn parameter(id: u32, shape: &str, element: &str, names: &str) -> String {
    format!(
        "<layer id=\"{id}\" name=\"in{id}\" type=\"Parameter\"><data shape=\"{shape}\" \
         element_type=\"{element}\"/><output><port id=\"0\" precision=\"-\" {names}/></output>\
         </layer>"
    )
}

fn result(id: u32, dims: &[i64], names: &str) -> String {
    let dims: String = dims.iter().map(|dim| format!("<dim>{dim}</dim>")).collect();
    format!(
        "<layer id=\"{id}\" name=\"out{id}\" type=\"Result\" {names}><input><port id=\"0\" \
         precision=\"FP32\">{dims}</port></input></layer>"
    )
}

fn net(layers: &str, edges: &str) -> String {
    format!("<?xml version=\"1.0\"?><net><layers>{layers}</layers><edges>{edges}</edges></net>")
}

fn outline(text: &str) -> Outline {
    read(text.as_bytes(), NODES_MAX).unwrap()
}

fn refused(text: &str) -> String {
    read(text.as_bytes(), NODES_MAX).unwrap_err().to_string()
}

fn names(declared: &[Declared]) -> Vec<&str> {
    declared.iter().map(|one| one.name.as_str()).collect()
}

#[test]
fn the_model_that_openvino_wrote_is_read() {
    let text = include_str!("../../../fixtures/mlp.xml");
    assert!(is_ir(text.as_bytes()));
    let outline = outline(text);
    let weights = include_bytes!("../../../fixtures/mlp.bin");
    assert_eq!(outline.weights_bytes, weights.len() as u64);
    let declared = |name: &str, length| Declared {
        name: name.to_owned(),
        element: Element::Known(Datatype::Fp32),
        shape: Some(vec![Length::ANY, Length::exactly(length)]),
    };
    assert_eq!(outline.inputs, [declared("x", 16)]);
    assert_eq!(outline.outputs, [declared("probabilities", 3)]);
}

#[test]
fn tensors_are_named_as_callers_know_them_in_the_order_of_the_file() {
    let layers = [
        result(5, &[-1], ""),
        result(6, &[-1], "output_names=\"y,z\""),
        parameter(2, "?", "f32", "names=\"a\\,b,c\""),
        parameter(1, "?", "f32", ""),
        result(7, &[-1], ""),
    ];
    let edges = "<edge from-layer=\"2\" from-port=\"0\" to-layer=\"5\" to-port=\"0\"/>\
                 <edge from-layer=\"1\" from-port=\"0\" to-layer=\"7\" to-port=\"0\"/>";
    let outline = outline(&net(&layers.concat(), edges));
    assert_eq!(names(&outline.inputs), ["a,b", "in1"]);
    assert_eq!(names(&outline.outputs), ["a,b", "y", "out7"]);
}

#[test]
fn shapes_are_any_exact_ranged_or_open() {
    let shape = |text: &str| parse_shape(text).map(|shape| shape.map(|axes| format!("{axes:?}")));
    let range = |least, most| Length { least, most };
    let expected = [
        Length::ANY,
        range(1, Some(8)),
        range(2, None),
        Length::exactly(16),
    ];
    assert_eq!(shape("?,1..8,2..,16"), Some(Some(format!("{expected:?}"))));
    assert_eq!(parse_shape(""), Some(Some(vec![])));
    assert_eq!(parse_shape("..."), Some(None));
    for wrong in ["x", "1,,2", "-2", "1..x", "99999999999999999999"] {
        assert_eq!(parse_shape(wrong), None, "{wrong}");
    }
}

#[test]
fn element_types_are_known_in_both_spellings() {
    for (one, other) in [("f32", "FP32"), ("boolean", "BOOL"), ("i64", "I64")] {
        assert_eq!(element_of(one), element_of(other));
    }
    assert_eq!(element_of("u4"), Element::Unknown("u4".to_owned()));
}

#[test]
fn a_model_with_memory_is_refused_also_inside_a_loop() {
    let inner = "<layer id=\"9\" name=\"memory\" type=\"ReadValue\"/>";
    for layers in [
        inner.to_owned(),
        format!("<layer type=\"Loop\"><body><layers>{inner}</layers></body></layer>"),
    ] {
        let error = refused(&net(&layers, ""));
        assert!(
            error.contains("state between runs (layer \"memory\")"),
            "{error}"
        );
    }
}

#[test]
fn what_is_no_such_file_is_refused() {
    let no_shape = "<layer name=\"x\" type=\"Parameter\"><data element_type=\"f32\"/></layer>";
    let odd_shape = parameter(1, "four", "f32", "");
    let entity = "<!DOCTYPE net [<!ENTITY a \"aaaa\">]><net>&a;</net>";
    for (text, said) in [
        (String::new(), "not in OpenVINO's format"),
        ("<net><layers>".to_owned(), "not in OpenVINO's format"),
        ("<html/>".to_owned(), "outermost element is <html>"),
        ("<net/>".to_owned(), "no <layers>"),
        (net(no_shape, ""), "its input \"x\" has no shape"),
        (net(&odd_shape, ""), "\"in1\" is \"four\""),
        (entity.to_owned(), "not in OpenVINO's format"),
    ] {
        let error = refused(&text);
        assert!(error.contains(said), "{error}");
    }
    let error = read(b"<net>\xFF", NODES_MAX).unwrap_err().to_string();
    assert!(error.contains("not UTF-8 at byte 5"), "{error}");
    assert!(!is_ir(b"\x08\x07\x12\x04onnx"));
}

#[test]
fn the_number_of_nodes_is_limited_however_deep_they_lie() {
    let wide = net(&"<layer/>".repeat(NODES_MAX as usize), "");
    let deep = "<a>".repeat(1_000_000);
    for text in [wide, deep] {
        let error = refused(&text);
        assert!(
            error.starts_with("the model's XML has more than 10000 nodes"),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn a_damaged_file_is_an_error_or_an_outline(at in 0_usize..6_000, byte in any::<u8>(), cut in any::<bool>()) {
        let mut text = include_bytes!("../../../fixtures/mlp.xml").to_vec();
        let at = at % text.len();
        if cut {
            text.truncate(at);
        } else {
            text[at] = byte;
        }
        // Either is well; a panic is not.
        let _ = read(&text, NODES_MAX);
    }
}
