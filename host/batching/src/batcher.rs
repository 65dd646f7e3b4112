//! The handle of one model's batcher: checks what comes in, waits for what comes out.

use crate::config::Config;
use crate::error::{Refusal, StartError};
use crate::events::Events;
use crate::exchange::Exchange;
use crate::former::Former;
use crate::lock;
use crate::metrics::Metrics;
use crate::policy::{BatchPolicy, FixedPolicy};
use crate::queue::{Arrival, Entry, Limits, Place, Queue};
use crate::replica::Replica;
use crate::reply::{Answer, Reply};
use crate::runner::{Runner, run_on_task, run_on_thread};
use crate::totals::Totals;
use consort_inference::{
    BatchHints, Call, Example, Failure, Layout, ModelHandler, ModelId, Signature, TenantId, Tensors,
};
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// The way to one model; cheap to clone. When the last handle is dropped the replicas
/// stop after the batch they are running.
#[derive(Clone)]
pub struct Batcher {
    crew: Arc<Crew>,
}

struct Crew {
    model: ModelId,
    signature: Arc<Signature>,
    max_queue_bytes: usize,
    default_timeout: Option<Duration>,
    exchange: Arc<Exchange>,
    live: watch::Receiver<usize>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What replicas are made of.
pub enum Replicas {
    /// Threads of their own, which the handler blocks while it predicts.
    Threads(Arc<dyn ModelHandler>),
    /// Tasks of the Tokio runtime in which the batcher is started.
    Tasks(Arc<dyn Runner>),
}

/// A call that waits. Dropping it abandons its examples.
struct Pending<'a> {
    crew: &'a Crew,
    reply: Arc<Reply>,
    places: Vec<Place>,
    arrived: Instant,
    finished: bool,
}

// === impl Batcher ===

impl Batcher {
    /// Starts the replicas of a model, each on a thread of its own.
    ///
    /// # Errors
    ///
    /// When a setting is outside of its limits, or the system gives too few threads.
    pub fn start(
        model: ModelId,
        handler: Arc<dyn ModelHandler>,
        config: Config,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let policy = Box::new(FixedPolicy::of(&config));
        Self::start_with(model, Replicas::Threads(handler), policy, config, metrics)
    }

    /// Starts the replicas of a model with a policy of one's own, which then is to heed
    /// [`Config::max_queue_delay`] itself.
    ///
    /// # Errors
    ///
    /// As [`Batcher::start`].
    ///
    /// # Panics
    ///
    /// With [`Replicas::Tasks`] outside of a Tokio runtime.
    pub fn start_with(
        model: ModelId,
        replicas: Replicas,
        policy: Box<dyn BatchPolicy>,
        config: Config,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        config.validate()?;
        let hints = replicas.batch_hints();
        let batch_size_max = match hints.max_batch_size {
            Some(most) => config.max_batch_size.min(most.max(1)),
            None => config.max_batch_size,
        };
        let events = Events::new(model.clone(), metrics);
        events.started(batch_size_max);
        let queue = Queue::new(Limits {
            examples: config.max_queue_size,
            bytes: config.max_queue_bytes,
            tenant_examples: config.max_tenant_queue_size,
        });
        let former = Former::new(queue, policy, batch_size_max, config.replicas);
        let (live, living) = watch::channel(config.replicas);
        let crew = Crew {
            model,
            signature: Arc::new(replicas.signature().clone()),
            max_queue_bytes: config.max_queue_bytes,
            default_timeout: config.default_timeout,
            exchange: Arc::new(Exchange::new(former, events)),
            live: living,
            threads: Mutex::default(),
        };
        crew.employ(&replicas, config.replicas, &live)?;
        Ok(Self {
            crew: Arc::new(crew),
        })
    }

    /// Which model this is.
    pub fn model_id(&self) -> &ModelId {
        &self.crew.model
    }

    /// How many examples wait; those that run do not count.
    pub fn queue_depth(&self) -> usize {
        self.crew.exchange.queue_depth()
    }

    /// The batches that ran so far.
    pub fn totals(&self) -> Totals {
        self.crew.exchange.events().totals()
    }

    /// Predicts on each example: exactly one result for each, in order. Needs a Tokio
    /// runtime with timers.
    ///
    /// Examples that do not fit the model fail alone. The others are let into the queue
    /// all together or not at all: when they do not fit, each fails at once, with
    /// `QueueFull` if waiting may help and `TooLarge` if it cannot.
    ///
    /// The result is there at the deadline at the latest: what has no result by then fails
    /// with `DeadlineExceeded`. A call without a deadline gets [`Config::default_timeout`].
    /// Dropping the future abandons its examples: those that still wait never run.
    pub async fn infer(&self, examples: Vec<Example>, call: Call) -> Vec<Answer> {
        if examples.is_empty() {
            return Vec::new();
        }
        let arrived = Instant::now();
        let crew = &*self.crew;
        let deadline = match call.deadline {
            Some(deadline) => Some(Instant::from_std(deadline)),
            None => crew.default_timeout.and_then(|t| arrived.checked_add(t)),
        };
        crew.submit(examples, arrived, deadline)
            .wait(deadline)
            .await
    }

    /// Takes no more work, finishes what is queued, and joins the replicas' threads. New
    /// calls fail with `Unavailable`. May be called more than once.
    pub async fn drain(&self) {
        self.crew.exchange.close();
        let mut live = self.crew.live.clone();
        // An error means that all senders are gone, and with them all replicas.
        let _ = live.wait_for(|live| *live == 0).await;
        self.crew.join();
    }
}

impl fmt::Debug for Batcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Batcher").field(&self.crew.model).finish()
    }
}

// === impl Replicas ===

impl Replicas {
    fn signature(&self) -> &Signature {
        match self {
            Self::Threads(handler) => handler.signature(),
            Self::Tasks(runner) => runner.signature(),
        }
    }

    fn batch_hints(&self) -> BatchHints {
        match self {
            Self::Threads(handler) => handler.batch_hints(),
            Self::Tasks(runner) => runner.batch_hints(),
        }
    }
}

// === impl Crew ===

impl Crew {
    /// Starts the replicas; when one gets no thread the others stop again.
    fn employ(
        &self,
        replicas: &Replicas,
        count: usize,
        live: &watch::Sender<usize>,
    ) -> Result<(), StartError> {
        for number in 0..count {
            let exchange = self.exchange.clone();
            let signature = self.signature.clone();
            let live = live.clone();
            let replica = move || Replica::new(number, exchange, signature, live);
            match replicas {
                Replicas::Tasks(runner) => {
                    tokio::spawn(run_on_task(replica(), runner.clone()));
                }
                Replicas::Threads(handler) => {
                    let handler = handler.clone();
                    let name = self.model.name.replace('\0', "");
                    let spawned = std::thread::Builder::new()
                        .name(format!("{name}-{number}"))
                        .spawn(move || run_on_thread(replica(), &*handler));
                    match spawned {
                        Ok(thread) => lock(&self.threads).push(thread),
                        Err(source) => {
                            self.exchange.close();
                            self.join();
                            return Err(StartError::Thread {
                                replica: number + 1,
                                replicas: count,
                                source,
                            });
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits for threads that are about to end.
    fn join(&self) {
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            // A replica that broke off has said so when it was dropped.
            let _ = thread.join();
        }
    }

    /// Checks the examples and lets those that fit into the queue.
    fn submit(
        &self,
        examples: Vec<Example>,
        arrived: Instant,
        deadline: Option<Instant>,
    ) -> Pending<'_> {
        let events = self.exchange.events();
        let reply = Reply::new(events.stage().clone(), examples.len());
        let mut arrivals: Vec<Arrival> = Vec::with_capacity(examples.len());
        for (index, example) in examples.into_iter().enumerate() {
            let Example {
                tenant, tensors, ..
            } = example;
            let ticket = reply.ticket(index);
            let bytes = tensors.byte_len();
            match self.layout(&tensors, bytes, arrivals.last()) {
                Ok(layout) => arrivals.push(Arrival {
                    layout,
                    entry: Entry {
                        tensors,
                        bytes,
                        tenant,
                        arrived,
                        deadline,
                        ticket,
                    },
                }),
                Err(refusal) => {
                    let failure = self.refuse([&tenant].into_iter(), &refusal);
                    ticket.resolve(Err(failure));
                }
            }
        }
        let places = self.let_in(arrivals, arrived, deadline);
        Pending {
            crew: self,
            reply,
            places,
            arrived,
            finished: false,
        }
    }

    /// The layout of an example that fits the model. One with the layout of the example
    /// before needs no second look: a signature is about layouts only.
    fn layout(
        &self,
        tensors: &Tensors,
        bytes: usize,
        before: Option<&Arrival>,
    ) -> Result<Arc<Layout>, Refusal> {
        let max = self.max_queue_bytes;
        if bytes > max {
            return Err(Refusal::ExampleBytes { bytes, max });
        }
        match before {
            Some(before) if tensors.same_layout(&before.entry.tensors) => Ok(before.layout.clone()),
            _ => {
                let checked = self.signature.check_inputs(tensors);
                checked.map_err(Refusal::Mismatch)?;
                Ok(Arc::new(tensors.layout()))
            }
        }
    }

    fn let_in(
        &self,
        arrivals: Vec<Arrival>,
        now: Instant,
        deadline: Option<Instant>,
    ) -> Vec<Place> {
        let submitted = match deadline {
            _ if arrivals.is_empty() => return Vec::new(),
            Some(deadline) if deadline <= now => Err((Refusal::Expired, arrivals)),
            _ => self.exchange.submit(now, arrivals),
        };
        submitted.unwrap_or_else(|(refusal, arrivals)| {
            let tenants = arrivals.iter().map(|arrival| &arrival.entry.tenant);
            let failure = self.refuse(tenants, &refusal);
            for arrival in arrivals {
                arrival.entry.ticket.resolve(Err(failure.clone()));
            }
            Vec::new()
        })
    }

    fn refuse<'a>(
        &self,
        tenants: impl Iterator<Item = &'a TenantId>,
        refusal: &Refusal,
    ) -> Failure {
        let events = self.exchange.events();
        let failure = refusal.failure(events.stage());
        events.refused(tenants, &failure);
        failure
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.exchange.close();
    }
}

// === impl Pending ===

impl Pending<'_> {
    async fn wait(mut self, deadline: Option<Instant>) -> Vec<Answer> {
        let reply = self.reply.clone();
        let answers = poll_fn(|cx| reply.poll(cx));
        let answers = match deadline {
            None => Some(answers.await),
            Some(deadline) => timeout_at(deadline, answers).await.ok(),
        };
        self.finished = true;
        answers.unwrap_or_else(|| self.expire())
    }

    /// The deadline has passed: takes what there is.
    fn expire(&self) -> Vec<Answer> {
        let now = Instant::now();
        let waited = now.saturating_duration_since(self.arrived);
        let events = self.crew.exchange.events();
        let answers = self.reply.close();
        let removed = self.crew.exchange.withdraw(&self.places);
        let mut queued = vec![false; answers.len()];
        for entry in &removed {
            if let Some(queued) = queued.get_mut(entry.ticket.index()) {
                *queued = true;
            }
        }
        events.expired(removed, now);
        let answers = answers.into_iter().zip(queued);
        let fill = |(answer, queued): (Option<Answer>, bool)| match answer {
            Some(answer) => answer,
            None if queued => Err(events.expiry_in_queue(waited)),
            None => Err(events.expiry_in_run(waited)),
        };
        answers.map(fill).collect()
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.finished {
            drop(self.reply.close());
            let removed = self.crew.exchange.withdraw(&self.places);
            self.crew.exchange.events().abandoned(removed);
        }
    }
}
