//! The parts of WASI that every component gets: clocks, random numbers, streams, and a
//! command line that is empty. Standard output and error are lines in the log; standard
//! input is closed. Sockets and files are not linked.

use crate::limits::{Limit, LimitHit};
use crate::logs::{Log, Stdio};
use crate::state::State;
use bytes::Bytes;
use std::pin::Pin;
use tokio::io::AsyncWrite;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::p2::bindings::{cli, clocks, random};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiView};
use wasmtime_wasi_io::bindings::wasi::io;

/// How much one write to a standard stream may hold.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// Gives `wasi:io` the table of the store's resources.
struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// Gives `wasi:random` its numbers, by the plugin's limit.
struct Random;

struct RandomView<'a>(&'a mut State);

impl HasData for Random {
    type Data<'a> = RandomView<'a>;
}

/// A standard stream as the guest holds it.
#[derive(Clone)]
struct LogStream {
    log: Log,
    stdio: Stdio,
}

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let l = linker;
    io::error::add_to_linker::<State, Io>(l, |state| &mut state.resources)?;
    io::poll::add_to_linker::<State, Io>(l, |state| &mut state.resources)?;
    io::streams::add_to_linker::<State, Io>(l, |state| &mut state.resources)?;
    clocks::wall_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)?;
    random::random::add_to_linker::<State, Random>(l, random_view)?;
    random::insecure::add_to_linker::<State, Random>(l, random_view)?;
    random::insecure_seed::add_to_linker::<State, Random>(l, random_view)?;
    cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)?;
    Ok(())
}

/// The context of one store: no arguments, no environment, closed input, output to the
/// log.
pub(crate) fn wasi_context(log: &Log) -> WasiCtx {
    let stream = |stdio| LogStream {
        log: log.clone(),
        stdio,
    };
    WasiCtx::builder()
        .stdout(stream(Stdio::Out))
        .stderr(stream(Stdio::Err))
        .build()
}

fn random_view(state: &mut State) -> RandomView<'_> {
    RandomView(state)
}

// === impl RandomView ===

impl RandomView<'_> {
    fn check(&self, bytes: u64) -> wasmtime::Result<()> {
        if bytes > self.0.share.limits.random_bytes_max as u64 {
            return Err(LimitHit(Limit::RandomBytes).into());
        }
        Ok(())
    }
}

impl random::random::Host for RandomView<'_> {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.check(len)?;
        random::random::Host::get_random_bytes(self.0.ctx().ctx.random(), len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        random::random::Host::get_random_u64(self.0.ctx().ctx.random())
    }
}

impl random::insecure::Host for RandomView<'_> {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.check(len)?;
        random::insecure::Host::get_insecure_random_bytes(self.0.ctx().ctx.random(), len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        random::insecure::Host::get_insecure_random_u64(self.0.ctx().ctx.random())
    }
}

impl random::insecure_seed::Host for RandomView<'_> {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        random::insecure_seed::Host::insecure_seed(self.0.ctx().ctx.random())
    }
}

// === impl LogStream ===

#[wasmtime_wasi::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.log.write(self.stdio, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(LogWriter(self.clone()))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

/// The same stream for callers that write asynchronously.
struct LogWriter(LogStream);

impl AsyncWrite for LogWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        self.0.log.write(self.0.stdio, bytes);
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}
