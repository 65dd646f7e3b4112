//! How a file becomes an example: which windows of it are read, and nothing else of it.

use crate::os;
use bytes::Bytes;
use consort_inference::{
    Datatype, Failure, FailureKind, Mismatch, Signature, Stage, StageKind, Tensor, Tensors,
};
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What of a file becomes a tensor. Each has shape `[1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The first bytes, fewer if the file is shorter: `BYTES`.
    Head {
        /// How many.
        bytes: usize,
    },
    /// The last bytes, fewer if the file is shorter: `BYTES`.
    Tail {
        /// How many.
        bytes: usize,
    },
    /// The whole file; a larger one is a dead letter (`too_large`): `BYTES`.
    All {
        /// The largest file that is taken.
        bytes_max: usize,
    },
    /// The length in bytes: `INT64`.
    Size,
    /// The path as it was given, raw: `BYTES`.
    Path,
}

/// The tensors made from a file, by name. Empty where the endpoint takes no files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileTensors(Vec<(Arc<str>, Read)>);

/// The part of a file that is read.
struct Window {
    offset: u64,
    length: usize,
}

// === impl FileTensors ===

impl FileTensors {
    /// The tensors made from a file, in the order in which they are read.
    pub fn new<N: Into<Arc<str>>>(tensors: impl IntoIterator<Item = (N, Read)>) -> Self {
        let named = |(name, read): (N, Read)| (name.into(), read);
        Self(tensors.into_iter().map(named).collect())
    }

    /// Whether no tensor is made.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the tensors made are those that `signature` takes.
    pub fn check(&self, signature: &Signature) -> Result<(), Mismatch> {
        let mut sample = Tensors::new();
        for (name, read) in &self.0 {
            let tensor = match read {
                Read::Size => int64(0),
                _ => byte_string(&[]),
            };
            if let Ok(tensor) = tensor {
                sample.insert(name.clone(), tensor);
            }
        }
        signature.check_inputs(&sample)
    }

    /// The most bytes that one file takes in memory, `None` where that depends on its size.
    pub(crate) fn bytes_max(&self) -> Option<usize> {
        self.0
            .iter()
            .try_fold(0usize, |sum, (_, read)| match *read {
                Read::Head { bytes } | Read::Tail { bytes } => Some(sum.saturating_add(bytes)),
                Read::Size | Read::Path => Some(sum),
                Read::All { .. } => None,
            })
    }

    /// The bytes that this file takes in memory; zero where it cannot be read anyway.
    pub(crate) fn byte_len(&self, path: &Path) -> usize {
        let file_len = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let taken = |(_, read): &(Arc<str>, Read)| {
            let max = match *read {
                Read::Head { bytes } | Read::Tail { bytes } => bytes,
                Read::All { bytes_max } => bytes_max,
                Read::Size | Read::Path => 0,
            };
            usize::try_from(file_len).map_or(max, |len| len.min(max))
        };
        self.0
            .iter()
            .fold(0, |sum, read| sum.saturating_add(taken(read)))
    }

    /// Reads what is asked for. Blocks; never on a FIFO or device.
    pub(crate) fn read(&self, path: &Path) -> Result<Tensors, Failure> {
        let unreadable = |what: &str| failure(path, FailureKind::Unreadable, what);
        let reason = |error: io::Error| unreadable(&error.to_string());
        // Asked before opening, because opening a device can already do something.
        regular(&std::fs::metadata(path).map_err(reason)?).map_err(|what| unreadable(&what))?;
        let file = os::open(path).map_err(reason)?;
        // Asked again of the open file, because the path may lead elsewhere by now.
        let metadata = file.metadata().map_err(reason)?;
        regular(&metadata).map_err(|what| unreadable(&what))?;
        let mut tensors = Tensors::new();
        for (name, read) in &self.0 {
            let tensor = match *read {
                Read::Size => int64(i64::try_from(metadata.len()).unwrap_or(i64::MAX)),
                Read::Path => byte_string(os::path_bytes(path)),
                read => {
                    let window = Window::of(read, metadata.len())
                        .ok_or_else(|| too_large(path, name, read, metadata.len()))?;
                    window.tensor(&file).map_err(|error| match error.kind() {
                        io::ErrorKind::UnexpectedEof => {
                            unreadable("the file became shorter while it was read")
                        }
                        _ => reason(error),
                    })?
                }
            };
            let tensor = tensor.map_err(|error| {
                failure(
                    path,
                    FailureKind::TooLarge,
                    &format!("tensor \"{name}\": {error}"),
                )
            })?;
            tensors.insert(name.clone(), tensor);
        }
        Ok(tensors)
    }
}

// === impl Window ===

impl Window {
    /// Which part of a file of `file_len` bytes is read; `None` when that is too much.
    fn of(read: Read, file_len: u64) -> Option<Self> {
        let at_most = |bytes: usize| usize::try_from(file_len).map_or(bytes, |len| len.min(bytes));
        let (offset, length) = match read {
            Read::Head { bytes } => (0, at_most(bytes)),
            Read::Tail { bytes } => (file_len - at_most(bytes) as u64, at_most(bytes)),
            Read::All { bytes_max } if file_len <= bytes_max as u64 => (0, at_most(bytes_max)),
            Read::All { .. } => return None,
            Read::Size | Read::Path => (0, 0),
        };
        Some(Self { offset, length })
    }

    /// Reads the window into a `BYTES` tensor of one element, without a second copy.
    fn tensor(&self, file: &File) -> io::Result<Result<Tensor, consort_inference::TensorError>> {
        const PREFIX_BYTES: usize = size_of::<u32>();
        let length = u32::try_from(self.length)
            .map_err(|_| io::Error::other("a BYTES element holds at most 4 GiB"))?;
        let mut data = vec![0; PREFIX_BYTES + self.length];
        if let Some((prefix, window)) = data.split_first_chunk_mut::<PREFIX_BYTES>() {
            *prefix = length.to_le_bytes();
            os::read_window(file, window, self.offset)?;
        }
        Ok(Tensor::new(Datatype::Bytes, vec![1], Bytes::from(data)))
    }
}

fn int64(value: i64) -> Result<Tensor, consort_inference::TensorError> {
    Tensor::from_slice(vec![1], &[value])
}

fn byte_string(bytes: &[u8]) -> Result<Tensor, consort_inference::TensorError> {
    Tensor::from_byte_strings(vec![1], [bytes])
}

fn regular(metadata: &Metadata) -> Result<(), String> {
    if metadata.is_file() {
        return Ok(());
    }
    let kind = os::kind_in_words(metadata);
    Err(format!("it is {kind}, only regular files are read"))
}

fn too_large(path: &Path, name: &str, read: Read, file_len: u64) -> Failure {
    let bytes_max = match read {
        Read::All { bytes_max } => bytes_max,
        _ => 0,
    };
    let what = format!(
        "the file has {file_len} bytes, tensor \"{name}\" takes whole files of at most \
         {bytes_max}; raise its bytes_max or read a head or tail"
    );
    failure(path, FailureKind::TooLarge, &what)
}

/// Every failure of a file names the file.
pub(crate) fn failure(path: &Path, kind: FailureKind, what: &str) -> Failure {
    let stage = Stage::new(StageKind::Read, "file");
    Failure::new(stage, kind, format!("cannot read {path:?}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use consort_inference::TensorSpec;
    use std::io::Write as _;

    fn windows() -> FileTensors {
        FileTensors::new([
            ("head", Read::Head { bytes: 4 }),
            ("tail", Read::Tail { bytes: 4 }),
            ("size", Read::Size),
        ])
    }

    fn text(tensors: &Tensors, name: &str) -> Vec<u8> {
        tensors.tensor(name).unwrap().byte_strings().unwrap()[0].to_vec()
    }

    #[test]
    fn head_tail_and_size_of_any_length() {
        let dir = tempfile::tempdir().unwrap();
        for (content, head, tail) in [
            ("", "", ""),
            ("ab", "ab", "ab"),
            ("abcd", "abcd", "abcd"),
            ("abcdef", "abcd", "cdef"),
            ("abcdefghijkl", "abcd", "ijkl"),
        ] {
            let path = dir.path().join("file");
            std::fs::write(&path, content).unwrap();
            let tensors = windows().read(&path).unwrap();
            assert_eq!(text(&tensors, "head"), head.as_bytes());
            assert_eq!(text(&tensors, "tail"), tail.as_bytes());
            let size = tensors.tensor("size").unwrap().to_vec::<i64>().unwrap();
            assert_eq!(size, [content.len() as i64]);
        }
    }

    #[test]
    fn a_sparse_file_of_20_gb_costs_its_windows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse");
        let file = File::create(&path).unwrap();
        file.set_len(20_000_000_000).unwrap();
        (&file).write_all(b"head").unwrap();
        let tensors = windows().read(&path).unwrap();
        assert_eq!(text(&tensors, "head"), b"head");
        assert_eq!(text(&tensors, "tail"), [0; 4]);
        let size = tensors.tensor("size").unwrap().to_vec::<i64>().unwrap();
        assert_eq!(size, [20_000_000_000]);
        // Two windows and their prefixes, and an INT64: that is all there is in memory.
        assert_eq!(tensors.byte_len(), 2 * (4 + 4) + 8);
        assert_eq!(windows().bytes_max(), Some(8));
    }

    #[test]
    fn whole_files_have_a_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        let all = |bytes_max| FileTensors::new([("all", Read::All { bytes_max })]);
        assert_eq!(text(&all(5).read(&path).unwrap(), "all"), b"12345");
        let failure = all(4).read(&path).unwrap_err();
        assert_eq!(failure.kind, FailureKind::TooLarge);
        assert!(failure.message.contains("has 5 bytes"), "{failure}");
        assert!(failure.message.contains("at most 4"), "{failure}");
        assert_eq!(all(9).bytes_max(), None);
        assert_eq!((all(9).byte_len(&path), all(4).byte_len(&path)), (5, 4));
    }

    #[test]
    fn a_file_that_shrinks_is_not_read_by_halves() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        let window = Window::of(Read::Tail { bytes: 4 }, 5).unwrap();
        std::fs::write(&path, "1").unwrap();
        let error = window.tensor(&File::open(&path).unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_no_regular_file_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let failure = windows().read(dir.path()).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unreadable);
        assert!(failure.message.contains("it is a directory"), "{failure}");
        let failure = windows().read(&dir.path().join("gone")).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unreadable);
        assert!(failure.message.contains("No such file"), "{failure}");
        assert!(failure.message.contains("gone"), "{failure}");
    }

    #[test]
    fn tensors_are_checked_before_the_job() {
        let bytes = |name| TensorSpec::new(name, Datatype::Bytes, vec![Some(1)]);
        let size = TensorSpec::new("size", Datatype::Int64, vec![Some(1)]);
        let inputs = vec![bytes("head"), bytes("tail"), size];
        let mut signature = Signature {
            inputs,
            outputs: vec![],
        };
        assert_eq!(windows().check(&signature), Ok(()));
        signature.inputs.push(bytes("name"));
        let error = windows().check(&signature).unwrap_err().to_string();
        assert_eq!(error, "tensor \"name\" is missing; BYTES [1] is expected");
    }
}
