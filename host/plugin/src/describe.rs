//! What a plugin says of itself: asked once, when it is loaded, and checked.

use crate::errors::LoadProblem;
use crate::instance::Recipe;
use crate::limits::Limit;
use crate::logs::excerpt;
use crate::plugin::{Described, Exports, PreprocessDescription};
use crate::pool::Live;
use crate::role::Role;
use crate::snapshot::initialise;
use crate::state::begin_call;
use crate::trap::CallError;
use crate::wire::{WireAnswers, WireDescription, WireExample, WireOutcomes, WireSignature, specs};
use consort_inference::{Signature, TensorSpec};
use std::collections::BTreeSet;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Lift, Lower, TypedFunc};

/// Asks an initialised instance what its roles promise, and checks the answers and the
/// types of the functions that calls will use.
pub(crate) async fn describe(
    recipe: &Recipe,
    exports: &Exports,
) -> Result<(Described, Live), LoadProblem> {
    let mut live = match &recipe.init_each {
        Some(config) => initialise(recipe, config).await?,
        None => {
            let permit = recipe.sandbox.pool.permit().await;
            let made = recipe.instantiate(permit, None, recipe.load_budget(), 0);
            made.await
                .map_err(|error| LoadProblem::InitTrapped(error.message().to_owned()))?
        }
    };
    let mut described = Described::default();
    if let Some(role) = &exports.preprocess {
        type Returned = (WireDescription,);
        let (wire,) = ask::<Returned>(recipe, &mut live, Role::Preprocess, &role.describe).await?;
        let description = PreprocessDescription {
            signature: wire.signature.into_signature(),
            answers: specs(wire.answers),
        };
        check_signature(recipe, Role::Preprocess, &description.signature)?;
        described.answers.outputs = description.answers.clone();
        check_signature(recipe, Role::Preprocess, &described.answers)?;
        described.preprocess = Some(description);
        let (live, process) = (&mut live, &role.process);
        typed::<(Vec<WireExample>,), (WireOutcomes,)>(live, Role::Preprocess, process)?;
    }
    if let Some(role) = &exports.postprocess {
        type Returned = (WireSignature,);
        let (wire,) = ask::<Returned>(recipe, &mut live, Role::Postprocess, &role.describe).await?;
        let signature = wire.into_signature();
        check_signature(recipe, Role::Postprocess, &signature)?;
        described.postprocess = Some(signature);
        let (live, process) = (&mut live, &role.process);
        typed::<(Vec<WireExample>,), (WireAnswers,)>(live, Role::Postprocess, process)?;
    }
    Ok((described, live))
}

fn typed<P, R>(
    live: &mut Live,
    role: Role,
    index: &ComponentExportIndex,
) -> Result<TypedFunc<P, R>, LoadProblem>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    let found = live.instance.get_typed_func(&mut live.store, index);
    found.map_err(|error| LoadProblem::ExportType {
        export: role.to_string(),
        message: format!("{error:#}"),
    })
}

async fn ask<R>(
    recipe: &Recipe,
    live: &mut Live,
    role: Role,
    index: &ComponentExportIndex,
) -> Result<R, LoadProblem>
where
    R: ComponentNamedList + Lift + Send + Sync + 'static,
{
    let describe = typed::<(), R>(live, role, index)?;
    let budget = recipe.load_budget();
    begin_call(&mut live.store, None, budget, 0);
    let answer = {
        let call = describe.call_async(&mut live.store, ());
        tokio::time::timeout_at(budget.ends_at, call).await
    };
    let state = live.store.data();
    state.log.end_call();
    let failed = |error: CallError| LoadProblem::DescribeTrapped {
        role,
        message: error.message().to_owned(),
    };
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failed(CallError::of(&error, state))),
        Err(_) => Err(failed(CallError::timed_out(state))),
    }
}

fn check_signature(recipe: &Recipe, role: Role, signature: &Signature) -> Result<(), LoadProblem> {
    let limits = &recipe.share.limits;
    let check = |what: &str, specs: &[TensorSpec]| {
        let mut names = BTreeSet::new();
        for spec in specs {
            let problem = if spec.name.is_empty() {
                format!("an {what} has no name")
            } else if !names.insert(&spec.name) {
                format!("the {what} \"{}\" is listed twice", spec.name)
            } else if spec.shape.len() > limits.tensor_axes_max {
                format!(
                    "the {what} \"{}\" has {} axes, more than {} = {}",
                    spec.name,
                    spec.shape.len(),
                    Limit::TensorAxes,
                    limits.tensor_axes_max
                )
            } else {
                continue;
            };
            return Err(LoadProblem::Signature {
                role,
                message: excerpt(&problem, limits.message_bytes_max),
            });
        }
        Ok(())
    };
    check("input", &signature.inputs)?;
    check("output", &signature.outputs)
}
