//! `[limits]`: what a plugin may use.

use super::{BYTES_MAX, COUNT_MAX, TIME_MS_MAX};
use crate::place::{Located, Place};
use crate::report::Report;
use crate::rule::number::{Bytes, Whole};
use crate::section::{Default, OwnPlace, independent, section};

/// A linear memory has 32-bit addresses.
const MEMORY_BYTES_MAX: u64 = 1 << 32;

section! {
    /// What one plugin may use. `[limits]` is for every plugin, `[plugin.NAME.limits]`
    /// overrides single keys for one. A plugin that reaches a limit is stopped, and the
    /// error names the key.
    pub struct Limits {
        /// Where the table is.
        pub place: Place = OwnPlace;
        /// Memory of one instance.
        pub memory_bytes_max: Located<u64> =
            Default(Bytes::new(1 << 16, MEMORY_BYTES_MAX), "\"256 MiB\"");
        /// Elements of all tables of one instance.
        pub table_elements_max: Located<u64> =
            Default(Whole::new(0, 1 << 20, 100_000), "100000");
        /// Core instances in one instance of the component.
        pub core_instances_max: Located<u64> = Default(Whole::new(1, 512, 128), "128");
        /// Linear memories in one instance of the component.
        pub memories_max: Located<u64> = Default(Whole::new(0, 8, 4), "4");
        /// Tables in one instance of the component.
        pub tables_max: Located<u64> = Default(Whole::new(0, 32, 16), "16");
        /// Time one call may compute, in milliseconds.
        pub call_time_ms_max: Located<u64> = Default(Whole::new(1, TIME_MS_MAX, 1000), "10000");
        /// Time one call may take in all, waiting included, in milliseconds.
        pub wall_time_ms_max: Located<u64> = Default(Whole::new(1, TIME_MS_MAX, 5000), "30000");
        /// Time `init` and `describe` may take, each, in milliseconds.
        pub init_time_ms_max: Located<u64> = Default(Whole::new(1, TIME_MS_MAX, 10_000), "60000");
        /// Tensors that a call has made and not yet dropped.
        pub tensors_max: Located<u64> = Default(Whole::new(1, COUNT_MAX, 4096), "4096");
        /// Axes of one tensor that the plugin makes.
        pub tensor_axes_max: Located<u64> = Default(Whole::new(0, 1024, 32), "32");
        /// Bytes of all tensors that one call makes, dropped ones included.
        pub output_bytes_max: Located<u64> = Default(Bytes::new(0, BYTES_MAX), "\"256 MiB\"");
        /// Bytes that pass to the host at once.
        pub hostcall_bytes_max: Located<u64> =
            Default(Bytes::new(1 << 10, MEMORY_BYTES_MAX), "\"64 MiB\"");
        /// Random bytes asked for at once.
        pub random_bytes_max: Located<u64> =
            Default(Bytes::new(0, MEMORY_BYTES_MAX), "\"1 MiB\"");
        /// Streams, timers and other host resources open at a time.
        pub resources_max: Located<u64> = Default(Whole::new(1, COUNT_MAX, 256), "256");
        /// Calls of one call into the host, of whatever kind.
        pub host_calls_max: Located<u64> = Default(Whole::new(1, 1 << 40, 10_000), "10000000");
        /// Calls to models in one call.
        pub model_calls_max: Located<u64> = Default(Whole::new(0, COUNT_MAX, 64), "1024");
        /// Calls to models that are under way at a time, those whose answer the plugin has not
        /// asked for included.
        pub model_calls_pending_max: Located<u64> =
            Default(Whole::new(0, 65_536, 16), "256");
        /// Bytes of log text, standard output and standard error of one call; each line
        /// counts 64 bytes more.
        pub log_bytes_max: Located<u64> = Default(Bytes::new(0, 1 << 30), "\"64 KiB\"");
        /// Bytes of an error text that are kept.
        pub message_bytes_max: Located<u64> = Default(Bytes::new(64, 1 << 20), "\"2 KiB\"");
        /// Size of the component's file.
        pub wasm_bytes_max: Located<u64> = Default(Bytes::new(8, 1 << 32), "\"256 MiB\"");
        /// Size of the largest function in the component.
        pub function_bytes_max: Located<u64> = Default(Bytes::new(1, 1 << 32), "\"4 MiB\"");
        /// Size of all assets of the plugin.
        pub asset_bytes_max: Located<u64> = Default(Bytes::new(0, 1 << 32), "\"256 MiB\"");
    }
}

independent!(Limits);

// === impl Limits ===

impl Limits {
    /// These limits where the manifest gives them, and `base` for the rest.
    pub(crate) fn over(self, base: &Self) -> Self {
        let or =
            |own: Located<u64>, base: &Located<u64>| if own.given { own } else { base.clone() };
        Self {
            memory_bytes_max: or(self.memory_bytes_max, &base.memory_bytes_max),
            table_elements_max: or(self.table_elements_max, &base.table_elements_max),
            core_instances_max: or(self.core_instances_max, &base.core_instances_max),
            memories_max: or(self.memories_max, &base.memories_max),
            tables_max: or(self.tables_max, &base.tables_max),
            call_time_ms_max: or(self.call_time_ms_max, &base.call_time_ms_max),
            wall_time_ms_max: or(self.wall_time_ms_max, &base.wall_time_ms_max),
            init_time_ms_max: or(self.init_time_ms_max, &base.init_time_ms_max),
            tensors_max: or(self.tensors_max, &base.tensors_max),
            tensor_axes_max: or(self.tensor_axes_max, &base.tensor_axes_max),
            output_bytes_max: or(self.output_bytes_max, &base.output_bytes_max),
            hostcall_bytes_max: or(self.hostcall_bytes_max, &base.hostcall_bytes_max),
            random_bytes_max: or(self.random_bytes_max, &base.random_bytes_max),
            resources_max: or(self.resources_max, &base.resources_max),
            host_calls_max: or(self.host_calls_max, &base.host_calls_max),
            model_calls_max: or(self.model_calls_max, &base.model_calls_max),
            model_calls_pending_max: or(
                self.model_calls_pending_max,
                &base.model_calls_pending_max,
            ),
            log_bytes_max: or(self.log_bytes_max, &base.log_bytes_max),
            message_bytes_max: or(self.message_bytes_max, &base.message_bytes_max),
            wasm_bytes_max: or(self.wasm_bytes_max, &base.wasm_bytes_max),
            function_bytes_max: or(self.function_bytes_max, &base.function_bytes_max),
            asset_bytes_max: or(self.asset_bytes_max, &base.asset_bytes_max),
            place: self.place,
        }
    }

    /// Checks the limits against each other, once it is known where each comes from.
    pub(crate) fn check(&self, report: &mut Report) {
        let (call, wall) = (&self.call_time_ms_max, &self.wall_time_ms_max);
        if **call > **wall {
            let message = format!(
                "call_time_ms_max = {} is more than wall_time_ms_max = {}, which counts \
                 computing and waiting together",
                **call, **wall
            );
            let help = format!("write wall_time_ms_max = {} or more", **call);
            let blamed = if wall.given { wall } else { call };
            report.wrong(blamed.place, message, help);
        }
    }
}
