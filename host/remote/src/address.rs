//! From the configured URL to the URLs that are called.

use crate::error::ConnectReason;
use hyper::Uri;
use hyper::http::uri::Scheme;
use std::net::IpAddr;

/// The end of an endpoint of Vertex AI's form.
const PREDICT: &str = ":predict";

/// A URL that was checked: scheme, host and a path without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    base: String,
    is_tls: bool,
    is_loopback: bool,
}

// === impl Address ===

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, ConnectReason> {
        let refused = |what| ConnectReason::Url {
            url: without_user(url),
            what,
        };
        let uri: Uri = url.parse().map_err(|_| refused("this is no URL"))?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(refused("it begins with http:// or https://")),
        };
        let authority = uri.authority().ok_or(refused("the host is missing"))?;
        if authority.as_str().contains('@') {
            return Err(refused(
                "it has a user or password; name where a secret is found instead \
                 (bearer_token, headers)",
            ));
        }
        if authority.host().is_empty() {
            return Err(refused("the host is missing"));
        }
        if uri.query().is_some() || url.contains('#') {
            return Err(refused("it takes no query and no fragment"));
        }
        let host = authority.host().trim_matches(['[', ']']);
        let is_address = |address: IpAddr| address.is_loopback();
        let scheme = if is_tls { "https" } else { "http" };
        Ok(Self {
            base: format!("{scheme}://{authority}{}", uri.path().trim_end_matches('/')),
            is_tls,
            is_loopback: host == "localhost" || host.parse().is_ok_and(is_address),
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.base
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Whether what is sent there stays on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// The endpoint with `:predict` at its end.
    pub(crate) fn predict(&self) -> Result<Uri, ConnectReason> {
        let base = self.base.strip_suffix(PREDICT).unwrap_or(&self.base);
        self.uri(format!("{base}{PREDICT}"))
    }

    /// The protocol's root, `/v2`.
    pub(crate) fn server(&self) -> Result<Uri, ConnectReason> {
        self.uri(format!("{}/v2", self.base))
    }

    /// A model, or what `below` names of it (`infer`, `config`).
    pub(crate) fn model(
        &self,
        model: &str,
        version: Option<&str>,
        below: &str,
    ) -> Result<Uri, ConnectReason> {
        let mut url = format!("{}/v2/models/{}", self.base, segment(model));
        if let Some(version) = version {
            url.push_str("/versions/");
            url.push_str(&segment(version));
        }
        if !below.is_empty() {
            url.push('/');
            url.push_str(below);
        }
        self.uri(url)
    }

    fn uri(&self, url: String) -> Result<Uri, ConnectReason> {
        url.parse().map_err(|_| ConnectReason::Url {
            url,
            what: "this is no URL",
        })
    }
}

/// A name as one part of a path: everything but letters, digits and `-._~` in percents, so that
/// no name can lead elsewhere.
fn segment(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    // `.` and `..` would be steps up or nowhere.
    let is_step = name == "." || name == "..";
    for byte in name.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
        if is_plain || (byte == b'.' && !is_step) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// The URL as a message may show it.
fn without_user(url: &str) -> String {
    let shown = match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            let scheme = url.get(..scheme + 3).unwrap_or_default();
            format!("{scheme}...{}", url.get(at..).unwrap_or_default())
        }
        (None, Some(at)) => format!("...{}", url.get(at..).unwrap_or_default()),
        _ => url.to_owned(),
    };
    shown.chars().flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Address {
        Address::parse(url).unwrap()
    }

    #[test]
    fn models_stand_below_the_base() {
        let base = address("http://host:8000/serving/");
        assert_eq!(base.server().unwrap(), "http://host:8000/serving/v2");
        assert_eq!(
            base.model("m", None, "").unwrap(),
            "http://host:8000/serving/v2/models/m"
        );
        assert_eq!(
            base.model("a/b ?", Some("../1"), "infer").unwrap(),
            "http://host:8000/serving/v2/models/a%2Fb%20%3F/versions/..%2F1/infer"
        );
        assert_eq!(
            base.model("..", None, "infer").unwrap().path(),
            "/serving/v2/models/%2E%2E/infer"
        );
    }

    #[test]
    fn endpoints_end_in_predict() {
        let url = "https://host/v1/projects/p/locations/l/endpoints/7";
        let expected = format!("{url}:predict");
        assert_eq!(address(url).predict().unwrap().to_string(), expected);
        assert_eq!(address(&expected).predict().unwrap().to_string(), expected);
    }

    #[test]
    fn this_machine_is_known() {
        for url in [
            "http://localhost:1",
            "http://127.0.0.9",
            "http://[::1]:80/x",
        ] {
            assert!(address(url).is_loopback(), "{url}");
        }
        assert!(!address("http://localhost.example").is_loopback());
        assert!(address("https://host").is_tls());
    }

    #[test]
    fn what_is_no_server_is_refused_without_showing_its_password() {
        let error = |url: &str| Address::parse(url).unwrap_err().to_string();
        assert!(error("grpc://host").contains("http:// or https://"));
        assert!(error("host:8000").contains("http:// or https://"));
        assert!(error("http://").contains("no URL"));
        assert!(error("http://host/?a=1").contains("no query"));
        for url in [
            "http://me:hunter2@host",
            "http://me:hunter2@host:x",
            "me:hunter2@host",
        ] {
            let error = error(url);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
