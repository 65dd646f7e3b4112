//! What a model is loaded with. Plain values; the manifest's keys are elsewhere.

use consort_inference::ModelName;
use std::fmt;
use std::str::FromStr;

/// How a model is loaded and run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The model's name, for messages.
    pub name: ModelName,
    /// What the model runs on.
    pub device: Device,
    /// Where examples lie in the inputs.
    pub batch_axis: BatchAxis,
    /// Threads of each run on the CPU. `None` leaves it to the runtime, which takes one for
    /// each core. OpenVINO only.
    pub threads: Option<usize>,
    /// Runs that go on side by side on the CPU, each with threads of its own; more wait for
    /// one another inside the runtime. `None` leaves it to the runtime, which takes one.
    /// OpenVINO only.
    pub concurrent_runs: Option<usize>,
    /// The precision that operators compute in. `None` leaves it to the runtime. OpenVINO
    /// only.
    pub precision: Option<Precision>,
    /// Bytes of a model's files that are read.
    pub model_bytes_max: u64,
    /// Elements, attributes and texts of the XML that describes an OpenVINO model.
    pub graph_nodes_max: u32,
}

/// What a model runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The CPU.
    #[default]
    Cpu,
    /// The first GPU that the runtime finds.
    Gpu,
}

/// What OpenVINO's operators compute in.
///
/// Left to itself, OpenVINO computes `FP32` models in `BF16` on CPUs that are fast at it,
/// and in `FP16` on GPUs: outputs then agree with other runtimes to two or three digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    F32,
    /// The upper half of single precision.
    Bf16,
    /// Half precision.
    F16,
}

/// Where examples lie in a model's inputs and outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BatchAxis {
    /// The first axis of every input and output counts examples.
    #[default]
    Leading,
    /// No axis does: an example is the whole input.
    None,
}

/// A word that is none of those expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} \"{word}\"; one of {known} is expected")]
pub struct UnknownWord {
    what: &'static str,
    word: String,
    known: &'static str,
}

// === impl Config ===

impl Config {
    /// The defaults for a model of that name: the CPU, a leading batch axis, threads, runs
    /// and precision as the runtime chooses, 4 GiB of files, four million nodes.
    pub fn new(name: ModelName) -> Self {
        Self {
            name,
            device: Device::default(),
            batch_axis: BatchAxis::default(),
            threads: None,
            concurrent_runs: None,
            precision: None,
            model_bytes_max: 4 << 30,
            graph_nodes_max: 4_000_000,
        }
    }
}

// === impl Device ===

impl Device {
    /// The name in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Device {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::Cpu, Self::Gpu]
            .into_iter()
            .find(|device| device.as_str() == word)
            .ok_or_else(|| UnknownWord {
                what: "device",
                word: word.to_owned(),
                known: "cpu, gpu",
            })
    }
}

// === impl Precision ===

impl Precision {
    /// The name in manifests, and in OpenVINO.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Precision {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        [Self::F32, Self::Bf16, Self::F16]
            .into_iter()
            .find(|precision| precision.as_str() == word)
            .ok_or_else(|| UnknownWord {
                what: "precision",
                word: word.to_owned(),
                known: "f32, bf16, f16",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_others_are_told_which_there_are() {
        for device in [Device::Cpu, Device::Gpu] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        for precision in [Precision::F32, Precision::Bf16, Precision::F16] {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        assert_eq!(
            "tpu".parse::<Device>().unwrap_err().to_string(),
            "unknown device \"tpu\"; one of cpu, gpu is expected"
        );
        assert_eq!(
            "fp32".parse::<Precision>().unwrap_err().to_string(),
            "unknown precision \"fp32\"; one of f32, bf16, f16 is expected"
        );
    }
}
