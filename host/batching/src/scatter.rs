//! Gives the outputs of a run to the callers they belong to.

use crate::events::Events;
use crate::queue::Entry;
use consort_inference::{FailureKind, Mismatch, Signature, Tensors};

/// Resolves every entry with its own row: the outputs are counted against the entries,
/// and each row is checked against the signature. When the number is wrong nobody can
/// tell whose a row is, and all fail; a row that is not as promised fails alone.
pub(crate) fn scatter(
    events: &Events,
    signature: &Signature,
    entries: Vec<Entry>,
    outputs: Vec<Tensors>,
) {
    let examples = entries.len();
    if outputs.len() != examples {
        let message = format!(
            "the model gave {} results for {examples} examples, so that nobody can tell whose \
             they are; its handler must return one result for each example",
            outputs.len()
        );
        events.batch_failed(examples, FailureKind::ModelContract, &message);
        return fail_all(events, entries, FailureKind::ModelContract, &message);
    }
    let mut broken = broken_rows(signature, &outputs);
    if let Some((row, mismatch)) = broken.first() {
        let message = format!("result {row}: {mismatch}");
        events.batch_failed(examples, FailureKind::ModelContract, &message);
    }
    let whole = |row: usize| !broken.iter().any(|(other, _)| *other == row);
    let tenants = entries.iter().enumerate().filter(|(row, _)| whole(*row));
    events.predicted(tenants.map(|(_, entry)| &entry.tenant));
    broken.reverse();
    for (row, (entry, outputs)) in entries.into_iter().zip(outputs).enumerate() {
        let answer = match broken.pop_if(|(other, _)| *other == row) {
            None => Ok(outputs),
            Some((_, mismatch)) => {
                let message = format!("the model's result is not what it promises: {mismatch}");
                Err(events.failure(FailureKind::ModelContract, message))
            }
        };
        entry.ticket.resolve(answer);
    }
}

/// Gives every entry the same failure.
pub(crate) fn fail_all(events: &Events, entries: Vec<Entry>, kind: FailureKind, message: &str) {
    for entry in entries {
        entry.ticket.resolve(Err(events.failure(kind, message)));
    }
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
