//! What a job did, and the table at its end.

use crate::metrics::{self, CallMetrics, Distribution};
use crate::sink::Replacement;
use consort_inference::{FailureKind, StageKind};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::{fmt, io};

/// What a job did. Shown, it is the table at the end of a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Predictions that were written.
    pub predictions: u64,
    /// Examples that failed, by stage and kind. With a dead-letter sink each has a line.
    pub failures: Failures,
    /// How it ended.
    pub ended: Ended,
    /// Examples of the source that were not read; `None` when the job stopped before it
    /// knew how many there are.
    pub unread: Option<u64>,
    /// Examples that were read but have no line, because an output could not take it.
    pub unwritten: u64,
    /// Links to folders that were met on the way and not followed.
    pub links_skipped: u64,
    /// Examples that an earlier run of the job had done; they are counted with the others.
    pub resumed: u64,
    /// Whether the same job, run again with [`crate::Config::resume`], goes on from here.
    pub resumable: bool,
    /// Whether nobody was asked: then the predictions are examples that could be asked.
    pub dry_run: bool,
    /// How long it took.
    pub elapsed: Duration,
    pub(crate) calls: CallMetrics,
    pub(crate) counters: Vec<(String, u64)>,
    pub(crate) distributions: Vec<(String, Distribution)>,
    pub(crate) families: Value,
    lines: Vec<(String, String)>,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ended {
    /// All of the source was read (or as much as was asked for) and answered.
    #[default]
    Complete,
    /// It was cancelled; what was done by then is written.
    Interrupted,
    /// Whoever read the output has left.
    OutputClosed,
    /// It stopped at an error that is told beside the summary.
    Failed,
}

/// How many examples failed, by stage and kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures(BTreeMap<(StageKind, FailureKind), u64>);

// === impl Failures ===

impl Failures {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those of one kind, at any stage.
    pub fn of_kind(&self, kind: FailureKind) -> u64 {
        let of_kind = self.0.iter().filter(|((_, found), _)| *found == kind);
        of_kind.map(|(_, count)| count).sum()
    }

    /// By stage and kind, in the order of an example's way.
    pub fn iter(&self) -> impl Iterator<Item = (StageKind, FailureKind, u64)> {
        self.0
            .iter()
            .map(|((stage, kind), count)| (*stage, *kind, *count))
    }

    pub(crate) fn add(&mut self, stage: StageKind, kind: FailureKind, count: u64) {
        *self.0.entry((stage, kind)).or_default() += count;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (stage, kind, count) in other.iter() {
            self.add(stage, kind, count);
        }
    }
}

// === impl Summary ===

impl Summary {
    pub(crate) fn new(
        predictions: u64,
        failures: Failures,
        ended: Ended,
        elapsed: Duration,
    ) -> Self {
        Self {
            predictions,
            failures,
            ended,
            unread: Some(0),
            unwritten: 0,
            links_skipped: 0,
            resumed: 0,
            resumable: false,
            dry_run: false,
            elapsed,
            calls: CallMetrics::default(),
            counters: Vec::new(),
            distributions: Vec::new(),
            families: Value::Object(Map::new()),
            lines: Vec::new(),
        }
    }

    /// Examples that became a prediction or a failure.
    pub fn examples(&self) -> u64 {
        self.predictions + self.failures.total()
    }

    /// Examples in flight that were given up when the job was cancelled; they are among
    /// the failures.
    pub fn abandoned(&self) -> u64 {
        self.failures.of_kind(FailureKind::Cancelled)
    }

    /// Whether the job was cancelled.
    pub fn interrupted(&self) -> bool {
        self.ended == Ended::Interrupted
    }

    /// Examples in a second, of those that this run did.
    pub fn examples_per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 {
            self.examples().saturating_sub(self.resumed) as f64 / seconds
        } else {
            0.0
        }
    }

    /// Adds a line to the table, for what only the caller knows: batch sizes, time per
    /// stage.
    pub fn add_line(&mut self, label: impl Into<String>, value: impl Into<String>) {
        self.lines.push((label.into(), value.into()));
    }

    /// Adds a counter to [`Summary::to_json`], for what only the caller knows.
    pub fn add_counter(&mut self, name: impl Into<String>, number: u64) {
        self.counters.push((name.into(), number));
    }

    /// Adds a distribution to [`Summary::to_json`], for what only the caller knows.
    pub fn add_distribution(&mut self, name: impl Into<String>, distribution: Distribution) {
        self.distributions.push((name.into(), distribution));
    }

    /// Sets what [`Summary::to_json`] has as `families`: everything that was measured, as
    /// only the caller knows it.
    pub fn set_families(&mut self, families: Map<String, Value>) {
        self.families = Value::Object(families);
    }

    /// The summary as a JSON object. Counters and distributions have the names and units
    /// of Apache Beam's RunInference where it has them: `num_inferences`,
    /// `failed_preprocessing`, `failed_inferences`, `failed_postprocessing`; beside them
    /// `retries`, `call_examples`, `call_latency_micro_secs` (of calls, waiting included)
    /// and `end_to_end_latency_micro_secs` (of examples, from the input to the line).
    pub fn to_json(&self) -> String {
        format!("{:#}\n", metrics::to_json(self))
    }

    /// Writes [`Summary::to_json`] to a file, which is replaced only as a whole.
    pub fn write_json(&self, path: &Path) -> io::Result<()> {
        let is_special = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        if is_special {
            return std::fs::write(path, self.to_json());
        }
        let replacement = Replacement::beside(path);
        std::fs::write(&replacement.from, self.to_json())?;
        replacement.done()
    }

    fn table(&self) -> Vec<(String, String)> {
        let mut table = vec![
            ("examples".to_owned(), grouped(self.examples())),
            (
                match self.dry_run {
                    true => "good, not asked (dry run)".to_owned(),
                    false => "predictions".to_owned(),
                },
                grouped(self.predictions),
            ),
            ("failures".to_owned(), grouped(self.failures.total())),
        ];
        for (stage, kind, count) in self.failures.iter() {
            table.push((format!("  {stage}, {kind}"), grouped(count)));
        }
        if self.resumed > 0 {
            table.push(("done before".to_owned(), grouped(self.resumed)));
        }
        if self.links_skipped > 0 {
            table.push(("links not followed".to_owned(), grouped(self.links_skipped)));
        }
        if self.unwritten > 0 {
            table.push(("not written".to_owned(), grouped(self.unwritten)));
        }
        let seconds = format!("{:.2} s", self.elapsed.as_secs_f64());
        table.push(("elapsed".to_owned(), seconds));
        let rate = self.examples_per_second();
        table.push(("examples/s".to_owned(), format!("{rate:.1}")));
        table
    }

    fn remark(&self) -> Option<String> {
        let unread = match self.unread {
            Some(0) => "all of the input had been read".to_owned(),
            Some(unread) => format!("{} examples were not read", grouped(unread)),
            None => "the rest of the input was not read".to_owned(),
        };
        let rest = match self.resumable {
            true => "; what is done is kept in parts, resume the job to go on",
            false => "",
        };
        match self.ended {
            Ended::Complete => None,
            Ended::Interrupted => {
                let abandoned = grouped(self.abandoned());
                Some(format!(
                    "interrupted: {abandoned} examples in flight were given up, {unread}{rest}"
                ))
            }
            Ended::OutputClosed => Some(format!("the reader of the output has left; {unread}")),
            Ended::Failed => Some(format!("stopped at an error; {unread}{rest}")),
        }
    }
}

// === impl Ended ===

impl Ended {
    /// The name used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Interrupted => "interrupted",
            Self::OutputClosed => "output_closed",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table();
        let labels = table.iter().chain(&self.lines).map(|(label, _)| label);
        let label_width = labels.map(|label| label.chars().count()).max().unwrap_or(0);
        let value_width = table
            .iter()
            .map(|(_, value)| value.len())
            .max()
            .unwrap_or(0);
        for (label, value) in &table {
            writeln!(f, "{label:label_width$}  {value:>value_width$}")?;
        }
        for (label, value) in &self.lines {
            writeln!(f, "{label:label_width$}  {value}")?;
        }
        match self.remark() {
            Some(remark) => writeln!(f, "{remark}"),
            None => Ok(()),
        }
    }
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(ended: Ended) -> Summary {
        let mut failures = Failures::default();
        failures.add(StageKind::Preprocess, FailureKind::PluginTrapped, 2);
        failures.add(StageKind::Read, FailureKind::Unreadable, 1_000);
        failures.add(StageKind::Request, FailureKind::Cancelled, 5);
        Summary::new(1_234_567, failures, ended, Duration::from_millis(12_345))
    }

    #[test]
    fn the_table() {
        let mut summary = summary(Ended::Complete);
        summary.links_skipped = 3;
        summary.add_line("batch size, mean", "1.0");
        let expected = "\
examples                      1,235,574
predictions                   1,234,567
failures                          1,007
  read, unreadable                1,000
  request, cancelled                  5
  preprocess, plugin_trapped          2
links not followed                    3
elapsed                         12.35 s
examples/s                     100087.0
batch size, mean              1.0
";
        assert_eq!(summary.to_string(), expected);
    }

    #[test]
    fn an_end_before_the_end_is_said() {
        let last = |ended, unread| {
            let mut summary = summary(ended);
            summary.unread = unread;
            summary.to_string().lines().last().unwrap().to_owned()
        };
        assert_eq!(
            last(Ended::Interrupted, Some(1_200)),
            "interrupted: 5 examples in flight were given up, 1,200 examples were not read"
        );
        assert_eq!(
            last(Ended::Interrupted, None),
            "interrupted: 5 examples in flight were given up, the rest of the input was not read"
        );
        assert_eq!(
            last(Ended::OutputClosed, Some(0)),
            "the reader of the output has left; all of the input had been read"
        );
    }
}
