//! Starts the converting program, which is ours, and reads its answer. What it loads may be
//! anybody's code, so it gets an empty environment, a home folder of its own and a time limit.

use crate::child::{self, Outcome};
use crate::kind::Form;
use crate::report::{self, LINE_BYTES_MAX, Line, Refusal, RefusalKind, Told};
use crate::{Config, ImportError, Kind, environment};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program: file name and text.
const PROGRAM: [(&str, &str); 5] = [
    (
        "consort_convert.py",
        include_str!("../python/consort_convert.py"),
    ),
    (
        "consort_tabular.py",
        include_str!("../python/consort_tabular.py"),
    ),
    (
        "consort_agreement.py",
        include_str!("../python/consort_agreement.py"),
    ),
    (
        "consort_tensorflow.py",
        include_str!("../python/consort_tensorflow.py"),
    ),
    (
        "consort_torch.py",
        include_str!("../python/consort_torch.py"),
    ),
];

/// Converts the model into `out/model.onnx` inside of the scratch folder.
pub(crate) fn run(
    config: &Config,
    python: &Path,
    kind: Kind,
    form: Form,
    scratch: &Path,
    commands: &mut Vec<String>,
    progress: &mut dyn FnMut(&str),
) -> Result<Told, ImportError> {
    let mut command = prepare(config, python, kind, form, scratch)?;
    let line = environment::shown(&command);
    progress(&line);
    commands.push(line);
    let mut told = None;
    let mut refusal = None;
    let ended = child::run(
        &mut command,
        config.convert_time_max,
        LINE_BYTES_MAX,
        &mut |line| {
            if told.is_some() || refusal.is_some() {
                let why = "a line after the last".to_owned();
                return Err(ImportError::Garbled(why));
            }
            match report::read(line).map_err(ImportError::Garbled)? {
                Line::Progress(text) => progress(&report::plain(&text)),
                Line::Imported(what) => told = Some(*what),
                Line::Failed(why) => refusal = Some(why),
            }
            Ok(())
        },
    )
    .map_err(|error| ImportError::PythonMissing {
        python: python.to_owned(),
        problem: error.to_string(),
    })?;
    match ended.outcome {
        Outcome::Refused(error) => Err(error),
        Outcome::TimedOut => Err(ImportError::TimedOut {
            limit: config.convert_time_max,
            tail: ended.tail,
        }),
        Outcome::Exited(status) => match (told, refusal) {
            (_, Some(refusal)) => Err(refused(config, python, refusal, ended.tail)),
            (Some(told), None) if status.success() => Ok(told),
            _ => Err(ImportError::NoAnswer {
                ended: format!("ended ({})", child::ended(status)),
                tail: ended.tail,
            }),
        },
    }
}

fn prepare(
    config: &Config,
    python: &Path,
    kind: Kind,
    form: Form,
    scratch: &Path,
) -> Result<Command, ImportError> {
    let folder = |name: &str| {
        let path = scratch.join(name);
        fs::create_dir_all(&path).map_err(ImportError::file("cannot make the folder", &path))?;
        Ok(path)
    };
    let (program, home, out) = (folder("program")?, folder("home")?, folder("out")?);
    for (name, text) in PROGRAM {
        let path = program.join(name);
        fs::write(&path, text).map_err(ImportError::file("cannot write", &path))?;
    }
    let absolute = |path: &Path| -> Result<PathBuf, ImportError> {
        std::path::absolute(path).map_err(ImportError::file("cannot find", path))
    };
    let inputs = config.inputs.iter().map(|input| {
        serde_json::json!({
            "name": input.name, "datatype": input.datatype, "shape": input.shape,
        })
    });
    let request = serde_json::json!({
        "kind": kind.as_str(),
        "form": form.as_str(),
        "model": absolute(&config.model)?.to_string_lossy(),
        "out": out.join("model.onnx").to_string_lossy(),
        "inputs": inputs.collect::<Vec<_>>(),
        "opset": config.opset,
    });
    let request_path = program.join("request.json");
    fs::write(&request_path, request.to_string())
        .map_err(ImportError::file("cannot write", &request_path))?;
    // A program without a folder is looked for on the PATH, which is about to be emptied.
    let python = match python.components().count() {
        1 => python.to_owned(),
        _ => absolute(python)?,
    };
    let mut command = Command::new(python);
    command
        .args(["-I", "-B"])
        .arg(program.join("consort_convert.py"))
        .arg(request_path)
        .current_dir(&home)
        .env_clear()
        .env("HOME", &home)
        .env("TMPDIR", &home)
        .env("LANG", "C.UTF-8")
        // ONNX Runtime's Python package reports home unless told not to.
        .env("ORT_DISABLE_TELEMETRY", "1")
        .env("TF_CPP_MIN_LOG_LEVEL", "2")
        // A conversion needs no accelerator, and one may be busy.
        .env("CUDA_VISIBLE_DEVICES", "");
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    Ok(command)
}

fn refused(config: &Config, python: &Path, refusal: Refusal, tail: Vec<String>) -> ImportError {
    let message = refusal.message.trim().to_owned();
    match refusal.kind {
        RefusalKind::Package => ImportError::PackageMissing {
            package: report::plain(&message),
            python: python.to_owned(),
        },
        RefusalKind::Unsupported => ImportError::Unsupported { message },
        RefusalKind::Inputs => ImportError::Inputs { message },
        RefusalKind::File => ImportError::Damaged {
            path: config.model.clone(),
            message,
        },
        RefusalKind::Converter => ImportError::ConverterFailed { message, tail },
    }
}
