//! A running `consort serve`.

use crate::http::{self, Response};
use crate::{Ran, consort};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a server may take to start before a test gives up: compiling a Python plugin
/// for the first time takes most of it.
const START_LIMIT: Duration = Duration::from_secs(240);

/// A server that is stopped when it is dropped.
pub struct Server {
    child: Child,
    log: Option<JoinHandle<String>>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where else it says that it listens.
    others: Receiver<SocketAddr>,
}

impl Server {
    /// Serves a manifest on a free port and waits until it is ready.
    pub fn start(manifest: &Path) -> Self {
        Self::start_with(manifest, |command| command)
    }

    /// Serves at an address: that of a server that is gone, say.
    pub fn start_at(manifest: &Path, address: SocketAddr) -> Self {
        Self::start_listening(manifest, &address.to_string(), |command| command)
    }

    /// On a free port, with changes to the command.
    pub fn start_with(manifest: &Path, change: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        Self::start_listening(manifest, "127.0.0.1:0", change)
    }

    fn start_listening(
        manifest: &Path,
        address: &str,
        change: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let mut command = consort();
        command
            .arg("serve")
            .arg(manifest)
            .args(["--listen", address]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = change(&mut command).spawn().expect("consort serve starts");
        let addresses = addresses(child.stdout.take());
        let log = child.stderr.take().map(|mut pipe| {
            std::thread::spawn(move || {
                let mut log = Vec::new();
                let _ = pipe.read_to_end(&mut log);
                String::from_utf8_lossy(&log).into_owned()
            })
        });
        match addresses.recv_timeout(START_LIMIT) {
            Ok(address) => Self {
                child,
                log,
                address,
                others: addresses,
            },
            Err(_) => {
                let _ = child.kill();
                let log = log
                    .and_then(|thread| thread.join().ok())
                    .unwrap_or_default();
                panic!("consort serve did not start:\n{log}");
            }
        }
    }

    /// Sends a request and reads the response.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        http::request(self.address, method, path, headers, body).expect("the server answers")
    }

    /// The next address that it says it listens on.
    pub fn other_address(&self) -> SocketAddr {
        let address = self.others.recv_timeout(START_LIMIT);
        address.expect("the server names another address")
    }

    /// Posts a body.
    pub fn post(&self, path: &str, body: &str) -> Response {
        self.request("POST", path, &[], body.as_bytes())
    }

    /// Asks with GET.
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// Sends SIGTERM; does not wait.
    pub fn signal_terminate(&self) {
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
    }

    /// Waits for the end: the exit status and everything that was logged.
    pub fn wait(mut self) -> Ran {
        let status = self
            .child
            .wait()
            .ok()
            .and_then(|status| status.code())
            .unwrap_or(-1);
        let stderr = self
            .log
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default();
        Ran {
            status,
            stdout: String::new(),
            stderr,
        }
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(self) -> Ran {
        self.signal_terminate();
        self.wait()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The addresses in the server's "listening" lines; keeps reading so that it never blocks.
fn addresses(stdout: Option<impl Read + Send + 'static>) -> Receiver<SocketAddr> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let Some(stdout) = stdout else { return };
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let address = line
                .split("http://")
                .nth(1)
                .and_then(|text| text.trim().parse().ok());
            if let Some(address) = address {
                let _ = sender.send(address);
            }
        }
    });
    receiver
}
