//! Every limit on a component, by name, and the part of them that wasmtime asks us for.

use std::fmt;
use std::time::Duration;
use wasmtime::ResourceLimiter;

/// What a component may use. Each field is a manifest key of the same name; durations are
/// in milliseconds there (`call_time_ms_max = 10000`). [`Default`] suits a plugin that
/// prepares or finishes examples of up to some megabytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, all its memories together. At most 4 GiB each.
    pub memory_bytes_max: usize,
    /// Elements of all tables of one instance together.
    pub table_elements_max: usize,
    /// Core instances in one instance of the component.
    pub core_instances_max: usize,
    /// Linear memories in one instance of the component.
    pub memories_max: usize,
    /// Tables in one instance of the component.
    pub tables_max: usize,
    /// Time one call may compute in the guest.
    pub call_time_max: Duration,
    /// Time one call may take in all, blocked host calls included.
    pub wall_time_max: Duration,
    /// Time `init` and `describe` may take, each; computing and blocked alike.
    pub init_time_max: Duration,
    /// Tensors that a call may have made and not yet dropped. Those the host passes in
    /// do not count.
    pub tensors_max: usize,
    /// Axes of one tensor that a guest makes.
    pub tensor_axes_max: usize,
    /// Bytes of all tensors that one call makes (create, fill, pad, widen, stack, concat, slices
    /// that copy, and what models answer), dropped ones included.
    pub output_bytes_max: usize,
    /// Bytes a guest may pass to the host at once: the arguments of one host call, or
    /// the results of one role call.
    pub hostcall_bytes_max: usize,
    /// Calls of one call from the guest into the host, of whatever kind; growing memory or
    /// a table is one too.
    pub host_calls_max: u64,
    /// Calls to models in one call.
    pub model_calls_max: usize,
    /// Calls to models that may be under way at a time, those whose answer the guest has
    /// not asked for included.
    pub model_calls_pending_max: usize,
    /// Random bytes a guest may ask for at once.
    pub random_bytes_max: usize,
    /// Streams, timers, models and other host resources open at a time.
    pub resources_max: usize,
    /// Bytes of log text, standard output and standard error of one call; each line counts
    /// 64 bytes more than its text.
    pub log_bytes_max: usize,
    /// Bytes of an error text that are kept; the rest is cut.
    pub message_bytes_max: usize,
    /// Size of the component's file.
    pub wasm_bytes_max: u64,
    /// Size of the largest function in the component: compile time grows faster than it.
    pub function_bytes_max: usize,
    /// Size of all asset files of the plugin together.
    pub asset_bytes_max: u64,
}

/// A limit that was reached, named as in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(
    missing_docs,
    reason = "each names the field of Limits that explains it"
)]
pub enum Limit {
    MemoryBytes,
    TableElements,
    CoreInstances,
    Memories,
    Tables,
    CallTime,
    WallTime,
    InitTime,
    Tensors,
    TensorAxes,
    OutputBytes,
    HostcallBytes,
    HostCalls,
    ModelCalls,
    ModelCallsPending,
    RandomBytes,
    Resources,
    LogBytes,
    WasmBytes,
    FunctionBytes,
    AssetBytes,
}

/// Ends a guest because a limit is reached; found again in the error that wasmtime
/// hands back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is reached")]
pub(crate) struct LimitHit(pub(crate) Limit);

/// Counts memories and tables of one store.
#[derive(Debug)]
pub(crate) struct Limiter {
    memory_bytes_max: usize,
    table_elements_max: usize,
    core_instances_max: usize,
    memories_max: usize,
    tables_max: usize,
    memory_bytes: usize,
    table_elements: usize,
    /// Bytes of the growth that was allowed last, in case the system refuses it.
    pending: usize,
    /// The last growth that was refused: why a guest that then traps has trapped.
    refused: Option<Limit>,
}

// === impl Limits ===

const MIB: usize = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 256 * MIB,
            table_elements_max: 100_000,
            core_instances_max: 128,
            memories_max: 4,
            tables_max: 16,
            call_time_max: Duration::from_secs(10),
            wall_time_max: Duration::from_secs(30),
            init_time_max: Duration::from_secs(60),
            tensors_max: 4_096,
            tensor_axes_max: 32,
            output_bytes_max: 256 * MIB,
            hostcall_bytes_max: 64 * MIB,
            host_calls_max: 10_000_000,
            model_calls_max: 1_024,
            model_calls_pending_max: 256,
            random_bytes_max: MIB,
            resources_max: 256,
            log_bytes_max: 64 << 10,
            message_bytes_max: 2_048,
            wasm_bytes_max: 256 * MIB as u64,
            function_bytes_max: 4 * MIB,
            asset_bytes_max: 256 * MIB as u64,
        }
    }
}

impl Limits {
    /// How much a limit allows, in words.
    pub(crate) fn allowed(&self, limit: Limit) -> String {
        let bytes = |count: u64| format!("{count} bytes");
        match limit {
            Limit::MemoryBytes => bytes(self.memory_bytes_max as u64),
            Limit::TableElements => self.table_elements_max.to_string(),
            Limit::CoreInstances => self.core_instances_max.to_string(),
            Limit::Memories => self.memories_max.to_string(),
            Limit::Tables => self.tables_max.to_string(),
            Limit::CallTime => self.call_time_max.as_millis().to_string(),
            Limit::WallTime => self.wall_time_max.as_millis().to_string(),
            Limit::InitTime => self.init_time_max.as_millis().to_string(),
            Limit::Tensors => self.tensors_max.to_string(),
            Limit::TensorAxes => self.tensor_axes_max.to_string(),
            Limit::OutputBytes => bytes(self.output_bytes_max as u64),
            Limit::HostcallBytes => bytes(self.hostcall_bytes_max as u64),
            Limit::HostCalls => self.host_calls_max.to_string(),
            Limit::ModelCalls => self.model_calls_max.to_string(),
            Limit::ModelCallsPending => self.model_calls_pending_max.to_string(),
            Limit::RandomBytes => bytes(self.random_bytes_max as u64),
            Limit::Resources => self.resources_max.to_string(),
            Limit::LogBytes => bytes(self.log_bytes_max as u64),
            Limit::WasmBytes => bytes(self.wasm_bytes_max),
            Limit::FunctionBytes => bytes(self.function_bytes_max as u64),
            Limit::AssetBytes => bytes(self.asset_bytes_max),
        }
    }

    /// The text for a guest that reached a limit: which, how much it is, what to do.
    pub(crate) fn message(&self, limit: Limit) -> String {
        format!(
            "stopped at {} ({} = {}): mend the plugin, or raise the limit in the manifest",
            limit.reached(),
            limit,
            self.allowed(limit)
        )
    }
}

// === impl Limit ===

impl Limit {
    /// The manifest key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MemoryBytes => "memory_bytes_max",
            Self::TableElements => "table_elements_max",
            Self::CoreInstances => "core_instances_max",
            Self::Memories => "memories_max",
            Self::Tables => "tables_max",
            Self::CallTime => "call_time_ms_max",
            Self::WallTime => "wall_time_ms_max",
            Self::InitTime => "init_time_ms_max",
            Self::Tensors => "tensors_max",
            Self::TensorAxes => "tensor_axes_max",
            Self::OutputBytes => "output_bytes_max",
            Self::HostcallBytes => "hostcall_bytes_max",
            Self::HostCalls => "host_calls_max",
            Self::ModelCalls => "model_calls_max",
            Self::ModelCallsPending => "model_calls_pending_max",
            Self::RandomBytes => "random_bytes_max",
            Self::Resources => "resources_max",
            Self::LogBytes => "log_bytes_max",
            Self::WasmBytes => "wasm_bytes_max",
            Self::FunctionBytes => "function_bytes_max",
            Self::AssetBytes => "asset_bytes_max",
        }
    }

    /// Whether another try with fewer examples can stay under it but costs as much time
    /// as the limit allows.
    pub(crate) const fn is_time(self) -> bool {
        matches!(self, Self::CallTime | Self::WallTime | Self::InitTime)
    }

    const fn reached(self) -> &'static str {
        match self {
            Self::MemoryBytes => "the limit of memory",
            Self::TableElements => "the limit of table elements",
            Self::CoreInstances => "the limit of core instances",
            Self::Memories => "the limit of linear memories",
            Self::Tables => "the limit of tables",
            Self::CallTime => "the limit of computing time",
            Self::WallTime => "the limit of waiting and computing time",
            Self::InitTime => "the limit of time for init",
            Self::Tensors => "the limit of live tensors",
            Self::TensorAxes => "the limit of axes of a tensor",
            Self::OutputBytes => "the limit of bytes of tensors made in one call",
            Self::HostcallBytes => "the limit of bytes passed to the host at once",
            Self::HostCalls => "the limit of calls to the host in one call",
            Self::ModelCalls => "the limit of calls to models in one call",
            Self::ModelCallsPending => "the limit of calls to models under way at a time",
            Self::RandomBytes => "the limit of random bytes asked for at once",
            Self::Resources => "the limit of open streams, timers and models",
            Self::LogBytes => "the limit of log bytes",
            Self::WasmBytes => "the limit of the component's size",
            Self::FunctionBytes => "the limit of one function's size",
            Self::AssetBytes => "the limit of the assets' size",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Limiter ===

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            memory_bytes_max: limits.memory_bytes_max,
            table_elements_max: limits.table_elements_max,
            core_instances_max: limits.core_instances_max,
            memories_max: limits.memories_max,
            tables_max: limits.tables_max,
            memory_bytes: 0,
            table_elements: 0,
            pending: 0,
            refused: None,
        }
    }

    /// Forgets a refused growth: the guest coped with it.
    pub(crate) fn begin_call(&mut self) {
        self.refused = None;
    }

    pub(crate) fn refused(&self) -> Option<Limit> {
        self.refused
    }

    /// Lets the host itself grow memory by `bytes` beyond the guest's limit.
    pub(crate) fn allow_more_memory(&mut self, bytes: usize) {
        self.memory_bytes_max = self.memory_bytes_max.saturating_add(bytes);
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let total = self.memory_bytes.saturating_add(more);
        if total > self.memory_bytes_max {
            self.refused = Some(Limit::MemoryBytes);
            self.pending = 0;
            return Ok(false);
        }
        self.memory_bytes = total;
        self.pending = more;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory_bytes = self.memory_bytes.saturating_sub(self.pending);
        self.pending = 0;
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self
            .table_elements
            .saturating_add(desired.saturating_sub(current));
        if total > self.table_elements_max {
            self.refused = Some(Limit::TableElements);
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.core_instances_max
    }

    fn memories(&self) -> usize {
        self.memories_max
    }

    fn tables(&self) -> usize {
        self.tables_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_share_one_limit() {
        let limits = Limits {
            memory_bytes_max: 3 << 16,
            table_elements_max: 10,
            ..Limits::default()
        };
        let mut limiter = Limiter::new(&limits);
        assert!(limiter.memory_growing(0, 2 << 16, None).unwrap());
        assert!(limiter.memory_growing(0, 1 << 16, None).unwrap());
        assert!(!limiter.memory_growing(1 << 16, 2 << 16, None).unwrap());
        assert_eq!(limiter.refused(), Some(Limit::MemoryBytes));
        limiter.begin_call();
        assert_eq!(limiter.refused(), None);
        limiter.allow_more_memory(1 << 16);
        assert!(limiter.memory_growing(1 << 16, 2 << 16, None).unwrap());
        assert!(limiter.table_growing(0, 10, None).unwrap());
        assert!(!limiter.table_growing(10, 11, None).unwrap());
        assert_eq!(limiter.refused(), Some(Limit::TableElements));
    }

    #[test]
    fn growth_that_fails_after_all_is_not_counted() {
        let limits = Limits {
            memory_bytes_max: 2 << 16,
            ..Limits::default()
        };
        let mut limiter = Limiter::new(&limits);
        assert!(limiter.memory_growing(0, 2 << 16, None).unwrap());
        limiter
            .memory_grow_failed(wasmtime::format_err!("no memory"))
            .unwrap();
        assert!(limiter.memory_growing(0, 2 << 16, None).unwrap());
    }

    #[test]
    fn a_message_names_the_key_and_the_amount() {
        let message = Limits::default().message(Limit::CallTime);
        assert_eq!(
            message,
            "stopped at the limit of computing time (call_time_ms_max = 10000): mend the plugin, \
             or raise the limit in the manifest"
        );
    }
}
