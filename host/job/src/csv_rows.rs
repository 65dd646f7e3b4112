//! Records of CSV, a chunk at a time, as much as is there without waiting for more.
//!
//! Built on `csv-core`, the state machine under the `csv` crate, because only there the
//! memory of a record is the caller's: a field without end costs its limit and no more.

use csv_core::{ReadRecordResult, Reader};
use std::io::{self, BufRead, BufReader};
use std::ops::Range;

/// How much is read from the source at once.
const READ_BYTES: usize = 256 << 10;
/// The most fields of a record.
const FIELDS_MAX: usize = 65_536;

/// Some records and their fields.
#[derive(Debug, Default)]
pub(crate) struct CsvChunk {
    fields: Vec<u8>,
    /// For each field of each record where it ends, counted from where its record begins.
    ends: Vec<usize>,
    records: Vec<Record>,
}

#[derive(Debug)]
struct Record {
    /// Its place in the source without the header, from one.
    number: u64,
    begin: usize,
    ends: Range<usize>,
    too_long: bool,
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CsvRecord<'a> {
    pub(crate) number: u64,
    /// `None` when the record is longer than the limit.
    fields: Option<(&'a [u8], &'a [usize])>,
}

/// Cuts CSV into records.
pub(crate) struct CsvRows<R> {
    reader: BufReader<R>,
    core: Reader,
    record_bytes_max: usize,
    number: u64,
    fields: Vec<u8>,
    ends: Vec<usize>,
    error: Option<io::Error>,
    ended: bool,
}

/// What came of a look for the next record: how many bytes and fields.
enum Found {
    Record(usize, usize),
    TooLong,
    End,
}

// === impl CsvChunk ===

impl CsvChunk {
    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Bytes held.
    pub(crate) fn byte_len(&self) -> usize {
        self.fields.len() + self.ends.len() * size_of::<usize>()
    }

    /// Leaves out records.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut() -> bool) {
        self.records.retain(|_| keep());
    }

    /// Each record.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = CsvRecord<'_>> {
        self.records.iter().map(|record| self.record(record))
    }

    /// One record by its place in the chunk.
    pub(crate) fn at(&self, index: usize) -> Option<CsvRecord<'_>> {
        self.records.get(index).map(|record| self.record(record))
    }

    fn record(&self, record: &Record) -> CsvRecord<'_> {
        let ends = self.ends.get(record.ends.clone()).unwrap_or_default();
        let fields = self.fields.get(record.begin..).unwrap_or_default();
        CsvRecord {
            number: record.number,
            fields: (!record.too_long).then_some((fields, ends)),
        }
    }
}

// === impl CsvRecord ===

impl<'a> CsvRecord<'a> {
    /// How many fields there are; `None` when the record is longer than the limit.
    pub(crate) fn len(&self) -> Option<usize> {
        self.fields.map(|(_, ends)| ends.len())
    }

    /// A field without its quotes.
    pub(crate) fn field(&self, index: usize) -> Option<&'a [u8]> {
        let (fields, ends) = self.fields?;
        let begin = match index.checked_sub(1) {
            Some(before) => *ends.get(before)?,
            None => 0,
        };
        fields.get(begin..*ends.get(index)?)
    }
}

// === impl CsvRows ===

impl<R: io::Read> CsvRows<R> {
    pub(crate) fn new(reader: R, delimiter: u8, record_bytes_max: usize) -> Self {
        Self {
            reader: BufReader::with_capacity(READ_BYTES, reader),
            core: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            record_bytes_max: record_bytes_max.max(1),
            number: 0,
            fields: vec![0; 4096],
            ends: vec![0; 64],
            error: None,
            ended: false,
        }
    }

    /// The names of the columns, which are the first record; none in an empty file.
    pub(crate) fn header(&mut self) -> io::Result<Vec<String>> {
        match self.next_record()? {
            Found::End => Ok(Vec::new()),
            Found::TooLong => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "the header is longer than line_bytes_max, {} bytes, or has over {FIELDS_MAX} columns",
                    self.record_bytes_max
                ),
            )),
            Found::Record(_, count) => {
                let ends = self.ends.get(..count).unwrap_or_default();
                let mut begin = 0;
                let name = |end: &usize| {
                    let name = self.fields.get(begin..*end).unwrap_or_default();
                    begin = *end;
                    String::from_utf8_lossy(name).trim().to_owned()
                };
                Ok(ends.iter().map(name).collect())
            }
        }
    }

    /// The next records, at least one and at most `records_max`; `None` at the end.
    pub(crate) fn next_chunk(&mut self, records_max: usize) -> io::Result<Option<CsvChunk>> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut chunk = CsvChunk::default();
        while !self.ended && chunk.len() < records_max.max(1) {
            let begin = chunk.fields.len();
            let first_end = chunk.ends.len();
            let mut too_long = false;
            match self.next_record() {
                Ok(Found::End) => {
                    self.ended = true;
                    break;
                }
                Ok(Found::TooLong) => too_long = true,
                Ok(Found::Record(bytes, count)) => {
                    let fields = self.fields.get(..bytes).unwrap_or_default();
                    chunk.fields.extend_from_slice(fields);
                    let ends = self.ends.get(..count).unwrap_or_default();
                    chunk.ends.extend_from_slice(ends);
                }
                Err(error) => {
                    self.ended = true;
                    if chunk.len() == 0 {
                        return Err(error);
                    }
                    self.error = Some(error);
                    break;
                }
            }
            self.number += 1;
            chunk.records.push(Record {
                number: self.number,
                begin,
                ends: first_end..chunk.ends.len(),
                too_long,
            });
            // The next look at the source might wait for it; a chunk also ends where its
            // memory is enough for the longest record.
            let enough = chunk.fields.len() >= self.record_bytes_max;
            if self.reader.buffer().is_empty() || enough {
                break;
            }
        }
        Ok((chunk.len() > 0).then_some(chunk))
    }

    fn next_record(&mut self) -> io::Result<Found> {
        let (mut bytes, mut count, mut too_long) = (0, 0, false);
        loop {
            let input = match self.reader.fill_buf() {
                Ok(input) => input,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let fields = self.fields.get_mut(bytes..).unwrap_or_default();
            let ends = self.ends.get_mut(count..).unwrap_or_default();
            let (result, used, more_bytes, more_ends) = self.core.read_record(input, fields, ends);
            self.reader.consume(used);
            bytes += more_bytes;
            count += more_ends;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.fields.len() >= self.record_bytes_max => {
                    too_long = true;
                    bytes = 0;
                }
                ReadRecordResult::OutputFull => {
                    let length = (self.fields.len() * 2).min(self.record_bytes_max);
                    self.fields.resize(length.max(bytes + 1), 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() >= FIELDS_MAX => {
                    too_long = true;
                    count = 0;
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record if too_long || bytes > self.record_bytes_max => {
                    return Ok(Found::TooLong);
                }
                ReadRecordResult::Record => return Ok(Found::Record(bytes, count)),
                ReadRecordResult::End => return Ok(Found::End),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Rows = Vec<(u64, Option<Vec<String>>)>;

    fn collect(chunk: &CsvChunk) -> Rows {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let row = |record: CsvRecord<'_>| {
            let count = record.len();
            let field = |index| text(record.field(index).unwrap());
            (
                record.number,
                count.map(|count| (0..count).map(field).collect()),
            )
        };
        chunk.iter().map(row).collect()
    }

    fn all(text: &str, max: usize, chunk: usize) -> (Vec<String>, Rows) {
        let mut rows = CsvRows::new(io::Cursor::new(text.to_owned()), b',', max);
        let header = rows.header().unwrap();
        let mut found = Vec::new();
        while let Some(chunk) = rows.next_chunk(chunk).unwrap() {
            found.extend(collect(&chunk));
        }
        (header, found)
    }

    fn row(number: u64, fields: &[&str]) -> (u64, Option<Vec<String>>) {
        let fields = fields.iter().map(|field| (*field).to_owned());
        (number, Some(fields.collect()))
    }

    #[test]
    fn quotes_line_ends_and_a_mark() {
        let text = "\u{feff}a, b\r\n1,\"x\n\"\"y\"\"\"\r\n\r\n,\n3,4";
        let (header, rows) = all(text, 100, 2);
        assert_eq!(header, ["a", "b"]);
        let expected = [
            row(1, &["1", "x\n\"y\""]),
            row(2, &["", ""]),
            row(3, &["3", "4"]),
        ];
        assert_eq!(rows, expected);
        assert_eq!(all("", 100, 1), (vec![], vec![]));
    }

    #[test]
    fn a_giant_field_costs_its_limit_and_is_named() {
        // A quote that is never closed swallows the rest, a megabyte of it.
        let giant = "x".repeat(1 << 20);
        let text = format!("a,b\n1,2\n3,{giant}\n5,6\n7,\"{giant}");
        let mut rows = CsvRows::new(io::Cursor::new(text), b',', 10_000);
        rows.header().unwrap();
        let mut found = Vec::new();
        while let Some(chunk) = rows.next_chunk(100).unwrap() {
            assert!(chunk.byte_len() < 30_000);
            found.extend(collect(&chunk));
            assert!(rows.fields.len() <= 10_000);
        }
        let expected = [
            row(1, &["1", "2"]),
            (2, None),
            row(3, &["5", "6"]),
            (4, None),
        ];
        assert_eq!(found, expected);
        let text = format!("a\n{}\n1\n", ",".repeat(FIELDS_MAX + 1));
        let (_, found) = all(&text, 1 << 20, 10);
        assert_eq!(found, [(1, None), row(2, &["1"])]);
    }

    proptest! {
        #[test]
        fn every_record_comes_once_however_chunks_are_cut(
            rows in prop::collection::vec(prop::collection::vec("[a\",\n é]{0,8}", 2), 0..12),
            chunk in 1usize..5,
        ) {
            let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",");
            let text: Vec<String> = rows.iter().map(line).collect();
            let text = format!("a,b\n{}", text.join("\n"));
            let (_, found) = all(&text, 1000, chunk);
            let expected: Vec<_> = rows.into_iter().map(Some).zip(1..).map(|(a, b)| (b, a)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
