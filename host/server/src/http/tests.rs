//! What a connection that stays open sees while the server drains.

use super::*;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use consort_inference::Endpoint;
use tower::ServiceExt;

struct Nothing;

impl Catalog for Nothing {
    fn endpoint(&self, _: &str) -> Option<Arc<dyn Endpoint>> {
        None
    }

    fn endpoints(&self) -> Vec<Arc<dyn Endpoint>> {
        Vec::new()
    }
}

async fn ask(app: &Arc<App>, method: Method, path: &str) -> (u16, bool, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Body::empty())
        .unwrap();
    let response = router(app.clone()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (
        parts.status.as_u16(),
        parts.headers.contains_key("retry-after"),
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

#[tokio::test]
async fn a_draining_server_lives_but_is_not_ready() {
    let mut registry = Registry::default();
    let config = Config::default();
    let app = Arc::new(App {
        admission: Admission::new(config.inflight_max, config.held_bytes_max),
        config,
        catalog: Arc::new(Nothing),
        metrics: Metrics::register(&mut registry),
        registry: registry.into(),
        drain: Drain::default(),
        next_request: AtomicU64::new(0),
    });
    let ready = "/v2/health/ready";
    let infer = "/v2/models/any/infer";
    assert_eq!(ask(&app, Method::GET, ready).await.0, 200);
    assert_eq!(ask(&app, Method::POST, infer).await.0, 404);
    app.drain.begin();
    for (method, path) in [(Method::GET, ready), (Method::POST, infer)] {
        let (status, may_retry, body) = ask(&app, method, path).await;
        assert_eq!((status, may_retry), (503, true), "{path}");
        assert!(body.contains("the server is shutting down"), "{body}");
    }
    assert_eq!(ask(&app, Method::GET, "/v2/health/live").await.0, 200);
    assert_eq!(ask(&app, Method::GET, "/v2").await.0, 200);
}
