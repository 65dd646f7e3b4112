//! Gives the outputs of a run to the callers they belong to.

use crate::events::Events;
use crate::reply::Answered;
use crate::serving::Serving;
use crate::taken::Taken;
use consort_inference::{FailureKind, Mismatch, Signature, Tensors};

/// Gives every example its own row: the outputs are counted against the examples,
/// and each row is checked against the signature. When the number is wrong nobody can
/// tell whose a row is, and all fail; a row that is not as promised fails alone.
pub(crate) fn scatter(serving: &Serving, taken: Taken, outputs: Vec<Tensors>) {
    let events = &serving.events;
    let examples = taken.len();
    if outputs.len() != examples {
        let message = format!(
            "the model gave {} results for {examples} examples, so that nobody can tell whose \
             they are; its handler must return one result for each example",
            outputs.len()
        );
        events.batch_failed(examples, FailureKind::ModelContract, &message);
        return fail_all(events, taken, FailureKind::ModelContract, &message);
    }
    let mut broken = broken_rows(&serving.signature, &outputs);
    if let Some((row, mismatch)) = broken.first() {
        let message = format!("result {row}: {mismatch}");
        events.batch_failed(examples, FailureKind::ModelContract, &message);
    }
    let rows: Vec<usize> = broken.iter().map(|(row, _)| *row).collect();
    events.predicted(&taken, &rows);
    broken.reverse();
    let answers = outputs.into_iter().enumerate().map(|(row, outputs)| {
        match broken.pop_if(|(other, _)| *other == row) {
            None => Ok(Answered {
                outputs,
                model_id: serving.model.clone(),
            }),
            Some((_, mismatch)) => {
                let message = format!("the model's result is not what it promises: {mismatch}");
                Err(events.failure(FailureKind::ModelContract, message))
            }
        }
    });
    taken.resolve(answers);
}

/// Gives every example the same failure.
pub(crate) fn fail_all(events: &Events, taken: Taken, kind: FailureKind, message: &str) {
    taken.fail(&events.failure(kind, message));
}

/// The rows that are not as promised, in order. A row with the layout of the row before
/// needs no second look: a signature is about layouts only.
fn broken_rows(signature: &Signature, outputs: &[Tensors]) -> Vec<(usize, Mismatch)> {
    let mut broken = Vec::new();
    let mut good: Option<&Tensors> = None;
    for (row, outputs) in outputs.iter().enumerate() {
        if good.is_some_and(|good| outputs.same_layout(good)) {
            continue;
        }
        match signature.check_outputs(outputs) {
            Ok(()) => good = Some(outputs),
            Err(mismatch) => broken.push((row, mismatch)),
        }
    }
    broken
}
