//! The model repository extension: what its requests ask for and how they are answered.

use super::DecodeError;
use super::parameters::Parameters;
use crate::{Answering, Wish};
use consort_inference::Endpoint;
use serde::{Deserialize, Serialize};

/// The body of a repository index request.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct IndexQuery {
    /// Only endpoints that are ready.
    #[serde(default)]
    pub(crate) ready: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct ModelIndexEntry<'a> {
    name: &'a str,
    version: &'a str,
    state: &'static str,
    reason: &'static str,
}

/// The body of a request to load a model.
#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object with \"parameters\"")]
pub(crate) struct LoadQuery {
    parameters: Option<Parameters>,
}

/// The answer to a request that may have changed what answers. Triton's is empty.
#[derive(Debug, Serialize)]
pub(crate) struct Reloaded<'a> {
    model_name: &'a str,
    model_version: &'a str,
    /// Whether another version answers than before.
    changed: bool,
}

// === impl ModelIndexEntry ===

impl<'a> ModelIndexEntry<'a> {
    pub(crate) fn of(endpoint: &'a dyn Endpoint) -> Self {
        let (state, reason) = if endpoint.is_ready() {
            ("READY", "")
        } else {
            ("UNAVAILABLE", "not ready")
        };
        Self {
            name: endpoint.name(),
            version: endpoint.version(),
            state,
            reason,
        }
    }
}

// === impl LoadQuery ===

impl LoadQuery {
    /// What is asked for; an empty body asks for nothing special.
    pub(crate) fn read(body: &[u8]) -> Result<Wish, DecodeError> {
        let parameters = Self::parameters(body)?;
        for name in parameters.names() {
            match name {
                "version" | "sha256" => {}
                "config" => return Err(not_offered("config")),
                name if name.starts_with("file:") => return Err(not_offered("file:")),
                name => {
                    return Err(DecodeError::UnknownParameter {
                        name: name.to_owned(),
                        known: "\"version\" and \"sha256\"",
                    });
                }
            }
        }
        Ok(Wish {
            version: parameters.text("version")?,
            sha256: parameters.text("sha256")?,
        })
    }

    /// Ensembles are never taken away with their models: what Triton does for
    /// `unload_dependents` alone.
    pub(crate) fn check_unload(body: &[u8]) -> Result<(), DecodeError> {
        let parameters = Self::parameters(body)?;
        match parameters.truth("unload_dependents")? {
            Some(true) => Err(not_offered("unload_dependents")),
            Some(false) | None => Ok(()),
        }
    }

    fn parameters(body: &[u8]) -> Result<Parameters, DecodeError> {
        if body.is_empty() {
            return Ok(Parameters::default());
        }
        let query: Self =
            serde_json::from_slice(body).map_err(|error| DecodeError::of_json(&error))?;
        Ok(query.parameters.unwrap_or_default())
    }
}

fn not_offered(parameter: &'static str) -> DecodeError {
    DecodeError::Unsupported {
        parameter,
        extension: "changing a model by the request itself",
    }
}

// === impl Reloaded ===

impl<'a> Reloaded<'a> {
    pub(crate) fn of(now: &'a Answering) -> Self {
        Self {
            model_name: &now.id.name,
            model_version: &now.id.version,
            changed: now.changed,
        }
    }
}
