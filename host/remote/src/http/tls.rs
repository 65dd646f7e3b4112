//! How servers are trusted, and what this host shows them.

use crate::config::{ClientCertificate, TlsConfig};
use crate::error::ConnectReason;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The largest file of certificates or keys, in bytes.
const PEM_BYTES_MAX: u64 = 4 << 20;

/// Reads what the configuration names; blocks for as long as the files take. `url` is for
/// messages.
pub(super) fn client_config(config: &TlsConfig, url: &str) -> Result<ClientConfig, ConnectReason> {
    let roots = match &config.ca_file {
        Some(path) => given_roots(path)?,
        None => platform_roots(url)?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectReason::Tls(error.to_string()))?
        .with_root_certificates(roots);
    match &config.client_certificate {
        None => Ok(builder.with_no_client_auth()),
        Some(files) => {
            let (chain, key) = client_certificate(files)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| ConnectReason::TlsFile {
                    path: files.key_file.clone(),
                    what: format!("the key does not fit the client's certificate: {error}"),
                })
        }
    }
}

/// For a server behind `http://`: nothing passes.
pub(super) fn no_trust() -> Result<ClientConfig, ConnectReason> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConnectReason::Tls(error.to_string()))?;
    let roots = RootCertStore::empty();
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn given_roots(path: &Path) -> Result<RootCertStore, ConnectReason> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| {
            refused(
                path,
                format!("not the certificate of an authority: {error}"),
            )
        })?;
    }
    Ok(roots)
}

/// Single certificates that cannot be read are passed over, as everywhere: platforms ship some.
fn platform_roots(url: &str) -> Result<RootCertStore, ConnectReason> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(ConnectReason::NoAuthorities {
            url: url.to_owned(),
        });
    }
    Ok(roots)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_certificate(files: &ClientCertificate) -> Result<Identity, ConnectReason> {
    let chain = certificates(&files.certificate_file)?;
    let pem = read(&files.key_file)?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| refused(&files.key_file, format!("no private key in PEM: {error}")))?;
    Ok((chain, key))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectReason> {
    let pem = read(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates =
        read.map_err(|error| refused(path, format!("no certificates in PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(refused(path, "no certificate in PEM is in it".to_owned()));
    }
    Ok(certificates)
}

fn read(path: &Path) -> Result<Vec<u8>, ConnectReason> {
    let unreadable = |error: std::io::Error| refused(path, error.to_string());
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut pem = Vec::new();
    let mut file = file.take(PEM_BYTES_MAX + 1);
    let length = file.read_to_end(&mut pem).map_err(unreadable)?;
    if length as u64 > PEM_BYTES_MAX {
        let what = format!("more than {PEM_BYTES_MAX} bytes, which is too much for certificates");
        return Err(refused(path, what));
    }
    Ok(pem)
}

fn refused(path: &Path, what: String) -> ConnectReason {
    ConnectReason::TlsFile {
        path: path.to_owned(),
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let with_ca = |path: &Path| {
            let config = TlsConfig {
                ca_file: Some(path.to_owned()),
                client_certificate: None,
            };
            client_config(&config, "https://x").unwrap_err().to_string()
        };
        assert!(with_ca(Path::new("no/such.pem")).starts_with("no/such.pem: "));
        let empty = file("hello");
        assert!(with_ca(empty.path()).ends_with("no certificate in PEM is in it"));
        let broken = file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        assert!(with_ca(broken.path()).contains("not the certificate of an authority"));
    }

    #[test]
    fn a_certificate_and_the_key_of_another_are_refused() {
        let [one, other] = [(); 2]
            .map(|()| rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap());
        let certificate = file(&one.cert.pem());
        let config = |key: &rcgen::KeyPair| {
            let key = file(&key.serialize_pem());
            let config = TlsConfig {
                ca_file: Some(certificate.path().to_owned()),
                client_certificate: Some(ClientCertificate {
                    certificate_file: certificate.path().to_owned(),
                    key_file: key.path().to_owned(),
                }),
            };
            client_config(&config, "https://x")
        };
        assert!(config(&one.signing_key).is_ok());
        let error = config(&other.signing_key).unwrap_err().to_string();
        assert!(error.contains("does not fit"), "{error}");
    }
}
