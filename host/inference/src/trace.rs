//! Where the time of one call went: spans, each with a begin and an end, one inside another.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Spans a trace keeps when nothing else is said; a call that has more is cut short.
const SPANS_MAX_DEFAULT: usize = 4096;

/// Collects the spans of one call. Clones share them; a handle that [`Trace::enter`] gave
/// puts its spans inside the one entered.
#[derive(Debug, Clone)]
pub struct Trace {
    spans: Arc<Mutex<Spans>>,
    /// Where its spans lie.
    inside: Option<SpanId>,
    /// The span it ends.
    entered: Option<SpanId>,
}

/// The place of a span among all of its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub usize);

/// Something that took time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The span it lies in.
    pub inside: Option<SpanId>,
    /// What it is called: the step's name, say.
    pub name: Arc<str>,
    /// What it is: `plugin`, `model`, `ensemble`.
    pub kind: &'static str,
    /// When it began.
    pub begin: Instant,
    /// When it ended; `None` where it was abandoned or still goes on.
    pub end: Option<Instant>,
    /// What a person might want to know besides.
    pub detail: String,
}

#[derive(Debug)]
struct Spans {
    kept: Vec<Span>,
    spans_max: usize,
    /// How many there was no room for.
    left_out: u64,
}

// === impl Trace ===

impl Trace {
    /// A trace without spans, of at most `spans_max` of them.
    pub fn new(spans_max: usize) -> Self {
        let spans = Spans {
            kept: Vec::new(),
            spans_max,
            left_out: 0,
        };
        Self {
            spans: Arc::new(Mutex::new(spans)),
            inside: None,
            entered: None,
        }
    }

    /// Begins a span; what is told to the handle lies inside it. [`Trace::leave`] ends it.
    #[must_use = "the handle is what ends the span"]
    pub fn enter(&self, name: impl Into<Arc<str>>, kind: &'static str, begin: Instant) -> Self {
        let span = Span {
            inside: self.inside,
            name: name.into(),
            kind,
            begin,
            end: None,
            detail: String::new(),
        };
        let entered = self.lock().add(span);
        Self {
            spans: self.spans.clone(),
            // What has no room for itself has its spans where it would lie.
            inside: entered.or(self.inside),
            entered,
        }
    }

    /// Ends the span that [`Trace::enter`] gave this handle for.
    pub fn leave(&self, end: Instant, detail: impl Into<String>) {
        let mut spans = self.lock();
        let entered = self.entered.and_then(|id| spans.kept.get_mut(id.0));
        if let Some(span) = entered.filter(|span| span.end.is_none()) {
            span.end = Some(end);
            span.detail = detail.into();
        }
    }

    /// Adds a span that is over.
    pub fn span(
        &self,
        name: impl Into<Arc<str>>,
        kind: &'static str,
        begin: Instant,
        end: Instant,
        detail: impl Into<String>,
    ) {
        let span = Span {
            inside: self.inside,
            name: name.into(),
            kind,
            begin,
            end: Some(end),
            detail: detail.into(),
        };
        self.lock().add(span);
    }

    /// All spans so far, in order of their begin; [`SpanId`] is an index into it.
    pub fn spans(&self) -> Vec<Span> {
        self.lock().kept.clone()
    }

    /// How many spans there was no room for.
    pub fn left_out(&self) -> u64 {
        self.lock().left_out
    }

    fn lock(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new(SPANS_MAX_DEFAULT)
    }
}

impl PartialEq for Trace {
    /// Whether both are handles of one trace, at one place.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.spans, &other.spans) && self.inside == other.inside
    }
}

impl Eq for Trace {}

// === impl Spans ===

impl Spans {
    fn add(&mut self, span: Span) -> Option<SpanId> {
        if self.kept.len() >= self.spans_max {
            self.left_out += 1;
            return None;
        }
        self.kept.push(span);
        Some(SpanId(self.kept.len() - 1))
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "this crate knows no other clock, and only needs some instant"
)]
mod tests {
    use super::*;

    #[test]
    fn spans_lie_inside_the_one_entered_and_are_bounded() {
        let (trace, now) = (Trace::new(3), Instant::now());
        let outer = trace.enter("search", "ensemble", now);
        outer.span("tokens", "plugin", now, now, "2 examples");
        let open = outer.enter("model", "model", now);
        // There is no room: it counts, and what it holds is where it would be.
        open.enter("inner", "model", now).leave(now, "");
        outer.leave(now, "2 examples");
        let told: Vec<_> = trace
            .spans()
            .into_iter()
            .map(|span| (span.name.to_string(), span.inside, span.end.is_some()))
            .collect();
        assert_eq!(
            told,
            [
                ("search".to_owned(), None, true),
                ("tokens".to_owned(), Some(SpanId(0)), true),
                ("model".to_owned(), Some(SpanId(0)), false),
            ]
        );
        assert_eq!(trace.left_out(), 1);
    }
}
