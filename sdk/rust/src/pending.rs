//! Calls to models that have begun, and waiting for them.

use crate::{Error, ModelOutputs};
use std::fmt;

#[cfg(target_family = "wasm")]
use crate::bindings::models;

/// A call to a model that has begun: see [`Model::submit`](crate::Model::submit). It goes on
/// while the plugin does something else. Dropping it abandons the call, and so does the end
/// of the role's own call.
#[must_use = "a call that nobody waits for is abandoned"]
pub struct Pending(Source);

enum Source {
    #[cfg(target_family = "wasm")]
    Host(models::Pending),
    /// Of a fake model, which has answered at once.
    Fake {
        patience: u32,
        outputs: Result<ModelOutputs, Error>,
    },
}

// === impl Pending ===

impl Pending {
    /// Whether it has ended, so that [`wait`](Self::wait) would return at once. Calls to
    /// fake models have, unless the model has [`patience`](crate::Model::patience).
    pub fn is_done(&self) -> bool {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Source::Host(call) => call.is_done(),
            Source::Fake { patience, .. } => *patience == 0,
        }
    }

    /// Waits for its end: what [`Model::infer`](crate::Model::infer) would have returned.
    pub fn wait(self) -> Result<ModelOutputs, Error> {
        match self.0 {
            #[cfg(target_family = "wasm")]
            Source::Host(call) => Ok(models::Pending::wait(call)?.into()),
            Source::Fake { outputs, .. } => outputs,
        }
    }

    /// How long a fake one takes, of those that are waited for.
    fn patience(&self) -> Option<u32> {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Source::Host(_) => None,
            Source::Fake { patience, .. } => Some(*patience),
        }
    }

    pub(crate) fn fake(patience: u32, outputs: Result<ModelOutputs, Error>) -> Self {
        Self(Source::Fake { patience, outputs })
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn of(call: models::Pending) -> Self {
        Self(Source::Host(call))
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending")
    }
}

/// Waits until at least one of the calls has ended: the place of the first one that has.
/// Having nothing to wait for is an error.
pub fn wait_any<'p>(calls: impl IntoIterator<Item = &'p Pending>) -> Result<usize, Error> {
    let calls: Vec<&Pending> = calls.into_iter().collect();
    let fakes = calls.iter().enumerate();
    let fakes = fakes.filter_map(|(place, call)| Some((call.patience()?, place)));
    if let Some((_, place)) = fakes.min() {
        return Ok(place);
    }
    #[cfg(target_family = "wasm")]
    return host::wait_any(&calls);
    #[cfg(not(target_family = "wasm"))]
    Err(Error::failed(
        "there are no calls to wait for: the list is empty",
    ))
}

/// Waits for all of the calls: one result each, in order.
pub fn wait_all(calls: impl IntoIterator<Item = Pending>) -> Vec<Result<ModelOutputs, Error>> {
    #[cfg(target_family = "wasm")]
    return host::wait_all(calls.into_iter().collect());
    #[cfg(not(target_family = "wasm"))]
    calls.into_iter().map(Pending::wait).collect()
}

#[cfg(target_family = "wasm")]
mod host {
    use super::{Pending, Source};
    use crate::bindings::models;
    use crate::{Error, ModelOutputs};

    pub(super) fn wait_any(calls: &[&Pending]) -> Result<usize, Error> {
        let calls = calls.iter().filter_map(|call| match &call.0 {
            Source::Host(call) => Some(call),
            Source::Fake { .. } => None,
        });
        let place = models::wait_any(&calls.collect::<Vec<_>>())?;
        Ok(place as usize)
    }

    pub(super) fn wait_all(calls: Vec<Pending>) -> Vec<Result<ModelOutputs, Error>> {
        if calls
            .iter()
            .any(|call| matches!(call.0, Source::Fake { .. }))
        {
            return calls.into_iter().map(Pending::wait).collect();
        }
        let calls = calls.into_iter().filter_map(|call| match call.0 {
            Source::Host(call) => Some(call),
            Source::Fake { .. } => None,
        });
        let results = models::wait_all(calls.collect::<Vec<_>>()).into_iter();
        let results = results.map(|outputs| Ok(outputs?.into()));
        results.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ANY, Args, Datatype, Example, Model, Signature, Tensor};

    /// Adds to each number of a batch.
    fn adds(name: &str, what: i64) -> Model<'static> {
        let signature = Signature::new()
            .input("x", Datatype::Int64, [ANY, 1.into()])
            .output("x", Datatype::Int64, [ANY, 1.into()]);
        Model::fake(name, signature, move |inputs, args| {
            if args.bool("fail")? == Some(true) {
                return Err(Error::failed("as told"));
            }
            let x = inputs.tensor("x")?;
            let sums: Vec<i64> = x.read::<i64>()?.iter().map(|x| x + what).collect();
            Ok([("x", Tensor::from_slice(&x.shape(), &sums)?)].into())
        })
    }

    fn example(x: i64) -> Example {
        Example::from_tensors([("x", Tensor::single(x).unwrap())])
    }

    fn x_of(outputs: Result<ModelOutputs, Error>) -> i64 {
        outputs.unwrap().tensor("x").unwrap().element().unwrap()
    }

    #[test]
    fn the_quickest_comes_first_and_all_come_in_order() {
        let (slow, quick) = (adds("slow", 1).patience(2), adds("quick", 10));
        let calls = [
            slow.submit_example(example(1)).unwrap(),
            quick.submit_example(example(1)).unwrap(),
            quick.submit_example(example(2)).unwrap(),
        ];
        assert_eq!(wait_any(&calls), Ok(1));
        assert!(calls[1].is_done() && !calls[0].is_done());
        let sums: Vec<i64> = wait_all(calls).into_iter().map(x_of).collect();
        assert_eq!(sums, [2, 11, 12]);
    }

    #[test]
    fn nothing_to_wait_for_is_an_error_or_nothing() {
        let none: [Pending; 0] = [];
        let error = wait_any(&none).unwrap_err();
        assert!(error.message().contains("the list is empty"), "{error}");
        assert!(wait_all(none).is_empty());
    }

    #[test]
    fn an_example_needs_no_batch_axis() {
        let model = adds("model", 1);
        let signature = model.example_signature();
        assert_eq!(signature.inputs[0].dims, [1].into());
        let outputs = model.infer_example(example(4)).unwrap();
        assert_eq!(outputs.tensor("x").unwrap().shape(), [1]);
        assert_eq!(x_of(Ok(outputs)), 5);
        let batch = Tensor::from_slice(&[2, 1], &[1i64, 2]).unwrap();
        let call = model.submit([("x", batch)]).unwrap();
        let outputs = call.wait().unwrap();
        assert_eq!(
            outputs.tensor("x").unwrap().to_vec::<i64>().unwrap(),
            [2, 3]
        );
    }

    #[test]
    fn a_failure_is_told_by_waiting() {
        let model = adds("model", 1);
        let call = model.submit_example_with(example(4), &Args::from([("fail", true)]));
        assert_eq!(call.unwrap().wait().unwrap_err().message(), "as told");
    }

    #[test]
    fn granted_fakes_are_found_by_name() {
        adds("first", 1).grant();
        adds("second", 2).grant();
        adds("first", 3).grant();
        let opened = |name| x_of(Model::open(name).unwrap().infer_example(example(0)));
        assert_eq!((opened("first"), opened("second")), (3, 2));
        assert!(Model::open("third").is_err());
    }
}
