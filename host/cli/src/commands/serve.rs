//! `consort serve`: the manifest over HTTP until it is told to stop.

use crate::args::{Global, Serve};
use crate::assemble::load;
use crate::configs;
use crate::exit::Exit;
use crate::host::{Host, RegistryCatalog, Telemetry};
use crate::print;
use crate::trace::Recorder;
use consort_inference::Endpoint;
use consort_server::Drained;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
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
    let admin = Admin::of(&file.manifest.server);
    let recorder = serve.trace.as_deref();
    let recorder = recorder.map(|folder| Recorder::new(folder, serve.trace_calls));
    let recorder = match recorder.transpose() {
        Ok(recorder) => recorder,
        Err(message) => {
            print::error(&message);
            return Exit::Unusable;
        }
    };
    log_loaded(&host);
    match listen(config, admin, &host, recorder, telemetry, begin).await {
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

/// Where calls are taken that change models.
enum Admin {
    Nowhere,
    /// Where all others are taken.
    Beside,
    At(SocketAddr),
}

impl Admin {
    fn of(server: &consort_manifest::Server) -> Self {
        match &server.admin_listen {
            _ if !*server.admin => Self::Nowhere,
            None => Self::Beside,
            Some(address) => Self::At(**address),
        }
    }
}

async fn listen(
    config: consort_server::Config,
    admin: Admin,
    host: &Host,
    recorder: Option<Arc<Recorder>>,
    telemetry: Telemetry,
    begin: Instant,
) -> Result<Drained, String> {
    let shutdown = stop_signal().map_err(|error| format!("signals cannot be received: {error}"))?;
    let listener = bind(&config).await?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let apart = match admin {
        Admin::At(listen) => {
            let config = consort_server::Config {
                listen,
                ..config.clone()
            };
            Some((bind(&config).await?, config))
        }
        Admin::Nowhere | Admin::Beside => None,
    };
    print::out(&format!("serving on http://{address}"));
    if let Some((listener, _)) = &apart {
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        print::out(&format!("admin calls on http://{address}"));
        tracing::info!(%address, "admin calls are taken");
    }
    // A log line in JSON has numbers of 64 bits; a wider one would become text.
    let ready_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%address, ready_ms, "ready");
    let Telemetry {
        registry, server, ..
    } = telemetry;
    let registry = Arc::new(registry);
    let repository = host.repository();
    let catalog = |takes: bool| {
        Arc::new(RegistryCatalog {
            registry: host.registry.clone(),
            repository: takes.then(|| repository.clone()),
            recorder: recorder.clone(),
        })
    };
    let (stop, stopped) = watch::channel(false);
    let stopping = async move {
        shutdown.await;
        stop.send_replace(true);
    };
    let beside = catalog(matches!(admin, Admin::Beside));
    let metrics = server.clone();
    let main = consort_server::serve(
        listener,
        config,
        beside,
        metrics,
        registry.clone(),
        stopping,
    );
    let drained = match apart {
        None => main.await.map_err(|error| error.to_string())?,
        Some((listener, config)) => {
            let stopping = async move {
                let mut stopped = stopped;
                // Without a sender the other server has ended already.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            let catalog = catalog(true);
            let admin =
                consort_server::serve(listener, config, catalog, server, registry, stopping);
            let (main, admin) = tokio::try_join!(main, admin).map_err(|error| error.to_string())?;
            Drained {
                finished: main.finished + admin.finished,
                cut_off: main.cut_off + admin.cut_off,
            }
        }
    };
    host.registry.drain().await;
    Ok(drained)
}

async fn bind(config: &consort_server::Config) -> Result<TcpListener, String> {
    consort_server::bind(config)
        .await
        .map_err(|error| error.to_string())
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
