//! Tests of the whole room on a paused clock: replicas are tasks, runs take virtual time.
//! Tests with real threads are in `tests/threads.rs`.

mod company;
mod deadlines;
mod drain;
mod failures;
mod fairness;
mod forming;
mod invariants;
mod limits;
mod observed;
mod policies;
mod replacing;
mod stage;
