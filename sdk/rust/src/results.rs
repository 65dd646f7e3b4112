//! What became of the examples of a call that came as columns, put together as columns.

use crate::bindings::columns::{self, Fate, Rows};
use crate::bindings::types;
use crate::export::{error, tensors as own};
use crate::parts;
use crate::{Error, Outcome, Outputs, Tensor, TensorError};

/// Results of examples, in order.
pub(crate) struct Results {
    fates: Vec<Fate>,
    forwards: Vec<Outputs>,
    answers: Vec<Outputs>,
    errors: Vec<types::Error>,
}

// === impl Results ===

impl Results {
    pub(crate) fn new() -> Self {
        Self {
            fates: Vec::new(),
            forwards: Vec::new(),
            answers: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// What the plugin made of all examples at once.
    pub(crate) fn all_forward(count: u32, tensors: Vec<types::NamedTensor>) -> columns::Results {
        columns::Results {
            fates: vec![Fate::Forward; count as usize],
            forwards: Rows::Stacked(tensors),
            answers: Rows::Stacked(Vec::new()),
            errors: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, outcome: Result<Outcome, Error>) {
        let fate = match outcome {
            Ok(Outcome::Forward(outputs)) => {
                self.forwards.push(outputs);
                Fate::Forward
            }
            Ok(Outcome::Answer(outputs)) => {
                self.answers.push(outputs);
                Fate::Answer
            }
            Err(failure) => {
                self.errors.push(error(failure));
                Fate::Failed
            }
        };
        self.fates.push(fate);
    }

    /// Gives all to the host. A refusal there, by a limit, is the failure of every example
    /// that it concerns.
    pub(crate) fn finish(self) -> columns::Results {
        let Self {
            mut fates,
            forwards,
            answers,
            mut errors,
        } = self;
        let mut as_rows = |outputs, fate| match rows(outputs) {
            Ok(rows) => rows,
            Err(refusal) => {
                errors = refuse(&mut fates, fate, std::mem::take(&mut errors), &refusal);
                Rows::Stacked(Vec::new())
            }
        };
        let forwards = as_rows(forwards, Fate::Forward);
        let answers = as_rows(answers, Fate::Answer);
        columns::Results {
            fates,
            forwards,
            answers,
            errors,
        }
    }
}

/// Makes failures of all examples of one fate; the errors stay in the order of examples.
fn refuse(
    fates: &mut [Fate],
    refused: Fate,
    errors: Vec<types::Error>,
    refusal: &types::Error,
) -> Vec<types::Error> {
    let mut errors = errors.into_iter();
    let mut all = Vec::new();
    for fate in fates {
        if *fate == refused {
            *fate = Fate::Failed;
            all.push(refusal.clone());
        } else if *fate == Fate::Failed {
            all.extend(errors.next());
        }
    }
    all
}

/// Outputs of several examples: stacked if they are of one form and the host has not seen
/// them yet.
fn rows(outputs: Vec<Outputs>) -> Result<Rows, types::Error> {
    let Some(first) = outputs.first() else {
        return Ok(Rows::Stacked(Vec::new()));
    };
    if !outputs.iter().all(|other| is_of_one_form(first, other)) {
        let single: Result<_, _> = outputs.into_iter().map(own).collect();
        return Ok(Rows::Single(single?));
    }
    let columns = first
        .tensors()
        .enumerate()
        .filter_map(|(place, (name, tensor))| {
            let (datatype, shape, _) = tensor.made()?;
            let axes = std::iter::once(outputs.len()).chain(shape.iter().copied());
            let shape: Vec<u64> = axes.map(|length| length as u64).collect();
            let data = outputs
                .iter()
                .filter_map(|outputs| Some(outputs.tensors().nth(place)?.1.made()?.2));
            let column = parts::create(datatype.into(), &shape, data);
            let name = name.to_owned();
            Some(match column {
                Ok(tensor) => Ok(types::NamedTensor { name, tensor }),
                Err(refusal) => Err(error(Error::from(TensorError::from(refusal)))),
            })
        });
    Ok(Rows::Stacked(columns.collect::<Result<_, _>>()?))
}

/// Whether both have the same names, datatypes and shapes, in the same order, and all are
/// in the plugin's memory.
fn is_of_one_form(first: &Outputs, other: &Outputs) -> bool {
    let same = |((name, tensor), (other_name, other)): ((&str, &Tensor), (&str, &Tensor))| match (
        tensor.made(),
        other.made(),
    ) {
        (Some((datatype, shape, _)), Some((other_datatype, other_shape, _))) => {
            name == other_name && datatype == other_datatype && shape == other_shape
        }
        _ => false,
    };
    first.tensors().len() == other.tensors().len() && first.tensors().zip(other.tensors()).all(same)
}
