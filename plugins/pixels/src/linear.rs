//! Resizing by linear interpolation in fixed point, as OpenCV's `INTER_LINEAR` has it for
//! 8 bits: weights of 11 bits, rows first, then columns, and one rounding at the end.

use crate::area::halve;
use crate::image::{CHANNELS, Image, ImageError};

/// What a weight of one is: 11 bits.
const ONE: i32 = 1 << 11;

/// Two neighbours and their weights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taps {
    /// The first of them. The second follows, unless this is the last.
    at: usize,
    first: i32,
    second: i32,
    /// Whether both are the first one: beyond an end of a column. Its weights then still count
    /// one by one, because each is rounded by itself.
    beyond: bool,
}

/// An image of another size. Where both sides halve, OpenCV takes the mean of four pixels,
/// and so does this.
pub fn resize_linear(image: &Image, width: usize, height: usize) -> Result<Image, ImageError> {
    if (width, height) == (image.width(), image.height()) {
        return Ok(image.clone());
    }
    if (width * 2, height * 2) == (image.width(), image.height()) {
        return halve(image);
    }
    let columns = centred(image.width(), width, Ends::Whole);
    let rows = centred(image.height(), height, Ends::Parts);
    interpolate(image, &columns, &rows)
}

/// The image at these columns and rows.
pub(crate) fn interpolate(
    image: &Image,
    columns: &[Taps],
    rows: &[Taps],
) -> Result<Image, ImageError> {
    let length = columns.len() * CHANNELS;
    let mut data = vec![0; length * rows.len()];
    // The two rows that were needed last, and which ones they are.
    let mut upper = (usize::MAX, vec![0i32; length]);
    let mut lower = (usize::MAX, vec![0i32; length]);
    if length > 0 {
        for (taps, output) in rows.iter().zip(data.chunks_exact_mut(length)) {
            let below = if taps.beyond {
                taps.at
            } else {
                (taps.at + 1).min(image.height() - 1)
            };
            if upper.0 != taps.at && lower.0 == taps.at {
                std::mem::swap(&mut upper, &mut lower);
            }
            for (wanted, (known, sums)) in [(taps.at, &mut upper), (below, &mut lower)] {
                if *known != wanted {
                    across(image.row(wanted), columns, sums);
                    *known = wanted;
                }
            }
            down(&upper.1, &lower.1, *taps, output);
        }
    }
    Image::new(columns.len(), rows.len(), data)
}

/// One row at the wanted columns, in 11 bits more than its levels.
fn across(row: &[u8], columns: &[Taps], sums: &mut [i32]) {
    for (taps, sum) in columns.iter().zip(sums.chunks_exact_mut(CHANNELS)) {
        let begin = taps.at * CHANNELS;
        if let (Some([a, b, c, d, e, f]), [x, y, z]) = (row.get(begin..begin + 6), &mut *sum) {
            *x = i32::from(*a) * taps.first + i32::from(*d) * taps.second;
            *y = i32::from(*b) * taps.first + i32::from(*e) * taps.second;
            *z = i32::from(*c) * taps.first + i32::from(*f) * taps.second;
        } else if let (Some([a, b, c]), [x, y, z]) = (row.get(begin..begin + 3), sum) {
            *x = i32::from(*a) * ONE;
            *y = i32::from(*b) * ONE;
            *z = i32::from(*c) * ONE;
        }
    }
}

/// Two such rows between one another, rounded to levels.
fn down(upper: &[i32], lower: &[i32], taps: Taps, output: &mut [u8]) {
    let (first, second) = (taps.first, taps.second);
    for ((upper, lower), level) in upper.iter().zip(lower).zip(output) {
        let sum = ((first * (upper >> 4)) >> 16) + ((second * (lower >> 4)) >> 16);
        // Weights are not negative, so that this is a level.
        *level = ((sum + 2) >> 2) as u8;
    }
}

/// What becomes of the weights where a place lies beyond the first or the last pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// The pixel at the end counts whole: columns.
    Whole,
    /// It counts twice, each time in part: rows.
    Parts,
}

/// Where each of `to` pixels lies among `from`, both having their centres in common.
fn centred(from: usize, to: usize, ends: Ends) -> Vec<Taps> {
    let scale = 1.0 / (to as f64 / from as f64);
    let taps = |index| {
        let position = ((index as f64 + 0.5) * scale - 0.5) as f32;
        let floor = position.floor();
        between(from, floor, position - floor, ends)
    };
    (0..to).map(taps).collect()
}

/// The taps at a pixel and a part of the way to the next.
pub(crate) fn between(from: usize, floor: f32, part: f32, ends: Ends) -> Taps {
    let last = from - 1;
    let at = (floor.max(0.0) as usize).min(last);
    let beyond = floor < 0.0 || floor as usize >= last;
    let part = if beyond && ends == Ends::Whole {
        0.0
    } else {
        part
    };
    Taps {
        at,
        first: ((1.0 - part) * ONE as f32).round_ties_even() as i32,
        second: (part * ONE as f32).round_ties_even() as i32,
        beyond,
    }
}
