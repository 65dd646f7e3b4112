//! What happens to examples and batches, each event in one place: counted, and where it
//! is worth a line, logged at a bounded rate.

use crate::log_limit::LogLimit;
use crate::metrics::{Metrics, ModelMetrics};
use crate::queue::Entry;
use crate::totals::{Running, Totals};
use consort_inference::{Failure, FailureKind, Fault, ModelId, Stage, StageKind, TenantId};
use std::time::Duration;
use tokio::time::Instant;

/// Counts and logs for one model.
pub(crate) struct Events {
    model: ModelId,
    stage: Stage,
    metrics: ModelMetrics,
    refusal_lines: LogLimit,
    drop_lines: LogLimit,
    failure_lines: LogLimit,
    totals: Running,
}

// === impl Events ===

impl Events {
    pub(crate) fn new(model: ModelId, metrics: &Metrics) -> Self {
        Self {
            stage: Stage::new(StageKind::Inference, model.name.clone()),
            metrics: ModelMetrics::new(metrics, &model),
            model,
            refusal_lines: LogLimit::default(),
            drop_lines: LogLimit::default(),
            failure_lines: LogLimit::default(),
            totals: Running::default(),
        }
    }

    /// Where failures of this model happen.
    pub(crate) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// A failure of this model.
    pub(crate) fn failure(&self, kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure::new(self.stage.clone(), kind, message)
    }

    /// The batches so far.
    pub(crate) fn totals(&self) -> Totals {
        self.totals.totals()
    }

    pub(crate) fn started(&self, batch_size_max: usize) {
        self.metrics.batch_size_max.set(gauge(batch_size_max));
    }

    pub(crate) fn replica_started(&self) {
        self.metrics.replicas.inc();
    }

    pub(crate) fn replica_ended(&self) {
        self.metrics.replicas.dec();
    }

    /// Examples were not let in, all for one reason.
    pub(crate) fn refused<'a>(
        &self,
        tenants: impl Iterator<Item = &'a TenantId>,
        failure: &Failure,
    ) {
        let kind = failure.kind;
        for (tenant, examples) in tally(tenants) {
            self.metrics.refused(tenant, kind, examples);
            let Some(suppressed) = self.refusal_lines.admit() else {
                continue;
            };
            let message = &failure.message;
            if kind.fault() == Fault::Client {
                tracing::info!(
                    model = %self.model, %tenant, %kind, examples, suppressed, "refused: {message}"
                );
            } else {
                tracing::warn!(
                    model = %self.model, %tenant, %kind, examples, suppressed, "refused: {message}"
                );
            }
        }
    }

    /// The deadline of examples passed before they ran; their callers are told.
    pub(crate) fn expired(&self, entries: Vec<Entry>, now: Instant) {
        self.dropped(&entries, "expired");
        for entry in entries {
            let failure = self.expiry_in_queue(now - entry.arrived);
            entry.ticket.resolve(Err(failure));
        }
    }

    /// What a caller is told whose example waited in vain.
    pub(crate) fn expiry_in_queue(&self, waited: Duration) -> Failure {
        let message = format!(
            "the deadline passed while the example waited for its turn, {waited:.1?} after it \
             came; send less at a time or with a later deadline, or raise replicas in [model.{}]",
            self.stage.name
        );
        self.failure(FailureKind::DeadlineExceeded, message)
    }

    /// What a caller is told whose example was running.
    pub(crate) fn expiry_in_run(&self, waited: Duration) -> Failure {
        let message = format!(
            "the deadline passed while the model ran, {waited:.1?} after the example came; \
             its result is thrown away; send it with a later deadline"
        );
        self.failure(FailureKind::DeadlineExceeded, message)
    }

    /// Nobody waits for these examples any longer.
    pub(crate) fn abandoned(&self, entries: Vec<Entry>) {
        self.dropped(&entries, "abandoned");
    }

    fn dropped(&self, entries: &[Entry], reason: &'static str) {
        for (tenant, examples) in tally(entries.iter().map(|entry| &entry.tenant)) {
            self.metrics.dropped(tenant, reason, examples);
            if let Some(suppressed) = self.drop_lines.admit() {
                tracing::info!(
                    model = %self.model, %tenant, reason, examples, suppressed,
                    "dropped before they ran"
                );
            }
        }
    }

    pub(crate) fn queue(&self, examples: usize, bytes: usize) {
        self.metrics.queue_examples.set(gauge(examples));
        self.metrics.queue_bytes.set(gauge(bytes));
    }

    /// Examples left the queue for a replica.
    pub(crate) fn taken(&self, entries: &[Entry], now: Instant) {
        for entry in entries {
            let waited = now.saturating_duration_since(entry.arrived);
            self.metrics.queue_wait_s.observe(waited.as_secs_f64());
        }
    }

    pub(crate) fn run_started(&self) {
        self.metrics.replicas_busy.inc();
    }

    pub(crate) fn run_ended(&self) {
        self.metrics.replicas_busy.dec();
    }

    /// A run gave outputs.
    pub(crate) fn batch_succeeded(&self, examples: usize, bytes: usize, took: Duration) {
        self.metrics.batch_size.observe(examples as f64);
        self.metrics.batch_byte_size.observe(bytes as f64);
        let took_us = took.as_secs_f64() * 1e6;
        self.metrics.batch_latency_us.observe(took_us);
        self.totals.add(examples);
    }

    /// Examples were predicted.
    pub(crate) fn predicted<'a>(&self, tenants: impl Iterator<Item = &'a TenantId>) {
        for (tenant, examples) in tally(tenants) {
            self.metrics.predicted(tenant, examples);
        }
    }

    /// A run failed, or gave a row that is not as promised.
    pub(crate) fn batch_failed(&self, examples: usize, kind: FailureKind, message: &str) {
        self.metrics.batch_failed(kind);
        if let Some(suppressed) = self.failure_lines.admit() {
            tracing::warn!(
                model = %self.model, %kind, examples, suppressed, "a batch failed: {message}"
            );
        }
    }

    pub(crate) fn handler_panicked(&self) {
        self.metrics.panics.inc();
    }

    /// A failed batch is taken apart.
    pub(crate) fn batch_split(&self, kind: FailureKind) {
        self.metrics.batch_split(kind);
    }

    /// Larger batches do not fit into memory. Rare by nature: each line halves the batch.
    pub(crate) fn batch_size_max_lowered(&self, from: usize, to: usize) {
        self.metrics.batch_size_max.set(gauge(to));
        tracing::warn!(
            model = %self.model, from, to,
            "out of memory: batches are smaller until the model is loaded again; \
             write max_batch_size = {to} in [model.{}] if this happens at each start",
            self.stage.name
        );
    }

    /// A replica ended without being told to.
    pub(crate) fn replica_lost(&self, replica: usize) {
        tracing::error!(
            model = %self.model, replica,
            "a replica broke off; this is a defect of the host, please report it"
        );
    }
}

/// How many examples each tenant has. Few tenants share a batch: a list beats a map.
fn tally<'a>(tenants: impl Iterator<Item = &'a TenantId>) -> Vec<(&'a TenantId, usize)> {
    let mut tally: Vec<(&TenantId, usize)> = Vec::new();
    for tenant in tenants {
        match tally.iter_mut().find(|(known, _)| *known == tenant) {
            Some((_, examples)) => *examples += 1,
            None => tally.push((tenant, 1)),
        }
    }
    tally
}

fn gauge(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
