//! Looks at a model's file, or at its folder of versions, again and again.
//!
//! A look is cheap: names, lengths, times. Only what differs from the last look, and then
//! held still for one interval, so that nobody is writing to it any more, is read and
//! becomes an update if its digest is another. What failed is not tried again until it
//! changes. Two things are not seen: other files that a model's file names, such as
//! external weights, and files inside a version that answers already.

use crate::disk::Fingerprint;
use crate::model::{Model, Recipe};
use crate::status::Trigger;
use crate::update::numbered;
use crate::{LoadError, Source, Target, UpdateError, Updated, Versions, versions};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

/// What a watch remembers from look to look.
enum Watch {
    File {
        path: PathBuf,
        handled: Option<Fingerprint>,
        seen: Option<Fingerprint>,
    },
    Folder {
        folder: PathBuf,
        serve: Versions,
        seen: BTreeMap<u64, Fingerprint>,
        failed: BTreeMap<u64, Fingerprint>,
        newest: u64,
    },
}

/// Begins to watch a model, until it is dropped or the handle is used.
pub(crate) fn start(model: &Arc<Model>, every: Duration) -> AbortHandle {
    let (mut watch, watched) = (Watch::new(model), Arc::downgrade(model));
    let task = tokio::spawn(async move {
        let Some(watch) = &mut watch else { return };
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, when the model was just loaded.
        ticks.tick().await;
        let mut problem = None;
        loop {
            ticks.tick().await;
            let Some(model) = watched.upgrade() else {
                return;
            };
            let looked = watch.look(&model).await;
            let now = looked.as_ref().err().map(LoadError::to_string);
            // The same problem at every look is one problem.
            if let Err(error) = looked
                && problem != now
            {
                // Recorded, and nobody else is to be told.
                let _ = model.note(error.into());
            }
            problem = now;
        }
    });
    task.abort_handle()
}

// === impl Watch ===

impl Watch {
    fn new(model: &Model) -> Option<Self> {
        let current = model.current();
        match &model.config().source {
            Source::Remote => None,
            Source::File(path) => Some(Self::File {
                path: path.clone(),
                handled: current.loaded().fingerprint.clone(),
                seen: None,
            }),
            Source::Versions { folder, serve } => Some(Self::Folder {
                folder: folder.clone(),
                serve: serve.clone(),
                seen: BTreeMap::new(),
                failed: BTreeMap::new(),
                newest: current.id().version.parse().unwrap_or_default(),
            }),
        }
    }

    /// One look. An error is about what is looked at, not about an update, which records
    /// its own.
    async fn look(&mut self, model: &Arc<Model>) -> Result<(), LoadError> {
        match self {
            Self::File {
                path,
                handled,
                seen,
            } => {
                let Some(now) = fingerprint(path.clone()).await? else {
                    return Ok(());
                };
                if handled.as_ref() == Some(&now) {
                    return Ok(());
                }
                if seen.as_ref() != Some(&now) {
                    *seen = Some(now);
                    return Ok(());
                }
                let target = Target {
                    path: Some(path.clone()),
                    version: None,
                    sha256: None,
                };
                if is_settled(&model.update_to(target, Trigger::Watch).await) {
                    *handled = Some(now);
                }
                Ok(())
            }
            Self::Folder { folder, serve, .. } => {
                let (folder, serve) = (folder.clone(), serve.clone());
                let found = Recipe::blocking(move || versions::list(&folder)).await?;
                let answering: Vec<u64> = model
                    .versions()
                    .iter()
                    .filter_map(|id| id.version.parse().ok())
                    .collect();
                if serve == Versions::All && !found.is_empty() {
                    for version in answering.iter().filter(|one| !found.contains_key(one)) {
                        model.remove(&version.to_string()).await;
                    }
                }
                let (all, newest) = (serve == Versions::All, self.newest());
                let new = found.into_iter().rev().filter(|(version, _)| match all {
                    true => !answering.contains(version),
                    false => *version > newest,
                });
                // Of several new ones the latest alone is wanted, unless all are.
                let most = if all { usize::MAX } else { 1 };
                for (version, entry) in new.take(most) {
                    self.try_version(model, version, entry).await?;
                }
                Ok(())
            }
        }
    }

    fn newest(&self) -> u64 {
        match self {
            Self::File { .. } => 0,
            Self::Folder { newest, .. } => *newest,
        }
    }

    async fn try_version(
        &mut self,
        model: &Arc<Model>,
        version: u64,
        entry: PathBuf,
    ) -> Result<(), LoadError> {
        let Self::Folder {
            seen,
            failed,
            newest,
            ..
        } = self
        else {
            return Ok(());
        };
        let Some(now) = fingerprint(entry.clone()).await? else {
            return Ok(());
        };
        if failed.get(&version) == Some(&now) {
            return Ok(());
        }
        if seen.insert(version, now.clone()).as_ref() != Some(&now) {
            return Ok(());
        }
        let target = Recipe::blocking(move || numbered(version, &entry)).await;
        let result = match target {
            Err(error) => model.note(error.into()),
            Ok(target) if version > *newest => model.update_to(target, Trigger::Watch).await,
            Ok(target) => model.add(target).await,
        };
        if result.is_ok() {
            *newest = version.max(*newest);
        } else if is_settled(&result) {
            failed.insert(version, now);
        }
        Ok(())
    }
}

/// A look at a file or folder; `None` when it is not there.
async fn fingerprint(path: PathBuf) -> Result<Option<Fingerprint>, LoadError> {
    Recipe::blocking(move || match Fingerprint::of(&path) {
        Ok(now) => Ok(Some(now)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LoadError::Unreadable { path, source }),
    })
    .await
}

/// Whether another try with the same file would end in the same way.
fn is_settled(result: &Result<Updated, UpdateError>) -> bool {
    !matches!(result, Err(UpdateError::Load(error)) if error.may_pass())
}
