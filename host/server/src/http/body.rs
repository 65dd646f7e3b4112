//! Reading a request's body within limits.

use crate::admission::Charge;
use crate::refusal::Refusal;
use crate::status::Code;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Frame};
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// The first step of a body that arrives in parts.
const FIRST_BYTES: usize = 64 << 10;
/// Bytes of a refused request that are read and thrown away.
const DISCARDED_BYTES_MAX: usize = 256 << 20;
/// How long a refused request's next bytes are waited for.
const DISCARD_PAUSE_MAX: Duration = Duration::from_millis(100);
/// How long bytes of a refused request are read at all.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(1);

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimits {
    pub(super) bytes_max: usize,
    pub(super) deadline: Instant,
}

/// Reads a body into one piece. A body that comes in one part is not copied. Memory is
/// taken and charged as bytes arrive, not as they are announced.
pub(super) async fn collect(
    headers: &HeaderMap,
    body: &mut Body,
    limits: BodyLimits,
    charge: &mut Charge,
) -> Result<Bytes, Refusal> {
    let announced = content_length(headers);
    if announced.is_some_and(|length| length > limits.bytes_max as u64) {
        return Err(too_large(limits.bytes_max));
    }
    let collecting = collect_parts(body, announced, limits.bytes_max, charge);
    match timeout_at(limits.deadline, collecting).await {
        Ok(collected) => collected,
        Err(_) => Err(Refusal::client(
            Code::BodyTimeout,
            "the body did not arrive before the request's deadline",
        )),
    }
}

/// Reads what is left of a refused request, for a short while, so that the client comes
/// to read the refusal. Does nothing where the client waits to be asked for the body.
pub(super) async fn discard(headers: &HeaderMap, body: &mut Body) {
    if headers.contains_key(EXPECT) {
        return;
    }
    let discarding = async {
        let mut bytes = 0usize;
        while bytes < DISCARDED_BYTES_MAX {
            match timeout(DISCARD_PAUSE_MAX, next_frame(body)).await {
                Ok(Some(Ok(frame))) => bytes += frame.data_ref().map_or(0, Bytes::len),
                Ok(Some(Err(_)) | None) | Err(_) => return,
            }
        }
    };
    // Either way the refusal is sent now.
    let _ = timeout(DISCARD_TIME_MAX, discarding).await;
}

async fn collect_parts(
    body: &mut Body,
    announced: Option<u64>,
    bytes_max: usize,
    charge: &mut Charge,
) -> Result<Bytes, Refusal> {
    let Some(first) = next_data(body).await? else {
        return Ok(Bytes::new());
    };
    accept(0, first.len(), bytes_max, charge)?;
    if body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = next_data(body).await? else {
        return Ok(first);
    };
    let announced = announced.map_or(usize::MAX, |length| {
        usize::try_from(length).unwrap_or(usize::MAX)
    });
    let mut whole = BytesMut::new();
    grow(&mut whole, first.len() + second.len(), announced);
    whole.extend_from_slice(&first);
    let mut next = Some(second);
    while let Some(data) = next {
        accept(whole.len(), data.len(), bytes_max, charge)?;
        grow(&mut whole, data.len(), announced);
        whole.extend_from_slice(&data);
        next = next_data(body).await?;
    }
    Ok(whole.freeze())
}

/// Doubles, but not beyond what was announced.
fn grow(whole: &mut BytesMut, more: usize, announced: usize) {
    if whole.capacity() - whole.len() >= more {
        return;
    }
    let needed = whole.len() + more;
    let target = needed.max(whole.len() * 2).max(FIRST_BYTES);
    whole.reserve(target.min(announced.max(needed)) - whole.len());
}

fn accept(have: usize, more: usize, bytes_max: usize, charge: &mut Charge) -> Result<(), Refusal> {
    if have + more > bytes_max {
        return Err(too_large(bytes_max));
    }
    charge.add(more)
}

pub(super) fn too_large(bytes_max: usize) -> Refusal {
    Refusal::client(
        Code::TooLarge,
        format!(
            "the body, decompressed, is over the limit of {bytes_max} bytes; send fewer rows in \
             one request"
        ),
    )
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn next_data(body: &mut Body) -> Result<Option<Bytes>, Refusal> {
    loop {
        match next_frame(body).await {
            None => return Ok(None),
            Some(Err(_)) => {
                return Err(Refusal::client(
                    Code::InvalidArgument,
                    "the body broke off before its end",
                ));
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => return Ok(Some(data)),
                // Trailers say nothing here.
                Err(_) => continue,
            },
        }
    }
}

async fn next_frame(body: &mut Body) -> Option<Result<Frame<Bytes>, axum::Error>> {
    poll_fn(|task| Pin::new(&mut *body).poll_frame(task)).await
}
