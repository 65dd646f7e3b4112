//! What a role is given and what it gives back.

use crate::{ByteString, ByteStrings, Element, Elements, Ends, Error, Tensor};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;

/// One item to work on.
///
/// Its readers name the tensor in every error, so that a plugin can use `?` on them.
/// In a unit test, make one with [`Example::from_tensors`].
#[derive(Debug, Default)]
pub struct Example {
    key: OnceCell<Option<String>>,
    /// Where to ask for the key when somebody wants to know it.
    #[cfg_attr(
        not(target_family = "wasm"),
        expect(dead_code, reason = "native examples have their keys with them")
    )]
    index: Option<u32>,
    tensors: Vec<(Rc<str>, Tensor)>,
}

/// Named tensors that a role gives back.
#[derive(Debug, Default)]
pub struct Outputs {
    tensors: Vec<(Cow<'static, str>, Tensor)>,
}

/// What a pre-processor made of one example.
#[derive(Debug)]
pub enum Outcome {
    /// Go on to the next step with these tensors.
    Forward(Outputs),
    /// This is already the ensemble's answer: the remaining steps are skipped.
    Answer(Outputs),
}

// === impl Example ===

impl Example {
    /// An example of named tensors: for a call to a model, and for unit tests.
    pub fn from_tensors<N: AsRef<str>>(tensors: impl IntoIterator<Item = (N, Tensor)>) -> Self {
        let tensors = tensors.into_iter();
        Self {
            key: OnceCell::from(None),
            index: None,
            tensors: tensors
                .map(|(name, tensor)| (name.as_ref().into(), tensor))
                .collect(),
        }
    }

    /// The same with a key.
    pub fn with_key(self, key: impl Into<String>) -> Self {
        Self {
            key: OnceCell::from(Some(key.into())),
            ..self
        }
    }

    /// The same example once more, with its key: to pass it on to a model, say. Copies no
    /// tensor.
    pub fn share(&self) -> Result<Self, Error> {
        let tensors = self.tensors.iter();
        let shared = tensors.map(|(name, tensor)| Ok((name.clone(), tensor.share()?)));
        Ok(Self {
            key: OnceCell::from(self.key().map(str::to_owned)),
            index: None,
            tensors: shared.collect::<Result<_, Error>>()?,
        })
    }

    /// The caller's key, for messages. The host forwards it by itself.
    pub fn key(&self) -> Option<&str> {
        self.key.get_or_init(|| self.ask_key()).as_deref()
    }

    #[cfg(target_family = "wasm")]
    fn ask_key(&self) -> Option<String> {
        self.index.and_then(crate::bindings::columns::key)
    }

    #[cfg(not(target_family = "wasm"))]
    fn ask_key(&self) -> Option<String> {
        None
    }

    /// The tensors and their names.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (&**name, tensor))
    }

    /// A tensor by name.
    pub fn tensor(&self, name: &str) -> Result<&Tensor, Error> {
        find(&self.tensors, name).ok_or_else(|| {
            Error::failed(format!(
                "there is no tensor \"{name}\" in the example; it holds {}",
                names(&self.tensors)
            ))
        })
    }

    /// All elements of a tensor, as [`Tensor::read`].
    pub fn read<T: Element>(&self, name: &str) -> Result<Elements<T>, Error> {
        self.read_with(name, Tensor::read)
    }

    /// The one element of a tensor, as [`Tensor::element`].
    pub fn element<T: Element>(&self, name: &str) -> Result<T, Error> {
        self.read_with(name, Tensor::element)
    }

    /// The elements of a `BYTES` tensor, as [`Tensor::byte_strings`].
    pub fn byte_strings(&self, name: &str) -> Result<ByteStrings, Error> {
        self.read_with(name, Tensor::byte_strings)
    }

    /// The first bytes of each element of a `BYTES` tensor, as [`Tensor::heads`].
    pub fn heads(&self, name: &str, most: usize) -> Result<Ends, Error> {
        self.read_with(name, |tensor| tensor.heads(most))
    }

    /// The last bytes of each element of a `BYTES` tensor, as [`Tensor::tails`].
    pub fn tails(&self, name: &str, most: usize) -> Result<Ends, Error> {
        self.read_with(name, |tensor| tensor.tails(most))
    }

    /// The one element of a `BYTES` tensor, as [`Tensor::byte_string`].
    pub fn byte_string(&self, name: &str) -> Result<ByteString, Error> {
        self.read_with(name, Tensor::byte_string)
    }

    /// The one element of a `BYTES` tensor as text, as [`Tensor::text`].
    pub fn text(&self, name: &str) -> Result<String, Error> {
        self.read_with(name, Tensor::text)
    }

    fn read_with<R>(
        &self,
        name: &str,
        read: impl FnOnce(&Tensor) -> Result<R, crate::TensorError>,
    ) -> Result<R, Error> {
        read(self.tensor(name)?)
            .map_err(|error| Error::from(error).within(format_args!("tensor \"{name}\"")))
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn from_parts(key: Option<String>, tensors: Vec<(Rc<str>, Tensor)>) -> Self {
        Self {
            key: OnceCell::from(key),
            index: None,
            tensors,
        }
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn into_parts(self) -> (Option<String>, Vec<(Rc<str>, Tensor)>) {
        let key = self.key().map(str::to_owned);
        (key, self.tensors)
    }

    /// The example of that index in a call that came as columns.
    #[cfg(target_family = "wasm")]
    pub(crate) fn of_columns(index: u32, tensors: Vec<(Rc<str>, Tensor)>) -> Self {
        Self {
            key: OnceCell::new(),
            index: Some(index),
            tensors,
        }
    }
}

// === impl Outputs ===

impl Outputs {
    /// No tensors yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, tensor: Tensor) -> Self {
        self.tensors.push((name.into(), tensor));
        self
    }

    /// The tensors and their names.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (&**name, tensor))
    }

    /// A tensor by name.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        find(&self.tensors, name)
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn into_tensors(self) -> Vec<(Cow<'static, str>, Tensor)> {
        self.tensors
    }
}

impl<N: Into<Cow<'static, str>>, const LEN: usize> From<[(N, Tensor); LEN]> for Outputs {
    fn from(tensors: [(N, Tensor); LEN]) -> Self {
        Self {
            tensors: named(tensors),
        }
    }
}

impl<N: Into<Cow<'static, str>>> FromIterator<(N, Tensor)> for Outputs {
    fn from_iter<I: IntoIterator<Item = (N, Tensor)>>(tensors: I) -> Self {
        Self {
            tensors: named(tensors),
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Goes on to the next step with these tensors.
    pub fn forward(tensors: impl Into<Outputs>) -> Self {
        Self::Forward(tensors.into())
    }

    /// Answers with these tensors, so that the remaining steps are skipped.
    pub fn answer(tensors: impl Into<Outputs>) -> Self {
        Self::Answer(tensors.into())
    }
}

fn named<N: Into<Cow<'static, str>>>(
    tensors: impl IntoIterator<Item = (N, Tensor)>,
) -> Vec<(Cow<'static, str>, Tensor)> {
    tensors
        .into_iter()
        .map(|(name, tensor)| (name.into(), tensor))
        .collect()
}

fn find<'a, N: AsRef<str>>(tensors: &'a [(N, Tensor)], name: &str) -> Option<&'a Tensor> {
    tensors
        .iter()
        .find(|(known, _)| known.as_ref() == name)
        .map(|(_, tensor)| tensor)
}

fn names<N: AsRef<str>>(tensors: &[(N, Tensor)]) -> String {
    let names: Vec<_> = tensors
        .iter()
        .map(|(name, _)| format!("\"{}\"", name.as_ref()))
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
