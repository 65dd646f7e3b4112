//! Settings that could not work, found before anything is called.

use crate::config::{Api, Config};
use crate::error::ConnectReason;
use crate::wire::has_json_form;
use consort_inference::{Signature, TensorSpec};
use std::time::Duration;
use tokio::sync::Semaphore;

/// The longest time that any setting takes: what a clock can count without care.
const TIME_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The slowest rate: one request in an hour.
const PER_SECOND_MIN: f64 = 1.0 / 3_600.0;

/// Checks what a type cannot say.
pub(crate) fn check(config: &Config) -> Result<(), ConnectReason> {
    let refused = |key, what: &str| {
        let what = what.to_owned();
        Err(ConnectReason::Setting { key, what })
    };
    let mut times = vec![
        ("connect_timeout", config.connect_timeout),
        ("request_timeout", config.request_timeout),
        ("call_timeout", config.call_timeout),
        ("idle_timeout", config.idle_timeout),
        ("secret_refresh", config.secret_refresh),
    ];
    if let Some(throttle) = &config.throttle {
        times.push(("throttle.window", throttle.window));
        times.push(("throttle.delay", throttle.delay));
        if !throttle.overload_ratio.is_finite() || throttle.overload_ratio < 1.0 {
            return refused(
                "throttle.overload_ratio",
                "a number of at least 1 is expected",
            );
        }
    }
    if let Some(breaker) = &config.breaker {
        times.push(("breaker.pause_initial", breaker.pause_initial));
        times.push(("breaker.pause_max", breaker.pause_max));
        if breaker.failures_max == 0 {
            return refused("breaker.failures_max", "a number of at least 1 is expected");
        }
    }
    for (key, time) in times {
        if time.is_zero() || time > TIME_MAX {
            return refused(key, "a time above 0 and of at most a year is expected");
        }
    }
    if config.retry.delay_initial > TIME_MAX || config.retry.delay_max > TIME_MAX {
        return refused("retry", "delays of at most a year are expected");
    }
    if !(1..=Semaphore::MAX_PERMITS).contains(&config.connections_max) {
        return refused("connections_max", "a number of at least 1 is expected");
    }
    let rate = config.requests_per_second_max;
    if rate.is_some_and(|rate| !rate.is_finite() || rate < PER_SECOND_MIN) {
        let what = "a number of at least 1/3600 is expected";
        return refused("requests_per_second_max", what);
    }
    match &config.api {
        Api::OpenInference(api) if api.model.is_empty() => {
            refused("model", "the model's name on the server is expected")
        }
        Api::OpenInference(_) => Ok(()),
        Api::Vertex { signature } => check_signature(signature),
    }
}

fn check_signature(signature: &Signature) -> Result<(), ConnectReason> {
    for (key, specs) in [
        ("inputs", &signature.inputs),
        ("outputs", &signature.outputs),
    ] {
        let refused = |what: String| Err(ConnectReason::Setting { key, what });
        if specs.is_empty() {
            return refused("at least one is expected: such a server has no metadata".to_owned());
        }
        for (index, spec) in specs.iter().enumerate() {
            let mut before = specs.iter().take(index);
            if before.any(|other| other.name == spec.name) {
                return refused(format!("\"{}\" is given twice", spec.name));
            }
        }
    }
    match without_json_form(signature) {
        None => Ok(()),
        Some(spec) => Err(ConnectReason::Setting {
            key: "datatype",
            what: format!(
                "\"{}\" is {}, which has no form in JSON",
                spec.name, spec.datatype
            ),
        }),
    }
}

/// A tensor that JSON cannot carry, whatever its values.
pub(crate) fn without_json_form(signature: &Signature) -> Option<&TensorSpec> {
    let mut all = signature.inputs.iter().chain(&signature.outputs);
    all.find(|spec| !has_json_form(spec.datatype))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OpenInference;
    use consort_inference::{Datatype, ModelId};

    fn config() -> Config {
        let api = Api::OpenInference(OpenInference::new("m"));
        Config::new(ModelId::new("m", "1"), "http://localhost", api)
    }

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = config();
        change(&mut config);
        check(&config).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_pass_and_each_limit_is_named() {
        assert_eq!(check(&config()), Ok(()));
        let keys = [
            refused(|config| config.connect_timeout = Duration::ZERO),
            refused(|config| config.call_timeout = Duration::MAX),
            refused(|config| config.connections_max = 0),
            refused(|config| config.requests_per_second_max = Some(f64::NAN)),
            refused(|config| config.retry.delay_max = Duration::MAX),
            refused(|config| config.breaker.as_mut().unwrap().failures_max = 0),
            refused(|config| config.throttle.as_mut().unwrap().overload_ratio = 0.5),
        ];
        let keys = keys.map(|error| error.split(": ").next().unwrap().to_owned());
        let expected = [
            "connect_timeout",
            "call_timeout",
            "connections_max",
            "requests_per_second_max",
            "retry",
            "breaker.failures_max",
            "throttle.overload_ratio",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn a_signature_for_json_has_what_json_can_carry() {
        let with = |outputs: Vec<TensorSpec>| {
            let inputs = vec![TensorSpec::new("x", Datatype::Fp32, vec![])];
            let signature = Signature { inputs, outputs };
            refused(|config| config.api = Api::Vertex { signature })
        };
        let half = TensorSpec::new("y", Datatype::Fp16, vec![]);
        assert_eq!(
            with(vec![half.clone()]),
            "datatype: \"y\" is FP16, which has no form in JSON"
        );
        assert!(with(vec![]).starts_with("outputs: "));
        assert_eq!(
            with(vec![half.clone(), half]),
            "outputs: \"y\" is given twice"
        );
    }
}
