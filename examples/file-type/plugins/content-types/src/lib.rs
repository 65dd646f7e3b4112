//! What both file-type plugins share: their assets, and the four tensors of an answer.
//!
//! It knows what a label means (MIME type, group, text or not) and never which label a
//! file gets.

use consort_sdk::{Assets, Datatype, Error, Outputs, Tensor, TensorError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// The asset with the model's own settings.
pub const CONFIG_ASSET: &str = "config.json";

/// The asset with the meaning of each label.
pub const CONTENT_TYPES_ASSET: &str = "content_types.json";

/// Labels that no model gives: they stand for what can be said without one.
pub mod label {
    /// A file without content.
    pub const EMPTY: &str = "empty";
    /// Text of no known type.
    pub const TXT: &str = "txt";
    /// Anything else.
    pub const UNKNOWN: &str = "unknown";
}

/// The tensors of an answer, in both plugins' descriptions.
pub const ANSWER: [(&str, Datatype); 4] = [
    ("label", Datatype::Bytes),
    ("score", Datatype::Fp32),
    ("mime_type", Datatype::Bytes),
    ("group", Datatype::Bytes),
];

/// A label and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    /// Its name.
    pub label: String,
    /// The MIME type, the generic one of text or bytes where the table has none.
    pub mime_type: String,
    /// The kind of content, `unknown` where the table has none.
    pub group: String,
    /// Whether files of the type are text.
    pub is_text: bool,
}

/// The meaning of each label.
#[derive(Debug)]
pub struct ContentTypes(BTreeMap<String, ContentType>);

/// A row as the asset has it. Fields may be null, but not missing.
#[derive(Deserialize)]
struct Row {
    #[serde(deserialize_with = "Option::deserialize")]
    mime_type: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    group: Option<String>,
    is_text: bool,
}

/// Reads an asset of JSON.
pub fn parse<T: DeserializeOwned>(assets: &Assets, name: &str) -> Result<T, Error> {
    serde_json::from_slice(&assets.read(name)?)
        .map_err(|error| Error::failed(format!("asset \"{name}\": {error}")))
}

/// These plugins read their settings from assets: a `config` would have no effect.
pub fn refuse_config(config: &str) -> Result<(), Error> {
    if config.is_empty() {
        return Ok(());
    }
    Err(Error::failed(format!(
        "this plugin takes no `config`; its settings come from the asset \"{CONFIG_ASSET}\""
    )))
}

// === impl ContentTypes ===

impl ContentTypes {
    /// Reads the asset.
    pub fn from_assets(assets: &Assets) -> Result<Self, Error> {
        let rows: BTreeMap<String, Row> = parse(assets, CONTENT_TYPES_ASSET)?;
        let types = rows
            .into_iter()
            .map(|(label, row)| (label.clone(), row.named(label)));
        Ok(Self(types.collect()))
    }

    /// What a label means; `user` says who uses it, for the error.
    pub fn content_type(&self, label: &str, user: &str) -> Result<&ContentType, Error> {
        self.0.get(label).ok_or_else(|| {
            Error::failed(format!(
                "asset \"{CONTENT_TYPES_ASSET}\" has no entry \"{label}\", which {user} uses"
            ))
        })
    }
}

// === impl ContentType ===

impl ContentType {
    /// The tensors of an answer.
    pub fn answer(&self, score: f32) -> Result<Outputs, TensorError> {
        let [label, score_name, mime_type, group] = ANSWER.map(|(name, _)| name);
        Ok(Outputs::from([
            (label, Tensor::single_bytes(&self.label)?),
            (score_name, Tensor::single(score)?),
            (mime_type, Tensor::single_bytes(&self.mime_type)?),
            (group, Tensor::single_bytes(&self.group)?),
        ]))
    }
}

// === impl Row ===

impl Row {
    fn named(self, label: String) -> ContentType {
        let generic = if self.is_text {
            "text/plain"
        } else {
            "application/octet-stream"
        };
        ContentType {
            label,
            mime_type: self.mime_type.unwrap_or_else(|| generic.to_owned()),
            group: self.group.unwrap_or_else(|| "unknown".to_owned()),
            is_text: self.is_text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(json: &str) -> Result<ContentTypes, Error> {
        ContentTypes::from_assets(&Assets::from_pairs([(CONTENT_TYPES_ASSET, json)]))
    }

    #[test]
    fn nulls_become_generic() {
        let table = table(
            r#"{
                "pdf": {"mime_type": "application/pdf", "group": "document", "is_text": false},
                "awk": {"mime_type": null, "group": null, "is_text": true, "extensions": []},
                "raw": {"mime_type": null, "group": null, "is_text": false}
            }"#,
        )
        .unwrap();
        let parts = |label: &str| {
            let found = table.content_type(label, "a test").unwrap();
            (found.mime_type.clone(), found.group.clone(), found.is_text)
        };
        assert_eq!(
            parts("pdf"),
            ("application/pdf".into(), "document".into(), false)
        );
        assert_eq!(parts("awk"), ("text/plain".into(), "unknown".into(), true));
        assert_eq!(
            parts("raw"),
            ("application/octet-stream".into(), "unknown".into(), false)
        );
    }

    #[test]
    fn errors_name_the_asset_and_the_place() {
        for (json, expected) in [
            ("{", "asset \"content_types.json\": EOF while parsing"),
            (
                "[]",
                "asset \"content_types.json\": invalid type: sequence, expected a map",
            ),
            (
                r#"{"pdf": {"group": null, "is_text": false}}"#,
                "asset \"content_types.json\": missing field `mime_type` at line 1 column 41",
            ),
        ] {
            let error = table(json).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = table("{}")
            .unwrap()
            .content_type("txt", "an empty file")
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "asset \"content_types.json\" has no entry \"txt\", which an empty file uses"
        );
        let error = ContentTypes::from_assets(&Assets::none()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no asset \"content_types.json\"; there are none"
        );
    }

    #[test]
    fn an_answer_has_the_tensors_it_promises() {
        let table =
            table(r#"{"awk": {"mime_type": "text/awk", "group": "code", "is_text": true}}"#);
        let answer = table
            .unwrap()
            .content_type("awk", "a test")
            .unwrap()
            .answer(0.5)
            .unwrap();
        let found = answer
            .tensors()
            .map(|(name, tensor)| (name, tensor.datatype()));
        assert_eq!(found.collect::<Vec<_>>(), ANSWER);
        assert!(answer.tensors().all(|(_, tensor)| tensor.shape() == [1]));
        assert_eq!(answer.tensor("label").unwrap().text().unwrap(), "awk");
        assert_eq!(
            answer.tensor("score").unwrap().element::<f32>().unwrap(),
            0.5
        );
        assert_eq!(
            answer.tensor("mime_type").unwrap().text().unwrap(),
            "text/awk"
        );
        assert_eq!(answer.tensor("group").unwrap().text().unwrap(), "code");
    }
}
