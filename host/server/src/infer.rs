//! One inference request against one endpoint: the part that every transport shares.
//!
//! It takes decoded tensors and gives tensors; JSON, HTTP and bytes are not known here.

use crate::protocol::{Form, InferAnswer, InferRequest};
use crate::refusal::{FailedRow, Refusal};
use crate::rows::{self, AnswerMismatch, RowsError};
use crate::status::Code;
use consort_inference::{Call, Endpoint, Headers, Prediction, TenantId, Tensor};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// Answers a request: rows become examples, predictions become rows again.
///
/// The protocol has no partial answer, so one failed row fails the request, and the
/// refusal says which rows failed. Dropping the future abandons the work.
pub(crate) async fn infer(
    endpoint: &dyn Endpoint,
    request: InferRequest,
    tenant: &TenantId,
    headers: Headers,
    deadline: Instant,
    rows_max: usize,
) -> Result<InferAnswer, Refusal> {
    let id = request.id.clone();
    check_stream(endpoint, &request)?;
    let call = Call {
        deadline: Some(deadline.into_std()),
        priority: request.priority,
        args: request.args.clone(),
        headers,
        stream: request.stream.unwrap_or_default(),
        ..Call::default()
    };
    let example = example_outputs(&request);
    let rows = rows::split(endpoint, request, tenant, rows_max)?;
    let count = rows.examples.len();
    let results = timeout_at(deadline, endpoint.infer(rows.examples, call))
        .await
        .map_err(|_| deadline_passed(endpoint.name()))?;
    if results.len() != count {
        let actual = results.len();
        let mismatch = AnswerMismatch::Count {
            expected: count,
            actual,
        };
        return Err(RowsError::from(mismatch).into());
    }
    let predictions = all_or_refusal(results)?;
    let made_by = made_by(&predictions);
    let mut outputs = rows::join(&predictions, rows.outputs, endpoint.has_batch_axis())?;
    outputs.extend(example);
    Ok(InferAnswer {
        model_name: endpoint.name().into(),
        model_version: version_of(endpoint, &predictions),
        id,
        made_by,
        arms: arms(&predictions),
        partial: partial(&predictions),
        outputs,
    })
}

/// Streams are for what keeps their states, and that has nothing to go on from without one.
fn check_stream(endpoint: &dyn Endpoint, request: &InferRequest) -> Result<(), Refusal> {
    let name = endpoint.name();
    let (code, message) = match (endpoint.keeps_state(), &request.key, request.stream) {
        (true, None, _) => (
            Code::InvalidArgument,
            format!(
                "\"{name}\" keeps the state of each stream: say which one in the request's \
                 parameter \"key\" or \"sequence_id\""
            ),
        ),
        (false, _, Some(_)) => (
            Code::Unsupported,
            format!(
                "\"{name}\" keeps no states, so it has no sequences; leave \"sequence_id\", \
                 \"sequence_start\" and \"sequence_end\" out"
            ),
        ),
        _ => return Ok(()),
    };
    Err(Refusal::client(code, message))
}

/// The request's own inputs as they are to come back, where the client asked for them. The
/// predictions need not carry them: the request has them in one piece.
fn example_outputs(request: &InferRequest) -> Vec<(Arc<str>, Tensor, Form)> {
    let Some(form) = request.keep_example else {
        return Vec::new();
    };
    let inputs = request.inputs.iter();
    inputs
        .map(|(name, tensor)| (format!("example.{name}").into(), tensor.clone(), form))
        .collect()
}

/// The refusal of a request whose time is over.
pub(crate) fn deadline_passed(name: &str) -> Refusal {
    Refusal::host(
        Code::DeadlineExceeded,
        format!("\"{name}\" had no answer before the request's deadline"),
    )
}

fn all_or_refusal(
    results: Vec<Result<Prediction, consort_inference::Failure>>,
) -> Result<Vec<Prediction>, Refusal> {
    let count = results.len();
    let mut predictions = Vec::with_capacity(count);
    let mut first: Option<FailedRow> = None;
    let mut others = Vec::new();
    for (index, result) in results.into_iter().enumerate() {
        match result {
            Ok(prediction) => predictions.push(prediction),
            Err(failure) if first.is_none() => first = Some(FailedRow { index, failure }),
            Err(_) => others.push(index),
        }
    }
    match first {
        None => Ok(predictions),
        Some(first) => Err(Refusal::of_rows(first, &others, count)),
    }
}

/// The version that answered: of a model by itself what the predictions say, for an update
/// may have come in between.
fn version_of(endpoint: &dyn Endpoint, predictions: &[Prediction]) -> Arc<str> {
    let mut ids = predictions.iter().map(|prediction| &prediction.model_id);
    let own = ids.rfind(|id| *id.name == *endpoint.name());
    own.map_or_else(|| endpoint.version().into(), |id| id.version.clone())
}

/// The distinct models of the predictions, in order of the rows.
fn made_by(predictions: &[Prediction]) -> String {
    let mut distinct: Vec<&consort_inference::ModelId> = Vec::new();
    for prediction in predictions {
        if !distinct.contains(&&prediction.model_id) {
            distinct.push(&prediction.model_id);
        }
    }
    let texts: Vec<Arc<str>> = distinct.iter().map(|id| id.to_string().into()).collect();
    texts.join(",")
}

/// The arms that each row took, as JSON: an object for each row, in order. Empty where no
/// row took any.
fn arms(predictions: &[Prediction]) -> String {
    if predictions
        .iter()
        .all(|prediction| prediction.arms.is_empty())
    {
        return String::new();
    }
    let row = |prediction: &Prediction| {
        let arms = prediction.arms.iter();
        let arms = arms.map(|arm| (arm.step.to_string(), Value::from(&*arm.arm)));
        Value::Object(arms.collect::<Map<_, _>>())
    };
    Value::Array(predictions.iter().map(row).collect()).to_string()
}

/// What failed in passing, as JSON: an object for each optional step of each row that is
/// lacking. Empty where nothing lacks.
fn partial(predictions: &[Prediction]) -> String {
    let mut lacking = Vec::new();
    for (row, prediction) in predictions.iter().enumerate() {
        lacking.extend(prediction.partial.iter().map(|failure| {
            json!({
                "row": row,
                "stage": failure.stage.kind.as_str(),
                "step": &*failure.stage.name,
                "kind": failure.kind.as_str(),
                "message": failure.message,
            })
        }));
    }
    match lacking.is_empty() {
        true => String::new(),
        false => Value::Array(lacking).to_string(),
    }
}
