//! Answers as lines of text.
//!
//! A prediction is `{"key": .., "outputs": {NAME: VALUE}, "model_id": ".."}`, a dead letter
//! `{"key": .., "error": {"stage": .., "step": .., "kind": .., "message": ".."}}`.

use crate::Failures;
use crate::key::RowKey;
use crate::value;
use consort_inference::{Failure, FailureKind, Key, Prediction, Stage, StageKind};

/// How many failures are logged when there is nowhere to write them.
pub(crate) const FAILURES_LOGGED_MAX: usize = 10;

/// The lines of some examples, and what they were.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) predictions: Vec<u8>,
    pub(crate) dead_letters: Vec<u8>,
    pub(crate) predicted: u64,
    pub(crate) failures: Failures,
    /// The first few failures that are written nowhere.
    pub(crate) unwritten: Vec<(Key, Failure)>,
}

/// Makes lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lines {
    /// Whether dead letters are written.
    pub(crate) dead_letters: bool,
}

// === impl Lines ===

impl Lines {
    /// Adds the line of an answered example.
    pub(crate) fn answer(
        self,
        rendered: &mut Rendered,
        key: &RowKey,
        answer: Result<Prediction, Failure>,
    ) {
        let written = answer.and_then(|answer| prediction(&mut rendered.predictions, key, &answer));
        match written {
            Ok(()) => rendered.predicted += 1,
            Err(failure) => self.failure(rendered, key, failure),
        }
    }

    /// Adds the line of a failed example.
    pub(crate) fn failure(self, rendered: &mut Rendered, key: &RowKey, failure: Failure) {
        rendered.failures.add(failure.stage.kind, failure.kind, 1);
        if self.dead_letters {
            dead_letter(&mut rendered.dead_letters, key, &failure);
        } else if rendered.unwritten.len() < FAILURES_LOGGED_MAX {
            rendered.unwritten.push((key.text.clone(), failure));
        }
    }
}

fn prediction(out: &mut Vec<u8>, key: &RowKey, prediction: &Prediction) -> Result<(), Failure> {
    let begin = out.len();
    write_key(out, key);
    out.extend_from_slice(b", \"outputs\": {");
    for (index, (name, tensor)) in prediction.outputs.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        value::string(out, name);
        out.extend_from_slice(b": ");
        if let Err(what) = value::write(out, tensor) {
            out.truncate(begin);
            let stage = Stage::new(StageKind::Write, "line");
            let message = format!("output \"{name}\" cannot be written: {what}");
            return Err(Failure::new(stage, FailureKind::Unwritable, message));
        }
    }
    out.extend_from_slice(b"}, \"model_id\": ");
    let model_id = &prediction.model_id;
    // Writing to a vector cannot fail.
    let _ = serde_json::to_writer(&mut *out, &format_args!("{model_id}"));
    out.extend_from_slice(b"}\n");
    Ok(())
}

fn dead_letter(out: &mut Vec<u8>, key: &RowKey, failure: &Failure) {
    write_key(out, key);
    out.extend_from_slice(b", \"error\": {\"stage\": ");
    value::string(out, failure.stage.kind.as_str());
    out.extend_from_slice(b", \"step\": ");
    value::string(out, &failure.stage.name);
    out.extend_from_slice(b", \"kind\": ");
    value::string(out, failure.kind.as_str());
    out.extend_from_slice(b", \"message\": ");
    value::string(out, &failure.message);
    out.extend_from_slice(b"}}\n");
}

fn write_key(out: &mut Vec<u8>, key: &RowKey) {
    out.extend_from_slice(b"{\"key\": ");
    match key.number {
        true => out.extend_from_slice(key.text.as_bytes()),
        false => value::string(out, &key.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::{ModelId, Tensor, Tensors};

    fn outputs(named: Vec<(&str, Tensor)>) -> Prediction {
        let named = named
            .into_iter()
            .map(|(name, tensor)| (name.into(), tensor));
        Prediction {
            key: None,
            outputs: Tensors::from_named(named).unwrap(),
            model_id: ModelId::new("magika", "standard_v3_3"),
            example: None,
        }
    }

    #[test]
    fn lines_are_as_documented() {
        let label = Tensor::from_byte_strings(vec![1], ["pdf"]).unwrap();
        let score = Tensor::from_slice(vec![1], &[0.998f32]).unwrap();
        let answer = outputs(vec![("label", label), ("score", score)]);
        let mut rendered = Rendered::default();
        let lines = Lines { dead_letters: true };
        lines.answer(&mut rendered, &RowKey::text("a \"b\"\n"), Ok(answer));
        let stage = Stage::new(StageKind::Preprocess, "features");
        let failure = Failure::new(stage, FailureKind::PluginTrapped, "unreachable");
        lines.failure(&mut rendered, &RowKey::line(7), failure);
        assert_eq!(
            String::from_utf8(rendered.predictions).unwrap(),
            "{\"key\": \"a \\\"b\\\"\\n\", \"outputs\": {\"label\": \"pdf\", \"score\": 0.998}, \
             \"model_id\": \"magika:standard_v3_3\"}\n"
        );
        assert_eq!(
            String::from_utf8(rendered.dead_letters).unwrap(),
            "{\"key\": 7, \"error\": {\"stage\": \"preprocess\", \"step\": \"features\", \
             \"kind\": \"plugin_trapped\", \"message\": \"unreachable\"}}\n"
        );
        assert_eq!((rendered.predicted, rendered.failures.total()), (1, 1));
    }

    #[test]
    fn a_prediction_that_cannot_be_written_is_a_dead_letter_and_no_half_line() {
        let good = Tensor::from_slice(vec![1], &[1u8]).unwrap();
        let bad = Tensor::from_slice(vec![1; 100], &[1u8]).unwrap();
        let answer = outputs(vec![("good", good), ("bad", bad)]);
        let mut rendered = Rendered::default();
        Lines { dead_letters: true }.answer(&mut rendered, &RowKey::text("a"), Ok(answer));
        assert!(rendered.predictions.is_empty());
        let line = String::from_utf8(rendered.dead_letters).unwrap();
        assert!(line.contains("\"stage\": \"write\""), "{line}");
        assert!(
            line.contains("output \\\"bad\\\" cannot be written: it has 100 axes"),
            "{line}"
        );
        assert_eq!((rendered.predicted, rendered.failures.total()), (0, 1));
    }

    #[test]
    fn without_dead_letters_the_first_failures_are_kept_for_the_log() {
        let mut rendered = Rendered::default();
        for index in 0..25 {
            let stage = Stage::new(StageKind::Read, "file");
            let failure = Failure::new(stage, FailureKind::Unreadable, "gone");
            let lines = Lines {
                dead_letters: false,
            };
            lines.failure(&mut rendered, &RowKey::line(index), failure);
        }
        assert!(rendered.dead_letters.is_empty());
        assert_eq!(rendered.unwritten.len(), FAILURES_LOGGED_MAX);
        assert_eq!(rendered.failures.total(), 25);
    }
}
