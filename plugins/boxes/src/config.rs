//! What the plugin is told to do, checked at load.

use consort_sdk::Error;
use serde::Deserialize;

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Config {
    /// Boxes around the regions of a map, and what lies in them.
    Regions(Regions),
    /// The surest of boxes that cover one another.
    Suppress(Suppress),
}

/// How regions become boxes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Regions {
    /// The name of the map's tensor.
    pub map: String,
    /// A pixel above this is text.
    pub threshold: f32,
    /// Whether text is grown by a pixel.
    pub dilate: bool,
    /// How sure a box must be.
    pub box_threshold: f64,
    /// How far a box grows, in areas over lengths.
    pub unclip_ratio: f64,
    /// The shortest side of a region, in pixels of the map.
    pub side_min: f32,
    /// The most regions that are looked at.
    pub candidates_max: usize,
    /// The height that lines are read in.
    pub line_height: usize,
    /// The least width that they are read in.
    pub line_width_min: usize,
    /// How many are read as wide as the widest of them.
    pub line_group: usize,
}

/// Which boxes stay.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Suppress {
    /// The name of the tensor of boxes: left, top, right, bottom.
    pub boxes: String,
    /// The name of the tensor of scores.
    pub scores: String,
    /// How sure a box must be.
    pub score_threshold: f32,
    /// The most that two boxes may have in common, of what they cover together.
    pub overlap_max: f32,
    /// The most boxes that stay.
    pub boxes_max: usize,
}

// === impl Config ===

impl Config {
    /// Reads the manifest's `config`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Ok(Self::Regions(Regions::default()));
        }
        let config: Self = serde_json::from_str(text)
            .map_err(|error| Error::failed(format_args!("`config`: {error}")))?;
        match &config {
            Self::Regions(regions) => regions.check()?,
            Self::Suppress(suppress) => suppress.check()?,
        }
        Ok(config)
    }
}

// === impl Regions ===

impl Default for Regions {
    fn default() -> Self {
        Self {
            map: "map".to_owned(),
            threshold: 0.3,
            dilate: true,
            box_threshold: 0.5,
            unclip_ratio: 1.6,
            side_min: 3.0,
            candidates_max: 1000,
            line_height: 48,
            line_width_min: 320,
            line_group: 6,
        }
    }
}

impl Regions {
    fn check(&self) -> Result<(), Error> {
        for (key, value) in [
            ("threshold", f64::from(self.threshold)),
            ("box_threshold", self.box_threshold),
        ] {
            share(key, value)?;
        }
        if !(0.0..=100.0).contains(&self.unclip_ratio) {
            return refuse("unclip_ratio", self.unclip_ratio, "0 to 100");
        }
        if !(0.0..=10_000.0).contains(&self.side_min) {
            return refuse("side_min", f64::from(self.side_min), "0 to 10000");
        }
        for (key, value) in [
            ("candidates_max", self.candidates_max),
            ("line_height", self.line_height),
            ("line_width_min", self.line_width_min),
            ("line_group", self.line_group),
        ] {
            if value == 0 {
                return refuse(key, 0.0, "at least 1");
            }
        }
        Ok(())
    }
}

// === impl Suppress ===

impl Default for Suppress {
    fn default() -> Self {
        Self {
            boxes: "boxes".to_owned(),
            scores: "scores".to_owned(),
            score_threshold: 0.25,
            overlap_max: 0.45,
            boxes_max: 300,
        }
    }
}

impl Suppress {
    fn check(&self) -> Result<(), Error> {
        share("overlap_max", f64::from(self.overlap_max))?;
        if self.score_threshold.is_nan() {
            return refuse("score_threshold", f64::NAN, "a number");
        }
        Ok(())
    }
}

fn share(key: &str, value: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    refuse(key, value, "0 to 1")
}

fn refuse(key: &str, value: f64, expected: &str) -> Result<(), Error> {
    Err(Error::failed(format!(
        "`config`: `{key}` is {value}, {expected} is expected"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flaws_are_named() {
        for (text, expected) in [
            (
                r#"{"mode": "regions", "threshold": 2}"#,
                "`config`: `threshold` is 2, 0 to 1 is expected",
            ),
            (
                r#"{"mode": "regions", "line_group": 0}"#,
                "`config`: `line_group` is 0, at least 1 is expected",
            ),
            (
                r#"{"mode": "suppress", "overlap_max": -1}"#,
                "`config`: `overlap_max` is -1, 0 to 1 is expected",
            ),
        ] {
            assert_eq!(Config::parse(text).unwrap_err().message(), expected);
        }
        let error = Config::parse(r#"{"mode": "regions", "treshold": 0.1}"#).unwrap_err();
        assert!(
            error.message().contains("unknown field `treshold`"),
            "{error}"
        );
        assert!(Config::parse(r#"{"mode": "other"}"#).is_err());
    }

    #[test]
    fn nothing_means_regions() {
        assert!(matches!(Config::parse("").unwrap(), Config::Regions(_)));
    }
}
