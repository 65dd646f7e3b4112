//! What there is to call: metadata, configuration, readiness.

use super::health::check_serving;
use super::target::Target;
use super::{App, respond};
use crate::protocol::{ModelConfig, ModelMetadata, quoted};
use crate::refusal::Refusal;
use crate::status::Code;
use axum::extract::State;
use axum::response::Response;
use consort_inference::Endpoint;
use std::sync::Arc;

/// `GET /v2/models/M[/versions/V]`
pub(super) async fn metadata(
    State(app): State<Arc<App>>,
    Target(endpoint): Target,
) -> Result<Response, Refusal> {
    let versions = app.catalog.versions(&*endpoint);
    respond::json(&ModelMetadata::of(&*endpoint, &versions))
}

/// `GET /v2/models/M[/versions/V]/config`
pub(super) async fn config(
    State(app): State<Arc<App>>,
    Target(endpoint): Target,
) -> Result<Response, Refusal> {
    respond::json(&ModelConfig::of(&*endpoint, app.config.rows_max))
}

/// `GET /v2/models/M[/versions/V]/ready`
pub(super) async fn ready(
    State(app): State<Arc<App>>,
    Target(endpoint): Target,
) -> Result<Response, Refusal> {
    check_serving(&app)?;
    check_ready(&*endpoint)?;
    Ok(respond::empty())
}

pub(super) fn check_ready(endpoint: &dyn Endpoint) -> Result<(), Refusal> {
    if endpoint.is_ready() {
        return Ok(());
    }
    Err(Refusal::host(
        Code::Unavailable,
        format!(
            "model {} is not ready; try again later",
            quoted(endpoint.name())
        ),
    ))
}
