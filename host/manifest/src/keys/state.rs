//! The keys of a model that are about the states of streams, and what they exclude.

use super::map::ModelMap;
use super::model::Model;
use super::quiet::{Given, refuse_idle};
use crate::report::Report;
use crate::rule::either::Versions;

/// Checks the keys of a model that are about the states of streams.
pub(crate) fn check(model: &Model, report: &mut Report) {
    let Some(state) = &model.state else {
        let keys = [
            ("state_idle_ms", model.state_idle_ms.given()),
            ("state_keys_max", model.state_keys_max.given()),
            ("state_bytes_max", model.state_bytes_max.given()),
        ];
        let help = "add state = { input = \"output\" }";
        refuse_idle(&keys, "without `state`", help, report);
        return;
    };
    if state.is_empty() && !report.doubts(state) {
        let message = "`state` names no tensor";
        let help = "write state = { input = \"output\" }, or remove it";
        report.wrong(state.place, message, help);
    }
    for (index, pair) in state.iter().enumerate() {
        let mut earlier = state.iter().take(index);
        if earlier.any(|earlier| *earlier.value == *pair.value) {
            let output = &pair.value.value;
            let message = format!("the output \"{output}\" is the next state of two inputs");
            report.wrong(
                pair.value.place,
                message,
                "give each input an output of its own",
            );
        }
    }
    if let Some(versions) = &model.versions
        && **versions != Versions::Latest
    {
        let message = "`state` has no effect on versions that answer beside one another";
        let line = report.line(state.place);
        let help = format!("write versions = \"latest\", or remove state on line {line}");
        report.wrong(versions.place, message, help);
    }
}

/// Refuses model maps that would go past the states of their models.
pub(crate) fn check_maps(models: &[Model], maps: &[ModelMap], report: &mut Report) {
    for name in maps.iter().flat_map(ModelMap::models) {
        let mut models = models.iter();
        let model = models.find(|model| model.name.value == name.value);
        if let Some(state) = model.and_then(|model| model.state.as_ref()) {
            let message = format!(
                "the model \"{}\" keeps states, which a model map cannot",
                name.value
            );
            let line = report.line(state.place);
            let help = format!("name another model, or remove state on line {line}");
            report.wrong(name.place, message, help);
        }
    }
}
