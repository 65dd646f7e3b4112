//! Tensors inside a component: handles to what the host owns.

use crate::bindings::tensors;
use crate::{Datatype, TensorError};
use std::cell::OnceCell;
use std::ops::Range;

pub(crate) struct Handle {
    tensor: tensors::Tensor,
    /// What the host need not be asked twice, and not at all where it was promised.
    datatype: OnceCell<Datatype>,
}

// === impl Handle ===

impl Handle {
    pub(crate) fn create(
        datatype: Datatype,
        shape: &[usize],
        data: &[u8],
    ) -> Result<Self, TensorError> {
        let tensor = tensors::Tensor::create(datatype.into(), &lengths(shape), data)?;
        Ok(Self::from_host(tensor, Some(datatype)))
    }

    pub(crate) fn datatype(&self) -> Datatype {
        *self.datatype.get_or_init(|| self.tensor.datatype().into())
    }

    pub(crate) fn shape(&self) -> Vec<usize> {
        self.tensor.shape().into_iter().map(saturated).collect()
    }

    pub(crate) fn byte_length(&self) -> usize {
        saturated(self.tensor.byte_length())
    }

    pub(crate) fn read(&self) -> Vec<u8> {
        self.tensor.read()
    }

    pub(crate) fn read_range(&self, range: Range<usize>) -> Result<Vec<u8>, TensorError> {
        let length = range.end.saturating_sub(range.start);
        Ok(self.tensor.read_range(range.start as u64, length as u64)?)
    }

    pub(crate) fn slice(&self, ranges: &[Range<usize>]) -> Result<Self, TensorError> {
        let ranges: Vec<_> = ranges
            .iter()
            .map(|range| tensors::AxisRange {
                start: range.start as u64,
                end: range.end as u64,
            })
            .collect();
        Ok(self.derived(self.tensor.slice(&ranges)?))
    }

    pub(crate) fn reshape(&self, shape: &[usize]) -> Result<Self, TensorError> {
        Ok(self.derived(self.tensor.reshape(&lengths(shape))?))
    }

    pub(crate) fn pad(&self, shape: &[usize], value: &[u8]) -> Result<Self, TensorError> {
        Ok(self.derived(self.tensor.pad(&lengths(shape), value)?))
    }

    pub(crate) fn stack(handles: &[&Self]) -> Result<Self, TensorError> {
        let handles: Vec<_> = handles.iter().map(|handle| &handle.tensor).collect();
        let tensor = tensors::Tensor::stack(&handles)?;
        Ok(Self::from_host(tensor, None))
    }

    pub(crate) fn concat(handles: &[&Self], axis: usize) -> Result<Self, TensorError> {
        let handles: Vec<_> = handles.iter().map(|handle| &handle.tensor).collect();
        let axis = u32::try_from(axis).unwrap_or(u32::MAX);
        let tensor = tensors::Tensor::concat(&handles, axis)?;
        Ok(Self::from_host(tensor, None))
    }

    /// A handle whose datatype is known where the host has promised it.
    pub(crate) fn from_host(tensor: tensors::Tensor, datatype: Option<Datatype>) -> Self {
        let datatype = datatype.map_or_else(OnceCell::new, OnceCell::from);
        Self { tensor, datatype }
    }

    pub(crate) fn into_host(self) -> tensors::Tensor {
        self.tensor
    }

    /// A tensor of the same datatype.
    fn derived(&self, tensor: tensors::Tensor) -> Self {
        Self {
            tensor,
            datatype: self.datatype.clone(),
        }
    }
}

fn lengths(shape: &[usize]) -> Vec<u64> {
    shape.iter().map(|length| *length as u64).collect()
}

/// Only a tensor without elements can have an axis that a guest cannot count.
fn saturated(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

impl From<tensors::TensorError> for TensorError {
    fn from(error: tensors::TensorError) -> Self {
        match error {
            tensors::TensorError::Invalid(message) => Self::Invalid(message),
            tensors::TensorError::OutOfRange(message) => Self::OutOfRange(message),
            tensors::TensorError::Limit(message) => Self::Limit(message),
        }
    }
}

macro_rules! datatypes {
    ($($name:ident),*) => {
        impl From<tensors::Datatype> for Datatype {
            fn from(datatype: tensors::Datatype) -> Self {
                match datatype {
                    $(tensors::Datatype::$name => Self::$name,)*
                }
            }
        }

        impl From<Datatype> for tensors::Datatype {
            fn from(datatype: Datatype) -> Self {
                match datatype {
                    $(Datatype::$name => Self::$name,)*
                }
            }
        }
    };
}

datatypes!(
    Bool, Uint8, Uint16, Uint32, Uint64, Int8, Int16, Int32, Int64, Fp16, Bf16, Fp32, Fp64, Bytes
);
