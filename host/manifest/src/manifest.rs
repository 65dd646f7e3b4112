//! The checked manifest.

use toml::de::{DeTable, DeValue};

use crate::keys::ensemble::Ensemble;
use crate::keys::host::{Cache, Job, Sandbox, Server};
use crate::keys::limits::Limits;
use crate::keys::model::Model;
use crate::keys::plugin::Plugin;
use crate::keys::root::Root;
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
    /// The plugins, each with its own limits complete.
    pub plugins: Vec<Plugin>,
    /// The ensembles.
    pub ensembles: Vec<Ensemble>,
    /// The limits of plugins that set none themselves.
    pub limits: Limits,
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

/// Reads and checks a manifest. `file` is only shown in messages. The error holds
/// everything that is wrong, not only the first thing.
pub fn parse(file: &str, text: &str) -> Result<Manifest, Problems> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!(
            "the manifest has {} bytes, more than the {TEXT_BYTES_MAX} allowed",
            text.len()
        );
        let help = "move large values into files, and name the files as assets";
        let problem = Problem::new(Place::default(), message, help);
        return Err(Problems::new(Source::new(file, ""), vec![problem]));
    }
    let source = Source::new(file, text);
    let mut report = Report::new(&source);
    let manifest = syntax::parse(&source, &mut report, |table, report| {
        read(table, &source, report)
    });
    match manifest {
        Some(manifest) if report.is_clean() => Ok(manifest),
        _ => Err(report.into_problems()),
    }
}

fn read(table: &DeTable<'_>, source: &Source, report: &mut Report) -> Option<Manifest> {
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
        plugins,
        ensembles: root.ensemble.value,
        limits,
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

    /// The plugin of that name.
    pub fn plugin(&self, name: &str) -> Option<&Plugin> {
        self.plugins.iter().find(|plugin| *plugin.name == name)
    }

    /// The ensemble of that name.
    pub fn ensemble(&self, name: &str) -> Option<&Ensemble> {
        let mut ensembles = self.ensembles.iter();
        ensembles.find(|ensemble| *ensemble.name == name)
    }

    /// A problem that was found after reading, such as a file that does not exist.
    pub fn problem(
        &self,
        place: Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Problem {
        Problem::new(place, message, help)
    }

    /// Problems of this manifest as one error.
    pub fn problems(&self, problems: Vec<Problem>) -> Problems {
        Problems::new(self.source.clone(), problems)
    }
}
