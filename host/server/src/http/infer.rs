//! `POST /v2/models/M[/versions/V]/infer`

use super::App;
use super::body::{self, BodyLimits};
use super::coding::{self, Coding};
use super::health::check_serving;
use super::models::check_ready;
use super::respond::{JSON, Pieces};
use super::target::Target;
use super::track::Scope;
use crate::admission::Charge;
use crate::infer;
use crate::protocol::{
    self, DecodeError, DecodeLimits, HeaderLength, InferAnswer, InferRequest, decode_infer,
    decode_raw, header_length,
};
use crate::refusal::Refusal;
use crate::tenant::tenant_of;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use consort_inference::{Endpoint, Headers, Tensor};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// Where the JSON of a body ends.
const HEADER_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// About what one row's handles take besides its bytes, for each input.
const ROW_BYTES: usize = 256;

/// Answers an inference request, or refuses it.
pub(super) async fn infer(
    State(app): State<Arc<App>>,
    target: Result<Target, Refusal>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, mut body) = request.into_parts();
    let answered = answer(&app, target, &parts, &mut body).await;
    if answered.is_err() {
        // A client that still sends would otherwise see a broken connection in place of
        // the refusal.
        body::discard(&parts.headers, &mut body).await;
    }
    answered
}

async fn answer(
    app: &App,
    target: Result<Target, Refusal>,
    parts: &Parts,
    body: &mut Body,
) -> Result<Response, Refusal> {
    let arrived = Instant::now();
    check_serving(app)?;
    let Target(endpoint) = target?;
    check_ready(&*endpoint)?;
    let coding = coding::of_request(&parts.headers)?;
    let tenant = tenant_of(&parts.headers);
    // No place is taken while the body arrives: clients that send a byte a second would
    // have them all. But a request for which there is none is told so before it sends.
    drop(app.admission.admit()?);
    let mut charge = app.admission.charge();
    let deadline = arrived + app.config.request_timeout;
    let limits = BodyLimits {
        bytes_max: app.config.body_bytes_max,
        deadline,
    };
    let body = body::collect(&parts.headers, body, limits, &mut charge).await?;
    let _permit = app.admission.admit()?;
    if let Some(scope) = Scope::of(&parts.extensions) {
        scope.received(body.len());
    }
    let decoding = decode(app, &endpoint, &parts.headers, coding, body, charge);
    let (request, mut charge) = timeout_at(deadline, decoding)
        .await
        .map_err(|_| infer::deadline_passed(endpoint.name()))??;
    charge.add(handle_bytes(&request, app.config.rows_max))?;
    let deadline = request
        .timeout
        .and_then(|timeout| arrived.checked_add(timeout))
        .map_or(deadline, |own| own.min(deadline));
    let rows_max = app.config.rows_max;
    let headers = headers_read(&*endpoint, &parts.headers);
    let answer = infer::infer(&*endpoint, request, &tenant, headers, deadline, rows_max).await?;
    encode(app, coding::of_response(&parts.headers), answer, charge).await
}

/// The headers that the endpoint reads; those that are no text are not there.
fn headers_read(endpoint: &dyn Endpoint, headers: &HeaderMap) -> Headers {
    let read = endpoint.headers().iter().flat_map(|name| {
        let values = headers.get_all(&**name).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        texts.map(|text| (name.clone(), text.into()))
    });
    read.collect()
}

/// What the handles of a request's rows will take, besides the bytes they share.
fn handle_bytes(request: &InferRequest, rows_max: usize) -> usize {
    let rows = |tensor: &Tensor| tensor.shape().first().copied().unwrap_or_default();
    request
        .inputs
        .iter()
        .map(|(_, tensor)| rows(tensor).min(rows_max).saturating_mul(ROW_BYTES))
        .fold(0, usize::saturating_add)
}

/// The request of a body, and the account of its bytes.
async fn decode(
    app: &App,
    endpoint: &Arc<dyn Endpoint>,
    headers: &HeaderMap,
    coding: Coding,
    body: Bytes,
    mut charge: Charge,
) -> Result<(InferRequest, Charge), Refusal> {
    let header = single_header(headers)?.map(|value| Bytes::copy_from_slice(value.as_bytes()));
    let limits = DecodeLimits {
        json_depth_max: app.config.json_depth_max,
    };
    let unpack = coding::UnpackLimits {
        bytes_max: app.config.body_bytes_max,
        members_max: app.config.gzip_members_max,
    };
    let endpoint = endpoint.clone();
    let size = match coding {
        Coding::Identity => json_bytes(header.as_deref(), body.len()),
        // What is in it is not known before.
        Coding::Gzip | Coding::Deflate => usize::MAX,
    };
    let work = move || {
        let body = coding::decompress(body, coding, unpack, &mut charge)?;
        let length = header_length(header.as_deref(), body.len())?;
        let request = match length {
            HeaderLength::Raw => {
                decode_raw(&body, endpoint.signature(), endpoint.has_batch_axis())?
            }
            HeaderLength::Absent | HeaderLength::Json(_) => {
                // Tensors that came as JSON are bytes besides the body.
                let json = json_bytes(header.as_deref(), body.len());
                charge.add(json)?;
                decode_infer(&body, length, &limits)?
            }
        };
        Ok((request, charge))
    };
    app.admission.codec(size, work).await?
}

/// The header of which there may be one.
fn single_header(headers: &HeaderMap) -> Result<Option<&HeaderValue>, DecodeError> {
    let mut values = headers.get_all(HEADER_LENGTH).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(DecodeError::HeaderLength {
            value: "given more than once".to_owned(),
        }),
    }
}

/// How much of a body is JSON, as far as its header can be believed.
fn json_bytes(header: Option<&[u8]>, body_bytes: usize) -> usize {
    match header_length(header, body_bytes) {
        Ok(HeaderLength::Json(length)) => length,
        Ok(HeaderLength::Raw) => 0,
        Ok(HeaderLength::Absent) | Err(_) => body_bytes,
    }
}

async fn encode(
    app: &App,
    coding: Coding,
    answer: InferAnswer,
    charge: Charge,
) -> Result<Response, Refusal> {
    let bytes: usize = answer
        .outputs
        .iter()
        .filter(|(_, _, form)| *form == protocol::Form::Json || coding != Coding::Identity)
        .map(|(_, tensor, _)| tensor.data().len())
        .sum();
    let work = move || {
        let encoded = protocol::encode_infer(&answer)?;
        let pieces = coding::compress(encoded.pieces, coding)
            .map_err(|error| Refusal::internal(format!("compressing a response: {error}")))?;
        Ok::<_, Refusal>((encoded.header_length, pieces))
    };
    let (header_length, pieces) = app.admission.codec(bytes, work).await??;
    let mut response = Response::new(Pieces::body(pieces, charge));
    let headers = response.headers_mut();
    match header_length {
        None => headers.insert(CONTENT_TYPE, JSON),
        Some(length) => {
            headers.insert(HEADER_LENGTH, HeaderValue::from(length));
            headers.insert(CONTENT_TYPE, OCTETS)
        }
    };
    if let Some(name) = coding.header_value() {
        headers.insert(CONTENT_ENCODING, name);
    }
    Ok(response)
}
