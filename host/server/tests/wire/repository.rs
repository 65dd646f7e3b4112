//! The calls that load, unload and take back models.

use crate::client::{Reply, Server};
use crate::fake::FakeCatalog;
use consort_inference::{BoxFuture, ModelId};
use consort_server::{Answering, Config, Repository, RepositoryError, Wish};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Writes down what it was asked for. What it does is told by the model's name.
#[derive(Default)]
struct FakeRepository {
    asked: Mutex<Vec<String>>,
    begun: Notify,
    go_on: Notify,
}

// === impl FakeRepository ===

impl FakeRepository {
    fn note(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn answer(&self, model: &str) -> Result<Answering, RepositoryError> {
        let message = || format!("{model} says why");
        match model {
            "unknown" => Err(RepositoryError::Unknown(message())),
            "refused" => Err(RepositoryError::Refused(message())),
            "failed" => Err(RepositoryError::Failed(message())),
            "later" => Err(RepositoryError::NotNow(message())),
            _ => Ok(Answering {
                id: ModelId::new(model, "2"),
                changed: model != "same",
            }),
        }
    }
}

impl Repository for FakeRepository {
    fn load<'a>(
        &'a self,
        model: &'a str,
        wish: Wish,
    ) -> BoxFuture<'a, Result<Answering, RepositoryError>> {
        Box::pin(async move {
            if model == "slow" {
                self.begun.notify_one();
                self.go_on.notified().await;
            }
            self.note(format!("load {model} {:?} {:?}", wish.version, wish.sha256));
            self.answer(model)
        })
    }

    fn unload<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<(), RepositoryError>> {
        Box::pin(async move {
            self.note(format!("unload {model}"));
            self.answer(model).map(drop)
        })
    }

    fn rollback<'a>(&'a self, model: &'a str) -> BoxFuture<'a, Result<Answering, RepositoryError>> {
        Box::pin(async move {
            self.note(format!("rollback {model}"));
            self.answer(model)
        })
    }
}

async fn start() -> (Server, Arc<FakeRepository>) {
    let repository = Arc::new(FakeRepository::default());
    let catalog = FakeCatalog::new().with_repository(repository.clone());
    (
        Server::serving(Config::default(), catalog).await,
        repository,
    )
}

async fn post(server: &Server, path: &str, body: &str) -> Reply {
    let path = format!("/v2/repository/models/{path}");
    server.post(&path, &[], body.to_owned()).await
}

#[tokio::test]
async fn without_leave_nothing_can_be_changed() {
    let server = Server::start().await;
    for path in ["add_one/load", "add_one/unload", "nothing/rollback"] {
        let reply = post(&server, path, "").await;
        reply.refused(403, "write admin = true in [server] of the manifest");
    }
    let index = server.post("/v2/repository/index", &[], "").await;
    assert_eq!(index.status, 200);
}

#[tokio::test]
async fn models_are_loaded_unloaded_and_taken_back() {
    let (server, repository) = start().await;
    let extensions = server.get("/v2").await.ok()["extensions"].clone();
    assert!(
        extensions
            .as_array()
            .unwrap()
            .contains(&json!("model_repository"))
    );
    let loaded = post(&server, "m/load", "").await.ok();
    let expected = json!({"model_name": "m", "model_version": "2", "changed": true});
    assert_eq!(loaded, expected);
    let body = r#"{"parameters": {"version": "7", "sha256": "ab"}}"#;
    assert_eq!(
        post(&server, "same/load", body).await.ok()["changed"],
        false
    );
    let unloaded = post(
        &server,
        "m/unload",
        r#"{"parameters": {"unload_dependents": false}}"#,
    );
    let unloaded = unloaded.await;
    assert_eq!((unloaded.status, unloaded.text().as_str()), (200, ""));
    assert_eq!(
        post(&server, "a%20b/rollback", "{}").await.ok()["model_name"],
        "a b"
    );
    let asked = [
        "load m None None",
        "load same Some(\"7\") Some(\"ab\")",
        "unload m",
        "rollback a b",
    ];
    assert_eq!(repository.asked(), asked);
}

#[tokio::test]
async fn what_fails_says_why() {
    let (server, _) = start().await;
    for (model, status) in [
        ("unknown", 404),
        ("refused", 400),
        ("failed", 500),
        ("later", 503),
    ] {
        for call in ["load", "unload", "rollback"] {
            let reply = post(&server, &format!("{model}/{call}"), "").await;
            reply.refused(status, &format!("{model} says why"));
        }
    }
}

#[tokio::test]
async fn what_is_not_offered_is_refused() {
    let (server, repository) = start().await;
    for (body, status, why) in [
        (r#"{"parameters": {"config": "{}"}}"#, 501, "\"config\""),
        (
            r#"{"parameters": {"file:1/model.onnx": "AAAA"}}"#,
            501,
            "\"file:\"",
        ),
        (
            r#"{"parameters": {"path": "/etc"}}"#,
            400,
            "there are \"version\" and \"sha256\"",
        ),
        (
            r#"{"parameters": {"version": 3}}"#,
            400,
            "a text is expected",
        ),
        ("[", 400, "malformed JSON"),
    ] {
        post(&server, "m/load", body).await.refused(status, why);
    }
    let body = r#"{"parameters": {"unload_dependents": true}}"#;
    let reply = post(&server, "m/unload", body).await;
    reply.refused(501, "\"unload_dependents\"");
    let reply = post(&server, "m/load", &" ".repeat(5000)).await;
    reply.refused(413, "over the limit of 4096 bytes");
    assert!(repository.asked().is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_a_load() {
    let (server, repository) = start().await;
    {
        let mut client = server.h1().await;
        let path = "/v2/repository/models/slow/load";
        let request = client.request(hyper::Method::POST, path, &[], "".into());
        let asking = tokio::spawn(request);
        repository.begun.notified().await;
        asking.abort();
    }
    repository.go_on.notify_one();
    while repository.asked.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(repository.asked(), ["load slow None None"]);
}
