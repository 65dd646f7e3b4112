//! Tensors that lie apart and are one: joined only for whoever needs their bytes in a row.

use crate::{Datatype, Tensor, TensorError, ops};
use std::sync::OnceLock;

/// Tensors of one datatype and shape, together a tensor with one more axis in front.
///
/// What [`Tensor::stack`] makes of them, as far as anybody can see; but they are copied only
/// when [`whole`](Self::whole) is called, once.
#[derive(Debug)]
pub struct Stack {
    rows: Vec<Tensor>,
    shape: Vec<usize>,
    whole: OnceLock<Tensor>,
}

// === impl Stack ===

impl Stack {
    /// Refuses what [`Tensor::stack`] refuses.
    pub fn new(rows: Vec<Tensor>) -> Result<Self, TensorError> {
        let shape = ops::stacked_shape(&rows)?;
        Ok(Self {
            rows,
            shape,
            whole: OnceLock::new(),
        })
    }

    /// The type of the elements.
    pub fn datatype(&self) -> Datatype {
        let first = self.rows.first();
        first.map_or(Datatype::Bytes, Tensor::datatype)
    }

    /// How many tensors there are, then the shape of each.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The bytes of all tensors.
    pub fn byte_length(&self) -> usize {
        self.rows.iter().map(|row| row.data().len()).sum()
    }

    /// The tensors, at least one.
    pub fn rows(&self) -> &[Tensor] {
        &self.rows
    }

    /// One tensor of them all.
    pub fn whole(&self) -> &Tensor {
        self.whole
            .get_or_init(|| ops::joined(&self.rows, &self.shape))
    }

    /// The same without keeping them.
    pub fn into_whole(mut self) -> Tensor {
        let whole = self.whole.take();
        whole.unwrap_or_else(|| ops::joined(&self.rows, &self.shape))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_what_stacking_makes() {
        let rows = [[1.0f32, 2.0], [3.0, 4.0]].map(|row| Tensor::from_slice(vec![2], &row));
        let rows: Vec<Tensor> = rows.into_iter().collect::<Result<_, _>>().unwrap();
        let texts = ["a", "bc"].map(|text| Tensor::from_byte_strings(vec![1], [text]));
        let texts: Vec<Tensor> = texts.into_iter().collect::<Result<_, _>>().unwrap();
        for rows in [rows, texts] {
            let expected = Tensor::stack(&rows.iter().collect::<Vec<_>>()).unwrap();
            let stack = Stack::new(rows.clone()).unwrap();
            assert_eq!(stack.datatype(), expected.datatype());
            assert_eq!(stack.shape(), expected.shape());
            assert_eq!(stack.byte_length(), expected.data().len());
            assert_eq!(stack.rows(), rows);
            assert_eq!(stack.whole(), &expected);
            // The second time it is the same memory.
            assert_eq!(stack.whole().data().as_ptr(), stack.whole().data().as_ptr());
            assert_eq!(stack.into_whole(), expected);
            assert_eq!(Stack::new(rows).unwrap().into_whole(), expected);
        }
    }

    #[test]
    fn what_differs_is_no_stack() {
        let number = |shape: &[usize]| {
            let numbers = vec![0.5f32; shape.iter().product()];
            Tensor::from_slice(shape.to_vec(), &numbers).unwrap()
        };
        let text = Tensor::from_byte_strings(vec![1], ["a"]).unwrap();
        assert!(Stack::new(vec![]).is_err());
        assert!(Stack::new(vec![number(&[1]), number(&[2])]).is_err());
        assert!(Stack::new(vec![number(&[1]), text]).is_err());
    }
}
