//! Where a model is, and reading it.

use crate::LoadError;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The end of the name of an OpenVINO model, beside which the weights lie.
const GRAPH_EXTENSION: &str = "xml";
/// The end of the name of its weights.
const WEIGHTS_EXTENSION: &str = "bin";

/// Where a model is.
#[derive(Debug, Clone, Copy)]
pub enum ModelSource<'a> {
    /// In a file. Beside an `.xml` file its weights lie in the `.bin` file of the same name.
    File(&'a Path),
    /// In memory, all of it.
    Bytes {
        /// The model: OpenVINO's XML, or a whole ONNX or TorchScript file.
        graph: &'a [u8],
        /// The weights that belong to OpenVINO's XML; empty for the others.
        weights: &'a [u8],
    },
}

/// A model in memory.
pub(crate) struct Model<'a> {
    graph: Cow<'a, [u8]>,
    weights: Cow<'a, [u8]>,
}

// === impl ModelSource ===

impl<'a> ModelSource<'a> {
    /// Reads all of it, `bytes_max` at most.
    pub(crate) fn read(self, bytes_max: u64) -> Result<Model<'a>, LoadError> {
        match self {
            Self::Bytes { graph, weights } => {
                let actual = (graph.len() as u64).saturating_add(weights.len() as u64);
                if actual > bytes_max {
                    let max = bytes_max;
                    return Err(LoadError::TooLong { max, actual });
                }
                Ok(Model {
                    graph: graph.into(),
                    weights: weights.into(),
                })
            }
            Self::File(path) => {
                let graph = file(path, bytes_max, bytes_max, LoadError::Missing)?;
                let weights = if path.extension().is_some_and(|end| end == GRAPH_EXTENSION) {
                    let rest = bytes_max.saturating_sub(graph.len() as u64);
                    weights_beside(path, rest, bytes_max)?
                } else {
                    Vec::new()
                };
                Ok(Model {
                    graph: graph.into(),
                    weights: weights.into(),
                })
            }
        }
    }
}

fn weights_beside(path: &Path, rest: u64, max: u64) -> Result<Vec<u8>, LoadError> {
    let path = path.with_extension(WEIGHTS_EXTENSION);
    file(&path, rest, max, LoadError::WeightsMissing)
}

/// Reads a file, which must be a file: opening a pipe could wait for ever.
fn file(
    path: &Path,
    rest: u64,
    max: u64,
    missing: fn(std::path::PathBuf) -> LoadError,
) -> Result<Vec<u8>, LoadError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => missing(path.to_owned()),
        _ => LoadError::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(io::Error::other("it is not a file")));
    }
    let too_long = |length: u64| LoadError::TooLong {
        max,
        actual: length.saturating_add(max - rest),
    };
    let length = metadata.len();
    if length > rest {
        return Err(too_long(length));
    }
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(length as usize)
        .map_err(|error| LoadError::OutOfMemory(format!("{length} bytes of model: {error}")))?;
    // The file may grow meanwhile.
    let read = File::open(path)
        .and_then(|file| file.take(rest.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(failed)?;
    if read as u64 > rest {
        return Err(too_long(read as u64));
    }
    Ok(bytes)
}

// === impl Model ===

impl Model<'_> {
    pub(crate) fn graph(&self) -> &[u8] {
        &self.graph
    }

    pub(crate) fn weights(&self) -> &[u8] {
        &self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(source: ModelSource<'_>, max: u64) -> String {
        match source.read(max) {
            Ok(_) => panic!("it should not be read"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_weights_lie_beside_the_xml() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.model.xml");
        let missing = refused(ModelSource::File(&path), 99);
        assert!(
            missing.contains("some.model.xml\" does not exist"),
            "{missing}"
        );
        std::fs::write(&path, "<net/>").unwrap();
        let missing = refused(ModelSource::File(&path), 99);
        assert!(
            missing.contains("some.model.bin\", which does not exist"),
            "{missing}"
        );
        std::fs::write(folder.path().join("some.model.bin"), "1234").unwrap();
        let read = ModelSource::File(&path).read(10).unwrap();
        assert_eq!(
            (read.graph(), read.weights()),
            (&b"<net/>"[..], &b"1234"[..])
        );
    }

    #[test]
    fn what_is_longer_than_the_limit_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.xml");
        std::fs::write(&path, "<net/>").unwrap();
        std::fs::write(folder.path().join("model.bin"), "1234").unwrap();
        for (max, actual) in [(9, 10), (5, 6)] {
            let long = refused(ModelSource::File(&path), max);
            let start = format!("the model is {actual} bytes long, and at most {max} are read");
            assert!(long.starts_with(&start), "{long}");
        }
        let (graph, weights) = (&b"<net/>"[..], &b"1234"[..]);
        let long = refused(ModelSource::Bytes { graph, weights }, 9);
        assert!(long.starts_with("the model is 10 bytes long"), "{long}");
    }

    #[test]
    fn a_folder_is_no_model() {
        let folder = tempfile::tempdir().unwrap();
        let error = refused(ModelSource::File(folder.path()), 99);
        assert!(error.contains("it is not a file"), "{error}");
    }
}
