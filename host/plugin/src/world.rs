//! Whether a component fits the contract, judged by the names of its imports and exports.

use crate::capability::{Capability, ImportRule};
use crate::errors::LoadProblem;
use crate::link::{CONTRACT_VERSION, NN_VERSION};
use crate::models::Models;
use crate::plugin::{Exports, RoleExports};
use crate::role::Role;
use crate::scan::Scan;
use consort_inference::PluginName;
use std::collections::BTreeSet;
use wasmtime::component::Component;

/// What a component plays, by the full names of its exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) preprocess: Option<String>,
    pub(crate) postprocess: Option<String>,
    pub(crate) model_handler: Option<String>,
    pub(crate) ensemble: Option<String>,
    /// The companions that take examples as columns.
    columns: Vec<String>,
}

const PACKAGE: &str = "consort:inference/";
const INIT: &str = "init";
/// What the name of a role's companion ends with.
const COLUMNS: &str = "-columns";

// === impl World ===

impl World {
    /// Reads the roles from the exports; the error lists what there is and what should be.
    pub(crate) fn of(scan: &Scan) -> Result<Self, LoadProblem> {
        let export = |role: Role| {
            let fits = |name: &&String| is_interface(name, role.as_str());
            scan.exports.iter().find(fits).cloned()
        };
        let world = Self {
            preprocess: export(Role::Preprocess),
            postprocess: export(Role::Postprocess),
            model_handler: export(Role::ModelHandler),
            ensemble: export(Role::Ensemble),
            columns: scan
                .exports
                .iter()
                .filter(|name| name.contains(COLUMNS))
                .cloned()
                .collect(),
        };
        let missing = if world.roles().is_empty() {
            "no role is exported"
        } else if !scan.exports.iter().any(|name| name == INIT) {
            "`init` is not exported"
        } else {
            return Ok(world);
        };
        Err(LoadProblem::WrongWorld {
            missing: missing.to_owned(),
            exports: list(&scan.exports),
            expected: list(&Role::ALL.map(interface)),
        })
    }

    pub(crate) fn roles(&self) -> Vec<Role> {
        let exported = |role: &Role| self.export(*role).is_some();
        Role::ALL.into_iter().filter(exported).collect()
    }

    fn export(&self, role: Role) -> Option<&String> {
        match role {
            Role::Preprocess => self.preprocess.as_ref(),
            Role::Postprocess => self.postprocess.as_ref(),
            Role::ModelHandler => self.model_handler.as_ref(),
            Role::Ensemble => self.ensemble.as_ref(),
        }
    }

    fn columns(&self, role: Role) -> Option<&String> {
        let companion = format!("{role}{COLUMNS}");
        self.columns
            .iter()
            .find(|name| is_interface(name, &companion))
    }

    /// Looks the functions up once, so that no call does.
    pub(crate) fn exports(&self, component: &Component) -> Result<Exports, LoadProblem> {
        let find = |instance: Option<&_>, name: &str, within: &str| {
            component
                .get_export_index(instance, name)
                .ok_or_else(|| LoadProblem::ExportType {
                    export: within.to_owned(),
                    message: format!("there is no `{name}`"),
                })
        };
        let role = |role: Role| -> Result<Option<RoleExports>, LoadProblem> {
            let Some(name) = self.export(role) else {
                return Ok(None);
            };
            let instance = find(None, name, name)?;
            Ok(Some(RoleExports {
                describe: find(Some(&instance), "describe", name)?,
                process: find(Some(&instance), role.function(), name)?,
                columns: self
                    .columns(role)
                    .map(|name| {
                        let instance = find(None, name, name)?;
                        find(Some(&instance), "process", name)
                    })
                    .transpose()?,
            }))
        };
        Ok(Exports {
            init: find(None, INIT, INIT)?,
            preprocess: role(Role::Preprocess)?,
            postprocess: role(Role::Postprocess)?,
            model_handler: role(Role::ModelHandler)?,
            ensemble: role(Role::Ensemble)?,
        })
    }
}

/// Refuses imports that are not granted or not known, before anything is compiled.
pub(crate) fn check_imports(
    scan: &Scan,
    plugin: &PluginName,
    models: &Models,
) -> Result<(), LoadProblem> {
    for import in &scan.imports {
        match ImportRule::of(import) {
            ImportRule::Base | ImportRule::FilesRefused => {}
            ImportRule::Models if !models.is_empty() => {}
            ImportRule::Models => {
                return Err(LoadProblem::NoModels {
                    import: import.clone(),
                    plugin: plugin.to_string(),
                });
            }
            ImportRule::Denied(capability) => {
                return Err(LoadProblem::ImportDenied {
                    import: import.clone(),
                    capability,
                    plugin: plugin.to_string(),
                });
            }
            ImportRule::Unknown => {
                return Err(LoadProblem::ImportUnknown {
                    import: import.clone(),
                    known: format!(
                        "{PACKAGE}{{tensors,collate,models,log,assets}}@{CONTRACT_VERSION}, \
                         wasi:nn@{NN_VERSION} and the WASI 0.2 packages wasi:cli, wasi:clocks, \
                         wasi:io, wasi:random"
                    ),
                });
            }
        }
    }
    Ok(())
}

/// What the component would need that is not in the base set.
pub(crate) fn capabilities(scan: &Scan) -> BTreeSet<Capability> {
    let needed = |import: &String| match ImportRule::of(import) {
        ImportRule::Denied(capability) => Some(capability),
        _ => None,
    };
    scan.imports.iter().filter_map(needed).collect()
}

fn interface(role: Role) -> String {
    format!("{PACKAGE}{role}@{CONTRACT_VERSION}")
}

/// Whether `name` is that interface in a version this host can call: the same up to the
/// first number that is not zero.
fn is_interface(name: &str, interface: &str) -> bool {
    let Some(rest) = name.strip_prefix(PACKAGE) else {
        return false;
    };
    let Some((found, version)) = rest.split_once('@') else {
        return false;
    };
    found == interface && track(version).is_some() && track(version) == track(CONTRACT_VERSION)
}

/// The part of a version in which compatible versions agree, as the component model
/// defines it: `1.2.3` -> `1`, `0.2.3` -> `0.2`; other versions fit only themselves.
fn track(version: &str) -> Option<&str> {
    if version.contains(['-', '+']) {
        return Some(version);
    }
    let mut ends = version.match_indices('.').map(|(at, _)| at);
    let (major_end, minor_end) = (ends.next()?, ends.next()?);
    let major = version.get(..major_end)?;
    let minor = version.get(..minor_end)?;
    match (major, minor) {
        ("0", "0.0") => Some(version),
        ("0", minor) => Some(minor),
        (major, _) => Some(major),
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(exports: &[&str]) -> Result<World, LoadProblem> {
        World::of(&Scan {
            exports: exports.iter().map(|name| (*name).to_owned()).collect(),
            ..Scan::default()
        })
    }

    #[test]
    fn roles_of_the_same_track_are_found() {
        let found = world(&[INIT, "consort:inference/preprocess@0.1.7"]).unwrap();
        assert_eq!(found.roles(), [Role::Preprocess]);
        let all = [
            INIT,
            "consort:inference/postprocess@0.1.0",
            "consort:inference/model-handler@0.1.0",
            "consort:inference/ensemble@0.1.0",
            "consort:inference/preprocess@0.1.0",
        ];
        assert_eq!(world(&all).unwrap().roles(), Role::ALL);
    }

    #[test]
    fn other_worlds_are_described() {
        let command = world(&["wasi:cli/run@0.2.6"]).unwrap_err().to_string();
        assert!(command.starts_with("no role is exported"), "{command}");
        assert!(command.contains("`wasi:cli/run@0.2.6`"), "{command}");
        assert!(
            command.contains("`consort:inference/preprocess@0.1.0`"),
            "{command}"
        );
        let newer = world(&[INIT, "consort:inference/preprocess@0.2.0"]).unwrap_err();
        assert!(newer.to_string().contains("@0.2.0"), "{newer}");
        let no_init = world(&["consort:inference/preprocess@0.1.0"]).unwrap_err();
        assert!(
            no_init.to_string().starts_with("`init` is not exported"),
            "{no_init}"
        );
        assert!(
            world(&[])
                .unwrap_err()
                .to_string()
                .contains("exports nothing")
        );
    }

    #[test]
    fn tracks_follow_the_component_model() {
        assert_eq!(track("1.2.3"), Some("1"));
        assert_eq!(track("0.2.3"), Some("0.2"));
        assert_eq!(track("0.0.3"), Some("0.0.3"));
        assert_eq!(track("0.2.0-rc-1"), Some("0.2.0-rc-1"));
        assert_eq!(track("2"), None);
    }

    #[test]
    fn denied_imports_say_who_could_ask() {
        let scan = Scan {
            imports: vec!["wasi:cli/exit@0.2.6".into(), "wasi:http/types@0.2.0".into()],
            ..Scan::default()
        };
        let plugin = "fetcher".parse().unwrap();
        let check = |scan: &Scan| check_imports(scan, &plugin, &Models::default());
        let problem = check(&scan).unwrap_err().to_string();
        assert!(problem.contains("`wasi:http/types@0.2.0`"), "{problem}");
        assert!(problem.contains("capabilities = [\"http\"]"), "{problem}");
        assert!(problem.contains("[plugin.fetcher]"), "{problem}");
        assert_eq!(capabilities(&scan), [Capability::Http].into());
        let scan = Scan {
            imports: vec![format!("wasi:nn/graph@{NN_VERSION}")],
            ..Scan::default()
        };
        let problem = check(&scan).unwrap_err().to_string();
        assert!(problem.contains("models = [\"...\"]"), "{problem}");
        assert!(problem.contains("[plugin.fetcher]"), "{problem}");
        assert!(capabilities(&scan).is_empty());
    }
}
