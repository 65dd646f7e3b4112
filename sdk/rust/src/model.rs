//! Models that the manifest grants, called from inside a plugin.

use crate::fake::Fake;
#[cfg(not(target_family = "wasm"))]
use crate::fake::granted;
use crate::{Args, Error, Example, Outputs, Pending, Signature, Tensor};
use std::fmt;
use std::rc::Rc;

#[cfg(target_family = "wasm")]
use crate::bindings::{models, types};

/// A model, model map or ensemble that the manifest grants this plugin
/// (`models = ["..."]` in its table).
///
/// Inside a component the host runs it, in one batch with everybody else's rows.
/// [`infer`](Self::infer) waits for it; [`submit`](Self::submit) does not, so that several
/// run at the same time. In a unit test, [`Model::fake`] stands for it.
///
/// ```
/// use consort_sdk::{Args, Datatype, Model, Signature, Tensor};
///
/// let signature = Signature::new()
///     .input("x", Datatype::Fp32, [consort_sdk::ANY])
///     .output("y", Datatype::Fp32, [consort_sdk::ANY]);
/// let twice = Model::fake("twice", signature, |inputs, _args| {
///     let doubled: Vec<f32> = inputs.read::<f32>("x")?.iter().map(|x| 2.0 * x).collect();
///     Ok([("y", Tensor::from_slice(&[doubled.len()], &doubled)?)].into())
/// });
/// let outputs = twice.infer([("x", Tensor::from_slice(&[2], &[1f32, 2.0])?)])?;
/// assert_eq!(*outputs.tensor("y")?.read::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), consort_sdk::Error>(())
/// ```
pub struct Model<'a>(Source<'a>);

enum Source<'a> {
    #[cfg(target_family = "wasm")]
    Opened(models::Model),
    #[cfg(target_family = "wasm")]
    Lent(&'a models::Model),
    Fake(Rc<Fake<'a>>),
}

/// The tensors that a model gave back, by name.
#[derive(Debug, Default)]
pub struct ModelOutputs {
    tensors: Vec<(String, Tensor)>,
}

// === impl Model ===

impl<'a> Model<'a> {
    /// A granted model by its name in the manifest. The error for any other says what to
    /// write into the manifest. A native build has no models: make a [`Model::fake`].
    pub fn open(name: &str) -> Result<Model<'static>, Error> {
        #[cfg(target_family = "wasm")]
        return match models::open(name) {
            Ok(model) => Ok(Model(Source::Opened(model))),
            Err(error) => Err(error.into()),
        };
        #[cfg(not(target_family = "wasm"))]
        granted::find(name)
            .map(|fake| Model(Source::Fake(fake)))
            .ok_or_else(|| {
                Error::failed(format_args!(
                    "there is no model \"{name}\" in a native build: make a Model::fake, and \
                     `grant` it where the plugin opens it by its name"
                ))
            })
    }

    /// Stands for a model in unit tests: `infer` gets what [`Model::infer`] was given,
    /// after a check of the names.
    pub fn fake(
        name: impl Into<String>,
        signature: Signature,
        infer: impl Fn(&Example, &Args) -> Result<ModelOutputs, Error> + 'a,
    ) -> Self {
        Self(Source::Fake(Rc::new(Fake {
            name: name.into(),
            signature,
            has_batch_axis: true,
            patience: 0,
            infer: Box::new(infer),
        })))
    }

    /// The same for a model that takes its inputs as they are, without a batch axis.
    pub fn fake_without_batch_axis(
        name: impl Into<String>,
        signature: Signature,
        infer: impl Fn(&Example, &Args) -> Result<ModelOutputs, Error> + 'a,
    ) -> Self {
        Self::fake(name, signature, infer).change(|fake| fake.has_batch_axis = false)
    }

    /// Makes a fake model slow: [`wait_any`](crate::wait_any) finds calls to models of less
    /// patience ended before those to it.
    #[must_use]
    pub fn patience(self, patience: u32) -> Self {
        self.change(|fake| fake.patience = patience)
    }

    /// Changes a fake model that nobody else has yet.
    fn change(self, change: impl FnOnce(&mut Fake<'a>)) -> Self {
        let mut source = self.0;
        match &mut source {
            Source::Fake(fake) => {
                if let Some(fake) = Rc::get_mut(fake) {
                    change(fake);
                }
            }
            #[cfg(target_family = "wasm")]
            _ => {}
        }
        Self(source)
    }

    /// Its name in the manifest.
    pub fn name(&self) -> String {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Source::Opened(model) => model.name(),
            #[cfg(target_family = "wasm")]
            Source::Lent(model) => model.name(),
            Source::Fake(fake) => fake.name.clone(),
        }
    }

    /// The version that answers now; `fake` for a fake one.
    pub fn version(&self) -> String {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Source::Opened(model) => model.version(),
            #[cfg(target_family = "wasm")]
            Source::Lent(model) => model.version(),
            Source::Fake(_) => "fake".to_owned(),
        }
    }

    /// Whether a call takes several rows, along a first axis that all tensors have.
    pub fn has_batch_axis(&self) -> bool {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Source::Opened(model) => model.has_batch_axis(),
            #[cfg(target_family = "wasm")]
            Source::Lent(model) => model.has_batch_axis(),
            Source::Fake(fake) => fake.has_batch_axis,
        }
    }

    /// What one call takes and gives, the batch axis included.
    pub fn signature(&self) -> Signature {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Source::Opened(model) => model.signature().into(),
            #[cfg(target_family = "wasm")]
            Source::Lent(model) => model.signature().into(),
            Source::Fake(fake) => fake.signature.clone(),
        }
    }

    /// What one example takes and gives: no batch axis.
    pub fn example_signature(&self) -> Signature {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Source::Opened(model) => model.example_signature().into(),
            #[cfg(target_family = "wasm")]
            Source::Lent(model) => model.example_signature().into(),
            Source::Fake(fake) => fake.example_signature(),
        }
    }

    /// Runs the model and waits for it.
    ///
    /// The inputs must be exactly the tensors of [`signature`](Self::signature). They
    /// belong to the model afterwards: pass [`Tensor::share`] to keep one.
    pub fn infer<N: Into<String>>(
        &self,
        inputs: impl IntoIterator<Item = (N, Tensor)>,
    ) -> Result<ModelOutputs, Error> {
        self.infer_with(inputs, &Args::none())
    }

    /// The same with arguments.
    pub fn infer_with<N: Into<String>>(
        &self,
        inputs: impl IntoIterator<Item = (N, Tensor)>,
        args: &Args,
    ) -> Result<ModelOutputs, Error> {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Source::Opened(model) => infer(model, inputs, args),
            #[cfg(target_family = "wasm")]
            Source::Lent(model) => infer(model, inputs, args),
            Source::Fake(fake) => fake.infer(&Example::from_tensors(named(inputs)), args),
        }
    }

    /// Begins what [`infer`](Self::infer) does and does not wait for it. Inputs that do not
    /// fit are an error here; what happens later is one of [`Pending::wait`].
    ///
    /// ```
    /// use consort_sdk::{ANY, Datatype, Model, Signature, Tensor, wait_all, wait_any};
    ///
    /// # let signature = || Signature::new().input("x", Datatype::Fp32, [ANY]);
    /// # let slow = Model::fake("slow", signature(), |inputs, _| {
    /// #     Ok([("y", inputs.tensor("x")?.share()?)].into())
    /// # }).patience(1);
    /// # let quick = Model::fake("quick", signature(), |inputs, _| {
    /// #     Ok([("y", inputs.tensor("x")?.share()?)].into())
    /// # });
    /// # let x = Tensor::from_slice(&[1], &[1f32])?;
    /// let calls = [slow.submit([("x", x.share()?)])?, quick.submit([("x", x)])?];
    /// let first = wait_any(&calls)?;
    /// assert_eq!(first, 1);
    /// for outputs in wait_all(calls) {
    ///     assert_eq!(outputs?.tensor("y")?.element::<f32>()?, 1.0);
    /// }
    /// # Ok::<(), consort_sdk::Error>(())
    /// ```
    pub fn submit<N: Into<String>>(
        &self,
        inputs: impl IntoIterator<Item = (N, Tensor)>,
    ) -> Result<Pending, Error> {
        self.submit_with(inputs, &Args::none())
    }

    /// The same with arguments.
    pub fn submit_with<N: Into<String>>(
        &self,
        inputs: impl IntoIterator<Item = (N, Tensor)>,
        args: &Args,
    ) -> Result<Pending, Error> {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Source::Opened(model) => submit(model, inputs, args),
            #[cfg(target_family = "wasm")]
            Source::Lent(model) => submit(model, inputs, args),
            Source::Fake(fake) => {
                let inputs = Example::from_tensors(named(inputs));
                Ok(Pending::fake(fake.patience, fake.infer(&inputs, args)))
            }
        }
    }

    /// Begins a call of one example, whose tensors are those of
    /// [`example_signature`](Self::example_signature): there is no batch axis to add and to
    /// take away. Its key chooses the model of a model map. Outputs that an ensemble leaves
    /// out, because an optional step failed, are not among the outputs.
    pub fn submit_example(&self, example: Example) -> Result<Pending, Error> {
        self.submit_example_with(example, &Args::none())
    }

    /// The same with arguments.
    pub fn submit_example_with(&self, example: Example, args: &Args) -> Result<Pending, Error> {
        match &self.0 {
            #[cfg(target_family = "wasm")]
            Source::Opened(model) => submit_example(model, example, args),
            #[cfg(target_family = "wasm")]
            Source::Lent(model) => submit_example(model, example, args),
            Source::Fake(fake) => {
                let outputs = fake.infer_example(&example, args);
                Ok(Pending::fake(fake.patience, outputs))
            }
        }
    }

    /// Runs the model on one example and waits for it: see
    /// [`submit_example`](Self::submit_example).
    pub fn infer_example(&self, example: Example) -> Result<ModelOutputs, Error> {
        self.submit_example(example)?.wait()
    }

    /// The same with arguments.
    pub fn infer_example_with(&self, example: Example, args: &Args) -> Result<ModelOutputs, Error> {
        self.submit_example_with(example, args)?.wait()
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn lent(model: &'a models::Model) -> Self {
        Self(Source::Lent(model))
    }
}

#[cfg(not(target_family = "wasm"))]
impl Model<'static> {
    /// Grants a fake model to the plugins of this thread: [`Model::open`] finds it by its
    /// name from now on. For unit tests, each of which has a thread of its own.
    pub fn grant(self) {
        let Source::Fake(fake) = self.0;
        granted::add(fake);
    }
}

impl fmt::Debug for Model<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({})", self.name())
    }
}

// === impl ModelOutputs ===

impl ModelOutputs {
    /// A tensor by name; the error lists those there are.
    pub fn tensor(&self, name: &str) -> Result<&Tensor, Error> {
        let found = self.tensors.iter().find(|(known, _)| known == name);
        found
            .map(|(_, tensor)| tensor)
            .ok_or_else(|| self.missing(name))
    }

    /// Takes a tensor out, to pass it on.
    pub fn take(&mut self, name: &str) -> Result<Tensor, Error> {
        match self.tensors.iter().position(|(known, _)| known == name) {
            Some(index) => Ok(self.tensors.swap_remove(index).1),
            None => Err(self.missing(name)),
        }
    }

    /// The tensors and their names.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor))
    }

    fn missing(&self, name: &str) -> Error {
        let names: Vec<_> = self
            .tensors()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        Error::failed(format_args!(
            "the model gave no tensor \"{name}\"; there is {}",
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        ))
    }
}

impl<N: Into<String>> FromIterator<(N, Tensor)> for ModelOutputs {
    fn from_iter<I: IntoIterator<Item = (N, Tensor)>>(tensors: I) -> Self {
        let named = tensors.into_iter();
        Self {
            tensors: named.map(|(name, tensor)| (name.into(), tensor)).collect(),
        }
    }
}

impl<N: Into<String>, const LEN: usize> From<[(N, Tensor); LEN]> for ModelOutputs {
    fn from(tensors: [(N, Tensor); LEN]) -> Self {
        tensors.into_iter().collect()
    }
}

impl IntoIterator for ModelOutputs {
    type Item = (String, Tensor);
    type IntoIter = std::vec::IntoIter<(String, Tensor)>;

    fn into_iter(self) -> Self::IntoIter {
        self.tensors.into_iter()
    }
}

impl From<ModelOutputs> for Outputs {
    /// What a model gave, passed on as it is.
    fn from(outputs: ModelOutputs) -> Self {
        outputs.into_iter().collect()
    }
}

fn named<N: Into<String>>(
    inputs: impl IntoIterator<Item = (N, Tensor)>,
) -> impl Iterator<Item = (String, Tensor)> {
    let inputs = inputs.into_iter();
    inputs.map(|(name, tensor)| (name.into(), tensor))
}

#[cfg(target_family = "wasm")]
fn infer<N: Into<String>>(
    model: &models::Model,
    inputs: impl IntoIterator<Item = (N, Tensor)>,
    args: &Args,
) -> Result<ModelOutputs, Error> {
    let outputs = model.infer(to_host(named(inputs))?, &args.to_host())?;
    Ok(outputs.into())
}

#[cfg(target_family = "wasm")]
fn submit<N: Into<String>>(
    model: &models::Model,
    inputs: impl IntoIterator<Item = (N, Tensor)>,
    args: &Args,
) -> Result<Pending, Error> {
    let call = model.submit(to_host(named(inputs))?, &args.to_host())?;
    Ok(Pending::of(call))
}

#[cfg(target_family = "wasm")]
fn submit_example(model: &models::Model, example: Example, args: &Args) -> Result<Pending, Error> {
    let (key, tensors) = example.into_parts();
    let tensors = tensors.into_iter();
    let tensors = to_host(tensors.map(|(name, tensor)| ((*name).to_owned(), tensor)))?;
    let example = types::Example { key, tensors };
    let call = model.submit_example(example, &args.to_host())?;
    Ok(Pending::of(call))
}

#[cfg(target_family = "wasm")]
fn to_host(
    inputs: impl Iterator<Item = (String, Tensor)>,
) -> Result<Vec<types::NamedTensor>, Error> {
    let inputs = inputs.map(|(name, tensor)| {
        let tensor = tensor.into_host()?;
        Ok(types::NamedTensor { name, tensor })
    });
    inputs.collect()
}

#[cfg(target_family = "wasm")]
impl From<Vec<types::NamedTensor>> for ModelOutputs {
    fn from(outputs: Vec<types::NamedTensor>) -> Self {
        let outputs = outputs.into_iter();
        outputs
            .map(|named| (named.name, Tensor::from_host(named.tensor, None)))
            .collect()
    }
}

#[cfg(target_family = "wasm")]
impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::InvalidInput(message) => Self::InvalidInput(message),
            types::Error::Failed(message) => Self::Failed(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ANY, Datatype};

    fn identity() -> Model<'static> {
        let signature =
            Signature::new()
                .input("x", Datatype::Int64, [ANY])
                .output("x", Datatype::Int64, [ANY]);
        Model::fake("identity", signature, |inputs, args| {
            match args.bool("fail")? {
                Some(true) => Err(Error::failed("as told")),
                _ => Ok([("x", inputs.tensor("x")?.share()?)].into()),
            }
        })
    }

    fn x() -> Tensor {
        Tensor::from_slice(&[2], &[1i64, 2]).unwrap()
    }

    #[test]
    fn a_fake_model_stands_for_one() {
        let model = identity();
        assert_eq!(
            (model.name(), model.has_batch_axis()),
            ("identity".into(), true)
        );
        assert_eq!(model.signature().inputs.len(), 1);
        let mut outputs = model.infer([("x", x())]).unwrap();
        assert_eq!(outputs.tensor("x").unwrap().shape(), [2]);
        assert_eq!(outputs.take("x").unwrap().to_vec::<i64>().unwrap(), [1, 2]);
        assert_eq!(
            outputs.take("x").unwrap_err().message(),
            "the model gave no tensor \"x\"; there is none"
        );
        let failed = model.infer_with([("x", x())], &Args::from([("fail", true)]));
        assert_eq!(failed.unwrap_err().message(), "as told");
    }

    #[test]
    fn a_fake_model_refuses_other_tensors() {
        let model = identity();
        let float = Tensor::single(1f32).unwrap();
        for (inputs, part) in [
            (vec![("y", x())], "no tensor \"x\""),
            (vec![("x", float)], "is FP32, INT64 is expected"),
            (vec![("x", x()), ("y", x())], "\"y\" is not expected"),
        ] {
            let error = model.infer(inputs).unwrap_err();
            assert!(error.message().contains(part), "{error}");
        }
    }

    #[test]
    fn there_are_no_models_natively() {
        let error = Model::open("resnet").unwrap_err();
        assert!(error.message().contains("Model::fake"), "{error}");
    }
}
