//! What the plugin is told to do, checked at load.

use consort_plugin_pixels::{Layout, Normalise};
use consort_sdk::Error;
use serde::Deserialize;

/// The most pixels of an image that comes in.
const PIXELS_MAX: u64 = 1 << 24;
/// The most pixels of an image that goes out.
const OUTPUT_PIXELS_MAX: u64 = 1 << 23;

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What the input holds.
    pub source: Source,
    /// The input's name.
    pub input: String,
    /// The name of the tensor that says how large a raw image is: its height, its width.
    pub size: String,
    /// The most pixels that an image may have by its header.
    pub pixels_max: u64,
    /// The most pixels of what is made of it.
    pub output_pixels_max: u64,
    /// What becomes of transparency.
    pub alpha: Alpha,
    /// The order of the channels.
    pub channels: Channels,
    /// The image that later steps cut from, if they do.
    pub frame: Option<Frame>,
    /// When to turn it by half a circle.
    pub turn: Option<Turn>,
    /// The size that the model takes. Without it, the size that it has.
    pub resize: Option<Resize>,
    /// How it is resized.
    pub interpolation: Interpolation,
    /// What levels are multiplied by.
    pub scale: f64,
    /// What is then taken off each channel.
    pub mean: [f64; 3],
    /// What it is then divided by.
    pub std: [f64; 3],
    /// The order of the numbers.
    pub layout: LayoutName,
    /// The name of the output.
    pub output: String,
}

/// What the input holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The bytes of a PNG, JPEG or WebP file.
    Encoded,
    /// Levels, three channels side by side, in the order that they leave in.
    Raw,
}

/// What becomes of transparency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alpha {
    /// The colours count as they are.
    Drop,
    /// The image lies on white.
    White,
    /// Dark on light: an image that is black where it is seen at all lies on white, any other
    /// is turned to its negative. RapidOCR does so.
    Contrast,
}

/// The order of the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// The image that later steps cut from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Frame {
    /// The longest side that is left as it is.
    pub side_max: usize,
    /// The shortest side that is left as it is.
    pub side_min: usize,
    /// What sides are then rounded to.
    pub multiple: usize,
    /// Up to this height an image gets black bands above and below.
    pub band_height_max: usize,
    /// From this width, in heights, it gets them too.
    pub band_ratio: f64,
    /// The name of the frame's tensor.
    pub output: String,
    /// The name of the tensor that leads back from the frame to the image.
    pub geometry: String,
}

/// When to turn an image by half a circle: where one of a tensor's scores is the highest and
/// above a limit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// The tensor.
    pub scores: String,
    /// How many scores it has.
    pub count: usize,
    /// Which of them.
    pub index: usize,
    /// The limit.
    pub above: f32,
}

/// The size that the model takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "to", rename_all = "snake_case", deny_unknown_fields)]
pub enum Resize {
    /// Exactly this one.
    Size {
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
    },
    /// The shorter side is at least this long.
    ShortSide {
        /// That long.
        length: usize,
        /// What sides are rounded to.
        #[serde(default = "one")]
        multiple: usize,
    },
    /// The longer side is at most this long.
    LongSide {
        /// That long.
        length: usize,
        /// What sides are rounded to.
        #[serde(default = "one")]
        multiple: usize,
    },
    /// That high and as wide as it then is, in an area of a given width, zeros at the right.
    Height {
        /// That high.
        height: usize,
        /// The area's width.
        #[serde(default)]
        width: Option<usize>,
        /// The tensor that says the area's width, image by image.
        #[serde(default)]
        width_from: Option<String>,
    },
}

/// How an image is resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Linear interpolation: `INTER_LINEAR`.
    Linear,
    /// The mean of what is covered: `INTER_AREA`.
    Area,
}

/// The order of the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayoutName {
    /// One channel after the other.
    Nchw,
    /// One pixel after the other.
    Nhwc,
}

fn one() -> usize {
    1
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            source: Source::Encoded,
            input: "image".to_owned(),
            size: "size".to_owned(),
            pixels_max: PIXELS_MAX,
            output_pixels_max: OUTPUT_PIXELS_MAX,
            alpha: Alpha::White,
            channels: Channels::Rgb,
            frame: None,
            turn: None,
            resize: None,
            interpolation: Interpolation::Linear,
            scale: 1.0 / 255.0,
            mean: [0.0; 3],
            std: [1.0; 3],
            layout: LayoutName::Nchw,
            output: "x".to_owned(),
        }
    }
}

impl Config {
    /// Reads the manifest's `config`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let config: Self = serde_json::from_str(text)
            .map_err(|error| Error::failed(format_args!("`config`: {error}")))?;
        config.check()?;
        Ok(config)
    }

    /// The numbers of levels.
    pub fn normalise(&self) -> Normalise {
        Normalise::new(self.scale, self.mean, self.std)
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |key: &str, what: String| Err(Error::failed(format!("`{key}` {what}")));
        for (key, value) in [
            ("pixels_max", self.pixels_max),
            ("output_pixels_max", self.output_pixels_max),
        ] {
            if value == 0 {
                return refuse(key, "is 0, at least 1 is expected".to_owned());
            }
        }
        if !self.scale.is_finite() || self.mean.iter().any(|mean| !mean.is_finite()) {
            return refuse("scale` and `mean", "are finite numbers".to_owned());
        }
        if self.std.iter().any(|std| *std == 0.0 || !std.is_finite()) {
            return refuse(
                "std",
                "has a number that nothing can be divided by".to_owned(),
            );
        }
        if let Some(frame) = &self.frame {
            if self.source == Source::Raw {
                return refuse("frame", "is for encoded images".to_owned());
            }
            if frame.multiple == 0 || frame.side_min > frame.side_max {
                let what = "needs a `multiple` of at least 1 and a `side_min` up to `side_max`";
                return refuse("frame", what.to_owned());
            }
        }
        if let Some(turn) = &self.turn
            && turn.index >= turn.count
        {
            let (index, count) = (turn.index, turn.count);
            return refuse(
                "turn.index",
                format!("is {index}, below `count` ({count}) is expected"),
            );
        }
        match &self.resize {
            Some(Resize::Size { width, height }) if *width == 0 || *height == 0 => {
                refuse("resize", format!("to {width} x {height} leaves no pixel"))
            }
            Some(
                Resize::ShortSide { length, multiple } | Resize::LongSide { length, multiple },
            ) if *length == 0 || *multiple == 0 => refuse(
                "resize",
                "needs a `length` and a `multiple` of at least 1".to_owned(),
            ),
            Some(Resize::Height {
                height,
                width,
                width_from,
            }) => {
                if *height == 0 || *width == Some(0) {
                    return refuse("resize", "needs sides of at least 1".to_owned());
                }
                if width.is_some() == width_from.is_some() {
                    let what = "to a height needs either `width` or `width_from`";
                    return refuse("resize", what.to_owned());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

// === impl Frame ===

impl Default for Frame {
    fn default() -> Self {
        Self {
            side_max: 2000,
            side_min: 30,
            multiple: 32,
            band_height_max: 0,
            band_ratio: f64::INFINITY,
            output: "frame".to_owned(),
            geometry: "geometry".to_owned(),
        }
    }
}

// === impl LayoutName ===

impl From<LayoutName> for Layout {
    fn from(name: LayoutName) -> Self {
        match name {
            LayoutName::Nchw => Self::Nchw,
            LayoutName::Nhwc => Self::Nhwc,
        }
    }
}
