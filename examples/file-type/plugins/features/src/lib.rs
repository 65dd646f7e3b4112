//! file-type-features.
