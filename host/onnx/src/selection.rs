//! Which execution providers a session gets.
//!
//! A provider that was asked for is used, or the model is not loaded; never is the CPU taken
//! instead without a word; all that cannot be used are told at once. With `fallback` each is
//! a warning.

use crate::native::{Assignment, SessionOptions};
use crate::{Config, ExecutionProvider, Library, LoadError, ProviderError, refusal};

/// Appends the providers that are wanted to a session's options; returns those that were, the
/// CPU not among them, since it is always there.
pub(crate) fn append(
    library: &Library,
    config: &Config,
    options: &SessionOptions,
) -> Result<Vec<ExecutionProvider>, LoadError> {
    let mut appended = Vec::new();
    let mut refused = Vec::new();
    for &provider in &config.providers {
        if provider == ExecutionProvider::Cpu {
            continue;
        }
        match append_one(library, options, provider) {
            Ok(()) => appended.push(provider),
            Err(error) => refused.push(error),
        }
    }
    accept_without(refused, config)?;
    Ok(appended)
}

fn append_one(
    library: &Library,
    options: &SessionOptions,
    provider: ExecutionProvider,
) -> Result<(), ProviderError> {
    let offered = library.providers();
    if !offered.iter().any(|name| name == provider.native_name()) {
        return Err(ProviderError::Unavailable {
            provider,
            offered: offered.join(", "),
        });
    }
    options
        .append(provider)
        .map_err(|error| ProviderError::Failed {
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
    let idle = providers.iter().filter(|provider| {
        let mut parts = assignment.iter();
        !parts.any(|part| part.provider == provider.native_name())
    });
    let unused = idle.map(|&provider| ProviderError::Unused { provider });
    accept_without(unused.collect(), config)
}

/// Goes on without the providers that cannot be used, if the configuration allows it.
fn accept_without(refused: Vec<ProviderError>, config: &Config) -> Result<(), LoadError> {
    if !config.fallback && !refused.is_empty() {
        return Err(LoadError::Providers(refused));
    }
    for error in refused {
        warn_left_out(config, &[error.provider()], &error.to_string());
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
        let unused = |provider| ProviderError::Unused { provider };
        let LoadError::Providers(told) = error else {
            panic!("{error}");
        };
        assert_eq!(told, [unused(tensorrt)]);

        // Two that take nothing are both told.
        let error = check_assignment(&assignment[1..], &config(false), &[tensorrt, CUDA]);
        let told = error.unwrap_err().to_string();
        assert!(
            told.contains("tensorrt:0 takes none") && told.contains("; execution provider cuda:0"),
            "{told}"
        );
    }

    #[test]
    fn all_absent_providers_are_told() {
        let library = crate::load_library(None).unwrap_or_else(|error| panic!("{error}"));
        let offered = library.providers();
        let all = ["cuda", "tensorrt", "openvino", "coreml", "directml"];
        let all = all.map(|name| name.parse::<ExecutionProvider>().unwrap());
        let absent: Vec<_> = all
            .into_iter()
            .filter(|provider| !offered.iter().any(|name| name == provider.native_name()))
            .collect();
        assert!(absent.len() > 1, "this library has nearly all: {offered:?}");
        let asked = Config {
            providers: absent.clone(),
            ..config(false)
        };
        let options = SessionOptions::new(&asked).unwrap();
        let Err(LoadError::Providers(told)) = append(&library, &asked, &options) else {
            panic!("accepted");
        };
        let told: Vec<_> = told.iter().map(ProviderError::provider).collect();
        assert_eq!(told, absent);
    }
}
