//! Resizing by the mean of what a pixel covers, as OpenCV's `INTER_AREA` has it for 8 bits.

use crate::image::{CHANNELS, Image, ImageError};
use crate::linear::{Ends, Taps, between, interpolate};

/// A share of a pixel that is smaller than this is none.
const SHARE_MIN: f64 = 1e-3;

/// What one pixel takes of the pixels that it covers.
#[derive(Debug, Clone)]
struct Cover {
    /// The first of them.
    begin: usize,
    /// The share of each.
    shares: Vec<f32>,
}

/// An image of another size. Where a side grows, it is interpolated.
pub fn resize_area(image: &Image, width: usize, height: usize) -> Result<Image, ImageError> {
    let from = (image.width(), image.height());
    if (width, height) == from {
        return Ok(image.clone());
    }
    if width == 0 || height == 0 {
        return Err(ImageError::Empty { width, height });
    }
    if width > image.width() || height > image.height() {
        let columns = stretched(image.width(), width, Ends::Whole);
        let rows = stretched(image.height(), height, Ends::Parts);
        return interpolate(image, &columns, &rows);
    }
    if (width * 2, height * 2) == from {
        return halve(image);
    }
    if image.width().is_multiple_of(width) && image.height().is_multiple_of(height) {
        return whole(image, image.width() / width, image.height() / height);
    }
    parts(image, width, height)
}

/// Half as wide and half as high: the mean of four pixels, halves rounded up.
pub(crate) fn halve(image: &Image) -> Result<Image, ImageError> {
    let (width, height) = (image.width() / 2, image.height() / 2);
    let mut data = Vec::with_capacity(width * height * CHANNELS);
    for y in 0..height {
        let upper = image.row(2 * y).chunks_exact(2 * CHANNELS);
        let lower = image.row(2 * y + 1).chunks_exact(2 * CHANNELS);
        for (upper, lower) in upper.zip(lower) {
            for ((a, b), (c, d)) in upper
                .iter()
                .zip(upper.iter().skip(CHANNELS))
                .zip(lower.iter().zip(lower.iter().skip(CHANNELS)))
            {
                let sum = u16::from(*a) + u16::from(*b) + u16::from(*c) + u16::from(*d);
                data.push(((sum + 2) >> 2) as u8);
            }
        }
    }
    Image::new(width, height, data)
}

/// The mean of blocks of `across` x `down` whole pixels.
fn whole(image: &Image, across: usize, down: usize) -> Result<Image, ImageError> {
    let (width, height) = (image.width() / across, image.height() / down);
    let share = 1.0 / (across * down) as f32;
    let mut data = Vec::with_capacity(width * height * CHANNELS);
    let mut sums = vec![0u32; width * CHANNELS];
    for y in 0..height {
        sums.fill(0);
        for row in (0..down).map(|below| image.row(y * down + below)) {
            let blocks = row.chunks_exact(across * CHANNELS);
            for (block, sum) in blocks.zip(sums.chunks_exact_mut(CHANNELS)) {
                for pixel in block.chunks_exact(CHANNELS) {
                    for (sum, level) in sum.iter_mut().zip(pixel) {
                        *sum += u32::from(*level);
                    }
                }
            }
        }
        data.extend(sums.iter().map(|sum| level(*sum as f32 * share)));
    }
    Image::new(width, height, data)
}

/// The mean of whole pixels and parts of others.
fn parts(image: &Image, width: usize, height: usize) -> Result<Image, ImageError> {
    let columns = covers(image.width(), width);
    let mut data = Vec::with_capacity(width * height * CHANNELS);
    let mut across = vec![0f32; width * CHANNELS];
    let mut sums = vec![0f32; width * CHANNELS];
    for cover in covers(image.height(), height) {
        for (index, share) in cover.shares.iter().enumerate() {
            let row = image.row(cover.begin + index);
            for (column, output) in columns.iter().zip(across.chunks_exact_mut(CHANNELS)) {
                output.fill(0.0);
                let pixels = row.chunks_exact(CHANNELS).skip(column.begin);
                for (share, pixel) in column.shares.iter().zip(pixels) {
                    for (sum, level) in output.iter_mut().zip(pixel) {
                        *sum += f32::from(*level) * share;
                    }
                }
            }
            for (sum, part) in sums.iter_mut().zip(&across) {
                *sum = if index == 0 {
                    part * share
                } else {
                    *sum + part * share
                };
            }
        }
        data.extend(sums.iter().map(|sum| level(*sum)));
    }
    Image::new(width, height, data)
}

/// A mean as a level.
fn level(mean: f32) -> u8 {
    mean.round_ties_even() as u8
}

/// What each of `to` pixels covers of `from`, of which there are at least as many.
fn covers(from: usize, to: usize) -> Vec<Cover> {
    let scale = from as f64 / to as f64;
    let cover = |index| {
        let begin = index as f64 * scale;
        let end = begin + scale;
        let cell = scale.min(from as f64 - begin);
        let last = (end.floor() as usize).min(from - 1);
        let first = (begin.ceil() as usize).min(last);
        let mut cover = Cover {
            begin: first,
            shares: Vec::with_capacity(last - first + 2),
        };
        if first as f64 - begin > SHARE_MIN {
            cover.begin = first - 1;
            cover.shares.push(((first as f64 - begin) / cell) as f32);
        }
        cover
            .shares
            .extend((first..last).map(|_| (1.0 / cell) as f32));
        if end - last as f64 > SHARE_MIN {
            let share = (end - last as f64).min(1.0).min(cell) / cell;
            cover.shares.push(share as f32);
        }
        cover
    };
    (0..to).map(cover).collect()
}

/// Where each of `to` pixels lies among `from`, both rows having their ends in common.
fn stretched(from: usize, to: usize, ends: Ends) -> Vec<Taps> {
    let inverse = to as f64 / from as f64;
    let scale = 1.0 / inverse;
    let taps = |index| {
        let floor = (index as f64 * scale).floor();
        let part = ((index as f64 + 1.0) - (floor + 1.0) * inverse) as f32;
        let part = if part <= 0.0 {
            0.0
        } else {
            part - part.floor()
        };
        between(from, floor as f32, part, ends)
    };
    (0..to).map(taps).collect()
}
