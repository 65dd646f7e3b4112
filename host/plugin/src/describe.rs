//! What a plugin says of itself: asked once, when it is loaded, and checked.

use crate::errors::LoadProblem;
use crate::instance::Recipe;
use crate::limits::{Limit, Limits};
use crate::logs::{escape, excerpt};
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
            let permit = recipe.sandbox.pool.permit().await;
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
    }
    if let Some(role) = &exports.postprocess {
        type Returned = (WireSignature,);
        let (wire,) = ask::<Returned>(recipe, &mut live, Role::Postprocess, &role.describe).await?;
        let signature = wire.into_signature();
        check_signature(limits, Role::Postprocess, &signature)?;
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
