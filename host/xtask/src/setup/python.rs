//! The Python of this machine, and the environment that set-up makes with it.

use super::requirements;
use crate::digest::Stamp;
use crate::failure::Failure;
use crate::layout::Layout;
use crate::process::{self, Program};
use crate::progress::Progress;
use std::fs;
use std::path::{Path, PathBuf};

/// The oldest Python for whose version wheels are pinned.
const LEAST: (u32, u32) = (3, 11);
const LEAST_SHOWN: &str = "3.11";

/// What is written into the environment when it is complete.
const STAMP: &str = "consort.stamp";

/// This machine's `python3`.
pub(crate) fn find() -> Result<PathBuf, Failure> {
    match process::find("python3") {
        Some(python) => Ok(python),
        // Let the start fail, for its message.
        None => {
            Program::new("python3")
                .arg("--version")
                .advice("on Debian or Ubuntu, `apt install python3 python3-pip python3-venv`")
                .output()?;
            Ok(PathBuf::from("python3"))
        }
    }
}

/// Refuses a Python without the module, naming the package that has it.
pub(crate) fn needs_module(
    python: &Path,
    module: &'static str,
    package: &'static str,
) -> Result<(), Failure> {
    let found = Program::new(python)
        .arg("-c")
        .arg(format!("import {module}"))
        .output();
    match found {
        Ok(_) => Ok(()),
        Err(process::ProcessError::Failed { .. }) => Err(Failure::PythonModule { module, package }),
        Err(other) => Err(other.into()),
    }
}

/// Makes sure that the environment is there and holds exactly the pinned packages.
pub(crate) fn environment(layout: &Layout, progress: Progress) -> Result<(), Failure> {
    environment_of(
        layout,
        progress,
        "Python environment",
        &layout.venv(),
        requirements::TEXT,
    )
}

/// The same for any folder and any packages, each pinned with its digests.
pub(crate) fn environment_of(
    layout: &Layout,
    progress: Progress,
    title: &str,
    venv: &Path,
    packages: &str,
) -> Result<(), Failure> {
    let pinned = requirements::parse(packages)?;
    let venv_python = venv.join("bin/python");
    let mut step = progress.step(&format!("{title}, {} packages", pinned.len()));
    let python = find()?;
    let version = version(&python)?;
    let stamp_path = venv.join(STAMP);
    let mut stamp = Stamp::default();
    stamp.text("requirements", packages);
    stamp.text("version", &version);
    // An environment holds absolute paths: a checkout that was moved gets a new one.
    stamp.text("place", &venv.to_string_lossy());
    let stamp = stamp.finish();
    let made = fs::read_to_string(&stamp_path).is_ok_and(|found| found == stamp);
    if made && venv_python.exists() {
        step.ready();
        return Ok(());
    }
    if parse_version(&version).is_none_or(|found| found < LEAST) {
        return Err(Failure::PythonTooOld {
            found: version,
            least: LEAST_SHOWN,
        });
    }
    needs_module(&python, "ensurepip", "python3-venv")?;
    step.needs("installing");
    Program::new(&python)
        .args(["-m", "venv", "--clear"])
        .arg(venv)
        .advice("on Debian or Ubuntu, `apt install python3-venv`")
        .quietly(&mut step)?;
    // What is installed is what was pinned when this program was built: write it out, so that
    // a file edited since cannot differ from the stamp.
    let file = venv.join("requirements.txt");
    fs::write(&file, packages).map_err(Failure::file("cannot write", &file))?;
    Program::new(&venv_python)
        .args([
            "-m",
            "pip",
            "install",
            "--require-hashes",
            "--only-binary=:all:",
        ])
        .args([
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar=off",
        ])
        // The wheels that set-up has already fetched need no second download.
        .arg("--find-links")
        .arg(layout.wheels())
        .arg("--requirement")
        .arg(&file)
        .advice(
            "see whether pip reaches a package index from here (a proxy is PIP_PROXY, an index of \
             your own PIP_INDEX_URL); without the Python side: `cargo xtask setup --no-python`",
        )
        .quietly(&mut step)?;
    fs::write(&stamp_path, stamp).map_err(Failure::file("cannot write", &stamp_path))?;
    step.done();
    Ok(())
}

fn version(python: &Path) -> Result<String, Failure> {
    let script = "import platform; print(platform.python_version())";
    let text = Program::new(python).args(["-I", "-c", script]).output()?;
    Ok(text.trim().to_owned())
}

/// The first two numbers of "3.11.7".
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(parse_version("3.11.7"), Some((3, 11)));
        assert_eq!(parse_version("3.9.18"), Some((3, 9)));
        assert!(parse_version("3.9.18").unwrap() < LEAST);
        assert!(parse_version("3.14.0rc1").unwrap() > LEAST);
        assert_eq!(parse_version("three"), None);
        assert_eq!(format!("{}.{}", LEAST.0, LEAST.1), LEAST_SHOWN);
    }

    #[test]
    fn a_module_that_is_missing_names_its_package() {
        let python = find().unwrap();
        needs_module(&python, "json", "python3").unwrap();
        let error = needs_module(&python, "consort_no_such_module", "python3-none").unwrap_err();
        assert_eq!(
            error.to_string(),
            "this python3 has no module `consort_no_such_module`\n  what to do: on Debian or \
             Ubuntu, `apt install python3-none`"
        );
    }
}
