//! `consort serve`: the manifest over HTTP until it is told to stop.

use crate::args::{Global, Serve};
use crate::assemble::load;
use crate::configs;
use crate::exit::Exit;
use crate::host::{Host, RegistryCatalog, Telemetry};
use crate::print;
use consort_inference::Endpoint;
use consort_server::Drained;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// Loads, listens, serves, drains.
pub(crate) async fn serve(global: &Global, serve: Serve) -> Exit {
    let begin = Instant::now();
    let mut telemetry = Telemetry::new();
    let (file, host) = match load(&serve.manifest, global, &mut telemetry).await {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let mut config = configs::server(&file.manifest.server);
    config.listen = serve.listen.unwrap_or(config.listen);
    log_loaded(&host);
    match listen(config, &host, telemetry, begin).await {
        Ok(Drained { cut_off: 0, .. }) => Exit::Success,
        Ok(Drained { cut_off, .. }) => {
            print::error(&format!(
                "{cut_off} requests were cut off after [server] drain_timeout_ms"
            ));
            Exit::BrokenOff
        }
        Err(message) => {
            print::error(&message);
            Exit::BrokenOff
        }
    }
}

async fn listen(
    config: consort_server::Config,
    host: &Host,
    telemetry: Telemetry,
    begin: Instant,
) -> Result<Drained, String> {
    let shutdown = stop_signal().map_err(|error| format!("signals cannot be received: {error}"))?;
    let listener = consort_server::bind(&config)
        .await
        .map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    print::out(&format!("serving on http://{address}"));
    // A log line in JSON has numbers of 64 bits; a wider one would become text.
    let ready_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%address, ready_ms, "ready");
    let catalog = Arc::new(RegistryCatalog(host.registry.clone()));
    let Telemetry {
        registry, server, ..
    } = telemetry;
    let drained = consort_server::serve(
        listener,
        config,
        catalog,
        server,
        Arc::new(registry),
        shutdown,
    )
    .await
    .map_err(|error| error.to_string())?;
    host.registry.drain().await;
    Ok(drained)
}

/// Ends at the first SIGTERM or Ctrl-C. A second one ends the process at once: what is
/// under way is then lost, as whoever sent it twice wants.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
            _ = interrupt.recv() => tracing::info!("interrupt: draining"),
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            print::note("stopped at once by a second signal");
            std::process::exit(130);
        });
    })
}

fn log_loaded(host: &Host) {
    for ensemble in host.ensembles.iter().chain(&host.models) {
        tracing::info!(
            name = ensemble.name(),
            version = ensemble.version(),
            platform = ensemble.platform(),
            "serving"
        );
    }
    for note in &host.notes {
        tracing::warn!("{note}");
    }
}
