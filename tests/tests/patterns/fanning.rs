//! An example that becomes many: `for_each`.

use crate::{message, place};
use consort_tests::place::infer;
use serde_json::{Value, json};

fn items(key: &str, count: usize) -> Value {
    let items: Vec<[usize; 1]> = (0..count).map(|item| [item]).collect();
    json!({"key": key, "inputs": {"x": items}})
}

#[test]
fn each_example_has_as_many_items_as_it_has() {
    let place = place("[[ensemble.e.step]]\nmodel = \"one\"\nfor_each = [\"x\"]\n");
    let (predicted, dead) = place.predicted("e", &[items("a", 3), items("b", 1), items("c", 2)]);
    assert!(dead.is_empty(), "{dead:?}");
    let told: Vec<&Value> = predicted.iter().map(|line| &line["outputs"]["y"]).collect();
    let three = json!([[1.0], [2.0], [3.0]]);
    assert_eq!(told, [&three, &json!([[1.0]]), &json!([[1.0], [2.0]])]);
}

#[test]
fn a_step_makes_the_items_of_the_next() {
    let place = place(
        "[[ensemble.e.step]]\nmodel = \"tokens\"\n\
         inputs = { input_ids = \"ids\", attention_mask = \"ids\" }\noutputs = { doubled = \"x\" }\n\
         [[ensemble.e.step]]\nmodel = \"twice\"\nfor_each = [\"x\"]\n",
    );
    let line = |count: i64| {
        let ids: Vec<i64> = (1..=count).collect();
        json!({"key": count.to_string(), "inputs": {"ids": ids}})
    };
    let (predicted, dead) = place.predicted("e", &[line(4), line(2), line(7)]);
    assert!(dead.is_empty(), "{dead:?}");
    for (line, count) in predicted.iter().zip([4, 2, 7]) {
        let fourfold: Vec<i64> = (1..=count).map(|id| 4 * id).collect();
        assert_eq!(line["outputs"]["y"], json!(fourfold), "{line}");
    }
}

#[test]
fn a_million_items_are_refused_and_the_neighbours_are_well() {
    let place = place("[[ensemble.e.step]]\nmodel = \"one\"\nfor_each = [\"x\"]\n");
    let (predicted, dead) = place.predicted("e", &[items("few", 2), items("many", 1_000_000)]);
    assert_eq!((predicted.len(), &predicted[0]["key"]), (1, &json!("few")));
    assert_eq!((dead.len(), &dead[0]["key"]), (1, &json!("many")));
    assert_eq!(dead[0]["error"]["kind"], "too_large");
    let told = "it has 1000000 items; at most 4096 are allowed (items_max)";
    assert_eq!(message(&dead[0]), told);
}

#[test]
fn items_and_bytes_have_limits_of_their_own() {
    let step = "[[ensemble.e.step]]\nmodel = \"one\"\nfor_each = [\"x\"]\n";
    let three = place(&format!("{step}items_max = 3\n"));
    let (predicted, dead) = three.predicted("e", &[items("a", 3), items("b", 4)]);
    assert_eq!((predicted.len(), dead.len()), (1, 1), "{dead:?}");
    let body = json!({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4, 1],
        "data": [0, 0, 0, 0]}]});
    let (status, body) = infer(&three.serve(), "e", &body);
    assert_eq!(status, 413, "{body}");

    let bytes = place(&format!("{step}output_bytes_max = 8\n"));
    let (predicted, dead) = bytes.predicted("e", &[items("a", 2), items("b", 3)]);
    assert_eq!((predicted.len(), dead.len()), (1, 1), "{dead:?}");
    let told = "the items' output \"y\" takes 12 bytes; at most 8 are allowed (output_bytes_max)";
    assert_eq!(message(&dead[0]), told);
}
