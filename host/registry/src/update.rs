//! How a version takes the place of another: loaded and warmed up beside it, switched in
//! one step, and the old one drained. Whatever fails before the switch changes nothing.

use crate::generation::Generation;
use crate::load::{Loaded, Opened, Standard, Target};
use crate::model::{Model, Recipe};
use crate::status::Trigger;
use crate::{LoadError, Source, UpdateError, disk, lock, versions};
use consort_inference::ModelId;
use std::path::PathBuf;
use std::sync::Arc;

/// What a model is to become. With nothing said, its own file is loaded again, or the
/// highest version in its folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// Another file.
    pub path: Option<PathBuf>,
    /// The name of the new version. Without a path and in a folder of versions, the one to
    /// take. `None` makes a name of the manifest's version and the file's digest.
    pub version: Option<String>,
    /// The SHA-256 that the file must have.
    pub sha256: Option<String>,
}

/// What an update did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updated {
    /// Another version answers.
    Switched {
        /// What answered before.
        from: ModelId,
        /// What answers now.
        to: ModelId,
    },
    /// The version that was asked for answers already.
    Unchanged(ModelId),
    /// The model was not in memory and answers now.
    Loaded(ModelId),
}

// === impl Update ===

impl Update {
    /// Which file that is. Blocks.
    fn target(self, model: &Model) -> Result<Target, LoadError> {
        let config = model.config();
        let Self {
            path,
            version,
            sha256,
        } = self;
        if path.is_some() {
            return Ok(Target {
                path,
                version,
                sha256,
            });
        }
        let Source::Versions { folder, .. } = &config.source else {
            return Ok(Target {
                path: config.source.file().cloned(),
                version,
                sha256: sha256.or_else(|| config.sha256.clone()),
            });
        };
        let found = versions::list(folder)?;
        let entry = match &version {
            Some(version) => versions::find(folder, &found, version)?,
            None => {
                let latest = versions::choose(folder, &found, &crate::Versions::Latest)?;
                return latest
                    .into_iter()
                    .next_back()
                    .map(|(version, entry)| numbered(version, &entry))
                    .unwrap_or_else(|| Err(LoadError::BrokenOff("no version".to_owned())));
            }
        };
        Ok(Target {
            path: Some(versions::model_path(&entry)?),
            version,
            sha256,
        })
    }
}

/// The target that an entry of a folder of versions is. Blocks.
pub(crate) fn numbered(version: u64, entry: &std::path::Path) -> Result<Target, LoadError> {
    Ok(Target {
        path: Some(versions::model_path(entry)?),
        version: Some(version.to_string()),
        sha256: None,
    })
}

// === impl Updated ===

impl Updated {
    /// What answers now.
    pub fn id(&self) -> &ModelId {
        match self {
            Self::Switched { to: id, .. } | Self::Unchanged(id) | Self::Loaded(id) => id,
        }
    }
}

// === impl Model ===

impl Model {
    /// Loads a version beside the one that answers, warms it up, and switches. Calls that
    /// began before end on the old one; none is lost, repeated or turned away. Updates of
    /// one model happen one after the other.
    ///
    /// # Errors
    ///
    /// When the version cannot be loaded or does not do what it must; the old one answers
    /// on, and [`Model::status`] shows the error.
    pub async fn update(self: &Arc<Self>, update: Update) -> Result<Updated, UpdateError> {
        let model = self.clone();
        let target = Recipe::blocking(move || update.target(&model)).await;
        match target {
            Ok(target) => self.update_to(target, Trigger::Call).await,
            Err(error) => self.conclude(Err(error.into()), Trigger::Call),
        }
    }

    /// Goes back to what answered before the last update, or forward again if that was a
    /// rollback. It is in memory still: see [`crate::ModelConfig::keep_previous`].
    ///
    /// # Errors
    ///
    /// When nothing is kept.
    pub async fn rollback(self: &Arc<Self>) -> Result<Updated, UpdateError> {
        let _turn = self.turn.lock().await;
        let result = self.try_rollback();
        self.conclude(result, Trigger::Rollback)
    }

    pub(crate) async fn update_to(
        self: &Arc<Self>,
        target: Target,
        trigger: Trigger,
    ) -> Result<Updated, UpdateError> {
        let _turn = self.turn.lock().await;
        let result = self.try_update(target, trigger).await;
        self.conclude(result, trigger)
    }

    /// Loads a version that is to answer beside the current one.
    pub(crate) async fn add(self: &Arc<Self>, target: Target) -> Result<Updated, UpdateError> {
        let _turn = self.turn.lock().await;
        let result = self.try_add(target).await;
        let result = result.map(|()| Updated::Unchanged(self.id()));
        self.conclude(result, Trigger::Watch)
    }

    async fn try_add(self: &Arc<Self>, target: Target) -> Result<(), UpdateError> {
        let opened = Recipe::blocking(move || {
            let opened = Opened::open(&target, true)?;
            Ok((opened, target))
        });
        let (opened, target) = opened.await?;
        let version = target.version.unwrap_or_default();
        let generation = self.prepare(opened, version).await?;
        let mut served = self.write();
        if served.stopping {
            return Err(UpdateError::Stopping);
        }
        let version = generation.id().version.clone();
        served.others.insert(version, generation);
        drop(served);
        self.count();
        Ok(())
    }

    /// Takes a version away that is not there any more. The last one stays.
    pub(crate) async fn remove(self: &Arc<Self>, version: &str) {
        let _turn = self.turn.lock().await;
        let gone = {
            let mut served = self.write();
            let gone = if &*served.current.id().version != version {
                served.others.remove(version)
            } else {
                let highest = |one: &&Arc<str>| one.parse::<u64>().unwrap_or_default();
                let next = served.others.keys().max_by_key(highest).cloned();
                next.and_then(|next| served.others.remove(&next))
                    .map(|next| std::mem::replace(&mut served.current, next))
            };
            served.ending.extend(gone.clone());
            gone
        };
        if let Some(gone) = gone {
            tracing::info!(model = %gone.id(), "version is gone from its folder");
            self.end(gone);
            self.count();
        }
    }

    /// Records a failure that is no update's own, and gives it back.
    pub(crate) fn note(&self, error: UpdateError) -> Result<Updated, UpdateError> {
        self.conclude(Err(error), Trigger::Watch)
    }

    async fn try_update(
        self: &Arc<Self>,
        target: Target,
        trigger: Trigger,
    ) -> Result<Updated, UpdateError> {
        if let Some(version) = &target.version
            && self.config().source.keeps_versions()
            && let Some(answered) = self.promote(version)
        {
            return Ok(answered);
        }
        let opened = Recipe::blocking(move || {
            let opened = Opened::open(&target, true)?;
            let bytes = target.path.as_deref().map(disk::byte_len);
            Ok((
                opened,
                target,
                bytes.and_then(Result::ok).unwrap_or_default(),
            ))
        });
        let (opened, target, bytes) = opened.await?;
        let current = self.current();
        let named = |name: &str| {
            target
                .version
                .as_deref()
                .is_none_or(|wanted| wanted == name)
        };
        let digest = opened.digest();
        let same = digest.is_some() && digest == current.loaded().digest;
        let rejected = trigger == Trigger::Watch && digest == lock(&self.history).rejected;
        if rejected || (same && named(&current.id().version)) {
            return Ok(Updated::Unchanged(current.id().clone()));
        }
        let version = match target.version {
            Some(version) => version,
            None => self.version_of(&opened),
        };
        if self.versions().iter().any(|one| *one.version == *version) {
            return Err(UpdateError::VersionInUse(version));
        }
        if let Some(account) = self.account.get() {
            account.ask(self.bytes().saturating_add(bytes)).await?;
        }
        let prepared = self.prepare(opened, version).await;
        if prepared.is_err() {
            self.count();
        }
        self.switch(prepared?)
    }

    fn try_rollback(self: &Arc<Self>) -> Result<Updated, UpdateError> {
        let (previous, digest) = {
            let served = self.read();
            (served.previous.clone(), served.current.loaded().digest)
        };
        let Some(previous) = previous else {
            return Err(UpdateError::NothingKept(
                match self.config().keep_previous {
                    true => "there was no update since the model was loaded",
                    false => "keep_previous is false",
                },
            ));
        };
        lock(&self.history).rejected = digest;
        if let Some(answered) = self.promote(&previous.id.version) {
            return Ok(answered);
        }
        let generation = self.recipe.start(previous, self.tuning())?;
        self.switch(generation)
    }

    /// Makes a version current that answers already.
    fn promote(self: &Arc<Self>, version: &str) -> Option<Updated> {
        let mut served = self.write();
        let from = served.current.id().clone();
        if &*from.version == version {
            return Some(Updated::Unchanged(from));
        }
        let next = served.others.remove(version)?;
        let to = next.id().clone();
        let old = std::mem::replace(&mut served.current, next);
        served.previous = self.config().keep_previous.then(|| old.loaded().clone());
        served.others.insert(from.version.clone(), old);
        Some(Updated::Switched { from, to })
    }

    /// Loads and warms up a version and starts its replicas; it answers nobody yet.
    async fn prepare(
        self: &Arc<Self>,
        opened: Opened,
        version: String,
    ) -> Result<Arc<Generation>, LoadError> {
        let model = self.clone();
        let loaded = Recipe::blocking(move || {
            let standard = Standard {
                signature: model.signature(),
                warm_up: model.warm_up(),
            };
            let threads = model.tuning().map(|tuned| tuned.tuning().threads);
            let loader = model.recipe.loader.as_ref();
            Loaded::next(model.config(), loader, opened, version, threads, &standard)
        });
        let loaded = loaded.await;
        self.recipe.metrics.load(loaded.is_ok());
        self.recipe.start(Arc::new(loaded?), self.tuning())
    }

    /// Lets a version answer. From here on calls go to it; those under way end where they
    /// are.
    fn switch(self: &Arc<Self>, next: Arc<Generation>) -> Result<Updated, UpdateError> {
        let to = next.id().clone();
        let mut served = self.write();
        if served.stopping {
            return Err(UpdateError::Stopping);
        }
        let old = std::mem::replace(&mut served.current, next);
        let from = old.id().clone();
        // What only kept the place is nothing to go back to.
        let was_loaded = !std::mem::take(&mut served.unloaded);
        let keep = was_loaded && self.config().keep_previous;
        served.previous = keep.then(|| old.loaded().clone());
        if was_loaded && self.config().source.keeps_versions() {
            served.others.insert(from.version.clone(), old);
        } else {
            served.ending.push(old.clone());
            drop(served);
            self.end(old);
        }
        Ok(Updated::Switched { from, to })
    }

    /// The version of a file that brings no name: the manifest's, and which file it is.
    fn version_of(&self, opened: &Opened) -> String {
        let which = match opened.digest() {
            Some(digest) => digest.short(),
            None => format!("r{}", lock(&self.history).updates + 1),
        };
        format!("{}-{which}", self.config().version)
    }

    /// Records what came of an update.
    fn conclude(
        &self,
        result: Result<Updated, UpdateError>,
        trigger: Trigger,
    ) -> Result<Updated, UpdateError> {
        let name = self.name().as_str();
        let metrics = &self.recipe.metrics;
        match &result {
            Ok(Updated::Unchanged(_) | Updated::Loaded(_)) => {}
            Ok(Updated::Switched { from, to }) => {
                let rolled_back = trigger == Trigger::Rollback;
                let mut history = lock(&self.history);
                history.succeeded(from.clone(), to.clone(), trigger);
                if !rolled_back {
                    history.rejected = None;
                }
                drop(history);
                metrics.update(name, if rolled_back { "rolled_back" } else { "ok" });
                tracing::info!(%from, %to, trigger = trigger.as_str(), "model updated");
                self.count();
            }
            Err(error) => {
                lock(&self.history).failed(error, trigger);
                metrics.update(name, "failed");
                let trigger = trigger.as_str();
                tracing::warn!(model = name, %error, trigger, "model not updated; the old one stays");
            }
        }
        result
    }
}
