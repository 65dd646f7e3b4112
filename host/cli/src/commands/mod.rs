//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod graph;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod run;
pub(crate) mod serve;

use crate::exit::Exit;
use crate::print;

/// Prints the JSON Schema of manifests.
pub(crate) fn schema() -> Exit {
    print::out(&consort_manifest::json_schema());
    Exit::Success
}
