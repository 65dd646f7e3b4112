//! The role `ensemble`: examples of one tenant into an instance that calls models for them.

use crate::call::{ProcessFunc, RoleCall};
use crate::columns::single;
use crate::model_wire::{WireArg, lower_args};
use crate::plugin::Core;
use crate::pool::Live;
use crate::role::Role;
use crate::state::State;
use crate::wire::{WireExample, WireNamedTensor};
use consort_inference::{
    Call, Example, Failure, FailureKind, ModelId, Outcome, Signature, Tensors,
};

/// The role `ensemble`.
pub(crate) struct Ensemble;

// === impl Ensemble ===

impl RoleCall for Ensemble {
    type Wire = Vec<WireNamedTensor>;
    type Output = Outcome;
    type Params = (Vec<WireExample>, Vec<WireArg>);
    const ROLE: Role = Role::Ensemble;
    /// Enough for the models to have batches, few enough to leave instances to others.
    const SPREAD: usize = 16;

    fn signature(core: &Core) -> Option<&Signature> {
        core.described.ensemble.as_ref()
    }

    fn func(
        core: &Core,
        live: &mut Live,
    ) -> wasmtime::Result<ProcessFunc<Self::Params, Self::Wire>> {
        let index = core.process_index(Role::Ensemble)?;
        live.instance.get_typed_func(&mut live.store, index)
    }

    fn params(examples: Vec<WireExample>, call: &Call) -> Self::Params {
        (examples, lower_args(&call.args))
    }

    fn output(core: &Core, state: &mut State, wire: Self::Wire) -> Result<Outcome, String> {
        single(state, Self::signature(core), wire).map(Outcome::Forward)
    }

    /// A model's failure that is passed on stays what it was: one that passes can be tried
    /// again.
    fn said(state: &State, message: &str) -> Option<FailureKind> {
        state.passed_on(message)
    }

    /// Its predictions tell which ways the models went that it called.
    fn finish(
        core: &Core,
        state: &State,
        examples: &[Example],
        results: &mut [Result<Outcome, Failure>],
    ) {
        let maker = ModelId::new(core.share().name.as_str(), core.version.as_str());
        let origins = state.ways().origins(&maker, examples);
        for (result, origin) in results.iter_mut().zip(origins) {
            if let Ok(outcome) = result
                && let Outcome::Forward(tensors) = outcome
            {
                *outcome = Outcome::Predicted(std::mem::take(tensors), origin);
            }
        }
    }

    fn answers(_: &Core) -> Option<&Signature> {
        None
    }

    fn forward(tensors: Tensors) -> Outcome {
        Outcome::Forward(tensors)
    }

    fn may_answer(_: &Core) -> Result<(), String> {
        Err("only a pre-processor may answer".to_owned())
    }

    fn answer(tensors: Tensors) -> Outcome {
        Outcome::Forward(tensors)
    }
}
