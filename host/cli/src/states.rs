//! Models as steps, those with `state` inside of what keeps the states of their streams.

use crate::assemble::Assembly;
use crate::steps::ModelStep;
use consort_ensemble::Step;
use consort_ensemble::patterns::{PatternProblem, Stateful, StatefulConfig};
use consort_manifest::{self as manifest, Named};
use consort_registry::Model;
use std::sync::Arc;
use std::time::Duration;

// === impl Assembly ===

impl Assembly<'_> {
    /// What runs a model wherever it is named; nothing where its state does not fit it, which
    /// is a problem then.
    pub(crate) fn model_step(
        &mut self,
        entry: &manifest::Model,
        model: &Arc<Model>,
    ) -> Option<Arc<dyn Step>> {
        let body = Arc::new(ModelStep::new(model.clone()));
        let Some(state) = &entry.state else {
            return Some(body);
        };
        let pair = |pair: &Named<String>| (pair.name.as_str().into(), pair.value.as_str().into());
        let config = StatefulConfig {
            idle: Duration::from_millis(*entry.state_idle_ms),
            keys_max: *entry.state_keys_max,
            bytes_max: *entry.state_bytes_max,
            ..StatefulConfig::new(entry.name.as_str(), body, state.iter().map(pair).collect())
        };
        match Stateful::new(config, &self.telemetry.patterns) {
            Ok(step) => Some(Arc::new(step)),
            Err(error) => {
                for problem in &error.problems {
                    let message = format!("model \"{}\": {problem}", error.step);
                    let place = match problem {
                        PatternProblem::StateRoom { .. } if entry.state_bytes_max.given => {
                            entry.state_bytes_max.place
                        }
                        PatternProblem::NoTensor { name, .. } => place_of(state, name),
                        PatternProblem::StatePair { input, .. }
                        | PatternProblem::StateSize { input, .. } => place_of(state, input),
                        _ => state.place,
                    };
                    self.problem(
                        place,
                        message,
                        "consort inspect shows the tensors of a model",
                    );
                }
                None
            }
        }
    }
}

/// Where the manifest names a tensor of the state.
fn place_of(state: &manifest::Located<Vec<Named<String>>>, tensor: &str) -> manifest::Place {
    let names = state.iter().flat_map(|pair| [&pair.name, &pair.value]);
    let found = names.into_iter().find(|name| name.as_str() == tensor);
    found.map_or(state.place, |name| name.place)
}
