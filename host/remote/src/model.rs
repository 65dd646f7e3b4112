//! The model itself: set up once, then one request a batch.

use crate::address::Address;
use crate::caller::{CallError, Caller};
use crate::check::{check, without_json_form};
use crate::config::{Api, BatchAxis, Config, OpenInference, TensorForm};
use crate::error::{ConnectError, ConnectReason};
use crate::http::HttpTransport;
use crate::metrics::{Metrics, ModelMetrics};
use crate::oip::{self, Metadata, WireForm};
use crate::policy::{Dice, FastDice};
use crate::transport::{Outgoing, Transport};
use crate::vertex;
use crate::wire::EncodeError;
use consort_inference::{Batch, BatchHints, InferenceArgs, PredictError, Signature, Tensors};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{StatusCode, Uri};
use std::fmt;
use std::sync::Arc;
use tokio::time::Instant;

const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";

/// A model that another server runs.
///
/// It holds connections and what is known of the server's health, and no weights. Batches may
/// be predicted on at the same time; dropping a prediction gives its request up.
pub struct RemoteModel {
    caller: Caller,
    wire: Wire,
    predict_uri: Uri,
    signature: Signature,
    hints: BatchHints,
    remote_platform: String,
    versions: Vec<String>,
    request_bytes_max: usize,
}

/// How batches are put into requests.
enum Wire {
    OpenInference(WireForm),
    Vertex,
}

// === impl RemoteModel ===

impl RemoteModel {
    /// Reads the files that the configuration names, and asks an Open Inference Protocol
    /// server for the model's metadata, with the same patience as any call. A server of
    /// Vertex AI's form is not called before the first batch.
    pub async fn connect(config: Config, metrics: &Metrics) -> Result<Self, ConnectError> {
        let model = config.id.name.to_string();
        let connected = Self::connect_over_http(config, metrics).await;
        connected.map_err(|reason| ConnectError { model, reason })
    }

    async fn connect_over_http(config: Config, metrics: &Metrics) -> Result<Self, ConnectReason> {
        check(&config)?;
        let address = Address::parse(&config.url)?;
        let opened = tokio::task::spawn_blocking({
            let (config, address) = (config.clone(), address.clone());
            move || HttpTransport::open(&config, &address)
        });
        let transport = opened.await.map_err(|_| {
            ConnectReason::Unavailable("reading certificates and secrets was broken off".into())
        })??;
        Self::connect_over(
            config,
            &address,
            Arc::new(transport),
            Arc::new(FastDice),
            metrics,
        )
        .await
    }

    async fn connect_over(
        config: Config,
        address: &Address,
        transport: Arc<dyn Transport>,
        dice: Arc<dyn Dice>,
        metrics: &Metrics,
    ) -> Result<Self, ConnectReason> {
        let metrics = ModelMetrics::new(metrics, &config.id);
        let caller = Caller::new(&config, transport, dice, metrics);
        let request_bytes_max = config.request_bytes_max;
        match config.api {
            Api::Vertex { signature } => Ok(Self {
                caller,
                wire: Wire::Vertex,
                predict_uri: address.predict()?,
                signature,
                hints: BatchHints::default(),
                remote_platform: String::new(),
                versions: Vec::new(),
                request_bytes_max,
            }),
            Api::OpenInference(api) => {
                let about = ask(&caller, address, &api).await?;
                Ok(Self {
                    caller,
                    wire: Wire::OpenInference(about.form),
                    predict_uri: address.model(&api.model, api.version.as_deref(), "infer")?,
                    signature: about.signature,
                    hints: about.hints,
                    remote_platform: about.metadata.platform,
                    versions: about.metadata.versions,
                    request_bytes_max,
                })
            }
        }
    }

    /// The tensors of one example: no batch axis.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// The largest batch that the server takes in a request, if it says.
    pub fn batch_hints(&self) -> BatchHints {
        self.hints.clone()
    }

    /// The kind of runtime, as the protocol's metadata shows it: `remote`.
    pub fn platform(&self) -> &'static str {
        "remote"
    }

    /// What the server itself calls the model's platform; empty if it says nothing. Words of
    /// another host: escape them before they are shown.
    pub fn remote_platform(&self) -> &str {
        &self.remote_platform
    }

    /// The versions that the server has, in its own order; none if it does not say. Words of
    /// another host: escape them before they are shown.
    pub fn versions(&self) -> &[String] {
        &self.versions
    }

    /// Where batches are sent.
    pub fn url(&self) -> String {
        self.predict_uri.to_string()
    }

    /// Predicts on a batch whose rows fit [`RemoteModel::signature`]; returns the outputs of
    /// each row, in order.
    ///
    /// It takes no longer than the batch's deadline allows, nor than `call_timeout`.
    ///
    /// # Errors
    ///
    /// - `Unavailable`: no connection or 408, 429, 502, 503, 504 after all tries; a connection
    ///   that broke, or no answer in time; held back by breaker, throttle or rate limit.
    /// - `InvalidInput`: 400, 413 and 422 from the server; values or arguments that the form
    ///   of the request cannot carry; a row beyond `request_bytes_max`.
    /// - `OutOfMemory`: a batch of several rows beyond `request_bytes_max`, `response_bytes_max`
    ///   or what the server takes (413), so that the batcher tries smaller ones.
    /// - `Contract`: an answer that is not what the metadata promises, or none at all.
    /// - `Failed`: any other status, redirects included.
    pub async fn predict(&self, batch: &Batch) -> Result<Vec<Tensors>, PredictError> {
        let deadline = batch.deadline().map(Instant::from_std);
        let rows = batch.rows();
        match &self.wire {
            Wire::OpenInference(form) if form.batch_axis => {
                self.infer(rows, batch.args(), *form, deadline).await
            }
            Wire::OpenInference(form) => {
                // The hint asks for batches of one.
                let mut outputs = Vec::with_capacity(rows.len());
                for row in rows {
                    let row = std::slice::from_ref(row);
                    outputs.extend(self.infer(row, batch.args(), *form, deadline).await?);
                }
                Ok(outputs)
            }
            Wire::Vertex => {
                let body = vertex::encode(&self.signature.inputs, rows, batch.args());
                let body = body.map_err(encode_error)?;
                let request = Outgoing::posting(self.predict_uri.clone(), JSON, body);
                let answer = self.send(&request, rows.len(), deadline).await?;
                let outputs = vertex::decode(&answer.body, &self.signature.outputs, rows.len());
                outputs.map_err(|error| self.contract(&error))
            }
        }
    }

    async fn infer(
        &self,
        rows: &[Tensors],
        args: &InferenceArgs,
        form: WireForm,
        deadline: Option<Instant>,
    ) -> Result<Vec<Tensors>, PredictError> {
        let encoded = oip::encode(&self.signature, rows, args, form).map_err(encode_error)?;
        let content_type = if form.binary { BINARY } else { JSON };
        let mut request = Outgoing::posting(self.predict_uri.clone(), content_type, encoded.body);
        if let Some(length) = encoded.header_length {
            let name = HeaderName::from_static(oip::HEADER_LENGTH);
            request.headers.push((name, HeaderValue::from(length)));
        }
        let answer = self.send(&request, rows.len(), deadline).await?;
        let header = answer.headers.get(oip::HEADER_LENGTH);
        let header = header.map(HeaderValue::as_bytes);
        let specs = &self.signature.outputs;
        let outputs = oip::decode(&answer.body, header, specs, rows.len(), form);
        outputs.map_err(|error| self.contract(&error))
    }

    async fn send(
        &self,
        request: &Outgoing,
        rows: usize,
        deadline: Option<Instant>,
    ) -> Result<crate::transport::Answer, PredictError> {
        let (bytes, bytes_max) = (request.body.byte_len(), self.request_bytes_max);
        if bytes > bytes_max {
            let message = format!(
                "{}: a request of {bytes} bytes is beyond the limit of {bytes_max} \
                 (request_bytes_max)",
                self.predict_uri
            );
            return Err(if rows > 1 {
                PredictError::OutOfMemory(message)
            } else {
                PredictError::InvalidInput(message)
            });
        }
        let answer = self.caller.call(request, deadline).await;
        answer.map_err(|error| predict_error(error, rows))
    }

    fn contract(&self, error: &dyn fmt::Display) -> PredictError {
        PredictError::Contract(format!("{}: {error}", self.predict_uri))
    }
}

impl fmt::Debug for RemoteModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteModel")
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

/// What an Open Inference Protocol server says of a model.
struct About {
    metadata: Metadata,
    form: WireForm,
    signature: Signature,
    hints: BatchHints,
}

async fn ask(
    caller: &Caller,
    address: &Address,
    api: &OpenInference,
) -> Result<About, ConnectReason> {
    let version = api.version.as_deref();
    let uri = address.model(&api.model, version, "")?;
    let answer = caller.call(&Outgoing::asking(uri.clone()), None).await;
    let answer = answer.map_err(connect_reason)?;
    let wrong = |what| ConnectReason::Metadata {
        url: uri.to_string(),
        what,
    };
    let metadata = Metadata::read(&answer.body).map_err(wrong)?;
    let config_uri = address.model(&api.model, version, "config")?;
    let max_batch_size = match api.batch_axis {
        BatchAxis::Absent => None,
        BatchAxis::Auto | BatchAxis::Leading => ask_optional(caller, config_uri)
            .await?
            .and_then(|body| oip::max_batch_size(&body)),
    };
    let batch_axis = match (api.batch_axis, max_batch_size) {
        (BatchAxis::Absent, _) => false,
        (BatchAxis::Leading, _) => true,
        (BatchAxis::Auto, Some(rows)) => rows > 0,
        (BatchAxis::Auto, None) => metadata.seems_batched(),
    };
    let binary = match api.form {
        TensorForm::Binary => true,
        TensorForm::Json => false,
        TensorForm::Auto => ask_optional(caller, address.server()?)
            .await?
            .is_some_and(|body| oip::has_binary_extension(&body)),
    };
    let signature = metadata.signature(batch_axis).map_err(wrong)?;
    if !binary && let Some(spec) = without_json_form(&signature) {
        return Err(wrong(format!(
            "tensor \"{}\" is {}, which has no form in JSON; send tensors in binary (tensor_form \
             = \"binary\") if the server can",
            spec.name, spec.datatype
        )));
    }
    let hints = BatchHints {
        max_batch_size: match batch_axis {
            true => max_batch_size.filter(|rows| *rows > 0),
            false => Some(1),
        },
        ..BatchHints::default()
    };
    Ok(About {
        metadata,
        form: WireForm { binary, batch_axis },
        signature,
        hints,
    })
}

/// What a server need not have.
async fn ask_optional(caller: &Caller, uri: Uri) -> Result<Option<bytes::Bytes>, ConnectReason> {
    match caller.call(&Outgoing::asking(uri), None).await {
        Ok(answer) => Ok(Some(answer.body)),
        Err(CallError::Refused { .. } | CallError::TooLarge(_) | CallError::Invalid(_)) => Ok(None),
        Err(error @ CallError::Unavailable(_)) => Err(connect_reason(error)),
    }
}

fn connect_reason(error: CallError) -> ConnectReason {
    match error {
        CallError::Unavailable(message) => ConnectReason::Unavailable(message),
        CallError::Refused { message, .. }
        | CallError::TooLarge(message)
        | CallError::Invalid(message) => ConnectReason::Refused(message),
    }
}

fn encode_error(error: EncodeError) -> PredictError {
    if error.is_input() {
        PredictError::InvalidInput(error.to_string())
    } else {
        PredictError::Failed(error.to_string())
    }
}

fn predict_error(error: CallError, rows: usize) -> PredictError {
    let is_alone = rows <= 1;
    match error {
        CallError::Unavailable(message) => PredictError::Unavailable(message),
        CallError::Invalid(message) => PredictError::Contract(message),
        CallError::TooLarge(message) if is_alone => PredictError::Contract(message),
        CallError::TooLarge(message) => PredictError::OutOfMemory(message),
        CallError::Refused { status, message } => match status {
            StatusCode::PAYLOAD_TOO_LARGE if !is_alone => PredictError::OutOfMemory(message),
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNPROCESSABLE_ENTITY => PredictError::InvalidInput(message),
            _ => PredictError::Failed(message),
        },
    }
}
