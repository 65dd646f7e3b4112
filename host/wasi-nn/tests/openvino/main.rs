//! OpenVINO for real. The library is an optional part of set-up, so that these tests are
//! ignored unless asked for; `cargo xtask test` asks for them where it is set up. By hand:
//! `cargo xtask setup --openvino`, then
//! `OPENVINO_INSTALL_DIR=... cargo test -p consort-wasi-nn --test openvino -- --ignored`.
//!
//! The modules are marked as tests, so that the lints take them for what they are.

#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod library;
#[cfg(test)]
mod loading;
#[cfg(test)]
mod predictions;
#[cfg(test)]
mod support;
