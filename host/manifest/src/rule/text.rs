//! Rules for texts: names, paths, digests and addresses.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::de::DeValue;

use super::{Describe, Found, Rule};
use crate::json::Json;
use crate::keys::pattern::Sticky;
use crate::problem::quoted;
use crate::report::Report;

/// The longest name of a model, plugin, ensemble or step. The same as consort-inference's.
const NAME_BYTES_MAX: usize = 128;
/// The longest name of a tensor or asset.
const LABEL_BYTES_MAX: usize = 256;
/// The longest path.
const PATH_BYTES_MAX: usize = 4096;

/// A string with a meaning: how it is checked, and how it is described.
#[derive(Clone, Copy)]
pub(crate) struct Text<T> {
    wanted: &'static str,
    sample: &'static str,
    pattern: &'static str,
    bytes_max: usize,
    /// What stands for it in the header of a table that is named so.
    pub(crate) placeholder: &'static str,
    /// The value, or what is wrong in words that follow "but".
    parse: fn(&str) -> Result<T, String>,
}

/// The name of a model, plugin, ensemble or step.
pub(crate) const NAME: Text<String> = Text {
    wanted: "a name of letters, digits, '.', '_' and '-' that begins with a letter or digit",
    sample: "\"resnet-50\"",
    pattern: "^[A-Za-z0-9][A-Za-z0-9._-]*$",
    bytes_max: NAME_BYTES_MAX,
    placeholder: "NAME",
    parse: name,
};

/// A version, which appears in addresses and so is made like a name.
pub(crate) const VERSION: Text<String> = Text {
    wanted: "a version of letters, digits, '.', '_' and '-' that begins with a letter or digit",
    sample: "\"1\"",
    ..NAME
};

/// The number of a version: the name of its file or folder.
pub(crate) const VERSION_NUMBER: Text<u64> = Text {
    wanted: "the number of a version, as a text",
    sample: "\"3\"",
    pattern: "^[0-9]+$",
    bytes_max: 20,
    placeholder: "NUMBER",
    parse: version_number,
};

/// The namespace of metrics.
pub(crate) const NAMESPACE: Text<String> = Text {
    wanted: "a namespace of letters, digits, '.', '_' and '-' that begins with a letter or digit",
    sample: "\"RunInference\"",
    ..NAME
};

/// A key of an example, or a pattern of keys.
pub(crate) const KEY: Text<String> = Text {
    wanted: "a key, or a pattern of keys with * and ?",
    sample: "\"shop-*\"",
    placeholder: "KEY",
    ..TENSOR
};

/// A column of a table.
pub(crate) const COLUMN: Text<String> = Text {
    wanted: "the name of a column",
    sample: "\"age\"",
    ..TENSOR
};

/// An argument of a run.
pub(crate) const ARGUMENT: Text<String> = Text {
    wanted: "the name of an argument",
    sample: "temperature",
    placeholder: "ARGUMENT",
    ..TENSOR
};

/// A value of a tensor that examples are routed by.
pub(crate) const CASE: Text<String> = Text {
    wanted: "a value of the tensor",
    sample: "de",
    placeholder: "VALUE",
    ..TENSOR
};

/// What decides the arm of a split.
pub(crate) const STICKY: Text<Sticky> = Text {
    wanted: "\"key\", or \"header:\" and the name of a header",
    sample: "\"header:x-user\"",
    pattern: "^(key|header:[A-Za-z0-9!#$%&'*+.^_`|~-]+)$",
    bytes_max: NAME_BYTES_MAX,
    placeholder: "STICKY",
    parse: sticky,
};

/// The address of a server.
pub(crate) const URL: Text<String> = Text {
    wanted: "a URL that begins with http:// or https://",
    sample: "\"http://127.0.0.1:8000\"",
    pattern: "^https?://.+$",
    bytes_max: PATH_BYTES_MAX,
    placeholder: "NAME",
    parse: url,
};

/// A variable of the environment.
pub(crate) const VARIABLE: Text<String> = Text {
    wanted: "the name of an environment variable",
    sample: "\"MODEL_TOKEN\"",
    pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
    bytes_max: LABEL_BYTES_MAX,
    placeholder: "NAME",
    parse: variable,
};

/// A path with the place where a key goes.
pub(crate) const TEMPLATE: Text<String> = Text {
    wanted: "a path with {key} in it, relative to the manifest",
    sample: "\"models/{key}.onnx\"",
    pattern: "\\{key\\}",
    bytes_max: PATH_BYTES_MAX,
    placeholder: "NAME",
    parse: template,
};

/// A file of examples.
pub(crate) const EXAMPLES: Text<PathBuf> = Text {
    sample: "\"warm-up.jsonl\"",
    ..PATH
};

/// A file of certificates.
pub(crate) const CERTIFICATES: Text<PathBuf> = Text {
    sample: "\"ca.pem\"",
    ..PATH
};

/// A file that holds a secret.
pub(crate) const SECRET: Text<PathBuf> = Text {
    sample: "\"secrets/token\"",
    ..PATH
};

/// The name of a tensor.
pub(crate) const TENSOR: Text<String> = Text {
    wanted: "the name of a tensor",
    sample: "\"scores\"",
    pattern: "^.+$",
    bytes_max: LABEL_BYTES_MAX,
    placeholder: "TENSOR",
    parse: label,
};

/// What another server calls a model, or one of its versions.
pub(crate) const REMOTE: Text<String> = Text {
    wanted: "a text as the server has it",
    sample: "\"resnet-50\"",
    ..TENSOR
};

/// The name under which a plugin reads an asset.
pub(crate) const ASSET: Text<String> = Text {
    wanted: "the name of an asset",
    sample: "\"config.json\"",
    ..TENSOR
};

/// What a plugin asks to be allowed.
pub(crate) const CAPABILITY: Text<String> = Text {
    wanted: "the name of a capability",
    sample: "\"http\"",
    pattern: "^\\S+$",
    bytes_max: LABEL_BYTES_MAX,
    placeholder: "NAME",
    parse: word,
};

/// A file or folder; a relative path starts from the manifest's folder.
pub(crate) const PATH: Text<PathBuf> = Text {
    wanted: "a path, relative to the manifest",
    sample: "\"model/model.onnx\"",
    pattern: "^.+$",
    bytes_max: PATH_BYTES_MAX,
    placeholder: "NAME",
    parse: path,
};

/// A path to a component.
pub(crate) const COMPONENT: Text<PathBuf> = Text {
    sample: "\"components/plugin.wasm\"",
    ..PATH
};

/// A folder.
pub(crate) const FOLDER: Text<PathBuf> = Text {
    sample: "\"cache\"",
    ..PATH
};

/// A SHA-256, kept in lower case.
pub(crate) const SHA256: Text<String> = Text {
    wanted: "the 64 hexadecimal digits of a SHA-256",
    sample: "\"<what sha256sum prints for the file>\"",
    pattern: "^[0-9A-Fa-f]{64}$",
    bytes_max: LABEL_BYTES_MAX,
    placeholder: "NAME",
    parse: sha256,
};

/// An address to listen on.
pub(crate) const ADDRESS: Text<SocketAddr> = Text {
    wanted: "an IP address and a port",
    sample: "\"127.0.0.1:8000\"",
    pattern: "^.+:[0-9]+$",
    bytes_max: LABEL_BYTES_MAX,
    placeholder: "NAME",
    parse: address,
};

// === impl Text ===

impl<T> Text<T> {
    /// Checks a text that is a key and so cannot be given another type.
    pub(crate) fn check(&self, text: &str) -> Result<T, String> {
        if text.is_empty() {
            Err("is empty".to_owned())
        } else if text.len() > self.bytes_max {
            let (is, may) = (text.len(), self.bytes_max);
            Err(format!("is {is} bytes long, more than the {may} allowed"))
        } else {
            (self.parse)(text)
        }
    }

    /// The schema of an object whose keys are such texts.
    pub(crate) fn key_schema(&self) -> Json {
        Json::object([
            ("pattern", Json::text(self.pattern)),
            ("maxLength", Json::Int(self.bytes_max as i128)),
        ])
    }
}

impl<T> Describe for Text<T> {
    fn wanted(&self) -> String {
        self.wanted.to_owned()
    }

    fn sample(&self) -> String {
        self.sample.to_owned()
    }

    fn schema(&self) -> Json {
        Json::object([
            ("type", Json::text("string")),
            ("pattern", Json::text(self.pattern)),
            ("maxLength", Json::Int(self.bytes_max as i128)),
        ])
    }
}

impl<T> Rule for Text<T> {
    type Value = T;

    fn read(&self, found: Found<'_>, report: &mut Report) -> Option<T> {
        let DeValue::String(text) = found.value.get_ref() else {
            return found.refuse_type(self, report);
        };
        match self.check(text) {
            Ok(value) => Some(value),
            Err(is) => found.refuse(self, &is, report),
        }
    }
}

fn name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match text.chars().find(|c| !allowed(*c)) {
        Some(' ') => Err(format!("{} has a space", quoted(text))),
        Some(bad) => Err(format!("{} has {}", quoted(text), quoted(&bad.to_string()))),
        None if text.starts_with(['.', '_', '-']) => {
            let first: String = text.chars().take(1).collect();
            Err(format!("{} begins with {}", quoted(text), quoted(&first)))
        }
        None => Ok(text.to_owned()),
    }
}

fn label(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        Err(format!("{} has a control character", quoted(text)))
    } else {
        Ok(text.to_owned())
    }
}

fn word(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_whitespace) {
        Err(format!("{} has a space", quoted(text)))
    } else {
        label(text)
    }
}

fn path(text: &str) -> Result<PathBuf, String> {
    label(text).map(PathBuf::from)
}

fn sticky(text: &str) -> Result<Sticky, String> {
    if text == "key" {
        return Ok(Sticky::Key);
    }
    let of_header = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+.^_`|~-".contains(&byte);
    match text.strip_prefix("header:") {
        Some(name) if !name.is_empty() && name.bytes().all(of_header) => {
            Ok(Sticky::Header(name.to_ascii_lowercase()))
        }
        _ => Err(format!("is {}", quoted(text))),
    }
}

fn version_number(text: &str) -> Result<u64, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or_else(|| format!("is {}", quoted(text)))
}

fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://");
    let rest = rest.or_else(|| text.strip_prefix("https://"));
    match rest {
        None | Some("") => Err(format!("is {}", quoted(text))),
        // A secret has no place in a manifest.
        Some(rest) if rest.contains('@') => Err("has a user or password before an @".to_owned()),
        Some(_) => word(text),
    }
}

fn variable(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if text.starts_with(|c: char| c.is_ascii_digit()) || !text.chars().all(allowed) {
        return Err(format!("is {}", quoted(text)));
    }
    Ok(text.to_owned())
}

fn template(text: &str) -> Result<String, String> {
    match text.matches("{key}").count() {
        1 => label(text),
        0 => Err(format!("{} has no {{key}}", quoted(text))),
        _ => Err(format!("{} has {{key}} twice", quoted(text))),
    }
}

fn sha256(text: &str) -> Result<String, String> {
    match text.chars().find(|c| !c.is_ascii_hexdigit()) {
        Some(bad) => Err(format!("has {}", quoted(&bad.to_string()))),
        None if text.len() == 64 => Ok(text.to_ascii_lowercase()),
        None => Err(format!("has {} digits", text.len())),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let no = |_| format!("is {}", quoted(text));
    text.parse::<SocketAddr>().map_err(no)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_of_consort_inference() {
        for good in ["a", "9", "resnet-50.v2_a", &"x".repeat(128)] {
            assert!(NAME.check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a/b",
            "../x",
            ".hidden",
            "-x",
            "a b",
            "ä",
            "a\n",
            &"x".repeat(129),
        ] {
            assert!(NAME.check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn digests_are_kept_in_lower_case() {
        assert_eq!(SHA256.check(&"AB".repeat(32)), Ok("ab".repeat(32)));
        assert_eq!(SHA256.check("ab"), Err("has 2 digits".to_owned()));
        assert_eq!(SHA256.check("xy"), Err("has `x`".to_owned()));
        assert!(SHA256.check(&"é".repeat(32)).is_err());
    }

    #[test]
    fn addresses() {
        for good in ["127.0.0.1:0", "0.0.0.0:8000", "[::]:8000"] {
            assert!(ADDRESS.check(good).is_ok(), "{good}");
        }
        for bad in ["localhost:8000", "127.0.0.1", ":8000", "127.0.0.1:65536"] {
            assert!(ADDRESS.check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn urls_and_variables() {
        for good in ["http://a", "https://[::1]:8000/models/x"] {
            assert!(URL.check(good).is_ok(), "{good}");
        }
        for bad in [
            "a:8000",
            "http://",
            "ftp://a",
            "http://me:pw@a",
            "http://a b",
        ] {
            assert!(URL.check(bad).is_err(), "{bad}");
        }
        for (text, right) in [
            ("TOKEN_2", true),
            ("_x", true),
            ("2X", false),
            ("A-B", false),
        ] {
            assert_eq!(VARIABLE.check(text).is_ok(), right, "{text}");
        }
    }

    #[test]
    fn version_numbers_and_templates() {
        assert_eq!(VERSION_NUMBER.check("007"), Ok(7));
        for bad in ["", "-1", "+1", "1.0", "v1", "99999999999999999999"] {
            assert!(VERSION_NUMBER.check(bad).is_err(), "{bad}");
        }
        assert!(TEMPLATE.check("m/{key}.onnx").is_ok());
        for bad in ["m.onnx", "{key}/{key}.onnx", "{key}\u{0}"] {
            assert!(TEMPLATE.check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_control_characters() {
        assert!(TENSOR.check("serving_default/bytes:0").is_ok());
        assert!(TENSOR.check("a\u{0}").is_err());
        assert!(PATH.check("a\u{0}").is_err());
        assert!(CAPABILITY.check("wasi:http/outgoing-handler").is_ok());
        assert!(CAPABILITY.check("wasi http").is_err());
    }
}
