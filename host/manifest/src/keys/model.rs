//! `[model.NAME]`: a model that the host runs natively.

use std::path::PathBuf;

use super::{BYTES_MAX, COUNT_MAX, TIME_MS_MAX};
use crate::place::Located;
use crate::report::Report;
use crate::rule::collection::List;
use crate::rule::number::{Bytes, Flag, Whole};
use crate::rule::text::{PATH, SHA256, VERSION};
use crate::rule::words::{OneOf, words};
use crate::section::{Checked, Default, Optional, OwnName, Required, section};

section! {
    /// A model that the host runs natively. Ensembles use it, and it is served under its
    /// name.
    pub struct Model {
        /// The model's name.
        pub name: Located<String> = OwnName;
        /// What runs the model.
        pub runtime: Located<ModelRuntime> = Default(OneOf::new(), "\"onnx\"");
        /// The model's file, relative to the manifest.
        pub path: Located<PathBuf> = Required(PATH);
        /// The SHA-256 of the file. Another content is an error at load.
        pub sha256: Option<Located<String>> = Optional(SHA256);
        /// The version that every prediction carries.
        pub version: Located<String> = Default(VERSION, "\"1\"");
        /// How many batches run at a time, each on a thread of its own. The weights are
        /// in memory once.
        pub replicas: Located<usize> = Default(Whole::new(1, 256, 2), "1");
        /// Threads inside one run; 0 lets the runtime choose.
        pub threads: Located<usize> = Default(Whole::new(0, 1024, 1), "1");
        /// Nodes of one run that may run beside one another.
        pub inter_threads: Located<usize> = Default(Whole::new(1, 1024, 1), "1");
        /// Whether idle threads of the runtime burn their core while they wait. It shortens
        /// a run where there are cores to spare.
        pub spinning: Located<bool> = Default(Flag, "false");
        /// Whether the runtime remembers how to lay out memory for each combination of input
        /// shapes. It remembers all of them for ever.
        pub memory_pattern: Located<bool> = Default(Flag, "false");
        /// How much the runtime rewrites the model's graph at load.
        pub optimization: Located<Optimization> = Default(OneOf::new(), "\"all\"");
        /// Execution providers, the first that can run a node runs it.
        pub providers: Located<Vec<Located<ExecutionProvider>>> =
            Default(List { item: OneOf::new(), min: 1, max: 8 }, "[\"cpu\"]");
        /// Which of several equal devices the providers use.
        pub device_id: Located<u32> = Default(Whole::new(0, 255, 0), "0");
        /// Whether a provider that is not available is passed over instead of an error.
        pub fallback: Located<bool> = Default(Flag, "false");
        /// Whether the model takes several examples in one run.
        pub batching: Located<Batching> = Default(OneOf::new(), "\"on\"");
        /// The most examples in one batch.
        pub max_batch_size: Located<usize> = Default(Whole::new(1, 65_536, 32), "32");
        /// How long a free replica may wait for a batch to fill, in microseconds, counted
        /// from the arrival of its oldest example. With 0 whatever waits runs at once.
        pub max_queue_delay_us: Located<u64> = Default(Whole::new(0, 60_000_000, 500), "0");
        /// The most examples that wait. More are refused at once.
        pub max_queue_size: Located<usize> = Default(Whole::new(1, COUNT_MAX, 4096), "4096");
        /// The most bytes of tensors that wait. More are refused at once.
        pub max_queue_bytes: Located<u64> = Default(Bytes::new(1, BYTES_MAX), "\"256 MiB\"");
        /// The most examples of one tenant that wait. Without it, as many as the queue
        /// takes.
        pub max_tenant_queue_size: Option<Located<usize>> =
            Optional(Whole::new(1, COUNT_MAX, 1024));
        /// How long an example may wait and run, in milliseconds, if its request brings
        /// no deadline. Without it, as long as it takes.
        pub timeout_ms: Option<Located<u64>> = Optional(Whole::new(1, TIME_MS_MAX, 5000));
    }
}

words! {
    /// What runs a model.
    pub enum ModelRuntime {
        /// ONNX Runtime.
        Onnx = "onnx",
    }
}

words! {
    /// How much the runtime rewrites a model's graph at load.
    pub enum Optimization {
        /// Run the graph as it is.
        None = "none",
        /// Remove what is redundant.
        Basic = "basic",
        /// Also fuse nodes.
        Extended = "extended",
        /// Also change the layout of data.
        All = "all",
    }
}

words! {
    /// What executes the nodes of a model's graph.
    pub enum ExecutionProvider {
        /// The processor; always available.
        Cpu = "cpu",
        /// NVIDIA GPUs.
        Cuda = "cuda",
        /// NVIDIA GPUs by TensorRT.
        TensorRt = "tensorrt",
        /// Intel processors and accelerators.
        OpenVino = "openvino",
        /// Apple devices.
        CoreMl = "coreml",
        /// GPUs on Windows.
        DirectMl = "directml",
    }
}

words! {
    /// Whether a model takes several examples in one run.
    pub enum Batching {
        /// The first axis of every input and output counts examples, and those with equal
        /// datatypes and shapes run together, whoever sent them.
        On = "on",
        /// The model has no such axis: an example is the whole input and runs alone.
        Off = "off",
    }
}

// === impl Model ===

impl Checked for Model {
    type Keys = Self;

    fn check(mut model: Self, report: &mut Report) -> Option<Self> {
        if *model.batching == Batching::Off {
            let (size, delay) = (&model.max_batch_size, &model.max_queue_delay_us);
            for (key, given, place) in [
                ("max_batch_size", size.given, size.place),
                ("max_queue_delay_us", delay.given, delay.place),
            ] {
                if given {
                    let message = format!("`{key}` has no effect while batching is off");
                    let line = report.line(model.batching.place);
                    let help = format!("remove it, or batching = \"off\" on line {line}");
                    report.wrong(place, message, help);
                }
            }
            model.max_batch_size.value = 1;
        }
        let (queue, batch) = (&model.max_queue_size, &model.max_batch_size);
        if **queue < **batch {
            let blamed = if queue.given { queue } else { batch };
            let message = format!(
                "a batch of max_batch_size = {} can never fill from a queue of \
                 max_queue_size = {}",
                **batch, **queue
            );
            let help = format!("write max_queue_size = {} or more", **batch);
            report.wrong(blamed.place, message, help);
        }
        Some(model)
    }
}
