//! The part of the model's settings that says how its tokens are made.

use consort_sdk::Error;
use serde::Deserialize;

/// How tokens are made, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Tokens from the start of the file.
    pub beg_size: usize,
    /// Tokens from its end.
    pub end_size: usize,
    /// Bytes that are looked at, at each end.
    pub block_size: usize,
    /// The fewest bytes, after white space, that the model is asked about. At least 1.
    pub min_file_size: usize,
    /// The token that stands where there is no byte.
    pub padding_token: i32,
}

/// The settings as the asset has them; other keys are the labels plugin's.
#[derive(Deserialize)]
pub(crate) struct RawConfig {
    beg_size: usize,
    mid_size: usize,
    end_size: usize,
    block_size: usize,
    min_file_size_for_dl: usize,
    padding_token: i32,
    use_inputs_at_offsets: bool,
}

// === impl Config ===

impl Config {
    /// The length of the model's input.
    pub fn token_count(&self) -> usize {
        self.beg_size + self.end_size
    }
}

// === impl RawConfig ===

impl RawConfig {
    /// Checks what the functions of this crate rely on.
    pub(crate) fn checked(self) -> Result<Config, Error> {
        let refuse = |condition: bool, message: String| {
            if condition {
                Err(Error::failed(message))
            } else {
                Ok(())
            }
        };
        let block_size = self.block_size;
        refuse(
            self.mid_size != 0,
            format!("`mid_size` is {}, only 0 is supported", self.mid_size),
        )?;
        refuse(
            self.use_inputs_at_offsets,
            "`use_inputs_at_offsets` is true, only false is supported".to_owned(),
        )?;
        for (name, size) in [("beg_size", self.beg_size), ("end_size", self.end_size)] {
            refuse(
                size >= block_size,
                format!("`{name}` is {size}, less than `block_size` ({block_size}) is expected"),
            )?;
        }
        refuse(
            !(1..=self.beg_size).contains(&self.min_file_size_for_dl),
            format!(
                "`min_file_size_for_dl` is {}, 1 to `beg_size` ({}) is expected",
                self.min_file_size_for_dl, self.beg_size
            ),
        )?;
        refuse(
            (0..=255).contains(&self.padding_token),
            format!(
                "`padding_token` is {}, which is also a byte",
                self.padding_token
            ),
        )?;
        Ok(Config {
            beg_size: self.beg_size,
            end_size: self.end_size,
            block_size,
            min_file_size: self.min_file_size_for_dl,
            padding_token: self.padding_token,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn raw(key: &str, value: Value) -> RawConfig {
        let mut json = json!({
            "beg_size": 1024, "mid_size": 0, "end_size": 512, "block_size": 4096,
            "min_file_size_for_dl": 8, "padding_token": 256, "use_inputs_at_offsets": false,
        });
        json[key] = value;
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_good_config_is_taken_as_it_is() {
        let config = raw("version_major", json!(3)).checked().unwrap();
        assert_eq!(
            config,
            Config {
                beg_size: 1024,
                end_size: 512,
                block_size: 4096,
                min_file_size: 8,
                padding_token: 256,
            }
        );
        assert_eq!(config.token_count(), 1536);
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        for (key, value, message) in [
            ("mid_size", json!(4), "`mid_size` is 4, only 0 is supported"),
            (
                "use_inputs_at_offsets",
                json!(true),
                "`use_inputs_at_offsets` is true, only false is supported",
            ),
            (
                "beg_size",
                json!(4096),
                "`beg_size` is 4096, less than `block_size` (4096) is expected",
            ),
            (
                "end_size",
                json!(5000),
                "`end_size` is 5000, less than `block_size` (4096) is expected",
            ),
            (
                "min_file_size_for_dl",
                json!(0),
                "`min_file_size_for_dl` is 0, 1 to `beg_size` (1024) is expected",
            ),
            (
                "min_file_size_for_dl",
                json!(1025),
                "`min_file_size_for_dl` is 1025, 1 to `beg_size` (1024) is expected",
            ),
            (
                "padding_token",
                json!(0),
                "`padding_token` is 0, which is also a byte",
            ),
        ] {
            let error = raw(key, value).checked().unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
