//! `[ensemble.NAME.files]`: how a file becomes the tensors of an example.

use super::BYTES_MAX;
use crate::json::Json;
use crate::place::{Located, Place};
use crate::report::Report;
use crate::rule::number::Bytes;
use crate::rule::words::{OneOf, words};
use crate::section::{Checked, Optional, OwnName, OwnPlace, Required, section};

/// The most that `read = "all"` reads when the manifest does not say.
const ALL_BYTES_MAX: u64 = 64 << 20;

/// A tensor that a job makes of each input file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTensor {
    /// The tensor's name.
    pub tensor: Located<String>,
    /// What of the file it holds.
    pub read: FileRead,
    /// Where the manifest says so.
    pub place: Place,
}

/// What of a file a tensor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileRead {
    /// Its first bytes, fewer if the file is shorter: a BYTES tensor of shape `[1]`.
    Head {
        /// How many.
        bytes: u64,
    },
    /// Its last bytes, fewer if the file is shorter: a BYTES tensor of shape `[1]`.
    Tail {
        /// How many.
        bytes: u64,
    },
    /// The whole content: a BYTES tensor of shape `[1]`.
    All {
        /// A longer file is an error of its example.
        bytes_max: u64,
    },
    /// Its size in bytes: an INT64 tensor of shape `[1]`.
    Size,
    /// Its path: a BYTES tensor of shape `[1]`.
    Path,
}

section! {
    /// How `consort run` makes a tensor of an input file. `TENSOR` is its name.
    pub(crate) struct FileKeys {
        /// The tensor's name.
        tensor: Located<String> = OwnName;
        /// Where the table is.
        place: Place = OwnPlace;
        /// What of the file the tensor holds.
        read: Located<FileWindow> = Required(OneOf::new());
        /// How many bytes `head` and `tail` read; the most that `all` reads, which is
        /// 64 MiB if it is left out.
        bytes: Option<Located<u64>> = Optional(Bytes::new(1, BYTES_MAX));
    }
}

words! {
    /// What of a file is read.
    pub(crate) enum FileWindow {
        /// The first bytes, as BYTES of shape [1].
        Head = "head",
        /// The last bytes, as BYTES of shape [1].
        Tail = "tail",
        /// The whole content, as BYTES of shape [1].
        All = "all",
        /// The size in bytes, as INT64 of shape [1].
        Size = "size",
        /// The path, as BYTES of shape [1].
        Path = "path",
    }
}

// === impl FileTensor ===

impl Checked for FileTensor {
    type Keys = FileKeys;

    fn check(keys: FileKeys, report: &mut Report) -> Option<Self> {
        let FileKeys {
            tensor,
            place,
            read,
            bytes,
        } = keys;
        let given = bytes.as_ref().map(|bytes| bytes.value);
        let read = match (*read, given) {
            (FileWindow::Head, Some(bytes)) => FileRead::Head { bytes },
            (FileWindow::Tail, Some(bytes)) => FileRead::Tail { bytes },
            (FileWindow::All, bytes) => FileRead::All {
                bytes_max: bytes.unwrap_or(ALL_BYTES_MAX),
            },
            (FileWindow::Size, None) => FileRead::Size,
            (FileWindow::Path, None) => FileRead::Path,
            (window @ (FileWindow::Head | FileWindow::Tail), None) => {
                let message = format!("read = \"{window}\" needs the key `bytes`");
                report.missing(place, message, "add bytes = 4096, or write read = \"all\"");
                return None;
            }
            (window @ (FileWindow::Size | FileWindow::Path), Some(_)) => {
                let message = format!("`bytes` has no effect with read = \"{window}\"");
                let at = bytes.map_or(place, |bytes| bytes.place);
                report.wrong(at, message, "remove it");
                return None;
            }
        };
        Some(Self {
            tensor,
            read,
            place,
        })
    }

    fn schema_together() -> Vec<(&'static str, Json)> {
        let read_is = |words: &[&str]| {
            let words = Json::object([("enum", Json::texts(words.iter().copied()))]);
            Json::object([("properties", Json::object([("read", words)]))])
        };
        let bytes = Json::object([("required", Json::texts(["bytes"]))]);
        let no_bytes = Json::object([("not", bytes.clone())]);
        let rule = |words: &[&str], then| Json::object([("if", read_is(words)), ("then", then)]);
        vec![(
            "allOf",
            Json::List(vec![
                rule(&["head", "tail"], bytes),
                rule(&["size", "path"], no_bytes),
            ]),
        )]
    }
}
