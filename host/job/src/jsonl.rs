//! One line of JSON, read as an example or as the path of one.

use crate::elements;
use crate::json::{Cursor, Fault};
use crate::key::RowKey;
use crate::lines::LineText;
use consort_inference::{Failure, FailureKind, Signature, Stage, StageKind, Tensors};
use std::path::PathBuf;

/// What a line asks for.
#[derive(Debug)]
pub(crate) enum Body {
    /// The tensors of an example.
    Tensors(Tensors),
    /// A file to read.
    Path(PathBuf),
}

/// What was read of a line until it ended, or went wrong.
#[derive(Default)]
struct Members {
    key: Option<RowKey>,
    inputs: Option<Tensors>,
    path: Option<String>,
}

/// Reads a line. Its key is that of the line, else its path, else its number.
pub(crate) fn read(
    line: &LineText<'_>,
    signature: &Signature,
    line_bytes_max: usize,
) -> (RowKey, Result<Body, Failure>) {
    let Some(bytes) = line.text else {
        let what = format!("the line is longer than line_bytes_max, {line_bytes_max} bytes");
        let key = RowKey::line(line.number);
        return (key, Err(failure(line, None, FailureKind::TooLarge, &what)));
    };
    // A mark that some editors put at the beginning of a file is no part of the line.
    let first = line.number == 1;
    let mark = b"\xef\xbb\xbf".as_slice();
    let bytes = bytes.strip_prefix(mark).filter(|_| first).unwrap_or(bytes);
    let mut members = Members::default();
    let body = std::str::from_utf8(bytes)
        .map_err(|error| Fault {
            at: error.valid_up_to(),
            what: "the line is not UTF-8".to_owned(),
        })
        .and_then(|text| members.read(&mut Cursor::new(text), signature));
    let body = body.map_err(|fault| {
        let before = bytes.get(..fault.at).unwrap_or(bytes);
        let column = String::from_utf8_lossy(before).chars().count() + 1;
        let kind = FailureKind::InvalidArgument;
        failure(line, Some(column), kind, &fault.what)
    });
    let key = match (members.key, &body) {
        (Some(key), _) => key,
        (None, Ok(Body::Path(path))) => RowKey::path(path),
        (None, _) => RowKey::line(line.number),
    };
    (key, body)
}

fn failure(line: &LineText<'_>, column: Option<usize>, kind: FailureKind, what: &str) -> Failure {
    let number = line.number;
    let place = match column {
        Some(column) => format!("line {number}, column {column}"),
        None => format!("line {number}"),
    };
    Failure::new(
        Stage::new(StageKind::Read, "line"),
        kind,
        format!("{place}: {what}"),
    )
}

// === impl Members ===

impl Members {
    fn read(&mut self, cursor: &mut Cursor<'_>, signature: &Signature) -> Result<Body, Fault> {
        cursor.open(b'{', "an object")?;
        let mut first = true;
        while cursor.another(first, b'}')? {
            first = false;
            cursor.peek();
            let place = cursor.clone();
            let name = cursor.name()?;
            let twice = match &*name {
                "key" => self.key.replace(key(cursor)?).is_some(),
                "inputs" => self.inputs.replace(inputs(cursor, signature)?).is_some(),
                "path" => {
                    let path = cursor.string("a path as a string")?;
                    self.path.replace(path.into_owned()).is_some()
                }
                _ => {
                    let known = "the names are \"key\", \"inputs\", \"path\"";
                    return Err(place.fault(format!("\"{name}\" is not expected; {known}")));
                }
            };
            if twice {
                return Err(place.fault(format!("\"{name}\" is given twice")));
            }
        }
        let end = cursor.at();
        cursor.end()?;
        let fault = |what: &str| Fault {
            at: end.saturating_sub(1),
            what: what.to_owned(),
        };
        match (self.inputs.take(), self.path.take()) {
            (Some(inputs), None) => Ok(Body::Tensors(inputs)),
            (None, Some(path)) => Ok(Body::Path(path.into())),
            (None, None) => Err(fault("\"inputs\" is missing (or \"path\")")),
            (Some(_), Some(_)) => Err(fault("give either \"inputs\" or \"path\", not both")),
        }
    }
}

fn key(cursor: &mut Cursor<'_>) -> Result<RowKey, Fault> {
    match cursor.peek() {
        Some(b'-' | b'0'..=b'9') => Ok(RowKey::number(cursor.number("a number")?.text)),
        _ => Ok(RowKey::text(&cursor.string("a string or a number")?)),
    }
}

fn inputs(cursor: &mut Cursor<'_>, signature: &Signature) -> Result<Tensors, Fault> {
    cursor.open(b'{', "an object")?;
    let mut tensors = Tensors::new();
    let mut first = true;
    while cursor.another(first, b'}')? {
        first = false;
        cursor.peek();
        let place = cursor.clone();
        let name = cursor.name()?;
        let Some(spec) = signature.inputs.iter().find(|spec| *spec.name == *name) else {
            let known: Vec<String> = signature
                .inputs
                .iter()
                .map(|spec| format!("\"{}\"", spec.name))
                .collect();
            let known = known.join(", ");
            return Err(place.fault(format!("\"{name}\" is no input; the inputs are {known}")));
        };
        let tensor = elements::read(cursor, spec).map_err(|fault| Fault {
            what: format!("input \"{name}\": {}", fault.what),
            ..fault
        })?;
        if tensors.insert(spec.name.clone(), tensor).is_some() {
            return Err(place.fault(format!("input \"{name}\" is given twice")));
        }
    }
    let missing = signature
        .inputs
        .iter()
        .find(|spec| tensors.tensor(&spec.name).is_none());
    match missing {
        None => Ok(tensors),
        Some(spec) => Err(Fault {
            at: cursor.at().saturating_sub(1),
            what: format!("input \"{}\" is missing; {spec} is expected", spec.name),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::{Datatype, TensorSpec};
    use proptest::prelude::*;

    fn signature() -> Signature {
        Signature {
            inputs: vec![
                TensorSpec::new("x", Datatype::Fp32, vec![Some(2)]),
                TensorSpec::new("id", Datatype::Uint8, vec![Some(1)]),
            ],
            outputs: vec![],
        }
    }

    /// The key and the tensors, path or message of a line 7.
    fn row(text: &[u8]) -> (String, String) {
        let line = LineText {
            number: 7,
            text: Some(text),
        };
        let (key, body) = read(&line, &signature(), 100);
        let body = match body {
            Ok(Body::Tensors(tensors)) => {
                let x = tensors.tensor("x").unwrap().to_vec::<f32>().unwrap();
                let id = tensors.tensor("id").unwrap().to_vec::<u8>().unwrap();
                format!("{x:?} {id:?}")
            }
            Ok(Body::Path(path)) => format!("path {}", path.display()),
            Err(failure) => {
                assert_eq!(failure.stage.kind, StageKind::Read);
                assert_eq!(failure.kind, FailureKind::InvalidArgument);
                failure.message
            }
        };
        let mark = if key.number { "#" } else { "" };
        (format!("{mark}{}", key.text), body)
    }

    #[test]
    fn lines_that_are_examples() {
        for (text, key, body) in [
            (
                r#"{"key":"a","inputs":{"x":[1,2],"id":3}}"#,
                "a",
                "[1.0, 2.0] [3]",
            ),
            (
                r#" { "inputs" : { "id" : [3] , "x" : [1e0, -2.5] } } "#,
                "#7",
                "[1.0, -2.5] [3]",
            ),
            (
                r#"{"key": 1.0, "inputs": {"x": [1, 2], "id": 3}}"#,
                "#1.0",
                "[1.0, 2.0] [3]",
            ),
            (r#"{"key": "k\u00fc", "path": "a/b"}"#, "kü", "path a/b"),
            (r#"{"path": "a/b"}"#, "a/b", "path a/b"),
        ] {
            assert_eq!(row(text.as_bytes()), (key.to_owned(), body.to_owned()));
        }
    }

    #[test]
    fn lines_that_are_none_say_where_and_why() {
        for (text, key, message) in [
            (
                "[]",
                "#7",
                "line 7, column 1: an object is expected, an array was found",
            ),
            (
                "{",
                "#7",
                "line 7, column 2: a name in quotes is expected, the line ends",
            ),
            (
                "{}",
                "#7",
                "line 7, column 2: \"inputs\" is missing (or \"path\")",
            ),
            (
                r#"{"path": "a"} x"#,
                "#7",
                "line 7, column 15: the end of the line is expected, 'x' was found",
            ),
            (
                r#"{"key": null}"#,
                "#7",
                "line 7, column 9: a string or a number is expected, 'null' was found",
            ),
            (
                r#"{"key": "ü", "row": 1}"#,
                "ü",
                "line 7, column 14: \"row\" is not expected; the names are \"key\", \"inputs\", \"path\"",
            ),
            (
                r#"{"key": 1, "key": 2}"#,
                "#2",
                "line 7, column 12: \"key\" is given twice",
            ),
            (
                r#"{"key": 1, "inputs": {"y": 1}}"#,
                "#1",
                "line 7, column 23: \"y\" is no input; the inputs are \"x\", \"id\"",
            ),
            (
                r#"{"key": 1, "inputs": {"x": [1, 2]}}"#,
                "#1",
                "line 7, column 34: input \"id\" is missing; UINT8 [1] is expected",
            ),
            (
                r#"{"inputs": {"id": 1, "id": 2}}"#,
                "#7",
                "line 7, column 22: input \"id\" is given twice",
            ),
            (
                r#"{"inputs": {"x": [1, "2"]}}"#,
                "#7",
                "line 7, column 22: input \"x\": a number (or \"NaN\", \"Infinity\", \"-Infinity\") is expected, \"2\" was found",
            ),
            (
                r#"{"inputs": {"id": 256}}"#,
                "#7",
                "line 7, column 19: input \"id\": 256 is out of range for UINT8 (0 to 255)",
            ),
            (
                r#"{"inputs": {"id": 1, "x": [1, 2]}, "path": "a"}"#,
                "#7",
                "line 7, column 47: give either \"inputs\" or \"path\", not both",
            ),
            (
                r#"{"path": "a}"#,
                "#7",
                "line 7, column 10: the string has no end",
            ),
            (
                r#"{"path" "a"}"#,
                "#7",
                "line 7, column 9: ':' is expected, a string was found",
            ),
        ] {
            assert_eq!(
                row(text.as_bytes()),
                (key.to_owned(), message.to_owned()),
                "{text}"
            );
        }
        let (_, message) = row(b"{\"path\": \"\xff\"}");
        assert_eq!(message, "line 7, column 11: the line is not UTF-8");
    }

    #[test]
    fn a_line_over_the_limit_names_it() {
        let line = LineText {
            number: 3,
            text: None,
        };
        let (key, body) = read(&line, &signature(), 100);
        let failure = body.unwrap_err();
        assert_eq!((&*key.text, failure.kind), ("3", FailureKind::TooLarge));
        let message = "line 3: the line is longer than line_bytes_max, 100 bytes";
        assert_eq!(failure.message, message);
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_on_the_first_line_only() {
        let read = |number| {
            let text = Some(b"\xef\xbb\xbf{\"path\": \"a\"}".as_slice());
            read(&LineText { number, text }, &signature(), 100)
                .1
                .is_ok()
        };
        assert!(read(1) && !read(2));
    }

    proptest! {
        /// Whatever is read as an example is JSON; whatever is not fails with a place.
        #[test]
        fn only_json_is_accepted(text in "\\{(\"(key|inputs|path|x|id)\":|[\\[\\]{},0-9.\"a-z -]){0,14}\\}") {
            let (_, found) = row(text.as_bytes());
            if !found.starts_with("line 7, column ") {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            row(&bytes);
        }
    }
}
