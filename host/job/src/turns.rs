//! Whose turn it is, where answers depend on earlier ones of the same key: chunks that share
//! a key are answered one after another in the order of the input, all others side by side.

use consort_inference::{Example, Key};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{oneshot, watch};

/// Hands out the turns of a job.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    keys: Arc<Keys>,
    /// Told when the latest chunk has lined up.
    latest: Option<oneshot::Receiver<()>>,
}

/// The place of a chunk in the order of the input. Dropped, it lets the next ones pass.
#[derive(Debug)]
pub(crate) struct Turn {
    keys: Arc<Keys>,
    before: Option<oneshot::Receiver<()>>,
    after: oneshot::Sender<()>,
}

/// The leave to ask for a chunk's examples, until dropped.
#[derive(Debug)]
pub(crate) struct Leave {
    keys: Arc<Keys>,
    own: Vec<Key>,
    /// Nothing is sent: dropping it tells those who wait.
    done: watch::Sender<()>,
}

/// The latest chunk that has examples of each key, and how to know when it is done.
#[derive(Debug, Default)]
struct Keys(Mutex<HashMap<Key, watch::Receiver<()>>>);

// === impl Turns ===

impl Turns {
    /// The turn of the next chunk of the input.
    pub(crate) fn next(&mut self) -> Turn {
        let (after, latest) = oneshot::channel();
        Turn {
            keys: self.keys.clone(),
            before: self.latest.replace(latest),
            after,
        }
    }
}

// === impl Turn ===

impl Turn {
    /// Waits for the chunks before this one that share a key with it.
    pub(crate) async fn come(self, examples: &[Example]) -> Leave {
        if let Some(before) = self.before {
            // An error means the same: that chunk is gone.
            let _ = before.await;
        }
        let (done, waiting) = watch::channel(());
        let mut earlier = Vec::new();
        let mut own: Vec<Key> = examples.iter().filter_map(|one| one.key.clone()).collect();
        own.sort_unstable();
        own.dedup();
        {
            let keys = self.keys.0.lock();
            let mut keys = keys.unwrap_or_else(PoisonError::into_inner);
            let line_up = |key: &Key| keys.insert(key.clone(), waiting.clone());
            earlier.extend(own.iter().filter_map(line_up));
        }
        let leave = Leave {
            keys: self.keys,
            own,
            done,
        };
        drop(self.after);
        for mut chunk in earlier {
            // It ends by an error, when the chunk is done.
            while chunk.changed().await.is_ok() {}
        }
        leave
    }
}

// === impl Leave ===

impl Drop for Leave {
    fn drop(&mut self) {
        let keys = self.keys.0.lock();
        let mut keys = keys.unwrap_or_else(PoisonError::into_inner);
        let own = self.done.subscribe();
        for key in &self.own {
            if keys.get(key).is_some_and(|last| last.same_channel(&own)) {
                keys.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::{TenantId, Tensors};
    use futures_util::FutureExt;

    /// `a b`: an example of each key.
    fn examples(keys: &str) -> Vec<Example> {
        let example = |key: &str| Example {
            tenant: TenantId::default(),
            key: Some(key.into()),
            tensors: Tensors::new(),
        };
        keys.split(' ').map(example).collect()
    }

    #[tokio::test]
    async fn chunks_that_share_a_key_come_in_the_order_of_the_input() {
        let mut turns = Turns::default();
        let (first, second, third) = (turns.next(), turns.next(), turns.next());
        let (ab, bc, d) = (examples("a b a"), examples("b c"), examples("d"));
        let mut third = Box::pin(third.come(&d));
        assert!((&mut third).now_or_never().is_none(), "not lined up yet");
        let mut second = Box::pin(second.come(&bc));
        assert!((&mut second).now_or_never().is_none());
        let first = first.come(&ab).now_or_never().unwrap();
        assert!((&mut second).now_or_never().is_none(), "b is at work");
        let third = third.now_or_never().unwrap();
        drop(first);
        let second = second.now_or_never().unwrap();
        drop((third, second));
        assert!(turns.keys.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_chunk_that_is_gone_holds_nobody_up() {
        let mut turns = Turns::default();
        drop(turns.next());
        let given_up = turns.next();
        let last = turns.next();
        let a = examples("a");
        let leave = given_up.come(&a).now_or_never().unwrap();
        let mut last = Box::pin(last.come(&a));
        assert!((&mut last).now_or_never().is_none());
        drop(leave);
        assert!(last.now_or_never().is_some());
    }
}
