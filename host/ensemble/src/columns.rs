//! The tensors of one call: a column for each one that somebody reads, with a place for
//! each example. What nobody needs any more is gone at once.

use crate::compile::Slot;
use crate::inflight::Share;
use consort_inference::Tensor;

/// All tensors of a call.
pub(crate) struct Columns<'a> {
    columns: Vec<Column>,
    examples: usize,
    share: Share<'a>,
}

/// One tensor of all examples.
struct Column {
    /// Empty before it is made and after it was read for the last time. Within it, what is
    /// not there is absent, of an example that has ended, or handed to its last reader.
    values: Vec<Option<Tensor>>,
    /// Who has yet to read it.
    to_read: usize,
    /// Who has yet to be done with it: until then its bytes count.
    to_finish: usize,
    /// Bytes that count.
    bytes: usize,
}

// === impl Columns ===

impl<'a> Columns<'a> {
    pub(crate) fn new(slots: &[Slot], examples: usize, share: Share<'a>) -> Self {
        let column = |slot: &Slot| Column {
            values: Vec::new(),
            to_read: slot.readers,
            to_finish: slot.readers,
            bytes: 0,
        };
        Self {
            columns: slots.iter().map(column).collect(),
            examples,
            share,
        }
    }

    /// How many examples were let in.
    pub(crate) fn let_in(&self) -> usize {
        self.share.examples()
    }

    /// Makes places for the tensors of all examples.
    pub(crate) fn open(&mut self, slot: usize) {
        if let Some(column) = self.columns.get_mut(slot) {
            column.values.resize_with(self.examples, || None);
        }
    }

    /// Puts a tensor at its place and counts its bytes; [`Columns::grow`] says whether there
    /// is room for them.
    pub(crate) fn put(&mut self, slot: usize, example: usize, tensor: Tensor) {
        if let Some(column) = self.columns.get_mut(slot)
            && let Some(place) = column.values.get_mut(example)
        {
            column.bytes += tensor.data().len();
            *place = Some(tensor);
        }
    }

    /// Takes back what was put while there was no room for it.
    pub(crate) fn take_back(&mut self, slot: usize, example: usize) {
        if let Some(column) = self.columns.get_mut(slot)
            && let Some(tensor) = column.values.get_mut(example).and_then(Option::take)
        {
            column.bytes -= tensor.data().len();
        }
    }

    /// Takes room for bytes that were put.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        self.share.grow(bytes)
    }

    /// A tensor without taking it.
    pub(crate) fn look(&self, slot: usize, example: usize) -> Option<&Tensor> {
        self.columns.get(slot)?.values.get(example)?.as_ref()
    }

    /// A tensor for a reader: the last one has it for itself.
    pub(crate) fn read(&mut self, slot: usize, example: usize) -> Option<Tensor> {
        let column = self.columns.get_mut(slot)?;
        let place = column.values.get_mut(example)?;
        match column.to_read {
            0 | 1 => place.take(),
            _ => place.clone(),
        }
    }

    /// Makes a tensor of another one, which the reader reads for it.
    pub(crate) fn keep_older(&mut self, slot: usize, older: usize, example: usize) {
        if self.look(slot, example).is_some() {
            return;
        }
        let Some(tensor) = self.read(older, example) else {
            return;
        };
        // The bytes move with it; where others read it too they count once.
        let bytes = tensor.data().len();
        if self.look(older, example).is_none() {
            if let Some(column) = self.columns.get_mut(older) {
                column.bytes = column.bytes.saturating_sub(bytes);
            }
            self.put(slot, example, tensor);
        } else if let Some(column) = self.columns.get_mut(slot)
            && let Some(place) = column.values.get_mut(example)
        {
            *place = Some(tensor);
        }
    }

    /// A reader has read a column.
    pub(crate) fn was_read(&mut self, slot: usize) {
        if let Some(column) = self.columns.get_mut(slot) {
            column.to_read = column.to_read.saturating_sub(1);
            if column.to_read == 0 {
                column.values = Vec::new();
            }
        }
    }

    /// A reader is done with a column.
    pub(crate) fn was_used(&mut self, slot: usize) {
        if let Some(column) = self.columns.get_mut(slot) {
            column.to_finish = column.to_finish.saturating_sub(1);
            if column.to_finish == 0 {
                self.share.shrink(std::mem::take(&mut column.bytes));
            }
        }
    }

    /// Lets go of all tensors of an example that has ended.
    pub(crate) fn end(&mut self, example: usize) {
        for column in &mut self.columns {
            let place = column.values.get_mut(example);
            if let Some(tensor) = place.and_then(Option::take) {
                let bytes = tensor.data().len().min(column.bytes);
                column.bytes -= bytes;
                self.share.shrink(bytes);
            }
        }
    }
}
