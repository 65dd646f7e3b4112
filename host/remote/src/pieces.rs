//! A request's body: shared slices of bytes, sent one after the other.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A slice below this size is copied into its neighbour: a copy of so little costs less than
/// one more write.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// Bytes in several slices. To clone it copies none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces {
    slices: VecDeque<Bytes>,
    byte_len: usize,
}

/// Puts slices together, small ones by copying and large ones as they are.
#[derive(Debug, Default)]
pub(crate) struct PiecesBuilder {
    pieces: Pieces,
    small: Vec<u8>,
}

// === impl Pieces ===

impl Pieces {
    /// All bytes together.
    pub(crate) fn byte_len(&self) -> usize {
        self.byte_len
    }

    /// A copy in one run.
    #[cfg(test)]
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.slices.iter().flatten().copied().collect()
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let slice = self.slices.pop_front();
        self.byte_len -= slice.as_ref().map_or(0, Bytes::len);
        Poll::Ready(slice.map(|slice| Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.slices.is_empty()
    }

    /// Exact, so that the request carries its length.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.byte_len as u64)
    }
}

// === impl PiecesBuilder ===

impl PiecesBuilder {
    /// Begins with bytes that belong to nobody else.
    pub(crate) fn new(small: Vec<u8>) -> Self {
        Self {
            pieces: Pieces::default(),
            small,
        }
    }

    /// The next bytes.
    pub(crate) fn push(&mut self, slice: &Bytes) {
        if slice.len() < COPIED_BYTES_MAX {
            self.small.extend_from_slice(slice);
            return;
        }
        self.flush();
        self.pieces.byte_len += slice.len();
        self.pieces.slices.push_back(slice.clone());
    }

    pub(crate) fn finish(mut self) -> Pieces {
        self.flush();
        self.pieces
    }

    fn flush(&mut self) {
        if !self.small.is_empty() {
            let small = Bytes::from(std::mem::take(&mut self.small));
            self.pieces.byte_len += small.len();
            self.pieces.slices.push_back(small);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_slices_are_joined_and_large_ones_shared() {
        let large = Bytes::from(vec![7; COPIED_BYTES_MAX]);
        let mut builder = PiecesBuilder::new(b"{}".to_vec());
        builder.push(&Bytes::from_static(b"ab"));
        builder.push(&large);
        builder.push(&Bytes::new());
        builder.push(&Bytes::from_static(b"c"));
        let pieces = builder.finish();
        let lengths: Vec<_> = pieces.slices.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [4, COPIED_BYTES_MAX, 1]);
        assert_eq!(pieces.byte_len(), COPIED_BYTES_MAX + 5);
        assert_eq!(pieces.slices[1].as_ptr(), large.as_ptr());
        assert_eq!(pieces.size_hint().exact(), Some(pieces.byte_len() as u64));
        assert!(PiecesBuilder::default().finish().is_end_stream());
    }
}
