//! From a file to a [`Plugin`]: read and check (`files.rs`), initialise and compile or
//! find in the cache (`compile.rs`), link, describe (`describe.rs`).

use crate::cache::hex;
use crate::capability::{Capability, ImportRule};
use crate::compile::Source;
use crate::describe::describe;
use crate::engine::{self, Sandbox};
use crate::errors::{LoadError, LoadProblem};
use crate::files::Files;
use crate::instance::Recipe;
use crate::limits::{Limit, Limits};
use crate::link::{CONTRACT_VERSION, link_nn, refuse_files};
use crate::metrics::PluginMetrics;
use crate::models::Models;
use crate::plugin::{Core, Plugin};
use crate::state::{PluginShare, State};
use consort_inference::{Endpoint, PluginName};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::component::{Component, InstancePre};

/// How calls get instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Instances {
    /// Each call has an instance of its own, as `init` left it.
    #[default]
    Fresh,
    /// An instance serves one tenant's calls one after another; what they leave behind
    /// stays.
    Reuse,
}

/// One plugin as the manifest has it.
#[derive(Clone)]
pub struct PluginConfig {
    /// Its name in the manifest.
    pub name: PluginName,
    /// Its version in the manifest.
    pub version: String,
    /// The component's file.
    pub path: PathBuf,
    /// The digest that the file must have, in hexadecimal.
    pub sha256: Option<String>,
    /// What `init` gets.
    pub config: String,
    /// Files that the plugin may read, by the names it reads them by.
    pub assets: BTreeMap<String, PathBuf>,
    /// The models, model maps and ensembles that it may call, by the names it calls them.
    /// Each one's signature must be known by now: a plugin around a model is asked to
    /// describe itself with it.
    pub models: BTreeMap<String, Arc<dyn Endpoint>>,
    /// How many plugins deep its calls go: 0 if nothing that it calls is made of plugins,
    /// one more than the deepest of these otherwise. Instances are kept for plugins that
    /// others wait for, so that those who wait cannot take them all.
    pub nesting: usize,
    /// What it may use.
    pub limits: Limits,
    /// How calls get instances.
    pub instances: Instances,
    /// What the manifest requests beyond the base set.
    pub capabilities: BTreeSet<Capability>,
}

/// How a plugin was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadReport {
    /// Whether compiled code was found in the cache: nothing was compiled then.
    pub cached: bool,
    /// Whether instances begin after `init`.
    pub snapshot: Snapshot,
    /// Time spent on `init`, snapshot and compilation; nothing when cached.
    pub compile: Duration,
    /// Time of the whole load.
    pub total: Duration,
    /// Size of the component's file.
    pub wasm_bytes: u64,
    /// Its digest.
    pub sha256: String,
}

/// Whether instances begin as `init` left the first one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Snapshot {
    /// They do.
    Taken,
    /// They cannot; each instance runs `init` by itself, and instances are reused within
    /// a tenant.
    NotPossible {
        /// Why.
        reason: String,
    },
}

// === impl PluginConfig ===

impl PluginConfig {
    /// A plugin of that name and file, everything else as by default.
    pub fn new(name: PluginName, path: impl Into<PathBuf>) -> Self {
        Self {
            name,
            version: "1".to_owned(),
            path: path.into(),
            sha256: None,
            config: String::new(),
            assets: BTreeMap::new(),
            models: BTreeMap::new(),
            nesting: 0,
            limits: Limits::default(),
            instances: Instances::default(),
            capabilities: BTreeSet::new(),
        }
    }
}

impl fmt::Debug for PluginConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginConfig")
            .field("name", &self.name)
            .field("version", &self.version)
            .field("path", &self.path)
            .field("sha256", &self.sha256)
            .field("config", &self.config)
            .field("assets", &self.assets)
            .field("models", &self.models.keys())
            .field("nesting", &self.nesting)
            .field("limits", &self.limits)
            .field("instances", &self.instances)
            .field("capabilities", &self.capabilities)
            .finish()
    }
}

// === impl Sandbox ===

impl Sandbox {
    /// Loads a plugin: its `init` runs here, never again where a snapshot is possible.
    pub async fn load(self: &Arc<Self>, config: PluginConfig) -> Result<Plugin, LoadError> {
        let (name, path) = (config.name.clone(), config.path.clone());
        let loaded = self.try_load(config).await;
        let result = match &loaded {
            Ok(plugin) if plugin.load_report().cached => "cached",
            Ok(_) => "compiled",
            Err(_) => "failed",
        };
        self.metrics.load_done(&name, result);
        match &loaded {
            Ok(plugin) => report(plugin),
            Err(problem) => tracing::info!(
                target: "consort::plugin",
                plugin = %name,
                path = %path.display(),
                %problem,
                "a plugin cannot be loaded"
            ),
        }
        loaded.map_err(|problem| LoadError { path, problem })
    }

    async fn try_load(self: &Arc<Self>, config: PluginConfig) -> Result<Plugin, LoadProblem> {
        let begun = Instant::now();
        if let Some(capability) = config.capabilities.first() {
            return Err(LoadProblem::CapabilityUnavailable(*capability));
        }
        let nesting_max = self.pool.nesting_max();
        if config.nesting > nesting_max {
            return Err(LoadProblem::NestedTooDeep {
                nesting: config.nesting,
                nesting_max,
            });
        }
        let (config, files) = blocking(move || {
            let files = Files::read(&config)?;
            Ok((config, files))
        })
        .await?;
        let metrics = PluginMetrics::new(self.metrics.clone(), &config.name);
        let models = Models::new(config.models);
        let share = Arc::new(PluginShare {
            name: config.name,
            limits: config.limits,
            assets: files.assets,
            headers: models.headers(),
            models,
            nesting: config.nesting,
            metrics: Arc::new(metrics),
            epoch_tick: self.epoch_tick,
        });
        let compiling = Instant::now();
        let source = Source {
            share: share.clone(),
            wasm: files.wasm,
            sha256: files.sha256,
            world: files.world,
            config: config.config,
        };
        let compiled = self.compiled(&source).await?;
        let compile = match compiled.cached {
            true => Duration::ZERO,
            false => compiling.elapsed(),
        };
        check_resources(&compiled.component, &share.limits)?;
        let exports = source.world.exports(&compiled.component)?;
        let photographed = compiled.snapshot == Snapshot::Taken;
        let recipe = Recipe {
            sandbox: self.clone(),
            pre: link_component(self, &compiled.component, &share.models)?,
            init: exports.init,
            init_each: (!photographed).then(|| source.config.clone()),
            share,
        };
        let (described, first) = describe(&recipe, &exports).await?;
        let instances = match photographed {
            true => config.instances,
            false => Instances::Reuse,
        };
        let key = self.next_key();
        if !photographed {
            // It is initialised and has seen nobody's examples: the first tenant's.
            self.pool.keep(key, None, first);
        }
        Ok(Plugin::new(Core {
            key,
            recipe,
            version: config.version,
            exports,
            instances,
            described,
            report: LoadReport {
                cached: compiled.cached,
                snapshot: compiled.snapshot,
                compile,
                total: begun.elapsed(),
                wasm_bytes: source.wasm.len() as u64,
                sha256: hex(&source.sha256),
            },
        }))
    }
}

// === impl Snapshot ===

impl Snapshot {
    pub(crate) fn of(not_possible: Option<String>) -> Self {
        match not_possible {
            None => Self::Taken,
            Some(reason) => Self::NotPossible { reason },
        }
    }
}

/// Links what a component imports: the base set, stubs that refuse files, and `wasi:nn`
/// where the component asks for it and has models.
pub(crate) fn link_component(
    sandbox: &Sandbox,
    component: &Component,
    models: &Models,
) -> Result<InstancePre<State>, LoadProblem> {
    let mismatch = |error: wasmtime::Error| LoadProblem::ImportType {
        contract: CONTRACT_VERSION,
        message: format!("{error:#}"),
    };
    let mut linker = sandbox.base.clone();
    refuse_files(&mut linker, component).map_err(mismatch)?;
    let ty = component.component_type();
    let mut imports = ty.imports(component.engine()).map(|(name, _)| name);
    if !models.is_empty() && imports.any(|name| ImportRule::of(name) == ImportRule::Models) {
        link_nn(&mut linker).map_err(mismatch)?;
    }
    linker.instantiate_pre(component).map_err(mismatch)
}

pub(crate) fn oversized(limits: &Limits, limit: Limit, needed: impl ToString) -> LoadProblem {
    LoadProblem::Oversized {
        limit,
        needed: needed.to_string(),
        allowed: limits.allowed(limit),
    }
}

/// What the component needs from its first moment on must be within its limits, and
/// those within a slot of the pool.
pub(crate) fn check_resources(component: &Component, limits: &Limits) -> Result<(), LoadProblem> {
    const PAGE_BYTES: u64 = 64 << 10;
    let Some(needed) = component.resources_required() else {
        return Ok(());
    };
    let memories_max = limits
        .memories_max
        .min(engine::MEMORIES_PER_INSTANCE_MAX as usize);
    if needed.num_memories as usize > memories_max {
        return Err(oversized(limits, Limit::Memories, needed.num_memories));
    }
    let tables_max = limits
        .tables_max
        .min(engine::TABLES_PER_INSTANCE_MAX as usize);
    if needed.num_tables as usize > tables_max {
        return Err(oversized(limits, Limit::Tables, needed.num_tables));
    }
    let memory_bytes = needed.max_initial_memory_size.unwrap_or_default() * PAGE_BYTES;
    if memory_bytes > limits.memory_bytes_max as u64 {
        let needed = format!("{memory_bytes} bytes");
        return Err(oversized(limits, Limit::MemoryBytes, needed));
    }
    let elements = needed.max_initial_table_size.unwrap_or_default();
    if elements > limits.table_elements_max.min(engine::TABLE_ELEMENTS_MAX) as u64 {
        return Err(oversized(limits, Limit::TableElements, elements));
    }
    Ok(())
}

/// Runs what blocks or computes for long where it holds up nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LoadProblem> + Send + 'static,
) -> Result<T, LoadProblem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(LoadProblem::Internal(format!("loading broke off: {error}"))),
    }
}

fn report(plugin: &Plugin) {
    let report = plugin.load_report();
    tracing::info!(
        target: "consort::plugin",
        plugin = %plugin.name(),
        version = plugin.version(),
        cached = report.cached,
        compile_ms = report.compile.as_millis(),
        total_ms = report.total.as_millis(),
        "plugin loaded"
    );
    if let Snapshot::NotPossible { reason } = &report.snapshot {
        tracing::warn!(
            target: "consort::plugin",
            plugin = %plugin.name(),
            reason,
            "no snapshot can be taken of this plugin: init runs in each new instance, and \
             instances are reused within a tenant, so that what one call leaves behind the \
             next call of the same tenant sees"
        );
    }
}
