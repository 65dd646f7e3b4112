//! What examples must have in common to share a batch.
//!
//! A [`LaneKind`] is about tensors alone: their names, datatypes and shapes, or for ragged
//! handlers the buckets of their lengths. Costs are learned for each kind. A [`LaneKey`]
//! adds what else must be equal.

use consort_inference::{Datatype, InferenceArgs, Signature, TenantId, Tensors};
use std::sync::Arc;

/// The tensors of the examples of one batch: names, datatypes and the length of each axis,
/// which for a ragged handler is the most of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LaneKind(Vec<Entry>);

/// A tensor's name, datatype and the length of each axis.
type Entry = (Arc<str>, Datatype, Vec<usize>);

/// What the examples of one lane have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LaneKey {
    pub(crate) kind: Arc<LaneKind>,
    pub(crate) args: InferenceArgs,
    /// Given when a batch is to hold one tenant's examples only.
    pub(crate) tenant: Option<TenantId>,
}

/// How examples are told apart.
#[derive(Debug, Clone)]
pub(crate) struct Sorter {
    buckets: Vec<usize>,
    ragged: bool,
    single_tenant: bool,
    /// Axes of any length, by input: these go by buckets.
    free_axes: Vec<(Arc<str>, Vec<usize>)>,
}

// === impl LaneKind ===

impl LaneKind {
    /// The kind of examples of exactly these tensors.
    pub fn of(tensors: &Tensors) -> Self {
        Self::with(tensors, |_, shape| shape.to_vec())
    }

    fn with(tensors: &Tensors, shape: impl Fn(&str, &[usize]) -> Vec<usize>) -> Self {
        let entry = |(name, tensor): (&Arc<str>, &consort_inference::Tensor)| {
            let shape = shape(name, tensor.shape());
            (name.clone(), tensor.datatype(), shape)
        };
        let mut entries: Vec<_> = tensors.iter().map(entry).collect();
        entries.sort();
        Self(entries)
    }

    /// Names, datatypes and lengths, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Datatype, &[usize])> {
        self.0
            .iter()
            .map(|(name, datatype, shape)| (&**name, *datatype, shape.as_slice()))
    }

    /// The same of no length: equal for all that differ in lengths only.
    pub(crate) fn without_lengths(&self) -> Self {
        let entry =
            |(name, datatype, shape): &Entry| (name.clone(), *datatype, vec![0; shape.len()]);
        Self(self.0.iter().map(entry).collect())
    }

    /// The elements of an example, one at least.
    pub(crate) fn elements(&self) -> f64 {
        let of = |shape: &[usize]| shape.iter().map(|length| *length as f64).product::<f64>();
        let elements: f64 = self.0.iter().map(|(_, _, shape)| of(shape)).sum();
        elements.max(1.0)
    }
}

// === impl Sorter ===

impl Sorter {
    pub(crate) fn new(
        signature: &Signature,
        buckets: Vec<usize>,
        ragged: bool,
        single_tenant: bool,
    ) -> Self {
        let free_axes = signature.inputs.iter().map(|spec| {
            let axes = spec.shape.iter().enumerate();
            let free = axes.filter(|(_, length)| length.is_none());
            (spec.name.clone(), free.map(|(axis, _)| axis).collect())
        });
        Self {
            buckets,
            ragged,
            single_tenant,
            free_axes: free_axes.collect(),
        }
    }

    pub(crate) fn is_ragged(&self) -> bool {
        self.ragged
    }

    /// Whether examples are told apart in that way.
    pub(crate) fn agrees(&self, ragged: bool, single_tenant: bool) -> bool {
        self.ragged == ragged && self.single_tenant == single_tenant
    }

    /// The lane of an example that fits the model.
    pub(crate) fn key(
        &self,
        tensors: &Tensors,
        tenant: &TenantId,
        args: &InferenceArgs,
    ) -> LaneKey {
        let kind = match self.ragged {
            false => LaneKind::of(tensors),
            true => LaneKind::with(tensors, |name, shape| self.rounded(name, shape)),
        };
        LaneKey {
            kind: Arc::new(kind),
            args: args.clone(),
            tenant: self.single_tenant.then(|| tenant.clone()),
        }
    }

    fn rounded(&self, name: &str, shape: &[usize]) -> Vec<usize> {
        let free = self.free_axes.iter().find(|(input, _)| **input == *name);
        let lengths = shape.iter().enumerate();
        let round = |(axis, length): (usize, &usize)| match free {
            Some((_, axes)) if axes.contains(&axis) => self.bucket(*length),
            _ => *length,
        };
        lengths.map(round).collect()
    }

    /// The most of the bucket of a length.
    fn bucket(&self, length: usize) -> usize {
        let above = self.buckets.partition_point(|most| *most < length);
        match self.buckets.get(above) {
            Some(most) => *most,
            None => next_step(length),
        }
    }
}

/// The end of a length's bucket where none is written: eight from each power of two to the
/// next, none narrower than four. So a batch has at most a ninth of padding beyond lengths of
/// 32, and a model few enough lanes that each fills.
fn next_step(length: usize) -> usize {
    const NARROWEST: usize = 4;
    let below = length.max(1).ilog2();
    let step = (1usize << below).div_ceil(8).max(NARROWEST);
    length
        .max(1)
        .checked_next_multiple_of(step)
        .unwrap_or(length)
}

/// The part of a ragged batch, once padded to its longest rows, that is padding: 0 when all
/// rows are alike, near 1 when one is much longer than the others.
pub(crate) fn padding_waste(rows: &[Tensors]) -> f64 {
    let Some(first) = rows.first() else {
        return 0.0;
    };
    let (mut real, mut padded) = (0.0, 0.0);
    for (name, tensor) in first.iter() {
        let mut longest = tensor.shape().to_vec();
        for tensor in rows.iter().filter_map(|row| row.tensor(name)) {
            real += tensor.element_count() as f64;
            for (most, length) in longest.iter_mut().zip(tensor.shape()) {
                *most = (*most).max(*length);
            }
        }
        let longest: f64 = longest.iter().map(|length| *length as f64).product();
        padded += longest * rows.len() as f64;
    }
    if padded > 0.0 {
        1.0 - real / padded
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::{Tensor, TensorSpec};

    fn row(length: usize) -> Tensors {
        let tensor = Tensor::from_slice(vec![length, 2], &vec![0i64; length * 2]).unwrap();
        Tensors::from_named([("x".into(), tensor)]).unwrap()
    }

    fn sorter(buckets: &[usize], ragged: bool, single_tenant: bool) -> Sorter {
        let signature = Signature {
            inputs: vec![TensorSpec::new("x", Datatype::Int64, vec![None, Some(2)])],
            outputs: vec![],
        };
        Sorter::new(&signature, buckets.to_vec(), ragged, single_tenant)
    }

    fn lengths(sorter: &Sorter, of: &[usize]) -> Vec<usize> {
        let length = |length: &usize| {
            let key = sorter.key(&row(*length), &TenantId::default(), &InferenceArgs::new());
            let shape = key.kind.iter().next().unwrap().2.to_vec();
            assert_eq!(shape[1], 2, "a fixed axis goes by no bucket");
            shape[0]
        };
        of.iter().map(length).collect()
    }

    #[test]
    fn lengths_go_by_steps_or_as_written() {
        let all = [0, 1, 4, 5, 16, 17, 32, 33, 100, 129];
        assert_eq!(
            lengths(&sorter(&[], true, false), &all),
            [4, 4, 4, 8, 16, 20, 32, 36, 104, 144]
        );
        let written = sorter(&[4, 12], true, false);
        assert_eq!(
            lengths(&written, &all),
            [4, 4, 4, 12, 16, 20, 32, 36, 104, 144]
        );
        assert_eq!(lengths(&sorter(&[4], false, false), &all), all);
    }

    #[test]
    fn kinds_of_one_family_differ_in_lengths_only() {
        let of = |name: &str, tensor: Tensor| {
            LaneKind::of(&Tensors::from_named([(name.into(), tensor)]).unwrap())
        };
        let floats = Tensor::from_slice(vec![4, 2], &[0f32; 8]).unwrap();
        let flat = Tensor::from_slice(vec![8], &[0i64; 8]).unwrap();
        let same = row(4).tensor("x").unwrap().clone();
        let kind = |length: usize| LaneKind::of(&row(length));
        for (other, akin) in [
            (kind(12), true),
            (of("x", floats), false),
            (of("x", flat), false),
            (of("y", same), false),
        ] {
            let same = kind(4).without_lengths() == other.without_lengths();
            assert_eq!(same, akin, "{other:?}");
        }
        let elements = [0, 4, 12].map(|length| kind(length).elements());
        assert_eq!(elements, [1.0, 8.0, 24.0]);
    }

    #[test]
    fn arguments_and_wished_for_tenants_keep_examples_apart() {
        let (a, b): (TenantId, TenantId) = ("a".parse().unwrap(), "b".parse().unwrap());
        let args: InferenceArgs = [("k".into(), consort_inference::ArgValue::Int(1))]
            .into_iter()
            .collect();
        let none = InferenceArgs::new();
        let open = sorter(&[], false, false);
        assert_eq!(open.key(&row(1), &a, &none), open.key(&row(1), &b, &none));
        assert_ne!(open.key(&row(1), &a, &none), open.key(&row(1), &a, &args));
        let apart = sorter(&[], false, true);
        assert_ne!(apart.key(&row(1), &a, &none), apart.key(&row(1), &b, &none));
    }

    #[test]
    fn waste_is_what_padding_adds() {
        assert!(padding_waste(&[row(4), row(4)]).abs() < 1e-9);
        assert!((padding_waste(&[row(8), row(2)]) - 3.0 / 8.0).abs() < 1e-9);
        assert!(padding_waste(&[]).abs() < 1e-9);
    }
}
