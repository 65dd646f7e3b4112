//! What the converting program answers: lines of JSON, bounded and read strictly.
//!
//! The program may have run a stranger's code, so that nothing it says is taken on trust: names
//! of files are single names, and texts are for people and are cleaned before they are shown.

use serde::Deserialize;

/// The longest line.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;

/// The most inputs or outputs, and the most of everything else that comes in lists.
const LIST_MAX: usize = 100_000;

/// One line.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Line {
    /// What it is at.
    Progress(String),
    /// The end, well.
    Imported(Box<Told>),
    /// The end, without a model.
    Failed(Refusal),
}

/// What was made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    pub(crate) converter: String,
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
    pub(crate) labels: Option<Vec<Label>>,
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) opsets: Vec<(String, i64)>,
    pub(crate) versions: Vec<(String, String)>,
    pub(crate) agreement: Option<Agreement>,
    pub(crate) warnings: Vec<String>,
    pub(crate) files: Vec<String>,
}

/// Why nothing was made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusal {
    pub(crate) kind: RefusalKind,
    pub(crate) message: String,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RefusalKind {
    /// A package is missing; the message is its name.
    Package,
    /// No converter knows the model.
    Unsupported,
    /// Inputs are missing or do not fit.
    Inputs,
    /// The library that wrote the file refuses it.
    File,
    /// The converter itself failed.
    Converter,
}

/// An input or output of the ONNX file, as the file itself declares it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The type of its elements, in the protocol's words; for what is no tensor, what it is.
    pub datatype: String,
    /// The length of each axis, that of the batch included; -1 for any.
    pub shape: Vec<i64>,
}

/// A class of a classifier.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(String),
}

/// How the result compares with the model itself, on rows that were made up.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// How many rows.
    pub rows: u64,
    /// Rows of another label, near ties not counted.
    pub labels_differ: u64,
    /// The largest difference of a value, relative for values above 1.
    pub worst: f64,
}

/// Reads a line.
pub(crate) fn read(line: &[u8]) -> Result<Line, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if let Line::Imported(told) = &line {
        told.check()?;
    }
    Ok(line)
}

/// A text without line breaks and other characters that would change what is around it.
pub(crate) fn plain(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(clean).collect()
}

// === impl Told ===

impl Told {
    fn check(&self) -> Result<(), String> {
        let lengths = [
            self.inputs.len(),
            self.outputs.len(),
            self.labels.as_ref().map_or(0, Vec::len),
            self.columns.as_ref().map_or(0, Vec::len),
            self.files.len(),
        ];
        if lengths.iter().any(|&length| length > LIST_MAX) {
            return Err(format!("a list of more than {LIST_MAX}"));
        }
        let single = |name: &String| {
            let mut parts = std::path::Path::new(name).components();
            let first = parts.next();
            matches!(first, Some(std::path::Component::Normal(_)))
                && parts.next().is_none()
                && !name.contains(['/', '\\'])
        };
        match self.files.iter().find(|name| !single(name)) {
            Some(name) => Err(format!("{name:?} is not the name of a file")),
            None => Ok(()),
        }
    }
}

// === impl Label ===

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(text) => f.write_str(&plain(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IMPORTED: &str = r#"{"imported": {"converter": "c", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [], "labels": [1, "a", 0.5, true], "columns": null, "opsets": [["ai.onnx", 18]], "versions": [["onnx", "1"]],
        "agreement": {"rows": 64, "labels_differ": 0, "worst": 1e-7}, "warnings": [], "files": ["model.onnx"]}}"#;

    #[test]
    fn each_line_is_read() {
        let Line::Imported(told) = read(IMPORTED.as_bytes()).unwrap() else {
            panic!("it is the end");
        };
        assert_eq!(told.inputs[0].shape, [-1, 4]);
        let labels = told.labels.unwrap();
        assert_eq!(labels[0], Label::Int(1));
        assert_eq!(labels[3], Label::Bool(true));
        assert_eq!(told.opsets, [("ai.onnx".to_owned(), 18)]);
        let line = read(br#"{"progress": "at it"}"#).unwrap();
        assert!(matches!(line, Line::Progress(text) if text == "at it"));
        let line = read(br#"{"failed": {"kind": "package", "message": "skl2onnx"}}"#).unwrap();
        assert!(matches!(line, Line::Failed(_)));
    }

    #[test]
    fn what_is_not_expected_is_refused() {
        for (from, to) in [
            ("model.onnx", "../model.onnx"),
            ("model.onnx", "/etc/passwd"),
            ("model.onnx", "a\\\\b"),
            ("model.onnx", ""),
            ("\"rows\": 64", "\"rows\": -1"),
            ("\"converter\"", "\"surprise\": 1, \"converter\""),
            ("[-1, 4]", "[0.5]"),
        ] {
            assert!(IMPORTED.contains(from), "{from}");
            let text = IMPORTED.replacen(from, to, 1);
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(read(br#"{"progress": "a", "failed": {}}"#).is_err());
        assert!(read(b"Traceback").is_err());
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&bytes);
        }

        #[test]
        fn a_plain_text_is_one_line(text in any::<String>()) {
            prop_assert!(!plain(&text).chars().any(char::is_control));
        }
    }
}
