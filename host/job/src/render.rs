//! Answers as lines of text, or as rows of a table.
//!
//! A prediction is `{"key": .., "outputs": {NAME: VALUE}, "model_id": ".."}`, with
//! `"example": {NAME: VALUE}` where that is asked for, `"arms": {STEP: ARM}` where a step chose
//! one of several, and `"partial": [{"stage": .., "step": .., "kind": .., "message": ..}]` where
//! the ensemble went on without a step; or a row by the [`Layout`], which has neither. A dead
//! letter is always `{"key": .., "error": {"stage": .., "step": .., "kind": ..,
//! "message": ".."}, "example": ..}`; an example that is too long is cut off, and
//! `"example_truncated": true` says so.

use crate::Failures;
use crate::csv_lines;
use crate::key::RowKey;
use crate::layout::Layout;
use crate::original;
use crate::source::Body;
use crate::table::TablePage;
use crate::value;
use consort_inference::{
    Arm, Failure, FailureKind, Key, ModelId, Prediction, Stage, StageKind, Tensors,
};
use std::sync::Arc;

/// How many failures are logged when there is nowhere to write them.
pub(crate) const FAILURES_LOGGED_MAX: usize = 10;

/// The lines of some examples, and what they were.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    pub(crate) predictions: Vec<u8>,
    /// Predictions that are no lines.
    pub(crate) table: TablePage,
    /// The model of the last prediction, and its text: most often it is that of the next.
    pub(crate) model: Option<(ModelId, Vec<u8>)>,
    pub(crate) dead_letters: Vec<u8>,
    pub(crate) predicted: u64,
    pub(crate) failures: Failures,
    /// The first few failures that are written nowhere.
    pub(crate) unwritten: Vec<(Key, Failure)>,
}

/// What a prediction looks like.
#[derive(Debug, Clone)]
pub(crate) enum Style {
    Jsonl,
    Csv(Arc<Layout>, u8),
    Table(Arc<Layout>),
}

/// Makes lines.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    pub(crate) style: Style,
    /// Whether dead letters are written.
    pub(crate) dead_letters: bool,
    /// The most bytes of an original example in a dead letter.
    pub(crate) example_bytes_max: usize,
}

/// Which example an answer belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whence<'a> {
    pub(crate) key: &'a RowKey,
    pub(crate) body: &'a Body,
    /// Its place in the chunk.
    pub(crate) index: usize,
}

// === impl Lines ===

impl Lines {
    /// Adds the line of an answered example, or says why it cannot be written.
    pub(crate) fn answer(
        &self,
        rendered: &mut Rendered,
        whence: Whence<'_>,
        answer: &Prediction,
    ) -> Result<(), Failure> {
        self.prediction(rendered, whence.key, answer)?;
        rendered.predicted += 1;
        Ok(())
    }

    /// Adds the line of a failed example, which was read well or not.
    pub(crate) fn failure(
        &self,
        rendered: &mut Rendered,
        whence: Whence<'_>,
        parsed: bool,
        failure: Failure,
    ) {
        rendered.failures.add(failure.stage.kind, failure.kind, 1);
        if self.dead_letters {
            let out = &mut rendered.dead_letters;
            dead_letter(out, whence.key, &failure);
            out.extend_from_slice(b", \"example\": ");
            let Whence { key, body, index } = whence;
            if !original::write(out, body, index, key, parsed, self.example_bytes_max) {
                out.extend_from_slice(b", \"example_truncated\": true");
            }
            out.extend_from_slice(b"}\n");
        } else if rendered.unwritten.len() < FAILURES_LOGGED_MAX {
            rendered.unwritten.push((whence.key.text.clone(), failure));
        }
    }

    fn prediction(
        &self,
        rendered: &mut Rendered,
        key: &RowKey,
        answer: &Prediction,
    ) -> Result<(), Failure> {
        let out = &mut rendered.predictions;
        let written = match &self.style {
            Style::Jsonl => prediction(out, key, answer, &mut rendered.model),
            Style::Csv(layout, delimiter) => {
                csv_lines::prediction(out, key, answer, layout, *delimiter)
            }
            Style::Table(layout) => rendered.table.prediction(key, answer, layout),
        };
        written.map_err(|message| {
            let stage = Stage::new(StageKind::Write, "line");
            Failure::new(stage, FailureKind::Unwritable, message)
        })
    }
}

fn prediction(
    out: &mut Vec<u8>,
    key: &RowKey,
    prediction: &Prediction,
    model: &mut Option<(ModelId, Vec<u8>)>,
) -> Result<(), String> {
    let begin = out.len();
    write_key(out, key);
    out.extend_from_slice(b", \"outputs\": ");
    let mut written = tensors(out, "output", &prediction.outputs);
    out.extend_from_slice(b", \"model_id\": ");
    match model {
        Some((id, text)) if *id == prediction.model_id => out.extend_from_slice(text),
        _ => {
            let mut text = Vec::new();
            value::string(&mut text, &prediction.model_id.to_string());
            out.extend_from_slice(&text);
            *model = Some((prediction.model_id.clone(), text));
        }
    }
    if let (Some(example), true) = (&prediction.example, written.is_ok()) {
        out.extend_from_slice(b", \"example\": ");
        written = tensors(out, "input", example);
    }
    arms(out, &prediction.arms);
    partial(out, &prediction.partial);
    out.extend_from_slice(b"}\n");
    if written.is_err() {
        out.truncate(begin);
    }
    written
}

fn tensors(out: &mut Vec<u8>, what: &str, tensors: &Tensors) -> Result<(), String> {
    out.push(b'{');
    for (index, (name, tensor)) in tensors.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        value::string(out, name);
        out.extend_from_slice(b": ");
        value::write(out, tensor)
            .map_err(|why| format!("{what} \"{name}\" cannot be written: {why}"))?;
    }
    out.push(b'}');
    Ok(())
}

/// Which way the example went at steps that chose one.
fn arms(out: &mut Vec<u8>, arms: &[Arm]) {
    for (index, Arm { step, arm }) in arms.iter().enumerate() {
        let before: &[u8] = if index == 0 { b", \"arms\": {" } else { b", " };
        out.extend_from_slice(before);
        value::string(out, step);
        out.extend_from_slice(b": ");
        value::string(out, arm);
    }
    if !arms.is_empty() {
        out.push(b'}');
    }
}

/// Why steps that the ensemble can do without gave nothing.
fn partial(out: &mut Vec<u8>, failures: &[Failure]) {
    for (index, failure) in failures.iter().enumerate() {
        let before: &[u8] = if index == 0 {
            b", \"partial\": ["
        } else {
            b", "
        };
        out.extend_from_slice(before);
        error(out, failure);
    }
    if !failures.is_empty() {
        out.push(b']');
    }
}

fn dead_letter(out: &mut Vec<u8>, key: &RowKey, failure: &Failure) {
    write_key(out, key);
    out.extend_from_slice(b", \"error\": ");
    error(out, failure);
}

fn error(out: &mut Vec<u8>, failure: &Failure) {
    out.extend_from_slice(b"{\"stage\": ");
    value::string(out, failure.stage.kind.as_str());
    out.extend_from_slice(b", \"step\": ");
    value::string(out, &failure.stage.name);
    out.extend_from_slice(b", \"kind\": ");
    value::string(out, failure.kind.as_str());
    out.extend_from_slice(b", \"message\": ");
    value::string(out, &failure.message);
    out.push(b'}');
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

    fn lines(dead_letters: bool) -> Lines {
        Lines {
            style: Style::Jsonl,
            dead_letters,
            example_bytes_max: 100,
        }
    }

    fn none() -> Body {
        Body::Steps(vec![])
    }

    fn whence<'a>(key: &'a RowKey, body: &'a Body) -> Whence<'a> {
        Whence {
            key,
            body,
            index: 0,
        }
    }

    fn outputs(named: Vec<(&str, Tensor)>) -> Prediction {
        let named = named
            .into_iter()
            .map(|(name, tensor)| (name.into(), tensor));
        Prediction::new(
            None,
            Tensors::from_named(named).unwrap(),
            ModelId::new("magika", "standard_v3_3"),
        )
    }

    #[test]
    fn lines_are_as_documented() {
        let label = Tensor::from_byte_strings(vec![1], ["pdf"]).unwrap();
        let score = Tensor::from_slice(vec![1], &[0.998f32]).unwrap();
        let answer = outputs(vec![("label", label), ("score", score)]);
        let mut rendered = Rendered::default();
        let lines = lines(true);
        let key = RowKey::text("a \"b\"\n");
        lines
            .answer(&mut rendered, whence(&key, &none()), &answer)
            .unwrap();
        let stage = Stage::new(StageKind::Preprocess, "features");
        let failure = Failure::new(stage, FailureKind::PluginTrapped, "unreachable");
        lines.failure(
            &mut rendered,
            whence(&RowKey::line(7), &none()),
            true,
            failure,
        );
        assert_eq!(
            String::from_utf8(rendered.predictions).unwrap(),
            "{\"key\": \"a \\\"b\\\"\\n\", \"outputs\": {\"label\": \"pdf\", \"score\": 0.998}, \
             \"model_id\": \"magika:standard_v3_3\"}\n"
        );
        assert_eq!(
            String::from_utf8(rendered.dead_letters).unwrap(),
            "{\"key\": 7, \"error\": {\"stage\": \"preprocess\", \"step\": \"features\", \
             \"kind\": \"plugin_trapped\", \"message\": \"unreachable\"}, \"example\": {\"path\": \"7\"}}\n"
        );
        assert_eq!((rendered.predicted, rendered.failures.total()), (1, 1));
    }

    #[test]
    fn a_line_says_which_arms_were_taken_and_what_is_absent() {
        let label = Tensor::from_byte_strings(vec![1], ["pdf"]).unwrap();
        let mut answer = outputs(vec![("label", label)]);
        let arm = |step: &str, arm: &str| Arm {
            step: step.into(),
            arm: arm.into(),
        };
        answer.arms = vec![arm("new-or-old", "v2"), arm("language", "de")];
        let stage = Stage::new(StageKind::Inference, "extra");
        answer.partial = vec![Failure::new(stage, FailureKind::QueueFull, "no room")];
        let mut rendered = Rendered::default();
        let (key, body) = (RowKey::line(1), none());
        let lines = lines(true);
        lines
            .answer(&mut rendered, whence(&key, &body), &answer)
            .unwrap();
        assert_eq!(
            String::from_utf8(rendered.predictions).unwrap(),
            "{\"key\": 1, \"outputs\": {\"label\": \"pdf\"}, \
             \"model_id\": \"magika:standard_v3_3\", \
             \"arms\": {\"new-or-old\": \"v2\", \"language\": \"de\"}, \
             \"partial\": [{\"stage\": \"inference\", \"step\": \"extra\", \
             \"kind\": \"queue_full\", \"message\": \"no room\"}]}\n"
        );
    }

    #[test]
    fn a_prediction_that_cannot_be_written_is_a_dead_letter_and_no_half_line() {
        let good = Tensor::from_slice(vec![1], &[1u8]).unwrap();
        let bad = Tensor::from_slice(vec![1; 100], &[1u8]).unwrap();
        let answer = outputs(vec![("good", good), ("bad", bad)]);
        let mut rendered = Rendered::default();
        let (key, body) = (RowKey::text("a"), none());
        let failure = lines(true).answer(&mut rendered, whence(&key, &body), &answer);
        assert!(rendered.predictions.is_empty());
        lines(true).failure(
            &mut rendered,
            whence(&key, &body),
            true,
            failure.unwrap_err(),
        );
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
            let key = RowKey::line(index);
            lines(false).failure(&mut rendered, whence(&key, &none()), true, failure);
        }
        assert!(rendered.dead_letters.is_empty());
        assert_eq!(rendered.unwritten.len(), FAILURES_LOGGED_MAX);
        assert_eq!(rendered.failures.total(), 25);
    }
}
