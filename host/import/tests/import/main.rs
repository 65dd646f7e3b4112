//! Imports for real: Python and the converters are needed. Where set-up has not made the
//! environment, these tests fail and say what to do. TensorFlow and torch are large, so that
//! their tests are ignored unless asked for, with the Python that has them named.
//!
//! The modules are marked as tests, so that the lints take them for what they are.

#[cfg(test)]
mod graphs;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tabular;
