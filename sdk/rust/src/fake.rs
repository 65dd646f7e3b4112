//! Models as unit tests want them.

use crate::{Args, Error, Example, ModelOutputs, Signature, Tensor};

/// Answers as a test says.
pub(crate) struct Fake<'a> {
    pub(crate) name: String,
    pub(crate) signature: Signature,
    pub(crate) has_batch_axis: bool,
    /// After how many others it answers, of those that are waited for.
    pub(crate) patience: u32,
    #[expect(clippy::type_complexity, reason = "it is named by what it does")]
    pub(crate) infer: Box<dyn Fn(&Example, &Args) -> Result<ModelOutputs, Error> + 'a>,
}

// === impl Fake ===

impl Fake<'_> {
    pub(crate) fn infer(&self, inputs: &Example, args: &Args) -> Result<ModelOutputs, Error> {
        let within =
            |error: Error| error.within(format_args!("the inputs of model \"{}\"", self.name));
        for spec in &self.signature.inputs {
            let tensor = inputs.tensor(&spec.name).map_err(within)?;
            if tensor.datatype() != spec.datatype {
                return Err(within(Error::failed(format_args!(
                    "tensor \"{}\" is {}, {} is expected",
                    spec.name,
                    tensor.datatype(),
                    spec.datatype
                ))));
            }
        }
        let expected = |name: &str| self.signature.inputs.iter().any(|spec| spec.name == name);
        match inputs.tensors().find(|(name, _)| !expected(name)) {
            Some((name, _)) => Err(within(Error::failed(format_args!(
                "tensor \"{name}\" is not expected"
            )))),
            None => (self.infer)(inputs, args),
        }
    }

    /// One example as a batch of one.
    pub(crate) fn infer_example(
        &self,
        example: &Example,
        args: &Args,
    ) -> Result<ModelOutputs, Error> {
        if !self.has_batch_axis {
            return self.infer(example, args);
        }
        let batch = example.tensors().map(|(name, tensor)| {
            let batch = Tensor::stack(&[tensor]);
            Ok((name.to_owned(), batch?))
        });
        let batch = batch.collect::<Result<Vec<_>, Error>>()?;
        let outputs = self.infer(&Example::from_tensors(batch), args)?;
        let one = |(name, tensor): (String, Tensor)| {
            let shape = tensor.shape();
            match shape.split_first() {
                Some((1, rest)) => Ok((name, tensor.reshape(rest)?)),
                _ => Err(Error::failed(format_args!(
                    "output \"{name}\" of the fake model \"{}\" has no row for the one example",
                    self.name
                ))),
            }
        };
        outputs.into_iter().map(one).collect()
    }

    pub(crate) fn example_signature(&self) -> Signature {
        let mut signature = self.signature.clone();
        if self.has_batch_axis {
            let specs = signature.inputs.iter_mut().chain(&mut signature.outputs);
            for spec in specs.filter(|spec| !spec.dims.0.is_empty()) {
                spec.dims.0.remove(0);
            }
        }
        signature
    }
}

/// Fake models by their names, in native builds.
#[cfg(not(target_family = "wasm"))]
pub(crate) mod granted {
    use super::Fake;
    use std::cell::RefCell;
    use std::rc::Rc;

    type Fakes = Vec<Rc<Fake<'static>>>;

    std::thread_local! {
        static GRANTED: RefCell<Fakes> = const { RefCell::new(Vec::new()) };
    }

    pub(crate) fn add(fake: Rc<Fake<'static>>) {
        GRANTED.with_borrow_mut(|fakes| {
            fakes.retain(|known| known.name != fake.name);
            fakes.push(fake);
        });
    }

    pub(crate) fn find(name: &str) -> Option<Rc<Fake<'static>>> {
        GRANTED.with_borrow(|fakes| fakes.iter().find(|fake| fake.name == name).cloned())
    }
}
