//! `consort graph`: what an ensemble is made of, as a picture.

use crate::args::{Global, Graph, GraphFormat};
use crate::assemble::load;
use crate::draw;
use crate::exit::Exit;
use crate::host::Telemetry;
use crate::print;

/// Loads, draws and writes.
pub(crate) async fn graph(global: &Global, graph: Graph) -> Exit {
    let (_, host) = match load(&graph.manifest, global, &mut Telemetry::new()).await {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let ensemble = match host.choose(graph.ensemble.as_deref()) {
        Ok(ensemble) => ensemble,
        Err(message) => {
            print::error(&message);
            return Exit::Unusable;
        }
    };
    let picture = match graph.format {
        GraphFormat::Svg => draw::svg::draw(ensemble.graph()),
        GraphFormat::Text => {
            let pen = match shows_utf8() {
                true => draw::text::BOXES,
                false => draw::text::ASCII,
            };
            draw::text::draw(ensemble.graph(), &pen)
        }
    };
    let Some(path) = &graph.output else {
        print::out(picture.trim_end());
        return Exit::Success;
    };
    match std::fs::write(path, picture) {
        Ok(()) => Exit::Success,
        Err(error) => {
            print::error(&format!("{} cannot be written: {error}", path.display()));
            Exit::BrokenOff
        }
    }
}

/// Whether the terminal's language says UTF-8.
fn shows_utf8() -> bool {
    let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set);
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
