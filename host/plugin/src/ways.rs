//! Which ways the models went that a guest called: the arms of splits and routes, and the
//! optional parts that failed. They belong into the predictions that the guest makes of them.

use consort_inference::{Example, Failure, Key, ModelId, Origin, Prediction};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The ways of all calls to models in one call into a guest, by the keys under which they were
/// made: `model_calls_max` bounds these.
#[derive(Debug, Default)]
pub(crate) struct Ways(Mutex<BTreeMap<Option<Key>, Origin>>);

// === impl Ways ===

impl Ways {
    /// Notes what came of one call, made under that key.
    pub(crate) fn add(&self, key: Option<&Key>, results: &[Result<Prediction, Failure>]) {
        let went = |one: &&Prediction| !(one.arms.is_empty() && one.partial.is_empty());
        let mut went = results.iter().flatten().filter(went).peekable();
        let Some(first) = went.peek() else {
            return;
        };
        let mut ways = self.lock();
        let origin = ways
            .entry(key.cloned())
            .or_insert_with(|| Origin::from(first.model_id.clone()));
        for prediction in went {
            origin.join(prediction.arms.clone(), prediction.partial.clone());
        }
    }

    /// Where what `maker` made of each example comes from. A call under the key of an example
    /// was for that one; any other may have been for each of them.
    pub(crate) fn origins(&self, maker: &ModelId, examples: &[Example]) -> Vec<Origin> {
        let ways = self.lock();
        let mut of_all = Origin::from(maker.clone());
        if !ways.is_empty() {
            let keys: HashSet<&Key> = examples.iter().filter_map(|one| one.key.as_ref()).collect();
            let is_for_one = |key: &Option<Key>| key.as_ref().is_some_and(|key| keys.contains(key));
            for (_, way) in ways.iter().filter(|(key, _)| !is_for_one(key)) {
                of_all.join(way.arms.clone(), way.partial.clone());
            }
        }
        let origin = |example: &Example| {
            let own = example.key.as_ref().and_then(|_| ways.get(&example.key));
            let mut origin = of_all.clone();
            if let Some(own) = own {
                origin.join(own.arms.clone(), own.partial.clone());
            }
            origin
        };
        examples.iter().map(origin).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Option<Key>, Origin>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::{Arm, TenantId, Tensors};

    fn key(name: &str) -> Key {
        name.into()
    }

    fn example(name: Option<&str>) -> Example {
        Example {
            tenant: TenantId::default(),
            key: name.map(key),
            tensors: Tensors::new(),
        }
    }

    fn prediction(arms: &[&str]) -> Result<Prediction, Failure> {
        let arm = |arm: &&str| Arm::new("split", *arm);
        let origin = Origin {
            arms: arms.iter().map(arm).collect(),
            ..Origin::from(ModelId::new("m", "1"))
        };
        Ok(Prediction::new(None, Tensors::new(), origin))
    }

    fn arms(ways: &Ways, examples: &[Example]) -> Vec<Vec<String>> {
        let maker = ModelId::new("guest", "1");
        let arms = |origin: Origin| {
            assert_eq!(origin.model_id, maker);
            let names = origin.arms.iter().map(|arm| arm.arm.to_string());
            names.collect()
        };
        let origins = ways.origins(&maker, examples);
        origins.into_iter().map(arms).collect()
    }

    #[test]
    fn a_call_is_told_of_the_example_of_its_key() {
        let ways = Ways::default();
        ways.add(Some(&key("a")), &[prediction(&["x"])]);
        ways.add(Some(&key("b")), &[prediction(&["y"])]);
        ways.add(Some(&key("b")), &[prediction(&["y"]), prediction(&["z"])]);
        ways.add(Some(&key("b")), &[prediction(&[])]);
        let examples = [example(Some("a")), example(Some("b")), example(None)];
        let expected: [&[&str]; 3] = [&["x"], &["y", "z"], &[]];
        assert_eq!(arms(&ways, &examples), expected);
    }

    #[test]
    fn a_call_for_nobody_by_name_is_told_of_all() {
        let ways = Ways::default();
        ways.add(None, &[prediction(&["x"])]);
        ways.add(Some(&key("line 7")), &[prediction(&["y"])]);
        let examples = [example(Some("a")), example(None)];
        assert_eq!(arms(&ways, &examples), [["x", "y"], ["x", "y"]]);
    }
}
