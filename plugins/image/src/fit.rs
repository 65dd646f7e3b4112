//! Sizes: how large an image becomes, without touching it.

/// The size of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: usize,
    pub(crate) height: usize,
}

// === impl Size ===

impl Size {
    /// All sides in the same proportion, so that the shorter one has a length, if it was
    /// shorter.
    pub(crate) fn short_side(self, length: usize, multiple: usize) -> Self {
        let short = self.width.min(self.height);
        self.scaled(
            if short < length {
                ratio(length, short)
            } else {
                1.0
            },
            multiple,
        )
    }

    /// All sides in the same proportion, so that the longer one has a length, if it was longer.
    pub(crate) fn long_side(self, length: usize, multiple: usize) -> Self {
        let long = self.width.max(self.height);
        self.scaled(
            if long > length {
                ratio(length, long)
            } else {
                1.0
            },
            multiple,
        )
    }

    /// That high, and as wide as it then is, the last part of a pixel counted whole; but no
    /// wider than an area.
    pub(crate) fn of_height(self, height: usize, width_max: usize) -> Self {
        let width = (height as f64 * (self.width as f64 / self.height as f64)).ceil() as usize;
        Self {
            width: width.clamp(1, width_max.max(1)),
            height,
        }
    }

    pub(crate) fn pixels(self) -> u64 {
        (self.width as u64).saturating_mul(self.height as u64)
    }

    /// Sides first lose their parts of a pixel, then go to the nearest multiple.
    fn scaled(self, ratio: f64, multiple: usize) -> Self {
        let side = |side: usize| {
            let whole = (side as f64 * ratio).floor();
            (whole / multiple as f64).round_ties_even() as usize * multiple
        };
        Self {
            width: side(self.width),
            height: side(self.height),
        }
    }
}

fn ratio(to: usize, from: usize) -> f64 {
    to as f64 / from.max(1) as f64
}

/// Rows of each band above and below an image that is low, or wide for its height.
pub(crate) fn band(size: Size, height_max: usize, ratio: f64) -> usize {
    let is_wide = size.width as f64 / size.height as f64 > ratio;
    if size.height > height_max && !is_wide {
        return 0;
    }
    let wanted = ((size.width as f64 / ratio) as usize).max(height_max) * 2;
    wanted.abs_diff(size.height) / 2
}
