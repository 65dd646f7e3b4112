//! When to call, when to wait and when to give up: four small state machines.
//!
//! None of them sleeps, reads a clock or rolls a die: each takes the instant and the random
//! number it needs, so that they are tested by themselves.

mod backoff;
mod breaker;
mod dice;
mod pace;
mod retry_after;
mod throttle;

pub(crate) use backoff::Backoff;
pub(crate) use breaker::{Admission, Breaker, BreakerState, Ticket};
pub(crate) use dice::{Dice, FastDice};
pub(crate) use pace::Pace;
pub(crate) use retry_after::retry_after;
pub(crate) use throttle::Throttle;
