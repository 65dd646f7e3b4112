//! A tensor's elements into JSON text.

use super::{DEPTH_MAX, NonText};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use consort_inference::{Datatype, Element, Tensor, TensorError};
use serde::Serialize;

/// The most arrays that a tensor without elements is written as.
const EMPTY_ARRAYS_MAX: usize = 1 << 16;

/// A tensor that JSON cannot carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError {
    /// A datatype without a form.
    #[error("{0} has no form in JSON")]
    Datatype(Datatype),
    /// NaN or an infinity.
    #[error("element {0} is not a finite number, and JSON has no form for it")]
    NotFinite(usize),
    /// Bytes that are no text.
    #[error("element {0} is no UTF-8 text, and JSON has no form for it")]
    NotText(usize),
    /// Too many axes, or too many empty arrays.
    #[error("shape {0:?} cannot be written as nested arrays")]
    Shape(Vec<usize>),
    /// Not a tensor at all; a defect, since tensors are checked when they are made.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// Where brackets and commas stand around the elements of a shape.
struct Brackets {
    /// For each axis, how many elements one array of it holds, all those inside included.
    array_lengths: Vec<usize>,
    index: usize,
}

/// Appends a tensor's elements as arrays nested like `shape`, which has as many elements; a
/// shape without axes is the element alone.
pub(crate) fn write_nest(
    tensor: &Tensor,
    shape: &[usize],
    non_text: NonText,
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    if shape.len() > DEPTH_MAX {
        return Err(WriteError::Shape(shape.to_vec()));
    }
    if let datatype @ (Datatype::Fp16 | Datatype::Bf16) = tensor.datatype() {
        return Err(WriteError::Datatype(datatype));
    }
    if shape.contains(&0) {
        return write_empty(shape, out);
    }
    let mut brackets = Brackets::of(shape);
    match tensor.datatype() {
        Datatype::Bool => numbers::<bool>(tensor, &mut brackets, out, |_| true),
        Datatype::Uint8 => numbers::<u8>(tensor, &mut brackets, out, |_| true),
        Datatype::Uint16 => numbers::<u16>(tensor, &mut brackets, out, |_| true),
        Datatype::Uint32 => numbers::<u32>(tensor, &mut brackets, out, |_| true),
        Datatype::Uint64 => numbers::<u64>(tensor, &mut brackets, out, |_| true),
        Datatype::Int8 => numbers::<i8>(tensor, &mut brackets, out, |_| true),
        Datatype::Int16 => numbers::<i16>(tensor, &mut brackets, out, |_| true),
        Datatype::Int32 => numbers::<i32>(tensor, &mut brackets, out, |_| true),
        Datatype::Int64 => numbers::<i64>(tensor, &mut brackets, out, |_| true),
        Datatype::Fp32 => numbers::<f32>(tensor, &mut brackets, out, f32::is_finite),
        Datatype::Fp64 => numbers::<f64>(tensor, &mut brackets, out, f64::is_finite),
        Datatype::Bytes => texts(tensor, &mut brackets, out, non_text),
        datatype @ (Datatype::Fp16 | Datatype::Bf16) => Err(WriteError::Datatype(datatype)),
    }
}

/// Appends one number, text or list of numbers. Only the writer can fail, and a `Vec` does not.
pub(crate) fn write_value<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}

fn numbers<T: Element + Serialize>(
    tensor: &Tensor,
    brackets: &mut Brackets,
    out: &mut Vec<u8>,
    has_form: impl Fn(T) -> bool,
) -> Result<(), WriteError> {
    let chunks = tensor.data().chunks_exact(size_of::<T>().max(1));
    for (index, value) in chunks.filter_map(T::read_le).enumerate() {
        if !has_form(value) {
            return Err(WriteError::NotFinite(index));
        }
        brackets.open(out);
        write_value(&value, out);
        brackets.close(out);
    }
    Ok(())
}

fn texts(
    tensor: &Tensor,
    brackets: &mut Brackets,
    out: &mut Vec<u8>,
    non_text: NonText,
) -> Result<(), WriteError> {
    for (index, element) in tensor.byte_strings()?.iter().enumerate() {
        brackets.open(out);
        match (std::str::from_utf8(element), non_text) {
            (Ok(text), _) => write_value(text, out),
            (Err(_), NonText::Refused) => return Err(WriteError::NotText(index)),
            (Err(_), NonText::Base64) => {
                out.extend_from_slice(b"{\"b64\":");
                write_value(&STANDARD.encode(element), out);
                out.push(b'}');
            }
        }
        brackets.close(out);
    }
    Ok(())
}

/// Arrays around nothing.
fn write_empty(shape: &[usize], out: &mut Vec<u8>) -> Result<(), WriteError> {
    let mut outer = shape.iter().take_while(|length| **length > 0);
    let arrays = outer.try_fold(1usize, |count, length| count.checked_mul(*length));
    if arrays.is_none_or(|arrays| arrays > EMPTY_ARRAYS_MAX) {
        return Err(WriteError::Shape(shape.to_vec()));
    }
    empty_arrays(shape, out);
    Ok(())
}

/// As deep as the shape has axes, which its caller limited.
fn empty_arrays(shape: &[usize], out: &mut Vec<u8>) {
    let Some((&length, rest)) = shape.split_first() else {
        return;
    };
    out.push(b'[');
    for index in 0..length {
        if index > 0 {
            out.push(b',');
        }
        empty_arrays(rest, out);
    }
    out.push(b']');
}

// === impl Brackets ===

impl Brackets {
    /// For a shape with at least one element.
    fn of(shape: &[usize]) -> Self {
        let mut length = 1usize;
        let inside_out = shape.iter().rev().map(|axis| {
            length = length.saturating_mul(*axis);
            length
        });
        let mut array_lengths: Vec<usize> = inside_out.collect();
        array_lengths.reverse();
        Self {
            array_lengths,
            index: 0,
        }
    }

    /// Before an element.
    fn open(&self, out: &mut Vec<u8>) {
        if self.index > 0 {
            out.push(b',');
        }
        self.boundaries(self.index).for_each(|()| out.push(b'['));
    }

    /// Behind an element.
    fn close(&mut self, out: &mut Vec<u8>) {
        self.index += 1;
        self.boundaries(self.index).for_each(|()| out.push(b']'));
    }

    /// One for each axis of which an array begins or ends at an element.
    fn boundaries(&self, index: usize) -> impl Iterator<Item = ()> {
        let lengths = self.array_lengths.iter();
        lengths
            .filter(move |length| index.is_multiple_of(**length))
            .map(|_| ())
    }
}
