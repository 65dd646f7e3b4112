//! What a model runs at once: rows of one layout.

use crate::{Datatype, InferenceArgs, TenantId, Tensor, TensorError, Tensors};
use std::sync::Arc;
use std::time::Instant;

/// Names, datatypes and shapes of an example's tensors, in order of name. Examples can
/// share a batch if and only if their layouts are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Layout(Vec<(Arc<str>, Datatype, Vec<usize>)>);

/// The rows a model handler predicts on together; never empty, and all of one [`Layout`]
/// unless the handler asked for ragged ones.
#[derive(Debug, Clone)]
pub struct Batch {
    rows: Vec<Tensors>,
    args: InferenceArgs,
    tenant: Option<TenantId>,
    deadline: Option<Instant>,
}

/// Rows that make no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// There are no rows.
    #[error("a batch needs at least one example")]
    Empty,
    /// A row differs from the first.
    #[error("example {index} of the batch has other tensors than the first")]
    Layout {
        /// Which row.
        index: usize,
    },
}

// === impl Layout ===

impl Layout {
    pub(crate) fn of(tensors: &Tensors) -> Self {
        let entry = |(name, tensor): (&Arc<str>, &Tensor)| {
            (name.clone(), tensor.datatype(), tensor.shape().to_vec())
        };
        let mut entries: Vec<_> = tensors.iter().map(entry).collect();
        entries.sort();
        Self(entries)
    }
}

// === impl Batch ===

impl Batch {
    /// Puts rows of one layout together.
    pub fn new(rows: Vec<Tensors>) -> Result<Self, BatchError> {
        let first = rows.first().ok_or(BatchError::Empty)?;
        match rows.iter().position(|row| !row.same_layout(first)) {
            None => Ok(Self::of(rows)),
            Some(index) => Err(BatchError::Layout { index }),
        }
    }

    /// Puts rows together whose tensors are of the same names, datatypes and numbers of
    /// axes, whatever the lengths of these.
    pub fn ragged(rows: Vec<Tensors>) -> Result<Self, BatchError> {
        let first = rows.first().ok_or(BatchError::Empty)?;
        match rows.iter().position(|row| !row.same_kind(first)) {
            None => Ok(Self::of(rows)),
            Some(index) => Err(BatchError::Layout { index }),
        }
    }

    fn of(rows: Vec<Tensors>) -> Self {
        Self {
            rows,
            args: InferenceArgs::new(),
            tenant: None,
            deadline: None,
        }
    }

    /// With what the callers of all its examples said.
    #[must_use]
    pub fn with_args(mut self, args: InferenceArgs) -> Self {
        self.args = args;
        self
    }

    /// With the one tenant that all its examples belong to.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// With the instant at which nobody waits for any of its examples any more.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// What the callers of all its examples said.
    pub fn args(&self) -> &InferenceArgs {
        &self.args
    }

    /// The tenant of all its examples, where the handler asked for batches of one tenant.
    pub fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    /// When nobody waits for any of its examples any more; `None` when somebody waits for
    /// as long as it takes.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The number of examples, at least one.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Each example's tensors.
    pub fn rows(&self) -> &[Tensors] {
        &self.rows
    }

    /// Bytes of all tensors of all examples.
    pub fn byte_len(&self) -> usize {
        self.rows.iter().map(Tensors::byte_len).sum()
    }

    /// One input of all examples, stacked along a new first axis: shape `[len, ...]`.
    /// `None` when the examples hold no tensor of that name.
    pub fn stacked(&self, name: &str) -> Option<Result<Tensor, TensorError>> {
        let column: Option<Vec<&Tensor>> = self.rows.iter().map(|row| row.tensor(name)).collect();
        column.map(|tensors| Tensor::stack(&tensors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f32]) -> Tensors {
        let tensor = Tensor::from_slice(vec![values.len()], values).unwrap();
        Tensors::from_named([("x".into(), tensor)]).unwrap()
    }

    #[test]
    fn rows_of_one_layout_stack() {
        let batch = Batch::new(vec![row(&[1.0, 2.0]), row(&[3.0, 4.0])]).unwrap();
        let stacked = batch.stacked("x").unwrap().unwrap();
        assert_eq!(stacked.shape(), [2, 2]);
        assert_eq!(stacked.to_vec::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert!(batch.stacked("y").is_none());
        assert_eq!(batch.byte_len(), 16);
    }

    #[test]
    fn rows_of_one_layout_may_name_their_tensors_in_any_order() {
        let tensor = |value: f32| Tensor::from_slice(vec![1], &[value]).unwrap();
        let one = Tensors::from_named([("x".into(), tensor(1.0)), ("y".into(), tensor(2.0))]);
        let two = Tensors::from_named([("y".into(), tensor(3.0)), ("x".into(), tensor(4.0))]);
        let batch = Batch::new(vec![one.unwrap(), two.unwrap()]).unwrap();
        let stacked = batch.stacked("x").unwrap().unwrap();
        assert_eq!(stacked.to_vec::<f32>().unwrap(), [1.0, 4.0]);
    }

    #[test]
    fn other_names_of_as_many_tensors_are_refused() {
        let named = |name: &str| {
            let tensor = Tensor::from_slice(vec![1], &[1f32]).unwrap();
            Tensors::from_named([(name.into(), tensor)]).unwrap()
        };
        let error = Batch::new(vec![named("x"), named("y")]).unwrap_err();
        assert_eq!(error, BatchError::Layout { index: 1 });
    }

    #[test]
    fn ragged_rows_differ_in_lengths_only() {
        let batch = Batch::ragged(vec![row(&[1.0]), row(&[1.0, 2.0])]).unwrap();
        assert_eq!(batch.len(), 2);
        let square = Tensor::from_slice(vec![1, 1], &[1f32]).unwrap();
        let square = Tensors::from_named([("x".into(), square)]).unwrap();
        let error = Batch::ragged(vec![row(&[1.0]), square]).unwrap_err();
        assert_eq!(error, BatchError::Layout { index: 1 });
    }

    #[test]
    fn other_layouts_are_refused() {
        assert_eq!(Batch::new(vec![]).unwrap_err(), BatchError::Empty);
        let rows = vec![row(&[1.0]), row(&[1.0, 2.0])];
        assert_eq!(
            Batch::new(rows).unwrap_err(),
            BatchError::Layout { index: 1 }
        );
    }
}
