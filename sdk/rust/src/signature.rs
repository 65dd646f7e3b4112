//! What a role promises about its tensors, in the order an author writes it.

use crate::{Datatype, Dims};

/// A tensor as promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// The name it goes by.
    pub name: String,
    /// The type of its elements.
    pub datatype: Datatype,
    /// The length of each axis. An example carries no batch axis.
    pub dims: Dims,
}

/// What a post-processor reads and writes. The host checks it against the neighbouring
/// steps when it loads the manifest, and against every tensor that passes.
///
/// ```
/// use consort_sdk::{ANY, Datatype, Signature};
///
/// let signature = Signature::new()
///     .input("scores", Datatype::Fp32, [ANY])
///     .output("label", Datatype::Bytes, [1]);
/// # assert_eq!(signature.inputs.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "return it from describe"]
pub struct Signature {
    /// The tensors it reads. An example holds exactly these.
    pub inputs: Vec<TensorSpec>,
    /// The tensors it writes.
    pub outputs: Vec<TensorSpec>,
}

/// What a pre-processor reads, what it forwards, and what it answers with when it answers.
///
/// ```
/// use consort_sdk::{Datatype, Description};
///
/// let description = Description::new()
///     .input("text", Datatype::Bytes, [1])
///     .forwards("ids", Datatype::Int64, [128])
///     .answers("label", Datatype::Bytes, [1]);
/// # assert_eq!(description.answers.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "return it from describe"]
pub struct Description {
    /// The tensors it reads. An example holds exactly these.
    pub inputs: Vec<TensorSpec>,
    /// The tensors of [`Outcome::Forward`](crate::Outcome::Forward).
    pub forwards: Vec<TensorSpec>,
    /// The tensors of [`Outcome::Answer`](crate::Outcome::Answer); none when it never
    /// answers by itself.
    pub answers: Vec<TensorSpec>,
}

/// What a model handler is from outside, and how it wants its batches.
///
/// ```
/// use consort_sdk::{ANY, Datatype, HandlerDescription};
///
/// let description = HandlerDescription::new()
///     .input("ids", Datatype::Int64, [ANY])
///     .output("scores", Datatype::Fp32, [2])
///     .ragged()
///     .max_batch_size(64);
/// # assert!(description.ragged);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use = "return it from describe"]
pub struct HandlerDescription {
    /// The tensors of one example that it reads.
    pub inputs: Vec<TensorSpec>,
    /// The tensors of one example that it writes.
    pub outputs: Vec<TensorSpec>,
    /// The most examples that one `predict` takes; `None` for any number.
    pub max_batch_size: Option<u32>,
    /// Sizes at which it runs best, in rising order; empty when unknown.
    pub preferred_batch_sizes: Vec<u32>,
    /// Whether examples whose shapes differ may come in one batch.
    pub ragged: bool,
}

// === impl TensorSpec ===

impl TensorSpec {
    /// A promise of one tensor.
    pub fn new(name: impl Into<String>, datatype: Datatype, dims: impl Into<Dims>) -> Self {
        Self {
            name: name.into(),
            datatype,
            dims: dims.into(),
        }
    }
}

// === impl Signature ===

impl Signature {
    /// Promises nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor that the role reads.
    pub fn input(mut self, name: &str, datatype: Datatype, dims: impl Into<Dims>) -> Self {
        self.inputs.push(TensorSpec::new(name, datatype, dims));
        self
    }

    /// Adds a tensor that the role writes.
    pub fn output(mut self, name: &str, datatype: Datatype, dims: impl Into<Dims>) -> Self {
        self.outputs.push(TensorSpec::new(name, datatype, dims));
        self
    }
}

// === impl Description ===

impl Description {
    /// Promises nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor that the role reads.
    pub fn input(mut self, name: &str, datatype: Datatype, dims: impl Into<Dims>) -> Self {
        self.inputs.push(TensorSpec::new(name, datatype, dims));
        self
    }

    /// Adds a tensor that goes on to the next step.
    pub fn forwards(mut self, name: &str, datatype: Datatype, dims: impl Into<Dims>) -> Self {
        self.forwards.push(TensorSpec::new(name, datatype, dims));
        self
    }

    /// Adds a tensor of an answer that skips the remaining steps.
    pub fn answers(mut self, name: &str, datatype: Datatype, dims: impl Into<Dims>) -> Self {
        self.answers.push(TensorSpec::new(name, datatype, dims));
        self
    }
}

// === impl HandlerDescription ===

impl HandlerDescription {
    /// Promises nothing yet; any number of examples of equal shapes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor that the role reads, without a batch axis.
    pub fn input(mut self, name: &str, datatype: Datatype, dims: impl Into<Dims>) -> Self {
        self.inputs.push(TensorSpec::new(name, datatype, dims));
        self
    }

    /// Adds a tensor that the role writes, without a batch axis.
    pub fn output(mut self, name: &str, datatype: Datatype, dims: impl Into<Dims>) -> Self {
        self.outputs.push(TensorSpec::new(name, datatype, dims));
        self
    }

    /// The most examples that one `predict` takes.
    pub fn max_batch_size(mut self, size: u32) -> Self {
        self.max_batch_size = Some(size);
        self
    }

    /// Sizes at which it runs best, in rising order.
    pub fn preferred_batch_sizes(mut self, sizes: impl Into<Vec<u32>>) -> Self {
        self.preferred_batch_sizes = sizes.into();
        self
    }

    /// Lets examples whose shapes differ come in one batch, because `predict` pads them.
    pub fn ragged(mut self) -> Self {
        self.ragged = true;
        self
    }
}
