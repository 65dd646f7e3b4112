//! A model that takes as long as its shape says.

use super::shapes::Shape;
use consort_batching::Runner;
use consort_inference::{
    Batch, BatchHints, BoxFuture, Datatype, Example, PredictError, Signature, TenantId, Tensor,
    TensorSpec, Tensors,
};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The fake model.
pub(crate) struct Model {
    shape: Shape,
    signature: Signature,
    began: Instant,
    seen: Mutex<Seen>,
}

struct Seen {
    runs: Vec<Run>,
    chance: Chance,
}

/// One run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// When it began, since the model was made.
    pub(crate) at: Duration,
    pub(crate) size: usize,
    /// The length of its longest example.
    pub(crate) longest: usize,
    pub(crate) took: Duration,
    /// Whether there was memory enough.
    pub(crate) fitted: bool,
}

/// Numbers that look like chance and are the same each time.
pub(crate) struct Chance(u64);

// === impl Chance ===

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From 0 to 1.
    pub(crate) fn part(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

// === impl Model ===

impl Model {
    pub(crate) fn new(shape: Shape) -> Self {
        let spec = |name: &str| TensorSpec::new(name, Datatype::Int8, vec![None]);
        let seed = shape.seed;
        Self {
            shape,
            signature: Signature {
                inputs: vec![spec("x")],
                outputs: vec![spec("x")],
            },
            began: Instant::now(),
            seen: Mutex::new(Seen {
                runs: Vec::new(),
                chance: Chance::new(seed),
            }),
        }
    }

    /// All runs so far.
    pub(crate) fn runs(&self) -> Vec<Run> {
        self.seen.lock().unwrap().runs.clone()
    }

    pub(crate) fn run_count(&self) -> usize {
        self.seen.lock().unwrap().runs.len()
    }

    fn begin(&self, batch: &Batch) -> Run {
        let mut seen = self.seen.lock().unwrap();
        let longest = batch
            .rows()
            .iter()
            .map(Tensors::byte_len)
            .max()
            .unwrap_or(0);
        let at = self.began.elapsed();
        let mut secs = self.shape.cost(batch.len(), longest).as_secs_f64();
        secs *= 1.0 + self.shape.noise * (2.0 * seen.chance.part() - 1.0);
        if self
            .shape
            .slow
            .is_some_and(|(from, to)| (from..to).contains(&at))
        {
            secs *= 10.0;
        }
        if let Some((from, to, times)) = self.shape.stall
            && (from..to).contains(&seen.runs.len())
        {
            secs *= times;
        }
        let run = Run {
            at,
            size: batch.len(),
            longest,
            took: Duration::from_millis((secs * 1e3).round() as u64),
            fitted: batch.len() <= self.shape.memory,
        };
        seen.runs.push(run);
        run
    }
}

impl Runner for Model {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn batch_hints(&self) -> BatchHints {
        self.shape.hints()
    }

    fn run<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Vec<Tensors>, PredictError>> {
        Box::pin(async move {
            let run = self.begin(batch);
            if !run.fitted {
                return Err(PredictError::OutOfMemory("no room".to_owned()));
            }
            sleep(run.took).await;
            Ok(batch.rows().to_vec())
        })
    }
}

/// An example of a length.
pub(crate) fn example(length: usize) -> Example {
    let tensor = Tensor::new(Datatype::Int8, vec![length], vec![0; length].into()).unwrap();
    Example {
        tenant: TenantId::default(),
        key: None,
        tensors: Tensors::from_named([("x".into(), tensor)]).unwrap(),
    }
}
