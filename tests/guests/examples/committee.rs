//! An ensemble in code around the small classifier of the benches: asks the ensemble `iris`
//! and the model `mlp` at the same time, and says whether both mean the same class.

use consort_sdk::{
    Args, Assets, Datatype, Ensemble, Error, Example, Model, Outputs, Plugin, Signature, Tensor,
    wait_all,
};

struct Committee {
    labels: Vec<String>,
}

impl Plugin for Committee {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        Ok(Self {
            labels: config.split_whitespace().map(str::to_owned).collect(),
        })
    }
}

impl Ensemble for Committee {
    fn describe(&self) -> Signature {
        Signature::new()
            .input("measurements", Datatype::Fp32, [16])
            .input("x", Datatype::Fp32, [16])
            .output("label", Datatype::Bytes, [1])
            .output("agreed", Datatype::Bool, [1])
    }

    fn run(&self, example: &Example, args: &Args) -> Result<Outputs, Error> {
        let with = |name: &str| {
            let tensor = example.tensor(name)?.share()?;
            Ok::<_, Error>(Example::from_tensors([(name, tensor)]))
        };
        let calls = [
            Model::open("iris")?.submit_example_with(with("measurements")?, args)?,
            Model::open("mlp")?.submit_example_with(with("x")?, args)?,
        ];
        let mut answers = wait_all(calls).into_iter();
        let mut answer = || {
            let missing = || Error::failed("an answer is missing");
            answers.next().ok_or_else(missing)?
        };
        let (mut named, numbers) = (answer()?, answer()?);
        let probabilities = numbers.tensor("probabilities")?.to_vec::<f32>()?;
        let ranked = probabilities.iter().zip(&self.labels);
        let best = ranked.max_by(|a, b| a.0.total_cmp(b.0));
        let label = named.take("label")?;
        let agreed = best.is_some_and(|(_, best)| label.text().is_ok_and(|text| text == *best));
        Ok(Outputs::from([
            ("label", label),
            ("agreed", Tensor::single(agreed)?),
        ]))
    }
}

consort_sdk::export!(Committee: ensemble);
