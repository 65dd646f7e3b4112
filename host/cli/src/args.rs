//! The command line: what a newcomer reads first.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Run and serve machine-learning models whose pre- and post-processing are sandboxed
/// WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(
    name = "consort",
    version,
    max_term_width = 100,
    subcommand_required = true
)]
#[command(after_help = "\
A manifest (TOML) names models, plugins and the ensembles made of them.

  consort check consort.toml                              is everything right?
  consort run consort.toml --input photos/ --output out.jsonl
  consort serve consort.toml                              Open Inference Protocol v2 over HTTP

Each command has its own help: consort run --help")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "For every command")]
pub(crate) struct Global {
    /// What is logged to standard error: a level (error, warn, info, debug, trace) or a
    /// filter such as "warn,consort::plugin=debug" [default: info for serve, else warn]
    #[arg(long, global = true, value_name = "FILTER", env = "CONSORT_LOG")]
    pub(crate) log: Option<String>,

    /// How log lines are written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,

    /// Where compiled plugins are kept, so that they are compiled once: a folder that nobody
    /// but you may enter (mode 700) [default: consort in the user's cache folder]
    #[arg(long, global = true, value_name = "DIR", env = "CONSORT_CACHE_DIR")]
    pub(crate) cache_dir: Option<PathBuf>,

    /// Compile plugins anew each time and keep nothing, whatever --cache-dir says
    #[arg(long, global = true)]
    pub(crate) no_cache: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for a person
    Text,
    /// A JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Predict on files or lines, one JSON line out for each
    Run(Run),
    /// Serve the manifest's ensembles and models over HTTP
    Serve(Serve),
    /// Say everything that is wrong with a manifest, its models and its plugins
    Check(Check),
    /// Show what a plugin is: roles, imports, exports, capabilities, size
    Inspect(Inspect),
    /// Print the JSON Schema of manifests, for editors
    Schema,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Each prediction is one line: {\"key\": ..., \"outputs\": {...}, \"model_id\": ...}.
Each failure is one line of the dead-letter file: {\"key\": ..., \"error\": {\"stage\", \"step\", \"kind\", \"message\"}}.

Exit status: 0 all well, 1 some examples failed, 2 the manifest or the command line is
wrong, 3 the run was broken off (a full disk, a reader that left), 130 interrupted by
Ctrl-C or SIGTERM.")]
pub(crate) struct Run {
    /// The manifest
    #[arg(value_name = "MANIFEST")]
    pub(crate) manifest: PathBuf,

    /// Files and folders to read, or "-" for standard input; may be given several times
    #[arg(long, short, required = true, num_args = 1.., value_name = "PATH")]
    pub(crate) input: Vec<PathBuf>,

    /// What the input is [default: files where the ensemble has a [ensemble.NAME.files]
    /// table, else jsonl; standard input is jsonl]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) input_format: Option<InputFormat>,

    /// Where predictions go: a file, or "-" for standard output
    #[arg(long, short, default_value = "-", value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// Where failures go; without it they are only counted and the first are shown
    #[arg(long, value_name = "FILE")]
    pub(crate) dead_letter: Option<PathBuf>,

    /// Which ensemble or model to run; needed where the manifest has several ensembles
    #[arg(long, short, value_name = "NAME")]
    pub(crate) ensemble: Option<String>,

    /// Write predictions in the order of the input
    #[arg(long)]
    pub(crate) ordered: bool,

    /// Stop after so many examples
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,

    /// Show no progress bar, even on a terminal
    #[arg(long)]
    pub(crate) no_progress: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// Each file is an example; folders are walked
    Files,
    /// Each line is the path of a file
    Paths,
    /// Each line is a JSON object {"key": ..., "inputs": {...}}
    Jsonl,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The manifest
    #[arg(value_name = "MANIFEST")]
    pub(crate) manifest: PathBuf,

    /// Where to listen, instead of the manifest's [server] listen; port 0 takes any
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The manifest
    #[arg(value_name = "MANIFEST")]
    pub(crate) manifest: PathBuf,

    /// Check the text only: load no model and no plugin
    #[arg(long)]
    pub(crate) syntax_only: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The component
    #[arg(value_name = "PLUGIN.wasm")]
    pub(crate) plugin: PathBuf,

    /// Write JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
