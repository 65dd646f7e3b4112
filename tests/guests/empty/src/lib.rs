//! guest-empty.
