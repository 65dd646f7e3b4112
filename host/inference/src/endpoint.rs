//! What the server and jobs call.

use crate::{
    Example, Failure, Headers, InferenceArgs, Key, Prediction, Signature, TenantId, Trace,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

/// A boxed future, as returned across seams.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What holds for all examples of one call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Call {
    /// When the caller stops waiting; work that starts later is dropped.
    pub deadline: Option<Instant>,
    /// Which of one tenant's examples go first.
    pub priority: Priority,
    /// What the caller says to the models beside the tensors.
    pub args: InferenceArgs,
    /// Whether predictions are to carry the tensors of their example.
    pub keep_example: bool,
    /// The headers of its request that the endpoint reads ([`Endpoint::headers`]).
    pub headers: Headers,
    /// Where in their streams its examples are.
    pub stream: StreamPart,
    /// Where to say what took how long, if anybody wants to know.
    pub trace: Option<Trace>,
}

/// What a call is of each stream that it has examples of, for whatever keeps the states of
/// streams ([`Endpoint::keeps_state`]). By default something in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamPart {
    /// Its first example begins the stream, whatever was there before.
    pub begins: bool,
    /// Its last example ends the stream: nothing of it is kept, unless that example failed in a
    /// way that may pass, and so may be asked again.
    pub ends: bool,
}

/// The states of streams, each a key of one tenant.
pub trait StreamStates: Send + Sync {
    /// Forgets the state of a stream, if there is one: its next example begins it anew.
    fn forget(&self, tenant: &TenantId, key: &Key);
}

/// Orders the examples of one tenant that wait: higher ones first. Between tenants it
/// means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Priority(pub i8);

/// Something that answers examples with predictions: an ensemble, or a model by itself.
///
/// Dropping the future abandons the work.
pub trait Endpoint: Send + Sync {
    /// The name on the wire.
    fn name(&self) -> &str;

    /// The version on the wire.
    fn version(&self) -> &str;

    /// The kind of thing, as the protocol's metadata shows it (`platform`).
    fn platform(&self) -> &str;

    /// The tensors of one example: no batch axis.
    fn signature(&self) -> &Signature;

    /// Whether requests carry a leading batch axis, each row an example. `false` for a
    /// model that takes its input as it is: then a request is one example.
    fn has_batch_axis(&self) -> bool {
        true
    }

    /// Whether it can answer now.
    fn is_ready(&self) -> bool;

    /// The request headers it reads, in lower case: no others come with [`Call::headers`].
    fn headers(&self) -> &[Arc<str>] {
        &[]
    }

    /// Where the states are kept that its answers depend on.
    fn states(&self) -> &[Arc<dyn StreamStates>] {
        &[]
    }

    /// Whether an answer depends on earlier examples of the same key. Then every example needs
    /// a key, and those of one key must be asked one after another.
    fn keeps_state(&self) -> bool {
        !self.states().is_empty()
    }

    /// Answers each example, in order: exactly one result for one example.
    fn infer(
        &self,
        examples: Vec<Example>,
        call: Call,
    ) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>>;
}
