//! The model repository: what there is, and the calls of operators that change it.
//!
//! The index is for everybody. The calls that change something need a
//! [`Repository`](crate::Repository), which an operator must have asked for. They take as
//! long as loading takes, whatever `request_timeout_ms` says, and a client that leaves does
//! not stop them half-way.

use super::body::{self, BodyLimits};
use super::health::check_serving;
use super::{App, respond};
use crate::protocol::{DecodeError, IndexQuery, LoadQuery, ModelIndexEntry, Reloaded};
use crate::refusal::Refusal;
use crate::status::Code;
use crate::{Answering, Repository, RepositoryError};
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use bytes::Bytes;
use std::sync::Arc;
use tokio::time::Instant;

/// The longest body of a request about the repository.
const QUERY_BYTES_MAX: usize = 4 << 10;

/// The model of `/v2/repository/models/{model}/...`, and what may change it.
pub(super) struct Subject {
    repository: Arc<dyn Repository>,
    model: String,
}

/// The body of a request about the repository, read within its limits.
pub(super) struct Query(Bytes);

/// `POST /v2/repository/index`
pub(super) async fn index(
    State(app): State<Arc<App>>,
    Query(body): Query,
) -> Result<Response, Refusal> {
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

/// `POST /v2/repository/models/M/load`
pub(super) async fn load(
    Subject { repository, model }: Subject,
    Query(body): Query,
) -> Result<Response, Refusal> {
    let wish = LoadQuery::read(&body)?;
    let loaded = to_the_end(async move { repository.load(&model, wish).await });
    answering(loaded.await?)
}

/// `POST /v2/repository/models/M/unload`
pub(super) async fn unload(
    Subject { repository, model }: Subject,
    Query(body): Query,
) -> Result<Response, Refusal> {
    LoadQuery::check_unload(&body)?;
    to_the_end(async move { repository.unload(&model).await }).await?;
    Ok(respond::empty())
}

/// `POST /v2/repository/models/M/rollback`, which is Consort's own.
pub(super) async fn rollback(
    Subject { repository, model }: Subject,
    _: Query,
) -> Result<Response, Refusal> {
    let back = to_the_end(async move { repository.rollback(&model).await });
    answering(back.await?)
}

/// Sees a call to its end, whether or not somebody waits for it.
async fn to_the_end<T: Send + 'static>(
    call: impl Future<Output = Result<T, RepositoryError>> + Send + 'static,
) -> Result<T, Refusal> {
    let joined = tokio::spawn(call).await;
    let result = joined.map_err(|error| Refusal::internal(format!("an admin call: {error}")))?;
    Ok(result?)
}

fn answering(now: Answering) -> Result<Response, Refusal> {
    respond::json(&Reloaded::of(&now))
}

// === impl Subject ===

impl FromRequestParts<Arc<App>> for Subject {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let Some(repository) = app.catalog.repository() else {
            let message = "this address takes no calls that load, unload or roll back models; \
                           write admin = true in [server] of the manifest, or, if it has \
                           admin_listen, call that address";
            return Err(Refusal::client(Code::Forbidden, message));
        };
        check_serving(app)?;
        let params = RawPathParams::from_request_parts(parts, app).await;
        let params = params.map_err(|_| {
            let message = "the path is not UTF-8 once its %-escapes are resolved";
            Refusal::client(Code::InvalidArgument, message)
        })?;
        let model = params.iter().find(|(name, _)| *name == "model");
        let model = model.map_or_else(String::new, |(_, value)| value.to_owned());
        Ok(Self { repository, model })
    }
}

// === impl Query ===

impl FromRequest<Arc<App>> for Query {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refusal> {
        let (parts, mut body) = request.into_parts();
        let mut charge = app.admission.charge();
        let limits = BodyLimits {
            bytes_max: QUERY_BYTES_MAX,
            deadline: Instant::now() + app.config.request_timeout,
        };
        let bytes = body::collect(&parts.headers, &mut body, limits, &mut charge).await?;
        Ok(Self(bytes))
    }
}

// === impl Refusal ===

impl From<RepositoryError> for Refusal {
    fn from(error: RepositoryError) -> Self {
        let message = error.to_string();
        match error {
            RepositoryError::Unknown(_) => Self::client(Code::NotFound, message),
            RepositoryError::Refused(_) => Self::client(Code::InvalidArgument, message),
            RepositoryError::Failed(_) => Self::host(Code::ModelFault, message),
            RepositoryError::NotNow(_) => Self::host(Code::Unavailable, message),
        }
    }
}
