//! The Python that has the converters: one that the user names, or an environment of our own,
//! made once with pinned packages by pip as this machine has it set up.

use crate::child::{self, Outcome};
use crate::{Config, Environment, ImportError, Kind};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What is written into an environment when it is complete.
const STAMP: &str = "consort.stamp";

/// The longest line of pip's.
const LINE_BYTES_MAX: usize = 1 << 16;

/// How long Python may take to say its version.
const VERSION_TIME_MAX: Duration = Duration::from_secs(60);

/// The oldest Python that packages are pinned for.
const OLDEST: (u32, u32) = (3, 11);

/// The packages that some kinds of models need.
struct Recipe {
    name: &'static str,
    requirements: &'static str,
    newest: (u32, u32),
    newest_shown: &'static str,
    /// About how much is fetched.
    size: &'static str,
}

const TABULAR: Recipe = Recipe {
    name: "tabular",
    requirements: include_str!("../requirements/tabular.txt"),
    newest: (3, 14),
    newest_shown: "3.14",
    size: "150 MB",
};

const TENSORFLOW: Recipe = Recipe {
    name: "tensorflow",
    requirements: include_str!("../requirements/tensorflow.txt"),
    newest: (3, 13),
    newest_shown: "3.13",
    size: "400 MB",
};

const TORCH: Recipe = Recipe {
    name: "torch",
    requirements: include_str!("../requirements/torch.txt"),
    newest: (3, 13),
    newest_shown: "3.13",
    size: "3 GB, CUDA included; --python with an environment that has a CPU build is much smaller",
};

/// Makes sure that there is a Python with the converters, and says which.
pub(crate) fn python(
    config: &Config,
    kind: Kind,
    commands: &mut Vec<String>,
    progress: &mut dyn FnMut(&str),
) -> Result<PathBuf, ImportError> {
    let recipe = recipe(kind);
    let venv = match &config.environment {
        Environment::Python(python) => {
            version(python)?;
            return Ok(python.clone());
        }
        Environment::Venv(venv) => venv.clone(),
        Environment::Cache(folder) => folder.join(recipe.name),
    };
    let venv =
        std::path::absolute(&venv).map_err(ImportError::file("cannot find the folder", &venv))?;
    let (found, shown) = version(&config.base_python)?;
    if !(OLDEST..=recipe.newest).contains(&found) {
        return Err(ImportError::PythonVersion {
            python: config.base_python.clone(),
            found: shown,
            kind,
            newest: recipe.newest_shown,
        });
    }
    let parent = venv.parent().unwrap_or(&venv);
    fs::create_dir_all(parent).map_err(ImportError::file("cannot make the folder", parent))?;
    // Two imports at once make one environment.
    let lock_path = venv.with_extension("lock");
    let lock = File::create(&lock_path).map_err(ImportError::file("cannot write", &lock_path))?;
    lock.lock()
        .map_err(ImportError::file("cannot lock", &lock_path))?;
    let python = venv.join("bin/python");
    let stamp = stamp(recipe, &shown, &venv);
    let stamp_path = venv.join(STAMP);
    if python.exists() && fs::read_to_string(&stamp_path).is_ok_and(|found| found == stamp) {
        return Ok(python);
    }
    if venv.exists() && !venv.join("pyvenv.cfg").exists() && !is_empty(&venv) {
        return Err(ImportError::File {
            doing: "will not make an environment of the folder, which holds something else,",
            path: venv,
            source: std::io::ErrorKind::DirectoryNotEmpty.into(),
        });
    }
    progress(&format!(
        "making the Python environment {} (about {} to fetch, once)",
        venv.display(),
        recipe.size
    ));
    let mut make = Command::new(&config.base_python);
    make.args(["-m", "venv", "--clear"]).arg(&venv);
    step(&mut make, config, commands, progress)?;
    let file = venv.join("requirements.txt");
    fs::write(&file, recipe.requirements).map_err(ImportError::file("cannot write", &file))?;
    let mut install = Command::new(&python);
    install
        .args(["-m", "pip", "install", "--require-hashes", "--no-deps"])
        .args(["--only-binary=:all:", "--disable-pip-version-check"])
        .args(["--no-input", "--progress-bar=off", "--requirement"])
        .arg(&file);
    step(&mut install, config, commands, progress)?;
    fs::write(&stamp_path, stamp).map_err(ImportError::file("cannot write", &stamp_path))?;
    Ok(python)
}

fn recipe(kind: Kind) -> &'static Recipe {
    match kind {
        Kind::Sklearn | Kind::Xgboost | Kind::Lightgbm => &TABULAR,
        Kind::Tensorflow => &TENSORFLOW,
        Kind::TorchScript | Kind::TorchExport => &TORCH,
    }
}

/// Runs one command; pip's own words are the progress.
fn step(
    command: &mut Command,
    config: &Config,
    commands: &mut Vec<String>,
    progress: &mut dyn FnMut(&str),
) -> Result<(), ImportError> {
    let line = shown(command);
    progress(&line);
    commands.push(line.clone());
    let mut last = Vec::new();
    let ran = child::run(
        command,
        config.install_time_max,
        LINE_BYTES_MAX,
        &mut |line| {
            let text = crate::report::plain(&String::from_utf8_lossy(line));
            progress(text.trim());
            last = vec![text];
            Ok(())
        },
    );
    let failed = |ended: String, tail: Vec<String>| ImportError::EnvironmentFailed {
        command: line.clone(),
        ended,
        tail,
    };
    let ended = ran.map_err(|error| failed(format!("could not be started: {error}"), vec![]))?;
    match ended.outcome {
        Outcome::Exited(status) if status.success() => Ok(()),
        // What `venv` has to say, it says on standard output.
        Outcome::Exited(status) if ended.tail.is_empty() => {
            Err(failed(format!("failed ({})", child::ended(status)), last))
        }
        Outcome::Exited(status) => Err(failed(
            format!("failed ({})", child::ended(status)),
            ended.tail,
        )),
        Outcome::TimedOut => {
            let seconds = config.install_time_max.as_secs();
            Err(failed(
                format!("was ended after {seconds} seconds"),
                ended.tail,
            ))
        }
        Outcome::Refused(error) => Err(error),
    }
}

/// The first two numbers of a Python's version, and all of it.
fn version(python: &Path) -> Result<((u32, u32), String), ImportError> {
    let missing = |problem: String| ImportError::PythonMissing {
        python: python.to_owned(),
        problem,
    };
    let mut command = Command::new(python);
    command.args([
        "-I",
        "-c",
        "import platform; print(platform.python_version())",
    ]);
    let mut text = String::new();
    let ended = child::run(&mut command, VERSION_TIME_MAX, 1000, &mut |line| {
        text = String::from_utf8_lossy(line).trim().to_owned();
        Ok(())
    })
    .map_err(|error| missing(error.to_string()))?;
    match ended.outcome {
        Outcome::Exited(status) if status.success() => {}
        Outcome::Exited(status) => return Err(missing(child::ended(status))),
        Outcome::TimedOut => return Err(missing("it does not answer".to_owned())),
        Outcome::Refused(error) => return Err(error),
    }
    let mut numbers = text.split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok(((major, minor), text)),
        _ => Err(missing(format!("its version is {text:?}"))),
    }
}

/// An environment is made anew when its packages, its Python or its place have changed.
fn stamp(recipe: &Recipe, version: &str, venv: &Path) -> String {
    let mut digest = Sha256::new();
    for part in [recipe.requirements, version, &venv.to_string_lossy()] {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    crate::files::hex(&digest.finalize())
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut found| found.next().is_none())
}

/// A command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    let word = |word: &std::ffi::OsStr| {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            return word.into_owned();
        }
        format!("'{}'", word.replace('\'', r"'\''"))
    };
    words.map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// A Python that is none: it says a version, makes a folder for `venv`, and notes each call.
    fn pretender(folder: &Path, version: &str, pip: &str) -> PathBuf {
        let path = folder.join("python3");
        let log = folder.join("log").display().to_string();
        let text = format!(
            "#!/bin/sh\n\
             if [ \"$1\" = -I ]; then echo {version}; exit; fi\n\
             echo \"$*\" >> {log}\n\
             if [ \"$2\" = venv ]; then mkdir -p \"$4/bin\"; cp \"$0\" \"$4/bin/python\"; touch \"$4/pyvenv.cfg\"; exit; fi\n\
             {pip}\n"
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn config(folder: &Path, base: PathBuf) -> Config {
        let mut config = Config::new(PathBuf::new(), Environment::Cache(folder.join("envs")));
        config.base_python = base;
        config
    }

    fn made(config: &Config) -> Result<(PathBuf, Vec<String>, Vec<String>), ImportError> {
        let (mut commands, mut said) = (Vec::new(), Vec::new());
        let python = python(config, Kind::Xgboost, &mut commands, &mut |text| {
            said.push(text.to_owned());
        })?;
        Ok((python, commands, said))
    }

    #[test]
    fn an_environment_is_made_once_and_again_when_it_is_not_complete() {
        let folder = tempfile::tempdir().unwrap();
        let base = pretender(folder.path(), "3.12.1", "echo Collecting things");
        let config = config(folder.path(), base);
        let (python, commands, said) = made(&config).unwrap();
        let venv = folder.path().join("envs/tabular");
        assert_eq!(python, venv.join("bin/python"));
        assert_eq!(commands.len(), 2);
        assert!(commands[1].contains("--require-hashes"), "{commands:?}");
        assert!(said.contains(&"Collecting things".to_owned()), "{said:?}");
        let (_, commands, said) = made(&config).unwrap();
        assert!(commands.is_empty() && said.is_empty(), "{commands:?}");
        fs::remove_file(venv.join(STAMP)).unwrap();
        assert_eq!(made(&config).unwrap().1.len(), 2);
    }

    #[test]
    fn a_failed_pip_is_told_with_its_last_lines_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let base = pretender(folder.path(), "3.12.1", "echo no route >&2; exit 1");
        let config = config(folder.path(), base);
        for _ in 0..2 {
            let error = made(&config).unwrap_err().to_string();
            assert!(
                error.contains("pip install") && error.contains("no route"),
                "{error}"
            );
            assert!(error.contains("PIP_INDEX_URL"), "{error}");
        }
    }

    #[test]
    fn a_python_that_is_too_old_or_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let base = pretender(folder.path(), "3.9.2", "");
        let error = made(&config(folder.path(), base)).unwrap_err().to_string();
        assert!(
            error.contains("is Python 3.9.2") && error.contains("3.11 to 3.14"),
            "{error}"
        );
        let missing = folder.path().join("none");
        let error = made(&config(folder.path(), missing)).unwrap_err();
        assert!(
            matches!(error, ImportError::PythonMissing { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_folder_of_something_else_is_not_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let base = pretender(folder.path(), "3.12.1", "");
        let mut config = config(folder.path(), base);
        let venv = folder.path().join("documents");
        fs::create_dir(&venv).unwrap();
        fs::write(venv.join("letter.txt"), "dear").unwrap();
        config.environment = Environment::Venv(venv.clone());
        let error = made(&config).unwrap_err().to_string();
        assert!(error.contains("holds something else"), "{error}");
        assert!(venv.join("letter.txt").exists());
    }

    #[test]
    fn every_requirement_is_pinned_with_digests() {
        for recipe in [&TABULAR, &TENSORFLOW, &TORCH] {
            let lines = recipe.requirements.lines();
            let mut lines = lines.filter(|line| !line.starts_with('#')).peekable();
            assert!(lines.peek().is_some(), "{}", recipe.name);
            let mut hashes = 1;
            for line in lines {
                if line.starts_with(' ') {
                    assert!(line.trim().starts_with("--hash=sha256:"), "{line}");
                    hashes += 1;
                } else {
                    assert!(line.contains("==") && hashes > 0, "{line}");
                    hashes = 0;
                }
            }
            assert!(hashes > 0);
        }
    }
}
