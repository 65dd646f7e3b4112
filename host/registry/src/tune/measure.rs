//! Runs a model on real threads for a while, as its replicas would.

use super::search::{Candidate, Trial, TrialError};
use crate::warm_up;
use consort_inference::{Batch, ModelHandler, Tensors};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::time::Duration;
use tokio::time::Instant;

/// What one replica did.
struct Lap {
    runs: u32,
    elapsed: Duration,
    /// The run to warm up.
    first: Duration,
}

/// Runs the candidate's replicas at the same time, each once to warm up and then again and
/// again for `slot`, at least once. The examples of a batch are `rows`, over and over.
pub(super) fn run(
    handler: &dyn ModelHandler,
    rows: &[Tensors],
    candidate: Candidate,
    slot: Duration,
) -> Result<Trial, TrialError> {
    let rows = rows
        .iter()
        .cycle()
        .take(candidate.batch_size)
        .cloned()
        .collect();
    let batch = warm_up::batch_of(handler, rows);
    let batch = &batch.map_err(|error| TrialError(error.to_string()))?;
    let barrier = &Barrier::new(candidate.replicas);
    // Threads of their own, where time is the machine's: a paused clock would never move.
    let laps = std::thread::scope(|scope| {
        let replicas: Vec<_> = (0..candidate.replicas)
            .map(|_| scope.spawn(move || lap(handler, batch, barrier, slot)))
            .collect();
        let joined = replicas.into_iter().map(|replica| match replica.join() {
            Ok(lap) => lap,
            Err(panic) => Err(TrialError(warm_up::panic_text(panic.as_ref()))),
        });
        joined.collect::<Result<Vec<Lap>, TrialError>>()
    })?;
    let size = candidate.batch_size as f64;
    let speed = |lap: &Lap| f64::from(lap.runs) * size / lap.elapsed.as_secs_f64().max(1e-9);
    let longest = |time: fn(&Lap) -> Duration| laps.iter().map(time).max().unwrap_or_default();
    Ok(Trial {
        examples_per_second: laps.iter().map(speed).sum(),
        run: longest(|lap| lap.elapsed / lap.runs.max(1)),
        spent: longest(|lap| lap.first + lap.elapsed),
    })
}

fn lap(
    handler: &dyn ModelHandler,
    batch: &Batch,
    barrier: &Barrier,
    slot: Duration,
) -> Result<Lap, TrialError> {
    let begin = Instant::now();
    let warm = predict(handler, batch);
    let first = begin.elapsed();
    // Also after a failure: the others wait for this one.
    barrier.wait();
    warm?;
    let begin = Instant::now();
    let mut runs = 0;
    loop {
        predict(handler, batch)?;
        runs += 1;
        let elapsed = begin.elapsed();
        if elapsed >= slot {
            return Ok(Lap {
                runs,
                elapsed,
                first,
            });
        }
    }
}

fn predict(handler: &dyn ModelHandler, batch: &Batch) -> Result<(), TrialError> {
    match catch_unwind(AssertUnwindSafe(|| handler.predict(batch))) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(TrialError(error.to_string())),
        Err(panic) => Err(TrialError(warm_up::panic_text(panic.as_ref()))),
    }
}
