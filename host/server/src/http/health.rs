//! The server as a whole: what it is, whether it lives, whether it is ready, and its
//! metrics.

use super::{App, respond};
use crate::protocol::ServerMetadata;
use crate::refusal::Refusal;
use crate::status::Code;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// `GET /v2`
pub(super) async fn server(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let admin = app.catalog.repository().is_some();
    respond::json(&ServerMetadata::new(admin))
}

/// `GET /v2/health/live`: whoever can answer this, lives.
pub(super) async fn live() -> Response {
    respond::empty()
}

/// `GET /v2/health/ready`
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    check_serving(&app)?;
    if app.catalog.is_ready() {
        return Ok(respond::empty());
    }
    let waiting: Vec<String> = app
        .catalog
        .endpoints()
        .iter()
        .filter(|endpoint| !endpoint.is_ready())
        .map(|endpoint| format!("\"{}\"", endpoint.name()))
        .collect();
    let which = match waiting.as_slice() {
        [] => String::new(),
        waiting => format!(": {} cannot answer yet", waiting.join(", ")),
    };
    Err(Refusal::host(
        Code::Unavailable,
        format!("the server is not ready{which}"),
    ))
}

/// `GET /metrics`
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &app.registry)
        .map_err(|error| Refusal::internal(format!("metrics: {error}")))?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// Refuses while the server shuts down.
pub(super) fn check_serving(app: &App) -> Result<(), Refusal> {
    if app.drain.is_serving() {
        return Ok(());
    }
    Err(Refusal::host(
        Code::Unavailable,
        "the server is shutting down and takes no more requests",
    ))
}
