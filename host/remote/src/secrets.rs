//! Header fields whose values are secret: where they are read, and when again.

use crate::config::{Config, Secret};
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The longest secret, in bytes.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Header fields that this host sets itself.
const RESERVED: [&str; 9] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "accept-encoding",
    "inference-header-content-length",
    "te",
    "upgrade",
];

/// The secret header fields of one model's requests.
pub(crate) struct Secrets {
    fields: Vec<Field>,
    refresh: Duration,
    read: Mutex<Current>,
}

#[derive(Clone)]
struct Field {
    name: HeaderName,
    /// What stands before the secret in the header field.
    prefix: &'static str,
    secret: Secret,
}

/// What was read last.
struct Current {
    values: Vec<(HeaderName, HeaderValue)>,
    at: Instant,
    /// Whether the server refused these values.
    refused: bool,
}

// === impl Secrets ===

impl Secrets {
    /// Reads all of them once; blocks for as long as the files take.
    pub(crate) fn read(config: &Config, now: Instant) -> Result<Self, String> {
        let mut fields = Vec::new();
        if let Some(secret) = &config.bearer_token {
            fields.push(Field {
                name: AUTHORIZATION,
                prefix: "Bearer ",
                secret: secret.clone(),
            });
        }
        for (name, secret) in &config.headers {
            let known = name.parse().ok();
            let known = known.filter(|name: &HeaderName| !RESERVED.contains(&name.as_str()));
            let name = known.ok_or_else(|| {
                format!(
                    "headers: {} is no name that a header field may have here",
                    crate::text::excerpt(name.as_bytes())
                )
            })?;
            if fields.iter().any(|field: &Field| field.name == name) {
                return Err(format!("headers: \"{name}\" is given twice"));
            }
            fields.push(Field {
                name,
                prefix: "",
                secret: secret.clone(),
            });
        }
        let values = read_all(&fields)?;
        Ok(Self {
            fields,
            refresh: config.secret_refresh,
            read: Mutex::new(Current {
                values,
                at: now,
                refused: false,
            }),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The header fields; files are read again when it is time.
    pub(crate) async fn values(
        &self,
        now: Instant,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        {
            let mut read = self.lock();
            let is_due = read.refused || now.saturating_duration_since(read.at) >= self.refresh;
            if !is_due || !self.fields.iter().any(Field::is_file) {
                return Ok(read.values.clone());
            }
            // Whoever comes meanwhile goes on with the old values.
            read.at = now;
            read.refused = false;
        }
        let fields = self.fields.clone();
        let values = tokio::task::spawn_blocking(move || read_all(&fields)).await;
        let values = values.unwrap_or_else(|_| Err("reading the secrets was broken off".into()));
        let mut read = self.lock();
        match values {
            Ok(values) => {
                read.values.clone_from(&values);
                Ok(values)
            }
            Err(error) => {
                read.refused = true;
                Err(error)
            }
        }
    }

    /// The server does not accept them: files are read again before the next request.
    pub(crate) fn refused(&self) {
        self.lock().refused = true;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.fields.iter().map(|field| field.name.as_str());
        f.debug_list().entries(names).finish()
    }
}

// === impl Field ===

impl Field {
    fn is_file(&self) -> bool {
        matches!(self.secret, Secret::File(_))
    }
}

fn read_all(fields: &[Field]) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let read = |field: &Field| {
        let (text, place) = match &field.secret {
            Secret::Env(name) => {
                let text = std::env::var(name).map_err(|_| {
                    format!("the environment variable {name} is not set, or is no text")
                })?;
                (text, format!("the environment variable {name}"))
            }
            Secret::File(path) => (read_file(path)?, path.display().to_string()),
        };
        let text = text.trim();
        if text.is_empty() {
            return Err(format!("{place} is empty, a secret is expected"));
        }
        let mut value = HeaderValue::try_from(format!("{}{text}", field.prefix))
            .map_err(|_| format!("{place} holds what no header field can carry"))?;
        value.set_sensitive(true);
        Ok((field.name.clone(), value))
    };
    fields.iter().map(read).collect()
}

fn read_file(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    let read = file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text);
    if read.map_err(unreadable)? as u64 > SECRET_BYTES_MAX {
        return Err(format!(
            "{} has more than {SECRET_BYTES_MAX} bytes, which is too much for a secret",
            path.display()
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Api, Config, OpenInference};
    use consort_inference::ModelId;

    fn config(secret: Secret) -> Config {
        let id = ModelId::new("m", "1");
        let api = Api::OpenInference(OpenInference::new("m"));
        Config {
            bearer_token: Some(secret),
            ..Config::new(id, "http://localhost", api)
        }
    }

    async fn token(secrets: &Secrets, now: Instant) -> Result<String, String> {
        let values = secrets.values(now).await?;
        Ok(values[0].1.to_str().unwrap().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        write("one\n");
        let now = Instant::now();
        let secrets = Secrets::read(&config(Secret::File(file.path().into())), now).unwrap();
        write("two\n");
        let second = Duration::from_secs(1);
        let at = |seconds| token(&secrets, now + second * seconds);
        assert_eq!(at(59).await.unwrap(), "Bearer one");
        assert_eq!(at(60).await.unwrap(), "Bearer two");
        write("three");
        assert_eq!(at(61).await.unwrap(), "Bearer two");
        secrets.refused();
        assert_eq!(at(62).await.unwrap(), "Bearer three");
        write("");
        secrets.refused();
        assert!(at(63).await.unwrap_err().contains("is empty"));
        write("four");
        assert_eq!(at(64).await.unwrap(), "Bearer four");
    }

    #[tokio::test]
    async fn values_are_never_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2").unwrap();
        let config = config(Secret::File(file.path().into()));
        let secrets = Secrets::read(&config, Instant::now()).unwrap();
        let values = secrets.values(Instant::now()).await.unwrap();
        assert!(!format!("{config:?} {secrets:?} {values:?}").contains("hunter2"));
        std::fs::write(file.path(), "hunter2\nx").unwrap();
        let error = Secrets::read(&config, Instant::now()).unwrap_err();
        assert!(error.contains("no header field can carry") && !error.contains("hunter2"));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let read = |config: &Config| Secrets::read(config, Instant::now()).unwrap_err();
        let error = read(&config(Secret::Env("CONSORT_TEST_NO_SUCH".to_owned())));
        assert!(error.contains("CONSORT_TEST_NO_SUCH"), "{error}");
        let error = read(&config(Secret::File("no/such/file".into())));
        assert!(error.contains("no/such/file"), "{error}");
        let mut twice = config(Secret::Env("PATH".to_owned()));
        twice.headers = vec![("Authorization".into(), Secret::Env("PATH".into()))];
        assert!(read(&twice).contains("given twice"));
        twice.headers = vec![("Content-Length".into(), Secret::Env("PATH".into()))];
        assert!(read(&twice).contains("no name"));
    }
}
