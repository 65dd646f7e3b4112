//! Every example becomes exactly one line, whatever fails.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first error"
)]

#[cfg(test)]
mod fake;

use consort_inference::{
    BoxFuture, Call, Datatype, Endpoint, Example, Failure, FailureKind, ModelId, Prediction,
    Signature, Tensors,
};
use consort_job::Config;
use fake::{Room, config, failure, jsonl, keys, spec};
use proptest::prelude::*;
use std::sync::Mutex;
use std::time::Duration;

/// What happens to the example with this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Good,
    /// The line is no JSON.
    Malformed,
    /// The line has an input that is out of range.
    Unfit,
    /// The model fails.
    Failed,
    /// The queue is full the first few times.
    Refused(u8),
    /// The endpoint panics with it.
    Panic,
    /// The endpoint forgets one answer of its call.
    Dropped,
    /// The endpoint answers late.
    Late(u8),
}

/// An endpoint that deals with its examples by their fates.
struct Fateful {
    signature: Signature,
    fates: Vec<Fate>,
    refusals: Mutex<Vec<u8>>,
}

impl Fateful {
    fn answer(&self, example: &Example, index: usize) -> Result<Prediction, Failure> {
        match self.fates[index] {
            Fate::Failed => return Err(failure(FailureKind::ModelFailed, "no")),
            Fate::Refused(times) => {
                let mut refusals = self.refusals.lock().unwrap();
                if refusals[index] < times {
                    refusals[index] += 1;
                    return Err(failure(FailureKind::QueueFull, "full"));
                }
            }
            _ => {}
        }
        Ok(Prediction::new(
            example.key.clone(),
            Tensors::new(),
            ModelId::new("fateful", "1"),
        ))
    }
}

impl Endpoint for Fateful {
    fn name(&self) -> &str {
        "fateful"
    }

    fn version(&self) -> &str {
        "1"
    }

    fn platform(&self) -> &str {
        "fake"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn infer(
        &self,
        examples: Vec<Example>,
        _: Call,
    ) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        let index = |example: &Example| {
            example
                .tensors
                .tensor("n")
                .unwrap()
                .to_vec::<u16>()
                .unwrap()[0] as usize
        };
        let late = |example: &Example| match self.fates[index(example)] {
            Fate::Late(ms) => ms,
            _ => 0,
        };
        let delay = examples.iter().map(late).max().unwrap_or(0);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(delay.into())).await;
            let has = |fate| {
                examples
                    .iter()
                    .any(|example| self.fates[index(example)] == fate)
            };
            if has(Fate::Panic) {
                std::panic::resume_unwind(Box::new("fate"));
            }
            let answers = examples
                .iter()
                .map(|example| self.answer(example, index(example)));
            answers.skip(usize::from(has(Fate::Dropped))).collect()
        })
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        10 => Just(Fate::Good),
        2 => Just(Fate::Malformed),
        2 => Just(Fate::Unfit),
        2 => Just(Fate::Failed),
        2 => (1u8..4).prop_map(Fate::Refused),
        1 => Just(Fate::Panic),
        1 => Just(Fate::Dropped),
        4 => (1u8..50).prop_map(Fate::Late),
    ]
}

fn line((index, fate): (usize, &Fate)) -> String {
    match fate {
        Fate::Malformed => format!("{{\"key\": {index}, oops\n"),
        Fate::Unfit => format!("{{\"key\": {index}, \"inputs\": {{\"n\": 65536}}}}\n"),
        _ => format!("{{\"key\": {index}, \"inputs\": {{\"n\": {index}}}}}\n"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn one_line_for_each_example(
        fates in prop::collection::vec(fate(), 0..120),
        call_examples_max in 1usize..12, inflight_max in 1usize..40, ordered: bool,
    ) {
        let room = Room::new();
        let text: String = fates.iter().enumerate().map(line).collect();
        let endpoint = Fateful {
            signature: Signature { inputs: vec![spec("n", Datatype::Uint16)], outputs: vec![] },
            refusals: Mutex::new(vec![0; fates.len()]),
            fates: fates.clone(),
        };
        let config = Config {
            call_examples_max: Some(call_examples_max),
            inflight_max,
            ordered,
            ..config()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let summary = runtime.block_on(room.run(endpoint, jsonl(text), config)).unwrap();
        let (predicted, dead) = (keys(&room.predictions()), keys(&room.dead_letters()));
        if ordered {
            prop_assert!(predicted.is_sorted() && dead.is_sorted());
        }
        prop_assert_eq!(summary.predictions, predicted.len() as u64);
        prop_assert_eq!(summary.failures.total(), dead.len() as u64);
        prop_assert_eq!(summary.unwritten, 0);
        // Only bad company fails a good example: a call with a panic or a lost answer.
        let company = fates.iter().any(|fate| matches!(fate, Fate::Panic | Fate::Dropped));
        let good = |fate: &Fate| matches!(fate, Fate::Good | Fate::Late(_) | Fate::Refused(_));
        for index in &predicted {
            prop_assert!(good(&fates[*index as usize]));
        }
        if !company {
            prop_assert_eq!(predicted.len(), fates.iter().filter(|fate| good(fate)).count());
        }
        let mut all = [predicted, dead].concat();
        all.sort();
        prop_assert_eq!(all, (0..fates.len() as i64).collect::<Vec<_>>());
    }
}
