//! The endpoint that a path names.

use super::App;
use super::track::Scope;
use crate::protocol::quoted;
use crate::refusal::Refusal;
use crate::status::Code;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use consort_inference::Endpoint;
use std::sync::Arc;

/// The endpoint of `/v2/models/{model}[/versions/{version}]/...`.
pub(super) struct Target(pub(super) Arc<dyn Endpoint>);

// === impl Target ===

impl FromRequestParts<Arc<App>> for Target {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let params = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|_| {
                Refusal::client(
                    Code::InvalidArgument,
                    "the path is not UTF-8 once its %-escapes are resolved",
                )
            })?;
        let (mut model, mut version) = ("", None);
        for (name, value) in &params {
            match name {
                "model" => model = value,
                _ => version = Some(value),
            }
        }
        let Some(endpoint) = app.catalog.endpoint(model) else {
            let message = format!("there is no model {}{}", quoted(model), known(app));
            return Err(Refusal::client(Code::NotFound, message));
        };
        if let Some(scope) = Scope::of(&parts.extensions) {
            scope.names_endpoint(endpoint.name());
        }
        let Some(version) = version else {
            return Ok(Self(endpoint));
        };
        match app.catalog.endpoint_version(model, version) {
            Some(endpoint) => Ok(Self(endpoint)),
            None => Err(no_version(app, &*endpoint, version)),
        }
    }
}

fn no_version(app: &App, endpoint: &dyn Endpoint, version: &str) -> Refusal {
    let versions = app.catalog.versions(endpoint);
    let there = match versions.as_slice() {
        [only] => format!("its version is {}", quoted(only)),
        several => {
            let several: Vec<String> = several.iter().map(|version| quoted(version)).collect();
            format!("its versions are {}", several.join(", "))
        }
    };
    let (name, version) = (quoted(endpoint.name()), quoted(version));
    let message = format!("model {name} has no version {version}; {there}");
    Refusal::client(Code::NotFound, message)
}

/// The names there are, for a client that mistook one.
fn known(app: &App) -> String {
    const NAMES_MAX: usize = 10;
    let endpoints = app.catalog.endpoints();
    let names: Vec<String> = endpoints
        .iter()
        .take(NAMES_MAX)
        .map(|endpoint| quoted(endpoint.name()))
        .collect();
    let more = if endpoints.len() > NAMES_MAX {
        ", ..."
    } else {
        ""
    };
    match names.as_slice() {
        [] => "; none is loaded".to_owned(),
        names => format!("; there are {}{more}", names.join(", ")),
    }
}
