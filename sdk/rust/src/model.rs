//! Models that the manifest grants, called from inside a plugin.

use crate::{Error, Example, Signature, Tensor};
use std::fmt;

#[cfg(target_family = "wasm")]
use crate::bindings::{models, types};

/// A model that the manifest grants this plugin (`models = ["..."]` in its table).
///
/// Inside a component the host runs it, in one batch with everybody else's rows, while the
/// plugin waits. In a unit test, [`Model::fake`] stands for it.
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
    Fake(Fake<'a>),
}

struct Fake<'a> {
    name: String,
    signature: Signature,
    has_batch_axis: bool,
    #[expect(clippy::type_complexity, reason = "it is named by what it does")]
    infer: Box<dyn Fn(&Example, &Args) -> Result<ModelOutputs, Error> + 'a>,
}

/// The tensors that a model gave back, by name.
#[derive(Debug, Default)]
pub struct ModelOutputs {
    tensors: Vec<(String, Tensor)>,
}

/// What a caller said about a run beside its tensors, or what a plugin says to a model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Args(Vec<(String, ArgValue)>);

/// The value of one argument.
#[derive(Debug, Clone, PartialEq)]
pub enum ArgValue {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
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
        Err(Error::failed(format_args!(
            "there is no model \"{name}\" in a native build: use Model::fake"
        )))
    }

    /// Stands for a model in unit tests: `infer` gets what [`Model::infer`] was given,
    /// after a check of the names.
    pub fn fake(
        name: impl Into<String>,
        signature: Signature,
        infer: impl Fn(&Example, &Args) -> Result<ModelOutputs, Error> + 'a,
    ) -> Self {
        Self(Source::Fake(Fake {
            name: name.into(),
            signature,
            has_batch_axis: true,
            infer: Box::new(infer),
        }))
    }

    /// The same for a model that takes its inputs as they are, without a batch axis.
    pub fn fake_without_batch_axis(
        name: impl Into<String>,
        signature: Signature,
        infer: impl Fn(&Example, &Args) -> Result<ModelOutputs, Error> + 'a,
    ) -> Self {
        let Self(mut source) = Self::fake(name, signature, infer);
        match &mut source {
            Source::Fake(fake) => fake.has_batch_axis = false,
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
            Source::Fake(fake) => {
                let named = inputs.into_iter();
                let named = named.map(|(name, tensor)| (name.into(), tensor));
                fake.infer(Example::from_tensors::<String>(named), args)
            }
        }
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn lent(model: &'a models::Model) -> Self {
        Self(Source::Lent(model))
    }
}

impl fmt::Debug for Model<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({})", self.name())
    }
}

// === impl Fake ===

impl Fake<'_> {
    fn infer(&self, inputs: Example, args: &Args) -> Result<ModelOutputs, Error> {
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
            None => (self.infer)(&inputs, args),
        }
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

// === impl Args ===

impl Args {
    /// No arguments.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// All values and their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &ArgValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The value of that name.
    pub fn value(&self, name: &str) -> Option<&ArgValue> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    /// A truth value, if it is given. Anything else is the caller's fault.
    pub fn bool(&self, name: &str) -> Result<Option<bool>, Error> {
        self.value(name)
            .map(|value| match value {
                ArgValue::Bool(value) => Ok(*value),
                other => Err(other.is_not(name, "true or false")),
            })
            .transpose()
    }

    /// A whole number, if it is given.
    pub fn int(&self, name: &str) -> Result<Option<i64>, Error> {
        self.value(name)
            .map(|value| match value {
                ArgValue::Int(value) => Ok(*value),
                other => Err(other.is_not(name, "a whole number")),
            })
            .transpose()
    }

    /// A number, if it is given; a whole one will do.
    pub fn float(&self, name: &str) -> Result<Option<f64>, Error> {
        self.value(name)
            .map(|value| match value {
                ArgValue::Float(value) => Ok(*value),
                ArgValue::Int(value) => Ok(*value as f64),
                other => Err(other.is_not(name, "a number")),
            })
            .transpose()
    }

    /// A text, if it is given.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        self.value(name)
            .map(|value| match value {
                ArgValue::Text(value) => Ok(value.as_str()),
                other => Err(other.is_not(name, "a text")),
            })
            .transpose()
    }
}

impl<N: Into<String>, V: Into<ArgValue>> FromIterator<(N, V)> for Args {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(args: I) -> Self {
        let pairs = args.into_iter();
        Self(
            pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl<N: Into<String>, V: Into<ArgValue>, const LEN: usize> From<[(N, V); LEN]> for Args {
    fn from(args: [(N, V); LEN]) -> Self {
        args.into_iter().collect()
    }
}

// === impl ArgValue ===

impl ArgValue {
    fn is_not(&self, name: &str, expected: &str) -> Error {
        Error::invalid_input(format_args!(
            "argument \"{name}\" is {self}; {expected} is expected"
        ))
    }
}

impl fmt::Display for ArgValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => write!(f, "{value:?}"),
        }
    }
}

macro_rules! values {
    ($($ty:ty => $variant:ident),*) => {
        $(impl From<$ty> for ArgValue {
            fn from(value: $ty) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

values!(bool => Bool, i64 => Int, f64 => Float, &str => Text, String => Text);

#[cfg(target_family = "wasm")]
fn infer<N: Into<String>>(
    model: &models::Model,
    inputs: impl IntoIterator<Item = (N, Tensor)>,
    args: &Args,
) -> Result<ModelOutputs, Error> {
    let inputs = inputs.into_iter().map(|(name, tensor)| {
        Ok(types::NamedTensor {
            name: name.into(),
            tensor: tensor.into_host()?,
        })
    });
    let inputs: Vec<_> = inputs.collect::<Result<_, Error>>()?;
    let args: Vec<models::Arg> = args
        .iter()
        .map(|(name, value)| models::Arg {
            name: name.to_owned(),
            value: value.clone().into(),
        })
        .collect();
    let outputs = model.infer(inputs, &args)?;
    let named = |named: types::NamedTensor| (named.name, Tensor::from_host(named.tensor, None));
    Ok(outputs.into_iter().map(named).collect())
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

#[cfg(target_family = "wasm")]
impl From<ArgValue> for models::ArgValue {
    fn from(value: ArgValue) -> Self {
        match value {
            ArgValue::Bool(value) => Self::Bool(value),
            ArgValue::Int(value) => Self::Int(value),
            ArgValue::Float(value) => Self::Float(value),
            ArgValue::Text(value) => Self::Text(value),
        }
    }
}

#[cfg(target_family = "wasm")]
impl From<models::ArgValue> for ArgValue {
    fn from(value: models::ArgValue) -> Self {
        match value {
            models::ArgValue::Bool(value) => Self::Bool(value),
            models::ArgValue::Int(value) => Self::Int(value),
            models::ArgValue::Float(value) => Self::Float(value),
            models::ArgValue::Text(value) => Self::Text(value),
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

    #[test]
    fn arguments_are_read_by_kind() {
        let args: Args = [
            ("k", ArgValue::from(3i64)),
            ("t", 0.5.into()),
            ("mode", "greedy".into()),
        ]
        .into();
        assert_eq!(args.int("k"), Ok(Some(3)));
        assert_eq!(args.float("k"), Ok(Some(3.0)));
        assert_eq!(args.float("t"), Ok(Some(0.5)));
        assert_eq!(args.text("mode"), Ok(Some("greedy")));
        assert_eq!(args.bool("none"), Ok(None));
        assert_eq!(
            args.int("mode").unwrap_err(),
            Error::InvalidInput(
                "argument \"mode\" is \"greedy\"; a whole number is expected".into()
            )
        );
        assert_eq!(Args::none().iter().len(), 0);
    }
}
