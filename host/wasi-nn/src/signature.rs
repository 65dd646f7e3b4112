//! From what a model declares to the signature of one example.

use crate::BatchAxis;
use crate::datatype::{SERVED, tensor_type};
use consort_inference::{Datatype, Signature, TensorSpec};
use std::fmt;

/// The lengths that an axis may have, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Length {
    pub(crate) least: usize,
    /// `None` where there is no upper end.
    pub(crate) most: Option<usize>,
}

/// An input or output as the model has it, batch axis included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) element: Element,
    /// `None` where the number of axes is open.
    pub(crate) shape: Option<Vec<Length>>,
}

/// The type of a model's elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Element {
    Known(Datatype),
    /// The protocol has none like it; the runtime's name.
    Unknown(String),
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// What the model takes.
    Input(String),
    /// What the model gives.
    Output(String),
}

/// A model whose inputs and outputs cannot be served as they are declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Elements that wasi-nn has no type for.
    #[error(
        "{port} has elements of type {element}, and wasi-nn's backends take {SERVED} only; cast \
         it inside the model"
    )]
    UnsupportedElement {
        /// Which.
        port: Port,
        /// The protocol's name of the type, or the runtime's where the protocol has none.
        element: String,
    },
    /// A shape that is not declared at all.
    #[error(
        "{port} does not declare how many axes it has; declare its shape in the model (axes may \
         be of any length)"
    )]
    UnknownRank {
        /// Which.
        port: Port,
    },
    /// A name that two inputs or two outputs have.
    #[error("{port} is there twice; give each a name of its own in the model")]
    Duplicate {
        /// Which.
        port: Port,
    },
    /// No inputs or no outputs.
    #[error("the model has no {0}, so that there is nothing to predict")]
    Missing(&'static str),
    /// More outputs than the backend can fetch.
    #[error("{port} cannot be fetched: this backend gives a model's first output only")]
    SecondOutput {
        /// Which.
        port: Port,
    },
    /// A scalar, which has no axis that could count examples.
    #[error(
        "{port} has no axes, so that none can count examples; write batching = \"off\" for a \
         model whose inputs are one example"
    )]
    NoBatchAxis {
        /// Which.
        port: Port,
    },
    /// An input that takes more rows than one, always.
    #[error(
        "{port} takes {length} rows or more at once, so that a single example cannot be run; \
         write batching = \"off\" for a model whose inputs are one example, or convert it with a \
         first axis of any length"
    )]
    FixedBatch {
        /// Which.
        port: Port,
        /// The least length of its first axis.
        length: usize,
    },
    /// An output that has just so many rows, whatever the batch is.
    #[error(
        "{port} always has {length} rows, and not one for each example; write batching = \
         \"off\" for a model whose inputs are one example"
    )]
    FixedRows {
        /// Which.
        port: Port,
        /// Its first axis.
        length: usize,
    },
}

/// What a model is to its callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Derived {
    pub(crate) signature: Signature,
    pub(crate) max_batch_size: Option<usize>,
}

/// Works out the signature of one example, and the batches that the model can take.
pub(crate) fn derive(
    inputs: Vec<Declared>,
    outputs: Vec<Declared>,
    axis: BatchAxis,
) -> Result<Derived, SignatureError> {
    let (inputs, input_rows_max) = side(inputs, Port::Input, axis)?;
    let (outputs, output_rows_max) = side(outputs, Port::Output, axis)?;
    if inputs.is_empty() {
        return Err(SignatureError::Missing("inputs"));
    }
    if outputs.is_empty() {
        return Err(SignatureError::Missing("outputs"));
    }
    let max_batch_size = match axis {
        BatchAxis::None => Some(1),
        BatchAxis::Leading => input_rows_max.into_iter().chain(output_rows_max).min(),
    };
    Ok(Derived {
        signature: Signature { inputs, outputs },
        max_batch_size,
    })
}

/// The specs of all inputs or of all outputs, and the rows that the tightest of them allows.
fn side(
    declared: Vec<Declared>,
    port: fn(String) -> Port,
    axis: BatchAxis,
) -> Result<(Vec<TensorSpec>, Option<usize>), SignatureError> {
    let mut specs: Vec<TensorSpec> = Vec::with_capacity(declared.len());
    let mut rows_max = None;
    for Declared {
        name,
        element,
        shape,
    } in declared
    {
        let port = port(name.clone());
        let datatype = match element {
            Element::Known(datatype) if tensor_type(datatype).is_some() => datatype,
            Element::Known(datatype) => {
                let element = datatype.to_string();
                return Err(SignatureError::UnsupportedElement { port, element });
            }
            Element::Unknown(element) => {
                return Err(SignatureError::UnsupportedElement { port, element });
            }
        };
        let Some(shape) = shape else {
            return Err(SignatureError::UnknownRank { port });
        };
        let mut axes = shape.into_iter();
        if axis == BatchAxis::Leading {
            let most = rows(axes.next(), &port)?;
            rows_max = rows_max.into_iter().chain(most).min();
        }
        if specs.iter().any(|known| *known.name == *name) {
            return Err(SignatureError::Duplicate { port });
        }
        let shape = axes.map(Length::fixed).collect();
        specs.push(TensorSpec::new(name, datatype, shape));
    }
    Ok((specs, rows_max))
}

/// How many rows the first axis allows; `None` where any number.
fn rows(first: Option<Length>, port: &Port) -> Result<Option<usize>, SignatureError> {
    let port = port.clone();
    match (first, &port) {
        (None, _) => Err(SignatureError::NoBatchAxis { port }),
        (Some(length), Port::Output(_)) => match length.fixed() {
            None => Ok(length.most),
            Some(1) => Ok(Some(1)),
            Some(length) => Err(SignatureError::FixedRows { port, length }),
        },
        (Some(Length { least: 0 | 1, most }), Port::Input(_)) if most != Some(0) => Ok(most),
        (Some(Length { least, .. }), Port::Input(_)) => Err(SignatureError::FixedBatch {
            port,
            length: least,
        }),
    }
}

// === impl Length ===

impl Length {
    pub(crate) const ANY: Self = Self {
        least: 0,
        most: None,
    };

    pub(crate) const fn exactly(length: usize) -> Self {
        Self {
            least: length,
            most: Some(length),
        }
    }

    fn fixed(self) -> Option<usize> {
        self.most.filter(|&most| most == self.least)
    }
}

// === impl Port ===

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(name) => write!(f, "input \"{name}\""),
            Self::Output(name) => write!(f, "output \"{name}\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths below zero stand for any.
    fn tensor(name: &str, shape: &[i64]) -> Declared {
        let length = |&axis: &i64| usize::try_from(axis).map_or(Length::ANY, Length::exactly);
        Declared {
            name: name.to_owned(),
            element: Element::Known(Datatype::Fp32),
            shape: Some(shape.iter().map(length).collect()),
        }
    }

    fn up_to(name: &str, least: usize, most: usize) -> Declared {
        let most = Some(most);
        Declared {
            shape: Some(vec![Length { least, most }]),
            ..tensor(name, &[])
        }
    }

    fn shown(inputs: Vec<Declared>, outputs: Vec<Declared>, axis: BatchAxis) -> String {
        let side = |specs: &[TensorSpec]| {
            let one = |spec: &TensorSpec| format!("{} {spec}", spec.name);
            specs.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        match derive(inputs, outputs, axis) {
            Err(error) => error.to_string(),
            Ok(Derived {
                signature,
                max_batch_size,
            }) => format!(
                "{} -> {}; max {max_batch_size:?}",
                side(&signature.inputs),
                side(&signature.outputs)
            ),
        }
    }

    fn batched(inputs: Vec<Declared>, outputs: Vec<Declared>) -> String {
        shown(inputs, outputs, BatchAxis::Leading)
    }

    #[test]
    fn the_first_axis_is_the_batch() {
        assert_eq!(
            batched(
                vec![tensor("x", &[-1, 16])],
                vec![tensor("y", &[-1, -1, 3])]
            ),
            "x FP32 [16] -> y FP32 [-1, 3]; max None"
        );
        assert_eq!(
            batched(vec![tensor("x", &[-1])], vec![tensor("y", &[-1])]),
            "x FP32 [] -> y FP32 []; max None"
        );
    }

    #[test]
    fn the_tightest_first_axis_limits_the_batch() {
        let any = || tensor("y", &[-1]);
        assert_eq!(
            batched(vec![up_to("a", 1, 8), up_to("b", 0, 5)], vec![any()]),
            "a FP32 [], b FP32 [] -> y FP32 []; max Some(5)"
        );
        assert_eq!(
            batched(vec![tensor("x", &[1, 4])], vec![any()]),
            "x FP32 [4] -> y FP32 []; max Some(1)"
        );
        assert_eq!(
            batched(vec![tensor("x", &[-1, 4])], vec![tensor("y", &[1, 4])]),
            "x FP32 [4] -> y FP32 [4]; max Some(1)"
        );
    }

    #[test]
    fn without_a_batch_axis_an_example_is_the_whole_input() {
        let inputs = vec![tensor("x", &[4, -1]), tensor("factor", &[])];
        assert_eq!(
            shown(inputs, vec![tensor("y", &[])], BatchAxis::None),
            "x FP32 [4, -1], factor FP32 [] -> y FP32 []; max Some(1)"
        );
    }

    #[test]
    fn what_cannot_be_served_is_named() {
        let any = || tensor("any", &[-1, 4]);
        let starts = |inputs, outputs, start: &str| {
            let text = batched(inputs, outputs);
            assert!(text.starts_with(start), "{text}");
        };
        starts(
            vec![any(), tensor("x", &[4, 4])],
            vec![any()],
            "input \"x\" takes 4 rows or more",
        );
        starts(
            vec![up_to("x", 2, 9)],
            vec![any()],
            "input \"x\" takes 2 rows or more",
        );
        starts(
            vec![any(), tensor("factor", &[])],
            vec![any()],
            "input \"factor\" has no axes",
        );
        starts(
            vec![any()],
            vec![any(), tensor("sum", &[3])],
            "output \"sum\" always has 3 rows",
        );
        starts(
            vec![any(), any()],
            vec![any()],
            "input \"any\" is there twice",
        );
        starts(vec![], vec![any()], "the model has no inputs");
        starts(vec![any()], vec![], "the model has no outputs");
        let open = Declared {
            shape: None,
            ..any()
        };
        starts(
            vec![open],
            vec![any()],
            "input \"any\" does not declare how many axes",
        );
        for (element, name) in [
            (Element::Known(Datatype::Bool), "BOOL"),
            (Element::Unknown("i4".to_owned()), "i4"),
        ] {
            let odd = Declared { element, ..any() };
            let start = format!("output \"any\" has elements of type {name}, and wasi-nn");
            starts(vec![any()], vec![odd], &start);
        }
    }
}
