//! Both roles around the small classifier of the benches: standardises sixteen numbers, and
//! names the best of three classes.

use consort_sdk::{
    Assets, Datatype, Description, Error, Example, Outcome, Outputs, Plugin, Postprocess,
    Preprocess, Signature, Tensor,
};

/// What every input number is shifted and scaled by.
const MEAN: f32 = 0.5;
const DEVIATION: f32 = 2.0;

struct Classifier {
    labels: Vec<String>,
}

impl Plugin for Classifier {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        let labels: Vec<String> = config.split_whitespace().map(str::to_owned).collect();
        match labels.len() {
            3 => Ok(Self { labels }),
            count => Err(Error::failed(format!(
                "config must name 3 labels, it names {count}"
            ))),
        }
    }
}

impl Preprocess for Classifier {
    fn describe(&self) -> Description {
        Description::new()
            .input("measurements", Datatype::Fp32, [16])
            .forwards("x", Datatype::Fp32, [16])
    }

    fn preprocess(&self, example: &Example) -> Result<Outcome, Error> {
        let measurements = example.read::<f32>("measurements")?;
        let standard: Vec<f32> = measurements
            .iter()
            .map(|value| (value - MEAN) / DEVIATION)
            .collect();
        let x = Tensor::from_slice(&[16], &standard)?;
        Ok(Outcome::Forward(Outputs::from([("x", x)])))
    }
}

impl Postprocess for Classifier {
    fn describe(&self) -> Signature {
        Signature::new()
            .input("probabilities", Datatype::Fp32, [3])
            .output("label", Datatype::Bytes, [1])
            .output("probability", Datatype::Fp32, [1])
    }

    fn postprocess(&self, example: &Example) -> Result<Outputs, Error> {
        let probabilities = example.read::<f32>("probabilities")?;
        let (probability, label) = probabilities
            .iter()
            .zip(&self.labels)
            .max_by(|a, b| a.0.total_cmp(b.0))
            .ok_or_else(|| Error::invalid_input("there are no probabilities"))?;
        Ok(Outputs::from([
            ("label", Tensor::single_bytes(label)?),
            ("probability", Tensor::from_slice(&[1], &[*probability])?),
        ]))
    }
}

consort_sdk::export!(Classifier: preprocess, postprocess);
