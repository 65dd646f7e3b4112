//! Named tensors: what an example holds and what a prediction yields.

use crate::{Layout, Tensor};
use std::sync::Arc;

/// A small ordered map from name to tensor. Cloning copies handles, not bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tensors(Vec<(Arc<str>, Tensor)>);

/// Two tensors of one name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tensor \"{0}\" is given twice")]
pub struct DuplicateTensor(pub Arc<str>);

// === impl Tensors ===

impl Tensors {
    /// No tensors.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// No tensors, with room for some.
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// Collects named tensors; a name may occur once.
    pub fn from_named(
        named: impl IntoIterator<Item = (Arc<str>, Tensor)>,
    ) -> Result<Self, DuplicateTensor> {
        let named = named.into_iter();
        let mut tensors = Self::with_capacity(named.size_hint().0);
        for (name, tensor) in named {
            if tensors.tensor(&name).is_some() {
                return Err(DuplicateTensor(name));
            }
            tensors.0.push((name, tensor));
        }
        Ok(tensors)
    }

    /// Adds a tensor, or replaces (and returns) the one of that name.
    pub fn insert(&mut self, name: impl Into<Arc<str>>, tensor: Tensor) -> Option<Tensor> {
        let name = name.into();
        match self.0.iter_mut().find(|(existing, _)| *existing == name) {
            Some((_, old)) => Some(std::mem::replace(old, tensor)),
            None => {
                if self.0.capacity() == 0 {
                    // Most examples have one tensor, and a vector would make room for four.
                    self.0.reserve_exact(1);
                }
                self.0.push((name, tensor));
                None
            }
        }
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.0
            .iter()
            .find(|(existing, _)| &**existing == name)
            .map(|(_, tensor)| tensor)
    }

    /// The tensor of that name, looked for at a place first: most tensors come in the order in
    /// which whoever takes them names them.
    pub fn tensor_at(&self, place: usize, name: &str) -> Option<&Tensor> {
        match self.0.get(place) {
            Some((existing, tensor)) if **existing == *name => Some(tensor),
            _ => self.tensor(name),
        }
    }

    /// Takes the tensor of that name out. The order of the others is no longer that of
    /// insertion.
    pub fn take(&mut self, name: &str) -> Option<Tensor> {
        let index = self
            .0
            .iter()
            .position(|(existing, _)| &**existing == name)?;
        Some(self.0.swap_remove(index).1)
    }

    /// All tensors in order of insertion.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name, tensor))
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all tensors together.
    pub fn byte_len(&self) -> usize {
        self.0.iter().map(|(_, tensor)| tensor.data().len()).sum()
    }

    /// Names, datatypes and shapes: examples of one layout can share a batch.
    pub fn layout(&self) -> Layout {
        Layout::of(self)
    }

    /// Whether both have one [`Tensors::layout`], without building either.
    pub fn same_layout(&self, other: &Self) -> bool {
        let fits = |(name, tensor): &(Arc<str>, Tensor)| {
            other.tensor(name).is_some_and(|given| {
                given.datatype() == tensor.datatype() && given.shape() == tensor.shape()
            })
        };
        self.0.len() == other.0.len() && self.0.iter().all(fits)
    }

    /// Whether both have the same names, datatypes and numbers of axes.
    pub fn same_kind(&self, other: &Self) -> bool {
        let fits = |(name, tensor): &(Arc<str>, Tensor)| {
            other.tensor(name).is_some_and(|given| {
                given.datatype() == tensor.datatype() && given.shape().len() == tensor.shape().len()
            })
        };
        self.0.len() == other.0.len() && self.0.iter().all(fits)
    }
}

impl IntoIterator for Tensors {
    type Item = (Arc<str>, Tensor);
    type IntoIter = std::vec::IntoIter<(Arc<str>, Tensor)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
