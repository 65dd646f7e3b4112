//! What happens to examples and batches, each event in one place: counted, and where it
//! is worth a line, logged at a bounded rate.

use crate::former::Formed;
use crate::log_limit::LogLimit;
use crate::metrics::{Metrics, ModelMetrics};
use crate::queue::Segment;
use crate::taken::{Part, Seat, Taken};
use crate::totals::Running;
use consort_inference::{Failure, FailureKind, Fault, ModelId, Stage, StageKind, TenantId};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Counts and logs for one model in one version.
pub(crate) struct Events {
    model: ModelId,
    stage: Stage,
    metrics: ModelMetrics,
    refusal_lines: LogLimit,
    drop_lines: LogLimit,
    failure_lines: LogLimit,
    /// Of all versions that this batcher has run.
    totals: Arc<Running>,
}

// === impl Events ===

impl Events {
    pub(crate) fn new(
        model: ModelId,
        namespace: &str,
        metrics: &Metrics,
        totals: Arc<Running>,
    ) -> Self {
        Self {
            stage: Stage::new(StageKind::Inference, model.name.clone()),
            metrics: ModelMetrics::new(metrics, &model, namespace),
            model,
            refusal_lines: LogLimit::default(),
            drop_lines: LogLimit::default(),
            failure_lines: LogLimit::default(),
            totals,
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

    pub(crate) fn started(&self, batch_size_max: usize) {
        self.metrics.batch_size_max.set(gauge(batch_size_max));
    }

    /// Another version runs from now on.
    pub(crate) fn left_off(&self) {
        self.queue(0, 0, 0);
        tracing::info!(model = %self.model, "replaced; batches that run are finished");
    }

    /// Examples were not let in, all for one reason.
    pub(crate) fn refused(&self, tenants: &[(TenantId, usize)], failure: &Failure) {
        let kind = failure.kind;
        for (tenant, examples) in tenants {
            self.metrics.refused(tenant, kind, *examples);
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

    /// The deadline of segments passed before they ran; their callers are told.
    pub(crate) fn expired(&self, segments: Vec<Segment>, now: Instant) {
        self.dropped(&tally(&segments), "expired");
        for segment in segments {
            let failure = self.expiry_in_queue(now - segment.arrived);
            segment.fail(&failure);
        }
    }

    /// The deadline of examples passed between two runs; their callers are told.
    pub(crate) fn expired_in_pieces(&self, taken: Taken, now: Instant) {
        self.dropped(&taken.tenants(), "expired");
        let failure = |(part, seats): (&Part, &[Seat])| {
            let failure = self.expiry_in_queue(now - part.arrived);
            std::iter::repeat_n(failure, seats.len())
        };
        let failures: Vec<Failure> = taken.runs().flat_map(failure).collect();
        taken.resolve(failures.into_iter().map(Err));
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

    /// Nobody waits for these segments any longer.
    pub(crate) fn abandoned(&self, segments: &[Segment]) {
        self.dropped(&tally(segments), "abandoned");
    }

    /// Nobody waits for these examples any longer.
    pub(crate) fn abandoned_in_pieces(&self, taken: Taken) {
        self.dropped(&taken.tenants(), "abandoned");
    }

    fn dropped(&self, tenants: &[(TenantId, usize)], reason: &'static str) {
        for (tenant, examples) in tenants {
            self.metrics.dropped(tenant, reason, *examples);
            if let Some(suppressed) = self.drop_lines.admit() {
                tracing::info!(
                    model = %self.model, %tenant, reason, examples, suppressed,
                    "dropped before they ran"
                );
            }
        }
    }

    pub(crate) fn queue(&self, examples: usize, bytes: usize, replicas: usize) {
        self.metrics.queue_examples.set(gauge(examples));
        self.metrics.queue_bytes.set(gauge(bytes));
        self.metrics.replicas.set(gauge(replicas));
    }

    /// Examples left the queue for a replica.
    pub(crate) fn taken(&self, formed: &Formed, now: Instant) {
        let mut waited_all = Duration::ZERO;
        for (part, seats) in formed.taken.runs() {
            let waited = now.saturating_duration_since(part.arrived);
            let examples = seats.len();
            self.metrics
                .queue_wait_s
                .observe_many(waited.as_secs_f64(), examples);
            let examples = u32::try_from(examples).unwrap_or(u32::MAX);
            waited_all = waited_all.saturating_add(waited.saturating_mul(examples));
        }
        self.totals.waited(waited_all);
        let fill = formed.taken.len() as f64 / formed.target.max(1) as f64;
        self.metrics.batch_fill.observe(fill.min(1.0));
        self.metrics.batch_size_target.set(gauge(formed.target));
    }

    pub(crate) fn run_started(&self) {
        self.metrics.replicas_busy.inc();
    }

    /// A run ended, in whatever way.
    pub(crate) fn run_ended(&self, examples: usize, took: Duration) {
        self.metrics.replicas_busy.dec();
        self.metrics.formed_size.observe(examples as f64);
        self.metrics.formed_ms.observe(took.as_secs_f64() * 1e3);
        self.totals.ended(examples, took);
    }

    /// A run gave outputs.
    pub(crate) fn batch_succeeded(&self, examples: usize, bytes: u64, took: Duration) {
        self.metrics.batch_size.observe(examples as f64);
        self.metrics.batch_byte_size.observe(bytes as f64);
        let took_us = took.as_secs_f64() * 1e6;
        self.metrics.batch_latency_us.observe(took_us);
        self.totals.ran(examples, bytes, took);
    }

    /// A run was expected to keep a replica for so long, and did for so long.
    pub(crate) fn cost_predicted(&self, predicted: Option<Duration>, elapsed: Duration) {
        if let Some(predicted) = predicted.filter(|_| !elapsed.is_zero()) {
            let off = predicted.as_secs_f64() / elapsed.as_secs_f64() - 1.0;
            self.metrics.cost_error.observe(off.abs());
        }
    }

    /// A ragged batch had so much padding.
    pub(crate) fn padded(&self, waste: f64) {
        self.metrics.padding_waste.observe(waste);
    }

    /// Examples were predicted, but for those rows.
    pub(crate) fn predicted(&self, taken: &Taken, but: &[usize]) {
        let mut tenants = taken.tenants();
        if !but.is_empty() {
            let rows = taken
                .runs()
                .flat_map(|(part, seats)| std::iter::repeat_n(&part.tenant, seats.len()));
            for (_, tenant) in rows.enumerate().filter(|(row, _)| but.contains(row)) {
                if let Some((_, examples)) = tenants.iter_mut().find(|(id, _)| id == tenant) {
                    *examples -= 1;
                }
            }
        }
        for (tenant, examples) in tenants.iter().filter(|(_, examples)| *examples > 0) {
            self.metrics.predicted(tenant, *examples);
        }
    }

    /// A run failed, or gave a row that is not as promised.
    pub(crate) fn batch_failed(&self, examples: usize, kind: FailureKind, message: &str) {
        self.metrics.batch_failed(kind);
        self.totals.failed();
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
            "out of memory: batches are smaller, and a larger one is tried again later; \
             write max_batch_size = {to} in [model.{}] if this happens at each start",
            self.stage.name
        );
    }

    /// A larger batch than before fits into memory.
    pub(crate) fn batch_size_max_raised(&self, from: usize, to: usize) {
        self.metrics.batch_size_max.set(gauge(to));
        tracing::info!(model = %self.model, from, to, "a larger batch fits into memory");
    }

    /// A replica ended without being told to.
    pub(crate) fn replica_lost(&self, replica: usize) {
        tracing::error!(
            model = %self.model, replica,
            "a replica broke off; this is a defect of the host, please report it"
        );
    }
}

/// How many examples each tenant has.
pub(crate) fn tally(segments: &[Segment]) -> Vec<(TenantId, usize)> {
    let mut tally: Vec<(TenantId, usize)> = Vec::new();
    for segment in segments {
        match tally.iter_mut().find(|(known, _)| *known == segment.tenant) {
            Some((_, examples)) => *examples += segment.len(),
            None => tally.push((segment.tenant.clone(), segment.len())),
        }
    }
    tally
}

fn gauge(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
