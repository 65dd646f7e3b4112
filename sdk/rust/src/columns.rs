//! The examples of one call at once, a tensor an input.

use crate::{ByteStrings, Element, Elements, Ends, Error, Example, Tensor};

/// Examples whose inputs are of equal shapes: each input is one tensor, and its first axis
/// counts the examples.
///
/// Its readers name the tensor in every error, as those of [`Example`] do.
#[derive(Debug)]
pub struct Columns {
    count: usize,
    /// All of them as if they were one.
    together: Example,
}

// === impl Columns ===

impl Columns {
    /// Puts examples together: for unit tests, in a plugin the host has done so.
    ///
    /// The error says which tensor is missing in one of them or has another shape.
    pub fn stack(examples: &[Example]) -> Result<Self, Error> {
        let names = examples.first().map(Example::tensors);
        let stacked = names.into_iter().flatten().map(|(name, _)| {
            let tensors = examples.iter().map(|example| example.tensor(name));
            let stacked = Tensor::stack(&tensors.collect::<Result<Vec<_>, _>>()?);
            let within = |error| Error::from(error).within(format_args!("tensor \"{name}\""));
            Ok((name, stacked.map_err(within)?))
        });
        let tensors = stacked.collect::<Result<Vec<_>, Error>>()?;
        Ok(Self {
            count: examples.len(),
            together: Example::from_tensors(tensors),
        })
    }

    /// How many examples there are, at least one.
    pub fn count(&self) -> usize {
        self.count
    }

    /// An input of all examples.
    pub fn tensor(&self, name: &str) -> Result<&Tensor, Error> {
        self.together.tensor(name)
    }

    /// All elements of an input, those of the first example first.
    pub fn read<T: Element>(&self, name: &str) -> Result<Elements<T>, Error> {
        self.together.read(name)
    }

    /// The elements of a `BYTES` input, those of the first example first.
    pub fn byte_strings(&self, name: &str) -> Result<ByteStrings, Error> {
        self.together.byte_strings(name)
    }

    /// The first bytes of each element of a `BYTES` input, `most` of each at most.
    pub fn heads(&self, name: &str, most: usize) -> Result<Ends, Error> {
        self.together.heads(name, most)
    }

    /// The last bytes of each element of a `BYTES` input, `most` of each at most.
    pub fn tails(&self, name: &str, most: usize) -> Result<Ends, Error> {
        self.together.tails(name, most)
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn new(count: usize, together: Example) -> Self {
        Self { count, together }
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn into_example(self) -> Example {
        self.together
    }
}
