//! Where a prediction comes from.

use crate::{Failure, ModelId};
use std::sync::Arc;

/// What made the outputs of a step, on the way of one example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The model, in the version that ran.
    pub model_id: ModelId,
    /// Which arms were taken to get there.
    pub arms: Vec<Arm>,
    /// Optional parts that failed on the way: outputs that needed them are absent.
    pub partial: Vec<Failure>,
}

/// Which of several ways a step took for one example: the arm of an A/B split, the case of
/// a route, the fallback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arm {
    /// The step that chose.
    pub step: Arc<str>,
    /// What it chose.
    pub arm: Arc<str>,
}

// === impl Origin ===

impl From<ModelId> for Origin {
    fn from(model_id: ModelId) -> Self {
        Self {
            model_id,
            arms: Vec::new(),
            partial: Vec::new(),
        }
    }
}

impl Origin {
    /// The most arms and the most failed parts that [`Origin::join`] keeps.
    pub const PARTS_MAX: usize = 64;

    /// Adds what happened on other ways to the same outputs: each arm once, and as much as
    /// there is room for.
    pub fn join(
        &mut self,
        arms: impl IntoIterator<Item = Arm>,
        partial: impl IntoIterator<Item = Failure>,
    ) {
        for arm in arms {
            if self.arms.len() < Self::PARTS_MAX && !self.arms.contains(&arm) {
                self.arms.push(arm);
            }
        }
        let room = Self::PARTS_MAX.saturating_sub(self.partial.len());
        self.partial.extend(partial.into_iter().take(room));
    }
}

// === impl Arm ===

impl Arm {
    /// Puts a step and its choice together.
    pub fn new(step: impl Into<Arc<str>>, arm: impl Into<Arc<str>>) -> Self {
        Self {
            step: step.into(),
            arm: arm.into(),
        }
    }
}
