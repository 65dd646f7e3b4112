//! OpenVINO's libraries: an optional part of set-up, taken out of its Python wheel. They keep
//! their names and lie in one folder, where they find one another.

use super::pins::{OPENVINO_VERSION, OPENVINOS, OpenVino};
use super::wheel;
use crate::failure::Failure;
use crate::layout::Layout;
use crate::progress::Progress;
use std::env::consts::{ARCH, OS};
use std::path::{Path, PathBuf};

/// The variable by which the host finds them.
pub(crate) const VARIABLE: &str = "OPENVINO_INSTALL_DIR";

/// How to get them.
pub(crate) const COMMAND: &str = "cargo xtask setup --openvino";

/// Makes sure that the libraries are there and says where. A place that the variable names
/// wins.
pub(crate) fn install(layout: &Layout, progress: Progress) -> Result<PathBuf, Failure> {
    if let Some(path) = named() {
        if !path.exists() {
            return Err(Failure::OpenVinoPath(path));
        }
        progress.say(&format!("OpenVINO of {VARIABLE}, {}", path.display()));
        return Ok(path);
    }
    let pin = pin_for(OS, ARCH)?;
    let dir = dir(layout);
    wheel::unpack(
        layout,
        progress,
        &format!("OpenVINO {OPENVINO_VERSION}"),
        &pin.wheel,
        pin.libraries,
        &dir,
    )?;
    Ok(dir)
}

/// Where they are, if they have been installed or the variable names a place; verified, and
/// what is missing or damaged is fetched again.
pub(crate) fn if_wanted(layout: &Layout, progress: Progress) -> Result<Option<PathBuf>, Failure> {
    if named().is_none() && !dir(layout).exists() {
        return Ok(None);
    }
    install(layout, progress).map(Some)
}

fn named() -> Option<PathBuf> {
    let path = std::env::var_os(VARIABLE).filter(|path| !path.is_empty())?;
    // The tests run in other folders than this program.
    let path = Path::new(&path);
    Some(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()))
}

fn dir(layout: &Layout) -> PathBuf {
    layout
        .setup()
        .join(format!("openvino-{OPENVINO_VERSION}"))
        .join("lib")
}

fn pin_for(os: &'static str, arch: &'static str) -> Result<&'static OpenVino, Failure> {
    let found = OPENVINOS
        .iter()
        .find(|pin| pin.os == os && pin.arch == arch);
    found.ok_or_else(|| {
        let known = OPENVINOS
            .iter()
            .map(|pin| format!("{} on {}", pin.os, pin.arch));
        Failure::OpenVinoPlatform {
            os,
            arch,
            known: known.collect::<Vec<_>>().join(", "),
            version: OPENVINO_VERSION,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_machine_is_told_which_are_known() {
        let error = pin_for("plan9", "mips").unwrap_err().to_string();
        assert!(
            error.starts_with("no OpenVINO is pinned for plan9 on mips"),
            "{error}"
        );
        assert!(
            error.contains("linux on x86_64, linux on aarch64"),
            "{error}"
        );
        assert!(error.contains(VARIABLE), "{error}");
    }

    #[test]
    fn every_machine_gets_the_interface_for_c_and_what_it_loads() {
        for pin in OPENVINOS {
            let names: Vec<&str> = pin.libraries.iter().map(|one| one.file_name).collect();
            assert!(names[0].starts_with("libopenvino_c."), "{names:?}");
            for part in [
                "libopenvino.",
                "_ir_frontend.",
                "_onnx_frontend.",
                "_cpu_plugin.",
                "libtbb.",
            ] {
                assert!(
                    names.iter().any(|name| name.contains(part)),
                    "{part} in {names:?}"
                );
            }
        }
    }

    #[test]
    fn nothing_is_fetched_where_nobody_asked() {
        if named().is_some() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout {
            root: dir.path().to_owned(),
            target: dir.path().join("target"),
        };
        assert!(if_wanted(&layout, Progress::silent()).unwrap().is_none());
        assert!(!layout.setup().exists());
    }
}
