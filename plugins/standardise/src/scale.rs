//! The arithmetic, in double precision whatever comes in and goes out.

use crate::config::Missing;
use consort_plugin_config::{Column, Number};
use std::borrow::Cow;
use std::fmt;

/// What is done to each column.
#[derive(Debug, Clone)]
pub struct Scale {
    mean: Column,
    deviation: Column,
    missing: Missing,
}

/// A number that nothing can be made of. It is said of an element of the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScaleError {
    /// It is not a number.
    Nan {
        /// Which element it is.
        at: usize,
    },
    /// It is infinite.
    Infinite {
        /// Which element it is.
        at: usize,
    },
    /// What it would become is.
    TooLarge {
        /// Which element it is.
        at: usize,
        /// What it is.
        number: f64,
    },
}

/// A number that comes out.
pub trait Rounded: Copy + Default {
    /// The nearest such number.
    fn round(number: f64) -> Self;
    /// Whether it is a number, and not infinite.
    fn is_finite(self) -> bool;
}

impl Rounded for f32 {
    fn round(number: f64) -> Self {
        number as Self
    }

    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

impl Rounded for f64 {
    fn round(number: f64) -> Self {
        number
    }

    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

/// The most numbers for which one mean and one deviation are written out side by side.
const ALIKE_MAX: usize = 1024;
/// Numbers that are scaled together: a loop of few rounds, each of many, suits vectors.
const BLOCK: usize = 8;

// === impl Scale ===

impl Scale {
    /// Takes off the mean and divides by the deviation.
    pub fn new(mean: Option<Column>, deviation: Option<Column>, missing: Missing) -> Self {
        Self {
            mean: mean.unwrap_or(Column::All(0.0)),
            deviation: deviation.unwrap_or(Column::All(1.0)),
            missing,
        }
    }

    /// Scales rows of so many columns, one after the other.
    pub fn apply<T: Number, R: Rounded>(
        &self,
        numbers: &[T],
        columns: usize,
    ) -> Result<Vec<R>, ScaleError> {
        let mut scaled = Vec::<R>::with_capacity(numbers.len());
        let columns_at_once = match (&self.mean, &self.deviation) {
            // Rows may be cut anywhere where all columns are scaled alike.
            (Column::All(_), Column::All(_)) => columns.min(ALIKE_MAX),
            _ => columns,
        };
        let mean = self.mean.numbers(columns_at_once);
        let deviation = self.deviation.numbers(columns_at_once);
        for row in numbers.chunks(columns_at_once.max(1)) {
            scale_row(row, &mean, &deviation, &mut scaled);
        }
        // Rare, and so looked for at the end alone, in all of them at once.
        if !scaled.iter().fold(true, |all, one| all & one.is_finite()) {
            self.mend(numbers, columns, &mut scaled)?;
        }
        Ok(scaled)
    }

    /// Puts something in the place of numbers that are missing.
    fn mend<T: Number, R: Rounded>(
        &self,
        numbers: &[T],
        columns: usize,
        scaled: &mut [R],
    ) -> Result<(), ScaleError> {
        let columns = columns.max(1);
        let values = match &self.missing {
            Missing::Value(values) => values.numbers(columns),
            Missing::Error | Missing::Keep => Cow::default(),
        };
        let (mean, deviation) = (self.mean.numbers(columns), self.deviation.numbers(columns));
        for (at, (number, scaled)) in numbers.iter().zip(scaled).enumerate() {
            if scaled.is_finite() {
                continue;
            }
            let mut number = number.to_f64();
            if number.is_infinite() {
                return Err(ScaleError::Infinite { at });
            }
            let column = at % columns;
            if number.is_nan() {
                match values.get(column) {
                    Some(value) => number = *value,
                    None if self.missing == Missing::Keep => continue,
                    None => return Err(ScaleError::Nan { at }),
                }
            }
            let (Some(mean), Some(deviation)) = (mean.get(column), deviation.get(column)) else {
                continue;
            };
            *scaled = R::round((number - mean) / deviation);
            if !scaled.is_finite() {
                return Err(ScaleError::TooLarge { at, number });
            }
        }
        Ok(())
    }
}

/// Adds a row, a number a column, scaled.
fn scale_row<T: Number, R: Rounded>(
    row: &[T],
    mean: &[f64],
    deviation: &[f64],
    scaled: &mut Vec<R>,
) {
    let (blocks, rest) = row.as_chunks::<BLOCK>();
    let (mean_blocks, mean_rest) = mean.as_chunks::<BLOCK>();
    let (deviation_blocks, deviation_rest) = deviation.as_chunks::<BLOCK>();
    let each = |((number, mean), deviation): ((&T, &f64), &f64)| {
        R::round((number.to_f64() - mean) / deviation)
    };
    for ((numbers, mean), deviation) in blocks.iter().zip(mean_blocks).zip(deviation_blocks) {
        let mut block = [R::default(); BLOCK];
        let of_columns = numbers.iter().zip(mean).zip(deviation);
        for (one, of_column) in block.iter_mut().zip(of_columns) {
            *one = each(of_column);
        }
        scaled.extend_from_slice(&block);
    }
    scaled.extend(rest.iter().zip(mean_rest).zip(deviation_rest).map(each));
}

// === impl ScaleError ===

impl fmt::Display for ScaleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nan { at } => write!(
                f,
                "element {at} is NaN; a number is expected, or `missing` in the plugin's \
                 configuration"
            ),
            Self::Infinite { at } => {
                write!(f, "element {at} is infinite; a finite number is expected")
            }
            Self::TooLarge { at, number } => {
                write!(f, "element {at} is {number:e}: too large to be scaled")
            }
        }
    }
}

impl std::error::Error for ScaleError {}
