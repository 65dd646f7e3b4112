//! What a guest writes: to the log, to standard output and to standard error. Every byte
//! is escaped, counted and, past the limit of a call, dropped.

use crate::metrics::PluginMetrics;
use consort_inference::{PluginName, TenantId};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A line is cut into pieces of this many bytes, so that a guest that never ends a line
/// makes the host keep no more than that.
const LINE_BYTES_MAX: usize = 4096;

/// What a line counts besides its text: its time, plugin and tenant are written too, so
/// that many empty lines are as much of a flood as few long ones.
const LINE_BYTES: usize = 64;

/// How much of the end of standard error is kept to explain a trap: a panic's message.
const TAIL_BYTES_MAX: usize = 600;

/// How urgent a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Which of the two standard streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdio {
    Out,
    Err,
}

/// One store's log, shared with the streams that its guest holds.
#[derive(Debug, Clone)]
pub(crate) struct Log(Arc<Mutex<Sink>>);

#[derive(Debug)]
struct Sink {
    plugin: PluginName,
    metrics: Arc<PluginMetrics>,
    tenant: Option<TenantId>,
    bytes_left: usize,
    bytes_dropped: u64,
    out: Vec<u8>,
    err: Vec<u8>,
    err_tail: Vec<u8>,
}

// === impl Log ===

impl Log {
    pub(crate) fn new(plugin: PluginName, metrics: Arc<PluginMetrics>) -> Self {
        Self(Arc::new(Mutex::new(Sink {
            plugin,
            metrics,
            tenant: None,
            bytes_left: 0,
            bytes_dropped: 0,
            out: Vec::new(),
            err: Vec::new(),
            err_tail: Vec::new(),
        })))
    }

    pub(crate) fn begin_call(&self, tenant: Option<&TenantId>, bytes_max: usize) {
        let mut sink = self.sink();
        sink.tenant = tenant.cloned();
        sink.bytes_left = bytes_max;
        sink.bytes_dropped = 0;
        sink.err_tail.clear();
    }

    /// Writes out unfinished lines and says how much was dropped.
    pub(crate) fn end_call(&self) {
        let mut sink = self.sink();
        sink.flush(Stdio::Out);
        sink.flush(Stdio::Err);
        if sink.bytes_dropped > 0 {
            sink.metrics
                .log_bytes_dropped(sink.tenant.as_ref(), sink.bytes_dropped);
            tracing::warn!(
                target: "consort::plugin",
                plugin = %sink.plugin,
                tenant = sink.tenant_name(),
                bytes_dropped = sink.bytes_dropped,
                limit = "log_bytes_max",
                "the plugin logged more than its limit; the rest was dropped"
            );
            sink.bytes_dropped = 0;
        }
    }

    pub(crate) fn message(&self, level: Level, text: &str) {
        let mut sink = self.sink();
        let kept = sink.take(text.len());
        sink.emit(level, "log", floor_char(text, kept));
    }

    pub(crate) fn write(&self, stdio: Stdio, bytes: &[u8]) {
        let mut sink = self.sink();
        let kept = sink.take(bytes.len());
        sink.lines(stdio, bytes.get(..kept).unwrap_or_default());
    }

    /// The end of what the guest wrote to standard error in this call, escaped.
    pub(crate) fn err_tail(&self) -> String {
        let sink = self.sink();
        let text = String::from_utf8_lossy(&sink.err_tail);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("note: run with"))
            .collect();
        escape(&lines.join(": "))
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Sink ===

impl Sink {
    /// Of `wanted` bytes, how many may still be written.
    fn take(&mut self, wanted: usize) -> usize {
        let kept = wanted.min(self.bytes_left);
        self.bytes_left -= kept;
        self.bytes_dropped += (wanted - kept) as u64;
        kept
    }

    fn lines(&mut self, stdio: Stdio, bytes: &[u8]) {
        if stdio == Stdio::Err {
            self.err_tail.extend_from_slice(bytes);
            let excess = self.err_tail.len().saturating_sub(TAIL_BYTES_MAX);
            self.err_tail.drain(..excess);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (line, ended) = match piece.strip_suffix(b"\n") {
                Some(line) => (line, true),
                None => (piece, false),
            };
            for chunk in line.chunks(LINE_BYTES_MAX) {
                self.buffer(stdio).extend_from_slice(chunk);
                if self.buffer(stdio).len() >= LINE_BYTES_MAX {
                    self.flush(stdio);
                }
            }
            if ended {
                self.flush(stdio);
            }
        }
    }

    fn buffer(&mut self, stdio: Stdio) -> &mut Vec<u8> {
        match stdio {
            Stdio::Out => &mut self.out,
            Stdio::Err => &mut self.err,
        }
    }

    fn flush(&mut self, stdio: Stdio) {
        let line = std::mem::take(self.buffer(stdio));
        if line.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&line);
        match stdio {
            Stdio::Out => self.emit(Level::Info, "stdout", &text),
            Stdio::Err => self.emit(Level::Warn, "stderr", &text),
        }
    }

    fn emit(&mut self, level: Level, stream: &'static str, text: &str) {
        if text.is_empty() {
            return;
        }
        self.bytes_left = self.bytes_left.saturating_sub(LINE_BYTES);
        macro_rules! line {
            ($level:ident) => {
                tracing::event!(
                    target: "consort::plugin",
                    tracing::Level::$level,
                    plugin = %self.plugin,
                    tenant = self.tenant_name(),
                    stream,
                    "{}",
                    escape(text)
                )
            };
        }
        match level {
            Level::Trace => line!(TRACE),
            Level::Debug => line!(DEBUG),
            Level::Info => line!(INFO),
            Level::Warn => line!(WARN),
            Level::Error => line!(ERROR),
        }
    }

    fn tenant_name(&self) -> &str {
        self.tenant.as_ref().map_or("", TenantId::as_str)
    }
}

/// The longest start of `text` of at most `bytes_max` bytes that ends between characters.
pub(crate) fn floor_char(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Makes text from a guest safe to show: nothing in it moves a cursor, changes a colour,
/// ends a line or turns the direction of writing.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
            character if character.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
            character => out.push(character),
        }
    }
    out
}

/// Text from a guest for an error message: escaped, and cut at `bytes_max`.
pub(crate) fn excerpt(text: &str, bytes_max: usize) -> String {
    let kept = floor_char(text, bytes_max);
    let mut out = escape(kept);
    if kept.len() < text.len() {
        let _ = write!(out, "... ({} bytes more)", text.len() - kept.len());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_terminal_obeys_is_left() {
        assert_eq!(
            escape("a\u{1b}[31mred\u{7}\r\nb\u{9b}\u{202e}x\u{2028}ä"),
            "a\\u{1b}[31mred\\u{7}\\r\\nb\\u{9b}\\u{202e}x\\u{2028}ä"
        );
    }

    #[test]
    fn many_short_lines_are_a_flood_too() {
        let metrics = crate::metrics::Metrics::register(&mut Default::default());
        let name: PluginName = "p".parse().unwrap();
        let log = Log::new(
            name.clone(),
            Arc::new(PluginMetrics::new(Arc::new(metrics), &name)),
        );
        log.begin_call(None, 10 * (LINE_BYTES + 2));
        (0..10).for_each(|_| log.message(Level::Info, "ab"));
        assert_eq!(log.sink().bytes_dropped, 0);
        log.message(Level::Info, "ab");
        log.write(Stdio::Out, b"c\nd\n");
        assert_eq!(log.sink().bytes_dropped, 6);
    }

    #[test]
    fn excerpts_are_cut_between_characters() {
        assert_eq!(excerpt("abc", 3), "abc");
        assert_eq!(excerpt("aää", 4), "aä... (2 bytes more)");
    }
}
