//! Measures the server with an endpoint that does nothing: reading JSON, and one
//! request after the other on one connection.
//! `cargo run -p consort-server --example measure`

#[path = "../tests/wire/fake.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared with the tests")]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "shared with the tests"
)]
mod fake;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use consort_server::protocol::{DecodeLimits, HeaderLength, decode_infer};
use consort_server::{Config, Metrics, serve};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use prometheus_client::registry::Registry;
use std::error::Error;
use std::fmt::Write;
use std::future::pending;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

const ELEMENTS: usize = 1_000_000;
const REQUESTS: usize = 20_000;

fn json_request(datatype: &str, elements: usize) -> Bytes {
    let mut data = String::new();
    for index in 0..elements {
        let comma = if index == 0 { "" } else { "," };
        let _ = match datatype {
            "FP32" => write!(data, "{comma}{}", (index as f32).sin()),
            _ => write!(data, "{comma}{index}"),
        };
    }
    format!(
        r#"{{"inputs":[{{"name":"x","datatype":"{datatype}","shape":[1,{elements}],"data":[{data}]}}]}}"#
    )
    .into()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The best of several, which other work on the machine disturbs least.
fn time<T>(work: impl Fn() -> T) -> Duration {
    let once = || {
        let started = Instant::now();
        std::hint::black_box(work());
        started.elapsed()
    };
    (0..21).map(|_| once()).min().unwrap_or_default()
}

async fn round_trip(
    client: &mut SendRequest<Body>,
    path: &str,
    header: Option<usize>,
    body: &Bytes,
) -> Result<Bytes, Box<dyn Error>> {
    client.ready().await?;
    let mut request = Request::post(path).header("host", "x");
    if let Some(length) = header {
        request = request.header("inference-header-content-length", length);
    }
    let response = client
        .send_request(request.body(body.clone().into())?)
        .await?;
    if !response.status().is_success() {
        return Err(format!("{path}: {}", response.status()).into());
    }
    Ok(to_bytes(Body::new(response.into_body()), usize::MAX).await?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let limits = DecodeLimits {
        json_depth_max: 100,
    };
    for datatype in ["FP32", "INT32"] {
        let body = json_request(datatype, ELEMENTS);
        let ours = time(|| decode_infer(&body, HeaderLength::Absent, &limits));
        let tree = time(|| serde_json::from_slice::<serde_json::Value>(&body));
        writeln!(
            out,
            "{datatype} x {ELEMENTS} in JSON: {:.0} MB/s into tensors, {:.0} MB/s into a tree of values",
            body.len() as f64 / ours.as_secs_f64() / 1e6,
            body.len() as f64 / tree.as_secs_f64() / 1e6,
        )?;
    }

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let catalog = Arc::new(fake::FakeCatalog::new());
    let config = Config::default();
    tokio::spawn(serve(
        listener,
        config,
        catalog,
        metrics,
        registry.into(),
        pending(),
    ));

    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let small = json_request("FP32", 16);
    let head = Bytes::from_static(
        br#"{"parameters":{"binary_data_output":true},"inputs":[{"name":"x","datatype":"FP32","shape":[1,16],"parameters":{"binary_data_size":64}}]}"#,
    );
    let binary = Bytes::from([&head[..], &[0; 64]].concat());
    let infer = "/v2/models/echo_fp32/infer";
    for (what, header, body) in [
        ("JSON, 16 numbers", None, &small),
        ("binary, 16 numbers", Some(head.len()), &binary),
    ] {
        let mut times = Vec::with_capacity(REQUESTS);
        for _ in 0..REQUESTS {
            let started = Instant::now();
            round_trip(&mut client, infer, header, body).await?;
            times.push(started.elapsed());
        }
        writeln!(
            out,
            "{what}: {:?} a request (median), one connection",
            median(times)
        )?;
    }
    Ok(())
}
