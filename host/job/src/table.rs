//! Predictions as rows of Parquet: pages of columns, and the file they are written to.

use crate::key::RowKey;
use crate::layout::{Layout, OutColumn, Spread};
use crate::value;
use consort_inference::{Datatype, Element, Prediction};
use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray,
    FixedLenByteArrayType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};
use std::fs::File;
use std::io;
use std::sync::Arc;

/// The most rows of a row group.
const GROUP_ROWS_MAX: usize = 1 << 20;

/// Some rows, column by column.
#[derive(Debug, Clone, Default)]
pub(crate) struct TablePage {
    rows: usize,
    keys: Vec<ByteArray>,
    model_ids: Vec<ByteArray>,
    columns: Vec<TableColumn>,
    bytes: usize,
}

#[derive(Debug, Clone, Default)]
struct TableColumn {
    /// Elements as tensors have them; of `BYTES` nothing.
    data: Vec<u8>,
    strings: Vec<ByteArray>,
    /// Elements of each row.
    counts: Vec<usize>,
}

/// A Parquet file that is being written.
pub(crate) struct TableSink {
    writer: SerializedFileWriter<File>,
    layout: Arc<Layout>,
    page: TablePage,
    group_bytes_max: usize,
    rows_written: u64,
}

// === impl TablePage ===

impl TablePage {
    /// Bytes held.
    pub(crate) fn byte_len(&self) -> usize {
        self.bytes
    }

    /// Adds a prediction; on an error nothing.
    pub(crate) fn prediction(
        &mut self,
        key: &RowKey,
        prediction: &Prediction,
        layout: &Layout,
    ) -> Result<(), String> {
        let found: Result<Vec<_>, String> = layout
            .columns
            .iter()
            .map(|column| {
                let tensor = column.find(prediction)?;
                let strings = match column.datatype {
                    Datatype::Bytes => tensor.byte_strings().map_err(|error| error.to_string())?,
                    _ => Vec::new(),
                };
                Ok((tensor, strings))
            })
            .collect();
        self.columns
            .resize_with(layout.columns.len(), TableColumn::default);
        for (column, (tensor, strings)) in self.columns.iter_mut().zip(found?) {
            self.bytes += tensor.data().len() + size_of::<usize>();
            column.counts.push(tensor.element_count());
            match tensor.datatype() {
                Datatype::Bytes => column
                    .strings
                    .extend(strings.iter().map(|bytes| text(bytes))),
                _ => column.data.extend_from_slice(tensor.data()),
            }
        }
        let model_id = prediction.model_id.to_string();
        self.bytes += key.text.len() + model_id.len() + 64;
        self.keys.push(key.text.as_bytes().to_vec().into());
        self.model_ids.push(model_id.into_bytes().into());
        self.rows += 1;
        Ok(())
    }

    /// Takes all rows of another page.
    pub(crate) fn append(&mut self, other: &mut Self) {
        self.columns.resize_with(
            self.columns.len().max(other.columns.len()),
            Default::default,
        );
        for (column, more) in self.columns.iter_mut().zip(&mut other.columns) {
            column.data.append(&mut more.data);
            column.strings.append(&mut more.strings);
            column.counts.append(&mut more.counts);
        }
        self.keys.append(&mut other.keys);
        self.model_ids.append(&mut other.model_ids);
        self.rows += std::mem::take(&mut other.rows);
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

/// Bytes as text, as JSON lines have them too.
fn text(bytes: &[u8]) -> ByteArray {
    if std::str::from_utf8(bytes).is_ok() {
        return bytes.to_vec().into();
    }
    let mut json = Vec::new();
    value::byte_string(&mut json, bytes);
    json.into()
}

// === impl TableSink ===

impl TableSink {
    /// Begins a file.
    pub(crate) fn new(file: File, layout: Arc<Layout>, group_bytes_max: usize) -> io::Result<Self> {
        Ok(Self {
            writer: writer(file, &layout)?,
            layout,
            page: TablePage::default(),
            group_bytes_max: group_bytes_max.max(1),
            rows_written: 0,
        })
    }

    /// Rows that are written; those that wait for their row group are not.
    pub(crate) fn rows_written(&self) -> u64 {
        self.rows_written
    }

    /// Takes rows, and writes them when there are enough for a row group.
    pub(crate) fn write(&mut self, page: &mut TablePage) -> io::Result<()> {
        self.page.append(page);
        match self.page.bytes >= self.group_bytes_max || self.page.rows >= GROUP_ROWS_MAX {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Writes what is left and the file's description of itself; the file can take no
    /// more after that.
    pub(crate) fn finish(&mut self) -> io::Result<&File> {
        self.flush()?;
        self.writer.finish().map_err(other)?;
        Ok(self.writer.inner())
    }

    fn flush(&mut self) -> io::Result<()> {
        let page = std::mem::take(&mut self.page);
        if page.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group().map_err(other)?;
        let written = write_group(&mut group, &page, &self.layout);
        written.and_then(|()| group.close()).map_err(other)?;
        self.rows_written += page.rows as u64;
        Ok(())
    }
}

fn other(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

fn writer(file: File, layout: &Layout) -> io::Result<SerializedFileWriter<File>> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY);
    let schema = schema(layout).map_err(other)?;
    SerializedFileWriter::new(file, schema, Arc::new(properties.build())).map_err(other)
}

fn schema(layout: &Layout) -> Result<TypePtr, ParquetError> {
    let text = |name: &str| primitive(name, Datatype::Bytes);
    let mut fields = vec![text("key")?];
    for column in &layout.columns {
        fields.push(match column.spread {
            Spread::Element => primitive(&column.name, column.datatype)?,
            Spread::Vector(_) | Spread::Any => list(column)?,
        });
    }
    fields.insert(layout.outputs + 1, text("model_id")?);
    let schema = Type::group_type_builder("schema").with_fields(fields);
    Ok(Arc::new(schema.build()?))
}

fn primitive(name: &str, datatype: Datatype) -> Result<TypePtr, ParquetError> {
    let (physical, logical) = match datatype {
        Datatype::Bool => (Physical::BOOLEAN, None),
        Datatype::Int8 => (Physical::INT32, Some(LogicalType::integer(8, true))),
        Datatype::Int16 => (Physical::INT32, Some(LogicalType::integer(16, true))),
        Datatype::Int32 => (Physical::INT32, None),
        Datatype::Int64 => (Physical::INT64, None),
        Datatype::Uint8 => (Physical::INT32, Some(LogicalType::integer(8, false))),
        Datatype::Uint16 => (Physical::INT32, Some(LogicalType::integer(16, false))),
        Datatype::Uint32 => (Physical::INT32, Some(LogicalType::integer(32, false))),
        Datatype::Uint64 => (Physical::INT64, Some(LogicalType::integer(64, false))),
        Datatype::Fp16 => (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16)),
        Datatype::Bf16 | Datatype::Fp32 => (Physical::FLOAT, None),
        Datatype::Fp64 => (Physical::DOUBLE, None),
        Datatype::Bytes => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let type_ = Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(logical)
        .with_length(if datatype == Datatype::Fp16 { 2 } else { -1 });
    Ok(Arc::new(type_.build()?))
}

fn list(column: &OutColumn) -> Result<TypePtr, ParquetError> {
    let element = primitive("element", column.datatype)?;
    let list = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![element])
        .build()?;
    let list = Type::group_type_builder(&column.name)
        .with_repetition(Repetition::REQUIRED)
        .with_converted_type(ConvertedType::LIST)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(list)])
        .build()?;
    Ok(Arc::new(list))
}

fn write_group(
    group: &mut SerializedRowGroupWriter<'_, File>,
    page: &TablePage,
    layout: &Layout,
) -> Result<(), ParquetError> {
    write_column::<ByteArrayType>(group, &page.keys, None)?;
    for (index, (shape, column)) in layout.columns.iter().zip(&page.columns).enumerate() {
        if index == layout.outputs {
            write_column::<ByteArrayType>(group, &page.model_ids, None)?;
        }
        write_tensors(group, shape, column)?;
    }
    if layout.outputs == layout.columns.len() {
        write_column::<ByteArrayType>(group, &page.model_ids, None)?;
    }
    Ok(())
}

fn write_tensors(
    group: &mut SerializedRowGroupWriter<'_, File>,
    shape: &OutColumn,
    column: &TableColumn,
) -> Result<(), ParquetError> {
    fn elements<const SIZE: usize, T>(data: &[u8], read: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
        let (elements, _) = data.as_chunks::<SIZE>();
        elements.iter().map(|bytes| read(*bytes)).collect()
    }
    fn of<T: Element>(bytes: &[u8]) -> Vec<T> {
        let elements = bytes.chunks_exact(size_of::<T>().max(1));
        elements.filter_map(T::read_le).collect()
    }
    let counts = (shape.spread != Spread::Element).then_some(column.counts.as_slice());
    let data = column.data.as_slice();
    match shape.datatype {
        Datatype::Bytes => write_column::<ByteArrayType>(group, &column.strings, counts),
        Datatype::Bool => write_column::<BoolType>(group, &of::<bool>(data), counts),
        Datatype::Int8 => {
            let values = elements(data, |bytes| i32::from(i8::from_le_bytes(bytes)));
            write_column::<Int32Type>(group, &values, counts)
        }
        Datatype::Uint8 => {
            let values = elements(data, |bytes| i32::from(u8::from_le_bytes(bytes)));
            write_column::<Int32Type>(group, &values, counts)
        }
        Datatype::Int16 => {
            let values = elements(data, |bytes| i32::from(i16::from_le_bytes(bytes)));
            write_column::<Int32Type>(group, &values, counts)
        }
        Datatype::Uint16 => {
            let values = elements(data, |bytes| i32::from(u16::from_le_bytes(bytes)));
            write_column::<Int32Type>(group, &values, counts)
        }
        // The bits stay; the logical type says that there is no sign.
        Datatype::Int32 | Datatype::Uint32 => {
            write_column::<Int32Type>(group, &of::<i32>(data), counts)
        }
        Datatype::Int64 | Datatype::Uint64 => {
            write_column::<Int64Type>(group, &of::<i64>(data), counts)
        }
        Datatype::Fp16 => {
            let half = |bytes: [u8; 2]| FixedLenByteArray::from(bytes.to_vec());
            write_column::<FixedLenByteArrayType>(group, &elements(data, half), counts)
        }
        Datatype::Bf16 => {
            let single = |bytes| half::bf16::from_le_bytes(bytes).to_f32();
            write_column::<FloatType>(group, &elements(data, single), counts)
        }
        Datatype::Fp32 => write_column::<FloatType>(group, &of::<f32>(data), counts),
        Datatype::Fp64 => write_column::<DoubleType>(group, &of::<f64>(data), counts),
    }
}

/// Writes a column of elements, or, where there are counts, of lists.
fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    counts: Option<&[usize]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        let what = "there are more columns than the schema has".to_owned();
        return Err(ParquetError::General(what));
    };
    match counts {
        None => column.typed::<T>().write_batch(values, None, None)?,
        Some(counts) => {
            let mut defs = Vec::with_capacity(values.len());
            let mut reps = Vec::with_capacity(values.len());
            for count in counts {
                defs.push(i16::from(*count > 0));
                reps.push(0);
                for _ in 1..*count {
                    defs.push(1);
                    reps.push(1);
                }
            }
            let typed = column.typed::<T>();
            typed.write_batch(values, Some(&defs), Some(&reps))?
        }
    };
    column.close()
}

/// Puts files of one layout together, row group by row group, without unpacking any.
pub(crate) fn join(
    parts: impl Iterator<Item = io::Result<File>>,
    out: File,
    layout: &Layout,
) -> io::Result<()> {
    let mut writer = writer(out, layout)?;
    for part in parts {
        let part = part?;
        let reader = SerializedFileReader::new(part.try_clone()?).map_err(other)?;
        for metadata in reader.metadata().row_groups() {
            let mut group = writer.next_row_group().map_err(other)?;
            for column in metadata.columns() {
                let close = ColumnCloseResult {
                    bytes_written: u64::try_from(column.compressed_size()).unwrap_or(0),
                    rows_written: u64::try_from(metadata.num_rows()).unwrap_or(0),
                    metadata: column.clone(),
                    bloom_filter: None,
                    column_index: None,
                    offset_index: None,
                };
                group.append_column(&part, close).map_err(other)?;
            }
            group.close().map_err(other)?;
        }
    }
    writer.finish().map_err(other)?;
    writer.inner().sync_all()
}
