//! The role around a model: a batch of one tenant into one instance, which calls the model
//! as often as it likes, and one result for each row out.

use crate::instance::Recipe;
use crate::limits::Limit;
use crate::logs::excerpt;
use crate::model_wire::{WireArg, WirePredictions, lower_args};
use crate::models::Granted;
use crate::plugin::{Core, Plugin};
use crate::pool::Live;
use crate::role::Role;
use crate::state::State;
use crate::trap::CallError;
use crate::wire::{WireError, WireExample, WireNamedTensor};
use consort_inference::{
    Batch, BatchHints, Call, FailureKind, PredictError, Signature, TenantId, Tensors,
};
use tokio::time::Instant;
use wasmtime::component::{Resource, TypedFunc};

/// What a plugin's `model-handler` role is for one of the models granted to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelHandlerDescription {
    /// What it reads and writes: tensors of one example, without a batch axis.
    pub signature: Signature,
    /// How it wants its batches; always of one tenant, because it is a guest.
    pub hints: BatchHints,
}

/// Why a plugin is no handler for a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotThisModel {
    /// The component does not play the role.
    #[error(
        "the plugin \"{plugin}\" has no role `model-handler`: `consort inspect` shows its roles"
    )]
    NoRole {
        /// The plugin's name in the manifest.
        plugin: String,
    },
    /// The model is not among those granted to the plugin.
    #[error("{0}")]
    NotGranted(String),
    /// The plugin's `describe` says that it is none for this model.
    #[error("the plugin \"{plugin}\" is no handler for model \"{model}\": {reason}")]
    Refused {
        /// The plugin's name in the manifest.
        plugin: String,
        /// The model's.
        model: String,
        /// What the plugin says.
        reason: String,
    },
}

type Predict = TypedFunc<(Resource<Granted>, Vec<WireExample>, Vec<WireArg>), (WirePredictions,)>;

// === impl Plugin ===

impl Plugin {
    /// What the role `model-handler` is around a model granted to the plugin, as it said
    /// when the plugin was loaded.
    pub fn model_handler(&self, model: &str) -> Result<&ModelHandlerDescription, NotThisModel> {
        self.core().model_handler(model)
    }

    /// Runs a batch through the role `model-handler`: the outputs of each row, in order.
    ///
    /// The batch must belong to one tenant ([`BatchHints::single_tenant`]). One row that
    /// fails makes the batch fail, as everywhere: whoever calls splits it to find the row.
    pub async fn run_model_handler(
        &self,
        model: &str,
        batch: &Batch,
    ) -> Result<Vec<Tensors>, PredictError> {
        let rows = self.run_model_handler_rows(model, batch).await?;
        rows.into_iter().collect()
    }

    /// The same, where one row that fails leaves the others their outputs.
    pub async fn run_model_handler_rows(
        &self,
        model: &str,
        batch: &Batch,
    ) -> Result<Vec<Result<Tensors, PredictError>>, PredictError> {
        let core = self.core();
        let refused = |error: NotThisModel| PredictError::Failed(error.to_string());
        let description = core.model_handler(model).map_err(refused)?;
        let Some(granted) = core.share().models.model(model) else {
            let denied = core.share().models.denied(model, self.name().as_str());
            return Err(PredictError::Failed(denied));
        };
        let Some(tenant) = batch.tenant() else {
            let message =
                "a batch for a plugin must be of one tenant; this is a defect of the host";
            return Err(PredictError::Failed(message.to_owned()));
        };
        for row in batch.rows() {
            let checked = description.signature.check_inputs(row);
            checked.map_err(|mismatch| PredictError::InvalidInput(mismatch.to_string()))?;
        }
        let begun = Instant::now();
        let ended = cross(core, description, granted, tenant, batch).await;
        let outcome = match &ended {
            Ok(_) => "ok",
            Err(Ended::Batch(_)) => FailureKind::PluginFailed.as_str(),
            Err(Ended::Call(error)) => error.kind().as_str(),
        };
        let metrics = &core.share().metrics;
        metrics.call_done(Role::ModelHandler, tenant, outcome, begun.elapsed());
        ended.map_err(|ended| match ended {
            Ended::Batch(error) => error,
            Ended::Call(error) => {
                core.tell(Role::ModelHandler, tenant, batch.len(), &error);
                predict_error(error)
            }
        })
    }
}

/// Why a crossing yielded no results.
enum Ended {
    /// The guest said so.
    Batch(PredictError),
    /// The guest was ended, or broke the contract.
    Call(CallError),
}

impl From<CallError> for Ended {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

type Rows = Vec<Result<Tensors, PredictError>>;

async fn cross(
    core: &Core,
    description: &ModelHandlerDescription,
    granted: Granted,
    tenant: &TenantId,
    batch: &Batch,
) -> Result<Rows, Ended> {
    let call = Call {
        deadline: batch.deadline(),
        ..Call::default()
    };
    let inputs = description.signature.inputs.len() * batch.len();
    let mut live = core.ready_instance(tenant, &call, inputs).await?;
    let state = live.store.data_mut();
    let ends_at = state.ends_at();
    // It lives here for as long as the guest may borrow it.
    let Ok(model) = state.resources.push(granted) else {
        return Err(CallError::limit(Limit::Resources, state).into());
    };
    let borrowed = Resource::new_borrow(model.rep());
    let crossing = async {
        let predict = predict(core, &mut live)?;
        let examples = lend(&mut live, batch, &description.signature);
        let args = lower_args(batch.args());
        predict
            .call_async(&mut live.store, (borrowed, examples, args))
            .await
    };
    let returned = match tokio::time::timeout_at(ends_at, crossing).await {
        Ok(Ok((returned,))) => returned,
        failed => {
            let state = live.store.data();
            // Before the reason is read: what the guest wrote last may explain it.
            state.log.end_call();
            return Err(Ended::Call(match failed {
                Ok(Err(error)) => CallError::of(&error, state),
                _ => CallError::timed_out(state),
            }));
        }
    };
    let state = live.store.data_mut();
    state.log.end_call();
    if let Some(limit) = state.refused() {
        // The guest was told and went on; whoever runs the host wants to know too.
        core.share().metrics.limit_hit(Some(tenant), limit);
    }
    let rows = take_rows(state, &description.signature, batch.len(), returned);
    // A guest that still has it broke no rule: the component model ends its borrows.
    let returned_model = state.resources.delete(model).is_ok();
    let rows = rows?;
    if returned_model {
        core.give_back(tenant, live);
    }
    Ok(rows)
}

fn predict(core: &Core, live: &mut Live) -> wasmtime::Result<Predict> {
    let index = core.process_index(Role::ModelHandler)?;
    live.instance.get_typed_func(&mut live.store, index)
}

/// Puts the rows' tensors into the store and makes the guest's list of handles.
fn lend(live: &mut Live, batch: &Batch, signature: &Signature) -> Vec<WireExample> {
    let state = live.store.data_mut();
    let lend_one = |row: &Tensors| WireExample {
        key: None,
        tensors: signature
            .inputs
            .iter()
            .filter_map(|spec| {
                let tensor = row.tensor(&spec.name)?.clone();
                Some(WireNamedTensor {
                    name: spec.name.clone(),
                    tensor: Resource::new_own(state.tensors.lend(tensor)),
                })
            })
            .collect(),
    };
    batch.rows().iter().map(lend_one).collect()
}

/// Counts the results and checks each. Only the count concerns all of them.
fn take_rows(
    state: &mut State,
    promised: &Signature,
    count: usize,
    returned: WirePredictions,
) -> Result<Rows, Ended> {
    let returned = returned.map_err(|error| Ended::Batch(said(state, error)))?;
    if returned.len() != count {
        return Err(Ended::Call(CallError::Contract(format!(
            "{} results were returned for {count} examples; exactly one for each is expected",
            returned.len()
        ))));
    }
    let mut rows = Vec::with_capacity(count);
    for result in returned {
        rows.push(match result {
            Ok(named) => take_row(state, promised, named).map_err(PredictError::Contract),
            Err(error) => Err(said(state, error)),
        });
    }
    Ok(rows)
}

/// Takes named tensors out of the store and checks them against what the role promises.
fn take_row(
    state: &mut State,
    promised: &Signature,
    named: Vec<WireNamedTensor>,
) -> Result<Tensors, String> {
    if named.len() > promised.outputs.len() {
        // Before anything is compared by name: nothing else limits how many there are.
        let (given, expected) = (named.len(), promised.outputs.len());
        return Err(format!(
            "{given} tensors were returned, {expected} are described"
        ));
    }
    let mut taken = Vec::with_capacity(named.len());
    for entry in named {
        let tensor = state.tensors.take(entry.tensor.rep());
        let tensor = tensor.ok_or_else(|| "a returned handle belongs to no tensor".to_owned())?;
        // The promised name is shared by all results; the guest's own is dropped.
        let known = promised.outputs.iter().find(|spec| spec.name == entry.name);
        taken.push((known.map_or(entry.name, |spec| spec.name.clone()), tensor));
    }
    let tensors = Tensors::from_named(taken).map_err(|error| error.to_string())?;
    let checked = promised.check_outputs(&tensors);
    checked.map_err(|mismatch| mismatch.to_string())?;
    Ok(tensors)
}

/// What a guest says went wrong. A model that is busy or out of memory stays so through
/// the guest: the batch may succeed later, or a smaller one now.
fn said(state: &State, error: WireError) -> PredictError {
    let bytes_max = state.share.limits.message_bytes_max;
    match error {
        WireError::InvalidInput(text) => PredictError::InvalidInput(excerpt(&text, bytes_max)),
        WireError::Failed(text) => {
            let text = excerpt(&text, bytes_max);
            match state.model_failure() {
                Some(FailureKind::OutOfMemory) => PredictError::OutOfMemory(text),
                Some(kind) if kind.is_transient() => PredictError::Unavailable(text),
                _ => PredictError::Failed(text),
            }
        }
    }
}

fn predict_error(error: CallError) -> PredictError {
    match error {
        CallError::Contract(message) => PredictError::Contract(message),
        CallError::Deadline(message) | CallError::Exhausted(message) => {
            PredictError::Unavailable(message)
        }
        CallError::Limit { message, .. }
        | CallError::Trapped(message)
        | CallError::Internal(message) => PredictError::Failed(message),
    }
}

// === impl ModelHandlerDescription ===

impl ModelHandlerDescription {
    /// Whether the hints can be kept; the error says what is wrong with them.
    pub(crate) fn check_hints(&self, recipe: &Recipe) -> Result<(), String> {
        let sizes = &self.hints.preferred_batch_sizes;
        let tensors_max = recipe.share.limits.tensors_max;
        if self.hints.max_batch_size == Some(0) {
            return Err("max-batch-size is 0: no example could ever run".to_owned());
        }
        if sizes.len() > tensors_max {
            return Err(format!(
                "{} preferred batch sizes are more than {} = {tensors_max}",
                sizes.len(),
                Limit::Tensors
            ));
        }
        if sizes.first() == Some(&0) || !sizes.is_sorted_by(|a, b| a < b) {
            return Err("preferred-batch-sizes must rise, beginning with 1 or more".to_owned());
        }
        match (self.hints.max_batch_size, sizes.last()) {
            (Some(max), Some(last)) if *last > max => Err(format!(
                "the preferred batch size {last} is over max-batch-size {max}"
            )),
            _ => Ok(()),
        }
    }
}

// === impl Core ===

impl Core {
    fn model_handler(&self, model: &str) -> Result<&ModelHandlerDescription, NotThisModel> {
        let plugin = || self.share().name.to_string();
        if self.exports.model_handler.is_none() {
            return Err(NotThisModel::NoRole { plugin: plugin() });
        }
        let Some(described) = self.described.model_handler.get(model) else {
            let denied = self.share().models.denied(model, &plugin());
            return Err(NotThisModel::NotGranted(denied));
        };
        described.as_ref().map_err(|reason| NotThisModel::Refused {
            plugin: plugin(),
            model: model.to_owned(),
            reason: reason.clone(),
        })
    }
}
