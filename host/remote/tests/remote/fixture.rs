//! A server that reads requests properly and answers exactly the bytes it is told to.

use consort_inference::{Batch, ModelId, Tensor, Tensors};
use consort_remote::{Api, Config, ConnectReason, Metrics, OpenInference, RemoteModel};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// The model that servers of these tests have: `y` is `x`, two numbers each.
pub(crate) const MODEL: &str = "/v2/models/m";

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What the server does.
pub(crate) enum Reply {
    /// Writes this and waits for the next request.
    Keep(Vec<u8>),
    /// Writes this and closes.
    Close(Vec<u8>),
    /// Writes this, then a byte at a time without end.
    Drip(Vec<u8>),
    /// Writes this, then as fast as it can without end.
    Flood(Vec<u8>),
    /// Nothing, until the client closes.
    Hang,
}

pub(crate) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Received>>,
    connections: Mutex<usize>,
    /// A client closed while it waited for an answer.
    left: Notify,
}

type Script = dyn Fn(&Received) -> Reply + Send + Sync;

// === impl Server ===

impl Server {
    pub(crate) async fn start(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, script).await
    }

    pub(crate) async fn start_with(
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let script: Arc<Script> = Arc::new(script);
        let task = tokio::spawn({
            let seen = seen.clone();
            async move {
                // Connections end with the server.
                let mut connections = JoinSet::new();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    *seen.connections.lock().unwrap() += 1;
                    let (seen, script, tls) = (seen.clone(), script.clone(), tls.clone());
                    connections.spawn(async move {
                        // A client that leaves early is no business of the server's.
                        let _ = match tls {
                            None => serve(stream, &seen, &*script).await,
                            Some(tls) => match tls.accept(stream).await {
                                Ok(stream) => serve(stream, &seen, &*script).await,
                                Err(error) => Err(error),
                            },
                        };
                    });
                }
            }
        });
        Self {
            address,
            task,
            seen,
        }
    }

    /// Metadata as they should be, and `script` for whatever is posted.
    pub(crate) async fn model(
        extensions: &[&str],
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let extensions = json!({"name": "s", "extensions": extensions});
        Self::start(move |request| match (&*request.method, &*request.path) {
            ("POST", _) => script(request),
            (_, "/v2") => ok(&extensions),
            (_, MODEL) => ok(&metadata()),
            _ => reply("404 Not Found", "", br#"{"error":"no such thing"}"#),
        })
        .await
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// Requests that were posted.
    pub(crate) fn posts(&self) -> Vec<Received> {
        let mut requests = self.requests();
        requests.retain(|request| request.method == "POST");
        requests
    }

    pub(crate) fn connections(&self) -> usize {
        *self.seen.connections.lock().unwrap()
    }

    pub(crate) async fn client_left(&self) {
        self.seen.left.notified().await;
    }

    pub(crate) fn config(&self) -> Config {
        let url = format!("http://127.0.0.1:{}", self.port());
        config(&url)
    }

    pub(crate) async fn connect(&self) -> RemoteModel {
        connect(self.config()).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve<S>(mut stream: S, seen: &Seen, script: &Script) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(request) = receive(&mut stream).await? {
        let reply = script(&request);
        seen.requests.lock().unwrap().push(request);
        match reply {
            Reply::Keep(bytes) => stream.write_all(&bytes).await?,
            Reply::Close(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Reply::Drip(bytes) => {
                stream.write_all(&bytes).await?;
                loop {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    stream.write_all(b" ").await?;
                    stream.flush().await?;
                }
            }
            Reply::Flood(bytes) => {
                stream.write_all(&bytes).await?;
                loop {
                    stream.write_all(&[b'x'; 4_096]).await?;
                }
            }
            Reply::Hang => {
                let gone = stream.read(&mut [0]).await;
                seen.left.notify_one();
                gone?;
            }
        }
        stream.flush().await?;
    }
    Ok(())
}

async fn receive<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<Option<Received>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return Ok(None),
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ').map(str::to_owned);
    let (method, path) = (first.next().unwrap(), first.next().unwrap());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut request = Received {
        method,
        path,
        headers,
        body: Vec::new(),
    };
    let length = request.header("content-length");
    request
        .body
        .resize(length.map_or(0, |length| length.parse().unwrap()), 0);
    stream.read_exact(&mut request.body).await?;
    Ok(Some(request))
}

// === impl Received ===

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| &**value)
    }

    /// The JSON of the body, and what follows it.
    pub(crate) fn parts(&self) -> (Value, &[u8]) {
        let length = self.header("inference-header-content-length");
        let length = length.map_or(self.body.len(), |length| length.parse().unwrap());
        let (json, blobs) = self.body.split_at(length);
        (serde_json::from_slice(json).unwrap(), blobs)
    }
}

/// An answer with its length.
pub(crate) fn reply(status: &str, headers: &str, body: &[u8]) -> Reply {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n");
    Reply::Keep([head.as_bytes(), body].concat())
}

pub(crate) fn ok(body: &Value) -> Reply {
    reply("200 OK", "", body.to_string().as_bytes())
}

pub(crate) fn metadata() -> Value {
    let tensor = |name| json!({"name": name, "datatype": "FP32", "shape": [-1, 2]});
    json!({
        "name": "m", "versions": ["3"], "platform": "test",
        "inputs": [tensor("x")], "outputs": [tensor("y")],
    })
}

/// The answer of a server that does its work.
pub(crate) fn echo(request: &Received) -> Reply {
    let (json, blobs) = request.parts();
    let mut output = json["inputs"][0].clone();
    output["name"] = json!("y");
    let answer = json!({"model_name": "m", "outputs": [output]}).to_string();
    let header = match blobs {
        [] => String::new(),
        _ => format!("Inference-Header-Content-Length: {}\r\n", answer.len()),
    };
    reply("200 OK", &header, &[answer.as_bytes(), blobs].concat())
}

/// Waits so short that a test need not be patient, and no breaker that one test could open.
pub(crate) fn config(url: &str) -> Config {
    let api = Api::OpenInference(OpenInference::new("m"));
    let mut config = Config::new(ModelId::new("m", "1"), url, api);
    config.retry.delay_initial = Duration::from_millis(1);
    config.throttle = None;
    config
}

pub(crate) async fn connect(config: Config) -> Result<RemoteModel, ConnectReason> {
    let connected = RemoteModel::connect(config, &Metrics::default()).await;
    connected.map_err(|error| {
        assert!(error.to_string().starts_with("model \"m\": "), "{error}");
        error.reason
    })
}

/// Rows of `x`.
pub(crate) fn batch(rows: &[[f32; 2]]) -> Batch {
    let row = |row: &[f32; 2]| {
        let tensor = Tensor::from_slice(vec![2], row).unwrap();
        Tensors::from_named([("x".into(), tensor)]).unwrap()
    };
    Batch::new(rows.iter().map(row).collect()).unwrap()
}

/// The numbers of `y` of each row.
pub(crate) fn numbers(rows: &[Tensors]) -> Vec<Vec<f32>> {
    let row = |row: &Tensors| row.tensor("y").unwrap().to_vec().unwrap();
    rows.iter().map(row).collect()
}
