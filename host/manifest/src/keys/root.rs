//! The manifest's top level.

use super::ensemble::Ensemble;
use super::host::{Cache, Job, Registry, Sandbox, Server, Tenant};
use super::limits::Limits;
use super::map::ModelMap;
use super::model::Model;
use super::plugin::Plugin;
use crate::place::Located;
use crate::rule::collection::{Map, Table};
use crate::rule::free::FormatVersion;
use crate::rule::text::NAME;
use crate::section::{Default, Required, independent, section};

section! {
    /// A Consort manifest: the models and plugins there are, the ensembles made of them,
    /// and what each may use. Paths are relative to the manifest's folder. Sizes in bytes
    /// are whole numbers or texts such as "64 MiB".
    pub(crate) struct Root {
        /// The version of the manifest's format.
        pub(crate) consort: Located<i128> = Required(FormatVersion);
        /// The models, by name.
        pub(crate) model: Located<Vec<Model>> =
            Default(Map { keys: NAME, item: Table::new() }, "{}");
        /// Models by key, by name.
        pub(crate) model_map as "model-map": Located<Vec<ModelMap>> =
            Default(Map { keys: NAME, item: Table::new() }, "{}");
        /// The plugins, by name.
        pub(crate) plugin: Located<Vec<Plugin>> =
            Default(Map { keys: NAME, item: Table::new() }, "{}");
        /// The ensembles, by name.
        pub(crate) ensemble: Located<Vec<Ensemble>> =
            Default(Map { keys: NAME, item: Table::new() }, "{}");
        /// The tenants that are not like any other, by name.
        pub(crate) tenant: Located<Vec<Tenant>> =
            Default(Map { keys: NAME, item: Table::new() }, "{}");
        /// The limits of every plugin.
        pub(crate) limits: Located<Limits> = Default(Table::new(), "{}");
        /// The models in memory.
        pub(crate) registry: Located<Registry> = Default(Table::new(), "{}");
        /// The server.
        pub(crate) server: Located<Server> = Default(Table::new(), "{}");
        /// Jobs.
        pub(crate) job: Located<Job> = Default(Table::new(), "{}");
        /// The sandbox.
        pub(crate) sandbox: Located<Sandbox> = Default(Table::new(), "{}");
        /// The cache.
        pub(crate) cache: Located<Cache> = Default(Table::new(), "{}");
    }
}

independent!(Root);
