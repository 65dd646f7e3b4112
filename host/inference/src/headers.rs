//! What a caller said beside the tensors, in the headers of its request.

use std::sync::Arc;

/// Header names (in lower case) and values: only those that the endpoint reads, see
/// [`Endpoint::headers`](crate::Endpoint::headers). Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Option<Arc<[Header]>>);

/// A name and a value.
type Header = (Arc<str>, Arc<str>);

// === impl Headers ===

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Self(None)
    }

    /// The first value of that name, which is in lower case.
    pub fn value(&self, name: &str) -> Option<&Arc<str>> {
        self.iter()
            .find(|(given, _)| &***given == name)
            .map(|(_, value)| value)
    }

    /// All headers, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        let pairs = self.0.as_deref().unwrap_or_default();
        pairs.iter().map(|(name, value)| (name, value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl FromIterator<(Arc<str>, Arc<str>)> for Headers {
    /// Names are turned into lower case.
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Arc<str>)>>(headers: I) -> Self {
        let lower = |(name, value): (Arc<str>, Arc<str>)| match name
            .bytes()
            .any(|byte| byte.is_ascii_uppercase())
        {
            true => (name.to_ascii_lowercase().into(), value),
            false => (name, value),
        };
        let headers: Arc<[_]> = headers.into_iter().map(lower).collect();
        Self((!headers.is_empty()).then_some(headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_and_the_first_value_counts() {
        let given = [("X-User", "ann"), ("x-user", "bob"), ("x-lab", "7")];
        let headers: Headers = given
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        assert_eq!(headers.value("x-user").map(|value| &**value), Some("ann"));
        assert_eq!(headers.value("x-other"), None);
        assert_eq!(headers.iter().count(), 3);
        assert!(!headers.is_empty());
        assert_eq!(Headers::from_iter([]), Headers::new());
    }
}
