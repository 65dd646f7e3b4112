//! The forms in which rows are stored, and how they are told from a path.

use std::path::Path;

/// A form of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON lines.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
    /// Parquet.
    Parquet,
}

// === impl Format ===

impl Format {
    /// The format that a path's extension names: `jsonl` and `ndjson`, `csv` and `tsv`,
    /// `parquet` and `pq`.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" | "tsv" => Some(Self::Csv),
            "parquet" | "pq" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// The extension of files of this format.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

/// The delimiter of CSV at a path, unless the configuration says otherwise.
pub(crate) fn delimiter(configured: Option<u8>, path: Option<&Path>) -> u8 {
    let extension = path.and_then(Path::extension);
    let tabs = extension.is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
    configured.unwrap_or(if tabs { b'\t' } else { b',' })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions() {
        for (path, format) in [
            ("a/b.JSONL", Some(Format::Jsonl)),
            ("b.ndjson", Some(Format::Jsonl)),
            ("b.csv", Some(Format::Csv)),
            ("b.tsv", Some(Format::Csv)),
            ("b.parquet", Some(Format::Parquet)),
            ("b.txt", None),
            ("csv", None),
        ] {
            assert_eq!(Format::of_path(Path::new(path)), format, "{path}");
        }
        assert_eq!(delimiter(None, Some(Path::new("x.tsv"))), b'\t');
        assert_eq!(delimiter(Some(b';'), Some(Path::new("x.tsv"))), b';');
        assert_eq!(delimiter(None, None), b',');
    }
}
