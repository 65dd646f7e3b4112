//! The `consort` binary: the only place that knows all rooms and puts them together.
//!
//! `args.rs` is the command line, `commands/` one file a command, `configs.rs` turns the
//! manifest's values into each room's own settings, `assemble.rs` loads what the manifest
//! names and finds everything that does not fit, and `steps.rs` makes plugins and models
//! steps of an ensemble. What could live in a room does not live here.

mod adapters;
mod args;
mod assemble;
mod commands;
mod configs;
mod draw;
mod ensembles;
mod exit;
mod figures;
mod host;
mod loaders;
mod logging;
mod manifest;
mod models;
mod order;
mod patterns;
mod plugins;
mod print;
mod remote;
mod repository;
mod states;
mod steps;
mod trace;
mod updates;
mod versions;

use args::{Arguments, Command};
use clap::Parser;
use exit::Exit;
use std::process::ExitCode;

#[expect(
    unsafe_code,
    reason = "the environment is changed while there is one thread"
)]
fn main() -> ExitCode {
    // SAFETY: this is the first statement of the process: no other thread exists that
    // could read or write the environment at the same time.
    unsafe { consort_onnx::forbid_telemetry() };
    let Arguments { global, command } = Arguments::parse();
    if let Err(message) = logging::start(&global, &command) {
        print::error(&message);
        return Exit::Unusable.into();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            print::error(&format!("the system gives no threads: {error}"));
            return Exit::BrokenOff.into();
        }
    };
    let exit = match command {
        Command::Run(run) => runtime.block_on(commands::run::run(&global, run)),
        Command::Serve(serve) => runtime.block_on(commands::serve::serve(&global, serve)),
        Command::Check(check) => runtime.block_on(commands::check::check(&global, check)),
        Command::Graph(graph) => runtime.block_on(commands::graph::graph(&global, graph)),
        Command::Inspect(inspect) => commands::inspect::inspect(&inspect),
        Command::Import(import) => commands::import::import(&import, &global),
        Command::Schema => commands::schema(),
    };
    // A thread may still block in a read of standard input; the process ends all the same.
    runtime.shutdown_background();
    exit.into()
}
