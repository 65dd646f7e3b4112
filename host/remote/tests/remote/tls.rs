//! Who is trusted: authorities that are given, names that fit, and nobody else.

use crate::fixture::{Server, batch, config, connect, echo, metadata, numbers, ok};
use consort_remote::{ClientCertificate, Config, ConnectReason};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

/// An authority, with a folder for the files it hands out.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

// === impl Authority ===

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn write(&self, name: &str, pem: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    }

    fn ca_file(&self) -> PathBuf {
        self.write("ca.pem", &self.issuer.pem())
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server that shows a certificate for `name`, and asks for one if `asks`.
    async fn server(&self, name: &str, asks: bool) -> Server {
        let (certificate, key) = self.issue(name);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if asks {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let tls = builder.with_single_cert(vec![certificate.der().clone()], key);
        let acceptor = TlsAcceptor::from(Arc::new(tls.unwrap()));
        Server::start_with(Some(acceptor), |request| match &*request.method {
            "POST" => echo(request),
            _ => ok(&metadata()),
        })
        .await
    }
}

fn trusting(server: &Server, authority: &Authority) -> Config {
    let mut config = config(&format!("https://localhost:{}", server.port()));
    config.tls.ca_file = Some(authority.ca_file());
    config
}

async fn refused(config: Config, server: &Server) -> String {
    let error = connect(config).await.unwrap_err();
    assert!(matches!(error, ConnectReason::Unavailable(_)), "{error}");
    assert_eq!(server.requests().len(), 0);
    error.to_string()
}

#[tokio::test]
async fn a_server_of_the_given_authority_is_trusted() {
    let authority = Authority::new();
    let server = authority.server("localhost", false).await;
    let model = connect(trusting(&server, &authority)).await.unwrap();
    let rows = model.predict(&batch(&[[1.0, 2.0]])).await.unwrap();
    assert_eq!(numbers(&rows), [[1.0, 2.0]]);
}

#[tokio::test]
async fn a_server_of_another_authority_is_not() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.server("localhost", false).await;
    let error = refused(trusting(&server, &other), &server).await;
    assert!(
        error.contains("no TLS connection: invalid peer certificate"),
        "{error}"
    );
    // A certificate does not become better by trying again.
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not() {
    let authority = Authority::new();
    let server = authority.server("elsewhere.example", false).await;
    let error = refused(trusting(&server, &authority), &server).await;
    assert!(error.contains("not valid for name"), "{error}");
}

#[tokio::test]
async fn a_server_without_tls_is_not() {
    let authority = Authority::new();
    let plain = Server::model(&[], echo).await;
    let mut config = trusting(&plain, &authority);
    config.request_timeout = std::time::Duration::from_secs(5);
    config.connect_timeout = std::time::Duration::from_millis(300);
    config.retry.retries_max = 1;
    refused(config, &plain).await;
}

#[tokio::test]
async fn a_server_that_asks_is_shown_the_clients_certificate() {
    let authority = Authority::new();
    let server = authority.server("localhost", true).await;
    let mut config = trusting(&server, &authority);
    refused(config.clone(), &server).await;

    let (certificate, key) = authority.issue("client");
    config.tls.client_certificate = Some(ClientCertificate {
        certificate_file: authority.write("client.pem", &certificate.pem()),
        key_file: authority.write("client.key", &key.serialize_pem()),
    });
    let model = connect(config).await.unwrap();
    let rows = model.predict(&batch(&[[1.0, 2.0]])).await.unwrap();
    assert_eq!(numbers(&rows), [[1.0, 2.0]]);
}
