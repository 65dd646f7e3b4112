//! What goes over the wire, and what comes of it, where all goes well.

use crate::fixture::{Server, batch, config, connect, echo, metadata, numbers, ok, reply};
use consort_inference::{ArgValue, Batch, Datatype, Signature, Tensor, TensorSpec, Tensors};
use consort_remote::{Api, BatchAxis, ConnectReason, OpenInference, Secret, TensorForm};
use serde_json::json;

const ROWS: [[f32; 2]; 3] = [[0.1, f32::MAX], [-0.0, 3.5], [1e-40, 7.0]];

fn expected() -> Vec<Vec<f32>> {
    ROWS.map(|row| row.to_vec()).to_vec()
}

#[tokio::test]
async fn tensors_are_binary_where_the_server_knows_how() {
    let server = Server::model(&["binary_tensor_data"], echo).await;
    let model = server.connect().await;
    assert_eq!(
        numbers(&model.predict(&batch(&ROWS)).await.unwrap()),
        expected()
    );
    let posts = server.posts();
    let (json, blobs) = posts[0].parts();
    assert_eq!(json["inputs"][0]["shape"], json!([3, 2]));
    assert_eq!(blobs.len(), 24);
    assert_eq!(posts[0].path, "/v2/models/m/infer");
    assert_eq!(
        posts[0].header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(posts[0].header("accept-encoding"), Some("identity"));

    assert_eq!(
        (model.platform(), model.remote_platform()),
        ("remote", "test")
    );
    assert_eq!(model.versions(), ["3"]);
    assert_eq!(model.signature().inputs[0].shape, [Some(2)]);
    assert_eq!(model.batch_hints().max_batch_size, None);
}

#[tokio::test]
async fn tensors_are_json_where_it_does_not() {
    let server = Server::model(&[], echo).await;
    let model = server.connect().await;
    let args = [("k".into(), ArgValue::Int(3))].into_iter().collect();
    let batch = batch(&ROWS).with_args(args);
    assert_eq!(numbers(&model.predict(&batch).await.unwrap()), expected());
    let posts = server.posts();
    assert_eq!(posts[0].header("content-type"), Some("application/json"));
    assert_eq!(posts[0].header("inference-header-content-length"), None);
    assert_eq!(posts[0].parts().0["parameters"], json!({"k": 3}));
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::model(&[], echo).await;
    let model = server.connect().await;
    for _ in 0..5 {
        model.predict(&batch(&ROWS)).await.unwrap();
    }
    assert_eq!((server.posts().len(), server.connections()), (5, 1));
}

#[tokio::test]
async fn the_configuration_of_a_model_says_how_it_is_batched() {
    for (max_batch_size, hint) in [(8, Some(8)), (0, Some(1))] {
        let server = Server::start(move |request| match &*request.path {
            "/serving/v2/models/m/versions/3" => ok(&metadata()),
            "/serving/v2/models/m/versions/3/config" => {
                ok(&json!({"max_batch_size": max_batch_size}))
            }
            "/serving/v2/models/m/versions/3/infer" => echo(request),
            _ => reply("404 Not Found", "", b""),
        })
        .await;
        let mut config = config(&format!("http://127.0.0.1:{}/serving/", server.port()));
        config.api = Api::OpenInference(OpenInference {
            version: Some("3".to_owned()),
            ..OpenInference::new("m")
        });
        let model = connect(config).await.unwrap();
        assert_eq!(model.batch_hints().max_batch_size, hint);
        // Without a batch axis the metadata's two axes are the example's own.
        let axes = if max_batch_size > 0 { 1 } else { 2 };
        assert_eq!(model.signature().inputs[0].shape.len(), axes);
        let shape: Vec<usize> = [1, 2][2 - axes..].to_vec();
        let tensor = Tensor::from_slice(shape.clone(), &[1f32, 2.0]).unwrap();
        let row = Tensors::from_named([("x".into(), tensor)]).unwrap();
        let batch = Batch::new(vec![row.clone(), row]).unwrap();
        let outputs = model.predict(&batch).await.unwrap();
        assert_eq!(outputs[1].tensor("y").unwrap().shape(), shape);
        assert_eq!(outputs.len(), 2);
        let requests = if max_batch_size > 0 { 1 } else { 2 };
        assert_eq!(server.posts().len(), requests);
    }
}

#[tokio::test]
async fn every_datatype_passes_in_binary() {
    for datatype in Datatype::ALL {
        let server = Server::start(move |request| {
            let tensor = |name| json!({"name": name, "datatype": datatype.as_str(), "shape": [-1]});
            match &*request.method {
                "POST" => echo(request),
                _ => ok(&json!({"inputs": [tensor("x")], "outputs": [tensor("y")]})),
            }
        })
        .await;
        let mut config = server.config();
        config.api = Api::OpenInference(OpenInference {
            form: TensorForm::Binary,
            batch_axis: BatchAxis::Leading,
            ..OpenInference::new("m")
        });
        let model = connect(config).await.unwrap();
        let row = |fill: u8| {
            let tensor = match datatype.size_bytes() {
                None => Tensor::from_byte_strings(vec![], [vec![0xff; fill.into()]]).unwrap(),
                Some(size) => Tensor::new(datatype, vec![], vec![fill & 1; size].into()).unwrap(),
            };
            Tensors::from_named([("x".into(), tensor)]).unwrap()
        };
        let rows = vec![row(0), row(1), row(3)];
        let outputs = model
            .predict(&Batch::new(rows.clone()).unwrap())
            .await
            .unwrap();
        for (output, row) in outputs.iter().zip(&rows) {
            assert_eq!(output.tensor("y"), row.tensor("x"), "{datatype}");
        }
        assert_eq!(outputs.len(), 3);
    }
}

#[tokio::test]
async fn vertex_takes_instances_and_gives_predictions() {
    let server = Server::start(|request| {
        let (json, _) = request.parts();
        ok(&json!({"predictions": json["instances"], "deployedModelId": "7"}))
    })
    .await;
    let tensor = |name: &str| vec![TensorSpec::new(name, Datatype::Fp32, vec![Some(2)])];
    let mut config = config(&format!(
        "http://127.0.0.1:{}/v1/endpoints/7",
        server.port()
    ));
    config.api = Api::Vertex {
        signature: Signature {
            inputs: tensor("x"),
            outputs: tensor("y"),
        },
    };
    let model = connect(config).await.unwrap();
    assert_eq!(
        numbers(&model.predict(&batch(&ROWS)).await.unwrap()),
        expected()
    );
    let posts = server.posts();
    assert_eq!(posts[0].path, "/v1/endpoints/7:predict");
    assert!(server.requests().len() == 1);
}

#[tokio::test]
async fn secrets_travel_in_headers() {
    let server = Server::model(&[], echo).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "s3cret\n").unwrap();
    let secret = Secret::File(file.path().into());
    let mut config = server.config();
    config.bearer_token = Some(secret.clone());
    config.headers = vec![("X-Api-Key".to_owned(), secret)];
    let model = connect(config.clone()).await.unwrap();
    model.predict(&batch(&ROWS)).await.unwrap();
    for request in server.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer s3cret"));
        assert_eq!(request.header("x-api-key"), Some("s3cret"));
    }
    assert!(!format!("{config:?} {model:?}").contains("s3cret"));

    // Another host would see them go by.
    config.url = "http://models.example".to_owned();
    let error = connect(config).await.unwrap_err();
    assert!(matches!(error, ConnectReason::Cleartext { .. }), "{error}");
}

#[tokio::test]
async fn a_model_that_is_not_there_is_refused_and_a_server_that_is_not_may_come() {
    let server = Server::model(&[], echo).await;
    let mut config = server.config();
    config.api = Api::OpenInference(OpenInference::new("other"));
    let error = connect(config).await.unwrap_err();
    assert!(matches!(error, ConnectReason::Refused(_)), "{error}");
    assert!(
        error
            .to_string()
            .ends_with("/v2/models/other: 404 Not Found: \"no such thing\"")
    );
    assert!(!error.is_transient());

    let mut gone = server.config();
    gone.url = "http://127.0.0.1:1".to_owned();
    gone.retry.retries_max = 1;
    let error = connect(gone).await.unwrap_err();
    assert!(
        error.is_transient() && error.to_string().contains("2 tries"),
        "{error}"
    );

    let server = Server::start(|_| reply("200 OK", "", b"<html>")).await;
    let error = connect(server.config()).await.unwrap_err();
    assert!(
        error.to_string().contains("it begins with \"<html>\""),
        "{error}"
    );
}

#[tokio::test]
async fn halves_need_a_server_that_takes_binary() {
    let server = Server::start(|request| {
        let tensor = |name| json!({"name": name, "datatype": "BF16", "shape": [-1, 2]});
        match &*request.path {
            "/v2/models/m" => ok(&json!({"inputs": [tensor("x")], "outputs": [tensor("y")]})),
            _ => reply("404 Not Found", "", b""),
        }
    })
    .await;
    let error = connect(server.config()).await.unwrap_err().to_string();
    assert!(
        error.contains("BF16") && error.contains("tensor_form"),
        "{error}"
    );
}
