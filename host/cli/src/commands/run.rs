//! `consort run`: files or lines in, one line out for each.

use crate::args::{Global, InputFormat, Run};
use crate::assemble::assemble;
use crate::configs;
use crate::exit::Exit;
use crate::host::{Host, Telemetry};
use crate::manifest::ManifestFile;
use crate::print;
use consort_ensemble::{Ensemble, StepStats};
use consort_inference::Endpoint;
use consort_job::{JobError, Outputs, Progress, Separator, Sink, Source, Text};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Loads, runs the job and sums up.
pub(crate) async fn run(global: &Global, run: Run) -> Exit {
    let file = match ManifestFile::read(&run.manifest) {
        Ok(file) => file,
        Err(message) => {
            print::note(&message);
            return Exit::Unusable;
        }
    };
    let host = match assemble(&file, global, &Telemetry::new()).await {
        Ok(host) => host,
        Err(problems) => {
            print::note(&problems.to_string());
            return Exit::Unusable;
        }
    };
    for note in &host.notes {
        print::note(&format!("note: {note}"));
    }
    let prepared = host.choose(run.ensemble.as_deref()).cloned().and_then(|ensemble| {
        let config = config(&file, &run, ensemble.name());
        let source = source(&run, !config.files.is_empty())?;
        Ok((ensemble, config, source))
    });
    let (ensemble, config, source) = match prepared {
        Ok(prepared) => prepared,
        Err(message) => {
            print::error(&message);
            return Exit::Unusable;
        }
    };
    let outputs = Outputs {
        predictions: sink(&run.output),
        dead_letters: run.dead_letter.as_deref().map(sink),
    };
    let result = consort_job::run(ensemble.clone(), source, outputs, config, interrupt()).await;
    let exit = match result {
        Ok(summary) => {
            print::note(&format!("{summary}\n{}", details(&ensemble, &host)));
            match (summary.interrupted(), summary.failures() > 0) {
                (true, _) => Exit::Interrupted,
                (false, true) => Exit::SomeFailed,
                (false, false) => Exit::Success,
            }
        }
        Err(error) => {
            print::error(&error.to_string());
            exit_of(&error)
        }
    };
    if exit != Exit::Interrupted {
        host.registry.drain().await;
    }
    exit
}

fn config(file: &ManifestFile, run: &Run, ensemble: &str) -> consort_job::Config {
    consort_job::Config {
        ordered: run.ordered,
        limit: run.limit,
        progress: if run.no_progress { Progress::Never } else { Progress::Auto },
        ..configs::job(file, ensemble)
    }
}

/// Standard input is lines; anything else is files where the ensemble takes files.
fn source(run: &Run, takes_files: bool) -> Result<Source, String> {
    let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
    let stdin = run.input.iter().any(is_stdin);
    let format = run.input_format.unwrap_or(match (stdin, takes_files) {
        (false, true) => InputFormat::Files,
        _ => InputFormat::Jsonl,
    });
    let text = || match run.input.as_slice() {
        [only] if is_stdin(only) => Ok(Text::Stdin),
        [only] => Ok(Text::File(only.clone())),
        _ => Err("lines are read from one input only: give a single --input".to_owned()),
    };
    Ok(match format {
        InputFormat::Files if stdin => {
            return Err("standard input is no file to read: use --input-format jsonl or paths".to_owned());
        }
        InputFormat::Files => Source::Files(run.input.clone()),
        InputFormat::Paths => Source::Paths { text: text()?, separator: Separator::Newline },
        InputFormat::Jsonl => Source::Jsonl(text()?),
    })
}

fn sink(path: &Path) -> Sink {
    if path.as_os_str() == "-" { Sink::Stdout } else { Sink::File(path.to_owned()) }
}

/// Ready at the first Ctrl-C; a second one ends the process at once.
async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        return std::future::pending().await;
    }
    tokio::spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            print::note("stopped at once by a second Ctrl-C");
            std::process::exit(130);
        }
    });
}

/// What the job itself cannot know: batch sizes and the time of each step.
fn details(ensemble: &Arc<Ensemble>, host: &Host) -> String {
    let mut text = String::new();
    for model in host.registry.models() {
        let totals = model.batcher().totals();
        if totals.batches > 0 {
            text.push_str(&format!(
                "model {}: {} batches, {:.1} examples a batch, {} at most\n",
                model.id(),
                totals.batches,
                totals.examples as f64 / totals.batches as f64,
                totals.largest,
            ));
        }
    }
    text.push_str("step              stage        examples  answered  failed   ms an example (waiting included)");
    for (name, stage, stats) in ensemble.step_stats() {
        let StepStats { examples, failures, answers, elapsed, .. } = stats;
        let ms = elapsed.as_secs_f64() * 1e3 / examples.max(1) as f64;
        text.push_str(&format!("\n{name:<17} {stage:<12} {examples:>8}  {answers:>8}  {failures:>6}   {ms:.3}"));
    }
    text
}

/// A wrong command line or a broken machine.
fn exit_of(error: &JobError) -> Exit {
    match error {
        JobError::SameOutput { .. }
        | JobError::OutputIsInput { .. }
        | JobError::NoFileTensors { .. }
        | JobError::FileTensors { .. } => Exit::Unusable,
        _ => Exit::BrokenOff,
    }
}
