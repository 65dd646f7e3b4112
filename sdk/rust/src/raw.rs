//! Bytes as they were read: a tensor's own, or the part of a column that belongs to one
//! example.

use std::ops::{Deref, Range};
use std::rc::Rc;

#[derive(Clone)]
pub(crate) enum Raw {
    /// Of one tensor.
    Own(Vec<u8>),
    /// A part of what several examples share.
    #[cfg_attr(
        not(target_family = "wasm"),
        expect(dead_code, reason = "native tensors come one by one")
    )]
    Part(Rc<Vec<u8>>, Range<usize>),
}

// === impl Raw ===

impl Raw {
    pub(crate) fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Own(bytes) => bytes,
            part => part.to_vec(),
        }
    }
}

impl Deref for Raw {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Part(bytes, range) => bytes.get(range.clone()).unwrap_or_default(),
        }
    }
}

impl From<Vec<u8>> for Raw {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Own(bytes)
    }
}

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Raw {}
