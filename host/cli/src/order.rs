//! What has to be there before what. A plugin is loaded after what it is granted: it may ask
//! the models what they read and write. An ensemble is put together after its steps, and a
//! model with a handler after the plugin around it. Where that goes round in a circle, nobody
//! could begin, and a call would never end: a problem.

use crate::models::inner_name;
use consort_manifest::{Located, Manifest, Place, Problem, StepRuns};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Something of the manifest that is loaded or put together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// A model, a model map or an ensemble: they share their names. A model that a plugin
    /// stands around goes by its inner name, too.
    Served(String),
    Plugin(String),
}

/// The parts of a manifest in their order.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// Each level needs nothing but what the levels before it hold. What is part of a circle
    /// or needs a part of one is in none.
    pub(crate) levels: Vec<BTreeSet<Part>>,
    /// How many plugins deep a call to each part goes, itself included.
    depths: BTreeMap<Part, usize>,
    /// The circles.
    pub(crate) problems: Vec<Problem>,
}

/// What a part needs, and where the manifest says so.
type Needs = BTreeMap<Part, Vec<(Part, Place)>>;

// === impl Order ===

impl Order {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let mut needs = needs(manifest);
        // What is not there is a problem already.
        let known: BTreeSet<Part> = needs.keys().cloned().collect();
        for needed in needs.values_mut() {
            needed.retain(|(part, _)| known.contains(part));
        }
        let mut order = Self::default();
        while order.add_level(&mut needs) {}
        order.circles(&needs);
        order
    }

    /// How many plugins deep the calls of a plugin go.
    pub(crate) fn nesting(&self, plugin: &str) -> usize {
        let part = Part::Plugin(plugin.to_owned());
        // The plugin itself is none of those it calls.
        self.depths
            .get(&part)
            .map_or(0, |depth| depth.saturating_sub(1))
    }

    /// Takes out what needs nothing more.
    fn add_level(&mut self, needs: &mut Needs) -> bool {
        let ready = |(_, needed): &(&Part, &Vec<(Part, Place)>)| {
            let mut needed = needed.iter();
            needed.all(|(part, _)| self.depths.contains_key(part))
        };
        let level: BTreeSet<Part> = needs
            .iter()
            .filter(ready)
            .map(|(part, _)| part.clone())
            .collect();
        let mut depths = Vec::new();
        for part in &level {
            let needed = needs.remove(part).unwrap_or_default();
            let below = needed.iter().filter_map(|(part, _)| self.depths.get(part));
            let below = below.max().copied().unwrap_or_default();
            depths.push((
                part.clone(),
                below + usize::from(matches!(part, Part::Plugin(_))),
            ));
        }
        self.depths.extend(depths);
        let any = !level.is_empty();
        if any {
            self.levels.push(level);
        }
        any
    }

    /// Finds the circles in what could not be put in order.
    fn circles(&mut self, left: &Needs) {
        let mut seen: BTreeSet<&Part> = BTreeSet::new();
        for start in left.keys() {
            let mut path: Vec<(&Part, Place)> = Vec::new();
            let mut at = start;
            // Each of them needs another one: the way ends where it has been before.
            while seen.insert(at) {
                let needed = left.get(at).into_iter().flatten();
                let mut needed = needed.filter(|(part, _)| left.contains_key(part));
                let Some((next, place)) = needed.next() else {
                    break;
                };
                path.push((at, *place));
                at = next;
            }
            let begin = path.iter().position(|(part, _)| *part == at);
            let circle = begin.and_then(|begin| path.get(begin..)).unwrap_or(&[]);
            self.problems.extend(problem(circle));
        }
    }
}

/// One circle, told where a plugin is granted something if there is such a place: there it
/// can be opened.
fn problem(circle: &[(&Part, Place)]) -> Option<Problem> {
    let is_plugin = |(part, _): &(&Part, Place)| matches!(part, Part::Plugin(_));
    let begin = circle.iter().position(is_plugin).unwrap_or_default();
    let (first, place) = circle.get(begin)?;
    let names: Vec<String> = (circle.iter().cycle().skip(begin + 1))
        .take(circle.len())
        .map(|(part, _)| part.to_string())
        .collect();
    let way = names.join(", which needs ");
    let message = format!("{first} needs {way}: a call would never end");
    let help = "name something else in one of these places";
    Some(Problem::new(*place, message, help))
}

fn needs(manifest: &Manifest) -> Needs {
    let mut needs = Needs::new();
    let served = |name: &Located<String>| (Part::Served(name.value.clone()), name.place);
    let plugin = |name: &Located<String>| (Part::Plugin(name.value.clone()), name.place);
    for model in &manifest.models {
        let name = model.name.value.clone();
        let handler = model.handler.iter().map(plugin).collect();
        needs.insert(Part::Served(name), handler);
        if model.handler.is_some() {
            needs.insert(Part::Served(inner_name(&model.name)), Vec::new());
        }
    }
    for map in &manifest.model_maps {
        let models = map.models().map(served).collect();
        needs.insert(Part::Served(map.name.value.clone()), models);
    }
    for entry in &manifest.plugins {
        let handled = |name: &str| {
            let mut models = manifest.models.iter();
            let handler = models
                .find(|model| model.name.value == name)
                .and_then(|model| model.handler.as_ref());
            handler.is_some_and(|handler| handler.value == entry.name.value)
        };
        let granted = entry.models.iter().map(|name| match handled(name) {
            true => (Part::Served(inner_name(name)), name.place),
            false => served(name),
        });
        needs.insert(Part::Plugin(entry.name.value.clone()), granted.collect());
    }
    for ensemble in &manifest.ensembles {
        let mut needed = Vec::new();
        for step in ensemble.steps() {
            if let StepRuns::Plugin { plugin: name, .. } = &step.runs {
                needed.push(plugin(name));
            }
            needed.extend(step.targets().into_iter().map(served));
        }
        let name = ensemble.name.value.clone();
        needs.insert(Part::Served(name), needed);
    }
    needs
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served(name) => write!(f, "\"{name}\""),
            Self::Plugin(name) => write!(f, "the plugin \"{name}\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(text: &str) -> Order {
        let text = format!("consort = 1\n{text}");
        match consort_manifest::parse("consort.toml", &text) {
            Ok(manifest) => Order::of(&manifest),
            Err(problems) => panic!("{problems}"),
        }
    }

    fn levels(order: &Order) -> Vec<String> {
        let level = |level: &BTreeSet<Part>| {
            let names: Vec<String> = level.iter().map(Part::to_string).collect();
            names.join(" ")
        };
        order.levels.iter().map(level).collect()
    }

    const MODELS: &str = "
        [model.small]
        path = 'small.onnx'
        [model.large]
        path = 'large.onnx'
    ";

    #[test]
    fn plugins_come_after_what_they_call() {
        let order = order(&format!(
            "{MODELS}
            [plugin.tokens]
            path = 'tokens.wasm'
            [plugin.cascade]
            path = 'cascade.wasm'
            models = ['whole', 'small']
            [[ensemble.whole.step]]
            plugin = 'tokens'
            [[ensemble.whole.step]]
            model = 'large'
            [[ensemble.best.step]]
            plugin = 'cascade'
            "
        ));
        assert_eq!(
            levels(&order),
            [
                "\"large\" \"small\" the plugin \"tokens\"",
                "\"whole\"",
                "the plugin \"cascade\"",
                "\"best\"",
            ]
        );
        assert!(order.problems.is_empty());
        assert_eq!((order.nesting("tokens"), order.nesting("cascade")), (0, 1));
    }

    #[test]
    fn a_handler_calls_the_model_inside() {
        let order = order(
            "[model.bert]
            path = 'bert.onnx'
            handler = 'glue'
            [plugin.glue]
            path = 'glue.wasm'
            models = ['bert']
            [plugin.code]
            path = 'code.wasm'
            models = ['bert']
            ",
        );
        assert_eq!(
            levels(&order),
            [
                "\"bert.model\"",
                "the plugin \"glue\"",
                "\"bert\"",
                "the plugin \"code\"",
            ]
        );
        assert_eq!((order.nesting("glue"), order.nesting("code")), (0, 1));
    }

    #[test]
    fn a_circle_is_told_once_and_where_it_can_be_opened() {
        let order = order(
            "[[ensemble.outer.step]]
            plugin = 'code'
            [[ensemble.front.step]]
            plugin = 'asks'
            [plugin.asks]
            path = 'asks.wasm'
            models = ['outer']
            [plugin.code]
            path = 'code.wasm'
            models = ['outer']
            ",
        );
        let [problem] = &order.problems[..] else {
            panic!("{:?}", order.problems);
        };
        assert_eq!(
            problem.message,
            "the plugin \"code\" needs \"outer\", which needs the plugin \"code\": a call would \
             never end"
        );
        assert!(levels(&order).is_empty());
    }
}
