//! What a component could be allowed beyond the base set, by name.

use crate::link;
use std::fmt;
use std::str::FromStr;

/// Something a component can do only when the manifest requests it and the operator
/// grants it. This version of the host grants none of them to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    /// Sockets and name look-up (`wasi:sockets`).
    Network,
    /// Outbound HTTP requests (`wasi:http`).
    Http,
    /// Files and folders (`wasi:filesystem`).
    Filesystem,
    /// Environment variables and configuration (`wasi:config`).
    Environment,
    /// A key-value store (`wasi:keyvalue`).
    KeyValue,
    /// Models that the component brings along and loads from bytes (`load` of `wasi:nn`).
    /// Models of the manifest need no capability: they are granted by name.
    WasiNn,
}

/// A word that names no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability \"{0}\"; one of {names} is expected", names = names())]
pub struct UnknownCapability(pub String);

/// How the host treats an import, judged by its name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImportRule {
    /// Linked for every component.
    Base,
    /// Linked, but every function of it says that files are not available: the standard
    /// libraries of most languages import it whether or not the program uses files.
    FilesRefused,
    /// Linked when the manifest grants models: it calls them in the standard's way.
    Models,
    /// Not linked; this capability would ask for it.
    Denied(Capability),
    /// Nothing the host knows.
    Unknown,
}

// === impl Capability ===

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 6] = [
        Self::Network,
        Self::Http,
        Self::Filesystem,
        Self::Environment,
        Self::KeyValue,
        Self::WasiNn,
    ];

    /// The word used in the manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Http => "http",
            Self::Filesystem => "filesystem",
            Self::Environment => "environment",
            Self::KeyValue => "key-value",
            Self::WasiNn => "wasi-nn",
        }
    }
}

fn names() -> String {
    Capability::ALL.map(Capability::as_str).join(", ")
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Capability {
    type Err = UnknownCapability;

    fn from_str(name: &str) -> Result<Self, UnknownCapability> {
        Self::ALL
            .into_iter()
            .find(|capability| capability.as_str() == name)
            .ok_or_else(|| UnknownCapability(name.to_owned()))
    }
}

// === impl ImportRule ===

impl ImportRule {
    /// Judges an import such as `wasi:sockets/tcp@0.2.6`.
    pub(crate) fn of(import: &str) -> Self {
        let (name, version) = import.split_once('@').unwrap_or((import, ""));
        let (package, interface) = name.split_once('/').unwrap_or((name, ""));
        match package {
            "consort:inference" => match interface {
                "tensors" | "log" | "assets" | "types" | "models" | "collate" | "columns" => {
                    Self::Base
                }
                _ => Self::Unknown,
            },
            "wasi:cli" | "wasi:clocks" | "wasi:random" | "wasi:io" => Self::Base,
            "wasi:filesystem" => Self::FilesRefused,
            "wasi:sockets" => Self::Denied(Capability::Network),
            "wasi:http" => Self::Denied(Capability::Http),
            "wasi:config" => Self::Denied(Capability::Environment),
            "wasi:keyvalue" => Self::Denied(Capability::KeyValue),
            // A prerelease fits nothing but itself.
            "wasi:nn" if version == link::NN_VERSION => Self::Models,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        for capability in Capability::ALL {
            assert_eq!(capability.to_string().parse(), Ok(capability));
        }
        let error = "htpp".parse::<Capability>().unwrap_err().to_string();
        assert!(
            error.contains("\"htpp\"") && error.contains("key-value"),
            "{error}"
        );
    }

    #[test]
    fn imports_are_judged_by_package() {
        let rule = ImportRule::of;
        assert_eq!(rule("consort:inference/tensors@0.1.0"), ImportRule::Base);
        assert_eq!(rule("consort:inference/models@0.1.0"), ImportRule::Base);
        assert_eq!(rule("consort:inference/weather@0.1.0"), ImportRule::Unknown);
        assert_eq!(
            rule("wasi:nn/graph@0.2.0-rc-2024-10-28"),
            ImportRule::Models
        );
        assert_eq!(
            rule("wasi:nn/graph@0.2.0-rc-2024-08-19"),
            ImportRule::Unknown
        );
        assert_eq!(rule("wasi:cli/stdout@0.2.6"), ImportRule::Base);
        assert_eq!(
            rule("wasi:filesystem/types@0.2.6"),
            ImportRule::FilesRefused
        );
        assert_eq!(
            rule("wasi:sockets/tcp@0.2.6"),
            ImportRule::Denied(Capability::Network)
        );
        assert_eq!(
            rule("wasi:http/outgoing-handler@0.2.0"),
            ImportRule::Denied(Capability::Http)
        );
        assert_eq!(rule("acme:secrets/store"), ImportRule::Unknown);
        assert_eq!(rule("run"), ImportRule::Unknown);
    }
}
