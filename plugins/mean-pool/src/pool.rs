//! The arithmetic: a sum over the rows that count, in the order of the rows, so that the same
//! text gives the same bits whatever it was batched with.

use std::fmt;

/// What is added to nothing, so that a division by zero cannot be.
const SUM_MIN: f32 = 1e-9;
/// The least length that a vector is divided by.
const LENGTH_MIN: f32 = 1e-12;

/// Columns that are summed together: their sums stay in vector registers over all rows.
const BLOCK: usize = 32;

/// A mask that does not fit the vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskError {
    /// It has another length.
    Length {
        /// How many vectors there are.
        vectors: usize,
        /// How many elements the mask has.
        mask: usize,
    },
    /// An element is neither 0 nor 1.
    Element {
        /// Which.
        index: usize,
        /// What it is.
        value: i64,
    },
}

/// The mean of the rows of `dimension` numbers whose element of `mask` is 1. All zeros when
/// there is none.
pub fn mean(vectors: &[f32], dimension: usize, mask: &[i64]) -> Result<Vec<f32>, MaskError> {
    let rows = vectors.len().checked_div(dimension).unwrap_or(mask.len());
    if rows != mask.len() {
        return Err(MaskError::Length {
            vectors: rows,
            mask: mask.len(),
        });
    }
    let mut counting = Vec::with_capacity(rows);
    let each = vectors.chunks_exact(dimension.max(1)).zip(mask);
    for (index, (row, counts)) in each.enumerate() {
        match *counts {
            0 => {}
            1 => counting.push(row),
            value => return Err(MaskError::Element { index, value }),
        }
    }
    let mut mean = Vec::with_capacity(dimension);
    while let Some(block) = block(&counting, mean.len()) {
        mean.extend(block);
    }
    for column in mean.len()..dimension {
        let column = counting.iter().filter_map(|row| row.get(column));
        mean.push(column.fold(0.0, |sum, value| sum + value));
    }
    let count = (counting.len() as f32).max(SUM_MIN);
    for sum in &mut mean {
        *sum /= count;
    }
    Ok(mean)
}

/// The sums of a block of columns, if the rows are that long.
fn block(rows: &[&[f32]], begin: usize) -> Option<[f32; BLOCK]> {
    let mut sums = [0.0f32; BLOCK];
    let block = |row: &&[f32]| row.get(begin..)?.first_chunk::<BLOCK>().copied();
    rows.first().and_then(block)?;
    for values in rows.iter().filter_map(block) {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value;
        }
    }
    Some(sums)
}

/// Scales a vector to length 1; one that is all zeros stays so.
pub fn normalise(vector: &mut [f32]) {
    // Eight sums beside one another fill two vector registers.
    let mut sums = [0.0f32; 8];
    let chunks = vector.chunks_exact(sums.len());
    let rest: f32 = chunks.remainder().iter().map(|value| value * value).sum();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value * value;
        }
    }
    let length = (sums.iter().sum::<f32>() + rest).sqrt().max(LENGTH_MIN);
    for value in vector {
        *value /= length;
    }
}

// === impl MaskError ===

impl fmt::Display for MaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { vectors, mask } => {
                write!(f, "it has {mask} elements, there are {vectors} vectors")
            }
            Self::Element { index, value } => {
                write!(f, "element {index} is {value}, 0 or 1 is expected")
            }
        }
    }
}
