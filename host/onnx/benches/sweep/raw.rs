//! ONNX Runtime by itself: its C API and nothing around it.

#![expect(unsafe_code, reason = "the C API is what is measured")]

use consort_inference::{Batch, Datatype, TensorSpec};
use ort::sys;
use std::ffi::{CString, c_char};
use std::path::Path;
use std::ptr::{null, null_mut};

/// A session with ONNX Runtime's defaults. It is never released: the bench ends with it.
pub(crate) struct RawSession {
    session: *mut sys::OrtSession,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
}

/// The inputs of a run, made once.
pub(crate) struct Prepared {
    values: Vec<*const sys::OrtValue>,
    _data: Vec<Vec<u64>>,
}

// SAFETY: `Run` may be called from several threads at once, and nothing else is called.
unsafe impl Sync for RawSession {}
// SAFETY: values belong to no thread.
unsafe impl Send for Prepared {}

fn check(status: sys::OrtStatusPtr) {
    // SAFETY: the status was returned just now.
    unsafe { ort::Error::result_from_status(status) }.unwrap();
}

impl RawSession {
    pub(crate) fn load(path: &Path, threads: usize) -> Self {
        let api = ort::api();
        let path = CString::new(path.to_str().unwrap()).unwrap();
        let (mut environment, mut options, mut session) = (null_mut(), null_mut(), null_mut());
        // SAFETY: the functions write pointers that live until the end of the process.
        unsafe {
            let level = sys::OrtLoggingLevel::ORT_LOGGING_LEVEL_ERROR;
            check((api.CreateEnv)(level, c"sweep".as_ptr(), &mut environment));
            check((api.CreateSessionOptions)(&mut options));
            check((api.SetIntraOpNumThreads)(
                options,
                threads.try_into().unwrap(),
            ));
            check((api.CreateSession)(
                environment,
                path.as_ptr().cast(),
                options,
                &mut session,
            ));
        }
        let names =
            |count: unsafe extern "system" fn(_, *mut usize) -> _,
             name: unsafe extern "system" fn(_, usize, _, *mut *mut c_char) -> _| {
                let (mut allocator, mut length) = (null_mut(), 0);
                // SAFETY: the session lives, and each name is a C string that is never released.
                unsafe {
                    check((api.GetAllocatorWithDefaultOptions)(&mut allocator));
                    check(count(session.cast_const(), &mut length));
                    (0..length)
                        .map(|index| {
                            let mut text = null_mut();
                            check(name(session.cast_const(), index, allocator, &mut text));
                            CString::from(std::ffi::CStr::from_ptr(text))
                        })
                        .collect()
                }
            };
        Self {
            session,
            inputs: names(api.SessionGetInputCount, api.SessionGetInputName),
            outputs: names(api.SessionGetOutputCount, api.SessionGetOutputName),
        }
    }

    /// Stacks the rows into tensors, which live until the end of the process.
    pub(crate) fn prepare(&self, batch: &Batch, specs: &[TensorSpec]) -> Prepared {
        let api = ort::api();
        let (mut values, mut kept) = (Vec::new(), Vec::new());
        for name in &self.inputs {
            let name = name.to_str().unwrap();
            let spec = specs.iter().find(|spec| &*spec.name == name).unwrap();
            let stacked = batch.stacked(name).unwrap().unwrap();
            // Whole words, so that every element is aligned.
            let words = stacked.data().chunks(8).map(|chunk| {
                let mut word = [0; 8];
                word.iter_mut()
                    .zip(chunk)
                    .for_each(|(to, &from)| *to = from);
                u64::from_ne_bytes(word)
            });
            let mut data: Vec<u64> = words.collect();
            let shape: Vec<i64> = stacked.shape().iter().map(|&axis| axis as i64).collect();
            let element = match spec.datatype {
                Datatype::Fp32 => {
                    sys::ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
                }
                Datatype::Int32 => {
                    sys::ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32
                }
                Datatype::Int64 => {
                    sys::ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64
                }
                datatype => panic!("the sweep makes no {datatype}"),
            };
            let (mut memory, mut value) = (null_mut(), null_mut());
            // SAFETY: the data is as long as the shape asks for, and is kept with the value.
            unsafe {
                check((api.CreateCpuMemoryInfo)(
                    sys::OrtAllocatorType::OrtDeviceAllocator,
                    sys::OrtMemType::OrtMemTypeDefault,
                    &mut memory,
                ));
                check((api.CreateTensorWithDataAsOrtValue)(
                    memory,
                    data.as_mut_ptr().cast(),
                    stacked.data().len(),
                    shape.as_ptr(),
                    shape.len(),
                    element,
                    &mut value,
                ));
            }
            values.push(value.cast_const());
            kept.push(data);
        }
        Prepared {
            values,
            _data: kept,
        }
    }

    pub(crate) fn run(&self, prepared: &Prepared) {
        let api = ort::api();
        let inputs: Vec<*const c_char> = self.inputs.iter().map(|name| name.as_ptr()).collect();
        let outputs: Vec<*const c_char> = self.outputs.iter().map(|name| name.as_ptr()).collect();
        let mut results = vec![null_mut(); outputs.len()];
        // SAFETY: the tables are of the lengths given and live during the call; the results
        // are released once.
        unsafe {
            check((api.Run)(
                self.session,
                null(),
                inputs.as_ptr(),
                prepared.values.as_ptr(),
                prepared.values.len(),
                outputs.as_ptr(),
                outputs.len(),
                results.as_mut_ptr(),
            ));
            results
                .into_iter()
                .for_each(|result| (api.ReleaseValue)(result));
        }
    }
}
