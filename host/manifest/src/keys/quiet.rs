//! Keys that have no effect beside others: whoever wrote them expects one, so they are
//! refused.

use crate::place::{Located, Place};
use crate::report::Report;

/// Where a value is written, if the manifest says it.
pub(crate) trait Given {
    fn given(&self) -> Option<Place>;
}

impl<T> Given for Located<T> {
    fn given(&self) -> Option<Place> {
        self.given.then_some(self.place)
    }
}

impl<T> Given for Option<Located<T>> {
    fn given(&self) -> Option<Place> {
        self.as_ref().and_then(Given::given)
    }
}

/// Refuses those of the keys that are written. `why` follows "has no effect".
pub(crate) fn refuse_idle(
    keys: &[(&str, Option<Place>)],
    why: &str,
    help: &str,
    report: &mut Report,
) {
    for (key, place) in keys {
        if let Some(place) = place {
            report.wrong(*place, format!("`{key}` has no effect {why}"), help);
        }
    }
}
