//! A part of an image seen from the front: cubic interpolation as `warpPerspective` of
//! OpenCV 5 has it, with the image's edge repeated outside of it.
//!
//! OpenCV 4 rounds places to a 32nd of a pixel first, which moves levels by up to 6.

use crate::homography::Homography;
use crate::image::{CHANNELS, Image, ImageError};

/// Pixels along one side of what a pixel is made of.
const TAPS: usize = 4;

/// How far the weights of cubic interpolation go below zero.
const SHARPNESS: f32 = -0.75;

/// An image of that size, each pixel taken from where `back` says that it was.
pub fn warp_perspective(
    image: &Image,
    back: &Homography,
    width: usize,
    height: usize,
) -> Result<Image, ImageError> {
    let [a, b, c, d, e, f, g, h, i] = back.0;
    let mut data = Vec::with_capacity(width * height * CHANNELS);
    for y in 0..height {
        let y = y as f64;
        let (left, top, depth) = (b * y + c, e * y + f, h * y + i);
        for x in 0..width {
            let x = x as f64;
            let depth = depth + g * x;
            let scale = if depth == 0.0 { 0.0 } else { 1.0 / depth };
            let (across, down) = ((left + a * x) * scale, (top + d * x) * scale);
            data.extend(pixel(image, across, down));
        }
    }
    Image::new(width, height, data)
}

/// The weighted mean of the 4 x 4 pixels around a place.
fn pixel(image: &Image, across: f64, down: f64) -> [u8; CHANNELS] {
    let (x, y) = (across.floor(), down.floor());
    let columns = weights((across - x) as f32);
    let rows = weights((down - y) as f32);
    let (x, y) = (x as i64 - 1, y as i64 - 1);
    let last = (image.width() - 1) as i64;
    let inside = x >= 0 && x + TAPS as i64 - 1 <= last;
    let mut sums = [0f32; CHANNELS];
    for (row, weight) in rows.iter().enumerate() {
        let row = image.row((y + row as i64).max(0) as usize);
        let mut line = [0f32; CHANNELS];
        if inside {
            let begin = x as usize * CHANNELS;
            let pixels = row.get(begin..begin + TAPS * CHANNELS).unwrap_or_default();
            for (pixel, weight) in pixels.chunks_exact(CHANNELS).zip(columns) {
                add(&mut line, pixel, weight);
            }
        } else {
            for (column, weight) in columns.iter().enumerate() {
                let begin = (x + column as i64).clamp(0, last) as usize * CHANNELS;
                let pixel = row.get(begin..begin + CHANNELS).unwrap_or_default();
                add(&mut line, pixel, *weight);
            }
        }
        for (sum, part) in sums.iter_mut().zip(line) {
            *sum += part * weight;
        }
    }
    // A float becomes the nearest level there is.
    sums.map(|sum| sum.round_ties_even() as u8)
}

/// Adds a pixel's share.
fn add(sums: &mut [f32; CHANNELS], pixel: &[u8], weight: f32) {
    for (sum, level) in sums.iter_mut().zip(pixel) {
        *sum += f32::from(*level) * weight;
    }
}

/// The weights of four neighbours, the place being between the second and the third.
fn weights(place: f32) -> [f32; TAPS] {
    let far = place + 1.0;
    let near = |at: f32| ((SHARPNESS + 2.0) * at - (SHARPNESS + 3.0)) * at * at + 1.0;
    let first =
        ((SHARPNESS * far - 5.0 * SHARPNESS) * far + 8.0 * SHARPNESS) * far - 4.0 * SHARPNESS;
    let (second, third) = (near(place), near(1.0 - place));
    [first, second, third, 1.0 - first - second - third]
}
