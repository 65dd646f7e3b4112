//! From levels to the numbers that a model takes.

use crate::image::{CHANNELS, Image};

/// The order of a model's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One channel after the other: `[3, height, width]`.
    Nchw,
    /// One pixel after the other: `[height, width, 3]`.
    Nhwc,
}

/// For each channel, the number of each of the 256 levels.
#[derive(Debug, Clone)]
pub struct Normalise {
    tables: [[f32; 256]; CHANNELS],
}

// === impl Normalise ===

impl Normalise {
    /// `(level * scale - mean) / std`, computed once for each level, in `f64`.
    pub fn new(scale: f64, mean: [f64; CHANNELS], std: [f64; CHANNELS]) -> Self {
        let mut tables = [[0.0; 256]; CHANNELS];
        for ((table, mean), std) in tables.iter_mut().zip(mean).zip(std) {
            for (level, number) in table.iter_mut().enumerate() {
                *number = ((level as f64 * scale - mean) / std) as f32;
            }
        }
        Self { tables }
    }

    /// The image's numbers in an area of `width` x `height`, which the image lies in at the
    /// left and the top; zeros beside it, and nothing of the image that lies outside.
    pub fn apply(&self, image: &Image, layout: Layout, width: usize, height: usize) -> Vec<f32> {
        let mut numbers = vec![0.0; width * height * CHANNELS];
        if width == 0 || height == 0 {
            return numbers;
        }
        match layout {
            Layout::Nchw => {
                let planes = numbers.chunks_exact_mut(width * height);
                for (channel, (plane, table)) in planes.zip(&self.tables).enumerate() {
                    for (output, row) in plane.chunks_exact_mut(width).zip(image.rows()) {
                        let levels = row.iter().skip(channel).step_by(CHANNELS);
                        for (number, level) in output.iter_mut().zip(levels) {
                            *number = number_of(table, *level);
                        }
                    }
                }
            }
            Layout::Nhwc => {
                let rows = numbers.chunks_exact_mut(width * CHANNELS);
                for (output, row) in rows.zip(image.rows()) {
                    let pixels = row.chunks_exact(CHANNELS);
                    for (output, pixel) in output.chunks_exact_mut(CHANNELS).zip(pixels) {
                        for ((number, level), table) in
                            output.iter_mut().zip(pixel).zip(&self.tables)
                        {
                            *number = number_of(table, *level);
                        }
                    }
                }
            }
        }
        numbers
    }
}

/// The number of a level.
fn number_of(table: &[f32; 256], level: u8) -> f32 {
    table.get(usize::from(level)).copied().unwrap_or_default()
}
