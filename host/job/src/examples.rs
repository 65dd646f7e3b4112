//! The examples of a small file, all at once: for whoever needs some before there is a job,
//! as a model does that is warmed up.

use crate::columns::Columns;
use crate::jsonl::{self, Body, Form};
use crate::lines::LineText;
use consort_inference::{Signature, Tensors};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The most bytes of such a file.
const BYTES_MAX: usize = 64 << 20;
/// The most examples in it.
const EXAMPLES_MAX: usize = 4096;

/// A file that is no list of examples.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExamplesError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is too much in it.
    #[error("{path} has more than {EXAMPLES_MAX} examples or {BYTES_MAX} bytes; leave some out")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing in it.
    #[error("{path} has no example; write one JSON object a line, {{\"inputs\": {{...}}}}")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A line is no example.
    #[error("{path}: {what}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, and what is wrong with it.
        what: String,
    },
}

/// Reads a file of JSON lines as a job reads them: `{"inputs": {...}}`, or a flat object
/// with the inputs as its members. Empty lines are passed over. Blocks.
pub fn read_examples(path: &Path, signature: &Signature) -> Result<Vec<Tensors>, ExamplesError> {
    let path = || path.to_owned();
    let unreadable = |source| ExamplesError::Unreadable {
        path: path(),
        source,
    };
    let mut text = Vec::new();
    let file = File::open(path()).map_err(unreadable)?;
    let most = BYTES_MAX as u64 + 1;
    file.take(most).read_to_end(&mut text).map_err(unreadable)?;
    if text.len() > BYTES_MAX {
        return Err(ExamplesError::TooLarge { path: path() });
    }
    let plan = Columns::default().plan_members(signature);
    let form = Form {
        signature,
        plan: &plan,
        line_bytes_max: BYTES_MAX,
        origin: None,
    };
    let mut examples = Vec::new();
    for (number, line) in (1u64..).zip(text.split(|byte| *byte == b'\n')) {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let line = LineText {
            number,
            text: Some(line),
        };
        let wrong = |what: String| ExamplesError::Line { path: path(), what };
        match jsonl::read(&line, form).1 {
            Ok(Body::Tensors(tensors)) => examples.push(tensors),
            Ok(Body::Path(_)) => {
                let what = "names a file, and what to read of it is not known here";
                return Err(wrong(format!("line {number} {what}")));
            }
            Err(failure) => return Err(wrong(failure.message)),
        }
        if examples.len() > EXAMPLES_MAX {
            return Err(ExamplesError::TooLarge { path: path() });
        }
    }
    match examples.is_empty() {
        true => Err(ExamplesError::Empty { path: path() }),
        false => Ok(examples),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::{Datatype, TensorSpec};

    fn read(text: &str) -> Result<Vec<Vec<f32>>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, text).unwrap();
        let signature = Signature {
            inputs: vec![TensorSpec::new("x", Datatype::Fp32, vec![Some(2)])],
            outputs: Vec::new(),
        };
        let examples = read_examples(&path, &signature).map_err(|error| {
            let folder = format!("{}/", folder.path().display());
            error.to_string().replace(&folder, "")
        })?;
        let row = |row: &Tensors| row.tensor("x").unwrap().to_vec().unwrap();
        Ok(examples.iter().map(row).collect())
    }

    #[test]
    fn both_forms_of_lines_are_read() {
        let text = "{\"inputs\": {\"x\": [1, 2]}}\n\n  \n{\"key\": \"k\", \"x\": [3, 4]}";
        assert_eq!(read(text).unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
    }

    #[test]
    fn what_is_no_example_is_named_with_its_line() {
        let error = read("{\"x\": [1, 2]}\n{\"x\": [1]}\n").unwrap_err();
        assert!(error.starts_with("rows.jsonl: line 2, column "), "{error}");
        let error = read("{\"path\": \"a.png\"}").unwrap_err();
        assert!(
            error.starts_with("rows.jsonl: line 1 names a file"),
            "{error}"
        );
        let error = read(" \n").unwrap_err();
        assert!(error.starts_with("rows.jsonl has no example"), "{error}");
        let many = "{\"x\": [1, 2]}\n".repeat(EXAMPLES_MAX + 1);
        let error = read(&many).unwrap_err();
        assert!(error.contains("more than 4096 examples"), "{error}");
        let missing = read_examples(Path::new("/nowhere/rows"), &Signature::default());
        assert!(matches!(missing, Err(ExamplesError::Unreadable { .. })));
    }
}
