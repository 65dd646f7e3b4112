//! The checked manifest.

use toml::de::{DeTable, DeValue};

use crate::cycles;
use crate::keys::ensemble::Ensemble;
use crate::keys::host::{Cache, Job, Registry, Sandbox, Server, Tenant};
use crate::keys::limits::Limits;
use crate::keys::map::ModelMap;
use crate::keys::model::Model;
use crate::keys::plugin::Plugin;
use crate::keys::root::Root;
use crate::keys::state;
use crate::names::Declared;
use crate::place::{Located, Place, Source};
use crate::problem::{Problem, Problems};
use crate::report::Report;
use crate::rule::collection::Table;
use crate::rule::free::FORMAT_VERSION;
use crate::rule::integer;
use crate::syntax::{self, TEXT_BYTES_MAX};

/// A manifest in which every key is right, every name stands for something, and every
/// default is filled in. Models, plugins and ensembles are in the order of the text.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The models.
    pub models: Vec<Model>,
    /// Models by key.
    pub model_maps: Vec<ModelMap>,
    /// The plugins, each with its own limits complete.
    pub plugins: Vec<Plugin>,
    /// The ensembles.
    pub ensembles: Vec<Ensemble>,
    /// The limits of plugins that set none themselves.
    pub limits: Limits,
    /// The tenants that the manifest names.
    pub tenants: Vec<Tenant>,
    /// The models in memory.
    pub registry: Registry,
    /// The server.
    pub server: Server,
    /// Jobs.
    pub job: Job,
    /// The sandbox.
    pub sandbox: Sandbox,
    /// The cache of compiled plugins.
    pub cache: Cache,
    /// The text, for problems that are found later.
    pub source: Source,
}

/// What a text says and what is wrong with it.
#[derive(Debug)]
pub struct Reading {
    /// The manifest without the models, plugins and other named tables that something is
    /// wrong with. A single table such as `[server]` has defaults where it is wrong. None
    /// where nothing can be judged: the text is too long or of another version.
    pub manifest: Option<Manifest>,
    /// Everything that is wrong, empty if the manifest is right and whole.
    pub problems: Problems,
}

/// Reads and checks a manifest. `file` is only shown in messages. The error holds
/// everything that is wrong, not only the first thing.
pub fn parse(file: &str, text: &str) -> Result<Manifest, Problems> {
    let Reading { manifest, problems } = read(file, text);
    match manifest {
        Some(manifest) if problems.is_empty() => Ok(manifest),
        _ => Err(problems),
    }
}

/// As [`parse`], but of a text that is wrong also gives what is right: whoever goes on with
/// that finds what else does not work, such as a file that does not exist.
pub fn read(file: &str, text: &str) -> Reading {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!(
            "the manifest has {} bytes, more than the {TEXT_BYTES_MAX} allowed",
            text.len()
        );
        let help = "move large values into files, and name the files as assets";
        let problem = Problem::new(Place::default(), message, help);
        return Reading {
            manifest: None,
            problems: Problems::new(Source::new(file, ""), vec![problem]),
        };
    }
    let source = Source::new(file, text);
    let mut report = Report::new(&source);
    let manifest = syntax::parse(&source, &mut report, |table, report| {
        let mut manifest = read_table(table, &source, report)?;
        manifest.keep_whole(table, report);
        Some(manifest)
    });
    Reading {
        manifest,
        problems: report.into_problems(),
    }
}

fn read_table(table: &DeTable<'_>, source: &Source, report: &mut Report) -> Option<Manifest> {
    if refuse_other_version(table, report) {
        return None;
    }
    let declared = Declared::of(table);
    declared.check_shared(report);
    let name = Located {
        value: String::new(),
        place: Place::default(),
        given: false,
    };
    let root = Table::<Root>::new().read_table(table, ("", &name, Place::default()), report);
    // Only a missing or wrong version stops the root, and it is looked at above all else.
    let root = root?;
    for ensemble in &root.ensemble.value {
        declared.check_steps(ensemble, report);
    }
    cycles::check(&root.ensemble.value, report);
    declared.check_models(&root.model.value, report);
    declared.check_maps(&root.model_map.value, report);
    state::check_maps(&root.model.value, &root.model_map.value, report);
    declared.check_grants(&root.plugin.value, report);
    let limits = root.limits.value;
    limits.check(report);
    let with_limits = |mut plugin: Plugin| {
        plugin.limits = plugin.limits.map(|own| own.over(&limits));
        plugin.limits.check(report);
        plugin
    };
    let plugins = root.plugin.value.into_iter().map(with_limits).collect();
    Some(Manifest {
        models: root.model.value,
        model_maps: root.model_map.value,
        plugins,
        ensembles: root.ensemble.value,
        limits,
        tenants: root.tenant.value,
        registry: root.registry.value,
        server: root.server.value,
        job: root.job.value,
        sandbox: root.sandbox.value,
        cache: root.cache.value,
        source: source.clone(),
    })
}

/// Whether the manifest is of another version. Then nothing else in it can be judged.
fn refuse_other_version(table: &DeTable<'_>, report: &mut Report) -> bool {
    let Some(version) = table.get("consort") else {
        return false;
    };
    let DeValue::Integer(number) = version.get_ref() else {
        return false;
    };
    if integer(number) == FORMAT_VERSION {
        return false;
    }
    let message = format!("this manifest has version {number}, which this Consort cannot read");
    let help = format!("write consort = {FORMAT_VERSION}, or use a Consort that reads it");
    report.wrong(version.span().into(), message, help);
    true
}

// === impl Manifest ===

impl Manifest {
    /// The model of that name.
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| *model.name == name)
    }

    /// The model map of that name.
    pub fn model_map(&self, name: &str) -> Option<&ModelMap> {
        self.model_maps.iter().find(|map| *map.name == name)
    }

    /// The plugin of that name.
    pub fn plugin(&self, name: &str) -> Option<&Plugin> {
        self.plugins.iter().find(|plugin| *plugin.name == name)
    }

    /// The ensemble of that name.
    pub fn ensemble(&self, name: &str) -> Option<&Ensemble> {
        let mut ensembles = self.ensembles.iter();
        ensembles.find(|ensemble| *ensemble.name == name)
    }

    /// Leaves out the named tables that something is wrong with.
    fn keep_whole(&mut self, root: &DeTable<'_>, report: &mut Report) {
        if report.is_clean() {
            return;
        }
        let flaws = report.take_flaws();
        let flawed = |section: &str, name: &str| {
            let table = root
                .get(section)
                .and_then(|table| table.get_ref().as_table());
            let entry = table.and_then(|table| table.get_key_value(name));
            entry.is_some_and(|(key, value)| flaws.touch(key, value))
        };
        self.models.retain(|model| !flawed("model", &model.name));
        self.model_maps
            .retain(|map| !flawed("model-map", &map.name));
        self.tenants
            .retain(|tenant| !flawed("tenant", &tenant.name));
        self.plugins
            .retain(|plugin| !flawed("plugin", &plugin.name));
        self.ensembles
            .retain(|ensemble| !flawed("ensemble", &ensemble.name));
    }
}
