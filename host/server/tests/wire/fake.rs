//! Endpoints that need no model: what they do is told by their names.

use consort_inference::{
    Arm, BoxFuture, Call, Datatype, Dim, Endpoint, Example, Failure, FailureKind, ModelId,
    Prediction, Signature, Stage, StageKind, Tensor, TensorSpec, Tensors,
};
use consort_server::{Catalog, Repository};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// What an endpoint does with one example.
type Answer = fn(&Tensors) -> Result<Tensors, Failure>;

pub struct Fake {
    name: String,
    version: &'static str,
    signature: Signature,
    has_batch_axis: bool,
    is_ready: bool,
    conduct: Conduct,
}

enum Conduct {
    /// Answers each example.
    Rows(Answer),
    /// Waits as many milliseconds as the first example's `x` says, or where that is
    /// negative until it is released; then echoes.
    Slow(Arc<Watch>),
    /// Gives one result, whatever is asked.
    Miscount,
    /// Says what its caller said.
    Told,
    /// Takes the arm that a header says; negative rows lack their output.
    Arms(Vec<Arc<str>>),
}

/// What is known of slow work from outside.
#[derive(Debug, Default)]
pub struct Watch {
    pub started: AtomicUsize,
    pub abandoned: AtomicUsize,
    released: Notify,
}

pub struct FakeCatalog {
    endpoints: Vec<Arc<dyn Endpoint>>,
    repository: Option<Arc<dyn Repository>>,
    pub watch: Arc<Watch>,
}

struct Abandoned<'a>(&'a Watch, bool);

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.abandoned.fetch_add(1, Ordering::SeqCst);
        }
    }
}

// === impl Watch ===

impl Watch {
    /// Lets everything go that waits to be released.
    pub fn release(&self) {
        self.released.notify_waiters();
    }
}

// === impl FakeCatalog ===

impl FakeCatalog {
    /// All endpoints that can answer.
    pub fn new() -> Self {
        let watch = Arc::new(Watch::default());
        let mut endpoints = vec![
            // FP32 [4] -> the same plus one, and its sum.
            rows(
                "add_one",
                &[("x", Datatype::Fp32, &[Some(4)])],
                &[
                    ("y", Datatype::Fp32, &[Some(4)]),
                    ("sum", Datatype::Fp32, &[Some(1)]),
                ],
                add_one,
            ),
            // A text and a number -> the text in capitals, its length plus the number.
            rows(
                "describe",
                &[
                    ("text", Datatype::Bytes, &[Some(1)]),
                    ("offset", Datatype::Int64, &[Some(1)]),
                ],
                &[
                    ("label", Datatype::Bytes, &[Some(1)]),
                    ("length", Datatype::Int64, &[Some(1)]),
                ],
                describe,
            ),
            // Fails row by row, in the way that the row's number says.
            rows(
                "fail",
                &[("x", Datatype::Int32, &[Some(1)])],
                &[("x", Datatype::Int32, &[Some(1)])],
                fail,
            ),
            // A row [n] gives n elements.
            rows(
                "ragged",
                &[("x", Datatype::Int32, &[Some(1)])],
                &[("y", Datatype::Int32, &[None])],
                ragged,
            ),
            // Gives NaN.
            rows(
                "nan",
                &[("x", Datatype::Int32, &[Some(1)])],
                &[("y", Datatype::Fp32, &[Some(1)])],
                |_| named("y", Tensor::from_slice(vec![1], &[f32::NAN])),
            ),
            // No batch axis: the matrix as it is.
            Fake {
                has_batch_axis: false,
                version: "7",
                ..rows(
                    "whole",
                    &[("x", Datatype::Fp32, &[Some(2), Some(2)])],
                    &[("x", Datatype::Fp32, &[Some(2), Some(2)])],
                    echo,
                )
            },
            Fake {
                conduct: Conduct::Slow(watch.clone()),
                ..rows(
                    "slow",
                    &[("x", Datatype::Int64, &[Some(1)])],
                    &[("x", Datatype::Int64, &[Some(1)])],
                    echo,
                )
            },
            Fake {
                conduct: Conduct::Told,
                ..rows(
                    "told",
                    &[("x", Datatype::Int32, &[Some(1)])],
                    &[
                        ("priority", Datatype::Int64, &[Some(1)]),
                        ("args", Datatype::Bytes, &[Some(1)]),
                    ],
                    echo,
                )
            },
            Fake {
                conduct: Conduct::Miscount,
                ..rows(
                    "miscount",
                    &[("x", Datatype::Int32, &[Some(1)])],
                    &[("x", Datatype::Int32, &[Some(1)])],
                    echo,
                )
            },
            Fake {
                conduct: Conduct::Arms(vec!["x-arm".into()]),
                ..rows(
                    "arms",
                    &[("x", Datatype::Int32, &[Some(1)])],
                    &[("x", Datatype::Int32, &[Some(1)])],
                    echo,
                )
            },
        ];
        // One for each datatype: gives back what it gets.
        endpoints.extend(Datatype::ALL.map(|datatype| {
            let name = format!("echo_{}", datatype.as_str().to_lowercase());
            let spec = &[("x", datatype, &[None] as &[Dim])];
            rows(&name, spec, spec, echo)
        }));
        let boxed = |fake| Arc::new(fake) as Arc<dyn Endpoint>;
        Self {
            endpoints: endpoints.into_iter().map(boxed).collect(),
            repository: None,
            watch,
        }
    }

    /// With something that loads and unloads.
    pub fn with_repository(mut self, repository: Arc<dyn Repository>) -> Self {
        self.repository = Some(repository);
        self
    }

    /// Besides those, one that is not ready.
    pub fn with_unready(mut self) -> Self {
        let unready = Fake {
            is_ready: false,
            ..rows(
                "unready",
                &[("x", Datatype::Int32, &[Some(1)])],
                &[("x", Datatype::Int32, &[Some(1)])],
                echo,
            )
        };
        self.endpoints.push(Arc::new(unready));
        self
    }
}

impl Catalog for FakeCatalog {
    fn endpoint(&self, name: &str) -> Option<Arc<dyn Endpoint>> {
        let found = self.endpoints.iter().find(|found| found.name() == name);
        found.cloned()
    }

    fn endpoints(&self) -> Vec<Arc<dyn Endpoint>> {
        self.endpoints.clone()
    }

    fn repository(&self) -> Option<Arc<dyn Repository>> {
        self.repository.clone()
    }
}

// === impl Fake ===

type Specs<'a> = &'a [(&'a str, Datatype, &'a [Dim])];

fn rows(name: &str, inputs: Specs<'_>, outputs: Specs<'_>, answer: Answer) -> Fake {
    let specs = |specs: Specs<'_>| {
        let spec = |(name, datatype, shape): &(&str, Datatype, &[Dim])| {
            TensorSpec::new(*name, *datatype, shape.to_vec())
        };
        specs.iter().map(spec).collect()
    };
    Fake {
        name: name.to_owned(),
        version: "1",
        signature: Signature {
            inputs: specs(inputs),
            outputs: specs(outputs),
        },
        has_batch_axis: true,
        is_ready: true,
        conduct: Conduct::Rows(answer),
    }
}

impl Endpoint for Fake {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        self.version
    }

    fn platform(&self) -> &str {
        "fake"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn has_batch_axis(&self) -> bool {
        self.has_batch_axis
    }

    fn is_ready(&self) -> bool {
        self.is_ready
    }

    fn headers(&self) -> &[Arc<str>] {
        match &self.conduct {
            Conduct::Arms(headers) => headers,
            _ => &[],
        }
    }

    fn infer(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        Box::pin(async move {
            let answer = match &self.conduct {
                Conduct::Rows(answer) => *answer,
                Conduct::Arms(_) => echo,
                Conduct::Slow(watch) => {
                    watch.started.fetch_add(1, Ordering::SeqCst);
                    let mut abandoned = Abandoned(watch, false);
                    let first = examples.first().and_then(|row| row.tensors.tensor("x"));
                    let millis = first.map_or(0, |x| x.to_vec::<i64>().unwrap()[0]);
                    match u64::try_from(millis) {
                        Ok(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
                        Err(_) => watch.released.notified().await,
                    }
                    abandoned.1 = true;
                    echo
                }
                Conduct::Told => {
                    let told = told(&call);
                    let made_by = ModelId::new(self.name.as_str(), self.version);
                    let each =
                        |row: Example| Ok(Prediction::new(row.key, told.clone(), made_by.clone()));
                    return examples.into_iter().map(each).collect();
                }
                Conduct::Miscount => {
                    let first = examples.into_iter().take(1);
                    return first.map(|row| self.predict(row, echo)).collect();
                }
            };
            let each = |row| self.predict(row, answer);
            if let Conduct::Arms(_) = &self.conduct {
                let each = |row| Ok(self.arm(self.predict(row, answer)?, &call));
                return examples.into_iter().map(each).collect();
            }
            examples.into_iter().map(each).collect()
        })
    }
}

impl Fake {
    /// The headers that came, as arms; what a negative row lacks.
    fn arm(&self, mut prediction: Prediction, call: &Call) -> Prediction {
        let headers = call.headers.iter();
        let arms = headers.map(|(name, value)| Arm::new(name.clone(), value.clone()));
        prediction.arms = arms.collect();
        let x = prediction.outputs.tensor("x").unwrap();
        if x.to_vec::<i32>().unwrap()[0] < 0 {
            prediction.outputs = Tensors::new();
            let stage = Stage::new(StageKind::Inference, "extra");
            let failure = Failure::new(stage, FailureKind::ModelFailed, "it broke");
            prediction.partial.push(failure);
        }
        prediction
    }

    fn predict(&self, example: Example, answer: Answer) -> Result<Prediction, Failure> {
        Ok(Prediction::new(
            example.key.clone(),
            answer(&example.tensors)?,
            ModelId::new(self.name.as_str(), self.version),
        ))
    }
}

fn told(call: &Call) -> Tensors {
    let args: Vec<String> = call
        .args
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let priority = Tensor::from_slice(vec![1], &[i64::from(call.priority.0)]).unwrap();
    let args = Tensor::from_byte_strings(vec![1], [args.join(" ")]).unwrap();
    let outputs = [("priority".into(), priority), ("args".into(), args)];
    Tensors::from_named(outputs).unwrap()
}

fn echo(inputs: &Tensors) -> Result<Tensors, Failure> {
    Ok(inputs.clone())
}

fn add_one(inputs: &Tensors) -> Result<Tensors, Failure> {
    let x: Vec<f32> = inputs.tensor("x").unwrap().to_vec().unwrap();
    let y: Vec<f32> = x.iter().map(|x| x + 1.0).collect();
    let mut outputs = named("y", Tensor::from_slice(vec![4], &y))?;
    outputs.insert(
        "sum",
        Tensor::from_slice(vec![1], &[x.iter().sum::<f32>()]).unwrap(),
    );
    Ok(outputs)
}

fn describe(inputs: &Tensors) -> Result<Tensors, Failure> {
    let text = inputs.tensor("text").unwrap().byte_strings().unwrap();
    let offset: Vec<i64> = inputs.tensor("offset").unwrap().to_vec().unwrap();
    let label = text[0].to_ascii_uppercase();
    let length = text[0].len() as i64 + offset[0];
    let mut outputs = named("label", Tensor::from_byte_strings(vec![1], [label]))?;
    outputs.insert("length", Tensor::from_slice(vec![1], &[length]).unwrap());
    Ok(outputs)
}

fn ragged(inputs: &Tensors) -> Result<Tensors, Failure> {
    let x: Vec<i32> = inputs.tensor("x").unwrap().to_vec().unwrap();
    let length = x[0] as usize;
    named("y", Tensor::from_slice(vec![length], &vec![1i32; length]))
}

/// The kinds that [`fail`] knows, by number.
pub const KINDS: [FailureKind; 9] = [
    FailureKind::InvalidArgument,
    FailureKind::TooLarge,
    FailureKind::PluginTrapped,
    FailureKind::ModelFailed,
    FailureKind::QueueFull,
    FailureKind::DeadlineExceeded,
    FailureKind::Unavailable,
    FailureKind::Internal,
    FailureKind::NotFound,
];

/// 0 is well, a negative number panics, any other is the kind of that number.
fn fail(inputs: &Tensors) -> Result<Tensors, Failure> {
    let x: Vec<i32> = inputs.tensor("x").unwrap().to_vec().unwrap();
    assert!(x[0] >= 0, "the endpoint panicked at /secret/path");
    match x[0] {
        0 => Ok(inputs.clone()),
        number => Err(Failure::new(
            Stage::new(StageKind::Preprocess, "picky"),
            KINDS[number as usize - 1],
            "it cannot be, says /secret/path",
        )),
    }
}

fn named(
    name: &str,
    tensor: Result<Tensor, consort_inference::TensorError>,
) -> Result<Tensors, Failure> {
    Ok(Tensors::from_named([(name.into(), tensor.unwrap())]).unwrap())
}
