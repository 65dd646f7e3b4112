//! `OrtSession`: a loaded model, run by any number of threads.

use super::type_info::TypeInfo;
use super::{
    CpuMemory, Described, Error, OutputValue, SessionOptions, Value, api, check, copy_text,
    default_allocator, written,
};
use crate::Library;
use ort::{AsPointer, sys};
use std::ffi::{CString, c_char};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

/// A loaded model: its graph, its weights, its memory and its worker threads. There is one
/// for each handler.
pub(crate) struct Session {
    pointer: NonNull<sys::OrtSession>,
    /// Runs take turns where a provider asks for it.
    turns: Option<Mutex<()>>,
    /// The session needs the library and its environment.
    library: Library,
}

/// How many operators a provider took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) provider: String,
    pub(crate) operators: usize,
}

/// Which side of the model.
#[derive(Debug, Clone, Copy)]
enum Side {
    Input,
    Output,
}

// SAFETY: ONNX Runtime's sessions are tied to no thread: they may be used and released on
// another thread than the one that made them.
#[expect(unsafe_code, reason = "a pointer of the C API")]
unsafe impl Send for Session {}
// SAFETY: of what can be done with a shared session, the descriptions only read what does not
// change after it was made, and `run` has its own contract.
#[expect(unsafe_code, reason = "a pointer of the C API")]
unsafe impl Sync for Session {}

// === impl Session ===

#[expect(unsafe_code, reason = "C functions are called")]
impl Session {
    /// Loads a model from its file, beside which its external data lies.
    pub(crate) fn from_file(
        library: &Library,
        path: &Path,
        options: &SessionOptions,
        concurrent: bool,
    ) -> Result<Self, Error> {
        let path = native_path(path)?;
        let environment = library.environment().ptr();
        let mut pointer = std::ptr::null_mut();
        // SAFETY: environment, path and options live during the call, which copies what it
        // keeps; it writes a pointer to a new session, which `Drop` releases.
        unsafe {
            check((api().CreateSession)(
                environment,
                path.as_ptr(),
                options.as_ptr(),
                &mut pointer,
            ))?;
        }
        Self::new(library, pointer, concurrent)
    }

    /// Loads a model from memory; the bytes are not needed afterwards.
    pub(crate) fn from_bytes(
        library: &Library,
        bytes: &[u8],
        options: &SessionOptions,
        concurrent: bool,
    ) -> Result<Self, Error> {
        let environment = library.environment().ptr();
        let mut pointer = std::ptr::null_mut();
        // SAFETY: as for a file; the bytes are `bytes.len()` long.
        unsafe {
            check((api().CreateSessionFromArray)(
                environment,
                bytes.as_ptr().cast(),
                bytes.len(),
                options.as_ptr(),
                &mut pointer,
            ))?;
        }
        Self::new(library, pointer, concurrent)
    }

    fn new(
        library: &Library,
        pointer: *mut sys::OrtSession,
        concurrent: bool,
    ) -> Result<Self, Error> {
        Ok(Self {
            pointer: written(pointer)?,
            turns: (!concurrent).then(Mutex::default),
            library: library.clone(),
        })
    }

    /// Runs the model on one value for each input; returns one for each output.
    ///
    /// Any number of threads may do this at the same time.
    ///
    /// # Why this is sound
    ///
    /// - *Concurrent calls.* ONNX Runtime guarantees that `Run` may be called on one session
    ///   from several threads at once: a run keeps its state in a frame of its own, and what
    ///   runs share (weights, the memory arena, the cache of memory layouts, the thread
    ///   pools) is constant or locked inside. `ort` distrusts the promise and takes
    ///   `&mut self`; where a provider broke it (TensorRT once did) that was mended as a
    ///   defect. The exception that the documentation names is DirectML; sessions that use
    ///   it take turns here.
    /// - *Inputs* are only read. A value that borrows its memory from the caller
    ///   ([`Value::borrowed`]) is not reused for results, since ONNX Runtime counts the caller
    ///   as one more user of each input. An output may however be an input handed through, so
    ///   each output keeps the memory of the borrowed inputs alive.
    /// - *Outputs* are given as null, so ONNX Runtime allocates each in the CPU's memory,
    ///   also when a provider computed it elsewhere. They may lie in the session's arena or
    ///   be its weights, so each keeps the session alive.
    pub(crate) fn run(
        self: &Arc<Self>,
        input_names: &[CString],
        inputs: &[Value],
        output_names: &[CString],
    ) -> Result<Vec<OutputValue>, Error> {
        if inputs.len() != input_names.len() {
            return Err(Error::new(
                "the number of inputs is not the number of their names",
            ));
        }
        let input_names = pointers(input_names);
        let output_names = pointers(output_names);
        let values: Vec<*const sys::OrtValue> = inputs.iter().map(Value::as_ptr).collect();
        let mut results = vec![std::ptr::null_mut(); output_names.len()];
        let turn = self
            .turns
            .as_ref()
            .map(|turns| turns.lock().unwrap_or_else(PoisonError::into_inner));
        // SAFETY: see above. Names and values are tables of the lengths given, of C strings
        // and values that live during the call; there is a place for each result.
        let ran = unsafe {
            check((api().Run)(
                self.pointer.as_ptr(),
                std::ptr::null(),
                input_names.as_ptr(),
                values.as_ptr(),
                values.len(),
                output_names.as_ptr(),
                output_names.len(),
                results.as_mut_ptr(),
            ))
        };
        drop(turn);
        // SAFETY: each pointer that was written is a value that ONNX Runtime has handed over.
        // All are taken over before any error is returned, so that none is lost.
        let outputs: Vec<Result<OutputValue, Error>> = results
            .into_iter()
            .map(|result| unsafe { OutputValue::from_raw(result, self, inputs) })
            .collect();
        ran?;
        outputs.into_iter().collect()
    }

    /// What the model takes, in its own order.
    pub(crate) fn inputs(&self) -> Result<Vec<Described>, Error> {
        self.describe(Side::Input)
    }

    /// What the model gives, in its own order.
    pub(crate) fn outputs(&self) -> Result<Vec<Described>, Error> {
        self.describe(Side::Output)
    }

    /// Which provider took how many operators; only known when it was recorded.
    pub(crate) fn assignment(&self) -> Result<Vec<Assignment>, Error> {
        let mut parts: *const *const sys::OrtEpAssignedSubgraph = std::ptr::null();
        let mut part_count = 0;
        // SAFETY: the function writes a table that belongs to the session.
        unsafe {
            check((api().Session_GetEpGraphAssignmentInfo)(
                self.pointer.as_ptr(),
                &mut parts,
                &mut part_count,
            ))?;
        }
        let mut found: Vec<Assignment> = Vec::new();
        for index in 0..part_count {
            let mut name = std::ptr::null();
            let mut nodes = std::ptr::null();
            let mut operators = 0;
            // SAFETY: `index` lies in the table; name and nodes belong to the session.
            let provider = unsafe {
                let part = *parts.add(index);
                check((api().EpAssignedSubgraph_GetEpName)(part, &mut name))?;
                check((api().EpAssignedSubgraph_GetNodes)(
                    part,
                    &mut nodes,
                    &mut operators,
                ))?;
                copy_text(name)
            };
            match found.iter_mut().find(|entry| entry.provider == provider) {
                Some(entry) => entry.operators += operators,
                None => found.push(Assignment {
                    provider,
                    operators,
                }),
            }
        }
        Ok(found)
    }

    /// The bytes that the session's arena on the CPU has given out. After loading these are
    /// the weights, in the form that the operators want them. `None` when it does not tell.
    pub(crate) fn arena_bytes(&self) -> Option<u64> {
        let memory = CpuMemory::new(sys::OrtAllocatorType::OrtArenaAllocator).ok()?;
        let mut arena = std::ptr::null_mut();
        let mut pairs = std::ptr::null_mut();
        // SAFETY: the functions write pointers to an allocator and to a list of texts; both are
        // released here, after the one text of interest was copied.
        unsafe {
            check((api().CreateAllocator)(
                self.pointer.as_ptr(),
                memory.as_ptr(),
                &mut arena,
            ))
            .ok()?;
            let told = check((api().AllocatorGetStats)(arena, &mut pairs));
            let text = told.is_ok().then(|| {
                let text = (api().GetKeyValue)(pairs, c"InUse".as_ptr());
                let text = copy_text(text);
                (api().ReleaseKeyValuePairs)(pairs);
                text
            });
            (api().ReleaseAllocator)(arena);
            text?.parse().ok()
        }
    }

    pub(crate) fn cpu_memory(&self) -> &CpuMemory {
        self.library.cpu_memory()
    }

    fn describe(&self, side: Side) -> Result<Vec<Described>, Error> {
        let session = self.pointer.as_ptr();
        let mut count = 0;
        // SAFETY: the session lives; the functions write a number.
        unsafe {
            check(match side {
                Side::Input => (api().SessionGetInputCount)(session, &mut count),
                Side::Output => (api().SessionGetOutputCount)(session, &mut count),
            })?;
        }
        (0..count)
            .map(|index| self.describe_one(side, index))
            .collect()
    }

    fn describe_one(&self, side: Side, index: usize) -> Result<Described, Error> {
        let session = self.pointer.as_ptr();
        let allocator = default_allocator()?.as_ptr();
        let mut name: *mut c_char = std::ptr::null_mut();
        let mut type_info = std::ptr::null_mut();
        // SAFETY: the index lies below the count; the name is copied and given back to the
        // allocator it came from, and the type is taken over.
        unsafe {
            check(match side {
                Side::Input => (api().SessionGetInputName)(session, index, allocator, &mut name),
                Side::Output => (api().SessionGetOutputName)(session, index, allocator, &mut name),
            })?;
            let copied = copy_text(name);
            check((api().AllocatorFree)(allocator, name.cast()))?;
            check(match side {
                Side::Input => (api().SessionGetInputTypeInfo)(session, index, &mut type_info),
                Side::Output => (api().SessionGetOutputTypeInfo)(session, index, &mut type_info),
            })?;
            Ok(Described {
                name: copied,
                kind: TypeInfo::from_raw(type_info)?.kind()?,
            })
        }
    }
}

#[expect(unsafe_code, reason = "a C function is called")]
impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: every output keeps the session alive, so that none is left, and nobody can
        // run it any more.
        unsafe { (api().ReleaseSession)(self.pointer.as_ptr()) };
    }
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).collect()
}

/// A path as ONNX Runtime takes it: UTF-16 on Windows, bytes elsewhere, zero at the end.
fn native_path(path: &Path) -> Result<Vec<sys::os_char>, Error> {
    #[cfg(windows)]
    let units: Vec<sys::os_char> =
        std::os::windows::ffi::OsStrExt::encode_wide(path.as_os_str()).collect();
    #[cfg(unix)]
    let units: Vec<sys::os_char> = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())
        .iter()
        .map(|&byte| byte.cast_signed())
        .collect();
    if units.contains(&0) {
        return Err(Error::new("the path holds a zero byte"));
    }
    Ok(units.into_iter().chain([0]).collect())
}
