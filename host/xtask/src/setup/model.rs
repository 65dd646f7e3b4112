//! The model of the example `file-type` and its configuration, out of the package that
//! publishes them.

use super::pins::{MAGIKA, MAGIKA_FILES, MAGIKA_VERSION};
use super::wheel;
use crate::failure::Failure;
use crate::layout::Layout;
use crate::progress::Progress;

/// Makes sure that the model and its configuration are there.
pub(crate) fn install(layout: &Layout, progress: Progress) -> Result<(), Failure> {
    wheel::unpack(
        layout,
        progress,
        &format!("file-type model of magika {MAGIKA_VERSION}"),
        &MAGIKA,
        MAGIKA_FILES,
        &layout.model(),
    )
}
