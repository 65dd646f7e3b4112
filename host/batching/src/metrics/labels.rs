//! What series are told apart by.

use consort_inference::{FailureKind, ModelId};
use prometheus_client::encoding::EncodeLabelSet;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ModelLabels {
    pub(super) model: Arc<str>,
    pub(super) version: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct NamespaceLabels {
    pub(super) model: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) namespace: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TenantLabels {
    pub(super) model: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) tenant: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct KindLabels {
    pub(super) model: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RefusalLabels {
    pub(super) model: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) tenant: String,
    pub(super) kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DropLabels {
    pub(super) model: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) tenant: String,
    pub(super) reason: &'static str,
}

// === impl ModelLabels ===

impl ModelLabels {
    pub(super) fn of(model: &ModelId) -> Self {
        Self {
            model: model.name.clone(),
            version: model.version.clone(),
        }
    }

    pub(super) fn of_tenant(&self, tenant: String) -> TenantLabels {
        let Self { model, version } = self.clone();
        TenantLabels {
            model,
            version,
            tenant,
        }
    }

    pub(super) fn of_kind(&self, kind: FailureKind) -> KindLabels {
        let Self { model, version } = self.clone();
        let kind = kind.as_str();
        KindLabels {
            model,
            version,
            kind,
        }
    }

    pub(super) fn of_refusal(&self, tenant: String, kind: FailureKind) -> RefusalLabels {
        let Self { model, version } = self.clone();
        let kind = kind.as_str();
        RefusalLabels {
            model,
            version,
            tenant,
            kind,
        }
    }

    pub(super) fn of_drop(&self, tenant: String, reason: &'static str) -> DropLabels {
        let Self { model, version } = self.clone();
        DropLabels {
            model,
            version,
            tenant,
            reason,
        }
    }
}
