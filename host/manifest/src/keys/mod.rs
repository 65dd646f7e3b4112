//! The keys of the manifest, one file for each kind of table.

pub(crate) mod batching;
pub(crate) mod ensemble;
pub(crate) mod files;
pub(crate) mod host;
pub(crate) mod limits;
pub(crate) mod map;
pub(crate) mod model;
pub(crate) mod output;
pub(crate) mod pattern;
pub(crate) mod plugin;
pub(crate) mod quiet;
pub(crate) mod remote;
pub(crate) mod root;
pub(crate) mod state;
pub(crate) mod step;
pub(crate) mod when;

/// The longest time a key can ask for: a day.
pub(crate) const TIME_MS_MAX: u64 = 24 * 60 * 60 * 1000;
/// The most bytes a key can ask for: a tebibyte.
pub(crate) const BYTES_MAX: u64 = 1 << 40;
/// The most of anything that is counted.
pub(crate) const COUNT_MAX: u64 = 1 << 24;
