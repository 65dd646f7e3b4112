//! Pickles that are programs. What they do, they do in the child, and only where it was allowed.

use crate::support::{config, import, models, tabular_python};
use consort_import::{Config, ImportError};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

struct Hostile {
    folder: TempDir,
}

impl Hostile {
    fn new() -> Self {
        let folder = models(&tabular_python(), "hostile.py");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self, name: &str) -> Config {
        let model = self.path(&format!("{name}.pkl"));
        config(&tabular_python(), model, &self.path("out"))
    }

    fn error(&self, name: &str) -> ImportError {
        let error = import(self.config(name)).unwrap_err();
        assert!(!self.path("out").exists(), "{error}");
        error
    }
}

#[test]
fn a_pickle_is_not_opened_unless_it_is_trusted() {
    let hostile = Hostile::new();
    let mut config = hostile.config("looks-around");
    config.trust_pickle = false;
    let error = import(config).unwrap_err();
    assert!(
        matches!(error, ImportError::PickleNotTrusted { .. }),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("--trust-pickle") && text.contains("runs whatever code"),
        "{text}"
    );
    assert!(!hostile.path("seen").exists(), "it was opened");
}

#[test]
fn a_trusted_pickle_sees_neither_environment_nor_home() {
    let hostile = Hostile::new();
    let error = hostile.error("looks-around");
    assert!(matches!(error, ImportError::Unsupported { .. }), "{error}");
    let seen = std::fs::read_to_string(hostile.path("seen")).unwrap();
    // Cargo sets this one for every test.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!seen.contains("CARGO"), "{seen}");
    let home = seen.lines().find_map(|line| line.strip_prefix("HOME="));
    let scratch = home.unwrap();
    assert_eq!(seen.lines().next(), Some(scratch), "it works in its home");
    assert!(!PathBuf::from(scratch).exists(), "{scratch} is left behind");
}

#[test]
fn one_that_never_ends_is_killed_at_the_limit() {
    let hostile = Hostile::new();
    let mut config = hostile.config("sleeps");
    config.convert_time_max = Duration::from_secs(5);
    let error = import(config).unwrap_err();
    assert!(matches!(error, ImportError::TimedOut { .. }), "{error}");
    assert!(error.to_string().contains("--timeout-seconds"), "{error}");
}

#[test]
fn one_that_ends_the_process_is_no_success() {
    let error = Hostile::new().error("exits");
    assert!(matches!(error, ImportError::NoAnswer { .. }), "{error}");
}

#[test]
fn what_it_prints_is_no_answer() {
    let error = Hostile::new().error("prints");
    assert!(matches!(error, ImportError::Unsupported { .. }), "{error}");
}

#[test]
fn what_it_writes_to_the_host_is_read_strictly() {
    let hostile = Hostile::new();
    let error = hostile.error("writes-everywhere");
    assert!(matches!(error, ImportError::Garbled(_)), "{error}");
    let error = hostile.error("answers");
    assert!(
        error.to_string().contains("is not the name of a file"),
        "{error}"
    );
}
