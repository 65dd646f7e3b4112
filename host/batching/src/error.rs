//! Why a batcher does not start, and why it does not take examples.

use crate::config::QUEUE_DELAY_MAX;
use consort_inference::{Failure, FailureKind, Mismatch, Stage, TenantId};
use std::time::Duration;

/// A batcher that could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is outside of its limits.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system gave no thread.
    #[error("replica {replica} of {replicas} got no thread: {source}; lower replicas")]
    Thread {
        /// Which replica, counted from 1.
        replica: usize,
        /// How many were asked for.
        replicas: usize,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A handler that cannot take the place of the one that runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplaceError {
    /// It reads or writes other tensors.
    #[error(
        "the new model reads or writes other tensors than the one that runs: its {side} are \
         {new}, not {old}; publish it under a name of its own"
    )]
    Signature {
        /// `inputs` or `outputs`.
        side: &'static str,
        /// What runs.
        old: String,
        /// What was given.
        new: String,
    },
    /// It wants its batches put together by other rules.
    #[error(
        "the new model wants its batches put together by other rules (ragged or of one \
         tenant) than the one that runs; publish it under a name of its own"
    )]
    Batches,
    /// It blocks a thread where the old one was awaited, or the other way round.
    #[error(
        "the new model runs on {new}, the one that runs on {old}; publish it under a name of \
         its own"
    )]
    Replicas {
        /// What the old one runs on.
        old: &'static str,
        /// What the new one would run on.
        new: &'static str,
    },
    /// The batcher drains or has stopped.
    #[error("the model is being stopped and takes no new handler")]
    Closed,
}

/// A setting outside of its limits. Keys are those of `[model.*]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number that is too small or too large.
    #[error("{key} is {value}; write a number from {min} to {max}")]
    OutOfRange {
        /// The manifest key.
        key: &'static str,
        /// What was given.
        value: usize,
        /// The least.
        min: usize,
        /// The most.
        max: usize,
    },
    /// A queue that cannot hold one batch.
    #[error(
        "max_queue_size is {max_queue_size}, so that a batch of max_batch_size = \
         {max_batch_size} can never fill; raise max_queue_size or lower max_batch_size"
    )]
    QueueBelowBatch {
        /// The queue's limit, in examples.
        max_queue_size: usize,
        /// The batch's limit, in examples.
        max_batch_size: usize,
    },
    /// Numbers that do not rise.
    #[error(
        "{key} must be at most {max} numbers, each larger than the one before and the first \
         at least 1"
    )]
    Steps {
        /// The manifest key.
        key: &'static str,
        /// How many there may be.
        max: usize,
    },
    /// A wait that is too long.
    #[error("max_queue_delay is {0:?}; write {max:?} or less", max = QUEUE_DELAY_MAX)]
    QueueDelay(Duration),
    /// A timeout that nothing can meet.
    #[error(
        "default_timeout is zero, so that every example would expire at once; \
         write a longer time, or leave the key out"
    )]
    ZeroTimeout,
}

/// Why an example, or a whole request, was not let into the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The example does not fit the model's inputs.
    Mismatch(Mismatch),
    /// One example is larger than the whole queue.
    ExampleBytes { bytes: usize, max: usize },
    /// The request has more examples than the whole queue can hold.
    RequestSize { examples: usize, max: usize },
    /// The request has more bytes than the whole queue can hold.
    RequestBytes { bytes: usize, max: usize },
    /// The request has more examples than one tenant may have waiting.
    RequestTenantSize {
        tenant: TenantId,
        examples: usize,
        max: usize,
    },
    /// Too many examples wait.
    QueueSize {
        waiting: usize,
        more: usize,
        max: usize,
    },
    /// Too many bytes wait.
    QueueBytes {
        waiting: usize,
        more: usize,
        max: usize,
    },
    /// Too many examples of one tenant wait.
    TenantQueueSize {
        tenant: TenantId,
        waiting: usize,
        more: usize,
        max: usize,
    },
    /// The deadline had passed when the request came.
    Expired,
    /// The batcher drains or has stopped.
    Closed,
}

// === impl Refusal ===

impl Refusal {
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Mismatch(_) => FailureKind::InvalidArgument,
            Self::ExampleBytes { .. }
            | Self::RequestSize { .. }
            | Self::RequestBytes { .. }
            | Self::RequestTenantSize { .. } => FailureKind::TooLarge,
            Self::QueueSize { .. } | Self::QueueBytes { .. } | Self::TenantQueueSize { .. } => {
                FailureKind::QueueFull
            }
            Self::Expired => FailureKind::DeadlineExceeded,
            Self::Closed => FailureKind::Unavailable,
        }
    }

    /// The failure to hand to the caller; it names the limit and its manifest key.
    pub(crate) fn failure(&self, stage: &Stage) -> Failure {
        let section = format!("[model.{}]", stage.name);
        let message = match self {
            Self::Mismatch(mismatch) => mismatch.to_string(),
            Self::ExampleBytes { bytes, max } => format!(
                "the example has {bytes} bytes, more than the whole queue takes: \
                 max_queue_bytes = {max}; raise max_queue_bytes in {section}"
            ),
            Self::RequestSize { examples, max } => format!(
                "the request has {examples} examples, more than the whole queue takes: \
                 max_queue_size = {max}; send smaller requests, or raise max_queue_size \
                 in {section}"
            ),
            Self::RequestBytes { bytes, max } => format!(
                "the request has {bytes} bytes, more than the whole queue takes: \
                 max_queue_bytes = {max}; send smaller requests, or raise max_queue_bytes \
                 in {section}"
            ),
            Self::RequestTenantSize {
                tenant,
                examples,
                max,
            } => format!(
                "the request has {examples} examples, more than tenant \"{tenant}\" may have \
                 waiting: max_tenant_queue_size = {max}; send smaller requests, or raise \
                 max_tenant_queue_size in {section}"
            ),
            Self::QueueSize { waiting, more, max } => format!(
                "the queue is full: {waiting} examples wait and {more} more do not fit in \
                 max_queue_size = {max}; try again later, or raise max_queue_size in {section}"
            ),
            Self::QueueBytes { waiting, more, max } => format!(
                "the queue is full: {waiting} bytes wait and {more} more do not fit in \
                 max_queue_bytes = {max}; try again later, or raise max_queue_bytes in {section}"
            ),
            Self::TenantQueueSize {
                tenant,
                waiting,
                more,
                max,
            } => format!(
                "the queue is full for tenant \"{tenant}\": {waiting} of its examples wait and \
                 {more} more do not fit in max_tenant_queue_size = {max}; try again later, or \
                 raise max_tenant_queue_size in {section}"
            ),
            Self::Expired => "the deadline had passed when the request came; \
                              send it with a later one"
                .to_owned(),
            Self::Closed => "the model is being stopped and takes no more work; \
                             try again later or on another host"
                .to_owned(),
        };
        Failure::new(stage.clone(), self.kind(), message)
    }
}
