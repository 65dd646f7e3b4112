//! `consort inspect`: what a component is, without running it.

use crate::args::Inspect;
use crate::exit::Exit;
use crate::print;
use consort_plugin::{Inspection, LoadError, LoadProblem, Sandbox};
use serde_json::{Value, json};

/// Reads the component and shows what it is.
pub(crate) fn inspect(inspect: &Inspect) -> Exit {
    let found = match Sandbox::inspect(&inspect.plugin) {
        Ok(found) => found,
        Err(error) => {
            print::error(&refusal(&error));
            return Exit::Unusable;
        }
    };
    print::out(&if inspect.json {
        as_json(&found).to_string()
    } else {
        as_text(&found)
    });
    Exit::Success
}

/// There is no manifest here that a path could be relative to.
fn refusal(error: &LoadError) -> String {
    match &error.problem {
        LoadProblem::Unreadable(source) => {
            let path = error.path.display();
            format!("{path}: the component cannot be read: {source}")
        }
        _ => error.to_string(),
    }
}

fn as_json(found: &Inspection) -> Value {
    json!({
        "bytes": found.bytes,
        "sha256": found.sha256,
        "roles": texts(&found.roles),
        "not_a_plugin": found.not_a_plugin,
        "imports": found.imports,
        "exports": found.exports,
        "capabilities": texts(&found.capabilities),
        "unknown_imports": found.unknown_imports,
        "snapshot": found.snapshot.is_ok(),
        "no_snapshot_because": found.snapshot.as_ref().err(),
    })
}

fn as_text(found: &Inspection) -> String {
    let mut lines = vec![
        format!("size          {} bytes", found.bytes),
        format!("sha256        {}", found.sha256),
        format!("roles         {}", listed(&texts(&found.roles))),
        format!("capabilities  {}", listed(&texts(&found.capabilities))),
    ];
    lines.push(match &found.snapshot {
        Ok(()) => "snapshot      can be taken after init".to_owned(),
        Err(reason) => format!(
            "snapshot      cannot be taken ({reason}): instances are reused within a tenant"
        ),
    });
    lines.push("imports".to_owned());
    lines.extend(found.imports.iter().map(|import| format!("  {import}")));
    lines.push("exports".to_owned());
    lines.extend(found.exports.iter().map(|export| format!("  {export}")));
    for import in &found.unknown_imports {
        lines.push(format!(
            "note: {import} is nothing that Consort can give to a plugin: it would be refused"
        ));
    }
    if let Some(reason) = &found.not_a_plugin {
        lines.push(format!("note: this is no plugin: {reason}"));
    }
    lines.join("\n")
}

fn texts(items: impl IntoIterator<Item = impl ToString>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

fn listed(texts: &[String]) -> String {
    if texts.is_empty() {
        "none".to_owned()
    } else {
        texts.join(", ")
    }
}
