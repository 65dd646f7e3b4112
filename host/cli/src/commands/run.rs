//! `consort run`: files or lines in, one line out for each.

use crate::args::{Global, InputFormat, Run};
use crate::assemble::load;
use crate::configs;
use crate::exit::Exit;
use crate::figures;
use crate::host::{Host, Telemetry};
use crate::manifest::ManifestFile;
use crate::print;
use crate::trace::Recorder;
use crate::updates::Updates;
use consort_ensemble::{Ensemble, StepStats};
use consort_inference::Endpoint;
use consort_job::{
    Ended, Format, JobError, Outputs, Pace, Progress, Sample, Separator, Sink, Source, Summary,
    Text,
};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// A job that is ready to run.
struct Prepared {
    ensemble: Arc<Ensemble>,
    source: Source,
    outputs: Outputs,
    config: consort_job::Config,
}

/// Loads, runs the job and sums up.
pub(crate) async fn run(global: &Global, run: Run) -> Exit {
    let mut telemetry = Telemetry::new();
    let (file, host) = match load(&run.manifest, global, &mut telemetry).await {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    for note in &host.notes {
        print::note(&format!("note: {note}"));
    }
    let prepared = prepare(&file, &host, &run).and_then(|mut job| {
        let updates = follow(&run, &host, &mut job)?;
        let folder = run.trace.as_ref().filter(|_| !run.dry_run);
        let recorder = folder.map(|folder| Recorder::new(folder, run.trace_calls));
        Ok((job, updates, recorder.transpose()?))
    });
    let (job, updates, recorder) = match prepared {
        Ok(prepared) => prepared,
        Err(message) => {
            print::error(&message);
            return Exit::Unusable;
        }
    };
    let ensemble = job.ensemble.clone();
    let done = consort_job::run(
        Recorder::around(recorder.as_ref(), job.ensemble),
        job.source,
        job.outputs,
        job.config,
        interrupt(),
    )
    .await;
    let exit = match done {
        Ok(mut summary) => {
            show(&mut summary, &ensemble, &host, updates.as_ref());
            figures::add_beam(&mut summary, &host.registry);
            figures::add_families(&mut summary, &telemetry.registry);
            write_metrics(&run, &summary);
            match summary.ended {
                Ended::Interrupted => Exit::Interrupted,
                Ended::OutputClosed | Ended::Failed => Exit::BrokenOff,
                Ended::Complete if summary.failures.total() > 0 => Exit::SomeFailed,
                Ended::Complete => Exit::Success,
            }
        }
        Err(mut error) => {
            if let JobError::Read { summary, .. }
            | JobError::Write { summary, .. }
            | JobError::FailFast { summary, .. } = &mut error
            {
                show(summary, &ensemble, &host, updates.as_ref());
            }
            print::error(&error.to_string());
            exit_of(&error)
        }
    };
    if exit != Exit::Interrupted {
        host.registry.drain().await;
    }
    exit
}

fn prepare(file: &ManifestFile, host: &Host, run: &Run) -> Result<Prepared, String> {
    let ensemble = host.choose(run.ensemble.as_deref())?.clone();
    let config = config(file, run, ensemble.name());
    let source = source(run, !config.files.is_empty())?;
    spare_own_files(file, run)?;
    let outputs = Outputs {
        predictions: sink(&run.output),
        dead_letters: run.dead_letter.as_deref().map(sink),
    };
    Ok(Prepared {
        ensemble,
        source,
        outputs,
        config,
    })
}

/// Begins to follow the stream of updates, if there is one.
fn follow(run: &Run, host: &Host, job: &mut Prepared) -> Result<Option<Updates>, String> {
    let Some(path) = run.updates.as_ref().filter(|_| !run.dry_run) else {
        return Ok(None);
    };
    let (keeper, pace) = Pace::new();
    let updates = Updates::follow(path, host.repository(), keeper)?;
    job.config.pace = Some(pace);
    Ok(Some(updates))
}

/// A slip of the hand must not replace the manifest, or what it names, by predictions.
fn spare_own_files(file: &ManifestFile, run: &Run) -> Result<(), String> {
    let manifest = &file.manifest;
    let models = manifest.models.iter().flat_map(|model| {
        let files = [
            &model.path,
            &model.warm_up,
            &model.ca_file,
            &model.token_file,
        ];
        files.into_iter().flatten().map(|path| path.as_path())
    });
    let plugins = manifest.plugins.iter().map(|plugin| plugin.path.as_path());
    let assets = manifest
        .plugins
        .iter()
        .flat_map(|plugin| plugin.assets.iter());
    let named = models
        .chain(plugins)
        .chain(assets.map(|asset| asset.value.as_path()));
    let own = named
        .map(|path| file.resolve(path))
        .chain([run.manifest.clone()])
        .chain(run.updates.clone());
    let own: Vec<PathBuf> = own.filter_map(|path| path.canonicalize().ok()).collect();
    for output in [Some(&run.output), run.dead_letter.as_ref()]
        .into_iter()
        .flatten()
    {
        if output
            .canonicalize()
            .is_ok_and(|output| own.contains(&output))
        {
            let output = output.display();
            return Err(format!(
                "{output} is the manifest or a file that it names: write elsewhere"
            ));
        }
    }
    Ok(())
}

fn config(file: &ManifestFile, run: &Run, ensemble: &str) -> consort_job::Config {
    let base = configs::job(file, ensemble);
    // What the ensemble would refuse is not handed to it.
    let taken = file.manifest.ensemble(ensemble);
    let taken = taken.map_or(usize::MAX, |entry| *entry.max_inflight);
    consort_job::Config {
        inflight_max: base.inflight_max.min(taken),
        ordered: run.ordered || base.ordered,
        limit: run.limit,
        sample: run.sample.map(|fraction| Sample {
            fraction,
            seed: run.sample_seed,
        }),
        dry_run: run.dry_run,
        resume: run.resume,
        fail_fast: run.fail_fast || base.fail_fast,
        include_example: run.include_example || base.include_example,
        progress: if run.no_progress {
            Progress::Never
        } else {
            Progress::Auto
        },
        ..base
    }
}

/// Standard input is lines; anything else is files where the ensemble takes files, and rows
/// where it does not.
fn source(run: &Run, takes_files: bool) -> Result<Source, String> {
    let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
    let stdin = run.input.iter().any(is_stdin);
    let text = |path: &PathBuf| match is_stdin(path) {
        true => Text::Stdin,
        false => Text::File(path.clone()),
    };
    let rows = |format| Source::Rows {
        inputs: run.input.iter().map(text).collect(),
        format,
    };
    let lines = || match run.input.as_slice() {
        [only] => Source::Jsonl(text(only)),
        _ => rows(Some(Format::Jsonl)),
    };
    // A file whose name says nothing holds JSON lines.
    let is_text = |path: &PathBuf| {
        let unknown = path.exists() && Format::of_path(path).is_none();
        unknown || Format::of_path(path) == Some(Format::Jsonl)
    };
    let only = || match run.input.as_slice() {
        [only] => Ok(text(only)),
        _ => Err("paths are read from one input only: give a single --input".to_owned()),
    };
    Ok(match run.input_format {
        Some(InputFormat::Files) if stdin => {
            return Err(
                "standard input is no file to read: use --input-format jsonl or paths".to_owned(),
            );
        }
        Some(InputFormat::Files) => Source::Files(run.input.clone()),
        Some(InputFormat::Paths) => Source::Paths {
            text: only()?,
            separator: Separator::Newline,
        },
        Some(InputFormat::Jsonl) => lines(),
        Some(InputFormat::Csv) => rows(Some(Format::Csv)),
        Some(InputFormat::Parquet) => rows(Some(Format::Parquet)),
        None if stdin => lines(),
        None if takes_files => Source::Files(run.input.clone()),
        None => match run.input.as_slice() {
            [only] if !only.is_dir() && is_text(only) => lines(),
            _ => rows(None),
        },
    })
}

fn sink(path: &Path) -> Sink {
    if path.as_os_str() == "-" {
        Sink::Stdout
    } else {
        Sink::File(path.to_owned())
    }
}

/// Ready at the first Ctrl-C or SIGTERM; a second one ends the process at once.
async fn interrupt() {
    let signals = signal(SignalKind::interrupt())
        .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    let Ok((mut interrupt, mut terminate)) = signals else {
        return std::future::pending().await;
    };
    let mut next = async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    next().await;
    print::note("interrupted: what is under way is finished first; once more stops at once");
    tokio::spawn(async move {
        next().await;
        print::note("stopped at once by a second signal");
        std::process::exit(130);
    });
}

/// Shows what was done, with what the job itself cannot know: batch sizes and the time of
/// each step.
fn show(summary: &mut Summary, ensemble: &Ensemble, host: &Host, updates: Option<&Updates>) {
    if let Some(updates) = updates {
        let tally = updates.end();
        summary.add_counter("model_updates", tally.switched);
        summary.add_counter("model_updates_failed", tally.failed);
        let line = format!("{} made, {} failed", tally.switched, tally.failed);
        summary.add_line("updates", line);
    }
    for model in host.registry.models() {
        let totals = model.totals();
        if totals.batches > 0 {
            let mean = totals.examples as f64 / totals.batches as f64;
            let sizes = format!(
                "{} batches, mean size {mean:.1}, largest {}",
                totals.batches, totals.largest
            );
            summary.add_line(format!("model {}", model.id().name), sizes);
        }
    }
    for (name, stage, stats) in ensemble.step_stats() {
        let StepStats {
            examples,
            failures,
            answers,
            calls,
            elapsed,
        } = stats;
        let ms = elapsed.as_secs_f64() * 1e3 / calls.max(1) as f64;
        let line = format!(
            "{examples} examples, {answers} answered, {failures} failed, {ms:.2} ms (waiting included) a call of {:.1}",
            examples as f64 / calls.max(1) as f64
        );
        summary.add_line(format!("{stage} {name}"), line);
    }
    print::note(summary.to_string().trim_end());
}

fn write_metrics(run: &Run, summary: &Summary) {
    let Some(path) = &run.metrics else { return };
    if let Err(error) = summary.write_json(path) {
        print::error(&format!("{} cannot be written: {error}", path.display()));
    }
}

/// A wrong command line or a broken machine.
fn exit_of(error: &JobError) -> Exit {
    match error {
        JobError::Read { source, .. } if source.kind() == ErrorKind::NotFound => Exit::Unusable,
        JobError::SameOutput { .. }
        | JobError::OutputIsInput { .. }
        | JobError::Columns { .. }
        | JobError::NoColumns { .. }
        | JobError::NotResumable { .. }
        | JobError::OtherJob { .. }
        | JobError::NoFileTensors { .. }
        | JobError::FileTensors { .. } => Exit::Unusable,
        _ => Exit::BrokenOff,
    }
}
