//! PNG, JPEG and WebP to pixels. Sizes are read first and held against the limit, so that
//! a few bytes of header never make the plugin allocate a huge image.

mod jpeg;
mod png;
mod webp;

use crate::config::Alpha;
use consort_plugin_pixels::{CHANNELS, Image, ImageError};
use thiserror::Error;

/// The formats there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG, baseline and progressive.
    Jpeg,
    /// WebP, lossy and lossless; of an animation the first picture.
    WebP,
}

/// Why bytes are not made an image.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// There are none.
    #[error("there are no bytes: an image in PNG, JPEG or WebP is expected")]
    Empty,
    /// They begin like none of the formats.
    #[error("this is no image: the bytes of a PNG, JPEG or WebP file are expected")]
    Unknown,
    /// The header says so.
    #[error(
        "the {format} image has {width} x {height} pixels, and `pixels_max` in the plugin's \
         configuration allows {pixels_max}"
    )]
    TooLarge {
        /// The format.
        format: Format,
        /// The width that its header says.
        width: u64,
        /// The height that its header says.
        height: u64,
        /// The limit.
        pixels_max: u64,
    },
    /// What follows the header is not as the format says.
    #[error("the {format} image is broken: {reason}")]
    Broken {
        /// The format.
        format: Format,
        /// What its decoder said.
        reason: String,
    },
}

/// Levels as a decoder gives them.
pub(crate) struct Decoded {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) data: Vec<u8>,
    pub(crate) kind: Kind,
}

/// What the channels of a pixel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
}

/// An image of red, green and blue of these bytes.
pub fn decode(bytes: &[u8], pixels_max: u64, alpha: Alpha) -> Result<Image, DecodeError> {
    let format = Format::of(bytes)?;
    let decoded = match format {
        Format::Png => png::decode(bytes, pixels_max)?,
        Format::Jpeg => jpeg::decode(bytes, pixels_max)?,
        Format::WebP => webp::decode(bytes, pixels_max)?,
    };
    decoded
        .into_image(alpha)
        .map_err(|error| format.broken(error))
}

// === impl Format ===

impl Format {
    /// The format by the first bytes.
    pub fn of(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes {
            [] => Err(DecodeError::Empty),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Ok(Self::Jpeg),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Ok(Self::WebP),
            _ => Err(DecodeError::Unknown),
        }
    }

    pub(crate) fn broken(self, reason: impl std::fmt::Display) -> DecodeError {
        DecodeError::Broken {
            format: self,
            reason: reason.to_string(),
        }
    }

    /// Holds a header against the limit.
    pub(crate) fn admit(
        self,
        width: impl Into<u64>,
        height: impl Into<u64>,
        pixels_max: u64,
    ) -> Result<(), DecodeError> {
        let (width, height) = (width.into(), height.into());
        if width.saturating_mul(height) > pixels_max {
            return Err(DecodeError::TooLarge {
                format: self,
                width,
                height,
                pixels_max,
            });
        }
        Ok(())
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
        })
    }
}

// === impl Decoded ===

impl Decoded {
    fn into_image(self, alpha: Alpha) -> Result<Image, ImageError> {
        let data = match self.kind {
            Kind::Rgb => self.data,
            Kind::Grey => self
                .data
                .iter()
                .flat_map(|level| [*level; CHANNELS])
                .collect(),
            Kind::GreyAlpha => {
                let pixels = self.data.chunks_exact(2).map(|pixel| match pixel {
                    [level, opaque] => ([*level; CHANNELS], *opaque),
                    _ => ([0; CHANNELS], 0),
                });
                alpha.merge(pixels)
            }
            Kind::Rgba => {
                let pixels = self.data.chunks_exact(4).map(|pixel| match pixel {
                    [red, green, blue, opaque] => ([*red, *green, *blue], *opaque),
                    _ => ([0; CHANNELS], 0),
                });
                alpha.merge(pixels)
            }
        };
        Image::new(self.width, self.height, data)
    }
}

// === impl Alpha ===

impl Alpha {
    /// Colours and opacity to colours alone.
    fn merge(self, pixels: impl Iterator<Item = ([u8; CHANNELS], u8)>) -> Vec<u8> {
        match self {
            Self::Drop => pixels.flat_map(|(colour, _)| colour).collect(),
            Self::White => pixels
                .flat_map(|(colour, opaque)| {
                    let opaque = u16::from(opaque);
                    colour.map(|level| {
                        let sum = u16::from(level) * opaque + 255 * (255 - opaque);
                        ((sum + 127) / 255) as u8
                    })
                })
                .collect(),
            Self::Contrast => {
                let pixels: Vec<_> = pixels.collect();
                let is_seen = |(colour, opaque): &([u8; CHANNELS], u8)| {
                    *opaque > 0 && colour.iter().any(|level| *level > 0)
                };
                let any_light = pixels.iter().any(is_seen);
                let merged = pixels.iter().flat_map(|(colour, opaque)| {
                    colour.map(|level| {
                        let level = if *opaque > 0 { level } else { 0 };
                        if any_light {
                            255 - level
                        } else {
                            level.saturating_add(255 - opaque)
                        }
                    })
                });
                merged.collect()
            }
        }
    }
}
