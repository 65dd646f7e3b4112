//! How much work and memory requests may hold at once. What does not fit is refused at
//! once, never queued here.

use crate::refusal::Refusal;
use crate::status::Code;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The server's permits.
#[derive(Debug)]
pub(crate) struct Admission {
    inflight: Arc<Semaphore>,
    inflight_max: usize,
    held: Arc<Held>,
    /// Large bodies are decoded and encoded on as many threads as there are cores.
    codec: Arc<Semaphore>,
}

/// Bytes that requests hold.
#[derive(Debug)]
struct Held {
    bytes: AtomicUsize,
    bytes_max: usize,
}

/// One request's share of [`Held`]; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    held: Arc<Held>,
    bytes: usize,
}

// === impl Admission ===

impl Admission {
    pub(crate) fn new(inflight_max: usize, held_bytes_max: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            inflight: Arc::new(Semaphore::new(inflight_max)),
            inflight_max,
            held: Arc::new(Held {
                bytes: AtomicUsize::new(0),
                bytes_max: held_bytes_max,
            }),
            codec: Arc::new(Semaphore::new(cores)),
        }
    }

    /// A permit for one inference request.
    pub(crate) fn admit(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.inflight.clone().try_acquire_owned().map_err(|_| {
            let max = self.inflight_max;
            Refusal::host(
                Code::Overloaded,
                format!("{max} requests are under way, which is the limit; try again later"),
            )
        })
    }

    /// An account for one request's bytes.
    pub(crate) fn charge(&self) -> Charge {
        Charge {
            held: self.held.clone(),
            bytes: 0,
        }
    }

    /// Runs work on bytes; off the async threads when there is much of it.
    pub(crate) async fn codec<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        /// About what can be decoded in a tenth of a millisecond or two.
        const INLINE_BYTES_MAX: usize = 32 << 10;
        if bytes <= INLINE_BYTES_MAX {
            return Ok(work());
        }
        let permit = self.codec.clone().acquire_owned().await;
        let permit = permit.map_err(|error| Refusal::internal(error.to_string()))?;
        let run = move || {
            // Held while the work runs, even if the request is abandoned meanwhile.
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(run)
            .await
            .map_err(|error| Refusal::internal(format!("decoding or encoding broke off: {error}")))
    }
}

// === impl Charge ===

impl Charge {
    /// Counts bytes that are held whether or not there is room: those of an answer, for
    /// which the work is done. New requests are refused instead.
    pub(crate) fn hold(&mut self, bytes: usize) {
        self.held.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
    }

    /// Takes more bytes, or refuses.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), Refusal> {
        let max = self.held.bytes_max;
        let taken = self
            .held
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_add(bytes).filter(|total| *total <= max)
            });
        match taken {
            Ok(_) => {
                self.bytes += bytes;
                Ok(())
            }
            Err(held) => Err(Refusal::host(
                Code::Overloaded,
                format!(
                    "requests under way hold {held} bytes and this one needs {bytes} more, over \
                     the limit of {max}; try again later"
                ),
            )),
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.held.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_come_back() {
        let admission = Admission::new(1, 0);
        let permit = admission.admit().unwrap();
        let refusal = admission.admit().unwrap_err();
        assert_eq!(refusal.code(), Code::Overloaded);
        assert!(refusal.message().starts_with("1 requests are under way"));
        drop(permit);
        assert!(admission.admit().is_ok());
    }

    #[test]
    fn bytes_are_held_and_given_back() {
        let admission = Admission::new(1, 100);
        let (mut a, mut b) = (admission.charge(), admission.charge());
        a.add(60).unwrap();
        b.add(40).unwrap();
        let refusal = b.add(1).unwrap_err();
        let expected = "requests under way hold 100 bytes and this one needs 1 more, over the \
                        limit of 100; try again later";
        assert_eq!(refusal.message(), expected);
        assert!(b.add(usize::MAX).is_err());
        drop(a);
        b.add(60).unwrap();
        b.hold(50);
        assert!(admission.charge().add(1).is_err());
        drop(b);
        assert_eq!(admission.held.bytes.load(Ordering::Relaxed), 0);
    }
}
