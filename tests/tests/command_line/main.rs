//! The commands and their arguments: what goes in, what comes out, what is said at the end,
//! and how a command ends that is stopped or cannot go on.

mod chosen;
mod ends;
mod http2;
mod inputs;
mod place;
mod shown;
mod together;
