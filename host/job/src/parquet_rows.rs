//! Rows of Parquet, a chunk at a time, from the columns that are used.
//!
//! Built on the column readers of `parquet` without `arrow`: values go straight from pages
//! to plain vectors. In memory are one page of each column and the rows of a chunk,
//! however large the row group; the size of a page has a limit.

use crate::os;
use bytes::Bytes;
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// How much is read at once while a page's header is looked at.
const HEADER_BYTES: usize = 8 << 10;
/// Bytes of a chunk, as far as the file's own word on its rows can be trusted.
const CHUNK_BYTES: u64 = 8 << 20;

/// Some rows by column.
#[derive(Debug, Default)]
pub(crate) struct ColumnChunk {
    /// In the order in which columns were asked for.
    pub(crate) columns: Vec<Column>,
    /// Rows of the source before this chunk.
    before: u64,
    /// Those that become examples, counted from the beginning of the chunk.
    kept: Vec<usize>,
}

/// One column of some rows.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) values: Values,
    /// Where each row's values are.
    rows: Vec<Cell>,
    pub(crate) is_list: bool,
}

/// One row of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Some of the column's values: one, or a list.
    Values(Range<usize>),
    /// Nothing, or a list with nothing in one of its places.
    Null,
}

/// Values as the file has them.
#[derive(Debug)]
pub(crate) enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    /// The same bits without a sign.
    Uint32(Vec<i32>),
    Int64(Vec<i64>),
    /// The same bits without a sign.
    Uint64(Vec<i64>),
    Fp32(Vec<f32>),
    Fp64(Vec<f64>),
    Bytes(Vec<ByteArray>),
    /// Half precision, or byte strings of one length.
    Fixed(Vec<FixedLenByteArray>, bool),
}

/// Reads rows.
pub(crate) struct ParquetRows {
    file: SerializedFileReader<Bounded>,
    /// The leaves that are read, with what is needed to read them.
    leaves: Vec<Leaf>,
    /// The columns of the row group that is being read.
    readers: Vec<ColumnReader>,
    group: usize,
    group_rows_left: u64,
    rows: u64,
}

#[derive(Debug, Clone, Copy)]
struct Leaf {
    index: usize,
    def_max: i16,
    /// From this definition level on there is an element of the list; zero where there is
    /// no list.
    element_def: i16,
    root_optional: bool,
}

/// A file of which no page is larger than a limit.
struct Bounded {
    file: Arc<File>,
    bytes: u64,
    page_bytes_max: usize,
}

/// Reads on from a place.
pub(crate) struct Onward {
    file: Arc<File>,
    at: u64,
}

// === impl ParquetRows ===

impl ParquetRows {
    /// Reads the file's own description of itself.
    pub(crate) fn open(file: File, page_bytes_max: usize) -> Result<Self> {
        let bytes = file.metadata()?.len();
        let file = SerializedFileReader::new(Bounded {
            file: Arc::new(file),
            bytes,
            page_bytes_max,
        })?;
        Ok(Self {
            file,
            leaves: Vec::new(),
            readers: Vec::new(),
            group: 0,
            group_rows_left: 0,
            rows: 0,
        })
    }

    /// The names of the columns.
    pub(crate) fn header(&self) -> Vec<String> {
        let schema = self.file.metadata().file_metadata().schema();
        let fields = schema.get_fields().iter();
        fields.map(|field| field.name().to_owned()).collect()
    }

    /// Chooses the columns to read, by their places in the header.
    pub(crate) fn choose(&mut self, places: &[usize]) -> Result<(), String> {
        let schema = self.file.metadata().file_metadata().schema_descr_ptr();
        self.leaves.clear();
        for place in places {
            let of_root = |leaf: &usize| schema.get_column_root_idx(*leaf) == *place;
            let leaves: Vec<usize> = (0..schema.num_columns()).filter(of_root).collect();
            let [index] = leaves.as_slice() else {
                return Err(format!(
                    "column {} is a group of several; only values and lists of values are read",
                    place + 1
                ));
            };
            let leaf = Leaf::of(*index, &schema.column(*index));
            self.leaves.push(leaf?);
        }
        Ok(())
    }

    /// The next rows, at most `rows_max`; `None` at the end.
    pub(crate) fn next_chunk(&mut self, rows_max: usize) -> Result<Option<ColumnChunk>> {
        while self.group_rows_left == 0 {
            if self.group == self.file.num_row_groups() {
                return Ok(None);
            }
            let group = self.file.get_row_group(self.group)?;
            self.group += 1;
            self.group_rows_left = u64::try_from(group.metadata().num_rows()).unwrap_or(0);
            let readers = self.leaves.iter();
            let readers = readers.map(|leaf| group.get_column_reader(leaf.index));
            self.readers = readers.collect::<Result<_>>()?;
        }
        let count = self.group_rows_left.min(rows_max.max(1) as u64);
        let count = count.min((CHUNK_BYTES / self.row_bytes().max(1)).max(1));
        let wanted = usize::try_from(count).unwrap_or(1);
        let mut columns = Vec::with_capacity(self.leaves.len());
        for (leaf, reader) in self.leaves.iter().zip(&mut self.readers) {
            let schema = self.file.metadata().file_metadata().schema_descr();
            columns.push(leaf.read(reader, &schema.column(leaf.index), wanted)?);
        }
        let chunk = ColumnChunk {
            columns,
            before: self.rows,
            kept: (0..wanted).collect(),
        };
        self.group_rows_left -= count;
        self.rows += count;
        Ok(Some(chunk))
    }

    /// Bytes of a row in the columns that are read, by the file's own word.
    fn row_bytes(&self) -> u64 {
        let groups = self.file.metadata().row_groups();
        let Some(group) = self
            .group
            .checked_sub(1)
            .and_then(|group| groups.get(group))
        else {
            return 1;
        };
        let bytes = |leaf: &Leaf| {
            let column = group.columns().get(leaf.index);
            column.map_or(0, |column| column.uncompressed_size())
        };
        let sum = self.leaves.iter().map(bytes).fold(0, i64::saturating_add);
        u64::try_from(sum / group.num_rows().max(1)).unwrap_or(1)
    }
}

// === impl Leaf ===

impl Leaf {
    fn of(index: usize, column: &ColumnDescriptor) -> Result<Self, String> {
        let name = column.path().string();
        let deep = column.max_rep_level() > 1 || column.path().parts().len() > 3;
        if deep {
            return Err(format!(
                "column \"{name}\" is nested; only values and lists of values are read"
            ));
        }
        let decimal = matches!(column.logical_type_ref(), Some(LogicalType::Decimal { .. }));
        if column.physical_type() == Physical::INT96 || decimal {
            return Err(format!(
                "column \"{name}\" is a timestamp of 96 bits or a decimal, which are not read; \
                 store it as an integer, a float or a string"
            ));
        }
        let type_ = column.self_type();
        let optional_leaf = type_.get_basic_info().repetition() == Repetition::OPTIONAL;
        let def_max = column.max_def_level();
        let is_list = column.max_rep_level() == 1;
        Ok(Self {
            index,
            def_max,
            element_def: match is_list {
                true => def_max - i16::from(optional_leaf),
                false => 0,
            },
            root_optional: {
                let levels = def_max - i16::from(optional_leaf);
                is_list && levels == 2
            },
        })
    }

    fn read(
        &self,
        reader: &mut ColumnReader,
        column: &ColumnDescriptor,
        count: usize,
    ) -> Result<Column> {
        let unsigned = matches!(
            column.logical_type_ref(),
            Some(LogicalType::Integer(integer)) if !integer.is_signed
        ) || column.converted_type().to_string().starts_with("UINT");
        let half = matches!(column.logical_type_ref(), Some(LogicalType::Float16));
        let (rows, values) = match reader {
            ColumnReader::BoolColumnReader(reader) => self.rows(reader, count, Values::Bool)?,
            ColumnReader::Int32ColumnReader(reader) => match unsigned {
                true => self.rows(reader, count, Values::Uint32)?,
                false => self.rows(reader, count, Values::Int32)?,
            },
            ColumnReader::Int64ColumnReader(reader) => match unsigned {
                true => self.rows(reader, count, Values::Uint64)?,
                false => self.rows(reader, count, Values::Int64)?,
            },
            ColumnReader::FloatColumnReader(reader) => self.rows(reader, count, Values::Fp32)?,
            ColumnReader::DoubleColumnReader(reader) => self.rows(reader, count, Values::Fp64)?,
            ColumnReader::ByteArrayColumnReader(reader) => {
                self.rows(reader, count, Values::Bytes)?
            }
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                self.rows(reader, count, |values| Values::Fixed(values, half))?
            }
            ColumnReader::Int96ColumnReader(_) => {
                return Err(ParquetError::General("96 bits are not read".to_owned()));
            }
        };
        Ok(Column {
            values,
            rows,
            is_list: self.element_def > 0,
        })
    }

    fn rows<T: DataType>(
        &self,
        reader: &mut ColumnReaderImpl<T>,
        count: usize,
        wrap: impl FnOnce(Vec<T::T>) -> Values,
    ) -> Result<(Vec<Cell>, Values)> {
        let (mut defs, mut reps, mut values) = (Vec::new(), Vec::new(), Vec::new());
        let mut read = 0;
        while read < count {
            let (more, _, _) =
                reader.read_records(count - read, Some(&mut defs), Some(&mut reps), &mut values)?;
            if more == 0 {
                let what = format!("a column ends {} rows too early", count - read);
                return Err(ParquetError::EOF(what));
            }
            read += more;
        }
        let rows = match (self.element_def > 0, self.def_max > 0) {
            (true, _) => self.lists(&defs, &reps),
            (false, true) => self.optional(&defs),
            (false, false) => (0..count).map(|at| Cell::Values(at..at + 1)).collect(),
        };
        if rows.len() != count {
            let what = format!("a column has {} rows, {count} are expected", rows.len());
            return Err(ParquetError::General(what));
        }
        Ok((rows, wrap(values)))
    }

    fn optional(&self, defs: &[i16]) -> Vec<Cell> {
        let mut at = 0;
        let cell = |def: &i16| match *def == self.def_max {
            true => {
                at += 1;
                Cell::Values(at - 1..at)
            }
            false => Cell::Null,
        };
        defs.iter().map(cell).collect()
    }

    fn lists(&self, defs: &[i16], reps: &[i16]) -> Vec<Cell> {
        let mut rows: Vec<Cell> = Vec::new();
        let mut at = 0;
        for (def, rep) in defs.iter().zip(reps) {
            if *rep == 0 {
                rows.push(match self.root_optional && *def == 0 {
                    true => Cell::Null,
                    false => Cell::Values(at..at),
                });
            }
            let is_value = *def == self.def_max;
            at += usize::from(is_value);
            if let Some(row) = rows.last_mut().filter(|_| *def >= self.element_def) {
                match row {
                    Cell::Values(range) if is_value => range.end = at,
                    _ => *row = Cell::Null,
                }
            }
        }
        rows
    }
}

// === impl ColumnChunk ===

impl ColumnChunk {
    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Leaves out rows.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut() -> bool) {
        self.kept.retain(|_| keep());
    }

    /// Bytes held.
    pub(crate) fn byte_len(&self) -> usize {
        let bytes = |column: &Column| column.values.byte_len() + size_of_val(&*column.rows);
        self.columns.iter().map(bytes).sum()
    }

    /// The place of a row in the source, from one, and its place in the chunk.
    pub(crate) fn row(&self, index: usize) -> Option<(u64, usize)> {
        let row = *self.kept.get(index)?;
        Some((self.before + row as u64 + 1, row))
    }
}

// === impl Column ===

impl Column {
    /// A row's values.
    pub(crate) fn cell(&self, row: usize) -> Cell {
        self.rows.get(row).cloned().unwrap_or(Cell::Null)
    }
}

// === impl Values ===

impl Values {
    fn byte_len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::Int32(values) | Self::Uint32(values) => values.len() * 4,
            Self::Int64(values) | Self::Uint64(values) => values.len() * 8,
            Self::Fp32(values) => values.len() * 4,
            Self::Fp64(values) => values.len() * 8,
            Self::Bytes(values) => values.iter().map(|value| 16 + value.len()).sum(),
            Self::Fixed(values, _) => values.iter().map(|value| 16 + value.len()).sum(),
        }
    }
}

// === impl Bounded ===

impl Bounded {
    fn refuse(&self, what: &str, bytes: u64) -> ParquetError {
        let max = self.page_bytes_max;
        ParquetError::General(format!(
            "{what} of {bytes} bytes is larger than page_bytes_max, {max}"
        ))
    }
}

impl Length for Bounded {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Bounded {
    type T = io::BufReader<Onward>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let onward = Onward {
            file: self.file.clone(),
            at: start,
        };
        let mut reader = io::BufReader::with_capacity(HEADER_BYTES, onward);
        // The header of a page says how much it unpacks to: that is memory which nobody
        // else asks about.
        if let Some(bytes) = unpacked_bytes(io::BufRead::fill_buf(&mut reader)?)
            && bytes > self.page_bytes_max as u64
        {
            return Err(self.refuse("a page", bytes));
        }
        Ok(reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if length > self.page_bytes_max {
            return Err(self.refuse("a page or footer", length as u64));
        }
        let mut bytes = vec![0; length];
        os::read_window(&self.file, &mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// How many bytes a page unpacks to, or would if each of its values took one, by its
/// header in Thrift's compact form: the fields 1 to 3 are numbers (its kind, its size
/// unpacked and packed), and the struct of its kind begins with the number of values.
fn unpacked_bytes(header: &[u8]) -> Option<u64> {
    const NEXT_NUMBER: u8 = 0x15;
    const NUMBER: u8 = 0x05;
    const STRUCT: u8 = 0x0c;
    let mut bytes = header.iter().copied();
    let mut numbers = [0; 3];
    for number in &mut numbers {
        if bytes.next()? != NEXT_NUMBER {
            return None;
        }
        *number = zigzag(&mut bytes)?;
    }
    let [_, unpacked, _] = numbers;
    let unpacked = u64::try_from(unpacked).ok()?;
    let mut field = bytes.next();
    // A checksum may stand before the struct.
    if field.is_some_and(|field| field & 0x0f == NUMBER) {
        zigzag(&mut bytes)?;
        field = bytes.next();
    }
    let in_struct = field.is_some_and(|field| field & 0x0f == STRUCT);
    let values = match in_struct && bytes.next() == Some(NEXT_NUMBER) {
        true => zigzag(&mut bytes).unwrap_or(0),
        false => 0,
    };
    Some(unpacked.max(u64::try_from(values).unwrap_or(0)))
}

fn zigzag(bytes: &mut impl Iterator<Item = u8>) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..63).step_by(7) {
        let byte = bytes.next()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

// === impl Onward ===

impl io::Read for Onward {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = os::read_at(&self.file, out, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
