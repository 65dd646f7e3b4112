//! What a model's session is made with. Plain values; the manifest's keys are elsewhere.

use crate::ExecutionProvider;
use consort_inference::ModelName;
use std::fmt;
use std::str::FromStr;

/// How a model is loaded and run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The model's name, for messages.
    pub name: ModelName,
    /// Threads that work on one operator, the caller's own included (intra-op). Workers are
    /// shared by the runs in flight. 0 lets ONNX Runtime take one for each core.
    pub threads: usize,
    /// Operators of one run that may run beside one another (inter-op). 1 runs them in order.
    pub inter_threads: usize,
    /// How far the graph is rewritten when it is loaded.
    pub optimization: Optimization,
    /// Execution providers in order of preference. Operators that none of them takes run on
    /// the CPU, as ONNX Runtime does it; a provider that takes none at all is an error.
    pub providers: Vec<ExecutionProvider>,
    /// Whether a provider that cannot be used is left out with a warning.
    pub fallback: bool,
    /// Where examples lie in the inputs.
    pub batch_axis: BatchAxis,
    /// Whether idle worker threads burn their core while they wait for the next operator. It
    /// shortens a run when there are cores to spare, and takes them from everybody else.
    pub spinning: bool,
    /// Whether ONNX Runtime remembers how to lay out memory for each combination of input
    /// shapes it meets. It remembers all of them for ever, so that whoever sends ever new
    /// shapes makes the host grow.
    pub memory_pattern: bool,
}

/// How far ONNX Runtime rewrites a graph when it loads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Optimization {
    /// The graph as it is.
    None,
    /// Constant folding and removal of what is redundant.
    Basic,
    /// Fusions as well.
    Extended,
    /// Memory layouts as well.
    #[default]
    All,
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

/// A word that names no optimization level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown optimization \"{0}\"; one of none, basic, extended, all is expected")]
pub struct UnknownOptimization(pub String);

// === impl Config ===

impl Config {
    /// Whether the model runs on this machine's processor and nowhere else.
    pub fn on_cpu(&self) -> bool {
        let mut providers = self.providers.iter();
        providers.all(|provider| *provider == ExecutionProvider::Cpu)
    }

    /// The defaults for a model of that name: one thread, all optimizations, the CPU, a
    /// leading batch axis.
    pub fn new(name: ModelName) -> Self {
        Self {
            name,
            threads: 1,
            inter_threads: 1,
            optimization: Optimization::default(),
            providers: Vec::new(),
            fallback: false,
            batch_axis: BatchAxis::default(),
            spinning: false,
            memory_pattern: false,
        }
    }
}

// === impl Optimization ===

impl Optimization {
    const ALL: [Self; 4] = [Self::None, Self::Basic, Self::Extended, Self::All];

    /// The name in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "basic",
            Self::Extended => "extended",
            Self::All => "all",
        }
    }
}

impl fmt::Display for Optimization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Optimization {
    type Err = UnknownOptimization;

    fn from_str(name: &str) -> Result<Self, UnknownOptimization> {
        Self::ALL
            .into_iter()
            .find(|level| level.as_str() == name)
            .ok_or_else(|| UnknownOptimization(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_optimization_reads_back() {
        for level in Optimization::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        let error = "max".parse::<Optimization>().unwrap_err().to_string();
        assert!(
            error.contains("\"max\"") && error.contains("extended"),
            "{error}"
        );
    }
}
