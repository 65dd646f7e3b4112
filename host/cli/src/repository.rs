//! What operators and streams of updates change: models by the names of the manifest, which
//! with a plugin around them are two models each.

use crate::models::inner_name;
use consort_inference::{BoxFuture, ModelName};
use consort_registry::{Registry, Update, UpdateError, Updated};
use consort_server::{Answering, Repository, RepositoryError, Wish};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The registry's models by the names of the manifest.
pub(crate) struct ModelRepository {
    registry: Arc<Registry>,
    /// What answers besides models.
    others: BTreeSet<String>,
}

// === impl ModelRepository ===

impl ModelRepository {
    /// The models of a registry; `others` are the ensembles and model maps, which have no
    /// file of their own.
    pub(crate) fn new(registry: Arc<Registry>, others: BTreeSet<String>) -> Self {
        Self { registry, others }
    }

    /// Brings another version of a model in, or the model itself where it is not in memory.
    /// Where a plugin stands around it, that is the model that is updated, and what the
    /// plugin makes carries the same version from then on.
    pub(crate) async fn load(
        &self,
        name: &ModelName,
        update: Update,
    ) -> Result<Updated, UpdateError> {
        let Some(inner) = self.inner(name) else {
            return self.registry.load_now(name, update).await;
        };
        let updated = self.registry.load_now(&inner, update).await?;
        self.follow(name, updated).await
    }

    async fn roll_back(&self, name: &ModelName) -> Result<Updated, UpdateError> {
        let Some(inner) = self.inner(name) else {
            return self.registry.rollback(name).await;
        };
        let updated = self.registry.rollback(&inner).await?;
        self.follow(name, updated).await
    }

    /// Gives the plugin around a model the model's version.
    async fn follow(&self, name: &ModelName, inner: Updated) -> Result<Updated, UpdateError> {
        let version = inner.id().version.clone();
        if let Some(outer) = self.registry.model(name)
            && outer.is_loaded()
            && outer.id().version == version
        {
            return Ok(Updated::Unchanged(outer.id()));
        }
        let update = Update {
            version: Some(version.to_string()),
            ..Update::default()
        };
        let outer = self.registry.load_now(name, update).await?;
        Ok(match inner {
            Updated::Unchanged(_) => Updated::Unchanged(outer.id().clone()),
            _ => outer,
        })
    }

    /// The model that a plugin stands around, by the name it is loaded by.
    fn inner(&self, name: &ModelName) -> Option<ModelName> {
        let inner = inner_name(name.as_str()).parse().ok()?;
        self.registry.model(&inner).map(|_| inner)
    }

    fn named(&self, name: &str) -> Result<ModelName, RepositoryError> {
        if self.others.contains(name) {
            return Err(RepositoryError::Refused(format!(
                "\"{name}\" has no file of its own; ask for one of its models"
            )));
        }
        let unknown = || RepositoryError::Unknown(format!("there is no model {name:?}"));
        name.parse().map_err(|_| unknown())
    }

    fn refusal(&self, name: &ModelName, error: &UpdateError) -> RepositoryError {
        let message = error.to_string();
        match error {
            UpdateError::Unknown(_) => RepositoryError::Unknown(message),
            UpdateError::VersionInUse(_) | UpdateError::NothingKept(_) => {
                RepositoryError::Refused(message)
            }
            UpdateError::Stopping => RepositoryError::NotNow(message),
            _ => {
                let model = self.registry.model(name);
                RepositoryError::Failed(match model.is_some_and(|model| model.is_loaded()) {
                    true => format!("{message}; what answered before answers still"),
                    false => message,
                })
            }
        }
    }
}

impl Repository for ModelRepository {
    fn load<'a>(
        &'a self,
        model: &'a str,
        wish: Wish,
    ) -> BoxFuture<'a, Result<Answering, RepositoryError>> {
        Box::pin(async move {
            let name = self.named(model)?;
            let update = Update {
                path: None,
                version: wish.version,
                sha256: wish.sha256,
            };
            let updated = ModelRepository::load(self, &name, update).await;
            updated
                .map(answering)
                .map_err(|error| self.refusal(&name, &error))
        })
    }

    fn unload<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<(), RepositoryError>> {
        Box::pin(async move {
            let name = self.named(model)?;
            let unloaded = self.registry.unload(&name).await;
            unloaded.map_err(|error| self.refusal(&name, &error))?;
            match self.inner(&name) {
                None => Ok(()),
                Some(inner) => {
                    let unloaded = self.registry.unload(&inner).await;
                    unloaded.map_err(|error| self.refusal(&inner, &error))
                }
            }
        })
    }

    fn rollback<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Answering, RepositoryError>> {
        Box::pin(async move {
            let name = self.named(model)?;
            let back = self.roll_back(&name).await;
            back.map(answering)
                .map_err(|error| self.refusal(&name, &error))
        })
    }
}

fn answering(updated: Updated) -> Answering {
    Answering {
        changed: !matches!(updated, Updated::Unchanged(_)),
        id: updated.id().clone(),
    }
}
