//! What the manifest's `config` says.

use crate::categories::Categories;
use consort_plugin_config::NumberType;
use consort_sdk::{Assets, Datatype, Error};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use std::fmt;

/// The settings of the plugin.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is read, in the order in which it lies in the output.
    pub inputs: Vec<Input>,
    /// The name of the output of all inputs that have none of their own.
    #[serde(default = "output")]
    pub output: String,
    /// What becomes of a category that is not known.
    #[serde(default)]
    pub unknown: Unknown,
}

/// A category that is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The name of the tensor.
    pub name: String,
    /// Its datatype.
    #[serde(default)]
    pub datatype: CategoryType,
    /// The categories, a column each.
    pub categories: Option<Vec<Category>>,
    /// The asset that has them, one a line.
    pub asset: Option<String>,
    /// What becomes of one that is not known, where it is not as for all.
    pub unknown: Option<Unknown>,
    /// The output that has these columns alone.
    pub output: Option<String>,
}

/// What becomes of a category that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// The example fails, by its caller's fault.
    #[default]
    Error,
    /// No column has a one.
    Zeros,
    /// One more column, the last, has it.
    Other,
}

/// The datatype of a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CategoryType {
    /// A text.
    #[default]
    Bytes,
    /// Yes or no: 1 or 0 among the categories.
    Bool,
    /// An integer.
    Integer(NumberType),
}

/// A category as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Category {
    /// A text.
    Text(String),
    /// A number.
    Integer(i128),
}

fn output() -> String {
    "x".to_owned()
}

// === impl Config ===

impl Config {
    /// Reads the text of the manifest's `config`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let config: Self = consort_plugin_config::parse(text)?;
        let refuse = |what: fmt::Arguments<'_>| {
            Err(Error::failed(format_args!("`config`: `inputs` {what}")))
        };
        if config.inputs.is_empty() {
            return refuse(format_args!("is empty, at least one is expected"));
        }
        let mut outputs: Vec<&str> = vec![&config.output];
        for (at, input) in config.inputs.iter().enumerate() {
            let mut later = config.inputs.iter().skip(at + 1);
            if later.any(|later| later.name == input.name) {
                return refuse(format_args!("names \"{}\" twice", input.name));
            }
            if let Some(output) = &input.output {
                if outputs.contains(&output.as_str()) {
                    return refuse(format_args!("has two outputs \"{output}\""));
                }
                outputs.push(output);
            }
        }
        Ok(config)
    }
}

// === impl Input ===

impl Input {
    /// The categories and their columns.
    pub fn categories(&self, assets: &Assets) -> Result<Categories, Error> {
        let known = match (&self.categories, &self.asset) {
            (Some(categories), None) => categories.clone(),
            (None, Some(asset)) => {
                let lines = consort_plugin_config::lines(&assets.text(asset)?);
                lines.into_iter().map(Category::Text).collect()
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(Error::failed("either `categories` or `asset` is expected"));
            }
        };
        let columns = known.iter().enumerate();
        let columns = columns.map(|(column, category)| {
            self.datatype
                .category(category)
                .map_err(|what| Error::failed(format_args!("category {column} {what}")))
        });
        Categories::new(columns.collect::<Result<_, _>>()?).map_err(Error::failed)
    }
}

// === impl CategoryType ===

impl CategoryType {
    /// The datatype of the tensor.
    pub fn datatype(self) -> Datatype {
        match self {
            Self::Bytes => Datatype::Bytes,
            Self::Bool => Datatype::Bool,
            Self::Integer(number_type) => number_type.datatype(),
        }
    }

    /// A category of this type. Lines of an asset are texts, whatever they stand for.
    fn category(self, category: &Category) -> Result<Category, String> {
        match (self, category) {
            (Self::Bytes, Category::Text(_))
            | (Self::Bool | Self::Integer(_), Category::Integer(_)) => Ok(category.clone()),
            (Self::Bytes, Category::Integer(number)) => Err(format!(
                "is {number}; a text is expected, or a `datatype` of integers"
            )),
            (Self::Bool | Self::Integer(_), Category::Text(text)) => match text.trim().parse() {
                Ok(number) => Ok(Category::Integer(number)),
                Err(_) => Err(format!(
                    "is {text:?}; an integer is expected, as `datatype` says"
                )),
            },
        }
    }
}

impl<'de> Deserialize<'de> for CategoryType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        use serde::de::value::StrDeserializer;

        let name = String::deserialize(deserializer)?;
        let number_type = match name.as_str() {
            "bytes" => return Ok(Self::Bytes),
            "bool" => return Ok(Self::Bool),
            name => NumberType::deserialize(StrDeserializer::<D::Error>::new(name)).ok(),
        };
        match number_type.filter(|number_type| number_type.is_integer()) {
            Some(number_type) => Ok(Self::Integer(number_type)),
            None => Err(D::Error::custom(format_args!(
                "it is {name:?}; \"bytes\", \"bool\" or a type of integers like \"int64\" is \
                 expected"
            ))),
        }
    }
}

// === impl Category ===

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => number.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Category {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrInteger;

        impl Visitor<'_> for TextOrInteger {
            type Value = Category;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or an integer")
            }

            fn visit_str<E>(self, text: &str) -> Result<Category, E> {
                Ok(Category::Text(text.to_owned()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Category, E> {
                Ok(Category::Integer(number.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Category, E> {
                Ok(Category::Integer(number.into()))
            }
        }

        deserializer.deserialize_any(TextOrInteger)
    }
}
