//! Names of things, each a type of its own so that they cannot be mixed up.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// A text that cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{name}\" is not a valid {what}: use 1 to {NAME_BYTES_MAX} letters, digits, '.', '_' or '-', \
     beginning with a letter or digit"
)]
pub struct InvalidName {
    name: String,
    what: &'static str,
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(name: &str) -> Result<Self, InvalidName> {
                check(name, $what).map(Self)
            }
        }
    )*};
}

names! {
    /// Who a request belongs to. Tenants do not trust one another.
    TenantId = "tenant id";
    /// A model's name in the manifest and on the wire.
    ModelName = "model name";
    /// A plugin's name in the manifest.
    PluginName = "plugin name";
}

/// Which model, in which version, made a prediction. Where a plugin answered by itself
/// it is the plugin's name and version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelId {
    /// The model's (or answering plugin's) name.
    pub name: Arc<str>,
    /// Its version, as the manifest gives it.
    pub version: Arc<str>,
}

fn check(name: &str, what: &'static str) -> Result<Arc<str>, InvalidName> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let first = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && name.len() <= NAME_BYTES_MAX && name.bytes().all(allowed) {
        Ok(name.into())
    } else {
        let name = name.chars().take(NAME_BYTES_MAX).collect();
        Err(InvalidName { name, what })
    }
}

// === impl TenantId ===

impl Default for TenantId {
    /// The one tenant of a manifest that names none.
    fn default() -> Self {
        Self("default".into())
    }
}

// === impl ModelId ===

impl ModelId {
    /// Puts a name and a version together.
    pub fn new(name: impl Into<Arc<str>>, version: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
        }
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!("resnet-50.v2_a".parse::<ModelName>().is_ok());
        for bad in [
            "",
            "a/b",
            "../x",
            ".hidden",
            "ein name",
            "ä",
            &"x".repeat(129),
        ] {
            let error = bad.parse::<TenantId>().unwrap_err().to_string();
            assert!(error.contains("tenant id"), "{error}");
        }
    }
}
