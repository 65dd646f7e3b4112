//! What a caller may say about a run beside its tensors (Beam's `inference_args`).

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Named values that go to the model with every batch of a call. Cheap to clone; examples
/// share a batch only when their arguments are equal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct InferenceArgs(Option<Arc<BTreeMap<Arc<str>, ArgValue>>>);

/// The value of one argument: the kinds that the Open Inference Protocol's `parameters`
/// know.
#[derive(Debug, Clone)]
pub enum ArgValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(Arc<str>),
}

// === impl InferenceArgs ===

impl InferenceArgs {
    /// No arguments.
    pub const fn new() -> Self {
        Self(None)
    }

    /// The value of that name.
    pub fn value(&self, name: &str) -> Option<&ArgValue> {
        self.0.as_ref()?.get(name)
    }

    /// These values, and those of `defaults` whose names are not among them.
    pub fn or(&self, defaults: &Self) -> Self {
        match (&self.0, &defaults.0) {
            (_, None) => self.clone(),
            (None, _) => defaults.clone(),
            (Some(own), Some(defaults)) => {
                let mut values = BTreeMap::clone(defaults);
                values.extend(
                    own.iter()
                        .map(|(name, value)| (name.clone(), value.clone())),
                );
                Self(Some(Arc::new(values)))
            }
        }
    }

    /// All values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &ArgValue)> {
        self.0.iter().flat_map(|values| values.iter())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |values| values.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FromIterator<(Arc<str>, ArgValue)> for InferenceArgs {
    /// The last of several values of one name counts.
    fn from_iter<I: IntoIterator<Item = (Arc<str>, ArgValue)>>(values: I) -> Self {
        let values: BTreeMap<_, _> = values.into_iter().collect();
        Self((!values.is_empty()).then(|| Arc::new(values)))
    }
}

// === impl ArgValue ===

impl PartialEq for ArgValue {
    /// Floats are equal when their bits are: what matters is whether a batch may be shared.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Text(a), Self::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for ArgValue {}

impl Hash for ArgValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Bool(value) => value.hash(state),
            Self::Int(value) => value.hash(state),
            Self::Float(value) => value.to_bits().hash(state),
            Self::Text(value) => value.hash(state),
        }
    }
}

impl fmt::Display for ArgValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(values: &[(&str, ArgValue)]) -> InferenceArgs {
        let pairs = values.iter().cloned();
        pairs.map(|(name, value)| (name.into(), value)).collect()
    }

    #[test]
    fn equal_whatever_the_order() {
        let (one, two) = (("k", ArgValue::Int(3)), ("t", ArgValue::Float(0.5)));
        assert_eq!(args(&[one.clone(), two.clone()]), args(&[two, one.clone()]));
        assert_ne!(args(&[one]), args(&[("k", ArgValue::Float(3.0))]));
        assert_eq!(args(&[]), InferenceArgs::new());
    }

    #[test]
    fn defaults_fill_what_is_missing() {
        let (one, two) = (("k", ArgValue::Int(3)), ("t", ArgValue::Float(0.5)));
        let defaults = args(&[("k", ArgValue::Int(9)), two.clone()]);
        assert_eq!(
            args(std::slice::from_ref(&one)).or(&defaults),
            args(&[one.clone(), two])
        );
        assert_eq!(InferenceArgs::new().or(&defaults), defaults);
        assert_eq!(defaults.or(&InferenceArgs::new()), defaults);
    }

    #[test]
    fn values_are_found_by_name() {
        let args = args(&[("k", ArgValue::Int(3))]);
        assert_eq!(args.value("k"), Some(&ArgValue::Int(3)));
        assert_eq!(args.value("j"), None);
        assert_eq!((args.len(), args.is_empty()), (1, false));
    }
}
