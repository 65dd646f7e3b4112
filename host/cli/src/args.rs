//! The command line: what a newcomer reads first.

use clap::{Args, Parser, Subcommand, ValueEnum};
use consort_import::{InputSpec, Kind};
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
    /// Draw an ensemble: its steps, and the tensors that go from one to the other
    Graph(Graph),
    /// Show what a plugin is: roles, imports, exports, capabilities, size
    Inspect(Inspect),
    /// Turn a model of scikit-learn, XGBoost, LightGBM, TensorFlow or PyTorch into ONNX
    Import(Import),
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

    /// Go on where an earlier run of the same job was stopped, by whatever; nothing is lost
    /// and nothing is done twice
    #[arg(long)]
    pub(crate) resume: bool,

    /// Take only this part of the input, chosen at random, such as 0.01
    #[arg(long, value_name = "FRACTION")]
    pub(crate) sample: Option<f64>,

    /// What the choice of --sample depends on
    #[arg(long, value_name = "N", default_value_t = 0, requires = "sample")]
    pub(crate) sample_seed: u64,

    /// Read and check everything, but run nothing and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Stop at the first example that fails for good
    #[arg(long)]
    pub(crate) fail_fast: bool,

    /// Put the example's own tensors into each prediction
    #[arg(long)]
    pub(crate) include_example: bool,

    /// Follow updates of models in a file of JSON lines, or a FIFO, as it grows:
    /// {"model": NAME, "path": FILE, "version": ..., "sha256": ..., "after": EXAMPLES}
    #[arg(long, value_name = "FILE")]
    pub(crate) updates: Option<PathBuf>,

    /// Write the figures of the summary as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics: Option<PathBuf>,

    /// Write where the time of the first calls went into this folder, each call as a picture
    /// (SVG) and as JSON for Chrome's trace viewer or Perfetto
    #[arg(long, value_name = "DIR")]
    pub(crate) trace: Option<PathBuf>,

    /// How many calls are traced
    #[arg(long, value_name = "N", default_value_t = 20, requires = "trace")]
    pub(crate) trace_calls: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// Each file is an example; folders are walked
    Files,
    /// Each line is the path of a file
    Paths,
    /// Each line is a JSON object {"key": ..., "inputs": {...}}, or a flat row of columns
    Jsonl,
    /// Each record is a row of columns; the first line names them
    Csv,
    /// Each row is a row of columns
    Parquet,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The manifest
    #[arg(value_name = "MANIFEST")]
    pub(crate) manifest: PathBuf,

    /// Where to listen, instead of the manifest's [server] listen; port 0 takes any
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,

    /// Write where the time of the first calls went into this folder, each call as a picture
    /// (SVG) and as JSON for Chrome's trace viewer or Perfetto
    #[arg(long, value_name = "DIR")]
    pub(crate) trace: Option<PathBuf>,

    /// How many calls are traced
    #[arg(long, value_name = "N", default_value_t = 20, requires = "trace")]
    pub(crate) trace_calls: u64,
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
pub(crate) struct Graph {
    /// The manifest
    #[arg(value_name = "MANIFEST")]
    pub(crate) manifest: PathBuf,

    /// Which ensemble or model; needed where the manifest has several ensembles
    #[arg(value_name = "ENSEMBLE")]
    pub(crate) ensemble: Option<String>,

    /// A picture for the terminal, or for everything else
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    pub(crate) format: GraphFormat,

    /// Where it goes [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Lines of text; plain ASCII where the locale is not UTF-8
    Text,
    /// An SVG
    Svg,
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

#[derive(Debug, Args)]
#[command(after_help = "\
The converters that people trust (skl2onnx, onnxmltools, tf2onnx, torch.onnx) run in a Python
environment of their own, which is made when it is first needed. Nothing is unpickled by
Consort itself, but a pickle is a program, and the converter runs it: only import files from
people you trust.")]
pub(crate) struct Import {
    /// The model: a joblib or pickle file, an XGBoost or LightGBM file, a SavedModel folder, a
    /// TorchScript or exported PyTorch file
    #[arg(value_name = "MODEL")]
    pub(crate) model: PathBuf,

    /// What made it: sklearn, xgboost, lightgbm, tensorflow, torchscript or torch-export
    /// [default: what the file looks like]
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<Kind>,

    /// Its name in the manifest [default: the file's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// An input of one example, where the model does not say it itself, such as "x=FP32[4]"
    #[arg(long, value_name = "NAME=TYPE[SHAPE]")]
    pub(crate) input: Vec<InputSpec>,

    /// Where the ONNX file and its manifest go [default: a folder of the model's name]
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,

    /// Replace what is in the output folder
    #[arg(long)]
    pub(crate) force: bool,

    /// Make the converters' environment in this folder instead of the cache
    #[arg(long, value_name = "DIR", conflicts_with = "python")]
    pub(crate) venv: Option<PathBuf>,

    /// Use this Python, which has the converters, and install nothing
    #[arg(long, value_name = "PYTHON")]
    pub(crate) python: Option<PathBuf>,

    /// Run what is in a pickle, which may be any program
    #[arg(long)]
    pub(crate) trust_pickle: bool,

    /// The version of ONNX's operators [default: the converter's choice]
    #[arg(long, value_name = "N")]
    pub(crate) opset: Option<u32>,

    /// How long the conversion may take
    #[arg(long, value_name = "N", default_value_t = 600)]
    pub(crate) timeout_seconds: u64,
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
