//! Where the results of one call are collected: one slot an example, filled once.

use crate::lock;
use consort_inference::{Failure, FailureKind, ModelId, Stage, Tensors, Trace};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// What the model made of one example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The outputs, by name.
    pub outputs: Tensors,
    /// The model, and the version of it, that made them.
    pub model_id: Arc<ModelId>,
}

/// What became of one example.
pub(crate) type Answer = Result<Answered, Failure>;

/// The slots of one call, shared between the caller and those that work for it. Whoever
/// holds examples of the call has the right, and the duty, to fill their slots: segments
/// and batches that are dropped fill them with a failure, so that no caller waits for ever.
pub(crate) struct Reply {
    stage: Stage,
    /// Where the call wants to be told what took how long.
    trace: Option<Trace>,
    slots: Mutex<Slots>,
}

struct Slots {
    answers: Vec<Option<Answer>>,
    missing: usize,
    /// The caller has left; nothing more is kept.
    closed: bool,
    waker: Option<Waker>,
}

// === impl Reply ===

impl Reply {
    /// Slots for a call of so many examples.
    pub(crate) fn new(stage: Stage, examples: usize, trace: Option<Trace>) -> Arc<Self> {
        let slots = Slots {
            answers: std::iter::repeat_with(|| None).take(examples).collect(),
            missing: examples,
            closed: false,
            waker: None,
        };
        Arc::new(Self {
            stage,
            trace,
            slots: Mutex::new(slots),
        })
    }

    /// Where the call wants to be told what took how long.
    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// All answers, as soon as none is missing.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Vec<Answer>> {
        let mut slots = lock(&self.slots);
        if slots.missing > 0 {
            match &mut slots.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                None => slots.waker = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        slots.closed = true;
        let answers = std::mem::take(&mut slots.answers);
        drop(slots);
        Poll::Ready(answers.into_iter().flatten().collect())
    }

    /// The answers so far; later ones are thrown away.
    pub(crate) fn close(&self) -> Vec<Option<Answer>> {
        let mut slots = lock(&self.slots);
        slots.closed = true;
        slots.waker = None;
        std::mem::take(&mut slots.answers)
    }

    /// Whether nobody waits any longer.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.slots).closed
    }

    /// Fills slots that are empty; others stay as they are.
    pub(crate) fn fill(&self, answers: impl Iterator<Item = (u32, Answer)>) {
        let waker = {
            let mut slots = lock(&self.slots);
            if slots.closed {
                return;
            }
            for (index, answer) in answers {
                let slot = slots.answers.get_mut(index as usize);
                if let Some(slot) = slot.filter(|slot| slot.is_none()) {
                    *slot = Some(answer);
                    slots.missing -= 1;
                }
            }
            match slots.missing {
                0 => slots.waker.take(),
                _ => return,
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Fills slots with one failure.
    pub(crate) fn fail(&self, indices: impl Iterator<Item = u32>, failure: &Failure) {
        self.fill(indices.map(|index| (index, Err(failure.clone()))));
    }

    /// Fills slots whose examples were dropped by mistake.
    pub(crate) fn lost(&self, indices: impl Iterator<Item = u32>) {
        let message = "the host lost the example; this is a defect, please report it";
        let failure = Failure::new(self.stage.clone(), FailureKind::Internal, message);
        self.fail(indices, &failure);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::StageKind;

    fn reply(slots: usize) -> Arc<Reply> {
        let stage = Stage::new(StageKind::Inference, "m");
        Reply::new(stage, slots, None)
    }

    fn poll(reply: &Reply) -> Poll<Vec<Answer>> {
        reply.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn failure(text: &str) -> Answer {
        let stage = Stage::new(StageKind::Inference, "m");
        Err(Failure::new(stage, FailureKind::ModelFailed, text))
    }

    #[test]
    fn answers_come_in_order_when_all_are_there() {
        let reply = reply(3);
        reply.fill([(2, failure("third")), (1, failure("second"))].into_iter());
        assert!(poll(&reply).is_pending());
        reply.fill([(0, failure("first"))].into_iter());
        let answers = ["first", "second", "third"].map(failure).to_vec();
        assert_eq!(poll(&reply), Poll::Ready(answers));
    }

    #[test]
    fn a_lost_example_is_a_failure_and_not_a_hang() {
        let reply = reply(1);
        reply.lost([0].into_iter());
        let Poll::Ready(answers) = poll(&reply) else {
            panic!("the call hangs");
        };
        let failure = answers[0].as_ref().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Internal);
    }

    #[test]
    fn a_slot_is_filled_once() {
        let reply = reply(2);
        reply.fill([(0, failure("first"))].into_iter());
        reply.fill([(0, failure("again")), (9, failure("nobody's"))].into_iter());
        assert!(poll(&reply).is_pending());
        reply.fill([(1, failure("second"))].into_iter());
        let answers = ["first", "second"].map(failure).to_vec();
        assert_eq!(poll(&reply), Poll::Ready(answers));
    }

    #[test]
    fn a_closed_reply_takes_nothing_more() {
        let reply = reply(2);
        reply.fill([(0, failure("first"))].into_iter());
        assert!(!reply.is_closed());
        assert_eq!(reply.close(), [Some(failure("first")), None]);
        assert!(reply.is_closed());
        reply.fill([(1, failure("late"))].into_iter());
        assert!(reply.close().is_empty());
    }
}
