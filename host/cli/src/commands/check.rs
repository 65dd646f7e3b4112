//! `consort check`: everything that is wrong, or what there is.

use crate::args::{Check, Global};
use crate::assemble::assemble;
use crate::exit::Exit;
use crate::host::{Host, Telemetry};
use crate::manifest::ManifestFile;
use crate::print;
use consort_inference::{Endpoint, TensorSpec};

/// Checks the text, then loads everything and puts it together, but serves nothing.
pub(crate) async fn check(global: &Global, check: Check) -> Exit {
    let file = match ManifestFile::read(&check.manifest) {
        Ok(file) => file,
        Err(message) => {
            print::note(&message);
            return Exit::Unusable;
        }
    };
    if check.syntax_only {
        print::out(&format!(
            "{}: the text is right; nothing was loaded",
            check.manifest.display()
        ));
        return Exit::Success;
    }
    match assemble(&file, global, &mut Telemetry::new()).await {
        Ok(host) => {
            print::out(&overview(&host));
            Exit::Success
        }
        Err(problems) => {
            print::note(&problems.to_string());
            Exit::Unusable
        }
    }
}

/// What can be asked, and with which tensors.
fn overview(host: &Host) -> String {
    let mut text = String::new();
    for ensemble in host.ensembles.iter().chain(&host.models) {
        text.push_str(&format!(
            "{} \"{}\" version {}\n",
            ensemble.platform(),
            ensemble.name(),
            ensemble.version()
        ));
        let signature = ensemble.signature();
        for (side, specs) in [("in ", &signature.inputs), ("out", &signature.outputs)] {
            text.extend(
                specs
                    .iter()
                    .map(|spec: &TensorSpec| format!("  {side} {} {spec}\n", spec.name)),
            );
        }
    }
    for note in &host.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text.push_str("everything fits");
    text
}
