//! The arithmetic: which scores are the best, and what they are. It is done in double
//! precision, whatever the model writes.

use crate::config::Activation;
use consort_plugin_config::Number;
use std::cmp::Ordering;
use std::fmt;

/// A class and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// The number of the class.
    pub index: usize,
    /// How sure the model is of it.
    pub score: f64,
}

/// Numbers that are no scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScoreError {
    /// One is not a number.
    Nan {
        /// Which one.
        index: usize,
    },
    /// There are no shares of infinity.
    Infinite {
        /// Which one.
        index: usize,
    },
    /// All are minus infinity, or there are none: there is nothing to share.
    Nothing,
    /// There are fewer than are wanted.
    TooFew {
        /// How many there are.
        classes: usize,
        /// How many are wanted.
        top_k: usize,
    },
}

/// The best `top_k`, the best one first; of equal ones the one of the lower index is better.
pub fn best<T: Number>(
    numbers: &[T],
    activation: Activation,
    top_k: usize,
) -> Result<Vec<Scored>, ScoreError> {
    if numbers.len() < top_k {
        let classes = numbers.len();
        return Err(ScoreError::TooFew { classes, top_k });
    }
    let nan = numbers.iter().position(|number| number.to_f64().is_nan());
    if let Some(index) = nan {
        return Err(ScoreError::Nan { index });
    }
    let mut scored = first(numbers, top_k);
    match activation {
        Activation::None => {}
        Activation::Sigmoid => scored
            .iter_mut()
            .for_each(|one| one.score = sigmoid(one.score)),
        Activation::Softmax => {
            let Some(&Scored { index, score: max }) = scored.first() else {
                return Ok(scored);
            };
            if max == f64::INFINITY {
                return Err(ScoreError::Infinite { index });
            }
            if max == f64::NEG_INFINITY {
                return Err(ScoreError::Nothing);
            }
            let powers = numbers.iter().map(|number| (number.to_f64() - max).exp());
            let sum: f64 = powers.sum();
            scored
                .iter_mut()
                .for_each(|one| one.score = (one.score - max).exp() / sum);
        }
    }
    Ok(scored)
}

/// The `top_k` largest numbers in their order.
fn first<T: Number>(numbers: &[T], top_k: usize) -> Vec<Scored> {
    if top_k == 1 {
        let mut best: Option<Scored> = None;
        for (index, number) in numbers.iter().enumerate() {
            let score = number.to_f64();
            if best.is_none_or(|best| score > best.score) {
                best = Some(Scored { index, score });
            }
        }
        return best.into_iter().collect();
    }
    let scored = numbers.iter().enumerate();
    let mut scored: Vec<Scored> = scored
        .map(|(index, number)| Scored {
            index,
            score: number.to_f64(),
        })
        .collect();
    if top_k < scored.len() {
        scored.select_nth_unstable_by(top_k, order);
        scored.truncate(top_k);
    }
    scored.sort_unstable_by(order);
    scored
}

/// The better one first. There is no NaN among them.
fn order(one: &Scored, other: &Scored) -> Ordering {
    let scores = other.score.partial_cmp(&one.score);
    scores
        .unwrap_or(Ordering::Equal)
        .then(one.index.cmp(&other.index))
}

/// Without a power that could be infinite.
fn sigmoid(number: f64) -> f64 {
    let power = (-number.abs()).exp();
    match number < 0.0 {
        true => power / (1.0 + power),
        false => 1.0 / (1.0 + power),
    }
}

// === impl ScoreError ===

impl fmt::Display for ScoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nan { index } => write!(f, "the model's number for class {index} is NaN"),
            Self::Infinite { index } => write!(
                f,
                "the model's number for class {index} is infinite, and softmax has no share of it"
            ),
            Self::Nothing => f.write_str(
                "the model's numbers are all minus infinity, and softmax has no shares of them",
            ),
            Self::TooFew { classes, top_k } => write!(
                f,
                "the model has {classes} classes, and `top_k` in the plugin's configuration is \
                 {top_k}"
            ),
        }
    }
}

impl std::error::Error for ScoreError {}
