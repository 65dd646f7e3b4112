//! Models that are loaded when they are first asked for, under a budget of bytes.
//!
//! Whoever asks for a model gets a hold on it and is served by it until the hold is
//! dropped. A model that is not there is loaded once, by a task of its own, however many
//! ask for it; those who use other models notice nothing. Room is made in order of asking
//! by the models that were used least recently: they take nobody new, end what they do,
//! and go.

use crate::ledger::{Ledger, Room};
use crate::metrics;
use crate::model::{Model, Recipe};
use crate::{Config, LoadError, Metrics, lock};
use consort_inference::ModelName;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

/// The shelf.
pub(crate) struct Shelf {
    config: Config,
    metrics: Metrics,
    state: Mutex<State>,
    /// Told of everything after which somebody who waits may go on.
    changed: Notify,
    /// Whose turn it is to take room.
    turn: tokio::sync::Mutex<()>,
    loads: Semaphore,
}

struct State {
    ledger: Ledger,
    slots: BTreeMap<ModelName, Slot>,
    stopping: bool,
}

enum Slot {
    Loading(watch::Receiver<Option<Outcome>>),
    Ready(Arc<Model>),
    Leaving,
    Failed(Arc<LoadError>, Instant),
}

/// Why a model goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// Others need its bytes.
    Room,
    /// An operator asked for it.
    Asked,
}

/// What a load gave to those who wait for it: a hold that they share until each has its
/// own. `None` when everybody had left, so that it was not even tried.
type Outcome = Result<Arc<InUse>, Option<Arc<LoadError>>>;

/// A model that is in memory for as long as this lives.
pub struct InUse {
    model: Arc<Model>,
    lease: Option<Lease>,
}

/// A use that the ledger counts.
struct Lease {
    shelf: Arc<Shelf>,
    name: ModelName,
}

/// Where a model that was loaded on demand tells how many bytes it holds.
pub(crate) struct Account {
    shelf: Weak<Shelf>,
    name: ModelName,
}

// === impl Shelf ===

impl Shelf {
    pub(crate) fn new(config: Config, metrics: Metrics) -> Arc<Self> {
        let budget = config.model_bytes_max;
        metrics
            .on_demand_bytes_max
            .set(metrics::gauge(budget.unwrap_or_default()));
        Arc::new(Self {
            metrics,
            state: Mutex::new(State {
                ledger: Ledger::new(budget),
                slots: BTreeMap::new(),
                stopping: false,
            }),
            changed: Notify::new(),
            turn: tokio::sync::Mutex::default(),
            loads: Semaphore::new(config.loads_max.max(1)),
            config,
        })
    }

    /// A hold on a model, which is loaded first if it has to be.
    pub(crate) async fn hold(self: &Arc<Self>, recipe: &Recipe) -> Result<InUse, Arc<LoadError>> {
        let name = &recipe.config.name;
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let loading = {
                let mut state = lock(&self.state);
                if state.stopping {
                    return Err(Arc::new(LoadError::Stopping));
                }
                match state.slots.get(name) {
                    Some(Slot::Ready(model)) => {
                        let model = model.clone();
                        return Ok(self.use_in(&mut state, model));
                    }
                    Some(Slot::Loading(loading)) => Some(loading.clone()),
                    Some(Slot::Leaving) => None,
                    Some(Slot::Failed(error, until)) if Instant::now() < *until => {
                        return Err(error.clone());
                    }
                    Some(Slot::Failed(..)) | None => Some(self.begin_load(&mut state, recipe)),
                }
            };
            let Some(mut loading) = loading else {
                changed.await;
                continue;
            };
            let loaded = match loading.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone(),
                // The task is gone without a word, as when the runtime ends.
                Err(_) => {
                    let reason = "the task that loads the model is gone".to_owned();
                    return Err(Arc::new(LoadError::BrokenOff(reason)));
                }
            };
            match loaded {
                Some(Ok(shared)) => {
                    let mut state = lock(&self.state);
                    return Ok(self.use_in(&mut state, shared.model.clone()));
                }
                Some(Err(Some(error))) => return Err(error),
                Some(Err(None)) | None => {}
            }
        }
    }

    /// The models that may be used now.
    pub(crate) fn models(&self) -> Vec<Arc<Model>> {
        let state = lock(&self.state);
        let ready = |slot: &Slot| match slot {
            Slot::Ready(model) => Some(model.clone()),
            _ => None,
        };
        state.slots.values().filter_map(ready).collect()
    }

    /// The model of that name, if it may be used now.
    pub(crate) fn held(self: &Arc<Self>, name: &ModelName) -> Option<InUse> {
        let mut state = lock(&self.state);
        let Some(Slot::Ready(model)) = state.slots.get(name) else {
            return None;
        };
        let model = model.clone();
        Some(self.use_in(&mut state, model))
    }

    /// Sees a model off, if it is in memory; false if it is not.
    pub(crate) fn dismiss_one(self: &Arc<Self>, name: &ModelName) -> bool {
        let mut state = lock(&self.state);
        let is_ready = matches!(state.slots.get(name), Some(Slot::Ready(_)));
        if is_ready {
            state.ledger.leave(name);
            self.dismiss(&mut state, vec![name.clone()], Reason::Asked);
        }
        is_ready
    }

    /// Loads nothing more, and lets every model finish what is queued.
    pub(crate) async fn drain(&self) {
        lock(&self.state).stopping = true;
        self.changed.notify_waiters();
        for model in self.models() {
            model.drain().await;
        }
    }

    fn use_in(self: &Arc<Self>, state: &mut State, model: Arc<Model>) -> InUse {
        state.ledger.begin_use(model.name());
        let lease = Lease {
            shelf: self.clone(),
            name: model.name().clone(),
        };
        InUse {
            model,
            lease: Some(lease),
        }
    }

    fn begin_load(
        self: &Arc<Self>,
        state: &mut State,
        recipe: &Recipe,
    ) -> watch::Receiver<Option<Outcome>> {
        let (tell, told) = watch::channel(None);
        let slot = Slot::Loading(told.clone());
        state.slots.insert(recipe.config.name.clone(), slot);
        let (shelf, recipe) = (self.clone(), recipe.clone());
        tokio::spawn(async move {
            let outcome = shelf.load(&recipe, &tell).await;
            tell.send_replace(Some(outcome));
        });
        told
    }

    /// Loads a model and puts it where others find it.
    async fn load(
        self: &Arc<Self>,
        recipe: &Recipe,
        tell: &watch::Sender<Option<Outcome>>,
    ) -> Outcome {
        let name = &recipe.config.name;
        let loaded = self.bring_in(recipe, tell).await;
        let outcome = {
            let mut state = lock(&self.state);
            match loaded {
                Ok(Some(model)) => {
                    state.ledger.ready(name);
                    state.slots.insert(name.clone(), Slot::Ready(model.clone()));
                    Ok(Arc::new(self.use_in(&mut state, model)))
                }
                Ok(None) => Err(None),
                Err(error) => {
                    let error = Arc::new(error);
                    state.ledger.remove(name);
                    state.fail(name, &error, self.config.load_retry_delay);
                    Err(Some(error))
                }
            }
        };
        self.tell_change();
        outcome
    }

    /// Takes room for a model and loads it. `None`, and no trace is left, if nobody waits
    /// for it any more when its turn has come.
    async fn bring_in(
        self: &Arc<Self>,
        recipe: &Recipe,
        tell: &watch::Sender<Option<Outcome>>,
    ) -> Result<Option<Arc<Model>>, LoadError> {
        let name = &recipe.config.name;
        let sizing = recipe.clone();
        let mut bytes = Recipe::blocking(move || sizing.file_bytes()).await?;
        loop {
            if !self.reserve(recipe, bytes, tell).await? {
                return Ok(None);
            }
            let model = {
                // The semaphore is never closed.
                let _permit = self.loads.acquire().await;
                Model::load(recipe.clone()).await?
            };
            if lock(&self.state).stopping {
                return Err(LoadError::Stopping);
            }
            bytes = model.bytes();
            if self.resize(name, bytes).await? {
                model.open_account(Account {
                    shelf: Arc::downgrade(self),
                    name: name.clone(),
                });
                return Ok(Some(model));
            }
            // It holds more than its file made believe, and everybody else is busy: away
            // with it, and again with what is known now.
            see_off(model).await;
            lock(&self.state).ledger.remove(name);
            self.tell_change();
        }
    }

    /// Waits for room, in order of asking.
    async fn reserve(
        self: &Arc<Self>,
        recipe: &Recipe,
        bytes: u64,
        tell: &watch::Sender<Option<Outcome>>,
    ) -> Result<bool, LoadError> {
        let name = &recipe.config.name;
        let _turn = self.turn.lock().await;
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = lock(&self.state);
                if state.stopping {
                    return Err(LoadError::Stopping);
                }
                // One receiver is the slot's own; others are made under this lock only.
                if tell.receiver_count() <= 1 {
                    state.slots.remove(name);
                    return Ok(false);
                }
                match state.ledger.reserve(name, bytes, recipe.config.pinned) {
                    Room::Taken => return Ok(true),
                    Room::Later(leaving) => self.dismiss(&mut state, leaving, Reason::Room),
                    Room::NotNow => {}
                    Room::Never(never) => return Err(never.into()),
                }
            }
            changed.await;
        }
    }

    /// Books what a model that was just loaded really holds; false if others would have to
    /// end what they do first.
    async fn resize(self: &Arc<Self>, name: &ModelName, bytes: u64) -> Result<bool, LoadError> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut state = lock(&self.state);
                match state.ledger.resize(name, bytes) {
                    Room::Taken => return Ok(true),
                    Room::Later(leaving) => self.dismiss(&mut state, leaving, Reason::Room),
                    Room::NotNow => return Ok(false),
                    Room::Never(never) => return Err(never.into()),
                }
            }
            changed.await;
        }
    }

    /// Takes models out of use and sees them off in the background.
    fn dismiss(self: &Arc<Self>, state: &mut State, names: Vec<ModelName>, why: Reason) {
        for name in names {
            let slot = state.slots.insert(name.clone(), Slot::Leaving);
            let Some(Slot::Ready(model)) = slot else {
                continue;
            };
            let shelf = self.clone();
            tokio::spawn(async move {
                shelf.wait_until_unused(&name).await;
                see_off(model).await;
                {
                    let mut state = lock(&shelf.state);
                    state.slots.remove(&name);
                    state.ledger.remove(&name);
                }
                match why {
                    Reason::Asked => tracing::info!(model = %name, "model unloaded"),
                    Reason::Room => {
                        shelf.metrics.evictions.inc();
                        tracing::info!(model = %name, "model made room for others");
                    }
                }
                shelf.tell_change();
            });
        }
    }

    async fn wait_until_unused(&self, name: &ModelName) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if lock(&self.state).ledger.users(name) == 0 {
                return;
            }
            changed.await;
        }
    }

    fn tell_change(&self) {
        let bytes = lock(&self.state).ledger.bytes();
        self.metrics.on_demand_bytes.set(metrics::gauge(bytes));
        self.changed.notify_waiters();
    }
}

/// Lets a model finish and frees it, which may take its time.
async fn see_off(model: Arc<Model>) {
    model.drain().await;
    // Only a panic of the handler's own clean-up shows here, and the model is gone all the
    // same.
    let _ = tokio::task::spawn_blocking(move || drop(model)).await;
}

// === impl State ===

impl State {
    /// Remembers a failure for a while, so that a broken file is not read at every call.
    /// Files that are not there are not remembered: anybody can name any number of them.
    fn fail(&mut self, name: &ModelName, error: &Arc<LoadError>, delay: std::time::Duration) {
        let now = Instant::now();
        self.slots
            .retain(|_, slot| !matches!(slot, Slot::Failed(_, until) if *until <= now));
        match now.checked_add(delay) {
            Some(until) if !error.is_missing() => {
                self.slots
                    .insert(name.clone(), Slot::Failed(error.clone(), until));
            }
            _ => drop(self.slots.remove(name)),
        }
    }
}

// === impl InUse ===

impl InUse {
    /// A model that is in memory for good.
    pub(crate) fn resident(model: Arc<Model>) -> Self {
        Self { model, lease: None }
    }

    /// The model, to be kept no longer than this.
    pub(crate) fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Whether the model was loaded on demand, and may go when nobody uses it.
    pub fn is_on_demand(&self) -> bool {
        self.lease.is_some()
    }
}

impl std::ops::Deref for InUse {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if lock(&self.shelf.state).ledger.end_use(&self.name) {
            self.shelf.changed.notify_waiters();
        }
    }
}

// === impl Account ===

impl Account {
    /// Takes room so that the model may hold that many bytes. Waits for idle models only: two
    /// models in use that wait for one another would wait for ever.
    pub(crate) async fn ask(&self, bytes: u64) -> Result<(), LoadError> {
        let Some(shelf) = self.shelf.upgrade() else {
            return Ok(());
        };
        if shelf.resize(&self.name, bytes).await? {
            shelf.tell_change();
            return Ok(());
        }
        Err(LoadError::NoRoomNow { needed: bytes })
    }

    /// Books what the model holds now; others make room as they become idle.
    pub(crate) fn set(&self, bytes: u64) {
        let Some(shelf) = self.shelf.upgrade() else {
            return;
        };
        {
            let mut state = lock(&shelf.state);
            match state.ledger.resize(&self.name, bytes) {
                Room::Later(leaving) => shelf.dismiss(&mut state, leaving, Reason::Room),
                Room::NotNow | Room::Never(_) => state.ledger.set(&self.name, bytes),
                Room::Taken => {}
            }
        }
        shelf.tell_change();
    }
}
