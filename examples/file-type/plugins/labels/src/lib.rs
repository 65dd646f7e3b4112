//! file-type-labels.
