//! Both roles around the small classifier of the benches: standardises sixteen numbers, and
//! names the best of three classes.

use consort_sdk::{
    Assets, Columns, Datatype, Description, Error, Example, Outcome, Outputs, Plugin, Postprocess,
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
        let standard = standardised(&example.read("measurements")?);
        let x = Tensor::from_vec(&[16], standard)?;
        Ok(Outcome::Forward(Outputs::from([("x", x)])))
    }

    fn preprocess_columns(&self, columns: &Columns) -> Result<Option<Outputs>, Error> {
        let standard = standardised(&columns.read("measurements")?);
        let x = Tensor::from_vec(&[columns.count(), 16], standard)?;
        Ok(Some(Outputs::from([("x", x)])))
    }
}

fn standardised(measurements: &[f32]) -> Vec<f32> {
    let each = |value: &f32| (value - MEAN) / DEVIATION;
    measurements.iter().map(each).collect()
}

impl Classifier {
    /// The best label of an example, and its probability.
    fn best(&self, probabilities: &[f32]) -> Result<(&str, f32), Error> {
        let labelled = probabilities.iter().zip(&self.labels);
        let best = labelled.max_by(|a, b| a.0.total_cmp(b.0));
        best.map(|(probability, label)| (label.as_str(), *probability))
            .ok_or_else(|| Error::invalid_input("there are no probabilities"))
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
        let (label, probability) = self.best(&probabilities)?;
        Ok(Outputs::from([
            ("label", Tensor::single_bytes(label)?),
            ("probability", Tensor::single(probability)?),
        ]))
    }

    fn postprocess_columns(&self, columns: &Columns) -> Result<Option<Outputs>, Error> {
        let probabilities = columns.read::<f32>("probabilities")?;
        let rows = probabilities.chunks(self.labels.len());
        let best = rows.map(|row| self.best(row));
        let (labels, best): (Vec<_>, Vec<_>) =
            best.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        let shape = [columns.count(), 1];
        Ok(Some(Outputs::from([
            ("label", Tensor::from_byte_strings(&shape, labels)?),
            ("probability", Tensor::from_vec(&shape, best)?),
        ])))
    }
}

consort_sdk::export!(Classifier: preprocess, postprocess);
