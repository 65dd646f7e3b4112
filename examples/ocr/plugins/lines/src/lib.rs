//! What a page says: of all lines that were read, those that are sure enough.

use consort_sdk::{
    ANY, Assets, Datatype, Error, Example, Outputs, Plugin, Postprocess, Signature, Tensor,
};
use serde::Deserialize;

/// Numbers of a box: two for each corner.
const BOX: usize = 8;
/// What the plugin `image` says of a page: the last two are its width and height.
const GEOMETRY: usize = 5;

/// What the plugin is told to do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The lowest score of a line that is kept.
    pub text_score: f32,
}

/// The plugin.
#[derive(Debug)]
pub struct Lines {
    config: Config,
}

consort_sdk::export!(Lines: postprocess);

// === impl Lines ===

impl Plugin for Lines {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        let config = Config::parse(config)?;
        Ok(Self { config })
    }
}

impl Postprocess for Lines {
    fn describe(&self) -> Signature {
        Signature::new()
            .input("text", Datatype::Bytes, [ANY, 1.into()])
            .input("score", Datatype::Fp32, [ANY, 1.into()])
            .input("box", Datatype::Fp32, [ANY, 4.into(), 2.into()])
            .input("geometry", Datatype::Fp32, [GEOMETRY])
            .output("text", Datatype::Bytes, [ANY])
            .output("score", Datatype::Fp32, [ANY])
            .output("box", Datatype::Fp32, [ANY, 4.into(), 2.into()])
            .output("page", Datatype::Int32, [2])
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let texts = example.byte_strings("text")?;
        let scores = example.read::<f32>("score")?;
        let boxes = example.read::<f32>("box")?;
        let (boxes, _) = boxes.as_chunks::<BOX>();
        if texts.len() != scores.len() || boxes.len() != scores.len() {
            return Err(Error::invalid_input(format_args!(
                "there are {} texts, {} scores and {} boxes, as many of each are expected",
                texts.len(),
                scores.len(),
                boxes.len()
            )));
        }
        let lines = texts.iter().zip(scores.iter()).zip(boxes);
        let kept: Vec<_> = lines
            .filter(|((_, score), _)| **score >= self.config.text_score)
            .collect();
        let count = kept.len();
        let texts = kept.iter().map(|((text, _), _)| text);
        let scores = kept.iter().map(|((_, score), _)| **score).collect();
        let corners = kept.iter().flat_map(|(_, corners)| **corners).collect();
        let geometry = example.read::<f32>("geometry")?;
        let page = match *geometry {
            [.., width, height] => [height as i32, width as i32],
            _ => [0, 0],
        };
        Ok(Outputs::from([
            ("text", Tensor::from_byte_strings(&[count], texts)?),
            ("score", Tensor::from_vec(&[count], scores)?),
            ("box", Tensor::from_vec(&[count, 4, 2], corners)?),
            ("page", Tensor::from_slice(&[2], &page)?),
        ]))
    }
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self { text_score: 0.5 }
    }
}

impl Config {
    /// Reads the manifest's `config`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text).map_err(|error| Error::failed(format_args!("`config`: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(texts: &[&str], scores: &[f32]) -> Example {
        let (lines, boxes) = (texts.len(), vec![1.0f32; scores.len() * BOX]);
        let geometry = [1.0f32, 1.0, 0.0, 640.0, 480.0];
        Example::from_tensors([
            (
                "text",
                Tensor::from_byte_strings(&[lines, 1], texts).unwrap(),
            ),
            (
                "score",
                Tensor::from_slice(&[scores.len(), 1], scores).unwrap(),
            ),
            (
                "box",
                Tensor::from_slice(&[scores.len(), 4, 2], &boxes).unwrap(),
            ),
            (
                "geometry",
                Tensor::from_slice(&[GEOMETRY], &geometry).unwrap(),
            ),
        ])
    }

    #[test]
    fn lines_that_are_not_sure_enough_are_dropped() {
        let lines = Lines::init("", &Assets::none()).unwrap();
        let outputs = lines
            .postprocess(&example(&["a", "b", "c"], &[0.5, 0.49, 0.9]))
            .unwrap();
        let texts = outputs.tensor("text").unwrap();
        let texts = texts.byte_strings().unwrap();
        assert_eq!(texts.iter().collect::<Vec<_>>(), [b"a", b"c"]);
        assert_eq!(outputs.tensor("box").unwrap().shape(), [2, 4, 2]);
        let page = outputs.tensor("page").unwrap().read::<i32>().unwrap();
        assert_eq!(*page, [480, 640]);
    }

    #[test]
    fn a_page_without_lines_has_empty_tensors() {
        let lines = Lines::init(r#"{"text_score": 0.9}"#, &Assets::none()).unwrap();
        let outputs = lines.postprocess(&example(&[], &[])).unwrap();
        assert_eq!(outputs.tensor("text").unwrap().shape(), [0]);
        assert_eq!(outputs.tensor("box").unwrap().shape(), [0, 4, 2]);
    }

    #[test]
    fn what_does_not_match_is_counted_in_the_error() {
        let lines = Lines::init("", &Assets::none()).unwrap();
        assert_eq!(
            lines
                .postprocess(&example(&["a"], &[]))
                .unwrap_err()
                .message(),
            "there are 1 texts, 0 scores and 0 boxes, as many of each are expected"
        );
        let error = Lines::init(r#"{"text": 1}"#, &Assets::none()).unwrap_err();
        assert!(
            error.message().contains("text_score"),
            "{}",
            error.message()
        );
    }
}
