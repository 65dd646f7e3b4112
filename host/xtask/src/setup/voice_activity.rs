//! The example `voice-activity`: Silero VAD as it is published, the graph that a script of ours
//! writes around it, and the recordings that another one makes.

use super::pins::{SILERO, SILERO_FILES, SILERO_GRAPH, SILERO_VERSION};
use super::scripted::{Script, Scripted};
use super::wheel;
use crate::failure::Failure;
use crate::layout::Layout;
use crate::progress::Progress;

pub(super) const GRAPH: Scripted = Scripted {
    example: "voice-activity",
    packages: include_str!("../../../../examples/voice-activity/reference/requirements.txt"),
    makes: ("ONNX graph and recordings", "writing"),
    sources: &[SILERO.sha256],
    scripts: &[
        Script {
            name: "wrap.py",
            arguments: &[SILERO_GRAPH, "model.onnx"],
        },
        Script {
            name: "recordings.py",
            arguments: &["recordings"],
        },
    ],
    result: Some("model.onnx"),
};

/// Makes sure that environment, graph and recordings are there.
pub(crate) fn install(layout: &Layout, progress: Progress) -> Result<(), Failure> {
    GRAPH.environment(layout, progress)?;
    wheel::unpack(
        layout,
        progress,
        &format!("voice activity model of silero-vad {SILERO_VERSION}"),
        &SILERO,
        SILERO_FILES,
        &GRAPH.models(layout),
    )?;
    GRAPH.make(layout, progress)
}
