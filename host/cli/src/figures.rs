//! The figures of a run as JSON: Beam's by Beam's names, and everything that `/metrics` would
//! show, by the names it has there.

use consort_batching::{Spread, Totals};
use consort_job::{Distribution, Summary};
use consort_registry::Registry;
use prometheus_client::registry::Registry as Families;
use serde_json::{Map, Number, Value, json};
use std::collections::BTreeMap;

/// What Beam counts of models and their batches, in its names and units.
pub(crate) fn add_beam(summary: &mut Summary, registry: &Registry) {
    let models = registry.models();
    let totals = models.iter().map(|model| model.totals());
    let Totals {
        batches,
        examples,
        smallest,
        largest,
        batch_bytes,
        batch_micros,
        run_examples,
        run_millis,
        failed_batches,
        ..
    } = totals.fold(Totals::default(), Totals::and);
    let sizes = Spread {
        count: batches,
        sum: examples,
        min: smallest,
        max: largest,
    };
    let (mut bytes, mut load_millis) = (Distribution::default(), Distribution::default());
    for model in &models {
        bytes.add(model.bytes());
        let latency = model.load_latency().as_millis();
        load_millis.add(u64::try_from(latency).unwrap_or(u64::MAX));
    }
    summary.add_counter("failed_batches_counter", failed_batches);
    for (name, distribution) in [
        ("inference_request_batch_size", distribution(sizes)),
        (
            "inference_request_batch_byte_size",
            distribution(batch_bytes),
        ),
        (
            "inference_batch_latency_micro_secs",
            distribution(batch_micros),
        ),
        ("BatchElements/batch_size", distribution(run_examples)),
        ("BatchElements/msec_per_batch", distribution(run_millis)),
        ("model_byte_size", bytes),
        ("load_model_latency_milli_secs", load_millis),
    ] {
        summary.add_distribution(name, distribution);
    }
}

/// Everything that was measured: for each family of `/metrics` its series, of a histogram
/// how many numbers there were, and their sum and mean.
pub(crate) fn add_families(summary: &mut Summary, families: &Families) {
    let mut text = String::new();
    // It only fails where the text cannot be written, and a text always can.
    let _ = prometheus_client::encoding::text::encode(&mut text, families);
    summary.set_families(parse(&text));
}

fn distribution(spread: Spread) -> Distribution {
    Distribution {
        count: spread.count,
        sum: spread.sum,
        min: spread.min,
        max: spread.max,
    }
}

/// One series of a family.
#[derive(Default)]
struct Series {
    value: Option<f64>,
    count: Option<f64>,
    sum: Option<f64>,
}

/// Reads what was written in the OpenMetrics text form. A family without series is there
/// with none.
fn parse(text: &str) -> Map<String, Value> {
    let mut families: BTreeMap<&str, BTreeMap<&str, Series>> = BTreeMap::new();
    let mut family = "";
    for line in text.lines() {
        if let Some(about) = line.strip_prefix("# TYPE ") {
            family = about.split(' ').next().unwrap_or_default();
            families.entry(family).or_default();
            continue;
        }
        let Some((name, labels, value)) = sample(line) else {
            continue;
        };
        let Some(part) = name.strip_prefix(family) else {
            continue;
        };
        // Not the buckets, of which there are many.
        if !matches!(part, "" | "_total" | "_count" | "_sum") {
            continue;
        }
        let all = families.entry(family).or_default();
        let series = all.entry(labels).or_default();
        match part {
            "_count" => series.count = Some(value),
            "_sum" => series.sum = Some(value),
            _ => series.value = Some(value),
        }
    }
    let list = |all: BTreeMap<&str, Series>| {
        let series = all.into_iter();
        Value::Array(
            series
                .map(|(labels, series)| show(labels, &series))
                .collect(),
        )
    };
    families
        .into_iter()
        .map(|(name, all)| (name.to_owned(), list(all)))
        .collect()
}

/// A line of numbers: name, labels, value.
fn sample(line: &str) -> Option<(&str, &str, f64)> {
    if line.starts_with('#') {
        return None;
    }
    // Values come last and hold no blank; labels may hold anything.
    let (series, value) = line.rsplit_once(' ')?;
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => (name, labels.strip_suffix('}')?),
        None => (series, ""),
    };
    Some((name, labels, value.parse().ok()?))
}

fn show(labels: &str, series: &Series) -> Value {
    let mut shown = match series {
        Series {
            count: Some(count),
            sum,
            ..
        } => {
            let sum = sum.unwrap_or_default();
            let mean = if *count > 0.0 { sum / count } else { 0.0 };
            json!({"count": number(*count), "sum": number(sum), "mean": number(mean)})
        }
        Series { value, .. } => json!({"value": number(value.unwrap_or_default())}),
    };
    if let Some(object) = shown.as_object_mut().filter(|_| !labels.is_empty()) {
        object.insert("labels".to_owned(), Value::Object(pairs(labels)));
    }
    shown
}

/// The labels of a series: `name="value"`, with commas between them.
fn pairs(labels: &str) -> Map<String, Value> {
    let mut pairs = Map::new();
    let mut rest = labels;
    while let Some((name, value)) = rest.split_once("=\"") {
        let mut text = String::new();
        let mut chars = value.char_indices();
        let mut end = value.len();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, escaped)) => text.push(escaped),
                    None => {}
                },
                char => text.push(char),
            }
        }
        pairs.insert(name.to_owned(), text.into());
        rest = value.get(end..).unwrap_or_default();
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    pairs
}

/// Whole numbers without a fraction.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        return json!(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::EncodeLabelSet;
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::metrics::histogram::Histogram;

    #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
    struct Labels {
        model: String,
        kind: &'static str,
    }

    #[test]
    fn families_are_read_as_they_were_written() {
        let mut families = Families::default();
        let counts: Family<Labels, Counter> = Family::default();
        let times = Histogram::new([0.1, 1.0]);
        let gauge: Gauge = Gauge::default();
        families.register("tries", "About tries", counts.clone());
        families.register("times", "About times", times.clone());
        families.register("held", "About held", gauge.clone());
        let labels = |model: &str| Labels {
            model: model.to_owned(),
            kind: "a",
        };
        counts.get_or_create(&labels("m")).inc_by(3);
        counts.get_or_create(&labels("q\"u, o=\"x\\ {}\n")).inc();
        times.observe(0.5);
        times.observe(1.0);
        gauge.set(-7);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &families).unwrap();
        let parsed = parse(&text);
        assert_eq!(parsed["held"], json!([{"value": -7}]));
        assert_eq!(
            parsed["times"],
            json!([{"count": 2, "sum": 1.5, "mean": 0.75}])
        );
        let series = |model: &str, value: u64| json!({"labels": {"model": model, "kind": "a"}, "value": value});
        assert_eq!(
            parsed["tries"],
            json!([series("m", 3), series("q\"u, o=\"x\\ {}\n", 1)])
        );
    }
}
