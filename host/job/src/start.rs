//! The beginning of a job: everything is checked and opened before anything is emptied.

use crate::feed::{Done, Own};
use crate::format::{self, Format};
use crate::journal::Fingerprint;
use crate::layout::Layout;
use crate::parts::{self, Found, Parts};
use crate::render::Style;
use crate::sink::{OpenOutputs, OutputForm};
use crate::source::{OpenSource, SourceError};
use crate::summary::{Ended, Failures};
use crate::writer::{Destination, Tally};
use crate::{Config, JobError, Outputs, Sink, Source, Summary};
use consort_inference::{Endpoint, Signature};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Who answers.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) signature: Signature,
}

/// What a job begins with.
pub(crate) enum Beginning {
    Begun(Box<Begun>),
    /// An earlier run had done it all.
    Finished(Tally),
}

/// A job of which everything is open.
pub(crate) struct Begun {
    pub(crate) source: OpenSource,
    pub(crate) destination: Destination,
    pub(crate) own: Own,
    pub(crate) done: Done,
    /// Examples that an earlier run had done.
    pub(crate) resumed: u64,
    pub(crate) style: Style,
    /// Whether dead letters are written.
    pub(crate) dead_letters: bool,
}

/// Checks what can be checked without looking at a file's content.
pub(crate) fn check(
    endpoint: &dyn Endpoint,
    source: &Source,
    outputs: &Outputs,
    config: &Config,
) -> Result<(), JobError> {
    let name = || endpoint.name().to_owned();
    source.check(&config.files, endpoint.name())?;
    if !config.files.is_empty() {
        let checked = config.files.check(endpoint.signature());
        checked.map_err(|mismatch| JobError::FileTensors {
            endpoint: name(),
            mismatch,
        })?;
    }
    let columns = config.columns.check(endpoint.signature());
    columns.map_err(|source| JobError::Columns {
        endpoint: name(),
        source,
    })?;
    let has_columns = format_of(outputs, config) != Format::Jsonl;
    if has_columns && endpoint.signature().outputs.is_empty() && !config.dry_run {
        return Err(JobError::NoColumns { endpoint: name() });
    }
    if config.dry_run {
        return Ok(());
    }
    if config.resume && endpoint.keeps_state() {
        let name = endpoint.name();
        let what = format!("{name:?} keeps states of streams, which end with the run");
        return Err(JobError::NotResumable { what });
    }
    outputs.check_against(&source.known_files())
}

/// Opens the source, then the outputs or the parts. Blocks.
pub(crate) fn begin(
    endpoint: Named,
    source: Source,
    outputs: &Outputs,
    config: &Config,
) -> Result<Beginning, JobError> {
    let files = output_files(outputs);
    let folders: Vec<PathBuf> = files.iter().map(|path| parts::folder(path)).collect();
    let own: Vec<PathBuf> = files.iter().chain(&folders).cloned().collect();
    let may_name_files = source.may_name_files(&config.files);
    let source = source.open(config, &endpoint.signature, &own);
    let source = source.map_err(|SourceError { name, error }| JobError::Read {
        name,
        source: error,
        summary: Box::new(Summary::new(
            0,
            Failures::default(),
            Ended::Failed,
            Duration::ZERO,
        )),
    })?;
    let mut own = Own {
        files: Vec::new(),
        folders,
    };
    if config.dry_run {
        return Ok(Beginning::Begun(Box::new(Begun {
            source,
            destination: Destination::Nowhere,
            own,
            done: Done::default(),
            resumed: 0,
            style: Style::Jsonl,
            dead_letters: false,
        })));
    }
    let layout = Arc::new(Layout::of(&endpoint.signature, config.include_example));
    let path = match &outputs.predictions {
        Sink::File(path) => Some(path.as_path()),
        Sink::Stdout => None,
    };
    let form = OutputForm {
        format: format_of(outputs, config),
        layout: layout.clone(),
        delimiter: format::delimiter(config.csv_delimiter, path),
        row_group_bytes_max: config.row_group_bytes_max,
    };
    let style = match form.format {
        Format::Jsonl => Style::Jsonl,
        Format::Csv => Style::Csv(layout, form.delimiter),
        Format::Parquet => Style::Table(layout),
    };
    let (destination, done, resumed) = match config.resume {
        false => {
            let open = OpenOutputs::open(outputs, &form, may_name_files)?;
            own.files.clone_from(&open.ids);
            (Destination::Outputs(Box::new(open)), Done::default(), 0)
        }
        true => {
            let Some(input) = &source.identity else {
                let what = "the input is no file, so it cannot be read a second time".to_owned();
                return Err(JobError::NotResumable { what });
            };
            let fingerprint = fingerprint(&endpoint, input, outputs, &form, config);
            let ids = files
                .iter()
                .filter_map(|path| crate::os::FileId::of_path(path));
            own.files = ids.collect();
            match Parts::open(outputs, form, config, &fingerprint)? {
                Found::Finished(tally) => return Ok(Beginning::Finished(tally)),
                Found::Unfinished(_)
                    if may_name_files && files.iter().any(|path| has_content(path)) =>
                {
                    let what = "the input may name the output, which has content that would be \
                                replaced; remove it first, or give another output";
                    return Err(JobError::NotResumable {
                        what: what.to_owned(),
                    });
                }
                Found::Unfinished(parts) => {
                    let (done, tally) = (parts.done(), parts.tally());
                    let resumed = tally.predicted + tally.failures.total();
                    (Destination::Parts(parts), done, resumed)
                }
            }
        }
    };
    Ok(Beginning::Begun(Box::new(Begun {
        source,
        destination,
        own,
        done,
        resumed,
        style,
        dead_letters: outputs.dead_letters.is_some(),
    })))
}

fn has_content(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
}

fn output_files(outputs: &Outputs) -> Vec<PathBuf> {
    let sinks = [Some(&outputs.predictions), outputs.dead_letters.as_ref()];
    let path = |sink: &Sink| match sink {
        Sink::File(path) => Some(path.clone()),
        Sink::Stdout => None,
    };
    sinks.into_iter().flatten().filter_map(path).collect()
}

fn format_of(outputs: &Outputs, config: &Config) -> Format {
    let of_path = |path: &PathBuf| Format::of_path(Path::new(path));
    let of_output = match &outputs.predictions {
        Sink::File(path) => of_path(path),
        Sink::Stdout => None,
    };
    config.output_format.or(of_output).unwrap_or(Format::Jsonl)
}

/// Everything that decides what is written, and in which order.
fn fingerprint(
    endpoint: &Named,
    input: &str,
    outputs: &Outputs,
    form: &OutputForm,
    config: &Config,
) -> Fingerprint {
    Fingerprint(vec![
        ("input", input.to_owned()),
        (
            "endpoint",
            format!("{}, version {}", endpoint.name, endpoint.version),
        ),
        ("files", format!("{:?}", config.files)),
        ("columns", format!("{:?}", config.columns)),
        ("csv_delimiter", format!("{:?}", config.csv_delimiter)),
        ("limit", format!("{:?}", config.limit)),
        ("sample", format!("{:?}", config.sample)),
        ("line_bytes_max", config.line_bytes_max.to_string()),
        ("output format", format!("{:?}", form.format)),
        ("output delimiter", form.delimiter.to_string()),
        ("include_example", config.include_example.to_string()),
        ("dead letters", format!("{:?}", outputs.dead_letters)),
    ])
}
