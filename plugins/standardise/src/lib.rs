//! Numbers less their mean, in units of their deviation, as a model has been trained on them.
//!
//! Nothing is measured here: mean and deviation are those of the training.

mod config;
mod scale;

pub use config::{Config, Missing, Precision};
pub use scale::{Rounded, Scale, ScaleError};

use consort_plugin_config::{NumberType, of_type};
use consort_sdk::{
    ANY, Assets, Columns, Datatype, Description, Dim, Element, Error, Example, Outcome, Outputs,
    Plugin, Preprocess, Tensor,
};

/// The plugin.
#[derive(Debug)]
pub struct Standardise {
    config: Config,
    scale: Scale,
    /// How many columns mean and deviation are of, where it is not any number.
    columns: Option<usize>,
}

consort_sdk::export!(Standardise: preprocess);

// === impl Standardise ===

impl Plugin for Standardise {
    fn init(config: &str, assets: &Assets) -> Result<Self, Error> {
        let mut config = Config::parse(config, assets)?;
        let columns = config.columns();
        let scale = Scale::new(
            config.mean.take(),
            config.deviation.take(),
            config.missing.clone(),
        );
        Ok(Self {
            config,
            scale,
            columns,
        })
    }
}

impl Preprocess for Standardise {
    fn describe(&self) -> Description {
        let config = &self.config;
        let mut dims = vec![ANY; config.axes - 1];
        dims.push(self.columns.map_or(ANY, Dim::Is));
        let to = match config.to {
            Precision::Fp32 => Datatype::Fp32,
            Precision::Fp64 => Datatype::Fp64,
        };
        Description::new()
            .input(&config.input, config.datatype.datatype(), dims.clone())
            .forwards(&config.output, to, dims)
    }

    fn preprocess(&self, example: &Example) -> Result<Outcome, Error> {
        let outputs = self.outputs(example.tensor(&self.config.input)?)?;
        Ok(Outcome::Forward(outputs))
    }

    /// Rows of several examples are rows like those of one.
    fn preprocess_columns(&self, columns: &Columns) -> Result<Option<Outputs>, Error> {
        let all = columns.tensor(&self.config.input)?;
        self.outputs(all).map(Some)
    }
}

impl Standardise {
    fn outputs(&self, tensor: &Tensor) -> Result<Outputs, Error> {
        let config = &self.config;
        let scaled = match config.to {
            Precision::Fp32 => self.scaled::<f32>(tensor, config.datatype),
            Precision::Fp64 => self.scaled::<f64>(tensor, config.datatype),
        };
        let scaled =
            scaled.map_err(|error| error.within(format_args!("tensor \"{}\"", config.input)))?;
        Ok(Outputs::new().with(config.output.clone(), scaled))
    }

    fn scaled<R: Rounded + Element>(
        &self,
        tensor: &Tensor,
        datatype: NumberType,
    ) -> Result<Tensor, Error> {
        let shape = tensor.shape();
        let columns = shape.last().copied().unwrap_or(1);
        if let Some(expected) = self.columns.filter(|expected| *expected != columns) {
            return Err(Error::invalid_input(format_args!(
                "there are {columns} columns, and mean and deviation are of {expected}"
            )));
        }
        let scaled = of_type!(datatype, T => {
            self.scale.apply::<T, R>(&tensor.read::<T>()?, columns)
        });
        Ok(Tensor::from_vec(
            &shape,
            scaled.map_err(Error::invalid_input)?,
        )?)
    }
}

#[cfg(test)]
mod tests;
