//! `cargo xtask setup`: everything that a build, the demo and the tests need and that is not
//! committed. Fetches only what is pinned by digest, and nothing when all is there.

pub(crate) mod embeddings;
mod model;
pub(crate) mod ocr;
mod onnx_runtime;
mod openvino;
mod pins;
mod python;
pub(crate) mod requirements;
mod rust_target;
mod scripted;
pub(crate) mod tabular;
pub(crate) mod voice_activity;
mod wheel;

use crate::failure::Failure;
use crate::guests;
use crate::layout::Layout;
use crate::metadata::Metadata;
use crate::process::Program;
use crate::progress::Progress;
use crate::python_guest;
use std::path::{Path, PathBuf};

/// Whether the Python side is wanted: its environment and the components made with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PythonSide {
    With,
    Without,
}

/// What set-up prepared, for the tasks that go on from there.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The library of ONNX Runtime.
    library: PathBuf,
    /// The folder of OpenVINO's libraries, where that optional part has been set up.
    openvino: Option<PathBuf>,
}

/// Prepares everything; quick when there is nothing to do.
pub(crate) fn run(
    layout: &Layout,
    metadata: &Metadata,
    python_side: PythonSide,
) -> Result<Prepared, Failure> {
    let progress = Progress::new("setup");
    rust_target::install(progress)?;
    let library = onnx_runtime::install(layout, progress)?;
    let openvino = openvino::if_wanted(layout, progress)?;
    model::install(layout, progress)?;
    ocr::install(layout, progress)?;
    if python_side == PythonSide::With {
        python::environment(layout, progress)?;
        tabular::install(layout, progress)?;
        embeddings::install(layout, progress)?;
        voice_activity::install(layout, progress)?;
    }
    guests::examples(layout, metadata, progress)?;
    if python_side == PythonSide::With {
        let componentize_py = requirements::version_of("componentize-py")?;
        python_guest::LABELS.build(layout, &layout.components(), &componentize_py, progress)?;
    }
    Ok(Prepared { library, openvino })
}

/// Puts one part of what is not committed where it belongs; quick when it is there.
pub(crate) type Install = fn(&Layout, Progress) -> Result<(), Failure>;

/// Prepares what one example needs: ONNX Runtime, the plugins, and `installs`.
pub(crate) fn for_example(
    layout: &Layout,
    metadata: &Metadata,
    installs: &[Install],
) -> Result<Prepared, Failure> {
    let progress = Progress::new("setup");
    rust_target::install(progress)?;
    let library = onnx_runtime::install(layout, progress)?;
    for install in installs {
        install(layout, progress)?;
    }
    guests::examples(layout, metadata, progress)?;
    Ok(Prepared {
        library,
        openvino: None,
    })
}

/// Prepares the optional OpenVINO; from then on it is kept and used like the rest.
pub(crate) fn with_openvino(layout: &Layout) -> Result<(), Failure> {
    openvino::install(layout, Progress::new("setup")).map(|_| ())
}

// === impl Prepared ===

impl Prepared {
    /// The folder of OpenVINO's libraries, or how to get them.
    pub(crate) fn openvino(&self) -> Result<&Path, &'static str> {
        self.openvino.as_deref().ok_or(openvino::COMMAND)
    }

    /// Gives a program the environment in which it finds what set-up prepared.
    pub(crate) fn environment(&self, layout: &Layout, program: Program) -> Program {
        let program = match &self.openvino {
            Some(path) => program.env(openvino::VARIABLE, path),
            None => program,
        };
        program
            .env("ORT_DYLIB_PATH", &self.library)
            // The official builds of ONNX Runtime report home unless told not to. The host
            // tells them; the Python package, which the tests compare with, does not.
            .env("ORT_DISABLE_TELEMETRY", "1")
            .env("CONSORT_GUESTS", layout.guests().join("examples"))
            .env("CONSORT_PYTHON", layout.venv_python())
    }
}
