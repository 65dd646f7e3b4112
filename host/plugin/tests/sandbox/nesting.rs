//! Plugins that wait for plugins: those that wait never have all instances.

use crate::common::*;
use crate::fake_model::{add_one, grant};
use consort_inference::{
    BoxFuture, Call, Endpoint, Example, Failure, Outcome, Prediction, Signature,
};
use consort_plugin::{Config, LoadProblem, Plugin, PluginConfig};
use std::sync::Arc;
use std::time::Duration;

/// What a plugin in the role `ensemble` is to those who call it.
struct Called(Plugin);

impl Endpoint for Called {
    fn name(&self) -> &str {
        self.0.name().as_str()
    }

    fn version(&self) -> &str {
        self.0.version()
    }

    fn platform(&self) -> &str {
        "ensemble"
    }

    fn signature(&self) -> &Signature {
        self.0.ensemble().unwrap()
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn infer(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        Box::pin(async move {
            let results = self.0.run_ensemble(examples, call).await;
            let each = |result: Result<_, Failure>| match result? {
                Outcome::Predicted(outputs, origin) => Ok(Prediction::new(None, outputs, origin)),
                other => panic!("{other:?}"),
            };
            results.into_iter().map(each).collect()
        })
    }
}

fn calls(a: Arc<dyn Endpoint>, nesting: usize) -> PluginConfig {
    PluginConfig {
        models: [("a".to_owned(), a)].into(),
        nesting,
        config: "passes on".to_owned(),
        ..config("code_ensemble")
    }
}

/// Three deep, with as many callers at once as there are instances: without instances that
/// are kept for those below, all would wait until their deadline.
#[tokio::test]
async fn plugins_that_wait_for_plugins_leave_them_instances() {
    let world = world_of(Config {
        instances_max: 4,
        ..small()
    });
    let model = Arc::new(add_one().slow(Duration::from_millis(1)));
    let mut endpoint: Arc<dyn Endpoint> = model;
    let mut top = None;
    for nesting in 0..3 {
        let plugin = world.load(calls(endpoint, nesting)).await;
        endpoint = Arc::new(Called(plugin.clone()));
        top = Some(plugin);
    }
    let top = top.unwrap();
    let results = top
        .run_ensemble(numbers("default", 0..100), Call::default())
        .await;
    for (x, result) in results.into_iter().enumerate() {
        assert_eq!(x_made(&result.unwrap()), x as i64 + 1);
    }
    assert_eq!(world.metric("consort_plugin_instances "), 0.0);
}

#[tokio::test]
async fn no_deeper_than_there_are_instances() {
    let world = world_of(Config {
        instances_max: 3,
        ..small()
    });
    let loaded = world.sandbox.load(calls(Arc::new(add_one()), 3)).await;
    let problem = loaded.err().unwrap().problem;
    assert!(
        matches!(
            problem,
            LoadProblem::NestedTooDeep {
                nesting: 3,
                nesting_max: 2
            }
        ),
        "{problem}"
    );
    let deep = grant(config("identity"), []);
    world.load(PluginConfig { nesting: 2, ..deep }).await;
}
