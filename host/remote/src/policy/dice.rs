//! Where random numbers come from, so that tests can say which.

/// Random numbers for jitter and throttling; never for secrets.
pub(crate) trait Dice: Send + Sync {
    /// A number in `[0, 1)`.
    fn unit(&self) -> f64;
}

/// The generator of each thread.
pub(crate) struct FastDice;

// === impl FastDice ===

impl Dice for FastDice {
    fn unit(&self) -> f64 {
        fastrand::f64()
    }
}
