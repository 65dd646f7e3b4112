//! Tensors inside a component: handles to what the host owns, and small tensors of a call
//! that came as columns, which the host need not see one by one.

use crate::bindings::tensors;
use crate::content::{self, Bytes};
use crate::elements::{self, End, Ends};
use crate::raw::Raw;
use crate::widen;
use crate::{Datatype, TensorError};
use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;
use std::rc::Rc;

pub(crate) struct Handle {
    place: Place,
    /// The host's own, once it is needed.
    tensor: OnceCell<tensors::Tensor>,
}

enum Place {
    /// With the host.
    Host {
        /// What the host need not be asked twice, and not at all where it was promised.
        datatype: OnceCell<Datatype>,
    },
    /// In the plugin's memory, until the host must see it.
    Made {
        datatype: Datatype,
        shape: Vec<usize>,
        data: Box<dyn Bytes>,
    },
    /// One example's part of a column.
    Row { column: Rc<Column>, row: usize },
}

/// One input of several examples.
pub(crate) struct Column {
    tensor: tensors::Tensor,
    datatype: Datatype,
    /// Of one example.
    shape: Vec<usize>,
    content: OnceCell<Content>,
    ends: RefCell<Vec<Rc<ColumnEnds>>>,
}

/// One end of each element of a column.
struct ColumnEnds {
    end: End,
    most: usize,
    lengths: Vec<u32>,
    /// Where each end begins, and where the last one stops.
    places: Vec<usize>,
    data: Rc<Vec<u8>>,
}

/// A column's bytes, read once.
enum Content {
    /// So many of each example, in a row.
    Even(Rc<Vec<u8>>, usize),
    /// Of each example up to there, from where the one before ends.
    Ends(Rc<Vec<u8>>, Vec<usize>),
    /// Those of each example by themselves.
    Apart(Vec<Rc<Vec<u8>>>),
}

/// Larger tensors go to the host as they are made: it takes them anyway, and the plugin's
/// memory is better used.
const MADE_BYTES_MAX: usize = 64 << 10;
/// Kinds of ends of one column that are kept.
const ENDS_KEPT: usize = 4;
/// What is larger is widened by the host, to at most eight times as many bytes.
const WIDENED_HERE_MAX: usize = MADE_BYTES_MAX / 8;

std::thread_local! {
    static IN_COLUMNS: Cell<bool> = const { Cell::new(false) };
}

/// Runs the work of a call that came as columns.
pub(crate) fn in_columns<T>(work: impl FnOnce() -> T) -> T {
    IN_COLUMNS.set(true);
    let result = work();
    IN_COLUMNS.set(false);
    result
}

// === impl Handle ===

impl Handle {
    pub(crate) fn create(
        datatype: Datatype,
        shape: &[usize],
        data: &[u8],
    ) -> Result<Self, TensorError> {
        if IN_COLUMNS.get() && data.len() <= MADE_BYTES_MAX {
            content::check(datatype, shape, data)?;
            return Ok(Self::made_of(datatype, shape, Box::new(data.to_vec())));
        }
        let tensor = tensors::Tensor::create(datatype.into(), &lengths(shape), data)?;
        Ok(Self::from_host(tensor, Some(datatype)))
    }

    /// As [`create`](Self::create), without a copy where the data can stay with the plugin.
    pub(crate) fn create_of(
        datatype: Datatype,
        shape: &[usize],
        data: Box<dyn Bytes>,
    ) -> Result<Self, TensorError> {
        if IN_COLUMNS.get() && data.bytes().len() <= MADE_BYTES_MAX {
            content::check(datatype, shape, data.bytes())?;
            return Ok(Self::made_of(datatype, shape, data));
        }
        Self::create(datatype, shape, data.bytes())
    }

    fn made_of(datatype: Datatype, shape: &[usize], data: Box<dyn Bytes>) -> Self {
        let shape = shape.to_vec();
        Self::at(Place::Made {
            datatype,
            shape,
            data,
        })
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            tensor: OnceCell::new(),
        }
    }

    pub(crate) fn datatype(&self) -> Datatype {
        match &self.place {
            Place::Made { datatype, .. } => *datatype,
            Place::Row { column, .. } => column.datatype,
            Place::Host { datatype } => *datatype.get_or_init(|| match self.tensor.get() {
                Some(tensor) => tensor.datatype().into(),
                None => unseen(),
            }),
        }
    }

    pub(crate) fn shape(&self) -> Vec<usize> {
        match &self.place {
            Place::Made { shape, .. } => shape.clone(),
            Place::Row { column, .. } => column.shape.clone(),
            Place::Host { .. } => {
                let shape = self.on_host().shape();
                shape.into_iter().map(saturated).collect()
            }
        }
    }

    pub(crate) fn byte_length(&self) -> usize {
        match &self.place {
            Place::Made { data, .. } => data.bytes().len(),
            Place::Row { column, row } => column.row_bytes(*row).len(),
            Place::Host { .. } => saturated(self.on_host().byte_length()),
        }
    }

    pub(crate) fn read(&self) -> Raw {
        match &self.place {
            Place::Made { data, .. } => data.bytes().to_vec().into(),
            Place::Row { column, row } => column.part(*row, 0..usize::MAX),
            Place::Host { .. } => self.on_host().read().into(),
        }
    }

    /// As [`read`](Self::read), in as many parts as cost the host the least.
    pub(crate) fn read_parts(&self) -> Vec<Raw> {
        match &self.place {
            Place::Made { .. } | Place::Row { .. } => vec![self.read()],
            Place::Host { .. } => {
                let parts = self.on_host().read_parts();
                parts.into_iter().map(Raw::from).collect()
            }
        }
    }

    /// One end of each element.
    pub(crate) fn read_ends(&self, end: End, most: usize) -> Result<Ends, TensorError> {
        if matches!(self.place, Place::Host { .. }) {
            let tensors::Ends { lengths, data } = read_ends(self.on_host(), end, most)?;
            return Ok(Ends::new(most, lengths, data));
        }
        match &self.place {
            Place::Row { column, row } => column.ends(*row, end, most),
            _ => Ends::of(&self.read(), end, most),
        }
    }

    pub(crate) fn read_range(&self, range: Range<usize>) -> Result<Raw, TensorError> {
        let length = range.end.saturating_sub(range.start);
        if let Place::Row { column, row } = &self.place {
            let bytes = column.row_bytes(*row).len();
            if range.start <= range.end && range.end <= bytes {
                return Ok(column.part(*row, range));
            }
        }
        let tensor = self.tensor()?;
        Ok(tensor.read_range(range.start as u64, length as u64)?.into())
    }

    pub(crate) fn slice(&self, ranges: &[Range<usize>]) -> Result<Self, TensorError> {
        let ranges: Vec<_> = ranges
            .iter()
            .map(|range| tensors::AxisRange {
                start: range.start as u64,
                end: range.end as u64,
            })
            .collect();
        Ok(self.derived(self.tensor()?.slice(&ranges)?))
    }

    pub(crate) fn reshape(&self, shape: &[usize]) -> Result<Self, TensorError> {
        Ok(self.derived(self.tensor()?.reshape(&lengths(shape))?))
    }

    pub(crate) fn widen(&self, to: Datatype) -> Result<Self, TensorError> {
        // A small one stays with the plugin, and goes to the host with others of its kind.
        let wide = match self.made() {
            Some((datatype, shape, data)) if IN_COLUMNS.get() && data.len() <= WIDENED_HERE_MAX => {
                widen::widened(data, datatype, to).map(|data| (shape, data))
            }
            _ => None,
        };
        if let Some((shape, data)) = wide {
            return Ok(Self::made_of(to, shape, Box::new(data)));
        }
        let tensor = self.tensor()?.widen(to.into())?;
        Ok(Self::from_host(tensor, Some(to)))
    }

    /// Another handle to the same elements.
    pub(crate) fn share(&self) -> Result<Self, TensorError> {
        match &self.place {
            Place::Row { column, row } => Ok(Self::of_column(column.clone(), *row)),
            Place::Host { .. } | Place::Made { .. } => self.reshape(&self.shape()),
        }
    }

    pub(crate) fn pad(&self, shape: &[usize], value: &[u8]) -> Result<Self, TensorError> {
        Ok(self.derived(self.tensor()?.pad(&lengths(shape), value)?))
    }

    pub(crate) fn stack(handles: &[&Self]) -> Result<Self, TensorError> {
        let tensor = tensors::Tensor::stack(&on_host(handles)?)?;
        Ok(Self::from_host(tensor, None))
    }

    pub(crate) fn concat(handles: &[&Self], axis: usize) -> Result<Self, TensorError> {
        let axis = u32::try_from(axis).unwrap_or(u32::MAX);
        let tensor = tensors::Tensor::concat(&on_host(handles)?, axis)?;
        Ok(Self::from_host(tensor, None))
    }

    /// A handle whose datatype is known where the host has promised it.
    pub(crate) fn from_host(tensor: tensors::Tensor, datatype: Option<Datatype>) -> Self {
        let datatype = datatype.map_or_else(OnceCell::new, OnceCell::from);
        Self {
            place: Place::Host { datatype },
            tensor: OnceCell::from(tensor),
        }
    }

    /// The tensor of one example in a column.
    pub(crate) fn of_column(column: Rc<Column>, row: usize) -> Self {
        Self::at(Place::Row { column, row })
    }

    pub(crate) fn into_host(self) -> Result<tensors::Tensor, TensorError> {
        self.tensor()?;
        Ok(self.tensor.into_inner().unwrap_or_else(|| unseen()))
    }

    /// Datatype, shape and data, if the host does not hold it by itself yet.
    pub(crate) fn made(&self) -> Option<(Datatype, &[usize], &[u8])> {
        match &self.place {
            Place::Made {
                datatype,
                shape,
                data,
            } if self.tensor.get().is_none() => Some((*datatype, shape, data.bytes())),
            Place::Row { column, row } if self.tensor.get().is_none() => {
                Some((column.datatype, &column.shape, column.row_bytes(*row)))
            }
            _ => None,
        }
    }

    /// The host's tensor; made now, if the host has not seen it yet.
    fn tensor(&self) -> Result<&tensors::Tensor, TensorError> {
        if let Some(tensor) = self.tensor.get() {
            return Ok(tensor);
        }
        let tensor = match &self.place {
            Place::Host { .. } => unseen(),
            Place::Made {
                datatype,
                shape,
                data,
            } => tensors::Tensor::create((*datatype).into(), &lengths(shape), data.bytes())?,
            Place::Row { column, row } => column.row(*row)?,
        };
        Ok(self.tensor.get_or_init(|| tensor))
    }

    /// The tensor of a handle that is with the host.
    fn on_host(&self) -> &tensors::Tensor {
        self.tensor.get().unwrap_or_else(|| unseen())
    }

    /// A tensor of the same datatype.
    fn derived(&self, tensor: tensors::Tensor) -> Self {
        let datatype = match &self.place {
            Place::Host { datatype } => datatype.get().copied(),
            Place::Made { .. } | Place::Row { .. } => Some(self.datatype()),
        };
        Self::from_host(tensor, datatype)
    }
}

fn on_host<'a>(handles: &[&'a Handle]) -> Result<Vec<&'a tensors::Tensor>, TensorError> {
    handles.iter().map(|handle| handle.tensor()).collect()
}

/// A handle to the host's always has its tensor; a trap is the only answer left.
fn unseen() -> ! {
    std::process::abort()
}

// === impl Column ===

impl Column {
    /// A column whose datatype was promised; its first axis counts examples.
    pub(crate) fn new(tensor: tensors::Tensor, datatype: Option<Datatype>) -> Self {
        let shape = tensor.shape().into_iter().skip(1).map(saturated).collect();
        Self {
            datatype: datatype.unwrap_or_else(|| tensor.datatype().into()),
            shape,
            tensor,
            content: OnceCell::new(),
            ends: RefCell::default(),
        }
    }

    /// One example's tensor, as the host's own.
    fn row(&self, row: usize) -> Result<tensors::Tensor, TensorError> {
        let whole = self.shape.iter().map(|length| 0..*length);
        let ranges: Vec<_> = std::iter::once(row..row + 1)
            .chain(whole)
            .map(|range| tensors::AxisRange {
                start: range.start as u64,
                end: range.end as u64,
            })
            .collect();
        Ok(self.tensor.slice(&ranges)?.reshape(&lengths(&self.shape))?)
    }

    /// A range of one example's bytes, or as much of it as there is.
    fn part(&self, row: usize, range: Range<usize>) -> Raw {
        let (bytes, whole) = self.place(row);
        let at = |offset: usize| whole.start.saturating_add(offset).min(whole.end);
        Raw::Part(bytes.clone(), at(range.start)..at(range.end))
    }

    fn row_bytes(&self, row: usize) -> &[u8] {
        let (bytes, range) = self.place(row);
        bytes.get(range).unwrap_or_default()
    }

    /// One end of each of one example's elements. Those of all examples are read at once.
    fn ends(&self, row: usize, end: End, most: usize) -> Result<Ends, TensorError> {
        if self.content.get().is_some() {
            return Ends::of(self.row_bytes(row), end, most);
        }
        let mut read = self.ends.borrow_mut();
        let known = read
            .iter()
            .find(|ends| (ends.end, ends.most) == (end, most));
        let ends = match known {
            Some(ends) => ends.clone(),
            // Whoever asks for many kinds of ends is better off with all bytes.
            None if read.len() >= ENDS_KEPT => {
                return Ends::of(self.row_bytes(row), end, most);
            }
            None => {
                let ends = Rc::new(ColumnEnds::read(&self.tensor, end, most)?);
                read.push(ends.clone());
                ends
            }
        };
        let elements: usize = self.shape.iter().product();
        Ok(ends.part(row * elements..(row + 1) * elements))
    }

    /// The memory that one example's bytes are in, and where.
    fn place(&self, row: usize) -> (&Rc<Vec<u8>>, Range<usize>) {
        match self.content() {
            Content::Even(bytes, each) => (bytes, row * each..(row + 1) * each),
            Content::Ends(bytes, ends) => {
                let end = |count: usize| match count.checked_sub(1) {
                    Some(last) => ends.get(last).copied().unwrap_or_default(),
                    None => 0,
                };
                (bytes, end(row)..end(row + 1))
            }
            // The host gives as many parts as the column has rows.
            Content::Apart(rows) => match rows.get(row) {
                Some(bytes) => (bytes, 0..bytes.len()),
                None => unseen(),
            },
        }
    }

    fn content(&self) -> &Content {
        self.content.get_or_init(|| {
            let parts = self.tensor.read_parts().into_iter().map(Rc::new);
            let parts: Vec<_> = parts.collect();
            let [bytes] = &parts[..] else {
                return Content::Apart(parts);
            };
            // The host's tensors are always sound, and so these cannot overflow.
            let elements: usize = self.shape.iter().product();
            match self.datatype.size_bytes() {
                Some(size) => Content::Even(bytes.clone(), elements * size),
                None => {
                    let ranges = elements::ranges(bytes).unwrap_or_default();
                    let rows = ranges.chunks(elements.max(1));
                    let ends = rows.filter_map(|row| Some(row.last()?.end));
                    Content::Ends(bytes.clone(), ends.collect())
                }
            }
        })
    }
}

// === impl ColumnEnds ===

impl ColumnEnds {
    fn read(tensor: &tensors::Tensor, end: End, most: usize) -> Result<Self, TensorError> {
        let tensors::Ends { lengths, data } = read_ends(tensor, end, most)?;
        let mut places = vec![0];
        places.extend(lengths.iter().scan(0usize, |place, length| {
            *place += usize::try_from(*length).unwrap_or(usize::MAX).min(most);
            Some(*place)
        }));
        Ok(Self {
            end,
            most,
            lengths,
            places,
            data: Rc::new(data),
        })
    }

    /// The ends of some of the elements.
    fn part(&self, elements: Range<usize>) -> Ends {
        let place = |at: usize| self.places.get(at).copied().unwrap_or_default();
        let bytes = place(elements.start)..place(elements.end);
        let lengths = self.lengths.get(elements).unwrap_or_default();
        Ends::new(
            self.most,
            lengths.to_vec(),
            Raw::Part(self.data.clone(), bytes),
        )
    }
}

fn read_ends(
    tensor: &tensors::Tensor,
    end: End,
    most: usize,
) -> Result<tensors::Ends, TensorError> {
    let end = match end {
        End::Head => tensors::End::Head,
        End::Tail => tensors::End::Tail,
    };
    Ok(tensor.read_ends(end, u32::try_from(most).unwrap_or(u32::MAX))?)
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

/// What `collate` does, on the host.
pub(crate) mod collate {
    use super::{Handle, lengths, on_host};
    use crate::bindings::{collate, tensors};
    use crate::collate::Padded;
    use crate::{Datatype, Tensor, TensorError};

    pub(crate) fn stack_padded(
        given: &[&Tensor],
        value: &[u8],
        mask: Option<Datatype>,
    ) -> Result<Padded, TensorError> {
        let handles: Vec<_> = given.iter().map(|tensor| tensor.handle()).collect();
        let padded = collate::stack_padded(&on_host(&handles)?, value, mask.map(Into::into))?;
        let datatype = given.first().map(|tensor| tensor.datatype());
        Ok(Padded {
            tensor: made(padded.tensor, datatype),
            mask: padded.mask.map(|tensor| made(tensor, mask)),
        })
    }

    pub(crate) fn split(tensor: &Tensor, to: Option<&[usize]>) -> Result<Vec<Tensor>, TensorError> {
        let to = to.map(lengths);
        let parts = collate::split(tensor.handle().tensor()?, to.as_deref())?;
        let part = |part| made(part, Some(tensor.datatype()));
        Ok(parts.into_iter().map(part).collect())
    }

    pub(crate) fn fill(
        datatype: Datatype,
        shape: &[usize],
        value: &[u8],
    ) -> Result<Tensor, TensorError> {
        let tensor = collate::fill(datatype.into(), &lengths(shape), value)?;
        Ok(made(tensor, Some(datatype)))
    }

    fn made(tensor: tensors::Tensor, datatype: Option<Datatype>) -> Tensor {
        Tensor::from_handle(Handle::from_host(tensor, datatype))
    }
}
