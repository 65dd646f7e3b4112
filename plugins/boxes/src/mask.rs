//! Which pixels of a map are text.

/// Truth values in rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    width: usize,
    data: Vec<bool>,
}

/// Equal pixels side by side in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) y: i32,
    /// The first pixel.
    pub(crate) begin: i32,
    /// The last one.
    pub(crate) last: i32,
    /// What they are.
    pub(crate) set: bool,
}

// === impl Mask ===

impl Mask {
    /// The pixels above a threshold.
    pub fn above(map: &[f32], width: usize, threshold: f32) -> Self {
        Self {
            width: width.max(1),
            data: map.iter().map(|score| *score > threshold).collect(),
        }
    }

    /// Each pixel grown by one to the right, downwards, and both.
    #[must_use]
    pub fn dilate(mut self) -> Self {
        let mut above = vec![false; self.width];
        for row in self.data.chunks_exact_mut(self.width) {
            let mut left = false;
            for pixel in row.iter_mut() {
                let own = *pixel;
                *pixel |= left;
                left = own;
            }
            for (pixel, above) in row.iter_mut().zip(&mut above) {
                let own = *pixel;
                *pixel |= *above;
                *above = own;
            }
        }
        self
    }

    /// The number of rows.
    pub(crate) fn height(&self) -> usize {
        self.data.len() / self.width
    }

    /// The number of pixels in a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// All runs, row by row.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        for (y, row) in self.data.chunks_exact(self.width).enumerate() {
            let mut begin = 0;
            for run in row.chunk_by(|left, right| left == right) {
                let last = begin + run.len() as i32 - 1;
                runs.push(Run {
                    y: y as i32,
                    begin,
                    last,
                    set: run.first().copied().unwrap_or_default(),
                });
                begin = last + 1;
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_grows_to_the_right_and_downwards() {
        let map = [0.0, 0.0, 0.0, 0.0, 0.9, 0.0, 0.0, 0.0, 0.0];
        let mask = Mask::above(&map, 3, 0.3).dilate();
        let expected = [
            false, false, false, //
            false, true, true, //
            false, true, true,
        ];
        assert_eq!(mask.data, expected);
    }
}
