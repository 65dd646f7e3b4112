//! What there is to call: metadata, configuration, readiness, the repository's index.

use super::body::{self, BodyLimits};
use super::health::check_serving;
use super::target::Target;
use super::{App, respond};
use crate::protocol::{
    DecodeError, IndexQuery, ModelConfig, ModelIndexEntry, ModelMetadata, quoted,
};
use crate::refusal::Refusal;
use crate::status::Code;
use axum::extract::{Request, State};
use axum::response::Response;
use consort_inference::Endpoint;
use std::sync::Arc;
use tokio::time::Instant;

/// The body of a repository index request.
const INDEX_BYTES_MAX: usize = 4 << 10;

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

/// `POST /v2/repository/index`
pub(super) async fn index(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Refusal> {
    let mut charge = app.admission.charge();
    let limits = BodyLimits {
        bytes_max: INDEX_BYTES_MAX,
        deadline: Instant::now() + app.config.request_timeout,
    };
    let (parts, mut body) = request.into_parts();
    let body = body::collect(&parts.headers, &mut body, limits, &mut charge).await?;
    let query = if body.is_empty() {
        IndexQuery::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| DecodeError::of_json(&error))?
    };
    let endpoints = app.catalog.endpoints();
    let entries: Vec<ModelIndexEntry<'_>> = endpoints
        .iter()
        .filter(|endpoint| !query.ready || endpoint.is_ready())
        .map(|endpoint| ModelIndexEntry::of(&**endpoint))
        .collect();
    respond::json(&entries)
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
