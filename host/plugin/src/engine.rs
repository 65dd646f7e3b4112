//! The sandbox: one engine, one pool, one clock for all plugins of a process.

use crate::cache::{Cache, CacheProblem};
use crate::errors::SandboxError;
use crate::link;
use crate::metrics::Metrics;
use crate::pool::{PluginKey, Pool};
use crate::state::State;
use prometheus_client::registry::Registry;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::component::Linker;
use wasmtime::{Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig};

/// What holds for all plugins of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where compiled code is kept between starts; `None` compiles at each start. The
    /// folder is made if need be. Whoever can write there runs code in the host: it is
    /// used only when it belongs to this user and nobody else may enter it.
    pub cache_dir: Option<PathBuf>,
    /// Size of the cache; the entries used longest ago are deleted beyond it.
    pub cache_bytes_max: u64,
    /// Instances that may exist at a time, of all plugins together. Calls beyond it wait.
    pub instances_max: u32,
    /// Idle instances kept for [`Instances::Reuse`](crate::Instances::Reuse), of all
    /// plugins together; those idle longest end first.
    pub idle_instances_max: u32,
    /// How long an instance may be idle before it ends.
    pub idle_time_max: Duration,
    /// How often running guests are looked at: the grain of `call_time_ms_max`, and
    /// how long one guest may keep a thread from others.
    pub epoch_tick: Duration,
    /// Stack of one guest call; deeper recursion is a trap.
    pub stack_bytes_max: usize,
    /// Memory reset by writing zeros instead of by the system, for each instance. More
    /// costs more than it saves: see the bench `instance`.
    pub memory_keep_resident_bytes: usize,
    /// The same for each table: tables are small, and zeros are soon written.
    pub table_keep_resident_bytes: usize,
    /// Pieces of memory given back to the system in one go.
    pub decommit_batch_size: usize,
}

/// The one place where plugins are loaded and run.
pub struct Sandbox {
    pub(crate) engine: Engine,
    pub(crate) base: Linker<State>,
    pub(crate) pool: Pool,
    pub(crate) cache: Option<Cache>,
    pub(crate) metrics: Arc<Metrics>,
    /// Held while compiling: one compilation uses all cores, and two loads of one
    /// component must not both compile it.
    pub(crate) compiling: tokio::sync::Mutex<()>,
    pub(crate) epoch_tick: Duration,
    cache_problem: Option<CacheProblem>,
    plugins: AtomicU64,
    /// Dropped with the sandbox, which ends the ticker.
    _alive: Sender<()>,
}

/// Address space of one linear memory: enough for bounds to need no checks.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;
/// Memories of all instances together; more address space than that is not to be had on
/// every system. Up to 1,024 instances it is enough for each to have its maximum; beyond,
/// components of several memories may find none free.
const MEMORIES_MAX: u32 = 8_192;
/// Shape of one pool slot. `Limits` may ask for less, never for more.
pub(crate) const MEMORIES_PER_INSTANCE_MAX: u32 = 8;
pub(crate) const TABLES_PER_INSTANCE_MAX: u32 = 32;
pub(crate) const CORE_INSTANCES_PER_INSTANCE_MAX: u32 = 512;
pub(crate) const TABLE_ELEMENTS_MAX: usize = 1 << 20;
/// The host's own code shares a guest's stack while it answers host calls.
const HOST_STACK_BYTES: usize = 512 << 10;
/// Frames that wasmtime collects at a trap.
const BACKTRACE_FRAMES_MAX: usize = 16;
/// Memory images up to this size are copied on write even where they are mostly zero.
const IMAGE_BYTES_DENSE: u64 = 64 << 20;
/// How often idle instances are looked at.
const IDLE_CHECK: Duration = Duration::from_secs(1);

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            cache_dir: None,
            cache_bytes_max: 4 << 30,
            instances_max: 128,
            idle_instances_max: 64,
            idle_time_max: Duration::from_secs(60),
            epoch_tick: Duration::from_millis(5),
            stack_bytes_max: 512 << 10,
            memory_keep_resident_bytes: 0,
            table_keep_resident_bytes: 64 << 10,
            decommit_batch_size: 32,
        }
    }
}

// === impl Sandbox ===

impl Sandbox {
    /// Starts the engine and its clock, and opens the cache. A cache that cannot be
    /// trusted is not used: see [`Sandbox::cache_problem`].
    pub fn new(config: Config, registry: &mut Registry) -> Result<Arc<Self>, SandboxError> {
        let engine = Engine::new(&engine_config(&config))
            .map_err(|error| SandboxError::Engine(format!("{error:#}")))?;
        let base = link::base(&engine).map_err(|error| SandboxError::Link(format!("{error:#}")))?;
        let metrics = Arc::new(Metrics::register(registry));
        let (cache, cache_problem) = match config.cache_dir {
            None => (None, None),
            Some(folder) => match Cache::open(folder, config.cache_bytes_max, &engine) {
                Ok(cache) => (Some(cache), None),
                Err(problem) => (None, Some(problem)),
            },
        };
        let pool = Pool::new(
            config.instances_max,
            config.idle_instances_max.min(config.instances_max),
            config.idle_time_max,
            metrics.instances.clone(),
        );
        let (alive, stopped) = channel();
        let sandbox = Arc::new(Self {
            base,
            pool,
            cache,
            metrics,
            compiling: tokio::sync::Mutex::new(()),
            epoch_tick: config.epoch_tick,
            cache_problem,
            plugins: AtomicU64::new(0),
            _alive: alive,
            engine,
        });
        let ticker = Ticker {
            engine: sandbox.engine.weak(),
            sandbox: Arc::downgrade(&sandbox),
            tick: config.epoch_tick,
        };
        std::thread::Builder::new()
            .name("plugin-epochs".to_owned())
            .spawn(move || ticker.run(&stopped))
            .map_err(SandboxError::Ticker)?;
        Ok(sandbox)
    }

    /// Why compiled code is not cached although a folder was given.
    pub fn cache_problem(&self) -> Option<&CacheProblem> {
        self.cache_problem.as_ref()
    }

    pub(crate) fn next_key(&self) -> PluginKey {
        PluginKey(self.plugins.fetch_add(1, Ordering::Relaxed))
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

fn engine_config(config: &Config) -> wasmtime::Config {
    let instances = config.instances_max.max(1);
    let memories = instances
        .saturating_mul(MEMORIES_PER_INSTANCE_MAX)
        .min(MEMORIES_MAX.max(instances));
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_PER_INSTANCE_MAX))
        .total_memories(memories)
        .total_tables(instances.saturating_mul(TABLES_PER_INSTANCE_MAX))
        .total_stacks(instances)
        .max_core_instances_per_component(CORE_INSTANCES_PER_INSTANCE_MAX)
        .max_memories_per_component(MEMORIES_PER_INSTANCE_MAX)
        .max_tables_per_component(TABLES_PER_INSTANCE_MAX)
        .max_memories_per_module(MEMORIES_PER_INSTANCE_MAX)
        .max_tables_per_module(TABLES_PER_INSTANCE_MAX)
        .max_memory_size(MEMORY_RESERVATION_BYTES as usize)
        .table_elements(TABLE_ELEMENTS_MAX)
        .max_unused_warm_slots(instances)
        .decommit_batch_size(config.decommit_batch_size)
        .linear_memory_keep_resident(config.memory_keep_resident_bytes)
        .table_keep_resident(config.table_keep_resident_bytes)
        .async_stack_keep_resident(0)
        // Reads stale pages on systems that swap.
        .pagemap_scan(Enabled::No);
    let mut engine = wasmtime::Config::new();
    engine
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .memory_init_cow(true)
        .memory_guaranteed_dense_image_size(IMAGE_BYTES_DENSE)
        .max_wasm_stack(config.stack_bytes_max)
        .async_stack_size(config.stack_bytes_max + HOST_STACK_BYTES)
        .epoch_interruption(true)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES_MAX))
        // Nothing of the component model's own concurrency is used: without it a store
        // is cheaper, and what rests on it is off. Threads and garbage collection are
        // not compiled into this host; these lines keep it so if a feature creeps in.
        .concurrency_support(false)
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .wasm_component_model_error_context(false)
        .wasm_wide_arithmetic(false)
        .wasm_stack_switching(false)
        .wasm_custom_page_sizes(false);
    engine
}

/// Lets time pass for guests.
struct Ticker {
    engine: EngineWeak,
    sandbox: Weak<Sandbox>,
    tick: Duration,
}

// === impl Ticker ===

impl Ticker {
    fn run(self, stopped: &std::sync::mpsc::Receiver<()>) {
        let mut since_check = Duration::ZERO;
        while stopped.recv_timeout(self.tick) == Err(RecvTimeoutError::Timeout) {
            match self.engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
            since_check += self.tick;
            if since_check >= IDLE_CHECK {
                since_check = Duration::ZERO;
                if let Some(sandbox) = self.sandbox.upgrade() {
                    sandbox.pool.evict_old(Instant::now());
                }
            }
        }
    }
}
