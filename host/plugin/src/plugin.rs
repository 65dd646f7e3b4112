//! A loaded plugin, ready for calls.

use crate::call::{Postprocess, Preprocess, RoleCall, call_role};
use crate::ensemble::Ensemble;
use crate::group::Group;
use crate::instance::Recipe;
use crate::load::{Instances, LoadReport};
use crate::model_handler::ModelHandlerDescription;
use crate::pool::PluginKey;
use crate::role::Role;
use crate::state::PluginShare;
use consort_inference::{
    Call, Example, Failure, FailureKind, Outcome, PluginName, Signature, StreamStates, TenantId,
    TensorSpec, Tensors,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;
use wasmtime::component::ComponentExportIndex;

/// A plugin: a component that has been checked, initialised and compiled. Clones share
/// it.
#[derive(Clone)]
pub struct Plugin {
    core: Arc<Core>,
}

/// What a plugin's `preprocess` role promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreprocessDescription {
    /// What it reads and forwards.
    pub signature: Signature,
    /// What it answers with when it answers by itself; empty when it never does.
    pub answers: Vec<TensorSpec>,
}

/// What calls need of a plugin.
pub(crate) struct Core {
    pub(crate) key: PluginKey,
    pub(crate) recipe: Recipe,
    pub(crate) version: String,
    pub(crate) exports: Exports,
    pub(crate) instances: Instances,
    pub(crate) described: Described,
    pub(crate) report: LoadReport,
}

/// Where the component's exports are.
#[derive(Debug, Clone)]
pub(crate) struct Exports {
    pub(crate) init: ComponentExportIndex,
    pub(crate) preprocess: Option<RoleExports>,
    pub(crate) postprocess: Option<RoleExports>,
    pub(crate) model_handler: Option<RoleExports>,
    pub(crate) ensemble: Option<RoleExports>,
}

/// Where the functions of one role are.
#[derive(Debug, Clone)]
pub(crate) struct RoleExports {
    pub(crate) describe: ComponentExportIndex,
    pub(crate) process: ComponentExportIndex,
    /// Its companion that takes examples as columns, if the component has one.
    pub(crate) columns: Option<ComponentExportIndex>,
}

/// What the roles said of themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Described {
    pub(crate) preprocess: Option<PreprocessDescription>,
    /// `preprocess.answers` as outputs, for the check of answers.
    pub(crate) answers: Signature,
    pub(crate) postprocess: Option<Signature>,
    /// For each granted model, or why there is none.
    pub(crate) model_handler: BTreeMap<Arc<str>, Result<ModelHandlerDescription, String>>,
    pub(crate) ensemble: Option<Signature>,
}

// === impl Plugin ===

impl Plugin {
    pub(crate) fn new(core: Core) -> Self {
        let core = Arc::new(core);
        Self { core }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// The name in the manifest.
    pub fn name(&self) -> &PluginName {
        &self.core.share().name
    }

    /// The version in the manifest.
    pub fn version(&self) -> &str {
        &self.core.version
    }

    /// What the `preprocess` role promises, if the component has that role.
    pub fn preprocess(&self) -> Option<&PreprocessDescription> {
        self.core.preprocess()
    }

    /// What the `postprocess` role promises, if the component has that role.
    pub fn postprocess(&self) -> Option<&Signature> {
        self.core.postprocess()
    }

    /// What the `ensemble` role promises, if the component has that role.
    pub fn ensemble(&self) -> Option<&Signature> {
        self.core.described.ensemble.as_ref()
    }

    /// The request headers that what it may call reads, in lower case: they are to come with
    /// [`Call::headers`].
    pub fn headers(&self) -> &[Arc<str>] {
        &self.core.share().headers
    }

    /// The states that what it may call keeps of streams, which go by the keys of its examples.
    pub fn states(&self) -> &[Arc<dyn StreamStates>] {
        self.core.share().models.states()
    }

    /// How it was loaded.
    pub fn load_report(&self) -> &LoadReport {
        &self.core.report
    }

    /// How its calls get instances: what the operator chose, or [`Instances::Reuse`]
    /// where the component cannot be photographed.
    pub fn instances(&self) -> Instances {
        self.core.instances
    }

    /// Prepares examples: exactly one result for each, in order.
    pub async fn run_preprocess(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> Vec<Result<Outcome, Failure>> {
        self.run::<Preprocess>(examples, call).await
    }

    /// Finishes examples: exactly one result for each, in order.
    pub async fn run_postprocess(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> Vec<Result<Tensors, Failure>> {
        self.run::<Postprocess>(examples, call).await
    }

    /// Answers examples by the ensemble that the plugin is: exactly one result for each, in
    /// order, each with the ways that the models went which were called for it. Several go into
    /// several instances at once, because a guest that waits for a model for one example may do
    /// nothing for the others meanwhile.
    pub async fn run_ensemble(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> Vec<Result<Outcome, Failure>> {
        self.run::<Ensemble>(examples, call).await
    }

    /// Enters an instance in the role `postprocess` for no example at all: what it costs by
    /// itself. For benches.
    #[doc(hidden)]
    pub async fn call_for_nothing(&self) -> Result<(), Failure> {
        let (tenant, call) = (TenantId::default(), Call::default());
        let entered = call_role::<Postprocess>(&self.core, &tenant, &[], &call);
        entered.await.map(drop).map_err(|error| {
            let stage = self.core.stage(Role::Postprocess);
            Failure::new(stage, error.kind(), error.message())
        })
    }

    /// Checks the inputs, then makes a call of its own for each tenant. Where a model that it
    /// may call keeps states, the examples of a stream go one after the other, each alone: a
    /// call that is made again after a trap would go on from a state that has moved.
    async fn run<R: RoleCall>(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> Vec<Result<R::Output, Failure>> {
        let stage = || self.core.stage(R::ROLE);
        let mut results: Vec<Option<Result<R::Output, Failure>>> = Vec::new();
        results.resize_with(examples.len(), || None);
        let mut groups: Vec<Group> = Vec::new();
        for ((index, example), result) in examples.into_iter().enumerate().zip(&mut results) {
            match check_inputs::<R>(&self.core, &example) {
                Ok(()) => Group::add(&mut groups, index, example),
                Err((kind, message)) => *result = Some(Err(Failure::new(stage(), kind, message))),
            }
        }
        let keeps_state = !self.states().is_empty();
        let groups = groups.into_iter();
        let mut groups: Vec<Group> = match keeps_state {
            true => groups.flat_map(Group::lanes).collect(),
            false => groups.flat_map(|group| group.spread(R::SPREAD)).collect(),
        };
        let mut tasks = JoinSet::new();
        let only = if groups.len() == 1 {
            groups.pop()
        } else {
            None
        };
        if let Some(group) = only {
            group.run::<R>(&self.core, &call).await.put(&mut results);
        }
        // Tenants do not wait for one another.
        for group in groups {
            let (core, call) = (self.core.clone(), call.clone());
            tasks.spawn(async move { group.run::<R>(&core, &call).await });
        }
        while let Some(done) = tasks.join_next().await {
            if let Ok(done) = done {
                done.put(&mut results);
            }
        }
        let lost = || {
            let message = "the call ended without a result; this is a defect of the host";
            Err(Failure::new(stage(), FailureKind::Internal, message))
        };
        results
            .into_iter()
            .map(|result| result.unwrap_or_else(lost))
            .collect()
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin")
            .field("name", self.name())
            .field("version", &self.core.version)
            .field("instances", &self.core.instances)
            .field("described", &self.core.described)
            .finish_non_exhaustive()
    }
}

/// Whether the example holds what the role reads. What it holds besides is not passed.
fn check_inputs<R: RoleCall>(core: &Core, example: &Example) -> Result<(), (FailureKind, String)> {
    let Some(signature) = R::signature(core) else {
        return Err((
            FailureKind::NotFound,
            format!("the plugin has no role `{}`", R::ROLE),
        ));
    };
    for (place, spec) in signature.inputs.iter().enumerate() {
        let checked = match example.tensors.tensor_at(place, &spec.name) {
            Some(tensor) => spec.check(tensor).map_err(|mismatch| mismatch.to_string()),
            None => Err(format!(
                "tensor \"{}\" is missing; {spec} is expected",
                spec.name
            )),
        };
        checked.map_err(|message| (FailureKind::InvalidArgument, message))?;
    }
    Ok(())
}

// === impl Core ===

impl Core {
    pub(crate) fn share(&self) -> &PluginShare {
        &self.recipe.share
    }

    pub(crate) fn preprocess(&self) -> Option<&PreprocessDescription> {
        self.described.preprocess.as_ref()
    }

    pub(crate) fn postprocess(&self) -> Option<&Signature> {
        self.described.postprocess.as_ref()
    }

    pub(crate) fn answers(&self) -> &Signature {
        &self.described.answers
    }

    pub(crate) fn reuses(&self) -> bool {
        self.instances == Instances::Reuse
    }

    pub(crate) fn process_index(&self, role: Role) -> wasmtime::Result<&ComponentExportIndex> {
        match self.role_exports(role) {
            Some(exports) => Ok(&exports.process),
            None => Err(wasmtime::format_err!("the component has no role `{role}`")),
        }
    }

    /// Where a role's companion is that takes examples as columns.
    pub(crate) fn columns_index(&self, role: Role) -> Option<&ComponentExportIndex> {
        self.role_exports(role)?.columns.as_ref()
    }

    fn role_exports(&self, role: Role) -> Option<&RoleExports> {
        match role {
            Role::Preprocess => self.exports.preprocess.as_ref(),
            Role::Postprocess => self.exports.postprocess.as_ref(),
            Role::ModelHandler => self.exports.model_handler.as_ref(),
            Role::Ensemble => self.exports.ensemble.as_ref(),
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.recipe.sandbox.pool.forget(self.key);
    }
}
