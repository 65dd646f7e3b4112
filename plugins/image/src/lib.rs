//! Pictures for models: a PNG, JPEG or WebP file, or raw levels, to the numbers that a model
//! takes. What happens is in [`Config`]; how a size is found is in `fit`, and what is done to
//! pixels in `consort-plugin-pixels`.

mod config;
mod decode;
mod fit;

pub use config::{Alpha, Channels, Config, Frame, Interpolation, LayoutName, Resize, Source, Turn};
pub use decode::{DecodeError, Format, decode};

use consort_plugin_pixels::{CHANNELS, Image, Normalise, resize_area, resize_linear};
use consort_sdk::{
    ANY, Assets, Datatype, Description, Dim, Dims, Error, Example, Outcome, Outputs, Plugin,
    Preprocess, Tensor,
};
use fit::Size;

/// What a frame's geometry holds: the factors that lead from the frame back to the image,
/// across and down, the rows of the band above it, and the image's width and height.
pub const GEOMETRY: usize = 5;

/// The plugin.
#[derive(Debug)]
pub struct Images {
    config: Config,
    normalise: Normalise,
}

consort_sdk::export!(Images: preprocess);

/// An image, and how it lies in the one that came.
struct Framed {
    image: Image,
    geometry: [f32; GEOMETRY],
}

// === impl Images ===

impl Plugin for Images {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        let config = Config::parse(config)?;
        Ok(Self {
            normalise: config.normalise(),
            config,
        })
    }
}

impl Preprocess for Images {
    fn describe(&self) -> Description {
        let config = &self.config;
        let mut description = Description::new().input(&config.input, Datatype::Bytes, [1]);
        if config.source == Source::Raw {
            description = description.input(&config.size, Datatype::Int32, [2]);
        }
        if let Some(turn) = &config.turn {
            description = description.input(&turn.scores, Datatype::Fp32, [turn.count]);
        }
        if let Some(Resize::Height {
            width_from: Some(name),
            ..
        }) = &config.resize
        {
            description = description.input(name, Datatype::Int32, [1]);
        }
        description = description.forwards(&config.output, Datatype::Fp32, self.dims());
        if let Some(frame) = &config.frame {
            description = description
                .forwards(&frame.output, Datatype::Uint8, [ANY, ANY, CHANNELS.into()])
                .forwards(&frame.geometry, Datatype::Fp32, [GEOMETRY]);
        }
        description
    }

    fn preprocess(&self, example: &Example) -> Result<Outcome, Error> {
        let image = self.image(example)?;
        let config = &self.config;
        let Some(frame) = &config.frame else {
            let numbers = self.numbers(&image, example)?;
            return Ok(Outcome::Forward(
                Outputs::new().with(config.output.clone(), numbers),
            ));
        };
        let framed = self.frame(image, frame)?;
        let numbers = self.numbers(&framed.image, example)?;
        let shape = [framed.image.height(), framed.image.width(), CHANNELS];
        let pixels = Tensor::from_vec(&shape, framed.image.into_data())?;
        Ok(Outcome::Forward(
            Outputs::new()
                .with(config.output.clone(), numbers)
                .with(frame.output.clone(), pixels)
                .with(
                    frame.geometry.clone(),
                    Tensor::from_slice(&[GEOMETRY], &framed.geometry)?,
                ),
        ))
    }
}

impl Images {
    /// The output's axes, those known before an image is.
    fn dims(&self) -> Dims {
        let (height, width) = match &self.config.resize {
            Some(Resize::Size { width, height }) => (Dim::Is(*height), Dim::Is(*width)),
            Some(Resize::Height { height, width, .. }) => {
                (Dim::Is(*height), width.map_or(ANY, Dim::Is))
            }
            _ => (ANY, ANY),
        };
        match self.config.layout {
            LayoutName::Nchw => [Dim::Is(CHANNELS), height, width].into(),
            LayoutName::Nhwc => [height, width, Dim::Is(CHANNELS)].into(),
        }
    }

    /// The image that came, its channels in the wanted order, turned if it has to be.
    fn image(&self, example: &Example) -> Result<Image, Error> {
        let config = &self.config;
        let within = |error: Error| error.within(format_args!("tensor \"{}\"", config.input));
        let bytes = example.byte_string(&config.input)?;
        let image = match config.source {
            Source::Encoded => {
                let image = decode(&bytes, config.pixels_max, config.alpha)
                    .map_err(|error| within(Error::invalid_input(error)))?;
                match config.channels {
                    Channels::Rgb => image,
                    Channels::Bgr => image.swap_channels(),
                }
            }
            Source::Raw => {
                let size = example.read::<i32>(&config.size)?;
                let [height, width] = *size else {
                    return Err(Error::invalid_input(format_args!(
                        "tensor \"{}\": a height and a width are expected",
                        config.size
                    )));
                };
                let side = |side: i32| usize::try_from(side).unwrap_or_default();
                Image::new(side(width), side(height), bytes.to_vec())
                    .map_err(|error| within(Error::invalid_input(error)))?
            }
        };
        match &config.turn {
            Some(turn) if turn.applies(&example.read::<f32>(&turn.scores)?) => {
                Ok(image.turn_half())
            }
            _ => Ok(image),
        }
    }

    /// The image that later steps cut from.
    fn frame(&self, image: Image, frame: &Frame) -> Result<Framed, Error> {
        let original = Size::of(&image);
        let mut image = image;
        if original.width.max(original.height) > frame.side_max {
            image = self.resize(&image, original.long_side(frame.side_max, frame.multiple))?;
        }
        let size = Size::of(&image);
        if size.width.min(size.height) < frame.side_min {
            image = self.resize(&image, size.short_side(frame.side_min, frame.multiple))?;
        }
        let size = Size::of(&image);
        let band = fit::band(size, frame.band_height_max, frame.band_ratio);
        if band > 0 {
            self.admit(Size {
                height: size.height + 2 * band,
                ..size
            })?;
            image = image.with_bands(band, 0).map_err(Error::failed)?;
        }
        let geometry = [
            (original.width as f64 / size.width as f64) as f32,
            (original.height as f64 / size.height as f64) as f32,
            band as f32,
            original.width as f32,
            original.height as f32,
        ];
        Ok(Framed { image, geometry })
    }

    /// The numbers that the model takes.
    fn numbers(&self, image: &Image, example: &Example) -> Result<Tensor, Error> {
        let size = Size::of(image);
        let (wanted, area) = match &self.config.resize {
            None => (size, None),
            Some(Resize::Size { width, height }) => {
                let (width, height) = (*width, *height);
                (Size { width, height }, None)
            }
            Some(Resize::ShortSide { length, multiple }) => {
                (size.short_side(*length, *multiple), None)
            }
            Some(Resize::LongSide { length, multiple }) => {
                (size.long_side(*length, *multiple), None)
            }
            Some(Resize::Height {
                height,
                width,
                width_from,
            }) => {
                let area = match width_from {
                    Some(name) => area_width(name, example.element::<i32>(name)?)?,
                    None => width.unwrap_or(1),
                };
                (size.of_height(*height, area), Some(area))
            }
        };
        let area = area.unwrap_or(wanted.width);
        self.admit(Size {
            width: area,
            ..wanted
        })?;
        let resized = self.resize(image, wanted)?;
        let layout = self.config.layout;
        let numbers = self
            .normalise
            .apply(&resized, layout.into(), area, wanted.height);
        let shape = match layout {
            LayoutName::Nchw => [CHANNELS, wanted.height, area],
            LayoutName::Nhwc => [wanted.height, area, CHANNELS],
        };
        Ok(Tensor::from_vec(&shape, numbers)?)
    }

    fn resize(&self, image: &Image, to: Size) -> Result<Image, Error> {
        let (width, height) = (image.width(), image.height());
        if to.width == 0 || to.height == 0 {
            return Err(Error::invalid_input(format_args!(
                "an image of {width} x {height} pixels is too narrow: nothing of its shorter \
                 side would be left"
            )));
        }
        self.admit(to)?;
        let resized = match self.config.interpolation {
            Interpolation::Linear => resize_linear(image, to.width, to.height),
            Interpolation::Area => resize_area(image, to.width, to.height),
        };
        resized.map_err(Error::failed)
    }

    fn admit(&self, size: Size) -> Result<(), Error> {
        let pixels_max = self.config.output_pixels_max;
        if size.pixels() > pixels_max {
            return Err(Error::invalid_input(format_args!(
                "the image would become {} x {} pixels for the model, and `output_pixels_max` in \
                 the plugin's configuration allows {pixels_max}",
                size.width, size.height
            )));
        }
        Ok(())
    }
}

fn area_width(name: &str, width: i32) -> Result<usize, Error> {
    match usize::try_from(width) {
        Ok(width) if width > 0 => Ok(width),
        _ => Err(Error::invalid_input(format_args!(
            "tensor \"{name}\": {width} is no width, at least 1 is expected"
        ))),
    }
}

// === impl Turn ===

impl Turn {
    /// Whether these scores ask for it. Of equal scores the first counts.
    fn applies(&self, scores: &[f32]) -> bool {
        let Some(score) = scores.get(self.index) else {
            return false;
        };
        let mut before = scores.iter().take(self.index);
        let mut after = scores.iter().skip(self.index + 1);
        *score > self.above
            && before.all(|other| other < score)
            && after.all(|other| other <= score)
    }
}

// === impl Size ===

impl Size {
    fn of(image: &Image) -> Self {
        Self {
            width: image.width(),
            height: image.height(),
        }
    }
}

#[cfg(test)]
mod tests;
