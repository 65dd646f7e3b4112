//! Copies of examples take another step, only to be compared.

use super::canary::{is_among, percent_parts};
use super::compare::Comparison;
use super::error::{Check, PatternError};
use super::join::{StepResult, run_counted};
use super::members::{Face, Member, shows_face};
use super::metrics::PatternMetrics;
use super::rollout::{Rollout, Sticky};
use crate::{Drawing, Step};
use consort_inference::{BoxFuture, Call, Example};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What a shadow is made of.
pub struct ShadowConfig {
    /// The step's name.
    pub name: Arc<str>,
    /// What answers.
    pub base: Member,
    /// What is only measured.
    pub shadow: Member,
    /// How many of 100 examples are copied, to two decimals.
    pub percent: f64,
    /// The most copies in flight; more are dropped and counted.
    pub inflight_max: usize,
    /// The most bytes of their tensors; more are dropped and counted.
    pub inflight_bytes_max: usize,
    /// How long a copy may take.
    pub timeout: Duration,
}

/// A step that is followed by another. Callers wait for the base alone: copies start when
/// it is done, and nothing of them comes back but what is measured.
pub struct Shadow {
    name: Arc<str>,
    face: Face,
    base: Member,
    shadow: Member,
    parts: u64,
    timeout: Duration,
    rollout: Rollout,
    room: Arc<Room>,
    metrics: PatternMetrics,
}

/// What may be in flight and what is.
struct Room {
    inflight_max: usize,
    bytes_max: usize,
    inflight: AtomicUsize,
    bytes: AtomicUsize,
}

/// A place in the room, given back when it is dropped.
struct Place {
    room: Arc<Room>,
    count: usize,
    bytes: usize,
}

// === impl ShadowConfig ===

impl ShadowConfig {
    /// All examples copied, within bounds that suit most.
    pub fn new(name: impl Into<Arc<str>>, base: Member, shadow: Member) -> Self {
        Self {
            name: name.into(),
            base,
            shadow,
            percent: 100.0,
            inflight_max: 1024,
            inflight_bytes_max: 64 << 20,
            timeout: Duration::from_secs(30),
        }
    }
}

// === impl Shadow ===

impl Shadow {
    /// Checks that both are alike and the numbers make sense.
    pub fn new(config: ShadowConfig, metrics: &PatternMetrics) -> Result<Self, PatternError> {
        let mut check = Check::new("shadow", &config.name);
        let parts = percent_parts(config.percent);
        check.setting(
            parts > 0 && config.percent <= 100.0,
            "percent",
            config.percent,
            "0.01 to 100",
        );
        check.setting(config.inflight_max > 0, "inflight_max", 0, "1 or more");
        let members = [config.base, config.shadow];
        let alike = Face::of_alike(&config.name, &members, &mut check);
        check.done_with(alike)?;
        let [base, shadow] = members;
        Ok(Self {
            face: Face::of_one(&*base.step),
            rollout: Rollout::new(&config.name, Sticky::No),
            name: config.name,
            base,
            shadow,
            parts,
            timeout: config.timeout,
            room: Arc::new(Room {
                inflight_max: config.inflight_max,
                bytes_max: config.inflight_bytes_max,
                inflight: AtomicUsize::new(0),
                bytes: AtomicUsize::new(0),
            }),
            metrics: metrics.clone(),
        })
    }

    /// How many copies are in flight.
    pub fn inflight(&self) -> usize {
        self.room.inflight.load(Ordering::Relaxed)
    }

    /// Runs the copies apart from the caller.
    fn follow(&self, copies: Vec<Example>, results: Vec<StepResult>, place: Place, call: Call) {
        let (shadow, metrics) = (self.shadow.clone(), self.metrics.clone());
        let (name, timeout) = (self.name.clone(), self.timeout);
        tokio::spawn(async move {
            let deadline = Instant::now() + timeout;
            let call = Call {
                deadline: Some(deadline.into_std()),
                keep_example: false,
                trace: None,
                ..call
            };
            let count = copies.len() as u64;
            let run = run_counted(&*shadow.step, copies, call);
            match tokio::time::timeout_at(deadline, run).await {
                Ok(shadowed) => {
                    for (base, shadowed) in results.iter().zip(&shadowed) {
                        metrics.compared(&name, &Comparison::of(base, shadowed));
                    }
                }
                Err(_) => metrics.shadowed(&name, "failed", count),
            }
            drop(place);
        });
    }
}

// === impl Room ===

impl Room {
    /// A place for all, or for none.
    fn place(self: &Arc<Self>, count: usize, bytes: usize) -> Option<Place> {
        if !add(&self.inflight, count, self.inflight_max) {
            return None;
        }
        if !add(&self.bytes, bytes, self.bytes_max) {
            self.inflight.fetch_sub(count, Ordering::AcqRel);
            return None;
        }
        Some(Place {
            room: self.clone(),
            count,
            bytes,
        })
    }
}

/// Adds to what is held, unless that is more than the most.
fn add(held: &AtomicUsize, more: usize, most: usize) -> bool {
    let sum = |held: usize| held.checked_add(more).filter(|sum| *sum <= most);
    held.fetch_update(Ordering::AcqRel, Ordering::Acquire, sum)
        .is_ok()
}

fn output_bytes(result: &StepResult) -> usize {
    result
        .as_ref()
        .map_or(0, |outcome| super::compare::tensors(outcome).byte_len())
}

// === impl Place ===

impl Place {
    /// Takes more bytes, if there is room for them.
    fn grow(&mut self, bytes: usize) -> bool {
        let grows = add(&self.room.bytes, bytes, self.room.bytes_max);
        if grows {
            self.bytes += bytes;
        }
        grows
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.inflight.fetch_sub(self.count, Ordering::AcqRel);
        self.room.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Step for Shadow {
    shows_face!();

    fn is_ready(&self) -> bool {
        self.base.step.is_ready()
    }

    fn drawing(&self) -> Drawing {
        let percent = self.parts as f64 / 100.0;
        Drawing {
            kind: "shadow",
            name: self.name.clone(),
            parts: vec![
                self.base.part("base"),
                self.shadow.part(format!("shadow, {percent} %")),
            ],
        }
    }

    fn run(&self, examples: Vec<Example>, call: Call) -> BoxFuture<'_, Vec<StepResult>> {
        Box::pin(async move {
            let (mut places, mut copies) = (Vec::new(), Vec::new());
            let mut bytes = 0usize;
            for (place, example) in examples.iter().enumerate() {
                if is_among(&self.rollout, self.parts, example, &call) {
                    bytes = bytes.saturating_add(example.tensors.byte_len());
                    places.push(place);
                    copies.push(example.clone());
                }
            }
            let room = match copies.len() {
                0 => None,
                count => {
                    let room = self.room.place(count, bytes);
                    if room.is_none() {
                        self.metrics.shadowed(&self.name, "dropped", count as u64);
                    }
                    room
                }
            };
            let apart = room.is_some().then(|| call.clone());
            let results = run_counted(&*self.base.step, examples, call).await;
            if let Some((mut room, call)) = room.zip(apart) {
                let kept = places
                    .into_iter()
                    .filter_map(|place| results.get(place).cloned());
                let kept: Vec<StepResult> = kept.collect();
                // What was answered is held, too, until it is compared.
                match room.grow(kept.iter().map(output_bytes).sum()) {
                    true => self.follow(copies, kept, room, call),
                    false => self
                        .metrics
                        .shadowed(&self.name, "dropped", kept.len() as u64),
                }
            }
            results
        })
    }
}
