//! Reads the lines of a page: asks one model which way up each is, turns it, asks another
//! model what it says, and keeps the lines that are sure enough.
//!
//! Lines of equal width go to a model together, as many as the configuration says.

mod config;
mod line;

pub use config::Config;
pub use line::Line;

use consort_plugin_ctc::Dictionary;
use consort_plugin_pixels::{CHANNELS, Normalise};
use consort_sdk::{
    ANY, Assets, Datatype, Error, Example, Model, Outputs, Plugin, Postprocess, Signature, Tensor,
};

/// The asset with the symbols of the model that reads.
const DICTIONARY: &str = "dictionary";
/// Which of the scores of a line's direction is that of lines upside down.
const UPSIDE_DOWN: usize = 1;
/// Numbers of a box: two for each corner.
const BOX: usize = 8;

/// The plugin.
#[derive(Debug)]
pub struct Read {
    config: Config,
    dictionary: Dictionary,
    normalise: Normalise,
}

consort_sdk::export!(Read: postprocess);

// === impl Read ===

impl Plugin for Read {
    fn init(config: &str, assets: &Assets) -> Result<Self, Error> {
        let lines = assets.text(DICTIONARY)?;
        let dictionary = Dictionary::new(&lines, 0, true)
            .map_err(|error| Error::failed(format_args!("asset \"{DICTIONARY}\": {error}")))?;
        Ok(Self {
            config: Config::parse(config)?,
            dictionary,
            normalise: Normalise::new(1.0 / 255.0, [0.5; CHANNELS], [0.5; CHANNELS]),
        })
    }
}

impl Postprocess for Read {
    fn describe(&self) -> Signature {
        Signature::new()
            .input("box", Datatype::Fp32, [ANY, 4.into(), 2.into()])
            .input("crop", Datatype::Bytes, [ANY])
            .input("size", Datatype::Int32, [ANY, 2.into()])
            .input("width", Datatype::Int32, [ANY])
            .output("text", Datatype::Bytes, [ANY])
            .output("score", Datatype::Fp32, [ANY])
            .output("box", Datatype::Fp32, [ANY, 4.into(), 2.into()])
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let mut lines = line::lines(example)?;
        if !lines.is_empty() {
            self.turn(&Model::open(&self.config.angle_model)?, &mut lines)?;
            self.read(&Model::open(&self.config.text_model)?, &mut lines)?;
        }
        let boxes = example.read::<f32>("box")?;
        let (boxes, _) = boxes.as_chunks::<BOX>();
        let kept: Vec<_> = lines
            .iter()
            .zip(boxes)
            .filter(|(line, _)| line.score >= self.config.text_score)
            .collect();
        let count = kept.len();
        let texts = kept.iter().map(|(line, _)| line.text.as_str());
        let scores = kept.iter().map(|(line, _)| line.score).collect();
        let corners = kept.iter().flat_map(|(_, corners)| **corners).collect();
        Ok(Outputs::from([
            ("text", Tensor::from_byte_strings(&[count], texts)?),
            ("score", Tensor::from_vec(&[count], scores)?),
            ("box", Tensor::from_vec(&[count, 4, 2], corners)?),
        ]))
    }
}

impl Read {
    /// Turns the lines that are upside down.
    pub fn turn(&self, model: &Model<'_>, lines: &mut [Line]) -> Result<(), Error> {
        let width = self.config.angle_width;
        for group in lines.chunks_mut(self.config.group) {
            let scores = self.ask(model, group.iter(), width)?;
            for (index, line) in group.iter_mut().enumerate() {
                let scores = scores.rows(index..index + 1)?.read::<f32>()?;
                let score = scores.get(UPSIDE_DOWN).copied().unwrap_or_default();
                let is_highest = scores.iter().all(|other| *other <= score);
                if is_highest && score > self.config.angle_threshold {
                    line.image = line.image.turn_half();
                }
            }
        }
        Ok(())
    }

    /// Reads the lines, those of one width together.
    pub fn read(&self, model: &Model<'_>, lines: &mut [Line]) -> Result<(), Error> {
        let mut order: Vec<_> = lines.iter_mut().collect();
        order.sort_by_key(|line| line.width);
        for of_a_width in order.chunk_by_mut(|one, other| one.width == other.width) {
            for group in of_a_width.chunks_mut(self.config.group) {
                let width = group.first().map_or(1, |line| line.width);
                let scores = self.ask(model, group.iter().map(|line| &**line), width)?;
                for (index, line) in group.iter_mut().enumerate() {
                    let scores = scores.rows(index..index + 1)?.read::<f32>()?;
                    let read = self.dictionary.decode(&scores).map_err(Error::failed)?;
                    line.text = read.text;
                    line.score = read.score;
                }
            }
        }
        Ok(())
    }

    /// What a model says of lines of one width; it has one input and one output.
    fn ask<'a>(
        &self,
        model: &Model<'_>,
        lines: impl ExactSizeIterator<Item = &'a Line>,
        width: usize,
    ) -> Result<Tensor, Error> {
        let height = self.config.height;
        let count = lines.len();
        let mut numbers = Vec::with_capacity(count * CHANNELS * height * width);
        for line in lines {
            numbers.extend(line.numbers(&self.normalise, width, height)?);
        }
        let signature = model.signature();
        let ([input], [output]) = (&*signature.inputs, &*signature.outputs) else {
            return Err(Error::failed(format_args!(
                "model \"{}\" has {} inputs and {} outputs, one of each is expected",
                model.name(),
                signature.inputs.len(),
                signature.outputs.len()
            )));
        };
        let images = Tensor::from_vec(&[count, CHANNELS, height, width], numbers)?;
        model
            .infer([(input.name.as_str(), images)])?
            .take(&output.name)
    }
}

#[cfg(test)]
mod tests;
