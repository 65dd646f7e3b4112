//! Where the results of one call are collected: one slot an example, filled once.

use crate::lock;
use consort_inference::{Failure, FailureKind, Stage, Tensors};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// What became of one example.
pub(crate) type Answer = Result<Tensors, Failure>;

/// The slots of one call, shared between the caller and its tickets.
pub(crate) struct Reply {
    stage: Stage,
    slots: Mutex<Slots>,
}

struct Slots {
    answers: Vec<Option<Answer>>,
    missing: usize,
    /// The caller has left; nothing more is kept.
    closed: bool,
    waker: Option<Waker>,
}

/// The right, and the duty, to fill one slot. A ticket that is dropped unused fills its
/// slot with a failure, so that no caller waits for ever.
pub(crate) struct Ticket {
    reply: Option<Arc<Reply>>,
    index: usize,
}

// === impl Reply ===

impl Reply {
    /// Slots for a call of so many examples.
    pub(crate) fn new(stage: Stage, examples: usize) -> Arc<Self> {
        let slots = Slots {
            answers: std::iter::repeat_with(|| None).take(examples).collect(),
            missing: examples,
            closed: false,
            waker: None,
        };
        Arc::new(Self {
            stage,
            slots: Mutex::new(slots),
        })
    }

    /// The ticket of an empty slot. Asked for once a slot.
    pub(crate) fn ticket(self: &Arc<Self>, index: usize) -> Ticket {
        Ticket {
            reply: Some(self.clone()),
            index,
        }
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
        Poll::Ready(slots.answers.drain(..).flatten().collect())
    }

    /// The answers so far; later ones are thrown away.
    pub(crate) fn close(&self) -> Vec<Option<Answer>> {
        let mut slots = lock(&self.slots);
        slots.closed = true;
        slots.waker = None;
        std::mem::take(&mut slots.answers)
    }

    fn is_closed(&self) -> bool {
        lock(&self.slots).closed
    }

    fn fill(&self, index: usize, answer: Answer) {
        let waker = {
            let mut slots = lock(&self.slots);
            let Some(slot) = slots.answers.get_mut(index).filter(|slot| slot.is_none()) else {
                return;
            };
            *slot = Some(answer);
            slots.missing -= 1;
            if slots.missing > 0 {
                return;
            }
            slots.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

// === impl Ticket ===

impl Ticket {
    /// Which example of its call this is for.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Whether nobody waits for it any longer.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_none_or(|reply| reply.is_closed())
    }

    /// Fills the slot.
    pub(crate) fn resolve(mut self, answer: Answer) {
        if let Some(reply) = self.reply.take() {
            reply.fill(self.index, answer);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            let message = "the host lost the example; this is a defect, please report it";
            let failure = Failure::new(reply.stage.clone(), FailureKind::Internal, message);
            reply.fill(self.index, Err(failure));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::StageKind;

    fn reply(slots: usize) -> Arc<Reply> {
        let stage = Stage::new(StageKind::Inference, "m");
        Reply::new(stage, slots)
    }

    fn poll(reply: &Reply) -> Poll<Vec<Answer>> {
        reply.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn answers_come_in_order_when_all_are_there() {
        let reply = reply(2);
        let (first, second) = (reply.ticket(0), reply.ticket(1));
        let failure = |text: &str| {
            let stage = Stage::new(StageKind::Inference, "m");
            Err(Failure::new(stage, FailureKind::ModelFailed, text))
        };
        second.resolve(failure("second"));
        assert!(poll(&reply).is_pending());
        first.resolve(failure("first"));
        assert_eq!(
            poll(&reply),
            Poll::Ready(vec![failure("first"), failure("second")])
        );
    }

    #[test]
    fn a_lost_ticket_is_a_failure_and_not_a_hang() {
        let reply = reply(1);
        drop(reply.ticket(0));
        let Poll::Ready(answers) = poll(&reply) else {
            panic!("the call hangs");
        };
        let failure = answers[0].as_ref().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Internal);
    }

    #[test]
    fn a_slot_is_filled_once() {
        let reply = reply(2);
        reply.ticket(0).resolve(Ok(Tensors::new()));
        drop(reply.ticket(0));
        assert!(poll(&reply).is_pending());
        reply.ticket(1).resolve(Ok(Tensors::new()));
        let answers = vec![Ok(Tensors::new()), Ok(Tensors::new())];
        assert_eq!(poll(&reply), Poll::Ready(answers));
    }

    #[test]
    fn a_closed_reply_takes_nothing_more() {
        let reply = reply(2);
        let (first, second) = (reply.ticket(0), reply.ticket(1));
        first.resolve(Ok(Tensors::new()));
        assert!(!second.is_abandoned());
        assert_eq!(reply.close(), [Some(Ok(Tensors::new())), None]);
        assert!(second.is_abandoned());
        second.resolve(Ok(Tensors::new()));
        assert!(reply.close().is_empty());
    }
}
