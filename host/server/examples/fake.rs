//! The server with endpoints that need no model, for trying clients against:
//! `cargo run -p consort-server --example fake -- 127.0.0.1:8000`

#[path = "../tests/wire/fake.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared with the tests")]
#[expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "shared with the tests"
)]
mod fake;

use consort_server::{Config, Metrics, bind, serve};
use prometheus_client::registry::Registry;
use std::error::Error;
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    if let Some(listen) = std::env::args().nth(1) {
        config.listen = listen.parse()?;
    }
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let listener = bind(&config).await?;
    let catalog = Arc::new(fake::FakeCatalog::new());
    let shutdown = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    serve(
        listener,
        config,
        catalog,
        metrics,
        registry.into(),
        shutdown,
    )
    .await?;
    Ok(())
}
