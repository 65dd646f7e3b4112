//! Reads the lines that `consort run` wrote for the example `file-type`.

use crate::failure::Failure;
use crate::table::{self, Align};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One line: one file and what it is.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Prediction {
    pub(crate) key: String,
    pub(crate) outputs: Outputs,
}

/// The tensors of the ensemble `file-type`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Outputs {
    pub(crate) label: String,
    pub(crate) score: f64,
    pub(crate) mime_type: String,
}

/// Every prediction of a file of JSON lines.
pub(crate) fn read(path: &Path) -> Result<Vec<Prediction>, Failure> {
    let text = std::fs::read_to_string(path).map_err(Failure::file("cannot read", path))?;
    let mut predictions = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let prediction = serde_json::from_str(line).map_err(|error| Failure::Prediction {
            path: path.to_owned(),
            line: at + 1,
            problem: error.to_string(),
        })?;
        predictions.push(prediction);
    }
    Ok(predictions)
}

/// A row for each label, the most frequent first, each with the file that is surest of it.
pub(crate) fn by_label(predictions: &[Prediction], show: impl Fn(&str) -> String) -> String {
    let mut labels: BTreeMap<&str, Vec<&Prediction>> = BTreeMap::new();
    for prediction in predictions {
        labels
            .entry(&prediction.outputs.label)
            .or_default()
            .push(prediction);
    }
    let mut labels: Vec<(&str, Vec<&Prediction>)> = labels.into_iter().collect();
    labels.sort_by_key(|(label, files)| (usize::MAX - files.len(), *label));
    let rows: Vec<Vec<String>> = labels
        .iter()
        .filter_map(|(label, files)| {
            let surest = files
                .iter()
                .max_by(|one, other| one.outputs.score.total_cmp(&other.outputs.score))?;
            Some(vec![
                show(&surest.key),
                (*label).to_owned(),
                format!("{:.3}", surest.outputs.score),
                surest.outputs.mime_type.clone(),
                files.len().to_string(),
            ])
        })
        .collect();
    let head = [
        ("file", Align::Left),
        ("label", Align::Left),
        ("score", Align::Right),
        ("MIME type", Align::Left),
        ("files with this label", Align::Right),
    ];
    table::render(&head, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str, label: &str, score: f64) -> String {
        format!(
            r#"{{"key":"{key}","outputs":{{"label":"{label}","score":{score},"mime_type":"x/{label}","group":"g"}},"model_id":"m"}}"#
        )
    }

    #[test]
    fn labels_are_counted_and_shown_by_their_surest_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.jsonl");
        let lines = [
            line("/r/a.zip", "zip", 1.0),
            line("/r/a.rs", "rust", 0.5),
            line("/r/b.rs", "rust", 0.75),
        ];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let predictions = read(&path).unwrap();
        let text = by_label(&predictions, |key| key.trim_start_matches("/r/").to_owned());
        assert_eq!(
            text,
            "  file   label  score  MIME type  files with this label\n  \
               -----  -----  -----  ---------  ---------------------\n  \
               b.rs   rust   0.750  x/rust                         2\n  \
               a.zip  zip    1.000  x/zip                          1\n"
        );
    }

    #[test]
    fn a_line_that_is_no_prediction_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.jsonl");
        std::fs::write(&path, format!("{}\n{{\"key\": 1}}\n", line("a", "b", 1.0))).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.contains("out.jsonl, line 2, is not a prediction: "),
            "{error}"
        );
    }
}
