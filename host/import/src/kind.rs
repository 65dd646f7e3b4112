//! What a model is: asked for, or found out from its first bytes. Nothing is loaded here.

use crate::ImportError;
use crate::error::FormName;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::str::FromStr;

/// How much of a file's beginning is looked at.
const HEAD_BYTES: u64 = 4096;

/// How much of an archive's end is looked at: its table of contents lies there.
const TAIL_BYTES: u64 = 1 << 20;

/// What a model comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An estimator or pipeline of scikit-learn, by pickle or joblib.
    Sklearn,
    /// XGBoost: JSON, UBJSON or a pickle.
    Xgboost,
    /// LightGBM: its text or a pickle.
    Lightgbm,
    /// A SavedModel of TensorFlow: a folder.
    Tensorflow,
    /// A TorchScript archive.
    TorchScript,
    /// An archive of `torch.export.save`.
    TorchExport,
}

/// How the file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A pickle, also compressed as joblib does it.
    Pickle,
    XgboostNative,
    LightgbmText,
    SavedModel,
    TorchScript,
    TorchExport,
}

// === impl Kind ===

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Sklearn,
        Self::Xgboost,
        Self::Lightgbm,
        Self::Tensorflow,
        Self::TorchScript,
        Self::TorchExport,
    ];

    /// The name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sklearn => "sklearn",
            Self::Xgboost => "xgboost",
            Self::Lightgbm => "lightgbm",
            Self::Tensorflow => "tensorflow",
            Self::TorchScript => "torchscript",
            Self::TorchExport => "torch-export",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ImportError;

    fn from_str(name: &str) -> Result<Self, ImportError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| ImportError::UnknownKind(name.to_owned()))
    }
}

// === impl Form ===

impl Form {
    /// Finds out how a model is written.
    pub(crate) fn of(path: &Path) -> Result<Self, ImportError> {
        let unreadable = |source| ImportError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        let unknown = |seen: &'static str| ImportError::UnknownForm {
            path: path.to_owned(),
            seen,
        };
        if metadata.is_dir() {
            return match path.join("saved_model.pb").is_file() {
                true => Ok(Self::SavedModel),
                false => Err(unknown("a folder without a saved_model.pb")),
            };
        }
        if !metadata.is_file() {
            return Err(unknown("neither a file nor a folder"));
        }
        let mut file = File::open(path).map_err(unreadable)?;
        let mut head = Vec::new();
        let taken = Read::by_ref(&mut file).take(HEAD_BYTES);
        { taken }.read_to_end(&mut head).map_err(unreadable)?;
        match head.as_slice() {
            [] => Err(unknown("an empty file")),
            [b'P', b'K', 3, 4, ..] => {
                let start = metadata.len().saturating_sub(TAIL_BYTES);
                file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
                let mut tail = Vec::new();
                let taken = file.take(TAIL_BYTES);
                { taken }.read_to_end(&mut tail).map_err(unreadable)?;
                Self::of_archive(&tail).map_err(unknown)
            }
            // The second byte of a pickle is the version of its protocol.
            [0x80, 2..=5, ..] => Ok(Self::Pickle),
            // What joblib compresses with: zlib, gzip, bzip2, xz.
            [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..]
            | [0x1f, 0x8b, ..]
            | [b'B', b'Z', b'h', ..]
            | [0xfd, b'7', b'z', b'X', b'Z', ..] => Ok(Self::Pickle),
            text if text.starts_with(b"tree\n") || text.starts_with(b"tree\r\n") => {
                Ok(Self::LightgbmText)
            }
            [b'{', ..] if holds(&head, b"learner") => Ok(Self::XgboostNative),
            [b'{', ..] => Err(unknown("JSON that is no model of XGBoost")),
            bytes if bytes.starts_with(b"\x89HDF") => Err(unknown(
                "HDF5, as Keras once wrote it: load it in Keras and write a SavedModel with \
                 model.export(folder)",
            )),
            bytes if bytes.starts_with(b"binf") || bytes.starts_with(b"CONFIG-offset") => Err(
                unknown("XGBoost's old binary form: load it in XGBoost and save it as .json"),
            ),
            // A field of ONNX's `ir_version`, then the producer or the graph.
            [0x08, 1..=20, 0x12 | 0x3a | 0x1a, ..] => Err(ImportError::AlreadyOnnx {
                path: path.to_owned(),
            }),
            _ => Err(unknown("none of the formats that are known")),
        }
    }

    fn of_archive(table: &[u8]) -> Result<Self, &'static str> {
        if holds(table, b"archive_format") && holds(table, b"models/")
            || holds(table, b"serialized_exported_program.json")
        {
            return Ok(Self::TorchExport);
        }
        if holds(table, b"constants.pkl") && holds(table, b"code/") {
            return Ok(Self::TorchScript);
        }
        if holds(table, b"data.pkl") {
            return Err(
                "what torch.save writes, weights without their program: save the model itself, \
                 with torch.export.save or torch.jit.save",
            );
        }
        if holds(table, b"keras") || holds(table, b"config.json") {
            return Err(
                "a Keras archive: load it in Keras and write a SavedModel with model.export(folder)",
            );
        }
        Err("an archive of something else")
    }

    /// The word for the converting program.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pickle => "pickle",
            Self::XgboostNative => "xgboost-native",
            Self::LightgbmText => "lightgbm-text",
            Self::SavedModel => "saved-model",
            Self::TorchScript => "torchscript",
            Self::TorchExport => "torch-export",
        }
    }

    /// Whether opening it may run code that its author put into it.
    pub(crate) const fn is_pickle(self) -> bool {
        // torch.export.load opens what else it cannot read as a pickle.
        matches!(self, Self::Pickle | Self::TorchExport)
    }

    /// The kind of a model of this form: as asked for, if it can be that.
    pub(crate) fn kind(self, asked: Option<Kind>, path: &Path) -> Result<Kind, ImportError> {
        let possible: &[Kind] = match self {
            Self::Pickle => &[Kind::Sklearn, Kind::Xgboost, Kind::Lightgbm],
            Self::XgboostNative => &[Kind::Xgboost],
            Self::LightgbmText => &[Kind::Lightgbm],
            Self::SavedModel => &[Kind::Tensorflow],
            Self::TorchScript => &[Kind::TorchScript],
            Self::TorchExport => &[Kind::TorchExport],
        };
        let wrong = |asked| ImportError::WrongKind {
            path: path.to_owned(),
            asked,
            found: FormName(self),
        };
        match asked {
            Some(asked) if possible.contains(&asked) => Ok(asked),
            Some(asked) => Err(wrong(asked)),
            None => possible
                .first()
                .copied()
                .ok_or_else(|| wrong(Kind::Sklearn)),
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pickle => "a pickle",
            Self::XgboostNative => "XGBoost's own JSON or UBJSON",
            Self::LightgbmText => "LightGBM's own text",
            Self::SavedModel => "a SavedModel of TensorFlow",
            Self::TorchScript => "a TorchScript archive",
            Self::TorchExport => "a program of torch.export",
        })
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form(bytes: &[u8]) -> Result<Form, ImportError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Form::of(file.path())
    }

    #[test]
    fn each_form_is_found_by_its_content() {
        for (bytes, expected) in [
            (&b"\x80\x04\x95rest"[..], Form::Pickle),
            (b"\x78\x5eab", Form::Pickle),
            (b"\x1f\x8bab", Form::Pickle),
            (b"tree\nversion=v4\n", Form::LightgbmText),
            (b"{\"learner\":{}}", Form::XgboostNative),
            (b"{L\0\0\0\0\0\0\0\x07learner{", Form::XgboostNative),
            (b"PK\x03\x04 m/code/a.py m/constants.pkl", Form::TorchScript),
            (
                b"PK\x03\x04 m/models/model.json m/archive_format",
                Form::TorchExport,
            ),
        ] {
            assert_eq!(form(bytes).unwrap(), expected);
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(Form::of(folder.path()).is_err());
        std::fs::write(folder.path().join("saved_model.pb"), "").unwrap();
        assert_eq!(Form::of(folder.path()).unwrap(), Form::SavedModel);
    }

    #[test]
    fn what_it_is_instead_is_said() {
        for (bytes, part) in [
            (&b""[..], "an empty file"),
            (b"PK\x03\x04 m/data.pkl", "torch.save"),
            (b"PK\x03\x04 x", "an archive of something else"),
            (b"\x89HDF\r\n", "Keras"),
            (b"binf", "save it as .json"),
            (b"{}", "JSON that is no model"),
            (b"a text", "none of the formats"),
            (b"\x08\x0a\x12\x07skl2onnx", "is ONNX already"),
        ] {
            let error = form(bytes).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let error = Form::of(Path::new("/no/such/model")).unwrap_err();
        assert!(matches!(error, ImportError::Unreadable { .. }), "{error}");
    }

    #[test]
    fn a_kind_that_the_file_cannot_be_is_refused() {
        let path = Path::new("m");
        let kind = |form: Form, asked| form.kind(asked, path);
        assert_eq!(kind(Form::Pickle, None).unwrap(), Kind::Sklearn);
        let asked = Some(Kind::Lightgbm);
        assert_eq!(kind(Form::Pickle, asked).unwrap(), Kind::Lightgbm);
        let error = kind(Form::XgboostNative, asked).unwrap_err().to_string();
        assert!(error.contains("XGBoost's own JSON"), "{error}");
        assert!(error.contains("--kind"), "{error}");
    }

    #[test]
    fn every_kind_reads_back() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse::<Kind>().unwrap(), kind);
        }
        assert!("keras".parse::<Kind>().is_err());
    }

    proptest! {
        #[test]
        fn no_file_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = form(&bytes);
        }
    }
}
