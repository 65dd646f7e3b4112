//! The model's outputs, each with the score it needs and the label it then gives: all
//! lookups are done once, in `init`.

use consort_sdk::Error;
use file_type_content_types::{CONFIG_ASSET, ContentType, ContentTypes, label};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What each of the model's outputs means, in the model's order.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
}

/// The answer for one file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict<'a> {
    /// What it is.
    pub content_type: &'a ContentType,
    /// The model's highest score, whichever label it led to.
    pub score: f32,
}

/// One of the model's outputs.
#[derive(Debug)]
struct Row {
    /// The score from which it is believed.
    threshold: f64,
    /// The answer when it is believed.
    sure: ContentType,
    /// The answer when it is not.
    unsure: ContentType,
}

/// The settings as the asset has them; other keys are the features plugin's.
#[derive(Deserialize)]
pub(crate) struct RawConfig {
    target_labels_space: Vec<String>,
    medium_confidence_threshold: f64,
    thresholds: BTreeMap<String, f64>,
    overwrite_map: BTreeMap<String, String>,
}

// === impl Table ===

impl Table {
    pub(crate) fn new(raw: RawConfig, types: &ContentTypes) -> Result<Self, Error> {
        let within = |error: Error| error.within(format_args!("asset \"{CONFIG_ASSET}\""));
        raw.check().map_err(within)?;
        let rows = raw
            .target_labels_space
            .iter()
            .map(|label| {
                let threshold = raw.thresholds.get(label);
                let sure = match raw.overwrite_map.get(label) {
                    Some(other) => types.content_type(other, "`overwrite_map`")?,
                    None => types.content_type(label, "`target_labels_space`")?,
                };
                // The model is trusted to have told text from other content at least.
                let generic = if sure.is_text {
                    label::TXT
                } else {
                    label::UNKNOWN
                };
                Ok(Row {
                    threshold: threshold
                        .copied()
                        .unwrap_or(raw.medium_confidence_threshold),
                    sure: sure.clone(),
                    unsure: types
                        .content_type(generic, "a score below its threshold")?
                        .clone(),
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self { rows })
    }

    /// The number of the model's outputs.
    #[expect(
        clippy::len_without_is_empty,
        reason = "`RawConfig::check` refuses none"
    )]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// What a file with these scores is. Of equal scores the first counts.
    pub fn verdict(&self, scores: &[f32]) -> Result<Verdict<'_>, Error> {
        if scores.len() != self.rows.len() {
            return Err(Error::invalid_input(format!(
                "there are {} scores, {} are expected, one for each of `target_labels_space`",
                scores.len(),
                self.rows.len()
            )));
        }
        let mut best: Option<(&Row, f32)> = None;
        for (row, score) in self.rows.iter().zip(scores) {
            if score.is_nan() {
                return Err(Error::invalid_input("a score is not a number"));
            }
            if best.is_none_or(|(_, highest)| *score > highest) {
                best = Some((row, *score));
            }
        }
        let (row, score) = best.ok_or_else(|| Error::invalid_input("there are no scores"))?;
        let content_type = if f64::from(score) >= row.threshold {
            &row.sure
        } else {
            &row.unsure
        };
        Ok(Verdict {
            content_type,
            score,
        })
    }
}

// === impl RawConfig ===

impl RawConfig {
    fn check(&self) -> Result<(), Error> {
        if self.target_labels_space.is_empty() {
            return Err(Error::failed("`target_labels_space` is empty"));
        }
        let mut known = BTreeMap::new();
        for (index, label) in self.target_labels_space.iter().enumerate() {
            if let Some(first) = known.insert(label.as_str(), index) {
                return Err(Error::failed(format!(
                    "`target_labels_space` has \"{label}\" twice, at {first} and {index}"
                )));
            }
        }
        let keys = self
            .thresholds
            .keys()
            .map(|label| ("thresholds", label))
            .chain(
                self.overwrite_map
                    .keys()
                    .map(|label| ("overwrite_map", label)),
            );
        for (key, label) in keys {
            if !known.contains_key(label.as_str()) {
                return Err(Error::failed(format!(
                    "`{key}` has \"{label}\", which is not in `target_labels_space`"
                )));
            }
        }
        let medium = (
            "`medium_confidence_threshold`".to_owned(),
            self.medium_confidence_threshold,
        );
        let thresholds = self
            .thresholds
            .iter()
            .map(|(label, threshold)| (format!("`thresholds`: \"{label}\""), *threshold));
        for (place, threshold) in thresholds.chain([medium]) {
            if !(0.0..=1.0).contains(&threshold) {
                return Err(Error::failed(format!(
                    "{place} is {threshold}, 0 to 1 is expected"
                )));
            }
        }
        Ok(())
    }
}
