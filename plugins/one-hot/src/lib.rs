//! Categories as vectors: a column for each, zeros, and a one where the category is.
//!
//! Nothing is learned here: the categories and their order are those of the training.

mod categories;
mod config;

pub use categories::{Categories, CategoriesError};
pub use config::{Category, CategoryType, Config, Input, Unknown};

use consort_plugin_config::NumberType;
use consort_sdk::{
    Assets, Columns, Datatype, Description, Element, Error, Example, Outcome, Outputs, Plugin,
    Preprocess, Tensor,
};

/// The most characters of an unknown category that an error shows.
const SHOWN_MAX: usize = 100;

/// The plugin.
#[derive(Debug)]
pub struct OneHot {
    output: String,
    inputs: Vec<Encoding>,
}

/// The columns of one input.
#[derive(Debug)]
struct Encoding {
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
            Ok(Encoding {
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
        let outputs = self.encoded(1, &[], |name| example.tensor(name))?;
        Ok(Outcome::Forward(outputs))
    }

    fn preprocess_columns(&self, columns: &Columns) -> Result<Option<Outputs>, Error> {
        let count = columns.count();
        let outputs = self.encoded(count, &[count], |name| columns.tensor(name))?;
        Ok(Some(outputs))
    }
}

impl OneHot {
    /// The vectors of so many examples; their shapes begin with `axes`.
    fn encoded<'a>(
        &self,
        count: usize,
        axes: &[usize],
        tensor: impl Fn(&str) -> Result<&'a Tensor, Error>,
    ) -> Result<Outputs, Error> {
        let mut outputs: Vec<(&str, usize, Vec<f32>)> = (self.outputs().into_iter())
            .map(|(name, columns)| (name, columns, vec![0.0; count * columns]))
            .collect();
        let (mut own, mut joined) = (0, 0);
        for input in &self.inputs {
            let name = &input.input.name;
            let (output, start) = match input.input.output {
                Some(_) => (own, 0),
                None => (outputs.len() - 1, joined),
            };
            match input.input.output {
                Some(_) => own += 1,
                None => joined += input.count(),
            }
            let Some((_, columns, ones)) = outputs.get_mut(output) else {
                continue;
            };
            input
                .find(tensor(name)?, count, |example, column| {
                    if let Some(one) = ones.get_mut(example * *columns + start + column) {
                        *one = 1.0;
                    }
                })
                .map_err(|error| error.within(format_args!("tensor \"{name}\"")))?;
        }
        let tensors = outputs.into_iter().map(|(name, columns, ones)| {
            let shape = [axes, &[columns]].concat();
            Ok((name.to_owned(), Tensor::from_vec(&shape, ones)?))
        });
        let tensors = tensors.collect::<Result<Vec<_>, Error>>()?;
        Ok(tensors.into_iter().collect())
    }

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

// === impl Encoding ===

impl Encoding {
    /// How many columns there are.
    fn count(&self) -> usize {
        self.categories.len() + usize::from(self.unknown == Unknown::Other)
    }

    /// Tells the column of each example's category, where it has one.
    fn find(
        &self,
        tensor: &Tensor,
        count: usize,
        mut found: impl FnMut(usize, usize),
    ) -> Result<(), Error> {
        let given = tensor.element_count();
        if given != count {
            return Err(Error::invalid_input(format_args!(
                "it holds {given} elements, {count} is expected: one an example"
            )));
        }
        let mut tell = |example, column: Option<usize>| {
            column.into_iter().for_each(|column| found(example, column));
        };
        if self.input.datatype == CategoryType::Bytes {
            for (example, text) in tensor.byte_strings()?.iter().enumerate() {
                tell(
                    example,
                    self.or_unknown(self.categories.text(text), || shown(text))?,
                );
            }
            return Ok(());
        }
        let numbers = match self.input.datatype {
            CategoryType::Integer(number_type) => integers(tensor, number_type)?,
            _ => tensor
                .read::<bool>()?
                .iter()
                .map(|one| i128::from(*one))
                .collect(),
        };
        for (example, number) in numbers.into_iter().enumerate() {
            let column = self.categories.integer(number);
            tell(example, self.or_unknown(column, || number.to_string())?);
        }
        Ok(())
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

fn integers(tensor: &Tensor, number_type: NumberType) -> Result<Vec<i128>, Error> {
    fn read<T: Element + Into<i128>>(tensor: &Tensor) -> Result<Vec<i128>, Error> {
        let numbers = tensor.read::<T>()?;
        Ok(numbers.iter().map(|number| (*number).into()).collect())
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
