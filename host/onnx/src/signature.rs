//! From what a model declares to the signature of one example.

use crate::BatchAxis;
use crate::native::{Described, Kind};
use consort_inference::{Dim, Signature, TensorSpec};
use std::fmt;

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
    /// A value that is not a tensor.
    #[error("{port} is {kind}; only tensors are supported for now")]
    UnsupportedKind {
        /// Which.
        port: Port,
        /// What it is.
        kind: &'static str,
    },
    /// Elements that the protocol has no datatype for.
    #[error("{port} has elements of type {element}, for which the protocol has no datatype")]
    UnsupportedElement {
        /// Which.
        port: Port,
        /// ONNX's name of the type.
        element: String,
    },
    /// A shape that is not declared at all.
    #[error(
        "{port} does not declare how many axes it has; declare its shape in the model (axes \
         of any length may be symbolic)"
    )]
    UnknownRank {
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
    /// An input that takes just so many rows.
    #[error(
        "{port} takes exactly {length} rows, so that examples cannot be batched; write \
         batching = \"off\" for a model whose inputs are one example, or export it with a \
         first axis of any length"
    )]
    FixedBatch {
        /// Which.
        port: Port,
        /// Its first axis.
        length: i64,
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
        length: i64,
    },
    /// Inputs that ask for batches of different sizes.
    #[error(
        "{one} takes exactly {one_length} rows and {other} takes exactly {other_length}, so \
         that no batch fits both; write batching = \"off\" for a model whose inputs are one \
         example"
    )]
    BatchAxesDisagree {
        /// An input.
        one: Port,
        /// Its first axis.
        one_length: i64,
        /// Another input.
        other: Port,
        /// Its first axis.
        other_length: i64,
    },
}

/// What a model is to its callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Derived {
    pub(crate) signature: Signature,
    pub(crate) max_batch_size: Option<usize>,
}

/// A declared tensor, its first axis not yet looked at.
struct Declared {
    port: Port,
    spec: TensorSpec,
    first: Option<i64>,
}

/// Works out the signature of one example, and the batches that the model can take.
pub(crate) fn derive(
    inputs: Vec<Described>,
    outputs: Vec<Described>,
    axis: BatchAxis,
) -> Result<Derived, SignatureError> {
    let mut inputs = declared(inputs, Port::Input)?;
    let mut outputs = declared(outputs, Port::Output)?;
    let max_batch_size = match axis {
        BatchAxis::None => Some(1),
        BatchAxis::Leading => {
            let inputs_max = input_rows_max(&inputs)?;
            let outputs_max = output_rows_max(&outputs)?;
            for tensor in inputs.iter_mut().chain(&mut outputs) {
                tensor.spec.shape.remove(0);
            }
            inputs_max.or(outputs_max)
        }
    };
    let specs = |tensors: Vec<Declared>| tensors.into_iter().map(|tensor| tensor.spec).collect();
    Ok(Derived {
        signature: Signature {
            inputs: specs(inputs),
            outputs: specs(outputs),
        },
        max_batch_size,
    })
}

fn declared(
    described: Vec<Described>,
    port: fn(String) -> Port,
) -> Result<Vec<Declared>, SignatureError> {
    let each = |Described { name, kind }| {
        let port = port(name.clone());
        let (element, shape) = match kind {
            Kind::Tensor { element, shape } => (element, shape),
            Kind::Other(kind) => return Err(SignatureError::UnsupportedKind { port, kind }),
        };
        let Some(datatype) = element.datatype() else {
            let element = element.name();
            return Err(SignatureError::UnsupportedElement { port, element });
        };
        let Some(shape) = shape else {
            return Err(SignatureError::UnknownRank { port });
        };
        let first = shape.first().copied();
        let shape: Vec<Dim> = shape.into_iter().map(|axis| axis.try_into().ok()).collect();
        Ok(Declared {
            port,
            spec: TensorSpec::new(name, datatype, shape),
            first,
        })
    };
    described.into_iter().map(each).collect()
}

/// `Some(1)` when an input takes one row only, `None` when all take any number.
fn input_rows_max(inputs: &[Declared]) -> Result<Option<usize>, SignatureError> {
    let mut fixed: Option<(&Declared, i64)> = None;
    for input in inputs {
        let length = first_axis(input)?;
        match fixed {
            _ if length < 0 => {}
            None => fixed = Some((input, length)),
            Some((_, known)) if known == length => {}
            Some((one, one_length)) => {
                return Err(SignatureError::BatchAxesDisagree {
                    one: one.port.clone(),
                    one_length,
                    other: input.port.clone(),
                    other_length: length,
                });
            }
        }
    }
    match fixed {
        None => Ok(None),
        Some((_, 1)) => Ok(Some(1)),
        Some((input, length)) => Err(SignatureError::FixedBatch {
            port: input.port.clone(),
            length,
        }),
    }
}

/// `Some(1)` when an output promises one row only, `None` when all promise any number.
fn output_rows_max(outputs: &[Declared]) -> Result<Option<usize>, SignatureError> {
    let mut rows_max = None;
    for output in outputs {
        match first_axis(output)? {
            1 => rows_max = Some(1),
            length if length < 0 => {}
            length => {
                return Err(SignatureError::FixedRows {
                    port: output.port.clone(),
                    length,
                });
            }
        }
    }
    Ok(rows_max)
}

fn first_axis(tensor: &Declared) -> Result<i64, SignatureError> {
    tensor.first.ok_or_else(|| SignatureError::NoBatchAxis {
        port: tensor.port.clone(),
    })
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
    use crate::datatype::Element;

    const FP32: Element = Element(1);

    fn tensor(name: &str, shape: &[i64]) -> Described {
        Described {
            name: name.to_owned(),
            kind: Kind::Tensor {
                element: FP32,
                shape: Some(shape.to_vec()),
            },
        }
    }

    fn batched(inputs: Vec<Described>, outputs: Vec<Described>) -> Result<Derived, SignatureError> {
        derive(inputs, outputs, BatchAxis::Leading)
    }

    fn shown(derived: &Derived) -> String {
        let Signature { inputs, outputs } = &derived.signature;
        let side = |specs: &[TensorSpec]| {
            let texts: Vec<String> = specs
                .iter()
                .map(|spec| format!("{} {spec}", spec.name))
                .collect();
            texts.join(", ")
        };
        format!(
            "{} -> {}; max {:?}",
            side(inputs),
            side(outputs),
            derived.max_batch_size
        )
    }

    #[test]
    fn the_first_axis_is_the_batch() {
        let derived = batched(
            vec![tensor("x", &[-1, 16])],
            vec![tensor("y", &[-1, -1, 3])],
        )
        .unwrap();
        assert_eq!(shown(&derived), "x FP32 [16] -> y FP32 [-1, 3]; max None");
        let derived = batched(vec![tensor("x", &[-1])], vec![tensor("y", &[-1])]).unwrap();
        assert_eq!(shown(&derived), "x FP32 [] -> y FP32 []; max None");
    }

    #[test]
    fn an_input_or_output_of_one_row_makes_batches_of_one() {
        let derived = batched(vec![tensor("x", &[1, 4])], vec![tensor("y", &[-1, 4])]).unwrap();
        assert_eq!(derived.max_batch_size, Some(1));
        let inputs = vec![tensor("a", &[-1, 4]), tensor("b", &[1, 4])];
        let derived = batched(inputs, vec![tensor("y", &[-1, 4])]).unwrap();
        assert_eq!(derived.max_batch_size, Some(1));
        let derived = batched(vec![tensor("x", &[-1, 4])], vec![tensor("y", &[1, 4])]).unwrap();
        assert_eq!(derived.max_batch_size, Some(1));
    }

    #[test]
    fn without_a_batch_axis_an_example_is_the_whole_input() {
        let inputs = vec![tensor("x", &[4, -1]), tensor("factor", &[])];
        let derived = derive(inputs, vec![tensor("y", &[])], BatchAxis::None).unwrap();
        assert_eq!(
            shown(&derived),
            "x FP32 [4, -1], factor FP32 [] -> y FP32 []; max Some(1)"
        );
    }

    #[test]
    fn what_cannot_be_batched_is_named() {
        let any = || tensor("any", &[-1, 4]);
        let message = |inputs, outputs| batched(inputs, outputs).unwrap_err().to_string();
        let four = message(vec![any(), tensor("x", &[4, 4])], vec![any()]);
        assert!(
            four.starts_with("input \"x\" takes exactly 4 rows"),
            "{four}"
        );
        assert!(four.contains("batching = \"off\""), "{four}");
        let scalar = message(vec![any(), tensor("factor", &[])], vec![any()]);
        assert!(
            scalar.starts_with("input \"factor\" has no axes"),
            "{scalar}"
        );
        let summed = message(vec![any()], vec![any(), tensor("sum", &[3])]);
        assert!(
            summed.starts_with("output \"sum\" always has 3 rows"),
            "{summed}"
        );
        let differ = message(
            vec![tensor("a", &[1, 4]), tensor("b", &[2, 4])],
            vec![any()],
        );
        assert!(
            differ.starts_with("input \"a\" takes exactly 1 rows and input \"b\" takes exactly 2"),
            "{differ}"
        );
    }

    #[test]
    fn what_is_no_tensor_of_a_known_type_is_named() {
        let other = |kind| Described {
            name: "z".to_owned(),
            kind,
        };
        let error = batched(vec![], vec![other(Kind::Other("a sequence"))]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "output \"z\" is a sequence; only tensors are supported for now"
        );
        let odd = Kind::Tensor {
            element: Element(22),
            shape: Some(vec![-1]),
        };
        let error = batched(vec![other(odd)], vec![]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "input \"z\" has elements of type int4, for which the protocol has no datatype"
        );
        let unknown = Kind::Tensor {
            element: FP32,
            shape: None,
        };
        let error = batched(vec![], vec![other(unknown)]).unwrap_err();
        assert!(error.to_string().contains("how many axes"), "{error}");
    }
}
