//! Categories as vectors: a column for each, zeros, and a one where the category is.
//!
//! Nothing is learned here: the categories and their order are those of the training.

mod categories;
mod config;

pub use categories::{Categories, CategoriesError};
pub use config::{Category, CategoryType, Config, Input, Unknown};

use consort_plugin_config::NumberType;
use consort_sdk::{
    Assets, Datatype, Description, Element, Error, Example, Outcome, Plugin, Preprocess, Tensor,
};

/// The most characters of an unknown category that an error shows.
const SHOWN_MAX: usize = 100;

/// The plugin.
#[derive(Debug)]
pub struct OneHot {
    output: String,
    inputs: Vec<Columns>,
}

/// The columns of one input.
#[derive(Debug)]
struct Columns {
    input: Input,
    categories: Categories,
    unknown: Unknown,
}

consort_sdk::export!(OneHot: preprocess);

// === impl OneHot ===

impl Plugin for OneHot {
    fn init(config: &str, assets: &Assets) -> Result<Self, Error> {
        let config = Config::parse(config)?;
        let inputs = config.inputs.into_iter().map(|input| {
            let categories = input
                .categories(assets)
                .map_err(|error| error.within(format_args!("input \"{}\"", input.name)))?;
            Ok(Columns {
                unknown: input.unknown.unwrap_or(config.unknown),
                categories,
                input,
            })
        });
        Ok(Self {
            inputs: inputs.collect::<Result<_, Error>>()?,
            output: config.output,
        })
    }
}

impl Preprocess for OneHot {
    fn describe(&self) -> Description {
        let mut description = Description::new();
        for columns in &self.inputs {
            let datatype = columns.input.datatype.datatype();
            description = description.input(&columns.input.name, datatype, [1]);
        }
        for (output, columns) in self.outputs() {
            description = description.forwards(output, Datatype::Fp32, [columns]);
        }
        description
    }

    fn preprocess(&self, example: &Example) -> Result<Outcome, Error> {
        let mut outputs: Vec<(String, Vec<f32>)> = Vec::new();
        let of_all = self.inputs.iter().filter(|one| one.input.output.is_none());
        let mut joined = Vec::with_capacity(of_all.map(Columns::count).sum());
        for columns in &self.inputs {
            let name = &columns.input.name;
            let column = columns
                .find(example)
                .map_err(|error| error.within(format_args!("tensor \"{name}\"")))?;
            let mut own = Vec::new();
            let vector = match columns.input.output {
                Some(_) => &mut own,
                None => &mut joined,
            };
            let start = vector.len();
            vector.resize(start + columns.count(), 0.0);
            if let Some(one) = column.and_then(|column| vector.get_mut(start + column)) {
                *one = 1.0;
            }
            if let Some(output) = &columns.input.output {
                outputs.push((output.clone(), own));
            }
        }
        if !joined.is_empty() {
            outputs.push((self.output.clone(), joined));
        }
        let tensors = outputs.into_iter().map(|(name, vector)| {
            let tensor = Tensor::from_vec(&[vector.len()], vector)?;
            Ok((name, tensor))
        });
        let tensors = tensors.collect::<Result<Vec<_>, Error>>()?;
        Ok(Outcome::Forward(tensors.into_iter().collect()))
    }
}

impl OneHot {
    /// The outputs, and how many columns each has.
    fn outputs(&self) -> Vec<(&str, usize)> {
        let mut outputs = Vec::new();
        let mut joined = 0;
        for columns in &self.inputs {
            match &columns.input.output {
                Some(output) => outputs.push((output.as_str(), columns.count())),
                None => joined += columns.count(),
            }
        }
        if joined > 0 {
            outputs.push((self.output.as_str(), joined));
        }
        outputs
    }
}

// === impl Columns ===

impl Columns {
    /// How many columns there are.
    fn count(&self) -> usize {
        self.categories.len() + usize::from(self.unknown == Unknown::Other)
    }

    /// The column of an example's category, if it has one.
    fn find(&self, example: &Example) -> Result<Option<usize>, Error> {
        let tensor = example.tensor(&self.input.name)?;
        let number = match self.input.datatype {
            CategoryType::Bytes => {
                let text = tensor.byte_string()?;
                let column = self.categories.text(&text);
                return self.or_unknown(column, || shown(&text));
            }
            CategoryType::Bool => tensor.element::<bool>()?.into(),
            CategoryType::Integer(number_type) => integer(tensor, number_type)?,
        };
        self.or_unknown(self.categories.integer(number), || number.to_string())
    }

    fn or_unknown(
        &self,
        column: Option<usize>,
        shown: impl FnOnce() -> String,
    ) -> Result<Option<usize>, Error> {
        if column.is_some() {
            return Ok(column);
        }
        match self.unknown {
            Unknown::Zeros => Ok(None),
            Unknown::Other => Ok(Some(self.categories.len())),
            Unknown::Error => Err(Error::invalid_input(format_args!(
                "{} is none of the {} categories",
                shown(),
                self.categories.len()
            ))),
        }
    }
}

fn integer(tensor: &Tensor, number_type: NumberType) -> Result<i128, Error> {
    fn read<T: Element + Into<i128>>(tensor: &Tensor) -> Result<i128, Error> {
        Ok(tensor.element::<T>()?.into())
    }
    match number_type {
        NumberType::Uint8 => read::<u8>(tensor),
        NumberType::Uint16 => read::<u16>(tensor),
        NumberType::Uint32 => read::<u32>(tensor),
        NumberType::Uint64 => read::<u64>(tensor),
        NumberType::Int8 => read::<i8>(tensor),
        NumberType::Int16 => read::<i16>(tensor),
        NumberType::Int32 => read::<i32>(tensor),
        NumberType::Int64 => read::<i64>(tensor),
        NumberType::Fp16 | NumberType::Bf16 | NumberType::Fp32 | NumberType::Fp64 => {
            Err(Error::failed("it is of no integers"))
        }
    }
}

/// The start of a category in quotes, whatever its bytes are.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut letters = text.chars();
    let start: String = letters.by_ref().take(SHOWN_MAX).collect();
    match letters.next() {
        Some(_) => format!("{start:?}..."),
        None => format!("{start:?}"),
    }
}

#[cfg(test)]
mod tests;
