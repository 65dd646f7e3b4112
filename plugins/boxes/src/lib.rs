//! Boxes of what a model has found. In the mode `regions`: the post-processing of text
//! detectors (Differentiable Binarization as in PP-OCR), from a map of scores to boxes and
//! what lies in them, seen from the front. In the mode `suppress`: non-maximum suppression.

mod config;
mod crops;
mod find;
mod geometry;
mod mask;
mod regions;
mod score;
mod suppress;

pub use config::{Config, Regions, Suppress};
pub use crops::{crop, widths};
pub use find::{Map, Quad, boxes};
pub use geometry::Place;
pub use mask::Mask;
pub use suppress::{Upright, suppress};

use consort_plugin_pixels::{CHANNELS, Image};
use consort_sdk::{
    ANY, Assets, Datatype, Error, Example, Outputs, Plugin, Postprocess, Signature, Tensor,
};

/// The names of the tensors that the mode `regions` reads beside the map.
const FRAME: &str = "frame";
const GEOMETRY: &str = "geometry";
/// Corners of a box.
const CORNERS: usize = 4;

/// The plugin.
#[derive(Debug)]
pub struct Boxes {
    config: Config,
}

consort_sdk::export!(Boxes: postprocess);

// === impl Boxes ===

impl Plugin for Boxes {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        let config = Config::parse(config)?;
        Ok(Self { config })
    }
}

impl Postprocess for Boxes {
    fn describe(&self) -> Signature {
        match &self.config {
            Config::Regions(regions) => Signature::new()
                .input(&regions.map, Datatype::Fp32, [1.into(), ANY, ANY])
                .input(FRAME, Datatype::Uint8, [ANY, ANY, CHANNELS.into()])
                .input(GEOMETRY, Datatype::Fp32, [5])
                .output("box", Datatype::Fp32, [ANY, CORNERS.into(), 2.into()])
                .output("crop", Datatype::Bytes, [ANY, 1.into()])
                .output("size", Datatype::Int32, [ANY, 2.into()])
                .output("width", Datatype::Int32, [ANY, 1.into()]),
            Config::Suppress(config) => Signature::new()
                .input(&config.boxes, Datatype::Fp32, [ANY, CORNERS.into()])
                .input(&config.scores, Datatype::Fp32, [ANY])
                .output("index", Datatype::Int32, [ANY])
                .output("box", Datatype::Fp32, [ANY, CORNERS.into()])
                .output("score", Datatype::Fp32, [ANY]),
        }
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        match &self.config {
            Config::Regions(config) => regions_of(config, example),
            Config::Suppress(config) => suppressed(config, example),
        }
    }
}

fn regions_of(config: &Regions, example: &Example) -> Result<Outputs, Error> {
    let map = example.tensor(&config.map)?;
    let [_, height, width] = *map.shape() else {
        return Err(Error::failed("a map has three axes"));
    };
    let frame = image(example)?;
    let scores = example.read::<f32>(&config.map)?;
    let quads = boxes(
        Map {
            scores: &scores,
            width,
            height,
            image: (frame.width(), frame.height()),
        },
        config,
    );
    let mut kept = Vec::with_capacity(quads.len());
    let mut crops = Vec::with_capacity(quads.len());
    for quad in quads {
        if let Some(crop) = crop(&frame, &quad).map_err(Error::failed)? {
            kept.push(quad);
            crops.push(crop);
        }
    }
    let sizes: Vec<_> = crops
        .iter()
        .map(|crop| (crop.width(), crop.height()))
        .collect();
    let (height, least, group) = (config.line_height, config.line_width_min, config.line_group);
    let widths: Vec<_> = widths(&sizes, height, least, group)
        .into_iter()
        .map(|width| width as i32)
        .collect();
    let heights: Vec<_> = sizes
        .iter()
        .flat_map(|(width, height)| [*height as i32, *width as i32])
        .collect();
    let geometry = example.read::<f32>(GEOMETRY)?;
    let corners: Vec<_> = kept
        .iter()
        .flat_map(|quad| original(quad, &geometry))
        .collect();
    let count = kept.len();
    Ok(Outputs::from([
        ("box", Tensor::from_vec(&[count, CORNERS, 2], corners)?),
        (
            "crop",
            Tensor::from_byte_strings(&[count, 1], crops.iter().map(Image::data))?,
        ),
        ("size", Tensor::from_vec(&[count, 2], heights)?),
        ("width", Tensor::from_vec(&[count, 1], widths)?),
    ]))
}

/// The frame that the map is a map of.
fn image(example: &Example) -> Result<Image, Error> {
    let tensor = example.tensor(FRAME)?;
    let [height, width, _] = *tensor.shape() else {
        return Err(Error::failed("a frame has three axes"));
    };
    let levels = example.read::<u8>(FRAME)?.into_vec();
    Image::new(width, height, levels).map_err(Error::failed)
}

/// A box of the frame as a box of the image that came.
fn original(quad: &Quad, geometry: &[f32]) -> Vec<f32> {
    let [across, down, band, width, height] = *geometry else {
        return quad.as_flattened().to_vec();
    };
    let place = |[x, y]: &Place| {
        [
            (x * across).clamp(0.0, width),
            ((y - band) * down).clamp(0.0, height),
        ]
    };
    quad.iter().flat_map(place).collect()
}

fn suppressed(config: &Suppress, example: &Example) -> Result<Outputs, Error> {
    let corners = example.read::<f32>(&config.boxes)?;
    let scores = example.read::<f32>(&config.scores)?;
    let (boxes, _) = corners.as_chunks::<CORNERS>();
    if boxes.len() != scores.len() {
        return Err(Error::invalid_input(format_args!(
            "there are {} boxes and {} scores, one for each is expected",
            boxes.len(),
            scores.len()
        )));
    }
    let kept = suppress(
        boxes,
        &scores,
        config.score_threshold,
        config.overlap_max,
        config.boxes_max,
    );
    let count = kept.len();
    let indices: Vec<_> = kept.iter().map(|index| *index as i32).collect();
    let corners: Vec<_> = kept.iter().filter_map(|index| boxes.get(*index)).collect();
    let corners: Vec<f32> = corners.into_iter().flatten().copied().collect();
    let scores: Vec<_> = kept
        .iter()
        .filter_map(|index| scores.get(*index).copied())
        .collect();
    Ok(Outputs::from([
        ("index", Tensor::from_vec(&[count], indices)?),
        ("box", Tensor::from_vec(&[count, CORNERS], corners)?),
        ("score", Tensor::from_vec(&[count], scores)?),
    ]))
}
