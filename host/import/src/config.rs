//! What is imported, how and to where. Plain values; the command line is elsewhere.

use crate::{ImportError, Kind};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The datatypes that an input can be asked for with, in the protocol's words.
const DATATYPES: [&str; 14] = [
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16",
    "BF16", "FP32", "FP64", "BYTES",
];

/// The most axes that an input can be asked for with.
const AXES_MAX: usize = 16;

/// The longest name of a model.
const NAME_CHARS_MAX: usize = 128;

/// An import.
#[derive(Debug, Clone)]
pub struct Config {
    /// The model: a file, or the folder of a SavedModel.
    pub model: PathBuf,
    /// What it is; found out from its content where it is left out.
    pub kind: Option<Kind>,
    /// The model's name in the manifest; made from that of the file where it is left out.
    pub name: Option<String>,
    /// Inputs where the model does not say them itself, or where others are wanted.
    pub inputs: Vec<InputSpec>,
    /// The folder to write to, made if it is not there; the model's name where it is left out.
    pub output: Option<PathBuf>,
    /// Whether a model that is there already is replaced.
    pub overwrite: bool,
    /// Where the converters are.
    pub environment: Environment,
    /// The Python that an environment is made with.
    pub base_python: PathBuf,
    /// Whether a pickle may be opened, which runs what its author put into it.
    pub trust_pickle: bool,
    /// The version of ONNX's operators; the converter's choice where it is left out.
    pub opset: Option<u32>,
    /// How long the conversion may take.
    pub convert_time_max: Duration,
    /// How long one step of making the environment may take.
    pub install_time_max: Duration,
}

/// Where the converters are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Environment {
    /// In environments below this folder, which are made when they are first needed.
    Cache(PathBuf),
    /// In this environment, which is made when it is not there.
    Venv(PathBuf),
    /// With this Python, which is used as it is.
    Python(PathBuf),
}

/// An input of one example, written `NAME=DTYPE[a,b]`, without the axis that counts examples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSpec {
    /// Its name.
    pub name: String,
    /// The type of its elements, in the protocol's words.
    pub datatype: String,
    /// The length of each axis, -1 where any will do.
    pub shape: Vec<i64>,
}

// === impl Config ===

impl Config {
    /// The defaults for a model, with environments below a folder: 10 minutes for the
    /// conversion, an hour for each step of making an environment, nothing trusted.
    pub fn new(model: PathBuf, environment: Environment) -> Self {
        Self {
            model,
            kind: None,
            name: None,
            inputs: Vec::new(),
            output: None,
            overwrite: false,
            environment,
            base_python: PathBuf::from("python3"),
            trust_pickle: false,
            opset: None,
            convert_time_max: Duration::from_secs(10 * 60),
            install_time_max: Duration::from_secs(60 * 60),
        }
    }

    /// The model's name: as given, or the file's, in letters that a manifest takes.
    pub(crate) fn model_name(&self) -> Result<String, ImportError> {
        if let Some(name) = &self.name {
            return match is_name(name) {
                true => Ok(name.clone()),
                false => Err(ImportError::InvalidName(name.clone())),
            };
        }
        let stem = self.model.file_stem().unwrap_or_default();
        let letters = stem.to_string_lossy();
        // A file "iris.joblib.gz" is a model "iris".
        let letters = letters.split('.').next().unwrap_or_default();
        let name: String = letters
            .chars()
            .map(|c| if is_plain(c) { c } else { '-' })
            .skip_while(|c| !c.is_ascii_alphanumeric())
            .take(NAME_CHARS_MAX)
            .collect();
        Ok(if name.is_empty() {
            "model".to_owned()
        } else {
            name
        })
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-".contains(c)
}

fn is_name(name: &str) -> bool {
    name.chars().all(is_plain)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= NAME_CHARS_MAX
}

// === impl InputSpec ===

impl FromStr for InputSpec {
    type Err = ImportError;

    fn from_str(text: &str) -> Result<Self, ImportError> {
        let wrong = |problem: &str| ImportError::InvalidInput {
            text: text.to_owned(),
            problem: problem.to_owned(),
        };
        // A name may hold "=" and "[": the last of each counts.
        let (name, rest) = text
            .rsplit_once('=')
            .ok_or_else(|| wrong("there is no \"=\""))?;
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(wrong("the name is empty, or holds control characters"));
        }
        let (datatype, shape) = rest
            .strip_suffix(']')
            .and_then(|rest| rest.split_once('['))
            .ok_or_else(|| wrong("the shape is missing, such as [4] or [-1,128]"))?;
        let datatype = datatype.to_ascii_uppercase();
        if !DATATYPES.contains(&&*datatype) {
            return Err(wrong(&format!(
                "the datatypes are {}",
                DATATYPES.join(", ")
            )));
        }
        let axis = |axis: &str| match axis.trim().parse::<i64>() {
            Ok(length) if length >= -1 => Ok(length),
            _ => Err(wrong("an axis is a whole number, or -1 for any length")),
        };
        let shape: Vec<i64> = match shape.trim() {
            "" => Vec::new(),
            axes => axes.split(',').map(axis).collect::<Result<_, _>>()?,
        };
        if shape.len() > AXES_MAX {
            return Err(wrong("there are more than 16 axes"));
        }
        Ok(Self {
            name: name.to_owned(),
            datatype,
            shape,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn inputs_are_read() {
        let read = |text: &str| text.parse::<InputSpec>();
        let spec = read("sepal length (cm)=fp32[1]").unwrap();
        assert_eq!(spec.name, "sepal length (cm)");
        assert_eq!((&*spec.datatype, &*spec.shape), ("FP32", &[1][..]));
        assert_eq!(read("a=b=INT64[-1, 2]").unwrap().shape, [-1, 2]);
        assert_eq!(read("x=BYTES[]").unwrap().shape, [0i64; 0]);
        for (text, part) in [
            ("x", "no \"=\""),
            ("=FP32[1]", "name is empty"),
            ("x=FP32", "shape is missing"),
            ("x=FP31[1]", "FP16, BF16, FP32"),
            ("x=FP32[a]", "whole number"),
            ("x=FP32[-2]", "whole number"),
            ("x=FP32[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "more than 16"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_file_gives_the_model_its_name() {
        let name = |path: &str, name: Option<&str>| {
            let environment = Environment::Venv(PathBuf::new());
            let mut config = Config::new(PathBuf::from(path), environment);
            config.name = name.map(str::to_owned);
            config.model_name()
        };
        for (path, expected) in [
            ("models/iris.joblib", "iris"),
            ("a b/wine (2).pkl.gz", "wine--2-"),
            ("/models/_x/", "x"),
            ("..", "model"),
            ("größe.txt", "gr--e"),
        ] {
            assert_eq!(name(path, None).unwrap(), expected, "{path}");
        }
        assert_eq!(name("x", Some("a.b-c_1")).unwrap(), "a.b-c_1");
        for wrong in ["", "-a", "a b", "a\"]\n[server]"] {
            assert!(name("x", Some(wrong)).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_made_of_a_file_is_a_name(file in "[^/\0]{1,40}") {
            let config = Config::new(PathBuf::from(file), Environment::Venv(PathBuf::new()));
            let name = config.model_name().unwrap();
            prop_assert!(is_name(&name), "{name:?}");
        }

        #[test]
        fn no_input_is_too_strange(text in ".{0,40}") {
            let _ = text.parse::<InputSpec>();
        }
    }
}
