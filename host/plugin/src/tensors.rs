//! The tensors one store's guest holds handles to, and the limits on making more. Sizes
//! are checked before a byte is allocated.

use crate::limits::{Limit, Limits};
use crate::wire::{WireEnd, WireEnds};
use bytes::Bytes;
use consort_inference::{Datatype, Stack, Tensor, TensorError};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Host tensors by handle. Cloning a tensor into it copies no bytes.
#[derive(Debug)]
pub(crate) struct TensorTable {
    slots: Vec<Slot>,
    free: Option<u32>,
    /// Tensors the guest made and has not dropped.
    made: usize,
    /// Bytes of all tensors that are made for the guest in this call.
    bytes: ByteBudget,
    tensors_max: usize,
    tensor_axes_max: usize,
}

/// What tensors made in one call may come to. Shared with the calls to models that run
/// beside the guest.
#[derive(Debug, Clone)]
pub(crate) struct ByteBudget {
    made: Arc<AtomicUsize>,
    max: usize,
}

#[derive(Debug)]
enum Slot {
    Free { next: Option<u32> },
    Taken { held: Held, made: bool },
}

/// What a handle stands for.
#[derive(Debug)]
pub(crate) enum Held {
    /// A tensor.
    One(Tensor),
    /// One that is made when its bytes are needed in a row.
    Stack(Stack),
}

/// Why a tensor operation is refused: the contract's `tensor-error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    Invalid(String),
    OutOfRange(String),
    Limit(Limit, String),
}

// === impl TensorTable ===

impl TensorTable {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            slots: Vec::new(),
            free: None,
            made: 0,
            bytes: ByteBudget {
                made: Arc::default(),
                max: limits.output_bytes_max,
            },
            tensors_max: limits.tensors_max,
            tensor_axes_max: limits.tensor_axes_max,
        }
    }

    pub(crate) fn begin_call(&mut self) {
        // What still runs for an earlier call counts there.
        self.bytes.made = Arc::default();
    }

    /// What all tensors of this call may come to.
    pub(crate) fn bytes(&self) -> &ByteBudget {
        &self.bytes
    }

    /// How many tensors are alive.
    pub(crate) fn len(&self) -> usize {
        self.slots
            .iter()
            .filter(|slot| matches!(slot, Slot::Taken { .. }))
            .count()
    }

    /// Hands a tensor of the host to the guest. What it was cut out of is not the guest's doing.
    pub(crate) fn lend(&mut self, held: impl Into<Held>) -> u32 {
        let held = match held.into() {
            Held::One(tensor) => Held::One(tensor.as_whole()),
            stack @ Held::Stack(_) => stack,
        };
        self.insert(Slot::Taken { held, made: false })
    }

    /// Adds a tensor that the guest made.
    pub(crate) fn add(&mut self, tensor: Tensor) -> u32 {
        self.made += 1;
        let held = tensor.into();
        self.insert(Slot::Taken { held, made: true })
    }

    /// A tensor, made now if nobody has needed it yet.
    pub(crate) fn tensor(&self, handle: u32) -> Option<&Tensor> {
        self.held(handle).map(Held::tensor)
    }

    /// What is behind a handle, as it lies.
    pub(crate) fn held(&self, handle: u32) -> Option<&Held> {
        match self.slots.get(handle as usize)? {
            Slot::Taken { held, .. } => Some(held),
            Slot::Free { .. } => None,
        }
    }

    /// Takes a tensor back from the guest.
    pub(crate) fn take(&mut self, handle: u32) -> Option<Tensor> {
        self.remove(handle).map(Held::into_tensor)
    }

    /// Forgets what nobody needs any more.
    pub(crate) fn discard(&mut self, handle: u32) {
        self.remove(handle);
    }

    fn remove(&mut self, handle: u32) -> Option<Held> {
        let slot = self.slots.get_mut(handle as usize)?;
        if matches!(slot, Slot::Free { .. }) {
            return None;
        }
        let free = Slot::Free { next: self.free };
        match std::mem::replace(slot, free) {
            Slot::Taken { held, made } => {
                self.free = Some(handle);
                self.made -= usize::from(made);
                Some(held)
            }
            Slot::Free { .. } => None,
        }
    }

    fn insert(&mut self, slot: Slot) -> u32 {
        if let Some(handle) = self.free
            && let Some(place) = self.slots.get_mut(handle as usize)
            && let Slot::Free { next } = *place
        {
            self.free = next;
            *place = slot;
            return handle;
        }
        self.slots.push(slot);
        // Handles are limited far below this by `tensors_max` and the number of inputs.
        (self.slots.len() - 1) as u32
    }

    /// Refuses one more tensor past the limit, or one of too many axes.
    pub(crate) fn check_new(&self, axes: usize) -> Result<(), Refusal> {
        if self.made >= self.tensors_max {
            return Err(Refusal::limit(
                Limit::Tensors,
                format!(
                    "{} tensors are alive, {} is the limit; drop those no longer needed",
                    self.made, self.tensors_max
                ),
            ));
        }
        if axes > self.tensor_axes_max {
            return Err(Refusal::limit(
                Limit::TensorAxes,
                format!("{axes} axes are more than {}", self.tensor_axes_max),
            ));
        }
        Ok(())
    }

    /// Counts bytes about to be made, or refuses them. `None` stands for more bytes than
    /// a number can say.
    pub(crate) fn charge(&mut self, bytes: Option<usize>) -> Result<(), Refusal> {
        self.bytes.charge(bytes)
    }
}

// === impl Held ===

impl Held {
    pub(crate) fn datatype(&self) -> Datatype {
        match self {
            Self::One(tensor) => tensor.datatype(),
            Self::Stack(stack) => stack.datatype(),
        }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        match self {
            Self::One(tensor) => tensor.shape(),
            Self::Stack(stack) => stack.shape(),
        }
    }

    pub(crate) fn byte_length(&self) -> usize {
        match self {
            Self::One(tensor) => tensor.data().len(),
            Self::Stack(stack) => stack.byte_length(),
        }
    }

    /// All bytes in order, in one part or one for each place of the first axis.
    pub(crate) fn parts(&self) -> Vec<Bytes> {
        match self {
            Self::One(tensor) => vec![tensor.data().clone()],
            Self::Stack(stack) => stack.rows().iter().map(|row| row.data().clone()).collect(),
        }
    }

    /// One end of each element, so many bytes at most, if all of that is no more than
    /// `bytes_max`.
    pub(crate) fn ends(
        &self,
        end: WireEnd,
        most: usize,
        bytes_max: usize,
    ) -> Result<WireEnds, Refusal> {
        let tensors = match self {
            Self::One(tensor) => std::slice::from_ref(tensor),
            Self::Stack(stack) => stack.rows(),
        };
        let (mut count, mut bytes) = (0usize, 0usize);
        for tensor in tensors {
            tensor.each_byte_string(|place| {
                count += 1;
                bytes += place.len().min(most);
            })?;
        }
        // Both are far below what memory can hold: the elements are in it.
        let all = count * size_of::<u32>() + bytes;
        if all > bytes_max {
            return Err(Refusal::limit(
                Limit::MemoryBytes,
                format!("{all} bytes of ends are more than {bytes_max}"),
            ));
        }
        let mut ends = WireEnds {
            lengths: Vec::with_capacity(count),
            data: Vec::with_capacity(bytes),
        };
        for tensor in tensors {
            tensor.each_byte_string(|place| {
                // An element is not longer than a u32 can say.
                ends.lengths.push(place.len() as u32);
                let size = place.len().min(most);
                let part = match end {
                    WireEnd::Head => place.start..place.start + size,
                    WireEnd::Tail => place.end - size..place.end,
                };
                let part = tensor.data().get(part).unwrap_or_default();
                ends.data.extend_from_slice(part);
            })?;
        }
        Ok(ends)
    }

    fn tensor(&self) -> &Tensor {
        match self {
            Self::One(tensor) => tensor,
            Self::Stack(stack) => stack.whole(),
        }
    }

    fn into_tensor(self) -> Tensor {
        match self {
            Self::One(tensor) => tensor,
            Self::Stack(stack) => stack.into_whole(),
        }
    }
}

impl From<Tensor> for Held {
    fn from(tensor: Tensor) -> Self {
        Self::One(tensor)
    }
}

impl From<Stack> for Held {
    fn from(stack: Stack) -> Self {
        Self::Stack(stack)
    }
}

// === impl ByteBudget ===

impl ByteBudget {
    /// As [`TensorTable::charge`].
    pub(crate) fn charge(&self, bytes: Option<usize>) -> Result<(), Refusal> {
        let (order, max) = (Ordering::Relaxed, self.max);
        let add = |made: usize| made.checked_add(bytes?).filter(|total| *total <= max);
        let Err(made) = self.made.fetch_update(order, order, add) else {
            return Ok(());
        };
        Err(Refusal::limit(
            Limit::OutputBytes,
            format!(
                "{} bytes more than the {made} of this call are over {max}",
                bytes.map_or("countless".to_owned(), |bytes| bytes.to_string()),
            ),
        ))
    }
}

/// Bytes that cutting `ranges` out of `tensor` copies at once: none for a run of rows.
pub(crate) fn sliced_bytes(tensor: &Tensor, ranges: &[Range<usize>]) -> Option<usize> {
    let whole = |(range, length): (&Range<usize>, &usize)| range.len() == *length;
    if ranges.iter().zip(tensor.shape()).skip(1).all(whole) {
        return Some(0);
    }
    match tensor.datatype().size_bytes() {
        None => Some(tensor.data().len()),
        Some(size) => ranges
            .iter()
            .try_fold(size, |bytes, range| bytes.checked_mul(range.len())),
    }
}

/// Bytes of `tensor` padded to `shape` with elements of `value_bytes`.
pub(crate) fn padded_bytes(tensor: &Tensor, shape: &[usize], value_bytes: usize) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    let count = shape
        .iter()
        .try_fold(1usize, |count, length| count.checked_mul(*length))?;
    match tensor.datatype().size_bytes() {
        Some(size) => count.checked_mul(size),
        None => count
            .saturating_sub(tensor.element_count())
            .checked_mul(value_bytes)?
            .checked_add(tensor.data().len()),
    }
}

/// Bytes of `tensor` in a wider datatype; staying as it is copies nothing.
pub(crate) fn widened_bytes(tensor: &Tensor, to: Datatype) -> Option<usize> {
    // What is refused makes nothing.
    if to == tensor.datatype() || !tensor.can_widen(to) {
        return Some(0);
    }
    tensor
        .element_count()
        .checked_mul(to.size_bytes().unwrap_or_default())
}

/// Bytes of tensors joined; joining one copies nothing.
pub(crate) fn joined_bytes(tensors: &[&Tensor]) -> Option<usize> {
    if tensors.len() == 1 {
        return Some(0);
    }
    tensors.iter().try_fold(0usize, |bytes, tensor| {
        bytes.checked_add(tensor.data().len())
    })
}

/// A length or index from a guest. What is no `usize` here lies outside every tensor.
pub(crate) fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

// === impl Refusal ===

impl Refusal {
    fn limit(limit: Limit, detail: String) -> Self {
        Self::Limit(limit, format!("{limit}: {detail}"))
    }
}

impl From<TensorError> for Refusal {
    fn from(error: TensorError) -> Self {
        match error {
            TensorError::OutOfRange(message) => Self::OutOfRange(message),
            other => Self::Invalid(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(tensors_max: usize, output_bytes_max: usize) -> TensorTable {
        TensorTable::new(&Limits {
            tensors_max,
            output_bytes_max,
            tensor_axes_max: 3,
            ..Limits::default()
        })
    }

    fn numbers(shape: &[usize]) -> Tensor {
        let values = vec![1.0f32; shape.iter().product()];
        Tensor::from_slice(shape.to_vec(), &values).unwrap()
    }

    #[test]
    fn handles_are_reused_and_never_dangle() {
        let mut table = table(2, 1000);
        let a = table.lend(numbers(&[1]));
        let b = table.add(numbers(&[2]));
        assert_ne!(a, b);
        assert_eq!(table.take(a).unwrap().shape(), [1]);
        assert!(table.take(a).is_none() && table.tensor(a).is_none());
        assert!(table.take(99).is_none());
        assert_eq!(table.add(numbers(&[3])), a);
        assert_eq!(table.len(), 2);
        let refused = table.check_new(1).unwrap_err();
        assert!(
            matches!(refused, Refusal::Limit(Limit::Tensors, _)),
            "{refused:?}"
        );
        table.take(b);
        assert!(table.check_new(1).is_ok());
        assert!(matches!(
            table.check_new(4),
            Err(Refusal::Limit(Limit::TensorAxes, _))
        ));
    }

    #[test]
    fn bytes_count_over_the_whole_call() {
        let mut table = table(10, 100);
        table.charge(Some(60)).unwrap();
        assert!(table.charge(Some(41)).is_err());
        table.charge(Some(40)).unwrap();
        assert!(table.charge(Some(1)).is_err());
        assert!(table.charge(None).is_err());
        table.begin_call();
        table.charge(Some(100)).unwrap();
    }

    #[test]
    fn ends_are_bounded_and_of_byte_strings_only() {
        let texts = ["abcdef", "", "xy"].map(|text| Tensor::from_byte_strings(vec![1], [text]));
        let texts = texts.map(Result::unwrap);
        let whole = Tensor::stack(&texts.iter().collect::<Vec<_>>()).unwrap();
        let stack = Stack::new(texts.to_vec()).unwrap();
        for held in [Held::from(whole), Held::from(stack)] {
            let read = |end, most, max| held.ends(end, most, max);
            let head = read(WireEnd::Head, 4, 12 + 6).unwrap();
            assert_eq!(
                (&head.data[..], &head.lengths[..]),
                (&b"abcdxy"[..], &[6, 0, 2][..])
            );
            let tail = read(WireEnd::Tail, 4, 12 + 6).unwrap();
            assert_eq!(
                (&tail.data[..], &tail.lengths[..]),
                (&b"cdefxy"[..], &[6, 0, 2][..])
            );
            let refused = read(WireEnd::Tail, 4, 12 + 5).unwrap_err();
            assert!(
                matches!(refused, Refusal::Limit(Limit::MemoryBytes, _)),
                "{refused:?}"
            );
        }
        let refused = Held::from(numbers(&[2])).ends(WireEnd::Head, 1, 100);
        let Err(Refusal::Invalid(message)) = refused else {
            panic!("{refused:?}");
        };
        assert!(message.contains("FP32"), "{message}");
    }

    #[test]
    fn what_cannot_be_widened_is_not_counted() {
        let tensor = numbers(&[4]);
        assert_eq!(widened_bytes(&tensor, Datatype::Fp64), Some(32));
        assert_eq!(widened_bytes(&tensor, Datatype::Fp32), Some(0));
        assert_eq!(widened_bytes(&tensor, Datatype::Int32), Some(0));
    }

    #[test]
    fn sizes_are_known_before_the_work() {
        let tensor = numbers(&[4, 3]);
        assert_eq!(sliced_bytes(&tensor, &[1..3, 0..3]), Some(0));
        assert_eq!(sliced_bytes(&tensor, &[1..3, 0..2]), Some(16));
        assert_eq!(padded_bytes(&tensor, &[4, 5], 4), Some(80));
        assert_eq!(padded_bytes(&tensor, &[usize::MAX, 5], 4), None);
        assert_eq!(padded_bytes(&tensor, &[usize::MAX, 0], 4), Some(0));
        assert_eq!(joined_bytes(&[&tensor, &tensor]), Some(96));
        let text = Tensor::from_byte_strings(vec![2], ["a", "bc"]).unwrap();
        assert_eq!(padded_bytes(&text, &[4], 5), Some(11 + 10));
    }
}
