//! What a model's keeper wants to know of it: what answers, what happened last, what it
//! holds.

use crate::tune::TuneReport;
use crate::warm_up::WarmUpReport;
use crate::{Sha256Digest, UpdateError};
use consort_inference::ModelId;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// A model as it is now.
#[derive(Debug, Clone)]
pub struct ModelStatus {
    /// What answers where nobody asks for a version.
    pub current: VersionStatus,
    /// What else answers, by version.
    pub others: Vec<VersionStatus>,
    /// What a rollback goes back to; it answers nobody, and is in memory.
    pub previous: Option<VersionStatus>,
    /// Bytes of all of them, and of versions whose last calls are still under way.
    pub bytes: u64,
    /// Updates and rollbacks so far.
    pub updates: u64,
    /// Updates so far that failed.
    pub failed_updates: u64,
    /// The last update or rollback that succeeded.
    pub last_update: Option<LastUpdate>,
    /// The last update that failed, if none succeeded since.
    pub last_error: Option<LastError>,
    /// How threads and replicas were found, if they were to be.
    pub tuning: Option<TuneReport>,
}

/// A version in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionStatus {
    /// Name and version.
    pub id: ModelId,
    /// The file it was made of.
    pub path: Option<PathBuf>,
    /// The file's digest, where it was taken: of watched and of updated models.
    pub digest: Option<Sha256Digest>,
    /// Bytes it holds.
    pub bytes: u64,
    /// How long loading took.
    pub load_latency: Duration,
    /// What came of its warm-up.
    pub warm_up: WarmUpReport,
}

/// An update that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUpdate {
    /// When.
    pub at: SystemTime,
    /// What answered before.
    pub from: ModelId,
    /// What answers since.
    pub to: ModelId,
    /// Who asked for it.
    pub trigger: Trigger,
}

/// An update that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// When.
    pub at: SystemTime,
    /// Why.
    pub message: String,
    /// Who asked for it.
    pub trigger: Trigger,
}

/// Who asked for an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The watch of a file or folder.
    Watch,
    /// A call: an operator, or a job's stream of updates.
    Call,
    /// A call for what answered before.
    Rollback,
}

/// What has happened to a model.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) updates: u64,
    pub(crate) failed_updates: u64,
    pub(crate) last_update: Option<LastUpdate>,
    pub(crate) last_error: Option<LastError>,
    /// What was rolled back from: a watch does not bring it in again.
    pub(crate) rejected: Option<Sha256Digest>,
}

// === impl Trigger ===

impl Trigger {
    /// The name used in logs and in answers to operators.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Call => "call",
            Self::Rollback => "rollback",
        }
    }
}

// === impl History ===

impl History {
    pub(crate) fn succeeded(&mut self, from: ModelId, to: ModelId, trigger: Trigger) {
        self.updates += 1;
        self.last_error = None;
        self.last_update = Some(LastUpdate {
            at: SystemTime::now(),
            from,
            to,
            trigger,
        });
    }

    pub(crate) fn failed(&mut self, error: &UpdateError, trigger: Trigger) {
        self.failed_updates += 1;
        self.last_error = Some(LastError {
            at: SystemTime::now(),
            message: error.to_string(),
            trigger,
        });
    }
}
