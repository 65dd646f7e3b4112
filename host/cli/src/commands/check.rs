//! `consort check`: everything that is wrong, or what there is.

use crate::args::{Check, Global};
use crate::assemble::load;
use crate::exit::Exit;
use crate::host::{Host, Telemetry};
use crate::manifest::ManifestFile;
use crate::print;
use consort_inference::{Endpoint, TensorSpec};

/// Checks the text, loads everything that is right in it and puts it together, but serves
/// nothing.
pub(crate) async fn check(global: &Global, check: Check) -> Exit {
    let checked = if check.syntax_only {
        let right = ManifestFile::read(&check.manifest).and_then(|file| file.text_is_right());
        let file = check.manifest.display();
        right.map(|()| format!("{file}: the text is right; nothing was loaded"))
    } else {
        load(&check.manifest, global, &mut Telemetry::new())
            .await
            .map(|(_, host)| overview(&host))
    };
    match checked {
        Ok(text) => {
            print::out(&text);
            Exit::Success
        }
        Err(exit) => exit,
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
