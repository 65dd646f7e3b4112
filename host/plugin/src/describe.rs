//! What a plugin says of itself: asked once, when it is loaded, and checked.

use crate::errors::LoadProblem;
use crate::instance::Recipe;
use crate::limits::{Limit, Limits};
use crate::logs::{escape, excerpt};
use crate::model_handler::ModelHandlerDescription;
use crate::model_wire::{GivenSignature, WireArg, WireHandlerDescription, WirePredictions};
use crate::models::{Granted, call_signature};
use crate::plugin::{Described, Exports, PreprocessDescription, RoleExports};
use crate::pool::Live;
use crate::role::Role;
use crate::snapshot::initialise;
use crate::state::begin_call;
use crate::trap::CallError;
use crate::wire::{
    WireAnswers, WireColumns, WireDescription, WireExample, WireOutcomes, WireResults,
    WireSignature, specs,
};
use consort_inference::{Endpoint, Signature, TensorSpec};
use std::collections::BTreeSet;
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, Lift, Lower, Resource, TypedFunc,
};

/// Bytes of a tensor's name: names are in messages, metadata and every comparison.
const NAME_BYTES_MAX: usize = 1024;

/// Asks an initialised instance what its roles promise, and checks the answers and the
/// types of the functions that calls will use.
pub(crate) async fn describe(
    recipe: &Recipe,
    exports: &Exports,
) -> Result<(Described, Live), LoadProblem> {
    let mut live = match &recipe.init_each {
        Some(config) => initialise(recipe, config).await?,
        None => {
            let permit = recipe.sandbox.pool.permit(recipe.share.nesting).await;
            let made = recipe.instantiate(permit, None, recipe.load_budget(), 0);
            made.await
                .map_err(|error| LoadProblem::InitTrapped(error.message().to_owned()))?
        }
    };
    let limits = &recipe.share.limits;
    let mut described = Described::default();
    if let Some(role) = &exports.preprocess {
        type Returned = (WireDescription,);
        let (wire,) = ask::<Returned>(recipe, &mut live, Role::Preprocess, &role.describe).await?;
        let description = PreprocessDescription {
            signature: wire.signature.into_signature(),
            answers: specs(wire.answers),
        };
        check_signature(limits, Role::Preprocess, &description.signature)?;
        described.answers.outputs = description.answers.clone();
        check_signature(limits, Role::Preprocess, &described.answers)?;
        described.preprocess = Some(description);
        let (live, process) = (&mut live, &role.process);
        typed::<(Vec<WireExample>,), (WireOutcomes,)>(live, Role::Preprocess, process)?;
        if let Some(columns) = &role.columns {
            typed::<WireColumns, (WireResults,)>(live, Role::Preprocess, columns)?;
        }
    }
    if let Some(role) = &exports.postprocess {
        type Returned = (WireSignature,);
        let (wire,) = ask::<Returned>(recipe, &mut live, Role::Postprocess, &role.describe).await?;
        let signature = wire.into_signature();
        check_signature(limits, Role::Postprocess, &signature)?;
        described.postprocess = Some(signature);
        let (live, process) = (&mut live, &role.process);
        typed::<(Vec<WireExample>,), (WireAnswers,)>(live, Role::Postprocess, process)?;
        if let Some(columns) = &role.columns {
            typed::<WireColumns, (WireResults,)>(live, Role::Postprocess, columns)?;
        }
    }
    if let Some(role) = &exports.model_handler {
        for (name, endpoint) in recipe.share.models.iter() {
            let said = describe_handler(recipe, &mut live, role, &**endpoint).await?;
            described.model_handler.insert(name.clone(), said);
        }
        let (live, predict) = (&mut live, &role.process);
        type Params = (Resource<Granted>, Vec<WireExample>, Vec<WireArg>);
        typed::<Params, (WirePredictions,)>(live, Role::ModelHandler, predict)?;
    }
    if let Some(role) = &exports.ensemble {
        type Returned = (WireSignature,);
        let (wire,) = ask::<Returned>(recipe, &mut live, Role::Ensemble, &role.describe).await?;
        let signature = wire.into_signature();
        check_signature(limits, Role::Ensemble, &signature)?;
        described.ensemble = Some(signature);
        let (live, run) = (&mut live, &role.process);
        type Params = (Vec<WireExample>, Vec<WireArg>);
        typed::<Params, (WireAnswers,)>(live, Role::Ensemble, run)?;
    }
    Ok((described, live))
}

/// Asks what the role `model-handler` is around one model; it may say that it is none.
async fn describe_handler(
    recipe: &Recipe,
    live: &mut Live,
    role: &RoleExports,
    endpoint: &dyn Endpoint,
) -> Result<Result<ModelHandlerDescription, String>, LoadProblem> {
    const ROLE: Role = Role::ModelHandler;
    type Returned = (Result<WireHandlerDescription, String>,);
    let describe = typed::<(GivenSignature,), Returned>(live, ROLE, &role.describe)?;
    let model = GivenSignature::from(call_signature(endpoint));
    let (answer,) = ask_with(recipe, live, ROLE, &describe, (model,)).await?;
    let limits = &recipe.share.limits;
    let description = match answer {
        Ok(wire) => wire.into_description(),
        Err(reason) => return Ok(Err(excerpt(&reason, limits.message_bytes_max))),
    };
    check_signature(limits, ROLE, &description.signature)?;
    description
        .check_hints(recipe)
        .map_err(|message| LoadProblem::Signature {
            role: ROLE,
            message,
        })?;
    Ok(Ok(description))
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
    ask_with(recipe, live, role, &describe, ()).await
}

async fn ask_with<P, R>(
    recipe: &Recipe,
    live: &mut Live,
    role: Role,
    describe: &TypedFunc<P, R>,
    params: P,
) -> Result<R, LoadProblem>
where
    P: ComponentNamedList + Lower + Send + Sync + 'static,
    R: ComponentNamedList + Lift + Send + Sync + 'static,
{
    let budget = recipe.load_budget();
    begin_call(&mut live.store, None, budget, 0);
    let answer = {
        let call = describe.call_async(&mut live.store, params);
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

fn check_signature(limits: &Limits, role: Role, signature: &Signature) -> Result<(), LoadProblem> {
    let check = |what: &str, specs: &[TensorSpec]| {
        // Every call compares its tensors with this list.
        if specs.len() > limits.tensors_max {
            let (count, max) = (specs.len(), limits.tensors_max);
            return Err(LoadProblem::Signature {
                role,
                message: format!(
                    "it lists {count} {what}s, more than {} = {max}",
                    Limit::Tensors
                ),
            });
        }
        let mut names = BTreeSet::new();
        for spec in specs {
            let problem = if spec.name.is_empty() {
                format!("an {what} has no name")
            } else if spec.name.len() > NAME_BYTES_MAX {
                let bytes = spec.name.len();
                format!("the name of an {what} has {bytes} bytes, more than {NAME_BYTES_MAX}")
            } else if escape(&spec.name) != *spec.name {
                format!(
                    "the name of the {what} \"{}\" has control characters",
                    spec.name
                )
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

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::Datatype;

    fn check(names: &[&str]) -> String {
        let limits = Limits {
            tensors_max: 3,
            ..Limits::default()
        };
        let spec = |name: &&str| TensorSpec::new(*name, Datatype::Fp32, vec![None]);
        let signature = Signature {
            inputs: names.iter().map(spec).collect(),
            outputs: vec![],
        };
        check_signature(&limits, Role::Preprocess, &signature)
            .err()
            .map_or("ok".to_owned(), |problem| problem.to_string())
    }

    #[test]
    fn a_list_of_tensors_is_short_and_its_names_are_plain() {
        assert_eq!(check(&["a", "b", "ä"]), "ok");
        assert!(check(&["a", "b", "c", "d"]).contains("4 inputs, more than tensors_max = 3"));
        assert!(check(&["a", "a"]).contains("listed twice"));
        assert!(check(&[""]).contains("has no name"));
        let long = "n".repeat(NAME_BYTES_MAX + 1);
        assert!(check(&[&long]).contains("1025 bytes, more than 1024"));
        let coloured = check(&["\u{1b}[31m"]);
        assert!(
            coloured.contains("\\u{1b}[31m\" has control characters"),
            "{coloured}"
        );
    }
}
