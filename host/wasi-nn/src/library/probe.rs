//! Whether a file is an OpenVINO that can be used, found out without `openvino`.

use super::VERSION_MIN;
use openvino_sys::{ov_status_e, ov_version_t};
use std::ffi::CStr;
use std::path::Path;

/// A library that can be used. It stays open until `openvino` has opened it too, so that it
/// is initialised only once.
pub(super) struct Probed {
    pub(super) version: String,
    _open: libloading::Library,
}

/// Every function that this crate and wasmtime-wasi-nn's backend call by way of `openvino`,
/// which panics where one is missing.
const FUNCTIONS: [&CStr; 35] = [
    c"ov_compiled_model_create_infer_request",
    c"ov_compiled_model_free",
    c"ov_compiled_model_inputs_size",
    c"ov_compiled_model_outputs_size",
    c"ov_core_compile_model",
    c"ov_core_create",
    c"ov_core_free",
    c"ov_core_read_model_from_memory_buffer",
    c"ov_core_set_property",
    c"ov_get_last_err_msg",
    c"ov_get_openvino_version",
    c"ov_infer_request_free",
    c"ov_infer_request_get_input_tensor_by_index",
    c"ov_infer_request_get_output_tensor_by_index",
    c"ov_infer_request_infer",
    c"ov_infer_request_set_input_tensor_by_index",
    c"ov_model_const_input_by_index",
    c"ov_model_const_output_by_index",
    c"ov_model_free",
    c"ov_model_inputs_size",
    c"ov_model_outputs_size",
    c"ov_partial_shape_free",
    c"ov_port_get_any_name",
    c"ov_port_get_element_type",
    c"ov_port_get_partial_shape",
    c"ov_shape_create",
    c"ov_shape_free",
    c"ov_tensor_create",
    c"ov_tensor_data",
    c"ov_tensor_free",
    c"ov_tensor_get_byte_size",
    c"ov_tensor_get_element_type",
    c"ov_tensor_get_shape",
    c"ov_tensor_get_size",
    c"ov_version_free",
];

/// Opens a library and asks it for its functions and its version.
pub(super) fn probe(path: &Path) -> Result<Probed, String> {
    let open = open(path).map_err(|error| format!("it cannot be loaded as a library: {error}"))?;
    for function in FUNCTIONS {
        has(&open, function)?;
    }
    let version = version(&open)?;
    match year_and_minor(&version) {
        None => Err(format!("its version is \"{version}\", which is none")),
        Some(found) if found < VERSION_MIN => Err(format!(
            "its version is {version}, and {}.{} or newer is needed",
            VERSION_MIN.0, VERSION_MIN.1
        )),
        Some(_) => Ok(Probed {
            version,
            _open: open,
        }),
    }
}

#[expect(unsafe_code, reason = "loading a library runs its initialisers")]
fn open(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: loading runs the library's own initialisers, which may do anything. The file
    // is one that whoever runs the process named or installed; it is trusted as far as the
    // executable itself.
    unsafe { libloading::Library::new(path) }
}

#[expect(unsafe_code, reason = "a symbol is looked up")]
fn has(library: &libloading::Library, function: &CStr) -> Result<(), String> {
    // SAFETY: the symbol is looked up and not called; its type does not matter.
    let found = unsafe { library.get::<unsafe extern "C" fn()>(function) };
    found.map(|_| ()).map_err(|_| {
        format!(
            "it is a library, but not OpenVINO's for C, or too old (no {})",
            function.to_string_lossy()
        )
    })
}

/// The version without what follows its numbers: `2026.4.1` of `2026.4.1-22982-e213...`.
#[expect(unsafe_code, reason = "functions of a C library are called")]
fn version(library: &libloading::Library) -> Result<String, String> {
    type Ask = unsafe extern "C" fn(*mut ov_version_t) -> i32;
    type Free = unsafe extern "C" fn(*mut ov_version_t);
    let mut version = ov_version_t {
        buildNumber: std::ptr::null(),
        description: std::ptr::null(),
    };
    // SAFETY: a library that has all of OpenVINO's functions is OpenVINO or stands in for
    // it. The first function fills in two C strings or returns a code that is not 0; the
    // second takes what the first filled in, once. The strings are read before that.
    let text = unsafe {
        let missing = |error: libloading::Error| error.to_string();
        let ask = library
            .get::<Ask>(c"ov_get_openvino_version")
            .map_err(missing)?;
        let free = library.get::<Free>(c"ov_version_free").map_err(missing)?;
        if ask(&raw mut version) != ov_status_e::OK as i32 || version.buildNumber.is_null() {
            return Err("it does not tell its version".to_owned());
        }
        let text = CStr::from_ptr(version.buildNumber)
            .to_string_lossy()
            .into_owned();
        free(&raw mut version);
        text
    };
    Ok(text.split('-').next().unwrap_or_default().to_owned())
}

/// The first two numbers of `2026.4.1`.
fn year_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(year_and_minor("2026.4.1"), Some((2026, 4)));
        assert!(year_and_minor("2024.6.0").unwrap() < VERSION_MIN);
        assert!(year_and_minor("2025.0.1").unwrap() < VERSION_MIN);
        assert!(year_and_minor("2025.1").unwrap() >= VERSION_MIN);
        assert_eq!(year_and_minor("custom"), None);
        assert_eq!(year_and_minor(""), None);
    }

    #[test]
    fn what_is_no_library_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libopenvino_c.so");
        std::fs::write(&path, "not a library").unwrap();
        let error = probe(&path).err().unwrap();
        assert!(
            error.starts_with("it cannot be loaded as a library"),
            "{error}"
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn another_library_is_told_from_openvino() {
        let error = probe(Path::new("libc.so.6")).err().unwrap();
        assert!(error.contains("not OpenVINO's"), "{error}");
    }
}
