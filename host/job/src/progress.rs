//! A bar on the terminal: examples done, failures, rate.

use crate::config::Progress;
use crate::{Outputs, Sink};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressState, ProgressStyle};
use std::fmt;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const TICK: Duration = Duration::from_millis(120);
const TOTAL_UNKNOWN: &str = "{spinner} {elapsed_precise}  {human_pos} examples{msg}, {rate}";
const TOTAL_KNOWN: &str =
    "{elapsed_precise} [{bar:32}] {human_pos} of {human_len} examples{msg}, {rate}, {eta} left";

/// The bar, drawn or not.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    failures: AtomicU64,
    /// How many examples there will be; zero while that is unknown.
    total: AtomicU64,
}

// === impl Bar ===

impl Bar {
    /// A bar on standard error, if that is a terminal, a bar is wanted, and no lines of
    /// output appear on the same terminal.
    pub(crate) fn new(progress: Progress, outputs: &Outputs) -> Self {
        let to_stdout =
            outputs.predictions == Sink::Stdout || outputs.dead_letters == Some(Sink::Stdout);
        let drawn = progress == Progress::Auto
            && std::io::stderr().is_terminal()
            && !(to_stdout && std::io::stdout().is_terminal());
        let bar = Self::on(match drawn {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        });
        if bar.is_drawn() {
            bar.bar.enable_steady_tick(TICK);
        }
        bar
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(None, target)
            .with_style(style(TOTAL_UNKNOWN))
            .with_finish(ProgressFinish::AndClear);
        Self {
            bar,
            failures: AtomicU64::new(0),
            total: AtomicU64::new(0),
        }
    }

    /// Begins where an earlier run stopped.
    pub(crate) fn resume(&mut self, examples: u64) {
        self.bar.set_position(examples);
        self.bar.reset_eta();
    }

    /// Whether anybody sees it.
    pub(crate) fn is_drawn(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Examples were written, some of them as failures.
    pub(crate) fn advance(&self, examples: u64, failures: u64) {
        self.bar.inc(examples);
        if failures > 0 {
            let failures = self.failures.fetch_add(failures, Ordering::Relaxed) + failures;
            self.bar.set_message(format!(" ({failures} failed)"));
        }
    }

    /// It became known how many examples there will be.
    pub(crate) fn total(&self, examples: u64) {
        self.total.store(examples, Ordering::Relaxed);
        self.bar.set_length(examples);
        self.bar.set_style(style(TOTAL_KNOWN));
    }

    /// How many examples there will be, if that became known.
    pub(crate) fn known_total(&self) -> Option<u64> {
        Some(self.total.load(Ordering::Relaxed)).filter(|total| *total > 0)
    }

    /// Writes to the terminal without tearing the bar.
    pub(crate) fn suspend(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
            // A bar that cannot be drawn is no reason to stop.
            let _ = out.write_str(&rate(state.per_sec()));
        })
        .progress_chars("=> ")
}

/// A rate with one decimal where that says something.
fn rate(per_second: f64) -> String {
    match per_second >= 100.0 {
        true => format!("{per_second:.0}/s"),
        false => format!("{per_second:.1}/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_at_most_one_decimal() {
        assert_eq!(rate(0.0), "0.0/s");
        assert_eq!(rate(3.456), "3.5/s");
        assert_eq!(rate(7_012.349_87), "7012/s");
    }

    #[test]
    fn templates_are_good() {
        for template in [TOTAL_UNKNOWN, TOTAL_KNOWN] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn failures_are_added_up() {
        let bar = Bar::on(ProgressDrawTarget::hidden());
        bar.advance(10, 0);
        assert_eq!(bar.bar.message(), "");
        bar.advance(3, 1);
        bar.advance(2, 2);
        assert_eq!(
            (bar.bar.position(), bar.bar.message().as_str()),
            (15, " (3 failed)")
        );
        assert_eq!((bar.bar.length(), bar.known_total()), (None, None));
        bar.total(100);
        assert_eq!(
            (bar.bar.length(), bar.known_total()),
            (Some(100), Some(100))
        );
        assert!(!bar.is_drawn());
    }
}
