//! A server on a real socket, and clients that are as plain as can be.

use crate::fake::{FakeCatalog, Watch};
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use consort_server::{Catalog, Config, Drained, Metrics, ServeError, serve};
use hyper::client::conn::{http1, http2};
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prometheus_client::registry::Registry;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub struct Server {
    pub address: SocketAddr,
    pub watch: Arc<Watch>,
    shutdown: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Result<Drained, ServeError>>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// One HTTP/1.1 or HTTP/2 connection.
pub enum Client {
    H1(http1::SendRequest<Body>),
    H2(http2::SendRequest<Body>),
}

pub const LENGTH: &str = "inference-header-content-length";

// === impl Server ===

impl Server {
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with(config: Config) -> Self {
        Self::serving(config, FakeCatalog::new()).await
    }

    pub async fn serving(config: Config, catalog: FakeCatalog) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let watch = catalog.watch.clone();
        let catalog: Arc<dyn Catalog> = Arc::new(catalog);
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let (shutdown, is_shutdown) = oneshot::channel();
        let is_shutdown = async {
            let _ = is_shutdown.await;
        };
        let serving = serve(
            listener,
            config,
            catalog,
            metrics,
            registry.into(),
            is_shutdown,
        );
        Self {
            address,
            watch,
            shutdown: Some(shutdown),
            serving: tokio::spawn(serving),
        }
    }

    pub fn begin_shutdown(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }

    pub async fn drained(self) -> Drained {
        self.serving.await.unwrap().unwrap()
    }

    pub async fn h1(&self) -> Client {
        let (sender, connection) = http1::handshake(self.io().await).await.unwrap();
        tokio::spawn(connection);
        Client::H1(sender)
    }

    pub async fn h2(&self) -> Client {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), self.io().await)
            .await
            .unwrap();
        tokio::spawn(connection);
        Client::H2(sender)
    }

    async fn io(&self) -> TokioIo<TcpStream> {
        TokioIo::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// One request on a connection of its own.
    pub async fn get(&self, path: &str) -> Reply {
        self.h1().await.send(Method::GET, path, &[], "").await
    }

    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        self.h1()
            .await
            .send(Method::POST, path, headers, body)
            .await
    }

    pub async fn infer(&self, model: &str, body: impl Into<Bytes>) -> Reply {
        self.post(&format!("/v2/models/{model}/infer"), &[], body)
            .await
    }

    /// JSON and binary behind it.
    pub async fn infer_binary(&self, model: &str, json: &str, binary: &[u8]) -> Reply {
        let body = [json.as_bytes(), binary].concat();
        let headers = [(LENGTH, &*json.len().to_string())];
        self.post(&format!("/v2/models/{model}/infer"), &headers, body)
            .await
    }

    /// Sends text as it is, and reads until the server closes.
    pub async fn raw(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(10), reading)
            .await
            .expect("the server closes the connection")
            .unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The metrics, once a line is among them: a request is counted just after its last
    /// byte is sent.
    #[track_caller]
    pub fn metrics_with(&self, line: &str) -> impl Future<Output = String> {
        let line = format!("{line}\n");
        async move {
            for _ in 0..500 {
                let text = self.get("/metrics").await.text();
                if text.contains(&line) {
                    return text;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            panic!("{line} never came:\n{}", self.get("/metrics").await.text());
        }
    }
}

// === impl Client ===

impl Client {
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        self.send_body(method, path, headers, Body::from(body.into()))
            .await
    }

    pub async fn send_body(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Reply {
        let response = self.request(method, path, headers, body).await.unwrap();
        let (parts, body) = response.into_parts();
        Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: to_bytes(body, usize::MAX).await.unwrap(),
        }
    }

    pub fn request(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> impl Future<Output = hyper::Result<Response<Body>>> + use<> {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let uri = |base: &str| format!("{base}{path}");
        let (one, two) = match self {
            Self::H1(sender) => {
                let request = request.uri(path).header("host", "test").body(body).unwrap();
                (Some(sender.send_request(request)), None)
            }
            Self::H2(sender) => {
                let request = request.uri(uri("http://test")).body(body).unwrap();
                (None, Some(sender.send_request(request)))
            }
        };
        async move {
            let response = match (one, two) {
                (Some(one), _) => one.await,
                (None, Some(two)) => two.await,
                (None, None) => unreachable!(),
            };
            response.map(|response| response.map(Body::new))
        }
    }
}

// === impl Reply ===

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
            .to_str()
            .unwrap()
    }

    /// The JSON and the bytes behind it.
    pub fn parts(&self) -> (Value, Bytes) {
        let length: usize = self.header(LENGTH).parse().unwrap();
        let json = serde_json::from_slice(&self.body[..length]).unwrap();
        (json, self.body.slice(length..))
    }

    /// The message of an error, whose body must be as the protocol says.
    #[track_caller]
    pub fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json");
        let json = self.json();
        let object = json.as_object().unwrap();
        assert_eq!(object.len(), 1, "{json}");
        object["error"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn refused(&self, status: u16, expected: &str) {
        let error = self.error(status);
        assert!(error.contains(expected), "{error}");
    }

    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }
}
