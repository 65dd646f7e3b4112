//! The handle of one model's batcher: starts and ends replicas, takes calls, changes the
//! handler.

use crate::config::{Config, PolicyKind};
use crate::error::{ConfigError, ReplaceError, StartError};
use crate::events::Events;
use crate::exchange::Exchange;
use crate::former::Former;
use crate::intake::{Intake, Sorted};
use crate::lock;
use crate::metrics::Metrics;
use crate::pending::Pending;
use crate::policy::{BatchPolicy, FixedPolicy, LearnedPolicy};
use crate::replica::Replica;
use crate::reply::{Answer, Answered, Reply};
use crate::runner::{run_on_task, run_on_thread};
use crate::serving::{Replicas, Serving};
use crate::totals::{Running, Totals};
use consort_inference::{Call, Example, Failure, ModelHandler, ModelId, Tensors};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::watch;
use tokio::time::Instant;

/// The way to one model; cheap to clone. When the last handle is dropped the replicas
/// stop after the batch they are running.
#[derive(Clone)]
pub struct Batcher {
    crew: Arc<Crew>,
}

struct Crew {
    /// As it was started; see [`Batcher::model_id`].
    name: Arc<str>,
    config: Config,
    metrics: Metrics,
    totals: Arc<Running>,
    intake: Intake,
    exchange: Arc<Exchange>,
    live: watch::Receiver<usize>,
    /// Gone once the batcher drains: without a sender the channel tells that all have ended.
    hires: Mutex<Hires>,
}

/// What is needed to start a replica, and the threads that were.
struct Hires {
    live: watch::Sender<usize>,
    threads: Vec<JoinHandle<()>>,
}

// === impl Batcher ===

impl Batcher {
    /// Starts the replicas of a model, each on a thread of its own, with the policy that the
    /// settings ask for.
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
        let hints = handler.batch_hints();
        let policy: Box<dyn BatchPolicy> = match config.policy {
            PolicyKind::Learned => Box::new(LearnedPolicy::of(&config, &hints)),
            PolicyKind::Fixed => Box::new(FixedPolicy::of(&config)),
        };
        Self::start_with(model, Replicas::Threads(handler), policy, config, metrics)
    }

    /// Starts the replicas of a model with a policy of one's own, which then is to heed
    /// [`Config::max_queue_delay`] and [`Config::preferred_batch_sizes`] itself.
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
        let totals = Arc::new(Running::default());
        let namespace = replicas.metrics_namespace();
        let events = Events::new(model.clone(), namespace, metrics, totals.clone());
        let serving = Serving::new(replicas, events, model, &config);
        serving.events.started(serving.batch_size_max);
        let former = Former::new(&config, policy, serving.batch_size_max);
        let (live, living) = watch::channel(0);
        let crew = Crew {
            name: serving.model.name.clone(),
            metrics: metrics.clone(),
            totals,
            intake: Intake::new(&config),
            exchange: Arc::new(Exchange::new(former, Arc::new(serving))),
            live: living,
            hires: Mutex::new(Hires {
                live,
                threads: Vec::new(),
            }),
            config,
        };
        let started = crew.employ(crew.config.replicas);
        if started.is_err() {
            crew.exchange.close();
            crew.join();
        }
        started?;
        Ok(Self {
            crew: Arc::new(crew),
        })
    }

    /// Which model runs the batches that are formed now.
    pub fn model_id(&self) -> Arc<ModelId> {
        self.crew.exchange.serving().model.clone()
    }

    /// How many examples wait; those that run do not count.
    pub fn queue_depth(&self) -> usize {
        self.crew.exchange.queue_depth()
    }

    /// How many replicas are wanted: as many as were set last.
    pub fn replicas(&self) -> usize {
        self.crew.exchange.replicas()
    }

    /// The batches that ran so far.
    pub fn totals(&self) -> Totals {
        self.crew.totals.totals()
    }

    /// Changes how many batches run at a time, 1 to 1,024. More start at once; those that are
    /// too many end after the batch they are running. Nothing that waits is lost or delayed.
    ///
    /// # Errors
    ///
    /// When the number is outside of its limits, or the system gives too few threads; as many
    /// as it gave have started then.
    ///
    /// # Panics
    ///
    /// With [`Replicas::Tasks`] outside of a Tokio runtime.
    pub fn set_replicas(&self, replicas: usize) -> Result<(), StartError> {
        let most = crate::config::REPLICAS_MAX;
        if !(1..=most).contains(&replicas) {
            return Err(StartError::Config(ConfigError::OutOfRange {
                key: "replicas",
                value: replicas,
                min: 1,
                max: most,
            }));
        }
        self.crew.employ(replicas)
    }

    /// Puts another handler in the place of the one that runs: batches that are formed after
    /// the call run on the new one, and those that run end on the old one, pieces of failed
    /// ones included. Nothing is lost or delayed; each answer tells the model that made it
    /// ([`Batcher::infer_with_id`]). The old handler is let go of with its last batch.
    ///
    /// The costs that were learned are kept until runs of the new handler contradict them;
    /// limits found when memory ran out are forgotten.
    ///
    /// # Errors
    ///
    /// When the new one reads or writes other tensors, wants its batches put together by
    /// other rules, or runs on tasks where the old one runs on threads: nothing has changed
    /// then.
    pub fn replace(&self, model: ModelId, handler: Replicas) -> Result<(), ReplaceError> {
        let crew = &*self.crew;
        let namespace = handler.metrics_namespace();
        // Looked at before it gets series in the metrics.
        let events = || Events::new(model.clone(), namespace, &crew.metrics, crew.totals.clone());
        Serving::check(&handler, &crew.exchange.serving())?;
        let serving = Serving::new(handler.clone(), events(), model.clone(), &crew.config);
        crew.exchange.replace(Arc::new(serving))
    }

    /// Predicts on each example: exactly one result for each, in order. Needs a Tokio
    /// runtime with timers.
    ///
    /// Examples that do not fit the model fail alone. The others are let into the queue
    /// all together or not at all: when they do not fit, each fails at once, with
    /// `QueueFull` if waiting may help and `TooLarge` if it cannot.
    ///
    /// Examples share batches with those of other calls whose arguments ([`Call::args`]) are
    /// equal. Of one tenant's examples those of higher priority go first; one of low priority
    /// may wait until its deadline while better ones keep coming.
    ///
    /// The result is there at the deadline at the latest: what has no result by then fails
    /// with `DeadlineExceeded`. A call without a deadline gets [`Config::default_timeout`].
    /// Dropping the future abandons its examples: those that still wait never run.
    pub async fn infer(&self, examples: Vec<Example>, call: Call) -> Vec<Result<Tensors, Failure>> {
        let answers = self.infer_with_id(examples, call).await;
        let outputs = |answer: Answer| answer.map(|answered| answered.outputs);
        answers.into_iter().map(outputs).collect()
    }

    /// As [`Batcher::infer`], and tells which model made each result: while handlers are
    /// replaced, results of one call may be of several.
    pub async fn infer_with_id(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> Vec<Result<Answered, Failure>> {
        if examples.is_empty() {
            return Vec::new();
        }
        let arrived = Instant::now();
        let crew = &*self.crew;
        let deadline = match call.deadline {
            Some(deadline) => Some(Instant::from_std(deadline)),
            None => {
                let timeout = crew.config.default_timeout;
                timeout.and_then(|timeout| arrived.checked_add(timeout))
            }
        };
        let pending = crew.submit(examples, &call, arrived, deadline);
        pending.wait(deadline).await
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
        f.debug_tuple("Batcher").field(&self.crew.name).finish()
    }
}

// === impl Crew ===

impl Crew {
    /// Starts the replicas that are missing and tells those to end that are too many.
    fn employ(&self, replicas: usize) -> Result<(), StartError> {
        let mut hires = lock(&self.hires);
        hires.threads.retain(|thread| !thread.is_finished());
        let on = self.exchange.serving().handler.clone();
        let missing = self.exchange.want(replicas);
        hires.live.send_modify(|live| *live += missing.len());
        // From here on each counts itself out when it is dropped.
        let mut started: Vec<Replica> = missing
            .into_iter()
            .map(|number| Replica::new(number, self.exchange.clone(), hires.live.clone()))
            .collect();
        started.reverse();
        while let Some(replica) = started.pop() {
            match on {
                Replicas::Tasks(_) => {
                    tokio::spawn(run_on_task(replica));
                }
                Replicas::Threads(_) => {
                    let number = replica.number();
                    let name = format!("{}-{number}", self.name.replace('\0', ""));
                    let thread = std::thread::Builder::new().name(name);
                    match thread.spawn(move || run_on_thread(replica)) {
                        Ok(thread) => hires.threads.push(thread),
                        Err(source) => {
                            return Err(StartError::Thread {
                                replica: number + 1,
                                replicas,
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
        let threads = std::mem::take(&mut lock(&self.hires).threads);
        for thread in threads {
            // A replica that broke off has said so when it was dropped.
            let _ = thread.join();
        }
    }

    /// Checks the examples and lets those that fit into the queue.
    fn submit(
        &self,
        examples: Vec<Example>,
        call: &Call,
        arrived: Instant,
        deadline: Option<Instant>,
    ) -> Pending {
        let serving = self.exchange.serving();
        let events = &serving.events;
        let reply = Reply::new(events.stage().clone(), examples.len(), call.trace.clone());
        let times = (arrived, deadline);
        let Sorted { arrivals, refused } =
            self.intake.sort(examples, call, &serving, &reply, times);
        for (tenant, index, refusal) in refused {
            let failure = refusal.failure(events.stage());
            events.refused(&[(tenant, 1)], &failure);
            reply.fail([index].into_iter(), &failure);
        }
        let expired = deadline.is_some_and(|deadline| deadline <= arrived);
        let submitted = match expired {
            _ if arrivals.is_empty() => Ok(Vec::new()),
            true => Err((crate::error::Refusal::Expired, arrivals)),
            false => self.exchange.submit(arrived, arrivals),
        };
        let places = submitted.unwrap_or_else(|(refusal, arrivals)| {
            let failure = refusal.failure(events.stage());
            let segments: Vec<_> = arrivals
                .into_iter()
                .map(|arrival| arrival.segment)
                .collect();
            events.refused(&crate::events::tally(&segments), &failure);
            for segment in segments {
                segment.fail(&failure);
            }
            Vec::new()
        });
        Pending::new(self.exchange.clone(), reply, places, arrived)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.exchange.close();
    }
}
