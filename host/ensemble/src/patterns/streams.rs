//! The states of streams and whose turn it is: a bounded table.
//!
//! A call takes a ticket for each of its keys, all under one lock, so that calls which share
//! several keys never wait for one another in a circle. The ticket in front of a key's line
//! has the turn. A ticket that is dropped leaves its line, wherever it stands.

use super::metrics::{PatternMetrics, labels, outcome_labels};
use consort_inference::{Key, StreamStates, TenantId, Tensor};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Whose state it is.
pub(super) type StreamKey = (TenantId, Key);

/// The state of one key; nothing is as good as zeros.
pub(super) type State = Option<Vec<Tensor>>;

/// All streams of one step.
pub(super) struct Streams {
    step: Arc<str>,
    keys_max: usize,
    waiting_max: usize,
    idle: Duration,
    table: Mutex<Table>,
    metrics: PatternMetrics,
}

#[derive(Default)]
struct Table {
    streams: HashMap<StreamKey, Stream>,
    /// Streams without tickets, the longest idle first.
    idle: BTreeMap<u64, StreamKey>,
    /// Numbers tickets, and moments of becoming idle.
    clock: u64,
    tickets: usize,
}

struct Stream {
    state: State,
    line: VecDeque<(u64, Arc<Notify>)>,
    /// Its place among the idle and since when, if it is.
    idle: Option<(u64, Instant)>,
}

/// A place in the line of a key.
pub(super) struct Ticket {
    streams: Arc<Streams>,
    key: StreamKey,
    number: u64,
}

/// Why there is no ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    /// So many keys are at work that there is no room for another.
    Keys,
    /// So many calls wait.
    Waiting,
}

// === impl Streams ===

impl Streams {
    pub(super) fn new(
        step: Arc<str>,
        keys_max: usize,
        waiting_max: usize,
        idle: Duration,
        metrics: PatternMetrics,
    ) -> Arc<Self> {
        Arc::new(Self {
            step,
            keys_max,
            waiting_max,
            idle,
            table: Mutex::default(),
            metrics,
        })
    }

    /// How many keys have a state or wait for one.
    pub(super) fn len(&self) -> usize {
        self.lock().streams.len()
    }

    /// A ticket for each key, in the order of all calls; `turns` is told when one's turn
    /// comes.
    pub(super) fn tickets(
        self: &Arc<Self>,
        keys: &[StreamKey],
        turns: &Arc<Notify>,
    ) -> Vec<Result<Ticket, Busy>> {
        let now = Instant::now();
        let mut table = self.lock();
        self.expire(&mut table, now);
        let tickets = keys
            .iter()
            .map(|key| {
                let number = self.join_line(&mut table, key, turns)?;
                Ok(Ticket {
                    streams: self.clone(),
                    key: key.clone(),
                    number,
                })
            })
            .collect();
        self.measure(&table);
        tickets
    }

    fn join_line(
        &self,
        table: &mut Table,
        key: &StreamKey,
        turns: &Arc<Notify>,
    ) -> Result<u64, Busy> {
        if table.tickets >= self.waiting_max {
            return Err(Busy::Waiting);
        }
        if !table.streams.contains_key(key) {
            if table.streams.len() >= self.keys_max {
                let (_, oldest) = table.idle.pop_first().ok_or(Busy::Keys)?;
                table.streams.remove(&oldest);
                self.dropped("room", 1);
            }
            let stream = Stream {
                state: None,
                line: VecDeque::new(),
                idle: None,
            };
            table.streams.insert(key.clone(), stream);
        }
        table.clock += 1;
        table.tickets += 1;
        let number = table.clock;
        if let Some(stream) = table.streams.get_mut(key) {
            if let Some((place, _)) = stream.idle.take() {
                table.idle.remove(&place);
            }
            stream.line.push_back((number, turns.clone()));
        }
        Ok(number)
    }

    /// Forgets what was idle for too long.
    fn expire(&self, table: &mut Table, now: Instant) {
        let mut expired = 0;
        while let Some(entry) = table.idle.first_entry() {
            let since = |stream: &Stream| stream.idle.map(|(_, since)| since);
            let since = table.streams.get(entry.get()).and_then(since);
            if since.is_some_and(|since| now.duration_since(since) < self.idle) {
                break;
            }
            let key = entry.remove();
            table.streams.remove(&key);
            expired += 1;
        }
        self.dropped("idle", expired);
    }

    fn dropped(&self, why: &'static str, count: u64) {
        if count > 0 {
            let labels = outcome_labels(&self.step, why);
            self.metrics
                .state_dropped
                .get_or_create(&labels)
                .inc_by(count);
        }
    }

    fn measure(&self, table: &Table) {
        let count = i64::try_from(table.streams.len()).unwrap_or(i64::MAX);
        self.metrics
            .state_keys
            .get_or_create(&labels(&self.step))
            .set(count);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamStates for Streams {
    /// What is at work on the stream goes on, and its state is kept.
    fn forget(&self, tenant: &TenantId, key: &Key) {
        let key = (tenant.clone(), key.clone());
        let mut table = self.lock();
        let table = &mut *table;
        let Some(stream) = table.streams.get_mut(&key) else {
            return;
        };
        stream.state = None;
        if let Some((place, _)) = stream.idle {
            table.idle.remove(&place);
            table.streams.remove(&key);
            self.measure(table);
        }
    }
}

// === impl Ticket ===

impl Ticket {
    /// The state, where it is this ticket's turn.
    pub(super) fn state(&self) -> Option<State> {
        let table = self.streams.lock();
        let stream = table.streams.get(&self.key)?;
        let (first, _) = stream.line.front()?;
        (*first == self.number).then(|| stream.state.clone())
    }

    /// Puts a new state in place of the old; only who has the turn does.
    pub(super) fn keep(&self, state: Vec<Tensor>) {
        let mut table = self.streams.lock();
        if let Some(stream) = table.streams.get_mut(&self.key) {
            stream.state = Some(state);
        }
    }
}

impl Drop for Ticket {
    /// Leaves the line, and gives the turn on if this one had it. A stream that nobody waits
    /// for and that has no state is no stream.
    fn drop(&mut self) {
        let mut table = self.streams.lock();
        let table = &mut *table;
        let Some(stream) = table.streams.get_mut(&self.key) else {
            return;
        };
        stream.line.retain(|(number, _)| *number != self.number);
        table.tickets -= 1;
        match stream.line.front() {
            Some((_, turns)) => turns.notify_one(),
            None if stream.state.is_none() => {
                table.streams.remove(&self.key);
                self.streams.measure(table);
            }
            None => {
                table.clock += 1;
                stream.idle = Some((table.clock, Instant::now()));
                table.idle.insert(table.clock, self.key.clone());
            }
        }
    }
}
