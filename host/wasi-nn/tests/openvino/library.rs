//! Finding and loading the library.

use consort_wasi_nn::{LibraryError, load_library};
use std::path::Path;

#[test]
#[ignore = "needs OpenVINO: cargo xtask setup --openvino"]
fn the_library_is_loaded_once_and_tells_its_version() {
    let one = load_library(None).unwrap();
    let other = load_library(None).unwrap();
    assert_eq!(one.path(), other.path());
    assert_eq!(one.to_string(), format!("OpenVINO {}", one.version()));
    assert!(one.version().starts_with("20"), "{}", one.version());
}

#[test]
fn a_library_that_is_not_there_says_how_to_get_it() {
    if std::env::var_os("OPENVINO_INSTALL_DIR").is_some_and(|path| !path.is_empty()) {
        // The variable wins over the path given, and a good one is loaded.
        return;
    }
    let error = load_library(Some(Path::new("/no/such/folder"))).unwrap_err();
    assert!(matches!(error, LibraryError::NotFound { .. }), "{error:?}");
    let text = error.to_string();
    for said in [
        "the path given: /no/such/folder: not there",
        "pip install openvino",
        "OPENVINO_INSTALL_DIR",
        "cargo xtask setup --openvino",
    ] {
        assert!(text.contains(said), "{text}");
    }
}
