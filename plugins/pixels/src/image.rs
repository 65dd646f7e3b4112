//! An image of three channels of 8 bits.

use thiserror::Error;

/// How many channels every image here has.
pub const CHANNELS: usize = 3;

/// An image of at least one pixel: rows from the top, pixels from the left, the three
/// channels of a pixel side by side. Which channel is red is its maker's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

/// Why something is no image.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImageError {
    /// An axis has no pixel.
    #[error("an image of {width} x {height} pixels has none")]
    Empty {
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
    },
    /// The data are not as long as the size says.
    #[error(
        "{length} bytes are no image of {width} x {height} pixels, which takes {CHANNELS} bytes a pixel"
    )]
    Length {
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
        /// The number of bytes there are.
        length: usize,
    },
}

// === impl Image ===

impl Image {
    /// An image of these bytes.
    pub fn new(width: usize, height: usize, data: Vec<u8>) -> Result<Self, ImageError> {
        if width == 0 || height == 0 {
            return Err(ImageError::Empty { width, height });
        }
        let expected = width
            .checked_mul(height)
            .and_then(|pixels| pixels.checked_mul(CHANNELS));
        if expected == Some(data.len()) {
            Ok(Self {
                width,
                height,
                data,
            })
        } else {
            Err(ImageError::Length {
                width,
                height,
                length: data.len(),
            })
        }
    }

    /// An image of one level.
    pub fn filled(width: usize, height: usize, level: u8) -> Result<Self, ImageError> {
        Self::new(width, height, vec![level; width * height * CHANNELS])
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All bytes.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// All bytes, to change them.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// The bytes, to keep.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// The rows, from the top.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.data.chunks_exact(self.width * CHANNELS)
    }

    /// The bytes of a row; the last one for rows below it.
    pub fn row(&self, y: usize) -> &[u8] {
        let length = self.width * CHANNELS;
        let begin = y.min(self.height - 1) * length;
        self.data.get(begin..begin + length).unwrap_or_default()
    }

    /// The same image with its first and its third channel changed for one another.
    #[must_use]
    pub fn swap_channels(mut self) -> Self {
        for pixel in self.data.chunks_exact_mut(CHANNELS) {
            if let [first, _, third] = pixel {
                std::mem::swap(first, third);
            }
        }
        self
    }

    /// Turned by half a circle.
    #[must_use]
    pub fn turn_half(&self) -> Self {
        let pixels = self.data.chunks_exact(CHANNELS).rev();
        Self {
            data: pixels.flatten().copied().collect(),
            ..*self
        }
    }

    /// Turned by a quarter of a circle, against the clock: the last column becomes the first
    /// row.
    #[must_use]
    pub fn turn_quarter(&self) -> Self {
        let mut data = Vec::with_capacity(self.data.len());
        for x in (0..self.width).rev() {
            for row in self.rows() {
                data.extend(row.iter().skip(x * CHANNELS).take(CHANNELS));
            }
        }
        Self {
            width: self.height,
            height: self.width,
            data,
        }
    }

    /// The same between bands of one level above and below.
    pub fn with_bands(&self, rows: usize, level: u8) -> Result<Self, ImageError> {
        let band = rows * self.width * CHANNELS;
        let mut data = Vec::with_capacity(self.data.len() + 2 * band);
        data.resize(band, level);
        data.extend_from_slice(&self.data);
        data.resize(data.len() + band, level);
        Self::new(self.width, self.height + 2 * rows, data)
    }
}
