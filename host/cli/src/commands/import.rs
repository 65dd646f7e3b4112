//! `consort import`: a model of another library becomes an ONNX file and a manifest.

use crate::args::{Global, Import};
use crate::assemble::user_cache_dir;
use crate::exit::Exit;
use crate::print;
use consort_import::{Config, Environment, Imported};
use std::fmt::Write as _;
use std::time::Duration;

/// Converts the model and says what was run and what came of it.
pub(crate) fn import(import: &Import, global: &Global) -> Exit {
    let Some(environment) = environment(import, global) else {
        print::error(
            "there is no cache folder to make the converters' environment in: give --venv",
        );
        return Exit::Unusable;
    };
    let config = Config {
        kind: import.kind,
        name: import.name.clone(),
        inputs: import.input.clone(),
        output: import.output.clone(),
        overwrite: import.force,
        trust_pickle: import.trust_pickle,
        opset: import.opset,
        convert_time_max: Duration::from_secs(import.timeout_seconds),
        ..Config::new(import.model.clone(), environment)
    };
    match consort_import::run(config, &mut |line| print::note(line)) {
        Ok(imported) => {
            for warning in &imported.warnings {
                print::note(&format!("warning: {warning}"));
            }
            print::out(&told(&imported));
            Exit::Success
        }
        Err(error) => {
            print::error(&error.to_string());
            Exit::Unusable
        }
    }
}

fn environment(import: &Import, global: &Global) -> Option<Environment> {
    if let Some(python) = &import.python {
        return Some(Environment::Python(python.clone()));
    }
    if let Some(venv) = &import.venv {
        return Some(Environment::Venv(venv.clone()));
    }
    let cache = global.cache_dir.clone().or_else(user_cache_dir)?;
    Some(Environment::Cache(cache.join("import")))
}

fn told(imported: &Imported) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} model \"{}\" is now {}",
        imported.kind,
        imported.name,
        imported.model.display()
    );
    for (what, version) in &imported.versions {
        let _ = writeln!(text, "  {what} {version}");
    }
    for command in &imported.commands {
        let _ = writeln!(text, "  ran {command}");
    }
    if let Some(agreement) = &imported.agreement {
        let _ = writeln!(
            text,
            "  compared on {} rows: {} labels differ, values by at most {:.1e}",
            agreement.rows, agreement.labels_differ, agreement.worst
        );
    }
    let (manifest, written) = &imported.manifest;
    let manifest = manifest.display();
    if *written {
        let _ = write!(text, "wrote {manifest}; next: consort check {manifest}");
    } else {
        let _ = write!(
            text,
            "{manifest} is there already; add to it:\n\n{}",
            imported.entry.trim_end()
        );
    }
    text
}
