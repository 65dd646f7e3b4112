//! What can go wrong before a plugin is ready: each error says what was found, what was
//! expected and what to do.

use crate::capability::Capability;
use crate::limits::Limit;
use crate::role::Role;
use std::path::PathBuf;

/// The sandbox itself could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The engine refused its settings, or the system refused the address space.
    #[error(
        "the WebAssembly engine cannot start: {0}; if address space is limited (ulimit -v), \
         lower instances_max"
    )]
    Engine(String),
    /// The base set of imports is inconsistent.
    #[error("the host's imports cannot be linked: {0}; this is a defect of the host")]
    Link(String),
    /// No thread for the clock that stops guests.
    #[error("the thread that stops endless plugins cannot start: {0}")]
    Ticker(std::io::Error),
}

/// A plugin could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct LoadError {
    /// The component's file.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: LoadProblem,
}

/// Why a plugin could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadProblem {
    /// The file cannot be read.
    #[error("the component cannot be read: {0}; paths are relative to the manifest")]
    Unreadable(std::io::Error),
    /// The file is too large.
    #[error(
        "the component is {bytes} bytes, more than {bytes_max}: build it with optimisation and \
         without debug information, or raise {key} in the manifest",
        key = Limit::WasmBytes
    )]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// One function is too large to compile in good time.
    #[error(
        "a function of {bytes} bytes at offset {offset} is over {bytes_max}: raise {key} in the \
         manifest if the component is trusted",
        key = Limit::FunctionBytes
    )]
    FunctionTooLarge {
        /// Its size.
        bytes: usize,
        /// Where it begins.
        offset: u64,
        /// The limit.
        bytes_max: usize,
    },
    /// The file does not begin as WebAssembly does.
    #[error("this is not WebAssembly: it begins with {0}; a component (.wasm) is expected")]
    NotWasm(String),
    /// The file is a core module.
    #[error(
        "this is a core WebAssembly module, a component is expected: build for the target \
         wasm32-wasip2, or make one of it with `wasm-tools component new`"
    )]
    CoreModule,
    /// The file ends too early.
    #[error(
        "the component is truncated: it ends at byte {0} in the middle of a section; copy or build it again"
    )]
    Truncated(u64),
    /// The file is no valid component.
    #[error("this is not a valid component: {0}; build it again with current tools")]
    Invalid(String),
    /// The file is not the one the manifest means.
    #[error(
        "the component's sha256 is {actual}, the manifest says {expected}: it is another file, or it was changed"
    )]
    Digest {
        /// As the manifest says.
        expected: String,
        /// As the file is.
        actual: String,
    },
    /// The component does not export what a plugin exports.
    #[error(
        "{missing}; the component exports {exports}. A plugin exports `init: func(config: string) -> result<_, string>` and at least one of the interfaces {expected}: build it against one of the worlds `preprocess-plugin`, `postprocess-plugin`, `pre-and-postprocess-plugin`, `model-handler-plugin` and `ensemble-plugin` of consort:inference"
    )]
    WrongWorld {
        /// What is missing.
        missing: String,
        /// What there is.
        exports: String,
        /// The interfaces of the roles.
        expected: String,
    },
    /// An export has another type than the contract says.
    #[error(
        "the export `{export}` does not have the contract's type: {message}; build the component against this host's wit/"
    )]
    ExportType {
        /// Which export.
        export: String,
        /// How it differs.
        message: String,
    },
    /// The component imports something that needs a capability.
    #[error(
        "the component imports `{import}`, which needs the capability \"{capability}\". The line \
         `capabilities = [\"{capability}\"]` under [plugin.{plugin}] would ask for it, but this \
         version of the host grants it to nobody: build the component without it"
    )]
    ImportDenied {
        /// The import.
        import: String,
        /// What it needs.
        capability: Capability,
        /// The plugin's name in the manifest.
        plugin: String,
    },
    /// The component calls models, and none is granted.
    #[error(
        "the component imports `{import}`, which calls models, and none is granted: write \
         `models = [\"...\"]` under [plugin.{plugin}] with the names of those it may call"
    )]
    NoModels {
        /// The import.
        import: String,
        /// The plugin's name in the manifest.
        plugin: String,
    },
    /// The component imports something that the host does not have.
    #[error("the component imports `{import}`, which this host does not have; it has {known}")]
    ImportUnknown {
        /// The import.
        import: String,
        /// What the host has.
        known: String,
    },
    /// An import has another type or version than the host's.
    #[error(
        "the component's imports do not fit this host (contract consort:inference@{contract}, WASI 0.2): {message}; build it against this host's wit/, or update the host"
    )]
    ImportType {
        /// The host's version of the contract.
        contract: &'static str,
        /// How it differs.
        message: String,
    },
    /// The manifest requests a capability that nobody gets.
    #[error(
        "capabilities: \"{0}\" is requested, but this version of the host grants it to nobody; \
         remove it from the manifest"
    )]
    CapabilityUnavailable(Capability),
    /// An asset cannot be read.
    #[error("asset \"{name}\" ({}) cannot be read: {source}; paths are relative to the manifest", path.display())]
    Asset {
        /// The name that the plugin reads it by.
        name: String,
        /// Its file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The assets are too large.
    #[error(
        "the assets are more than {bytes_max} bytes together: raise {key} in the manifest",
        key = Limit::AssetBytes
    )]
    AssetsTooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// The component cannot be compiled.
    #[error("the component cannot be compiled: {0}")]
    Compile(String),
    /// The component needs more than its limits allow before it even runs.
    #[error(
        "the component needs {needed} to start, {limit} allows {allowed}: raise {limit} in the manifest"
    )]
    Oversized {
        /// Which limit.
        limit: Limit,
        /// What it needs.
        needed: String,
        /// What is allowed.
        allowed: String,
    },
    /// It calls plugins that call plugins, and so on, deeper than the instances allow.
    #[error(
        "what the plugin calls is made of plugins, which call others, {nesting} deep; \
         instances_max allows {nesting_max}: raise it, or let plugins call less of one another"
    )]
    NestedTooDeep {
        /// How deep its calls go.
        nesting: usize,
        /// How deep they may go.
        nesting_max: usize,
    },
    /// `init` trapped, or the component could not be instantiated.
    #[error("init failed: {0}")]
    InitTrapped(String),
    /// `init` returned an error.
    #[error("init refused: {0}")]
    InitRefused(String),
    /// A role's `describe` trapped.
    #[error("the role `{role}` cannot be described: {message}")]
    DescribeTrapped {
        /// Which role.
        role: Role,
        /// Why.
        message: String,
    },
    /// A role describes itself in a way that cannot be.
    #[error("the role `{role}` describes itself wrongly: {message}")]
    Signature {
        /// Which role.
        role: Role,
        /// What is wrong.
        message: String,
    },
    /// A defect of the host.
    #[error("{0}; this is a defect of the host")]
    Internal(String),
}
