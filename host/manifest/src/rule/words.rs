//! A choice of words, each a variant of an enum.

use std::marker::PhantomData;

use toml::de::DeValue;

use super::{Describe, Found, Rule, toml_text};
use crate::json::Json;
use crate::nearest::nearest;
use crate::report::Report;
use crate::section::prose;

/// An enum whose variants the manifest writes as words.
pub(crate) trait Words: Copy + 'static {
    /// Every variant, its word and its documentation.
    const ALL: &'static [(Self, &'static str, &'static [&'static str])];
}

/// One of the words of `W`.
pub(crate) struct OneOf<W>(PhantomData<W>);

/// Declares an enum and the words for its variants in one place.
macro_rules! words {
    (
        $(#[$meta:meta])*
        $vis:vis enum $Name:ident {
            $($(#[doc = $about:literal])* $Variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $vis enum $Name {
            $($(#[doc = $about])* $Variant,)+
        }

        impl $crate::rule::words::Words for $Name {
            const ALL: &'static [(Self, &'static str, &'static [&'static str])] =
                &[$((Self::$Variant, $word, &[$($about),*]),)+];
        }

        impl $Name {
            /// The word that the manifest uses.
            $vis fn as_str(&self) -> &'static str {
                match self {
                    $(Self::$Variant => $word,)+
                }
            }
        }

        impl ::std::fmt::Display for $Name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use words;

// === impl OneOf ===

impl<W: Words> OneOf<W> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }

    fn texts() -> impl Iterator<Item = &'static str> {
        W::ALL.iter().map(|(_, word, _)| *word)
    }
}

impl<W: Words> Describe for OneOf<W> {
    fn wanted(&self) -> String {
        let words: Vec<_> = Self::texts().map(toml_text).collect();
        match words.as_slice() {
            [only] => only.clone(),
            words => format!("one of {}", words.join(", ")),
        }
    }

    fn sample(&self) -> String {
        toml_text(Self::texts().next().unwrap_or_default())
    }

    fn schema(&self) -> Json {
        Json::object([("enum", Json::texts(Self::texts()))])
    }

    fn words(&self) -> Vec<(&'static str, String)> {
        let all = W::ALL.iter();
        all.map(|(_, word, about)| (*word, prose(about))).collect()
    }
}

impl<W: Words> Rule for OneOf<W> {
    type Value = W;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<W> {
        let DeValue::String(text) = found.value.get_ref() else {
            return found.refuse_type(self, report);
        };
        if let Some((value, ..)) = W::ALL.iter().find(|(_, word, _)| word == text) {
            return Some(*value);
        }
        let Some(meant) = nearest(text, Self::texts()) else {
            return found.refuse_type(self, report);
        };
        let is = super::shown(found.value.get_ref());
        let message = format!("`{}` must be {}, but is {is}", found.path, self.wanted());
        let help = format!("did you mean {}?", found.with(&toml_text(meant)));
        report.wrong(found.place(report), message, help);
        None
    }
}
