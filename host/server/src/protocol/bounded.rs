//! Lists that stop growing at a limit while they are read.

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// A list of at most `MAX` items; reading more is an error before they are held.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bounded<T, const MAX: usize>(pub(crate) Vec<T>);

struct BoundedVisitor<T, const MAX: usize>(PhantomData<T>);

// === impl Bounded ===

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BoundedVisitor(PhantomData))
    }
}

// === impl BoundedVisitor ===

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for BoundedVisitor<T, MAX> {
    type Value = Bounded<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() == MAX {
                return Err(A::Error::custom(format_args!(
                    "a list has more than {MAX} items, which is the limit"
                )));
            }
            items.push(item);
        }
        Ok(Bounded(items))
    }
}
