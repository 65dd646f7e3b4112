//! Shapes: of tensors that are there, and of tensors that are promised.

/// The length of one axis of a promised tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dim {
    /// Exactly this length.
    Is(usize),
    /// Any length.
    Any,
}

/// An axis of any length, for [`Signature`](crate::Signature) and
/// [`Description`](crate::Description).
pub const ANY: Dim = Dim::Any;

/// The axes of a promised tensor: made from `[3, 224]`, `[ANY]`, `[ANY, Dim::Is(3)]`, or
/// a `Vec` of either.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dims(pub Vec<Dim>);

impl From<usize> for Dim {
    fn from(length: usize) -> Self {
        Self::Is(length)
    }
}

impl<const N: usize> From<[usize; N]> for Dims {
    fn from(shape: [usize; N]) -> Self {
        Self(shape.map(Dim::Is).to_vec())
    }
}

impl<const N: usize> From<[Dim; N]> for Dims {
    fn from(dims: [Dim; N]) -> Self {
        Self(dims.to_vec())
    }
}

impl From<Vec<usize>> for Dims {
    fn from(shape: Vec<usize>) -> Self {
        Self(shape.into_iter().map(Dim::Is).collect())
    }
}

impl From<Vec<Dim>> for Dims {
    fn from(dims: Vec<Dim>) -> Self {
        Self(dims)
    }
}

/// `[2, 3]`.
pub(crate) fn shape_text(shape: &[usize]) -> String {
    format!("{shape:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dims_are_made_from_what_authors_write() {
        assert_eq!(Dims::from([2, 3]).0, [Dim::Is(2), Dim::Is(3)]);
        assert_eq!(Dims::from([ANY, 3.into()]).0, [Dim::Any, Dim::Is(3)]);
        assert_eq!(Dims::from(vec![4usize]), Dims::from(vec![Dim::Is(4)]));
        assert_eq!(Dims::from([0usize; 0]), Dims::default());
    }
}
