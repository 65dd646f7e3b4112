//! Lines for the operator's log. Write them with [`trace!`](crate::trace),
//! [`debug!`](crate::debug), [`info!`](crate::info), [`warn!`](crate::warn) and
//! [`error!`](crate::error).

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For whoever looks for a defect.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is not as it should be; work goes on.
    Warn,
    /// Something failed.
    Error,
}

/// Writes one message: to the host's log, or to standard error in a native build.
pub fn log(level: Level, message: &str) {
    sink::write(level, message);
}

#[cfg(not(target_family = "wasm"))]
pub use sink::captured;

#[cfg(target_family = "wasm")]
mod sink {
    use super::Level;
    use crate::bindings::log;

    pub(super) fn write(level: Level, message: &str) {
        let level = match level {
            Level::Trace => log::Level::Trace,
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        };
        log::log(level, message);
    }
}

#[cfg(not(target_family = "wasm"))]
mod sink {
    use super::Level;
    use std::cell::RefCell;

    thread_local! {
        static CAPTURED: RefCell<Option<Vec<(Level, String)>>> = const { RefCell::new(None) };
    }

    pub(super) fn write(level: Level, message: &str) {
        CAPTURED.with_borrow_mut(|captured| match captured {
            Some(lines) => lines.push((level, message.to_owned())),
            None => eprintln!("{level:?}: {message}"),
        });
    }

    /// What `work` returns, and the lines it logged on this thread: for unit tests, and
    /// so for native builds only.
    pub fn captured<R>(work: impl FnOnce() -> R) -> (R, Vec<(Level, String)>) {
        let before = CAPTURED.replace(Some(Vec::new()));
        let result = work();
        let lines = CAPTURED.replace(before).unwrap_or_default();
        (result, lines)
    }
}

/// Logs a step. Takes what `format!` takes.
#[macro_export]
macro_rules! trace {
    ($($arg:tt)*) => { $crate::log::log($crate::log::Level::Trace, &::std::format!($($arg)*)) };
}

/// Logs something for whoever looks for a defect. Takes what `format!` takes.
#[macro_export]
macro_rules! debug {
    ($($arg:tt)*) => { $crate::log::log($crate::log::Level::Debug, &::std::format!($($arg)*)) };
}

/// Logs something worth knowing. Takes what `format!` takes.
#[macro_export]
macro_rules! info {
    ($($arg:tt)*) => { $crate::log::log($crate::log::Level::Info, &::std::format!($($arg)*)) };
}

/// Logs that something is not as it should be. Takes what `format!` takes.
#[macro_export]
macro_rules! warn {
    ($($arg:tt)*) => { $crate::log::log($crate::log::Level::Warn, &::std::format!($($arg)*)) };
}

/// Logs that something failed. Takes what `format!` takes.
#[macro_export]
macro_rules! error {
    ($($arg:tt)*) => { $crate::log::log($crate::log::Level::Error, &::std::format!($($arg)*)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_captured_with_their_level() {
        let name = "ids";
        let (result, lines) = captured(|| {
            crate::trace!("{name}");
            crate::debug!("{} of {}", 1, 2);
            let (_, nested) = captured(|| crate::info!("plain"));
            crate::warn!("{nested:?}");
            crate::error!("{name:?} {}", 3);
            4
        });
        let expected = [
            (Level::Trace, "ids"),
            (Level::Debug, "1 of 2"),
            (Level::Warn, "[(Info, \"plain\")]"),
            (Level::Error, "\"ids\" 3"),
        ];
        assert_eq!(
            lines,
            expected.map(|(level, text)| (level, text.to_owned()))
        );
        assert_eq!(result, 4);
        assert_eq!(captured(|| ()).1, []);
    }
}
