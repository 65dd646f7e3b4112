//! Ensembles that run one another in a circle: a call would never end.

use std::collections::{BTreeMap, BTreeSet};

use crate::keys::ensemble::Ensemble;
use crate::keys::step::StepRuns;
use crate::place::Located;
use crate::report::Report;
use crate::rule::toml_text;

/// What an ensemble's steps name, if it is an ensemble too.
type Needs<'a> = BTreeMap<&'a str, Vec<&'a Located<String>>>;

/// Reports each circle once, at the step that closes it.
pub(crate) fn check(ensembles: &[Ensemble], report: &mut Report) {
    let names: BTreeSet<&str> = ensembles.iter().map(|entry| entry.name.as_str()).collect();
    let needs: Needs<'_> = ensembles
        .iter()
        .map(|entry| {
            // What `model` names is none, even where an ensemble has taken its name.
            let targets = entry.steps().iter().flat_map(|step| match &step.runs {
                StepRuns::Model(_) => step.beside(),
                _ => step.targets(),
            });
            let others = targets.filter(|target| names.contains(target.as_str()));
            (entry.name.as_str(), others.collect())
        })
        .collect();
    let mut done = BTreeSet::new();
    for entry in ensembles {
        walk(entry.name.as_str(), &needs, &mut done, report);
    }
}

/// Walks depth first, with a stack of its own: the text decides how deep it goes.
fn walk<'a>(start: &'a str, needs: &Needs<'a>, done: &mut BTreeSet<&'a str>, report: &mut Report) {
    if done.contains(start) {
        return;
    }
    // Each with how many of its needs have been looked at.
    let mut path: Vec<(&str, usize)> = vec![(start, 0)];
    let mut on_path = BTreeSet::from([start]);
    while let Some((name, looked)) = path.last_mut() {
        let name = *name;
        let next = needs.get(name).and_then(|needed| needed.get(*looked));
        *looked += 1;
        let Some(next) = next else {
            done.insert(name);
            on_path.remove(name);
            path.pop();
            continue;
        };
        if on_path.contains(next.as_str()) {
            let names = path.iter().map(|(name, _)| *name);
            let circle: Vec<&str> = names.skip_while(|name| *name != next.as_str()).collect();
            refuse(&circle, next, report);
        } else if let Some((known, _)) = needs.get_key_value(next.as_str())
            && !done.contains(known)
        {
            on_path.insert(known);
            path.push((known, 0));
        }
    }
}

fn refuse(circle: &[&str], closing: &Located<String>, report: &mut Report) {
    let first = toml_text(closing);
    let message = match circle {
        [_] => format!("the ensemble {first} runs itself: a call would never end"),
        _ => {
            let way: Vec<String> = circle.iter().skip(1).map(|name| toml_text(name)).collect();
            let way = way.join(", which runs ");
            format!(
                "the ensemble {first} runs {way}, which runs {first} again: a call would never end"
            )
        }
    };
    report.wrong(closing.place, message, "name something else here");
}
