//! ONNX Runtime's library: taken out of its Python wheel, and put where the built programs
//! find it when they are started by hand.

use super::pins::{ONNX_RUNTIME_VERSION, ONNX_RUNTIMES, OnnxRuntime};
use super::wheel;
use crate::failure::Failure;
use crate::layout::Layout;
use crate::progress::Progress;
use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::slice;

/// The name under which the host looks for the library beside its own executable.
const NAME_BESIDE_PROGRAMS: &str = if cfg!(target_vendor = "apple") {
    "libonnxruntime.dylib"
} else {
    "libonnxruntime.so"
};

/// Makes sure that there is a library and says where. One that `ORT_DYLIB_PATH` names wins.
pub(crate) fn install(layout: &Layout, progress: Progress) -> Result<PathBuf, Failure> {
    let named = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty());
    if let Some(path) = named {
        let path = PathBuf::from(path);
        if !path.is_file() {
            return Err(Failure::DylibPath(path));
        }
        progress.say(&format!(
            "ONNX Runtime of ORT_DYLIB_PATH, {}",
            path.display()
        ));
        return Ok(path);
    }
    let pin = pin_for(OS, ARCH)?;
    let dir = layout
        .setup()
        .join(format!("onnxruntime-{ONNX_RUNTIME_VERSION}"))
        .join("lib");
    wheel::unpack(
        layout,
        progress,
        &format!("ONNX Runtime {ONNX_RUNTIME_VERSION}"),
        &pin.wheel,
        slice::from_ref(&pin.library),
        &dir,
    )?;
    let library = dir.join(pin.library.file_name);
    beside_programs(&library, &layout.debug())?;
    Ok(library)
}

fn pin_for(os: &'static str, arch: &'static str) -> Result<&'static OnnxRuntime, Failure> {
    let found = ONNX_RUNTIMES
        .iter()
        .find(|pin| pin.os == os && pin.arch == arch);
    found.ok_or_else(|| {
        let known = ONNX_RUNTIMES
            .iter()
            .map(|pin| format!("{} on {}", pin.os, pin.arch));
        Failure::Platform {
            os,
            arch,
            known: known.collect::<Vec<_>>().join(", "),
            version: ONNX_RUNTIME_VERSION,
        }
    })
}

/// The host looks for the library beside its own executable, so that `target/debug/consort`
/// works without any variable. A hard link costs no space; a copy serves across file systems.
fn beside_programs(library: &Path, dir: &Path) -> Result<(), Failure> {
    let link = dir.join(NAME_BESIDE_PROGRAMS);
    if same_file(library, &link) {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(Failure::file("cannot make the folder", dir))?;
    match fs::remove_file(&link) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::file("cannot replace", &link)(error));
        }
        _ => {}
    }
    if fs::hard_link(library, &link).is_err() {
        fs::copy(library, &link).map_err(Failure::file("cannot write", &link))?;
    }
    Ok(())
}

/// Whether both are there and the same, by length and time: a link is, a copy is kept until
/// the library is replaced by a newer one.
fn same_file(one: &Path, other: &Path) -> bool {
    let (Ok(one), Ok(other)) = (fs::metadata(one), fs::metadata(other)) else {
        return false;
    };
    let times = (one.modified(), other.modified());
    let fresh = matches!(times, (Ok(one), Ok(other)) if other >= one);
    one.len() == other.len() && fresh
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_machine_is_told_which_are_known() {
        let error = pin_for("plan9", "mips").unwrap_err().to_string();
        assert!(
            error.starts_with("no ONNX Runtime is pinned for plan9 on mips"),
            "{error}"
        );
        assert!(
            error.contains("linux on x86_64, linux on aarch64"),
            "{error}"
        );
        assert!(error.contains("ORT_DYLIB_PATH"), "{error}");
    }

    #[test]
    fn the_library_is_put_beside_programs_and_replaced_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("libsome.so.1");
        let programs = dir.path().join("target/debug");
        fs::write(&library, "one").unwrap();
        beside_programs(&library, &programs).unwrap();
        let link = programs.join(NAME_BESIDE_PROGRAMS);
        assert_eq!(fs::read_to_string(&link).unwrap(), "one");

        // Replaced as set-up does it, by renaming: the link still is the old file.
        let newer = dir.path().join("newer");
        fs::write(&newer, "other").unwrap();
        fs::rename(&newer, &library).unwrap();
        assert_eq!(fs::read_to_string(&link).unwrap(), "one");
        beside_programs(&library, &programs).unwrap();
        assert_eq!(fs::read_to_string(&link).unwrap(), "other");
    }
}
