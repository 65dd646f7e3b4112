//! From what a model declares to the signature of one example.

use crate::BatchAxis;
use crate::datatype::Element;
use crate::native::{Described, Kind};
use consort_inference::{Datatype, Dim, Signature, TensorSpec};
use std::collections::BTreeMap;
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
    #[error(
        "{port} is {kind}; tensors can be served, and as outputs also sequences of tensors and \
         of maps to numbers"
    )]
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
    /// An output of maps whose keys would go by the name of another output.
    #[error(
        "{port} is a sequence of maps, whose keys are served as \"{keys}\", and another output \
         has that name; rename one in the model"
    )]
    KeysNameTaken {
        /// Which.
        port: Port,
        /// The name of the keys.
        keys: String,
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
    /// The outputs of the model, of which one may be several of the signature.
    pub(crate) outputs: Vec<OutputPlan>,
    pub(crate) max_batch_size: Option<usize>,
}

/// An output of the model, and how it is told in tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputPlan {
    pub(crate) spec: TensorSpec,
    pub(crate) form: Form,
}

/// What a value of the model's is. All have one form in the signature: tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// A tensor, as it is.
    Tensor,
    /// A sequence of tensors, whose length is the first axis.
    Tensors,
    /// A sequence of maps, whose length is the first axis and whose entries are the second,
    /// in ascending order of their keys. The keys are a tensor of their own.
    Maps { keys: TensorSpec },
}

/// What the name of an output of maps is followed by in the name of its keys.
const KEYS_SUFFIX: &str = "_keys";

/// A declared value, its first axis not yet looked at.
struct Declared {
    port: Port,
    spec: TensorSpec,
    first: Option<i64>,
    form: Form,
}

/// Works out the signature of one example, and the batches that the model can take.
/// `zip_maps` is how many entries the maps of an output have, where that is known.
pub(crate) fn derive(
    inputs: Vec<Described>,
    outputs: Vec<Described>,
    axis: BatchAxis,
    zip_maps: &BTreeMap<String, usize>,
) -> Result<Derived, SignatureError> {
    let input = |Described { name, kind }| input(name, kind);
    let output = |Described { name, kind }| output(name, kind, zip_maps);
    let mut inputs: Vec<_> = inputs.into_iter().map(input).collect::<Result<_, _>>()?;
    let mut outputs: Vec<_> = outputs.into_iter().map(output).collect::<Result<_, _>>()?;
    check_names(&outputs)?;
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
    let inputs = inputs.into_iter().map(|input| input.spec).collect();
    let outputs: Vec<OutputPlan> = outputs
        .into_iter()
        .map(|Declared { spec, form, .. }| OutputPlan { spec, form })
        .collect();
    let told = outputs.iter().flat_map(OutputPlan::specs).cloned();
    Ok(Derived {
        signature: Signature {
            inputs,
            outputs: told.collect(),
        },
        outputs,
        max_batch_size,
    })
}

fn input(name: String, kind: Kind) -> Result<Declared, SignatureError> {
    let port = Port::Input(name.clone());
    match kind {
        Kind::Tensor { element, shape } => declared(port, name, element, shape, Form::Tensor),
        Kind::Tensors { .. } => Err(SignatureError::UnsupportedKind {
            port,
            kind: "a sequence of tensors",
        }),
        Kind::Maps { .. } => Err(SignatureError::UnsupportedKind {
            port,
            kind: "a sequence of maps",
        }),
        Kind::Other(kind) => Err(SignatureError::UnsupportedKind { port, kind }),
    }
}

fn output(
    name: String,
    kind: Kind,
    zip_maps: &BTreeMap<String, usize>,
) -> Result<Declared, SignatureError> {
    let port = Port::Output(name.clone());
    match kind {
        Kind::Tensor { element, shape } => declared(port, name, element, shape, Form::Tensor),
        // The length of a sequence is never declared.
        Kind::Tensors { element, shape } => {
            let shape = shape.map(|shape| [vec![-1], shape].concat());
            declared(port, name, element, shape, Form::Tensors)
        }
        Kind::Maps { keys, values } => {
            let count = zip_maps.get(&name).copied();
            let axis = count.and_then(|count| i64::try_from(count).ok());
            let keys_type = match keys.datatype() {
                Some(datatype @ (Datatype::Bytes | Datatype::Int64)) => datatype,
                _ => {
                    let element = keys.name();
                    return Err(SignatureError::UnsupportedElement { port, element });
                }
            };
            let keys = TensorSpec::new(format!("{name}{KEYS_SUFFIX}"), keys_type, vec![count]);
            let shape = Some(vec![-1, axis.unwrap_or(-1)]);
            declared(port, name, values, shape, Form::Maps { keys })
        }
        Kind::Other(kind) => Err(SignatureError::UnsupportedKind { port, kind }),
    }
}

fn declared(
    port: Port,
    name: String,
    element: Element,
    shape: Option<Vec<i64>>,
    form: Form,
) -> Result<Declared, SignatureError> {
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
        form,
    })
}

/// Refuses keys under the name of another output.
fn check_names(outputs: &[Declared]) -> Result<(), SignatureError> {
    for output in outputs {
        if let Form::Maps { keys } = &output.form
            && outputs.iter().any(|other| other.spec.name == keys.name)
        {
            return Err(SignatureError::KeysNameTaken {
                port: output.port.clone(),
                keys: keys.name.to_string(),
            });
        }
    }
    Ok(())
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

// === impl OutputPlan ===

impl OutputPlan {
    /// The tensors of one example that this output is told in.
    pub(crate) fn specs(&self) -> impl Iterator<Item = &TensorSpec> {
        let keys = match &self.form {
            Form::Maps { keys } => Some(keys),
            Form::Tensor | Form::Tensors => None,
        };
        [&self.spec].into_iter().chain(keys)
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
        derive(inputs, outputs, BatchAxis::Leading, &BTreeMap::new())
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

    /// Maps to FP32 from elements of that number.
    fn maps(keys: i32) -> Kind {
        Kind::Maps {
            keys: Element(keys),
            values: FP32,
        }
    }

    #[test]
    fn maps_and_sequences_are_told_in_tensors() {
        let outputs = || {
            vec![
                Described {
                    name: "p".to_owned(),
                    kind: maps(8),
                },
                Described {
                    name: "parts".to_owned(),
                    kind: Kind::Tensors {
                        element: FP32,
                        shape: Some(vec![1, -1]),
                    },
                },
            ]
        };
        let known = BTreeMap::from([("p".to_owned(), 3)]);
        let told = |axis, known| {
            let inputs = vec![tensor("x", &[-1, 4])];
            shown(&derive(inputs, outputs(), axis, known).unwrap())
        };
        assert_eq!(
            told(BatchAxis::Leading, &known),
            "x FP32 [4] -> p FP32 [3], p_keys BYTES [3], parts FP32 [1, -1]; max None"
        );
        assert_eq!(
            told(BatchAxis::None, &BTreeMap::new()),
            "x FP32 [-1, 4] -> p FP32 [-1, -1], p_keys BYTES [-1], parts FP32 [-1, 1, -1]; \
             max Some(1)"
        );
    }

    #[test]
    fn keys_take_no_other_outputs_name() {
        let maps = Described {
            name: "p".to_owned(),
            kind: maps(7),
        };
        let error = batched(vec![], vec![maps, tensor("p_keys", &[-1])]).unwrap_err();
        assert!(
            error.to_string().contains("served as \"p_keys\""),
            "{error}"
        );
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
        let derived = derive(
            inputs,
            vec![tensor("y", &[])],
            BatchAxis::None,
            &BTreeMap::new(),
        )
        .unwrap();
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
        let error = batched(vec![], vec![other(Kind::Other("a map"))]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "output \"z\" is a map; tensors can be served, and as outputs also sequences of \
             tensors and of maps to numbers"
        );
        let error = batched(vec![other(maps(8))], vec![]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("input \"z\" is a sequence of maps; "),
            "{error}"
        );
        let error = batched(vec![], vec![other(maps(1))]).unwrap_err();
        assert!(
            error.to_string().contains("elements of type FP32"),
            "{error}"
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
