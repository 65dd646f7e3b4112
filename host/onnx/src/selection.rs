//! Which execution providers a session gets.
//!
//! A provider that was asked for is used, or the model is not loaded; never is the CPU taken
//! instead without a word. With `fallback` it is a warning.

use crate::native::{Assignment, SessionOptions};
use crate::{Config, ExecutionProvider, Library, LoadError, refusal};

/// Appends the providers that are wanted to a session's options; returns those that were, the
/// CPU not among them, since it is always there.
pub(crate) fn append(
    library: &Library,
    config: &Config,
    options: &SessionOptions,
) -> Result<Vec<ExecutionProvider>, LoadError> {
    let mut appended = Vec::new();
    for &provider in &config.providers {
        if provider == ExecutionProvider::Cpu {
            continue;
        }
        match append_one(library, options, provider) {
            Ok(()) => appended.push(provider),
            Err(error) if config.fallback => {
                warn_left_out(config, &[provider], &error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(appended)
}

fn append_one(
    library: &Library,
    options: &SessionOptions,
    provider: ExecutionProvider,
) -> Result<(), LoadError> {
    let offered = library.providers();
    if !offered.iter().any(|name| name == provider.native_name()) {
        return Err(LoadError::ProviderUnavailable {
            provider,
            offered: offered.join(", "),
        });
    }
    options
        .append(provider)
        .map_err(|error| LoadError::ProviderFailed {
            provider,
            message: refusal::one_line(error.message()),
        })
}

/// A provider that was appended and takes nothing would be a silent fallback to the CPU.
pub(crate) fn check_assignment(
    assignment: &[Assignment],
    config: &Config,
    providers: &[ExecutionProvider],
) -> Result<(), LoadError> {
    for part in assignment {
        tracing::info!(
            model = %config.name, provider = part.provider, operators = part.operators,
            "operators were assigned"
        );
    }
    for &provider in providers {
        if assignment
            .iter()
            .any(|part| part.provider == provider.native_name())
        {
            continue;
        }
        let unused = LoadError::ProviderUnused { provider };
        if !config.fallback {
            return Err(unused);
        }
        warn_left_out(config, &[provider], &unused.to_string());
    }
    Ok(())
}

pub(crate) fn warn_left_out(config: &Config, providers: &[ExecutionProvider], reason: &str) {
    for provider in providers {
        tracing::warn!(
            model = %config.name, %provider, reason,
            "an execution provider is not used, and the model runs without it (fallback = true)"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::Session;
    use std::path::Path;

    const CUDA: ExecutionProvider = ExecutionProvider::Cuda { device_id: 0 };

    fn config(fallback: bool) -> Config {
        Config {
            fallback,
            ..Config::new("mlp".parse().unwrap())
        }
    }

    #[test]
    fn a_provider_that_takes_nothing_is_found_out() {
        let library = crate::load_library(None).unwrap_or_else(|error| panic!("{error}"));
        let options = SessionOptions::new(&config(false)).unwrap();
        options.record_assignment().unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mlp.onnx");
        let session = Session::from_file(&library, &path, &options, true).unwrap();
        let assignment = session.assignment().unwrap();
        let [cpu] = &assignment[..] else {
            panic!("{assignment:?}");
        };
        assert!(
            cpu.provider == "CPUExecutionProvider" && cpu.operators >= 3,
            "{cpu:?}"
        );

        let error = check_assignment(&assignment, &config(false), &[CUDA]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "execution provider cuda:0 takes none of the model's operators; leave it out, or \
             set fallback = true"
        );
        check_assignment(&assignment, &config(true), &[CUDA]).unwrap();
        check_assignment(&assignment, &config(false), &[]).unwrap();
    }

    #[test]
    fn one_of_several_providers_that_takes_nothing_is_found_out() {
        let part = |provider: &str| Assignment {
            provider: provider.to_owned(),
            operators: 1,
        };
        let assignment = [part("CUDAExecutionProvider"), part("CPUExecutionProvider")];
        check_assignment(&assignment, &config(false), &[CUDA]).unwrap();
        let tensorrt = ExecutionProvider::TensorRt { device_id: 0 };
        let error = check_assignment(&assignment, &config(false), &[tensorrt, CUDA]).unwrap_err();
        assert!(matches!(error, LoadError::ProviderUnused { provider } if provider == tensorrt));
    }
}
