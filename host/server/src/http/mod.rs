//! The protocol's paths over HTTP. Everything about HTTP is in here and in
//! [`crate::connection`]; what the bodies mean is in [`crate::protocol`].

mod body;
mod coding;
mod health;
mod infer;
mod models;
mod panic;
mod repository;
mod respond;
mod target;
mod track;

use crate::admission::Admission;
use crate::catalog::Catalog;
use crate::config::Config;
use crate::drain::Drain;
use crate::metrics::Metrics;
use crate::protocol::quoted;
use crate::refusal::Refusal;
use crate::status::Code;
use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What every handler may use.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) metrics: Metrics,
    pub(crate) registry: Arc<Registry>,
    pub(crate) admission: Admission,
    pub(crate) drain: Drain,
    /// The next request's id.
    pub(crate) next_request: AtomicU64,
}

/// The router of all paths. What goes round every request (ids, metrics, logs) is in
/// [`track`].
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/v2", get(health::server))
        .route("/v2/", get(health::server))
        .route("/v2/health/live", get(health::live))
        .route("/v2/health/ready", get(health::ready))
        .route("/v2/models/{model}", get(models::metadata))
        .route(
            "/v2/models/{model}/versions/{version}",
            get(models::metadata),
        )
        .route("/v2/models/{model}/ready", get(models::ready))
        .route(
            "/v2/models/{model}/versions/{version}/ready",
            get(models::ready),
        )
        .route("/v2/models/{model}/config", get(models::config))
        .route(
            "/v2/models/{model}/versions/{version}/config",
            get(models::config),
        )
        .route("/v2/models/{model}/infer", post(infer::infer))
        .route(
            "/v2/models/{model}/versions/{version}/infer",
            post(infer::infer),
        )
        .route("/v2/repository/index", post(repository::index))
        .route("/v2/repository/models/{model}/load", post(repository::load))
        .route(
            "/v2/repository/models/{model}/unload",
            post(repository::unload),
        )
        .route(
            "/v2/repository/models/{model}/rollback",
            post(repository::rollback),
        )
        .route("/metrics", get(health::metrics))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(from_fn_with_state(app.clone(), track::track))
        .with_state(app)
}

/// The word for a path in metrics.
fn route_label(matched: Option<&str>) -> &'static str {
    match matched {
        Some("/v2" | "/v2/") => "server_metadata",
        Some("/v2/health/live") => "live",
        Some("/v2/health/ready") => "ready",
        Some("/v2/repository/index") => "repository_index",
        Some("/metrics") => "metrics",
        Some(path) if path.ends_with("/load") => "repository_load",
        Some(path) if path.ends_with("/unload") => "repository_unload",
        Some(path) if path.ends_with("/rollback") => "repository_rollback",
        Some(path) if path.ends_with("/infer") => "infer",
        Some(path) if path.ends_with("/ready") => "model_ready",
        Some(path) if path.ends_with("/config") => "model_config",
        Some(_) => "model_metadata",
        None => "_unknown",
    }
}

async fn unknown_path(uri: Uri) -> Refusal {
    Refusal::client(
        Code::NotFound,
        format!(
            "there is nothing at {}; the paths begin with /v2, as the Open Inference Protocol \
             gives them, for example POST /v2/models/NAME/infer",
            quoted(uri.path())
        ),
    )
}

async fn unknown_method(method: Method, uri: Uri) -> Refusal {
    Refusal::client(
        Code::MethodNotAllowed,
        format!(
            "{} does not take the method {}; the header Allow lists what it takes",
            quoted(uri.path()),
            quoted(method.as_str())
        ),
    )
}

#[cfg(test)]
mod tests;
