//! Models as whole systems have them, through the real binary: on another host, behind glue,
//! replaced while they are used, chosen by key. Every test makes the models it needs.

mod glue;
mod keys;
mod remote;
mod updates;
