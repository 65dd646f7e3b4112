//! What to try next, and what to take: no clock, no threads.

use super::Tuning;
use std::time::Duration;

/// Batch sizes that are tried, in this order.
const BATCH_SIZES: [usize; 5] = [1, 2, 8, 32, 128];
/// How much slower than the best is as good, if it takes less.
const TOLERANCE: f64 = 0.02;
/// Larger batches are not tried once one is slower than the best by more than this.
const FALLING: f64 = 0.2;
/// The shortest trial.
const SLOT_MIN: Duration = Duration::from_millis(5);

/// What may be tried.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) cores: usize,
    pub(super) threads: Option<usize>,
    pub(super) replicas: Option<usize>,
    pub(super) batch_size_max: usize,
    pub(super) time_max: Duration,
}

/// One way to run a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) threads: usize,
    pub(super) replicas: usize,
    pub(super) batch_size: usize,
}

/// What a trial showed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    pub(super) examples_per_second: f64,
    /// The time of one run.
    pub(super) run: Duration,
    /// All that the trial took.
    pub(super) spent: Duration,
}

/// A trial that could not be made.
#[derive(Debug)]
pub(super) struct TrialError(pub(super) String);

// === impl Limits ===

impl Limits {
    /// One thread first, which is best for most models; then all cores; then between.
    fn threads(&self) -> Vec<usize> {
        if let Some(threads) = self.threads {
            return vec![threads.max(1)];
        }
        let mut threads = vec![1, self.cores];
        let powers = std::iter::successors(Some(2usize), |power| power.checked_mul(2));
        threads.extend(powers.take_while(|power| *power < self.cores));
        threads.dedup();
        threads
    }

    /// As many as fill the cores; one less and one more are tried at the best batch size.
    fn replicas(&self, threads: usize) -> (usize, Vec<usize>) {
        if let Some(replicas) = self.replicas {
            return (replicas.max(1), Vec::new());
        }
        let fill = (self.cores / threads).max(1);
        let beside = [fill - 1, fill + 1];
        (
            fill,
            beside.into_iter().filter(|count| *count > 0).collect(),
        )
    }

    fn batch_sizes(&self) -> Vec<usize> {
        let sizes = BATCH_SIZES.into_iter();
        sizes.filter(|size| *size <= self.batch_size_max).collect()
    }

    /// The time of one trial, if all are made.
    fn slot(&self) -> Duration {
        let trials = self.threads().len() * (self.batch_sizes().len() + 2);
        let trials = u32::try_from(trials).unwrap_or(u32::MAX).max(1);
        (self.time_max / trials).max(SLOT_MIN)
    }
}

/// Tries what may pay within the time: for each number of threads rising batch sizes, then
/// other numbers of replicas at the best of them. What cannot be run is passed over.
pub(super) fn run(
    limits: &Limits,
    mut trial: impl FnMut(Candidate, Duration) -> Result<Trial, TrialError>,
) -> Vec<(Candidate, Trial)> {
    let slot = limits.slot();
    let mut spent = Duration::ZERO;
    let mut all: Vec<(Candidate, Trial)> = Vec::new();
    for threads in limits.threads() {
        let (replicas, beside) = limits.replicas(threads);
        let mut best: Option<(Candidate, Trial)> = None;
        let mut last: Option<(Candidate, Trial)> = None;
        for batch_size in limits.batch_sizes() {
            let candidate = Candidate {
                threads,
                replicas,
                batch_size,
            };
            // One run to warm up and one that counts must fit.
            let ahead = last.map_or(Duration::ZERO, |(before, trial)| {
                let times = batch_size as f64 / before.batch_size as f64;
                trial.run.mul_f64(2.0 * times)
            });
            if !all.is_empty() && spent.saturating_add(ahead) >= limits.time_max {
                break;
            }
            let Ok(made) = trial(candidate, slot) else {
                break;
            };
            spent = spent.saturating_add(made.spent);
            all.push((candidate, made));
            last = Some((candidate, made));
            match best {
                Some((_, best)) if is_slower(made, best, FALLING) => break,
                Some((_, best)) if made.examples_per_second <= best.examples_per_second => {}
                _ => best = last,
            }
        }
        let Some((best, _)) = best else { continue };
        for replicas in beside {
            if spent >= limits.time_max {
                break;
            }
            let candidate = Candidate { replicas, ..best };
            let Ok(made) = trial(candidate, slot) else {
                continue;
            };
            spent = spent.saturating_add(made.spent);
            all.push((candidate, made));
        }
    }
    all
}

/// The fastest, or what takes less and is hardly slower: fewer threads in all, then fewer
/// replicas, then smaller batches.
pub(super) fn choose(measured: &[(Candidate, Trial)]) -> Option<Tuning> {
    let speed = |(_, trial): &&(Candidate, Trial)| trial.examples_per_second;
    let fastest = measured
        .iter()
        .max_by(|one, other| speed(one).total_cmp(&speed(other)))?;
    let takes = |(candidate, _): &&(Candidate, Trial)| {
        let Candidate {
            threads,
            replicas,
            batch_size,
        } = *candidate;
        (threads.saturating_mul(replicas), replicas, batch_size)
    };
    let (candidate, trial) = measured
        .iter()
        .filter(|(_, trial)| !is_slower(*trial, fastest.1, TOLERANCE))
        .min_by_key(takes)?;
    Some(Tuning {
        threads: candidate.threads,
        replicas: candidate.replicas,
        batch_size: candidate.batch_size,
        examples_per_second: trial.examples_per_second,
    })
}

fn is_slower(trial: Trial, than: Trial, by: f64) -> bool {
    trial.examples_per_second < than.examples_per_second * (1.0 - by)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(cores: usize) -> Limits {
        Limits {
            cores,
            threads: None,
            replicas: None,
            batch_size_max: 1_024,
            time_max: Duration::from_secs(2),
        }
    }

    /// A machine on which a run of `n` examples with one thread takes `ms(n)`, alone on a
    /// core, and with `t` threads the part `speedup(t)` of it.
    fn search(
        limits: &Limits,
        ms: impl Fn(usize) -> f64,
        speedup: impl Fn(usize) -> f64,
    ) -> (Tuning, Vec<Candidate>, Duration) {
        let mut spent = Duration::ZERO;
        let cores = limits.cores as f64;
        let measured = run(limits, |candidate, slot| {
            let busy = (candidate.threads * candidate.replicas) as f64;
            let crowd = (busy / cores).max(1.0);
            let run = ms(candidate.batch_size) / speedup(candidate.threads) * crowd;
            let batches = candidate.replicas as f64;
            let run = Duration::from_secs_f64(run / 1e3);
            // A warm-up and at least one run.
            let took = run + run.max(slot);
            spent += took;
            Ok(Trial {
                examples_per_second: candidate.batch_size as f64 * batches / run.as_secs_f64(),
                run,
                spent: took,
            })
        });
        let tried = measured.iter().map(|(candidate, _)| *candidate).collect();
        (choose(&measured).unwrap(), tried, spent)
    }

    fn short(tuning: &Tuning) -> (usize, usize, usize) {
        (tuning.threads, tuning.replicas, tuning.batch_size)
    }

    #[test]
    fn a_model_that_gains_nothing_from_batches_runs_side_by_side() {
        // As measured: 11.3 ms at batch 1, 13.4 ms an example at batch 32, and two threads
        // are not twice as fast as one.
        let ms = |n: usize| n as f64 * (11.3 + 2.1 * (n as f64).log2() / 5.0);
        let (tuning, tried, spent) = search(&limits(2), ms, |threads| (threads as f64).powf(0.8));
        assert_eq!(short(&tuning), (1, 2, 1));
        assert!(
            tried.iter().all(|candidate| candidate.batch_size <= 32),
            "{tried:?}"
        );
        assert!(spent <= Duration::from_millis(2_300), "{spent:?}");
    }

    #[test]
    fn a_model_with_a_fixed_cost_takes_large_batches() {
        let (tuning, ..) = search(&limits(2), |n| 0.04 + 0.0006 * n as f64, |_| 1.0);
        assert_eq!(short(&tuning), (1, 2, 128));
    }

    #[test]
    fn threads_that_help_more_than_replicas_are_taken() {
        // One run keeps the caches warm for eight threads: more than eight times as fast.
        let (tuning, tried, _) = search(
            &limits(8),
            |n| n as f64,
            |threads| {
                if threads == 8 {
                    12.0
                } else {
                    threads as f64 * 0.9
                }
            },
        );
        assert_eq!(short(&tuning), (8, 1, 1));
        let threads: Vec<usize> = tried.iter().map(|candidate| candidate.threads).collect();
        assert!(
            [1, 2, 4, 8].iter().all(|count| threads.contains(count)),
            "{threads:?}"
        );
    }

    #[test]
    fn what_takes_less_wins_if_hardly_slower() {
        let at = |threads, replicas, batch_size, examples_per_second| {
            let candidate = Candidate {
                threads,
                replicas,
                batch_size,
            };
            let spent = Duration::ZERO;
            let run = spent;
            (
                candidate,
                Trial {
                    examples_per_second,
                    run,
                    spent,
                },
            )
        };
        let chosen = |measured: &[_]| choose(measured).map(|tuning| short(&tuning));
        assert_eq!(
            chosen(&[at(1, 2, 8, 100.0), at(1, 1, 8, 98.5)]),
            Some((1, 1, 8))
        );
        assert_eq!(
            chosen(&[at(1, 2, 8, 100.0), at(1, 1, 8, 97.5)]),
            Some((1, 2, 8))
        );
        assert_eq!(
            chosen(&[at(1, 2, 8, 100.0), at(2, 1, 8, 99.0)]),
            Some((2, 1, 8))
        );
        assert_eq!(
            chosen(&[at(1, 2, 8, 100.0), at(1, 2, 2, 99.0)]),
            Some((1, 2, 2))
        );
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn what_is_given_is_not_tried() {
        let mut limits = limits(4);
        limits.threads = Some(3);
        limits.replicas = Some(2);
        limits.batch_size_max = 2;
        let (tuning, tried, _) = search(&limits, |n| n as f64, |_| 1.0);
        assert_eq!((tuning.threads, tuning.replicas), (3, 2));
        let sizes: Vec<usize> = tried.iter().map(|candidate| candidate.batch_size).collect();
        assert_eq!(sizes, [1, 2]);
    }

    #[test]
    fn more_time_is_more_trials_and_is_kept_to() {
        let mut before = 0;
        for time_ms in [50, 500, 5_000] {
            let mut limits = limits(4);
            limits.time_max = Duration::from_millis(time_ms);
            // The larger the batch the better, so that only the time ends the climb.
            let (_, tried, spent) = search(&limits, |n| 5.0 + 0.02 * n as f64, |_| 1.0);
            assert!(tried.len() > before, "{tried:?} in {time_ms} ms");
            assert!(spent <= limits.time_max * 2, "{spent:?} of {time_ms} ms");
            before = tried.len();
        }
    }

    #[test]
    fn one_trial_is_made_whatever_it_takes() {
        let (tuning, tried, _) = search(&limits(4), |n| 60_000.0 * n as f64, |_| 1.0);
        assert_eq!(short(&tuning), (1, 4, 1));
        assert_eq!(tried.len(), 1);
    }

    #[test]
    fn a_batch_that_cannot_run_ends_the_climb() {
        let mut asked = Vec::new();
        let measured = run(&limits(1), |candidate, _| {
            asked.push(candidate.batch_size);
            if candidate.batch_size > 2 {
                return Err(TrialError("out of memory".to_owned()));
            }
            let run = Duration::from_micros(1);
            let examples_per_second = candidate.batch_size as f64;
            Ok(Trial {
                examples_per_second,
                run,
                spent: run,
            })
        });
        assert_eq!(asked, [1, 2, 8, 2]);
        assert_eq!(choose(&measured).unwrap().batch_size, 2);
        assert!(run(&limits(1), |_, _| Err(TrialError(String::new()))).is_empty());
    }
}
