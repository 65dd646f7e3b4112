//! A histogram that takes many equal values at once: all examples of one call wait for
//! equally long.

use crate::lock;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::fmt;
use std::sync::{Arc, Mutex};

/// Counts values by size; clones share the counts.
#[derive(Debug, Clone)]
pub(crate) struct CountedHistogram(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    sum: f64,
    count: u64,
    /// Upper bounds, rising, the last infinite, and how many values fell below each but not
    /// below the one before.
    buckets: Vec<(f64, u64)>,
}

// === impl CountedHistogram ===

impl CountedHistogram {
    pub(crate) fn new(bounds: impl IntoIterator<Item = f64>) -> Self {
        // The last takes what is larger than any.
        let bounds = bounds.into_iter().chain([f64::INFINITY]);
        Self(Arc::new(Mutex::new(Counts {
            sum: 0.0,
            count: 0,
            buckets: bounds.map(|bound| (bound, 0)).collect(),
        })))
    }

    /// So many values of that size.
    pub(crate) fn observe_many(&self, value: f64, values: usize) {
        let mut counts = lock(&self.0);
        let bucket = counts.buckets.partition_point(|(bound, _)| *bound < value);
        counts.sum += value * values as f64;
        counts.count += values as u64;
        if let Some((_, count)) = counts.buckets.get_mut(bucket) {
            *count += values as u64;
        }
    }
}

impl TypedMetric for CountedHistogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for CountedHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let counts = lock(&self.0);
        encoder.encode_histogram::<NoLabelSet>(counts.sum, counts.count, &counts.buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::registry::Registry;

    #[test]
    fn it_reads_as_the_usual_histogram_does() {
        let bounds = [0.5, 1.0, 2.0];
        let (ours, usual) = (CountedHistogram::new(bounds), Histogram::new(bounds));
        for (value, values) in [(0.1, 3), (0.5, 2), (0.7, 1), (5.0, 2)] {
            ours.observe_many(value, values);
            (0..values).for_each(|_| usual.observe(value));
        }
        let text = |metric: Box<dyn Fn(&mut Registry)>| {
            let mut registry = Registry::default();
            metric(&mut registry);
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        let ours = text(Box::new(move |r| r.register("h", "H", ours.clone())));
        let usual = text(Box::new(move |r| r.register("h", "H", usual.clone())));
        assert_eq!(ours, usual);
    }
}
