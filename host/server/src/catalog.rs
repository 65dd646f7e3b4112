//! What the server serves, as the registry shows it.

use crate::Repository;
use consort_inference::Endpoint;
use std::sync::Arc;

/// Finds endpoints by name. What it returns may change from call to call: a request
/// keeps the endpoint that it found when it began.
pub trait Catalog: Send + Sync {
    /// The endpoint of that name, in its current version.
    fn endpoint(&self, name: &str) -> Option<Arc<dyn Endpoint>>;

    /// All endpoints, in the order of the repository index.
    fn endpoints(&self) -> Vec<Arc<dyn Endpoint>>;

    /// The versions in which an endpoint answers; the last is the one that answers where a
    /// request names none. An endpoint by itself has one.
    fn versions(&self, endpoint: &dyn Endpoint) -> Vec<Arc<str>> {
        vec![endpoint.version().into()]
    }

    /// The endpoint of that name in one of its versions.
    fn endpoint_version(&self, name: &str, version: &str) -> Option<Arc<dyn Endpoint>> {
        let endpoint = self.endpoint(name)?;
        (endpoint.version() == version).then_some(endpoint)
    }

    /// What loads, unloads and updates models; `None`, the default, where nobody may ask for
    /// that.
    fn repository(&self) -> Option<Arc<dyn Repository>> {
        None
    }

    /// Whether the server as a whole can take requests.
    fn is_ready(&self) -> bool {
        self.endpoints().iter().all(|endpoint| endpoint.is_ready())
    }
}
