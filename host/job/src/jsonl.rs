//! One line of JSON, read as an example or as the path of one.

use crate::columns::Plan;
use crate::elements;
use crate::json::{Cursor, Fault};
use crate::key::RowKey;
use crate::lines::LineText;
use consort_inference::{Failure, FailureKind, Signature, Stage, StageKind, Tensor, Tensors};
use std::path::PathBuf;

/// What a line asks for.
#[derive(Debug)]
pub(crate) enum Body {
    /// The tensors of an example.
    Tensors(Tensors),
    /// A file to read.
    Path(PathBuf),
}

/// What is needed to read a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Form<'a> {
    pub(crate) signature: &'a Signature,
    /// The columns of flat rows.
    pub(crate) plan: &'a Plan,
    pub(crate) line_bytes_max: usize,
    /// What the source is called, where there are several.
    pub(crate) origin: Option<&'a str>,
}

/// What was read of a line until it ended, or went wrong.
struct Members<'a> {
    form: Form<'a>,
    key: Option<RowKey>,
    inputs: Option<Tensors>,
    path: Option<String>,
    /// The columns of a flat row; empty until one is met.
    row: Vec<Option<Member>>,
}

/// A column of a flat row.
#[derive(Debug, Clone)]
enum Member {
    /// A whole tensor.
    Tensor(Tensor),
    /// One element of a vector, in its datatype.
    Element(Vec<u8>),
}

/// Reads a line. Its key is that of the line, else its path, else its number.
pub(crate) fn read(line: &LineText<'_>, form: Form<'_>) -> (RowKey, Result<Body, Failure>) {
    let Some(bytes) = line.text else {
        let max = form.line_bytes_max;
        let what = format!("the line is longer than line_bytes_max, {max} bytes");
        let failure = failure(line, form, None, FailureKind::TooLarge, &what);
        return (line_key(line, form), Err(failure));
    };
    // A mark that some editors put at the beginning of a file is no part of the line.
    let first = line.number == 1;
    let mark = b"\xef\xbb\xbf".as_slice();
    let bytes = bytes.strip_prefix(mark).filter(|_| first).unwrap_or(bytes);
    let mut members = Members {
        form,
        key: None,
        inputs: None,
        path: None,
        row: Vec::new(),
    };
    let body = std::str::from_utf8(bytes)
        .map_err(|error| Fault {
            at: error.valid_up_to(),
            what: "the line is not UTF-8".to_owned(),
        })
        .and_then(|text| members.read(&mut Cursor::new(text)));
    let body = body.map_err(|fault| {
        let before = bytes.get(..fault.at).unwrap_or(bytes);
        let column = String::from_utf8_lossy(before).chars().count() + 1;
        let kind = FailureKind::InvalidArgument;
        failure(line, form, Some(column), kind, &fault.what)
    });
    let key = match (members.key, &body) {
        (Some(key), _) => key,
        (None, Ok(Body::Path(path))) => RowKey::path(path),
        (None, _) => line_key(line, form),
    };
    (key, body)
}

fn line_key(line: &LineText<'_>, form: Form<'_>) -> RowKey {
    RowKey::of_row(form.origin, line.number)
}

fn failure(
    line: &LineText<'_>,
    form: Form<'_>,
    column: Option<usize>,
    kind: FailureKind,
    what: &str,
) -> Failure {
    let number = line.number;
    let place = match column {
        Some(column) => format!("line {number}, column {column}"),
        None => format!("line {number}"),
    };
    let origin = form
        .origin
        .map_or(String::new(), |name| format!("{name}, "));
    Failure::new(
        Stage::new(StageKind::Read, "line"),
        kind,
        format!("{origin}{place}: {what}"),
    )
}

// === impl Members ===

impl Members<'_> {
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<Body, Fault> {
        cursor.open(b'{', "an object")?;
        let mut first = true;
        while cursor.another(first, b'}')? {
            first = false;
            cursor.peek();
            let place = cursor.at();
            let name = cursor.name()?;
            let twice = self.member(cursor, &name, place)?;
            if twice {
                return Err(Fault {
                    at: place,
                    what: format!("\"{name}\" is given twice"),
                });
            }
        }
        let end = cursor.at();
        cursor.end()?;
        let fault = |what: String| Fault {
            at: end.saturating_sub(1),
            what,
        };
        let flat = !self.row.is_empty();
        match (self.inputs.take(), self.path.take(), flat) {
            (Some(inputs), None, false) => Ok(Body::Tensors(inputs)),
            (None, Some(path), false) => Ok(Body::Path(path.into())),
            (None, None, true) => self.stack().map(Body::Tensors).map_err(fault),
            (None, None, false) => Err(fault("\"inputs\" is missing (or \"path\")".to_owned())),
            (_, _, false) => Err(fault(
                "give either \"inputs\" or \"path\", not both".to_owned(),
            )),
            (_, _, true) => {
                let what = "give either columns, or \"inputs\" or \"path\"";
                Err(fault(what.to_owned()))
            }
        }
    }

    /// Reads a member's value; whether it was there before.
    fn member(&mut self, cursor: &mut Cursor<'_>, name: &str, place: usize) -> Result<bool, Fault> {
        let plan = self.form.plan;
        // Members that are the form of an example go before inputs of such names, unless
        // columns were named.
        let of_form = !plan.named && matches!(name, "inputs" | "path");
        let inputs_end = plan.key.unwrap_or(plan.names.len());
        let columns = plan.names.get(..inputs_end).unwrap_or_default();
        let column = columns.iter().position(|column| **column == *name);
        let column = column.filter(|_| !of_form);
        if plan
            .key
            .and_then(|key| plan.names.get(key))
            .is_some_and(|key| **key == *name)
        {
            // The key may be an input as well; then it is read as both.
            let again = cursor.clone();
            let twice = self.key.replace(key(cursor)?).is_some();
            if let Some(column) = column {
                *cursor = again;
                self.column(cursor, column)?;
            }
            return Ok(twice);
        }
        match (name, column) {
            (_, Some(column)) => self.column(cursor, column),
            ("key", None) => Ok(self.key.replace(key(cursor)?).is_some()),
            ("inputs", None) => {
                let tensors = inputs(cursor, self.form.signature)?;
                Ok(self.inputs.replace(tensors).is_some())
            }
            ("path", None) => {
                let path = cursor.string("a path as a string")?;
                Ok(self.path.replace(path.into_owned()).is_some())
            }
            // Named columns choose among others.
            _ if plan.named => cursor.skip().map(|()| false),
            _ => {
                let known = "the names are \"key\", \"inputs\", \"path\"";
                Err(Fault {
                    at: place,
                    what: format!("\"{name}\" is not expected; {known}, or those of the inputs"),
                })
            }
        }
    }

    /// Reads the value of a column, for each input that it is part of; whether it was
    /// there before.
    fn column(&mut self, cursor: &mut Cursor<'_>, column: usize) -> Result<bool, Fault> {
        let plan = self.form.plan;
        let name = plan.names.get(column);
        if self.row.is_empty() {
            self.row.resize(plan.names.len(), None);
        }
        let begin = cursor.clone();
        let mut twice = false;
        for (spec, (first, count)) in self.form.signature.inputs.iter().zip(&plan.inputs) {
            for place in *first..first + count {
                if plan.names.get(place) != name {
                    continue;
                }
                *cursor = begin.clone();
                let member = match count {
                    1 => elements::read(cursor, spec).map(Member::Tensor),
                    _ => {
                        let mut element = Vec::new();
                        let read = elements::element(cursor, spec.datatype, &mut element);
                        read.map(|()| Member::Element(element))
                    }
                };
                let member = member.map_err(|fault| Fault {
                    what: format!(
                        "column \"{}\": {}",
                        name.map_or("", |name| name),
                        fault.what
                    ),
                    ..fault
                })?;
                if let Some(slot) = self.row.get_mut(place) {
                    twice = slot.replace(member).is_some();
                }
            }
        }
        Ok(twice)
    }

    /// Makes the tensors of a flat row.
    fn stack(&mut self) -> Result<Tensors, String> {
        let plan = self.form.plan;
        let mut tensors = Tensors::new();
        for (spec, (first, count)) in self.form.signature.inputs.iter().zip(&plan.inputs) {
            let mut data = Vec::new();
            for place in *first..first + count {
                match self.row.get_mut(place).and_then(Option::take) {
                    Some(Member::Tensor(tensor)) => {
                        tensors.insert(spec.name.clone(), tensor);
                    }
                    Some(Member::Element(element)) => data.extend(element),
                    None => {
                        let name = plan.names.get(place).map_or("", |name| name);
                        return Err(format!(
                            "column \"{name}\" is missing; input \"{}\" is {spec}",
                            spec.name
                        ));
                    }
                }
            }
            if *count > 1 {
                let tensor = Tensor::new(spec.datatype, vec![*count], data.into());
                let tensor = tensor.map_err(|error| error.to_string())?;
                tensors.insert(spec.name.clone(), tensor);
            }
        }
        Ok(tensors)
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
    use crate::Columns;
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

    fn read_line(line: &LineText<'_>, columns: &Columns) -> (RowKey, Result<Body, Failure>) {
        let form = Form {
            signature: &signature(),
            plan: &columns.plan_members(&signature()),
            line_bytes_max: 100,
            origin: None,
        };
        read(line, form)
    }

    #[test]
    fn flat_rows_map_by_columns() {
        let columns = Columns {
            key: Some("name".to_owned()),
            tensors: vec![("x".into(), vec!["a".to_owned(), "b".to_owned()])],
        };
        let read = |text: &str| {
            let line = LineText {
                number: 7,
                text: Some(text.as_bytes()),
            };
            let (key, body) = read_line(&line, &columns);
            match body {
                Ok(Body::Tensors(tensors)) => {
                    let x = tensors.tensor("x").unwrap().to_vec::<f32>().unwrap();
                    format!("{} {x:?}", key.text)
                }
                Ok(Body::Path(_)) => "a path".to_owned(),
                Err(failure) => failure.message,
            }
        };
        let text = r#"{"b": 2, "id": 1, "other": {"x": [1, null]}, "a": 1.5, "name": "n"}"#;
        assert_eq!(read(text), "n [1.5, 2.0]");
        let missing = read(r#"{"a": 1, "id": 2}"#);
        assert_eq!(
            missing,
            "line 7, column 17: column \"b\" is missing; input \"x\" is FP32 [2]"
        );
        let bad = read(r#"{"a": "1", "b": 2, "id": 2}"#);
        assert!(
            bad.starts_with("line 7, column 7: column \"a\": a number (or"),
            "{bad}"
        );
        let both = read(r#"{"a": 1, "inputs": {"x": [1, 2], "id": 3}}"#);
        assert!(
            both.contains("give either columns, or \"inputs\""),
            "{both}"
        );
        // Without named columns the members are the inputs by their own names.
        assert_eq!(
            row(br#"{"x": [1, 2], "key": "k", "id": 3}"#),
            ("k".to_owned(), "[1.0, 2.0] [3]".to_owned())
        );
    }

    /// The key and the tensors, path or message of a line 7.
    fn row(text: &[u8]) -> (String, String) {
        let line = LineText {
            number: 7,
            text: Some(text),
        };
        let (key, body) = read_line(&line, &Columns::default());
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
                "line 7, column 14: \"row\" is not expected; the names are \"key\", \"inputs\", \"path\", or those of the inputs",
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
        let (key, body) = read_line(&line, &Columns::default());
        let failure = body.unwrap_err();
        assert_eq!((&*key.text, failure.kind), ("3", FailureKind::TooLarge));
        let message = "line 3: the line is longer than line_bytes_max, 100 bytes";
        assert_eq!(failure.message, message);
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_on_the_first_line_only() {
        let read = |number| {
            let text = Some(b"\xef\xbb\xbf{\"path\": \"a\"}".as_slice());
            read_line(&LineText { number, text }, &Columns::default())
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
