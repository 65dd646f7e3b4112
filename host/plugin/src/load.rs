//! From a file to a [`Plugin`]: read, check, initialise, compile or find in the cache,
//! link, describe.

use crate::cache::{Cache, CacheKey, Entry, hex};
use crate::capability::Capability;
use crate::engine::{self, Sandbox};
use crate::errors::{LoadError, LoadProblem};
use crate::instance::Recipe;
use crate::limits::{Limit, Limits};
use crate::link::{CONTRACT_VERSION, refuse_files};
use crate::metrics::PluginMetrics;
use crate::plugin::{Core, Described, Exports, Plugin, PreprocessDescription};
use crate::pool::Live;
use crate::role::Role;
use crate::scan::scan;
use crate::snapshot::{Picture, initialise, photograph};
use crate::state::{PluginShare, State, begin_call};
use crate::trap::CallError;
use crate::wire::{WireAnswers, WireDescription, WireExample, WireOutcomes, WireSignature, specs};
use crate::world::{World, check_imports};
use consort_inference::{PluginName, Signature, TensorSpec};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, InstancePre, Lift, Lower,
};

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
#[derive(Debug, Clone)]
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

/// The files of a plugin, read and checked.
struct Files {
    wasm: Arc<[u8]>,
    sha256: [u8; 32],
    world: World,
    assets: BTreeMap<String, Arc<[u8]>>,
}

/// Compiled code and what it is of.
struct Compiled {
    component: Component,
    snapshot: Snapshot,
    cached: bool,
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
            limits: Limits::default(),
            instances: Instances::default(),
            capabilities: BTreeSet::new(),
        }
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
            Err(problem) => tracing::error!(
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
        let (config, files) = blocking(move || {
            let files = Files::read(&config)?;
            Ok((config, files))
        })
        .await?;
        let metrics = PluginMetrics::new(self.metrics.clone(), &config.name);
        let share = Arc::new(PluginShare {
            name: config.name,
            limits: config.limits,
            assets: files.assets,
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
            pre: link_component(self, &compiled.component)?,
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

    /// Compiled code from the cache, or made now and kept there.
    async fn compiled(self: &Arc<Self>, source: &Source) -> Result<Compiled, LoadProblem> {
        if let Some(found) = self.cached(source).await {
            return Ok(found);
        }
        let _turn = self.compiling.lock().await;
        // Another load of the same component may have had the turn before.
        if let Some(found) = self.cached(source).await {
            return Ok(found);
        }
        let Source {
            share,
            world,
            wasm,
            config,
            ..
        } = source;
        let picture = photograph(self, share, world, wasm, config).await?;
        let (component, snapshot) = match picture {
            Picture::NotPossible(reason) => (self.compile(wasm.clone()).await?, Err(reason)),
            Picture::Taken(picture) => match self.compile(picture.into()).await {
                Ok(component) => (component, Ok(())),
                Err(problem) => {
                    let reason = format!("the snapshot does not compile: {problem}");
                    (self.compile(wasm.clone()).await?, Err(reason))
                }
            },
        };
        let not_snapshot = snapshot.err();
        self.keep_compiled(source, &component, not_snapshot.clone())
            .await;
        Ok(Compiled {
            component,
            snapshot: Snapshot::of(not_snapshot),
            cached: false,
        })
    }

    async fn compile(self: &Arc<Self>, wasm: Arc<[u8]>) -> Result<Component, LoadProblem> {
        let engine = self.engine.clone();
        blocking(move || {
            Component::new(&engine, &wasm)
                .map_err(|error| LoadProblem::Compile(format!("{error:#}")))
        })
        .await
    }

    async fn cached(self: &Arc<Self>, source: &Source) -> Option<Compiled> {
        let sandbox = self.clone();
        let key = source.key(self.cache.as_ref()?);
        let found = blocking(move || {
            let Some(entry) = sandbox.cache.as_ref().and_then(|cache| cache.load(&key)) else {
                return Ok(None);
            };
            let component = deserialize(&sandbox, &entry);
            Ok(component.map(|component| Compiled {
                component,
                snapshot: Snapshot::of(entry.not_snapshot),
                cached: true,
            }))
        });
        found.await.ok().flatten()
    }

    async fn keep_compiled(
        self: &Arc<Self>,
        source: &Source,
        component: &Component,
        not_snapshot: Option<String>,
    ) {
        let Some(cache) = &self.cache else { return };
        let key = source.key(cache);
        let (sandbox, component) = (self.clone(), component.clone());
        let kept = blocking(move || {
            let code = component
                .serialize()
                .map_err(|error| LoadProblem::Internal(error.to_string()))?;
            let entry = Entry { not_snapshot, code };
            if let Some(cache) = &sandbox.cache {
                cache.store(&key, &entry);
            }
            Ok(())
        });
        if let Err(problem) = kept.await {
            tracing::warn!(target: "consort::plugin", %problem, "compiled code is not kept");
        }
    }
}

/// What compiled code depends on.
struct Source {
    share: Arc<PluginShare>,
    wasm: Arc<[u8]>,
    sha256: [u8; 32],
    world: World,
    config: String,
}

// === impl Source ===

impl Source {
    fn key(&self, cache: &Cache) -> CacheKey {
        let count = self.share.assets.len().to_le_bytes();
        let mut parts: Vec<&[u8]> = vec![
            CONTRACT_VERSION.as_bytes(),
            &self.sha256,
            self.config.as_bytes(),
            &count,
        ];
        for (name, content) in &self.share.assets {
            parts.extend([name.as_bytes(), content]);
        }
        cache.key(&parts)
    }
}

// === impl Snapshot ===

impl Snapshot {
    fn of(not_possible: Option<String>) -> Self {
        match not_possible {
            None => Self::Taken,
            Some(reason) => Self::NotPossible { reason },
        }
    }
}

// === impl Files ===

impl Files {
    fn read(config: &PluginConfig) -> Result<Self, LoadProblem> {
        let limits = &config.limits;
        let wasm = read_component(&config.path, limits)?;
        let sha256: [u8; 32] = Sha256::digest(&wasm).into();
        if let Some(expected) = &config.sha256 {
            let actual = hex(&sha256);
            if !expected.eq_ignore_ascii_case(&actual) {
                return Err(LoadProblem::Digest {
                    expected: expected.clone(),
                    actual,
                });
            }
        }
        let scan = scan(&wasm, limits)?;
        let world = World::of(&scan)?;
        check_imports(&scan, &config.name)?;
        if scan.core_instances > limits.core_instances_max {
            return Err(oversized(limits, Limit::CoreInstances, scan.core_instances));
        }
        Ok(Self {
            wasm: wasm.into(),
            sha256,
            world,
            assets: read_assets(&config.assets, limits)?,
        })
    }
}

/// Reads a file that is not larger than a component may be.
pub(crate) fn read_component(path: &Path, limits: &Limits) -> Result<Vec<u8>, LoadProblem> {
    let bytes_max = limits.wasm_bytes_max;
    match read_up_to(path, bytes_max) {
        Err(source) => Err(LoadProblem::Unreadable(source)),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(bytes)) => Err(LoadProblem::TooLarge { bytes, bytes_max }),
    }
}

fn read_assets(
    paths: &BTreeMap<String, PathBuf>,
    limits: &Limits,
) -> Result<BTreeMap<String, Arc<[u8]>>, LoadProblem> {
    let bytes_max = limits.asset_bytes_max;
    let mut left = bytes_max;
    let mut assets = BTreeMap::new();
    for (name, path) in paths {
        let content = read_up_to(path, left).map_err(|source| LoadProblem::Asset {
            name: name.clone(),
            path: path.clone(),
            source,
        })?;
        let content = content.map_err(|_| LoadProblem::AssetsTooLarge { bytes_max })?;
        left -= content.len() as u64;
        assets.insert(name.clone(), content.into());
    }
    Ok(assets)
}

/// The content of a file, or its size if that is over the limit.
fn read_up_to(path: &Path, bytes_max: u64) -> std::io::Result<Result<Vec<u8>, u64>> {
    let file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    if metadata.len() > bytes_max {
        return Ok(Err(metadata.len()));
    }
    let mut bytes = Vec::new();
    // A file can grow, and some say they are empty.
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let read = bytes.len() as u64;
    Ok(if read > bytes_max {
        Err(read)
    } else {
        Ok(bytes)
    })
}

fn deserialize(sandbox: &Sandbox, entry: &Entry) -> Option<Component> {
    // SAFETY: the bytes were written by `Cache::store` of this user: `Cache::load` hands
    // out only content of a file that belongs to this user, in a folder that nobody else
    // may enter, and whose digest covers the content and its key. wasmtime itself checks
    // that they were made by an engine like this one.
    #[expect(unsafe_code, reason = "compiled code can only be trusted, not checked")]
    let component = unsafe { Component::deserialize(&sandbox.engine, &entry.code) };
    component
        .inspect_err(|error| {
            tracing::warn!(
                target: "consort::plugin",
                %error,
                "compiled code of the cache does not fit; the plugin is compiled again"
            );
        })
        .ok()
}

/// Links what a component imports: the base set, and stubs that refuse files.
pub(crate) fn link_component(
    sandbox: &Sandbox,
    component: &Component,
) -> Result<InstancePre<State>, LoadProblem> {
    let mismatch = |error: wasmtime::Error| LoadProblem::ImportType {
        contract: CONTRACT_VERSION,
        message: format!("{error:#}"),
    };
    let mut linker = sandbox.base.clone();
    refuse_files(&mut linker, component).map_err(mismatch)?;
    linker.instantiate_pre(component).map_err(mismatch)
}

fn oversized(limits: &Limits, limit: Limit, needed: impl ToString) -> LoadProblem {
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

/// Asks an initialised instance what its roles promise, and checks the answers and the
/// types of the functions that calls will use.
async fn describe(recipe: &Recipe, exports: &Exports) -> Result<(Described, Live), LoadProblem> {
    let mut live = match &recipe.init_each {
        Some(config) => initialise(recipe, config).await?,
        None => {
            let permit = recipe.sandbox.pool.permit().await;
            let made = recipe.instantiate(permit, None, recipe.load_budget(), 0);
            made.await
                .map_err(|error| LoadProblem::InitTrapped(error.message().to_owned()))?
        }
    };
    let mut described = Described::default();
    if let Some(role) = &exports.preprocess {
        type Returned = (WireDescription,);
        let (wire,) = ask::<Returned>(recipe, &mut live, Role::Preprocess, &role.describe).await?;
        let description = PreprocessDescription {
            signature: wire.signature.into_signature(),
            answers: specs(wire.answers),
        };
        check_signature(recipe, Role::Preprocess, &description.signature)?;
        described.answers.outputs = description.answers.clone();
        check_signature(recipe, Role::Preprocess, &described.answers)?;
        described.preprocess = Some(description);
        let (live, process) = (&mut live, &role.process);
        typed::<(Vec<WireExample>,), (WireOutcomes,)>(live, Role::Preprocess, process)?;
    }
    if let Some(role) = &exports.postprocess {
        type Returned = (WireSignature,);
        let (wire,) = ask::<Returned>(recipe, &mut live, Role::Postprocess, &role.describe).await?;
        let signature = wire.into_signature();
        check_signature(recipe, Role::Postprocess, &signature)?;
        described.postprocess = Some(signature);
        let (live, process) = (&mut live, &role.process);
        typed::<(Vec<WireExample>,), (WireAnswers,)>(live, Role::Postprocess, process)?;
    }
    Ok((described, live))
}

fn typed<P, R>(
    live: &mut Live,
    role: Role,
    index: &ComponentExportIndex,
) -> Result<wasmtime::component::TypedFunc<P, R>, LoadProblem>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    let found = live.instance.get_typed_func(&mut live.store, index);
    found.map_err(|error| LoadProblem::ExportType {
        export: role.to_string(),
        message: format!("{error:#}"),
    })
}

async fn ask<R>(
    recipe: &Recipe,
    live: &mut Live,
    role: Role,
    index: &ComponentExportIndex,
) -> Result<R, LoadProblem>
where
    R: ComponentNamedList + Lift + Send + Sync + 'static,
{
    let describe = typed::<(), R>(live, role, index)?;
    let budget = recipe.load_budget();
    begin_call(&mut live.store, None, budget, 0);
    let answer = {
        let call = describe.call_async(&mut live.store, ());
        tokio::time::timeout_at(budget.ends_at, call).await
    };
    let state = live.store.data();
    state.log.end_call();
    let failed = |error: CallError| LoadProblem::DescribeTrapped {
        role,
        message: error.message().to_owned(),
    };
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failed(CallError::of(&error, state))),
        Err(_) => Err(failed(CallError::timed_out(state))),
    }
}

fn check_signature(recipe: &Recipe, role: Role, signature: &Signature) -> Result<(), LoadProblem> {
    let limits = &recipe.share.limits;
    let check = |what: &str, specs: &[TensorSpec]| {
        let mut names = BTreeSet::new();
        for spec in specs {
            let problem = if spec.name.is_empty() {
                format!("an {what} has no name")
            } else if !names.insert(&spec.name) {
                format!("the {what} \"{}\" is listed twice", spec.name)
            } else if spec.shape.len() > limits.tensor_axes_max {
                format!(
                    "the {what} \"{}\" has {} axes, more than {} = {}",
                    spec.name,
                    spec.shape.len(),
                    Limit::TensorAxes,
                    limits.tensor_axes_max
                )
            } else {
                continue;
            };
            return Err(LoadProblem::Signature {
                role,
                message: crate::logs::excerpt(&problem, limits.message_bytes_max),
            });
        }
        Ok(())
    };
    check("input", &signature.inputs)?;
    check("output", &signature.outputs)
}

/// Runs what blocks or computes for long where it holds up nobody.
async fn blocking<T: Send + 'static>(
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
