//! Predictions as rows of columns: which columns, by the endpoint's signature.
//!
//! `key`, the outputs by name, `model_id`, and where it is asked for `example.NAME` for
//! each input. An element (shape `[]` or `[1]`) is a column of its name. In CSV a vector
//! of known length is one column for each element, `NAME.0` and on; anything else is its
//! JSON in one column. In Parquet everything but an element is a list, row by row.

use consort_inference::{Datatype, Prediction, Signature, Tensor, TensorSpec};
use std::sync::Arc;

/// The longest vector that CSV spreads over columns.
const SPREAD_MAX: usize = 4096;

/// The columns between `key` and `model_id`, and after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) columns: Vec<OutColumn>,
    /// How many of them are outputs; the others are the example's.
    pub(crate) outputs: usize,
}

/// One tensor of a prediction or of its example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutColumn {
    pub(crate) name: String,
    tensor: Arc<str>,
    of_example: bool,
    pub(crate) datatype: Datatype,
    pub(crate) spread: Spread,
}

/// How a tensor lies in columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    Element,
    Vector(usize),
    Any,
}

// === impl Layout ===

impl Layout {
    /// The columns of an endpoint's predictions.
    pub(crate) fn of(signature: &Signature, include_example: bool) -> Self {
        let outputs = signature.outputs.iter();
        let outputs = outputs.map(|spec| OutColumn::of(spec, false));
        let inputs = signature.inputs.iter().filter(|_| include_example);
        let inputs = inputs.map(|spec| OutColumn::of(spec, true));
        Self {
            columns: outputs.chain(inputs).collect(),
            outputs: signature.outputs.len(),
        }
    }

    /// The names of the columns of CSV.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = vec!["key".to_owned()];
        for (index, column) in self.columns.iter().enumerate() {
            if index == self.outputs {
                names.push("model_id".to_owned());
            }
            match column.spread {
                Spread::Vector(length) => {
                    names.extend((0..length).map(|index| format!("{}.{index}", column.name)));
                }
                Spread::Element | Spread::Any => names.push(column.name.clone()),
            }
        }
        if self.outputs == self.columns.len() {
            names.push("model_id".to_owned());
        }
        names
    }
}

// === impl OutColumn ===

impl OutColumn {
    fn of(spec: &TensorSpec, of_example: bool) -> Self {
        Self {
            name: match of_example {
                true => format!("example.{}", spec.name),
                false => spec.name.to_string(),
            },
            tensor: spec.name.clone(),
            of_example,
            datatype: spec.datatype,
            spread: match spec.shape.as_slice() {
                [] | [Some(1)] => Spread::Element,
                [Some(length)] if *length <= SPREAD_MAX => Spread::Vector(*length),
                _ => Spread::Any,
            },
        }
    }

    /// The tensor of a prediction, if it is what was promised.
    pub(crate) fn find<'a>(&self, prediction: &'a Prediction) -> Result<&'a Tensor, String> {
        let name = &self.tensor;
        let what = if self.of_example { "input" } else { "output" };
        let tensors = match self.of_example {
            true => prediction.example.as_ref(),
            false => Some(&prediction.outputs),
        };
        let tensor = tensors.and_then(|tensors| tensors.tensor(name));
        let tensor = tensor.ok_or_else(|| format!("{what} \"{name}\" is not there"))?;
        if tensor.datatype() != self.datatype {
            let (found, promised) = (tensor.datatype(), self.datatype);
            return Err(format!(
                "{what} \"{name}\" is {found}, {promised} was promised"
            ));
        }
        let count = tensor.element_count();
        let promised = match self.spread {
            Spread::Element => 1,
            Spread::Vector(length) => length,
            Spread::Any => count,
        };
        match count == promised {
            true => Ok(tensor),
            false => Err(format!(
                "{what} \"{name}\" has {count} elements, {promised} were promised"
            )),
        }
    }
}
