//! How much of an ensemble is under way, and the share that each call has of it.

use crate::Limits;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What all calls of an ensemble have under way together.
#[derive(Debug)]
pub(crate) struct Inflight {
    limits: Limits,
    examples: AtomicUsize,
    bytes: AtomicUsize,
}

/// What one call has under way; it is given back when dropped.
#[derive(Debug)]
pub(crate) struct Share<'a> {
    inflight: &'a Inflight,
    examples: usize,
    bytes: usize,
}

// === impl Inflight ===

impl Inflight {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            examples: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Examples and bytes under way now.
    pub(crate) fn now(&self) -> (usize, usize) {
        let examples = self.examples.load(Ordering::Relaxed);
        (examples, self.bytes.load(Ordering::Relaxed))
    }

    /// Takes as many of the wanted places as there are.
    pub(crate) fn enter(&self, wanted: usize) -> Share<'_> {
        let places_max = self.limits.inflight_max;
        let mut examples = 0;
        let taken = |now: usize| {
            examples = wanted.min(places_max.saturating_sub(now));
            Some(now + examples)
        };
        // The closure never refuses.
        let _ = self
            .examples
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
        Share {
            inflight: self,
            examples,
            bytes: 0,
        }
    }
}

// === impl Share ===

impl Share<'_> {
    /// How many examples were let in.
    pub(crate) fn examples(&self) -> usize {
        self.examples
    }

    /// Takes room for more bytes, if there is any.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let bytes_max = self.inflight.limits.inflight_bytes_max;
        let more = |now: usize| now.checked_add(bytes).filter(|sum| *sum <= bytes_max);
        let grown = self
            .inflight
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok();
        if grown {
            self.bytes += bytes;
        }
        grown
    }

    /// Gives room back.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.inflight.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.shrink(self.bytes);
        let examples = &self.inflight.examples;
        examples.fetch_sub(self.examples, Ordering::Relaxed);
    }
}
