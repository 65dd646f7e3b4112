//! The policy that finds size and delay by itself.

use super::family::Family;
use super::known::{BUDGET_SHARE, Known, Start};
use super::{BatchPolicy, Decision, QueueView, RunOutcome};
use crate::config::Config;
use crate::kind::LaneKind;
use consort_inference::BatchHints;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Kinds whose costs are remembered; the one that was used longest ago goes.
const KINDS_MAX: usize = 128;
/// Families that are learned: a model has one, and one more for each set of inputs that may be
/// left out. Kinds of any more learn alone.
const FAMILIES_MAX: usize = 16;
/// What waiting must gain: a part of the time that examples spend otherwise.
const WAIT_GAINS: f64 = 0.05;
/// The least part of the best rate for which a batch is made smaller so that one deadline is
/// met; below it, meeting one would make many miss theirs.
const URGENT_RATE: f64 = 0.5;
/// The part of the time to a deadline that a run may be expected to take.
const DEADLINE_SHARE: f64 = 0.9;

/// Learns from run times what batches of each size cost, for each kind of examples and for
/// those that differ in lengths only together, and
///
/// - runs the size that serves most examples a second, when so many wait; of sizes about as
///   good, the smallest;
/// - runs what waits when fewer do, or less of it where that is better (below a step, say);
/// - waits only with one replica free, when the examples expected to come in time are so
///   many that all together are done earlier;
/// - keeps batches short enough for the deadlines that callers give, and never waits past
///   the point at which a deadline could not be met;
/// - tries other sizes at a bounded loss, never more than double of what has run (in elements,
///   where that was of other lengths), and goes back at once when that was worse.
///
/// `max_batch_size` and `max_queue_delay` are limits where they are written.
pub struct LearnedPolicy {
    max_batch_size: usize,
    max_queue_delay: Option<Duration>,
    preferred: Vec<usize>,
    kinds: HashMap<LaneKind, Known>,
    /// What kinds have in common that differ in lengths only.
    families: HashMap<Arc<LaneKind>, Family>,
    uses: u64,
    /// Runs of all kinds.
    runs: u64,
    replicas: usize,
}

// === impl LearnedPolicy ===

impl LearnedPolicy {
    /// What a model's settings and its hints allow.
    pub fn of(config: &Config, hints: &BatchHints) -> Self {
        Self {
            max_batch_size: config.batch_size_max(hints),
            max_queue_delay: config.max_queue_delay,
            preferred: config.preferred_sizes(hints),
            kinds: HashMap::new(),
            families: HashMap::new(),
            uses: 0,
            runs: 0,
            replicas: config.replicas,
        }
    }

    fn known(&mut self, kind: &LaneKind) -> &mut Known {
        self.uses += 1;
        let begins = match self.kinds.get(kind) {
            // Unless nothing has run since it was asked last.
            Some(known) => known.is_assumed() && known.begun != self.runs,
            None => {
                self.make_room();
                true
            }
        };
        let start = begins.then(|| self.start(kind)).flatten();
        let (most, preferred) = (self.max_batch_size, &self.preferred);
        let new = || Known::new(kind, most, preferred);
        let known = self.kinds.entry(kind.clone()).or_insert_with(new);
        (known.used, known.begun) = (self.uses, self.runs);
        if let Some(start) = start {
            known.begin(start);
            let of = known.family().clone();
            if let Some(family) = self.families.get(&of) {
                known.lean_on(family);
            }
        }
        known
    }

    /// Where a kind begins that has not run: where the one of its family is that is nearest, and
    /// rather one that has found its size.
    fn start(&self, kind: &LaneKind) -> Option<Start> {
        let (of, each) = (kind.without_lengths(), kind.elements());
        self.families.get(&of).filter(|family| family.is_known())?;
        let like = self.kinds.values().filter(|known| **known.family() == of);
        let near = like.filter_map(|known| Some((known, known.far(each)?)));
        let nearest = near.min_by(|(a, far), (b, farther)| {
            let climbs = a.climbs().cmp(&b.climbs());
            climbs.then(far.total_cmp(farther))
        });
        nearest.map(|(known, _)| known.start())
    }

    fn make_room(&mut self) {
        if self.kinds.len() >= KINDS_MAX {
            let oldest = self.kinds.iter().min_by_key(|(_, known)| known.used);
            let oldest = oldest.map(|(kind, _)| kind.clone());
            oldest.and_then(|kind| self.kinds.remove(&kind));
        }
    }

    /// Learns from a run that gave outputs.
    fn ran(&mut self, kind: &LaneKind, size: usize, secs: f64) {
        self.runs += 1;
        let known = self.known(kind);
        let (off, of) = (known.curve.off(size, secs), known.family().clone());
        // A kind by itself has nobody to share with.
        if self.kinds.len() == 1 {
            return self.known(kind).ran(size, secs, None);
        }
        if self.families.len() >= FAMILIES_MAX && !self.families.contains_key(&of) {
            return self.known(kind).ran(size, secs, None);
        }
        let family = self.families.entry(of.clone()).or_default();
        let replicas = self.replicas;
        let slower = off.and_then(|(off, bearable)| family.slow_down(off, bearable, replicas));
        if let Some(times) = slower {
            let kinds = self.kinds.values_mut();
            let akin = kinds.filter(|known| *known.family() == of);
            akin.for_each(|known| known.slow_down(times));
        }
        if let Some(known) = self.kinds.get_mut(kind) {
            known.ran(size, secs, Some(family));
        }
    }
}

impl BatchPolicy for LearnedPolicy {
    fn decide(&mut self, view: &QueueView<'_>) -> Decision {
        let max_queue_delay = self.max_queue_delay;
        self.replicas = view.replicas();
        let known = self.known(view.kind());
        known.budget = view.tightest_budget();
        let waiting = view.waiting();
        let cap = view.batch_size_max();
        let size = known.size(waiting, cap);
        let size = match known.insists_on(size) {
            true => size,
            false => in_time(known, view, size),
        };
        if size < waiting || size >= known.target().min(cap) {
            return Decision::Run(shared(known, view, size));
        }
        match due(known, view, max_queue_delay) {
            Some(due) => Decision::WaitUntil(due),
            None => Decision::Run(shared(known, view, size)),
        }
    }

    fn started(&mut self, kind: &LaneKind, size: usize) {
        if let Some(known) = self.kinds.get_mut(kind) {
            known.started(size);
        }
    }

    fn observe(&mut self, kind: &LaneKind, size: usize, elapsed: Duration, outcome: RunOutcome) {
        match outcome {
            RunOutcome::Succeeded => self.ran(kind, size, elapsed.as_secs_f64()),
            RunOutcome::OutOfMemory | RunOutcome::Failed => self.known(kind).failed(size),
        }
    }

    fn predict(&self, kind: &LaneKind, size: usize) -> Option<Duration> {
        let secs = self.kinds.get(kind)?.curve.secs(size)?;
        Duration::try_from_secs_f64(secs).ok()
    }

    fn target(&self, kind: &LaneKind) -> Option<usize> {
        self.kinds.get(kind).map(Known::target)
    }

    fn replaced(&mut self) {
        self.kinds.values_mut().for_each(Known::doubt);
        self.families.values_mut().for_each(Family::doubt);
    }
}

/// No larger than deadlines allow, as long as that costs no more than half of the rate.
fn in_time(known: &Known, view: &QueueView<'_>, size: usize) -> usize {
    let budget = view.tightest_budget();
    let budget = budget.map_or(f64::INFINITY, |budget| budget.as_secs_f64() * BUDGET_SHARE);
    let size = known.within(size, budget).unwrap_or(size);
    let Some(deadline) = view.earliest_deadline() else {
        return size;
    };
    let left = deadline.saturating_duration_since(view.now()).as_secs_f64();
    match known.within(size, left * DEADLINE_SHARE) {
        Some(urgent) if urgent < size => {
            let rate = |size: usize| known.curve.secs(size).map(|secs| size as f64 / secs);
            let enough = rate(urgent) >= rate(size).map(|rate| rate * URGENT_RATE);
            if enough { urgent } else { size }
        }
        _ => size,
    }
}

/// With other replicas free, an even part for each, where that ends clearly earlier.
fn shared(known: &Known, view: &QueueView<'_>, size: usize) -> usize {
    let free = view.replicas_free().max(1);
    let part = size.div_ceil(free);
    if part == size || size < view.waiting() {
        return size;
    }
    match (known.curve.secs(part), known.curve.secs(size)) {
        (Some(alone), Some(together)) if alone < together * 0.75 => part,
        _ => size,
    }
}

/// Until when to wait for more, if waiting pays: when all that wait and all that are expected
/// are done earlier on the whole than if what waits ran now.
fn due(
    known: &mut Known,
    view: &QueueView<'_>,
    max_queue_delay: Option<Duration>,
) -> Option<Instant> {
    let (now, oldest) = (view.now(), view.oldest());
    let waited = known.wait.filter(|(of, _)| *of == oldest);
    let limit = waited.map(|(_, until)| until);
    let limit = match max_queue_delay {
        Some(delay) => Some(limit.map_or(oldest + delay, |limit| limit.min(oldest + delay))),
        None => limit,
    };
    if limit.is_some_and(|limit| limit <= now) || view.replicas_free() > 1 {
        return None;
    }
    let pace = view.arrivals_per_second();
    let (alone, wait) = best_wait(known, view, pace)?;
    let mut until = now + Duration::try_from_secs_f64(wait.min(alone)).ok()?;
    if let Some(limit) = limit {
        until = until.min(limit);
    }
    if let Some(deadline) = view.earliest_deadline() {
        let run = Duration::try_from_secs_f64(alone * 2.0).ok()?;
        until = until.min(deadline.checked_sub(run).unwrap_or(now));
    }
    if until <= now {
        return None;
    }
    if waited.is_none() {
        known.wait = Some((oldest, until));
    }
    Some(until)
}

/// How long what waits takes by itself, and the wait that gains most, both in seconds.
fn best_wait(known: &Known, view: &QueueView<'_>, pace: f64) -> Option<(f64, f64)> {
    if pace <= 0.0 {
        return None;
    }
    let waiting = view.waiting();
    let most = known.target().min(view.batch_size_max());
    let alone = known.curve.secs(waiting)?;
    // Those that come while this batch runs go to whichever replica is free next.
    let turn = alone / view.replicas().max(1) as f64;
    let fill = most.saturating_sub(waiting);
    let equal = ((pace * turn) as usize).saturating_sub(waiting);
    let mut best: Option<(f64, f64)> = None;
    for more in [1, waiting, equal, fill] {
        if more == 0 || more > fill {
            continue;
        }
        let wait = more as f64 / pace;
        let (together, later) = (known.curve.secs(waiting + more)?, known.curve.secs(more)?);
        let (here, there) = (waiting as f64, more as f64);
        let apart = here * alone + there * (turn + later);
        let gain = apart - (here + there) * (wait + together);
        if gain > apart * WAIT_GAINS && best.is_none_or(|(most, _)| gain > most) {
            best = Some((gain, wait));
        }
    }
    // What comes is not even: some patience more than it should take.
    best.map(|(_, wait)| (alone, wait * 1.5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::{Tensor, Tensors};

    fn kind(length: usize) -> LaneKind {
        let tensor = Tensor::from_slice(vec![length], &vec![0u8; length]).unwrap();
        LaneKind::of(&Tensors::from_named([("x".into(), tensor)]).unwrap())
    }

    /// Kinds of these lengths have run batches of these sizes, at a second for 1,024 elements.
    fn policy(preferred: &[usize], lengths: &[usize], sizes: &[usize]) -> LearnedPolicy {
        let config = Config {
            preferred_batch_sizes: preferred.to_vec(),
            ..Config::default()
        };
        let mut policy = LearnedPolicy::of(&config, &BatchHints::default());
        for size in sizes {
            for length in lengths {
                ran(&mut policy, *length, *size, 1);
            }
        }
        policy
    }

    fn ran(policy: &mut LearnedPolicy, length: usize, size: usize, times: u32) {
        let elapsed = Duration::from_secs(1).mul_f64((64 + length * size) as f64 / 1_024.0);
        policy.observe(&kind(length), size, elapsed * times, RunOutcome::Succeeded);
    }

    #[test]
    fn a_kind_begins_with_as_many_elements_once_three_have_run() {
        let mut two = policy(&[], &[16, 32], &[1, 2, 4, 8]);
        assert_eq!(two.known(&kind(24)).size(100, 100), 1);
        let mut three = policy(&[], &[16, 32, 64], &[1, 2, 4, 8]);
        let size = three.known(&kind(24)).size(100, 100);
        assert!((8..=32).contains(&size), "{size}");
    }

    #[test]
    fn a_kind_does_not_begin_like_one_that_only_began_like_others() {
        let mut policy = policy(&[], &[16, 24, 32], &[1, 2, 4, 8, 16, 32, 64]);
        let like = policy.known(&kind(64)).size(1_000, 1_000);
        assert!(like > 1, "{like}");
        // It has run, but alone: what it takes to be possible rests on shorter ones.
        ran(&mut policy, 64, 1, 1);
        assert_eq!(policy.known(&kind(256)).size(1_000, 1_000), 1);
    }

    #[test]
    fn a_kind_begins_with_a_preferred_size() {
        let mut policy = policy(&[8, 32], &[16, 24, 32], &[8, 32, 8, 32]);
        for length in [8, 20, 60, 100] {
            let size = policy.known(&kind(length)).size(1_000, 1_000);
            assert!([8, 32].contains(&size), "{length}: {size}");
        }
    }

    #[test]
    fn one_standstill_of_all_replicas_slows_nobody_down() {
        let sizes = [1, 2, 4, 8, 8, 8];
        let mut policy = policy(&[], &[16, 24, 32, 40], &sizes);
        policy.replicas = 2;
        let before = policy.predict(&kind(32), 8).unwrap();
        ran(&mut policy, 16, 8, 100);
        ran(&mut policy, 24, 8, 100);
        assert_eq!(policy.predict(&kind(32), 8).unwrap(), before);
        // A third in a row is no accident; then all are slow, and all are quick again.
        ran(&mut policy, 16, 8, 100);
        let slow = policy.predict(&kind(32), 8).unwrap();
        assert!(slow > before * 50, "{slow:?} after {before:?}");
        for length in [16, 24, 40] {
            ran(&mut policy, length, 8, 1);
        }
        let again = policy.predict(&kind(32), 8).unwrap();
        assert!(again < before * 2, "{again:?} after {before:?}");
    }
}
