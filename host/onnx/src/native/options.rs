//! `OrtSessionOptions`: what a session is made with.

use super::{Error, api, check, written};
use crate::{Config, ExecutionProvider, Optimization};
use ort::sys;
use std::ffi::{CString, c_char, c_int};
use std::ptr::NonNull;

/// Options of a session. Providers are appended one by one, since each can fail by itself.
pub(crate) struct SessionOptions(NonNull<sys::OrtSessionOptions>);

/// Keys and values as the C API takes them.
struct Pairs {
    texts: Vec<(CString, CString)>,
}

// === impl SessionOptions ===

#[expect(unsafe_code, reason = "C functions are called")]
impl SessionOptions {
    /// What a config asks for, its providers not yet included.
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let mut pointer = std::ptr::null_mut();
        // SAFETY: the function writes a pointer to new options, which `Drop` releases.
        unsafe { check((api().CreateSessionOptions)(&mut pointer))? };
        let options = Self(written(pointer)?);
        let pointer = options.as_ptr();
        let level = match config.optimization {
            Optimization::None => sys::GraphOptimizationLevel::ORT_DISABLE_ALL,
            Optimization::Basic => sys::GraphOptimizationLevel::ORT_ENABLE_BASIC,
            Optimization::Extended => sys::GraphOptimizationLevel::ORT_ENABLE_EXTENDED,
            Optimization::All => sys::GraphOptimizationLevel::ORT_ENABLE_ALL,
        };
        let mode = if config.inter_threads > 1 {
            sys::ExecutionMode::ORT_PARALLEL
        } else {
            sys::ExecutionMode::ORT_SEQUENTIAL
        };
        // SAFETY: `pointer` is the options made above, which live until the end of `options`;
        // the functions only change them.
        unsafe {
            check((api().SetIntraOpNumThreads)(pointer, count(config.threads)))?;
            check((api().SetInterOpNumThreads)(
                pointer,
                count(config.inter_threads),
            ))?;
            check((api().SetSessionExecutionMode)(pointer, mode))?;
            check((api().SetSessionGraphOptimizationLevel)(pointer, level))?;
            check(if config.memory_pattern {
                (api().EnableMemPattern)(pointer)
            } else {
                (api().DisableMemPattern)(pointer)
            })?;
        }
        let spinning = if config.spinning { "1" } else { "0" };
        options.set("session.intra_op.allow_spinning", spinning)?;
        options.set("session.inter_op.allow_spinning", spinning)?;
        Ok(options)
    }

    /// Has the session remember which provider takes which operators.
    pub(crate) fn record_assignment(&self) -> Result<(), Error> {
        self.set("session.record_ep_graph_assignment_info", "1")
    }

    /// Adds a provider after those added before. The CPU is always there, and last.
    pub(crate) fn append(&self, provider: ExecutionProvider) -> Result<(), Error> {
        match provider {
            ExecutionProvider::Cpu => Ok(()),
            ExecutionProvider::Cuda { device_id } => self.append_cuda(device_id),
            ExecutionProvider::TensorRt { device_id } => self.append_tensorrt(device_id),
            ExecutionProvider::OpenVino { device_id } => {
                let device = device_id.map(|id| ("device_type", format!("GPU.{id}")));
                self.append_named(provider, Pairs::new(device))
            }
            ExecutionProvider::CoreMl => self.append_named(provider, Pairs::new(None)),
            ExecutionProvider::DirectMl { device_id } => self.append_directml(device_id),
        }
    }

    fn append_cuda(&self, device_id: u32) -> Result<(), Error> {
        let mut pointer = std::ptr::null_mut();
        let device = Pairs::new(Some(("device_id", device_id.to_string())));
        let (keys, values) = device.pointers();
        // SAFETY: the provider's options are made, changed, copied into the session's options
        // and released here; the texts outlive the calls.
        unsafe {
            check((api().CreateCUDAProviderOptions)(&mut pointer))?;
            let appended = check((api().UpdateCUDAProviderOptions)(
                pointer,
                keys.as_ptr(),
                values.as_ptr(),
                keys.len(),
            ))
            .and_then(|()| {
                check((api().SessionOptionsAppendExecutionProvider_CUDA_V2)(
                    self.as_ptr(),
                    pointer,
                ))
            });
            (api().ReleaseCUDAProviderOptions)(pointer);
            appended
        }
    }

    fn append_tensorrt(&self, device_id: u32) -> Result<(), Error> {
        let mut pointer = std::ptr::null_mut();
        let device = Pairs::new(Some(("device_id", device_id.to_string())));
        let (keys, values) = device.pointers();
        // SAFETY: as for CUDA.
        unsafe {
            check((api().CreateTensorRTProviderOptions)(&mut pointer))?;
            let appended = check((api().UpdateTensorRTProviderOptions)(
                pointer,
                keys.as_ptr(),
                values.as_ptr(),
                keys.len(),
            ))
            .and_then(|()| {
                check((api().SessionOptionsAppendExecutionProvider_TensorRT_V2)(
                    self.as_ptr(),
                    pointer,
                ))
            });
            (api().ReleaseTensorRTProviderOptions)(pointer);
            appended
        }
    }

    fn append_directml(&self, device_id: u32) -> Result<(), Error> {
        let mut pointer: *const std::ffi::c_void = std::ptr::null();
        // SAFETY: the function writes a pointer to DirectML's own table of functions, which
        // lives as long as the library; version 0 of it is the one `ort` declares.
        unsafe {
            check((api().GetExecutionProviderApi)(
                c"DML".as_ptr(),
                0,
                &mut pointer,
            ))?;
            let table: NonNull<sys::OrtDmlApi> = written(pointer.cast_mut())?.cast();
            let append = (*table.as_ptr()).SessionOptionsAppendExecutionProvider_DML;
            check(append(
                self.as_ptr(),
                c_int::try_from(device_id).unwrap_or(c_int::MAX),
            ))
        }
    }

    fn append_named(&self, provider: ExecutionProvider, options: Pairs) -> Result<(), Error> {
        let name = text(provider.native_name())?;
        let (keys, values) = options.pointers();
        // SAFETY: the texts outlive the call, which copies them.
        unsafe {
            check((api().SessionOptionsAppendExecutionProvider)(
                self.as_ptr(),
                name.as_ptr(),
                keys.as_ptr(),
                values.as_ptr(),
                keys.len(),
            ))
        }
    }

    fn set(&self, key: &str, value: &str) -> Result<(), Error> {
        let (key, value) = (text(key)?, text(value)?);
        // SAFETY: the texts outlive the call, which copies them.
        unsafe {
            check((api().AddSessionConfigEntry)(
                self.as_ptr(),
                key.as_ptr(),
                value.as_ptr(),
            ))
        }
    }

    pub(super) fn as_ptr(&self) -> *mut sys::OrtSessionOptions {
        self.0.as_ptr()
    }
}

#[expect(unsafe_code, reason = "a C function is called")]
impl Drop for SessionOptions {
    fn drop(&mut self) {
        // SAFETY: the options were made by `new` and are not used any more; sessions copy
        // what they need.
        unsafe { (api().ReleaseSessionOptions)(self.as_ptr()) };
    }
}

// === impl Pairs ===

impl Pairs {
    fn new(pair: Option<(&str, String)>) -> Self {
        let texts = pair
            .into_iter()
            .filter_map(|(key, value)| Some((CString::new(key).ok()?, CString::new(value).ok()?)))
            .collect();
        Self { texts }
    }

    fn pointers(&self) -> (Vec<*const c_char>, Vec<*const c_char>) {
        let pointers = self.texts.iter();
        pointers
            .map(|(key, value)| (key.as_ptr(), value.as_ptr()))
            .unzip()
    }
}

fn text(text: &str) -> Result<CString, Error> {
    Ok(CString::new(text)?)
}

fn count(threads: usize) -> c_int {
    c_int::try_from(threads).unwrap_or(c_int::MAX)
}
