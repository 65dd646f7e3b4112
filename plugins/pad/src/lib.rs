//! The glue around a model of sequences: examples of different lengths are padded to the
//! longest of their batch, and what the model wrote is cut back to each example's own length.
//!
//! All of it happens on the host: no element of a tensor ever comes here.

use consort_sdk::{
    Args, Assets, Datatype, Dim, Dims, Error, Example, HandlerDescription, Model, ModelHandler,
    Outputs, Plugin, Signature, Tensor, TensorSpec, collate,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What the manifest's `config` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What each input is padded with; 0 where it is not named.
    #[serde(default)]
    pub values: BTreeMap<String, i64>,
    /// The outputs that are cut back to each example's length. `None`: those whose second axis
    /// has any length.
    pub split: Option<Vec<String>>,
    /// The most examples in one call of the model.
    pub max_batch_size: Option<u32>,
}

/// The plugin.
#[derive(Debug)]
pub struct Pad {
    config: Config,
}

consort_sdk::export!(Pad: model_handler);

// === impl Config ===

impl Config {
    /// Reads the text of the manifest's `config`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        serde_json::from_str(text).map_err(|error| Error::failed(format!("config: {error}")))
    }
}

// === impl Pad ===

impl Plugin for Pad {
    fn init(config: &str, _assets: &Assets) -> Result<Self, Error> {
        let config = Config::parse(config)?;
        Ok(Self { config })
    }
}

impl Pad {
    fn value(&self, input: &str) -> i64 {
        self.config.values.get(input).copied().unwrap_or(0)
    }

    /// Whether an output of the model has an element a token of the example.
    fn is_cut(&self, output: &TensorSpec) -> bool {
        match &self.config.split {
            Some(names) => names.contains(&output.name),
            None => output.dims.0.get(1) == Some(&Dim::Any),
        }
    }

    /// Refuses a config that names what the model does not have.
    fn check(&self, model: &Signature) -> Result<(), Error> {
        let has = |specs: &[TensorSpec], name: &str| specs.iter().any(|spec| spec.name == name);
        let mut padded = self.config.values.keys();
        if let Some(name) = padded.find(|name| !has(&model.inputs, name)) {
            return Err(Error::failed(format!(
                "config: values names \"{name}\", which is no input of the model"
            )));
        }
        let mut split = self.config.split.iter().flatten();
        if let Some(name) = split.find(|name| !has(&model.outputs, name)) {
            return Err(Error::failed(format!(
                "config: split names \"{name}\", which is no output of the model"
            )));
        }
        Ok(())
    }
}

impl ModelHandler for Pad {
    fn describe(&self, model: &Signature) -> Result<HandlerDescription, Error> {
        self.check(model)?;
        let mut description = HandlerDescription::new().ragged();
        description.max_batch_size = self.config.max_batch_size;
        description.inputs = model.inputs.iter().map(row).collect();
        description.outputs = model.outputs.iter().map(row).collect();
        for spec in &model.inputs {
            if !matches!(
                spec.datatype,
                Datatype::Int64 | Datatype::Int32 | Datatype::Fp32
            ) {
                return Err(Error::failed(format!(
                    "input \"{}\" of the model is {}, and only INT64, INT32 and FP32 are padded",
                    spec.name, spec.datatype
                )));
            }
        }
        Ok(description)
    }

    fn predict(
        &self,
        model: &Model<'_>,
        examples: &[Example],
        args: &Args,
    ) -> Result<Vec<Result<Outputs, Error>>, Error> {
        let signature = model.signature();
        let mut lengths = vec![0; examples.len()];
        let mut inputs = Vec::with_capacity(signature.inputs.len());
        for spec in &signature.inputs {
            let mut tensors = Vec::with_capacity(examples.len());
            for (example, length) in examples.iter().zip(&mut lengths) {
                let tensor = example.tensor(&spec.name)?;
                *length = tensor.shape().first().copied().unwrap_or(0).max(*length);
                tensors.push(tensor);
            }
            inputs.push((
                spec.name.clone(),
                padded(&tensors, spec, self.value(&spec.name))?,
            ));
        }
        let outputs = model.infer_with(inputs, args)?;
        let mut results: Vec<Outputs> = examples.iter().map(|_| Outputs::new()).collect();
        for spec in &signature.outputs {
            let tensor = outputs.tensor(&spec.name)?;
            let parts = if self.is_cut(spec) {
                collate::split_to(tensor, &lengths)?
            } else {
                collate::split(tensor)?
            };
            results = results
                .into_iter()
                .zip(parts)
                .map(|(outputs, part)| outputs.with(spec.name.clone(), part))
                .collect();
        }
        Ok(results.into_iter().map(Ok).collect())
    }
}

/// A tensor of the model without its batch axis.
fn row(spec: &TensorSpec) -> TensorSpec {
    let dims = spec.dims.0.iter().skip(1).copied().collect::<Vec<_>>();
    TensorSpec::new(spec.name.clone(), spec.datatype, Dims(dims))
}

/// One input of a whole batch.
fn padded(tensors: &[&Tensor], spec: &TensorSpec, value: i64) -> Result<Tensor, Error> {
    let padded = match spec.datatype {
        Datatype::Int32 => {
            let value = i32::try_from(value).map_err(|_| {
                Error::failed(format!(
                    "config: values has {value} for \"{}\", which is no INT32",
                    spec.name
                ))
            })?;
            collate::stack_padded(tensors, value, None)?
        }
        Datatype::Fp32 => collate::stack_padded(tensors, value as f32, None)?,
        _ => collate::stack_padded(tensors, value, None)?,
    };
    Ok(padded.tensor)
}

#[cfg(test)]
mod tests;
