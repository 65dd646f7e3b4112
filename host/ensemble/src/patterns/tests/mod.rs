//! Patterns of fake steps, on a paused clock.

mod alike;
mod choosing;
mod combining;
mod fake;
mod fanning;
mod invariants;
mod measured;
mod streams;
