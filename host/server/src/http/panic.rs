//! A panic on one request's way is that request's error, not its connection's end.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Runs a future; a panic in it is given as its message.
///
/// After a panic the future is never polled again, and what it shares with others are
/// atomics and locks that no panic leaves half-changed.
pub(super) async fn catch<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    poll_fn(|task| {
        let poll = AssertUnwindSafe(|| future.as_mut().poll(task));
        match catch_unwind(poll) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => Poll::Ready(Err(message(&*panic))),
        }
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error() {
        assert_eq!(catch(async { 5 }).await, Ok(5));
        let later = async {
            tokio::task::yield_now().await;
            panic!("at {}", "night")
        };
        assert_eq!(catch::<()>(later).await, Err("at night".to_owned()));
    }
}
