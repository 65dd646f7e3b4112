//! The original of an example, as a dead letter shows it: what was read, before anything
//! was made of it.

use crate::csv_rows::CsvRecord;
use crate::json::Cursor;
use crate::key::RowKey;
use crate::parquet_rows::{Cell, Column, ColumnChunk, Values};
use crate::rows::{Origin, RowChunk};
use crate::source::Body;
use crate::value;
use std::io::Write as _;

/// Appends the original of a chunk's example as JSON: the line itself where it is JSON
/// (as it must be where it was `parsed`), the columns of a row as an object, the path of a file as
/// `{"path": ".."}`. One of more than `bytes_max` becomes a string that is cut off; then
/// the answer is `false`.
pub(crate) fn write(
    out: &mut Vec<u8>,
    body: &Body,
    index: usize,
    key: &RowKey,
    parsed: bool,
    bytes_max: usize,
) -> bool {
    let begin = out.len();
    match body {
        Body::Rows(RowChunk::Jsonl(lines), _) => match lines.at(index) {
            Some(line) if line.len() <= bytes_max && (parsed || is_json(line)) => {
                // On the first line of a file a mark may stand before the object.
                let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
                out.extend_from_slice(line.trim_ascii());
            }
            Some(line) => return cut(out, line, bytes_max),
            None => out.extend_from_slice(b"null"),
        },
        Body::Rows(RowChunk::Csv(rows), origin) => match rows.at(index) {
            Some(row) if row.len().is_some() => record(out, row, origin),
            _ => out.extend_from_slice(b"null"),
        },
        Body::Rows(RowChunk::Parquet(rows), origin) => columns(out, rows, index, origin),
        Body::Steps(_) | Body::Paths(_) | Body::Unusable(..) => {
            out.extend_from_slice(b"{\"path\": ");
            value::string(out, &key.text);
            out.push(b'}');
        }
    }
    if out.len() - begin <= bytes_max {
        return true;
    }
    let whole = out.split_off(begin);
    cut(out, &whole, bytes_max)
}

fn is_json(line: &[u8]) -> bool {
    std::str::from_utf8(line).is_ok_and(|text| {
        let mut cursor = Cursor::new(text);
        cursor.skip().and_then(|()| cursor.end()).is_ok()
    })
}

/// Appends as much of a text as is allowed; whether that was all.
fn cut(out: &mut Vec<u8>, text: &[u8], bytes_max: usize) -> bool {
    let whole = text.len() <= bytes_max;
    let part = text.get(..bytes_max).unwrap_or(text);
    let part = match part.utf8_chunks().last() {
        // Not in the midst of a letter.
        Some(last) if !whole => part
            .get(..part.len() - last.invalid().len())
            .unwrap_or(part),
        _ => part,
    };
    value::string(out, &String::from_utf8_lossy(part));
    whole
}

fn record(out: &mut Vec<u8>, row: CsvRecord<'_>, origin: &Origin) {
    out.push(b'{');
    for index in 0..row.len().unwrap_or(0) {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        match origin.header.get(index) {
            Some(name) => value::string(out, name),
            None => value::string(out, &format!("field {}", index + 1)),
        }
        out.extend_from_slice(b": ");
        value::byte_string(out, row.field(index).unwrap_or_default());
    }
    out.push(b'}');
}

fn columns(out: &mut Vec<u8>, rows: &ColumnChunk, index: usize, origin: &Origin) {
    let row = rows.row(index).map_or(usize::MAX, |(_, row)| row);
    out.push(b'{');
    for (place, (name, column)) in origin.plan.names.iter().zip(&rows.columns).enumerate() {
        if place > 0 {
            out.extend_from_slice(b", ");
        }
        value::string(out, name);
        out.extend_from_slice(b": ");
        match column.cell(row) {
            Cell::Null => out.extend_from_slice(b"null"),
            Cell::Values(range) if column.is_list => {
                out.push(b'[');
                for at in range.clone() {
                    if at > range.start {
                        out.extend_from_slice(b", ");
                    }
                    element(out, &column.values, at);
                }
                out.push(b']');
            }
            Cell::Values(range) => element(out, &column.values, range.start),
        }
    }
    out.push(b'}');
}

fn element(out: &mut Vec<u8>, values: &Values, at: usize) {
    // Writing to a vector cannot fail, and a value that is not there is written as none.
    let _ = match values {
        Values::Bool(values) => write!(out, "{}", values.get(at).copied().unwrap_or_default()),
        Values::Int32(values) => write!(out, "{}", values.get(at).copied().unwrap_or_default()),
        Values::Uint32(values) => {
            write!(
                out,
                "{}",
                values.get(at).copied().unwrap_or_default() as u32
            )
        }
        Values::Int64(values) => write!(out, "{}", values.get(at).copied().unwrap_or_default()),
        Values::Uint64(values) => {
            write!(
                out,
                "{}",
                values.get(at).copied().unwrap_or_default() as u64
            )
        }
        Values::Fp32(values) => {
            value::single(out, values.get(at).copied().unwrap_or_default());
            Ok(())
        }
        Values::Fp64(values) => {
            value::double(out, values.get(at).copied().unwrap_or_default());
            Ok(())
        }
        Values::Bytes(values) => {
            value::byte_string(out, values.get(at).map_or(&[], |value| value.data()));
            Ok(())
        }
        Values::Fixed(values, half) => {
            let bytes = values.get(at).map_or(&[][..], |value| value.data());
            match <[u8; 2]>::try_from(bytes) {
                Ok(bytes) if *half => value::single(out, half::f16::from_le_bytes(bytes).to_f32()),
                _ => value::byte_string(out, bytes),
            }
            Ok(())
        }
    };
}

/// A value as the key of its row: integers stay numbers.
pub(crate) fn key(column: &Column, row: usize) -> Option<RowKey> {
    let Cell::Values(range) = column.cell(row) else {
        return None;
    };
    let at = Some(range.start).filter(|_| range.len() == 1)?;
    match &column.values {
        Values::Bytes(values) => {
            let text = String::from_utf8_lossy(values.get(at)?.data());
            Some(RowKey::text(&text))
        }
        Values::Int32(_) | Values::Uint32(_) | Values::Int64(_) | Values::Uint64(_) => {
            let mut text = Vec::new();
            element(&mut text, &column.values, at);
            Some(RowKey::number(&String::from_utf8_lossy(&text)))
        }
        values => {
            let mut text = Vec::new();
            element(&mut text, values, at);
            let text = String::from_utf8_lossy(&text);
            Some(RowKey::text(text.trim_matches('"')))
        }
    }
}
