//! `--trace DIR`: where the time of the first calls went, each as a picture and as JSON in the
//! form of Chrome's trace viewer.
//!
//! [`Recorder`] counts the calls and writes the files; [`Traced`] is an endpoint around
//! another whose calls it hands over. Nothing else of the host knows that calls are traced
//! but by `Call::trace`.

mod chrome;
mod svg;

#[cfg(test)]
mod tests;

use consort_inference::{
    BoxFuture, Call, Endpoint, Example, Failure, Prediction, Signature, Span, StreamStates, Trace,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

/// Writes the traces of the first calls into a folder.
pub(crate) struct Recorder {
    folder: PathBuf,
    calls_max: u64,
    begun: AtomicU64,
}

/// An endpoint whose calls are traced as long as the recorder takes more.
pub(crate) struct Traced {
    inner: Arc<dyn Endpoint>,
    recorder: Arc<Recorder>,
}

/// One call that is traced. It is written when it is over, given up or not.
struct Recording {
    recorder: Arc<Recorder>,
    number: u64,
    endpoint: Arc<str>,
    examples: usize,
    trace: Trace,
    root: Trace,
}

/// What one call is, beside its spans.
pub(crate) struct Title<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) number: u64,
    /// How many spans there was no room for.
    pub(crate) left_out: u64,
}

// === impl Recorder ===

impl Recorder {
    /// Makes the folder if it is missing; the error says what to do.
    pub(crate) fn new(folder: &Path, calls_max: u64) -> Result<Arc<Self>, String> {
        std::fs::create_dir_all(folder).map_err(|error| {
            format!(
                "the folder {} for traces cannot be made: {error}; give another --trace",
                folder.display()
            )
        })?;
        Ok(Arc::new(Self {
            folder: folder.to_owned(),
            calls_max,
            begun: AtomicU64::new(0),
        }))
    }

    /// Puts a recorder around an endpoint, if there is one.
    pub(crate) fn around(
        recorder: Option<&Arc<Self>>,
        endpoint: Arc<dyn Endpoint>,
    ) -> Arc<dyn Endpoint> {
        match recorder {
            Some(recorder) => Arc::new(Traced {
                inner: endpoint,
                recorder: recorder.clone(),
            }),
            None => endpoint,
        }
    }

    /// Begins to trace a call, if it is one of the first.
    fn begin(self: &Arc<Self>, endpoint: &str, examples: usize) -> Option<Recording> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        if number > self.calls_max {
            // The counter is not to come round again.
            self.begun.store(self.calls_max, Ordering::Relaxed);
            return None;
        }
        let trace = Trace::default();
        let root = trace.enter(endpoint, "request", Instant::now().into_std());
        Some(Recording {
            recorder: self.clone(),
            number,
            endpoint: endpoint.into(),
            examples,
            trace,
            root,
        })
    }

    /// What is written: a picture, and what other tools read.
    fn write(&self, title: &Title<'_>, spans: &[Span]) -> std::io::Result<()> {
        let name = format!("{}-{:06}", title.endpoint, title.number);
        let path = |suffix: &str| self.folder.join(format!("{name}.{suffix}"));
        std::fs::write(path("svg"), svg::draw(title, spans))?;
        std::fs::write(path("json"), chrome::json(title, spans).to_string())
    }
}

// === impl Recording ===

impl Drop for Recording {
    fn drop(&mut self) {
        let detail = format!("{} examples", self.examples);
        self.root.leave(Instant::now().into_std(), detail);
        let (recorder, trace) = (self.recorder.clone(), self.trace.clone());
        let (endpoint, number) = (self.endpoint.clone(), self.number);
        let write = move || {
            let title = Title {
                endpoint: &endpoint,
                number,
                left_out: trace.left_out(),
            };
            if let Err(error) = recorder.write(&title, &trace.spans()) {
                let folder = recorder.folder.display();
                tracing::warn!(%folder, %error, "a trace cannot be written");
            }
        };
        // Drawing and writing would hold up whoever else works on this thread.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(write)),
            Err(_) => write(),
        }
    }
}

// === impl Traced ===

impl Endpoint for Traced {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn version(&self) -> &str {
        self.inner.version()
    }

    fn platform(&self) -> &str {
        self.inner.platform()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn has_batch_axis(&self) -> bool {
        self.inner.has_batch_axis()
    }

    fn is_ready(&self) -> bool {
        self.inner.is_ready()
    }

    fn headers(&self) -> &[Arc<str>] {
        self.inner.headers()
    }

    fn states(&self) -> &[Arc<dyn StreamStates>] {
        self.inner.states()
    }

    fn infer(
        &self,
        examples: Vec<Example>,
        mut call: Call,
    ) -> BoxFuture<'_, Vec<Result<Prediction, Failure>>> {
        let recording = self.recorder.begin(self.name(), examples.len());
        if let Some(recording) = &recording {
            call.trace = Some(recording.root.clone());
        }
        Box::pin(async move {
            let results = self.inner.infer(examples, call).await;
            drop(recording);
            results
        })
    }
}
