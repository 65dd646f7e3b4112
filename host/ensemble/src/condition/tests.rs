//! Conditions, written as one would say them.

use super::{CompiledCondition, Condition, Literal, Reduction, Test};
use consort_inference::{Datatype, Tensor, TensorSpec};

fn literal(text: &str) -> Literal {
    if let Ok(value) = text.parse() {
        Literal::Bool(value)
    } else if let Ok(value) = text.parse() {
        Literal::Int(value)
    } else if let Ok(value) = text.parse() {
        Literal::Float(value)
    } else {
        Literal::Text(text.into())
    }
}

/// `max > 0.5`: a reduction, a comparison and what is compared with.
fn condition(text: &str) -> Condition {
    let mut words = text.split_whitespace();
    let of = match words.next().unwrap() {
        "only" => Reduction::Only,
        "max" => Reduction::Max,
        "min" => Reduction::Min,
        "mean" => Reduction::Mean,
        "any" => Reduction::Any,
        "all" => Reduction::All,
        other => panic!("{other}"),
    };
    let (comparison, rest) = (words.next().unwrap(), words.collect::<Vec<_>>());
    let number = || rest[0].parse().unwrap();
    let test = match comparison {
        ">" => Test::Above(number()),
        "<" => Test::Below(number()),
        "=" => Test::Equals(literal(rest[0])),
        "!=" => Test::NotEquals(literal(rest[0])),
        "in" => Test::OneOf(rest.iter().map(|text| literal(text)).collect()),
        other => panic!("{other}"),
    };
    Condition {
        tensor: "t".into(),
        of,
        test,
    }
}

fn spec(tensor: &Tensor) -> TensorSpec {
    let shape = tensor.shape().iter().map(|_| None).collect();
    TensorSpec::new("t", tensor.datatype(), shape)
}

/// `true`, `false`, or why it cannot be told.
fn ask(text: &str, tensor: &Tensor) -> String {
    let (condition, spec) = (condition(text), spec(tensor));
    match CompiledCondition::check(&condition, &spec) {
        Err(unfit) => format!("unfit: {}", unfit.message),
        Ok(()) => match CompiledCondition::new(&condition, &spec).holds(tensor) {
            Ok(holds) => holds.to_string(),
            Err(why) => why,
        },
    }
}

#[test]
fn numbers() {
    let floats = Tensor::from_slice(vec![3], &[0.1f32, 0.4, f32::NAN]).unwrap();
    let one = Tensor::from_slice(vec![1], &[0.1f32]).unwrap();
    let none = Tensor::from_slice::<f32>(vec![0], &[]).unwrap();
    let whole = Tensor::from_slice(vec![2], &[u64::MAX, 3]).unwrap();
    for (asked, tensor, expected) in [
        ("max > 0.3", &floats, "true"),
        ("max > 0.4", &floats, "false"),
        ("min = 0.1", &floats, "true"),
        ("mean > 0", &floats, "false"),
        ("any < 0.2", &floats, "true"),
        ("all < 0.5", &floats, "false"),
        ("only = 0.1", &one, "true"),
        ("only > 0.1", &one, "false"),
        ("only in 0.2 0.1", &one, "true"),
        ("only != 0.1", &one, "false"),
        ("max > -1", &none, "false"),
        ("max != 1", &none, "false"),
        ("any > -1", &none, "false"),
        ("all > 1", &none, "true"),
        ("any = 3", &whole, "true"),
        ("min < 3.5", &whole, "true"),
        ("max = -1", &whole, "false"),
        ("mean > 9e18", &whole, "true"),
    ] {
        assert_eq!(ask(asked, tensor), expected, "{asked} of {tensor:?}");
    }
    assert_eq!(
        ask("only > 0", &floats),
        "the condition asks for the only element of \"t\", which has 3"
    );
}

#[test]
fn texts_and_booleans() {
    let texts = Tensor::from_byte_strings(vec![2], ["de", "en"]).unwrap();
    let flags = Tensor::from_slice(vec![2], &[true, false]).unwrap();
    for (asked, tensor, expected) in [
        ("any = de", &texts, "true"),
        ("all in de en", &texts, "true"),
        ("all != fr", &texts, "true"),
        ("any = d", &texts, "false"),
        ("any = true", &flags, "true"),
        ("all = true", &flags, "false"),
    ] {
        assert_eq!(ask(asked, tensor), expected, "{asked} of {tensor:?}");
    }
}

#[test]
fn what_makes_no_sense_is_found_when_the_ensemble_is_compiled() {
    let texts = Tensor::from_byte_strings(vec![2], ["de", "en"]).unwrap();
    let flags = Tensor::from_slice(vec![2], &[true, false]).unwrap();
    let number = Tensor::from_slice(vec![1], &[1i8]).unwrap();
    for (asked, tensor, expected) in [
        (
            "any > 1",
            &texts,
            "the texts of \"t\" are neither above nor below anything",
        ),
        ("max = de", &texts, "there is no max of the texts of \"t\""),
        ("any = 1", &flags, "the booleans of \"t\" are never 1"),
        (
            "only in 1 de",
            &number,
            "the numbers of \"t\" are never \"de\"",
        ),
        (
            "only in",
            &number,
            "one_of names nothing, so it never holds",
        ),
    ] {
        assert_eq!(ask(asked, tensor), format!("unfit: {expected}"), "{asked}");
    }
    let pair = TensorSpec::new("t", Datatype::Fp32, vec![Some(2)]);
    let unfit = CompiledCondition::check(&condition("only > 1"), &pair).unwrap_err();
    assert_eq!(
        unfit.message,
        "the condition asks for the only element of \"t\", which is FP32 [2]"
    );
}
