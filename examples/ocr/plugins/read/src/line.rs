//! A line of a page: its picture, and what it says once it has been read.

use consort_plugin_pixels::{Image, Layout, Normalise, resize_linear};
use consort_sdk::{Error, Example};

/// A line.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its picture.
    pub image: Image,
    /// The width of the area that it is read in.
    pub width: usize,
    /// What it says.
    pub text: String,
    /// How sure that is.
    pub score: f32,
}

/// The lines of a page, not yet read.
pub(crate) fn lines(example: &Example) -> Result<Vec<Line>, Error> {
    let crops = example.byte_strings("crop")?;
    let sizes = example.read::<i32>("size")?;
    let widths = example.read::<i32>("width")?;
    let (sizes, _) = sizes.as_chunks::<2>();
    if sizes.len() != crops.len() || widths.len() != crops.len() {
        return Err(Error::invalid_input(format_args!(
            "there are {} crops, {} sizes and {} widths, as many of each are expected",
            crops.len(),
            sizes.len(),
            widths.len()
        )));
    }
    let side = |side: i32| usize::try_from(side).unwrap_or_default();
    crops
        .iter()
        .zip(sizes)
        .zip(widths.iter())
        .map(|((crop, [height, width]), area)| {
            let image = Image::new(side(*width), side(*height), crop.to_vec())
                .map_err(|error| Error::invalid_input(error).within("tensor \"crop\""))?;
            Ok(Line {
                image,
                width: side(*area).max(1),
                text: String::new(),
                score: 0.0,
            })
        })
        .collect()
}

// === impl Line ===

impl Line {
    /// What a model takes: the line that high, at the left of an area that wide.
    pub(crate) fn numbers(
        &self,
        normalise: &Normalise,
        width: usize,
        height: usize,
    ) -> Result<Vec<f32>, Error> {
        let ratio = self.image.width() as f64 / self.image.height() as f64;
        let own = (height as f64 * ratio).ceil() as usize;
        let resized =
            resize_linear(&self.image, own.clamp(1, width), height).map_err(Error::failed)?;
        Ok(normalise.apply(&resized, Layout::Nchw, width, height))
    }
}
