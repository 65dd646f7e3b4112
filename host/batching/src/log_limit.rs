//! Bounds how often one thing is logged: so many lines a second, then a count.

use crate::lock;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::Instant;

/// Lines of one kind that one model's batcher writes in a second.
const LINES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(1);

/// Counts the lines of one kind.
#[derive(Default)]
pub(crate) struct LogLimit {
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    start: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

// === impl LogLimit ===

impl LogLimit {
    /// Whether a line may be written, and how many were left out since the last one.
    pub(crate) fn admit(&self) -> Option<u64> {
        let now = Instant::now();
        let mut window = lock(&self.window);
        if window.start.is_none_or(|start| now - start >= WINDOW) {
            window.start = Some(now);
            window.lines = 0;
        }
        if window.lines == LINES_MAX {
            window.suppressed += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_counted_and_not_written() {
        let limit = LogLimit::default();
        let written = (0..100).filter(|_| limit.admit().is_some()).count();
        assert_eq!(written, 10);
        tokio::time::advance(WINDOW).await;
        assert_eq!(limit.admit(), Some(90));
        assert_eq!(limit.admit(), Some(0));
    }
}
