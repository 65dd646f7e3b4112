//! What the server serves, as the registry shows it.

use consort_inference::Endpoint;
use std::sync::Arc;

/// Finds endpoints by name. What it returns may change from call to call: a request
/// keeps the endpoint that it found when it began.
pub trait Catalog: Send + Sync {
    /// The endpoint of that name, in its current version.
    fn endpoint(&self, name: &str) -> Option<Arc<dyn Endpoint>>;

    /// All endpoints, in the order of the repository index.
    fn endpoints(&self) -> Vec<Arc<dyn Endpoint>>;

    /// Whether the server as a whole can take requests.
    fn is_ready(&self) -> bool {
        self.endpoints().iter().all(|endpoint| endpoint.is_ready())
    }
}
