//! What the learned policy knows of one kind of examples, and what it tries next.
//!
//! At first the batch doubles for as long as that pays (the climb). Then it stays, and now
//! and then one batch is of another size: larger, smaller, or between the best and the next
//! that was tried. What such tries may lose is bounded: 1 % of the time that runs take is
//! put aside for them, and a try is made when its loss is paid for; and they become rarer
//! for as long as they find nothing.
//!
//! One run proves nothing: the machine may have stood still meanwhile. A size that seems so
//! dear that it would end the climb is run once more first, and what seems too dear to try is
//! dared all the same, ever more rarely; where it has become cheap, the climb begins again.
//!
//! A kind that has not run yet begins where those most like it are, and takes from its family
//! what its own runs do not prove (see `family.rs`).

mod kin;

pub(super) use self::kin::Start;

use super::curve::Curve;
use super::family::Family;
use crate::kind::LaneKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Sizes whose rate is so much below the best are as good, and the smallest of them is taken.
const AS_GOOD: f64 = 0.01;
/// The size in use stays until it is so much below the best.
const STAYS: f64 = 0.02;
/// And by so much of the noise more.
const STAYS_IN_NOISE: f64 = 0.1;
/// A doubling that gains less is not worth another, twice in a row.
const CLIMB_GAINS: f64 = 0.03;
/// A doubling that loses so much ends the climb.
const CLIMB_LOSES: f64 = 0.1;
/// The part of the time that tries may lose.
const TRIES_LOSE: f64 = 0.01;
/// Batches between two tries, at first and at most.
const TRY_EVERY: u32 = 8;
const TRY_EVERY_MAX: u32 = 512;
/// Batches after which double the target is tried although it seems too dear, at first and
/// at most, and how many times as many before the next time: what makes it seem so may be
/// long over, and nothing else would ever show it.
const DARE_EVERY: u32 = 16;
const DARE_EVERY_MAX: u32 = 65_536;
const DARE_RARER: u32 = 4;
/// A dared run that takes less than this part of what was expected is made once more.
const MUCH_CHEAPER: f64 = 0.7;
/// Batches before a try that is expected to gain.
const TRY_SOON: u32 = 3;
/// Batches between two looks at whether a try would gain.
const LOOK_EVERY: u32 = 8;
/// The longest batch that is tried without a deadline that allows it.
const TRY_TIME_MAX: f64 = 2.0;
/// The part of the least time that callers give which a run may take: they wait for one run
/// before their own.
pub(super) const BUDGET_SHARE: f64 = 0.45;

/// What is known of one kind.
pub(super) struct Known {
    pub(super) curve: Curve,
    most: usize,
    preferred: Vec<usize>,
    /// The elements of an example.
    each: f64,
    /// The kind without its lengths.
    family: Arc<LaneKind>,
    /// Whether the family has learned from its runs.
    joined: bool,
    /// The largest size that ran, or has as many elements as what ran of another kind.
    largest: usize,
    /// The elements of an example of the kind that ran it.
    origin: f64,
    /// Whether the climb is this kind's own affair, whatever its family knows.
    own_climb: bool,
    /// Runs so far.
    runs: u32,
    /// What had run of all kinds when this one last looked where to begin.
    pub(super) begun: u64,
    /// The size for when enough waits.
    target: usize,
    /// Doublings in a row that gained little, while climbing.
    climb: Option<u32>,
    /// A size to run once.
    probe: Option<usize>,
    running: Option<usize>,
    since_try: u32,
    try_every: u32,
    /// Whether the try seems too dear.
    daring: bool,
    since_dare: u32,
    dare_every: u32,
    /// A size to run once more before its cost is believed, and the best rate without it.
    doubted: Option<(usize, f64)>,
    /// What the next try looks for.
    tack: usize,
    /// Seconds that tries may lose.
    credit: f64,
    /// Until when to wait, for the examples of which the oldest came at that time.
    pub(super) wait: Option<(Instant, Instant)>,
    pub(super) budget: Option<Duration>,
    pub(super) used: u64,
}

// === impl Known ===

impl Known {
    /// Nothing is known of a kind's batches up to a size.
    pub(super) fn new(kind: &LaneKind, most: usize, preferred: &[usize]) -> Self {
        let preferred: Vec<usize> = preferred.to_vec();
        Self {
            curve: Curve::new(most, &preferred),
            most,
            each: kind.elements(),
            family: Arc::new(kind.without_lengths()),
            joined: false,
            largest: 0,
            origin: kind.elements(),
            own_climb: false,
            runs: 0,
            begun: 0,
            target: preferred.first().copied().unwrap_or(1),
            preferred,
            climb: Some(0),
            probe: None,
            running: None,
            since_try: 0,
            try_every: TRY_EVERY,
            daring: false,
            since_dare: 0,
            dare_every: DARE_EVERY,
            doubted: None,
            tack: 0,
            credit: 0.0,
            wait: None,
            budget: None,
            used: 0,
        }
    }

    /// Whether nothing of this kind has run yet.
    pub(super) fn is_assumed(&self) -> bool {
        self.runs == 0
    }

    /// Double of what has run; no bound where nothing has.
    fn double_most(&self) -> usize {
        match self.largest {
            0 => usize::MAX,
            largest => largest.saturating_mul(2),
        }
    }

    /// Whether it is still looking for the size at which larger batches gain no more.
    pub(super) fn climbs(&self) -> bool {
        self.climb.is_some()
    }

    pub(super) fn target(&self) -> usize {
        self.target
    }

    /// The size to run of so many that may run and wait.
    pub(super) fn size(&self, waiting: usize, cap: usize) -> usize {
        let cap = cap.min(self.most).max(1);
        if let Some(probe) = self.probe.filter(|probe| *probe <= waiting.min(cap)) {
            return probe;
        }
        if self.is_assumed() {
            return self.target.min(self.double_most()).min(waiting).min(cap);
        }
        // No more than double of what has run before.
        let most = match self.doubted {
            Some(_) => waiting.min(cap).min(self.largest),
            None => waiting.min(cap).min(self.largest.saturating_mul(2)),
        };
        if self.climb.is_some() && most > self.largest {
            return self.allowed(most);
        }
        if self.target <= most {
            return self.target;
        }
        self.allowed(most)
    }

    /// Whether that size runs whatever it seems to cost: to see whether that is still so.
    pub(super) fn insists_on(&self, size: usize) -> bool {
        let doubted = self.doubted.is_some_and(|(doubted, _)| doubted == size);
        self.probe == Some(size) && (self.daring || doubted)
    }

    /// The smallest size up to `most` that is about as good as any, `most` itself included.
    fn best(&self, most: usize) -> usize {
        let rate = |size: usize| self.curve.secs(size).map(|secs| size as f64 / secs);
        let own = rate(most).unwrap_or(0.0);
        let seen = || self.curve.rates().take_while(|(size, _)| *size < most);
        let best = seen().map(|(_, rate)| rate).fold(own, f64::max);
        let good = seen().find(|(_, rate)| *rate >= best * (1.0 - AS_GOOD));
        good.map_or(most, |(size, _)| size.max(1))
    }

    fn allowed(&self, most: usize) -> usize {
        let up_to = |most: usize| self.preferred.iter().copied().rfind(|size| *size <= most);
        match up_to(most) {
            _ if self.climb.is_some() && most > self.largest => up_to(most).unwrap_or(most),
            Some(size) if self.best(size) <= size => size,
            _ => self.best(most),
        }
    }

    /// The best rate that is known, in examples a second.
    pub(super) fn best_rate(&self) -> f64 {
        self.curve.rates().map(|(_, rate)| rate).fold(0.0, f64::max)
    }

    /// The largest size up to `size` that takes no longer than that; `None` when none does.
    pub(super) fn within(&self, size: usize, secs: f64) -> Option<usize> {
        if self.curve.secs(size).is_none_or(|takes| takes <= secs) {
            return Some(size);
        }
        // Costs rise with the size all but always: halving finds the edge.
        let (mut fits, mut fails) = (0, size);
        while fails - fits > 1 {
            let middle = fits + (fails - fits) / 2;
            match self.curve.secs(middle).is_some_and(|takes| takes <= secs) {
                true => fits = middle,
                false => fails = middle,
            }
        }
        (fits > 0).then_some(fits)
    }

    /// A batch of that size has begun.
    pub(super) fn started(&mut self, size: usize) {
        self.wait = None;
        if self.probe == Some(size) {
            self.probe = None;
            self.running = Some(size);
            self.since_try = 0;
        }
    }

    /// A batch gave outputs.
    pub(super) fn ran(&mut self, size: usize, secs: f64, family: Option<&mut Family>) {
        let secs = secs.max(1e-9);
        // Before the first run all is assumed.
        let first = self.is_assumed();
        let best = if first { 0.0 } else { self.best_rate() };
        let expected = self.curve.secs(size).filter(|_| !first);
        self.runs = self.runs.saturating_add(1);
        let moved = match family {
            Some(family) => self.learn_with(size, secs, family),
            None => self.curve.observe(size, secs),
        };
        let typical = self.curve.secs(self.target).unwrap_or(secs);
        self.credit = (self.credit + TRIES_LOSE * secs).min(64.0 * typical);
        let was_try = self.running == Some(size);
        let mut dared = false;
        if was_try {
            self.running = None;
            dared = std::mem::take(&mut self.daring);
            let lost = secs - size as f64 / best.max(1e-12);
            if self.climb.is_none() {
                self.credit -= lost.max(0.0);
            }
        }
        let again = self.doubted.take_if(|(doubted, _)| *doubted == size);
        if size >= self.largest {
            self.origin = self.each;
        }
        if size > self.largest {
            self.largest = size;
            self.climbed(size, secs, best, false);
        } else if let Some((_, best)) = again {
            self.looked_again(size, best);
        } else if dared && expected.is_some_and(|expected| secs < expected * MUCH_CHEAPER) {
            self.doubted = Some((size, best));
        }
        self.since_try = self.since_try.saturating_add(1);
        self.since_dare = self.since_dare.saturating_add(1);
        // What has run meanwhile, because so many waited, need not be tried.
        let done = |probe: usize| probe == size || (self.climb.is_some() && probe <= self.largest);
        if self.probe.is_some_and(done) {
            self.probe = None;
        }
        let before = self.target;
        self.aim();
        if moved {
            self.look_around();
        } else if self.target != before && self.climb.is_none() {
            self.try_every = TRY_EVERY;
            self.dare_every = DARE_EVERY;
        } else if was_try {
            self.try_every = self.try_every.saturating_mul(2).min(TRY_EVERY_MAX);
        }
        if self.probe.is_none() && self.running.is_none() {
            self.probe = self.next_try();
        }
    }

    /// Everything else is only assumed: tries other sizes at once.
    fn look_around(&mut self) {
        let typical = self.curve.secs(self.target).unwrap_or_default();
        self.try_every = TRY_SOON;
        self.tack = 0;
        self.credit = self.credit.max(2.0 * typical);
    }

    /// A batch failed: nothing is known of its cost.
    pub(super) fn failed(&mut self, size: usize) {
        if self.running == Some(size) {
            self.running = None;
            self.daring = false;
        }
        if self.probe.is_some_and(|probe| probe >= size) {
            self.probe = None;
            self.daring = false;
        }
        self.doubted.take_if(|(doubted, _)| *doubted >= size);
    }

    /// Another handler: all is doubtful, and the climb may go further.
    pub(super) fn doubt(&mut self) {
        self.curve.doubt();
        self.try_every = TRY_EVERY;
    }

    /// A size whose cost was doubted has run once more.
    fn looked_again(&mut self, size: usize, best: f64) {
        let secs = self.curve.secs(size).unwrap_or(f64::INFINITY);
        if self.climb.is_some() {
            self.climbed(size, secs, best, true);
        } else if size as f64 / secs.max(1e-12) > best * (1.0 + CLIMB_GAINS) {
            // What was learned of still larger sizes is as old.
            self.curve.forget_above(size);
            self.largest = size;
            self.climb = Some(0);
            self.own_climb = true;
            self.dare_every = DARE_EVERY;
        }
    }

    /// Whether to go on climbing after the largest batch so far.
    fn climbed(&mut self, size: usize, secs: f64, best: f64, again: bool) {
        let Some(flat) = self.climb else {
            return;
        };
        let rate = size as f64 / secs.max(1e-12);
        let flat = if rate > best * (1.0 + CLIMB_GAINS) {
            0
        } else {
            flat + 1
        };
        let lost = rate < best * (1.0 - CLIMB_LOSES - self.curve.noise());
        if lost && !again {
            self.doubted = Some((size, best));
            return;
        }
        self.climb = (!lost && flat < 2 && size < self.most).then_some(flat);
    }

    /// Sets the size for when enough waits.
    fn aim(&mut self) {
        let most = self.double_most();
        let fits = |size: usize| {
            size <= most && (self.preferred.is_empty() || self.preferred.contains(&size))
        };
        let rates = || self.curve.rates().filter(|(size, _)| fits(*size));
        let best = rates().map(|(_, rate)| rate).fold(0.0, f64::max);
        let Some((good, _)) = rates().find(|(_, rate)| *rate >= best * (1.0 - AS_GOOD)) else {
            return;
        };
        let current = self.curve.secs(self.target).filter(|_| fits(self.target));
        let rate = current.map_or(0.0, |secs| self.target as f64 / secs);
        let bearable = self.target <= good.saturating_mul(4) && self.target <= self.largest;
        // The more runs scatter, the less a small difference means.
        let stays = STAYS + self.curve.noise() * STAYS_IN_NOISE;
        if !(bearable && rate >= best * (1.0 - stays)) {
            self.target = good.max(1);
        }
    }

    /// A size to try next, if it is time to.
    fn next_try(&mut self) -> Option<usize> {
        if let Some((size, _)) = self.doubted {
            return Some(size);
        }
        let longest = self
            .budget
            .map(|budget| budget.as_secs_f64() * BUDGET_SHARE);
        let longest = longest.unwrap_or(f64::INFINITY).min(TRY_TIME_MAX);
        let bearable =
            |known: &Self, size: usize| known.curve.secs(size).is_none_or(|secs| secs <= longest);
        let double = self.double(self.largest);
        if self.climb.is_some() {
            return double.filter(|size| bearable(self, *size));
        }
        if self.since_dare >= self.dare_every {
            self.since_dare = 0;
            self.dare_every = self
                .dare_every
                .saturating_mul(DARE_RARER)
                .min(DARE_EVERY_MAX);
            let double = self.double(self.target);
            let dear = |size: usize| !self.is_paid_for(size) || !bearable(self, size);
            if let Some(size) = double.filter(|size| dear(*size) && self.may_dare(*size, longest)) {
                self.daring = true;
                return Some(size);
            }
        }
        if self.since_try % LOOK_EVERY == TRY_SOON {
            let gain = |size: usize| {
                let secs = self.curve.extrapolated(size)?;
                Some(size as f64 / secs / self.best_rate().max(1e-12))
            };
            let promising = double.filter(|size| gain(*size).is_some_and(|gain| gain > 1.02));
            if let Some(size) = promising.filter(|size| bearable(self, *size)) {
                return Some(size);
            }
        }
        if self.since_try < self.try_every {
            return None;
        }
        for _ in 0..4 {
            self.tack = (self.tack + 1) % 4;
            let size = match self.tack {
                1 => self.snapped(self.target / 2),
                2 => self.double(self.target),
                3 => self.between(),
                _ => double.filter(|_| self.may_go_on()),
            };
            let new = size.filter(|size| *size != self.target && *size <= self.most);
            if let Some(size) = new.filter(|size| self.is_paid_for(*size) && bearable(self, *size))
            {
                return Some(size);
            }
        }
        None
    }

    /// Whether a size would take no longer than that if it cost in proportion to the target.
    fn may_dare(&self, size: usize, longest: f64) -> bool {
        let secs = self.curve.secs(self.target).unwrap_or_default();
        secs * size as f64 / self.target.max(1) as f64 <= longest
    }

    /// Whether the loss that a try is expected to make can be borne.
    fn is_paid_for(&self, size: usize) -> bool {
        let secs = self.curve.secs(size).unwrap_or_default();
        let lost = secs - size as f64 / self.best_rate().max(1e-12);
        // An unknown size may cost more than it seems.
        let sure = if self.curve.is_sure_of(size) || self.curve.is_of_family(size) {
            0.0
        } else {
            0.25
        };
        lost.max(secs * sure) <= self.credit
    }

    /// Whether what lies beyond the largest size is worth a look: not behind a cliff.
    fn may_go_on(&self) -> bool {
        let last = self.curve.tried().next_back();
        last.is_some_and(|(_, rate)| rate > self.best_rate() * (1.0 - 2.0 * CLIMB_LOSES))
    }

    fn snapped(&self, size: usize) -> Option<usize> {
        if self.preferred.is_empty() {
            return (size > 0).then(|| self.curve.top(size).min(self.most));
        }
        self.preferred.iter().copied().rfind(|known| *known <= size)
    }

    fn double(&self, size: usize) -> Option<usize> {
        let double = size.saturating_mul(2).clamp(1, self.most);
        let snapped = match self.preferred.is_empty() {
            true => Some(double),
            false => self
                .preferred
                .iter()
                .copied()
                .rfind(|known| *known <= double),
        };
        snapped.filter(|snapped| *snapped > size)
    }

    /// Between the target and the next larger size that was seen.
    fn between(&self) -> Option<usize> {
        let above = self.curve.tried().find(|(size, _)| *size > self.target);
        let (above, _) = above?;
        let middle = self.curve.top(self.target + (above - self.target) / 2);
        (middle < above)
            .then_some(middle)
            .and_then(|size| self.snapped(size))
    }
}
