//! Certificates of our own, and connections that trust them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::child::Scratch;
use crate::http::request;
use crate::tap::Tap;

/// An authority that nobody else trusts, and a directory for what it makes.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    scratch: Scratch,
    client: Arc<ClientConfig>,
}

/// A certificate, and the files that have it.
#[derive(Debug, Clone)]
pub struct Issued {
    /// PEM.
    pub chain: PathBuf,
    /// PEM.
    pub key: PathBuf,
    /// What a handshake shows.
    pub der: CertificateDer<'static>,
}

impl Issued {
    /// Its lines in a proxy's file.
    #[must_use]
    pub fn config(&self) -> String {
        let (chain, key) = (self.chain.display(), self.key.display());
        format!("[[certificate]]\nchain = \"{chain}\"\nkey = \"{key}\"\n")
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// If its files cannot be written.
    pub fn new() -> Result<Self> {
        let scratch = Scratch::new("authority")?;
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters
            .distinguished_name
            .push(DnType::CommonName, "The tests");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?;
        std::fs::write(scratch.file("ca.pem"), issuer.pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A resumed session shows no certificate.
        client.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            issuer,
            scratch,
            client: Arc::new(client),
        })
    }

    /// Its own certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.scratch.file("ca.pem")
    }

    /// Where its files are.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// For clients that trust it. Each handshake is a whole one.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    /// A certificate for these names, in `FILE.pem` and `FILE.key`; what was there is replaced.
    ///
    /// # Errors
    /// If the files cannot be written.
    pub fn issue(&self, file: &str, names: &[&str]) -> Result<Issued> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(names)?;
        // OpenSSL takes a certificate that has its issuer's name for self-signed.
        parameters.distinguished_name.push(DnType::CommonName, file);
        let made = parameters.signed_by(&key, &self.issuer)?;
        let issued = Issued {
            chain: self.scratch.file(&format!("{file}.pem")),
            key: self.scratch.file(&format!("{file}.key")),
            der: made.der().clone(),
        };
        std::fs::write(&issued.chain, made.pem())?;
        std::fs::write(&issued.key, key.serialize_pem())?;
        Ok(issued)
    }

    /// A connection to a server that has this name.
    ///
    /// # Errors
    /// If there is none, or it is not trusted.
    pub async fn connect(&self, addr: SocketAddr, name: &str) -> Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(addr).await?;
        let name = ServerName::try_from(name.to_owned())?;
        let connector = TlsConnector::from(Arc::clone(&self.client));
        Ok(connector.connect(name, stream).await?)
    }

    /// The certificate that a server shows to who asks for this name.
    ///
    /// # Errors
    /// If there is no connection.
    pub async fn shown(&self, addr: SocketAddr, name: &str) -> Result<CertificateDer<'static>> {
        let stream = self.connect(addr, name).await?;
        let shown = stream.get_ref().1.peer_certificates();
        let first = shown.and_then(<[_]>::first).context("no certificate")?;
        Ok(first.clone().into_owned())
    }

    /// A listener over TLS.
    ///
    /// # Errors
    /// If no head comes; a refusal is no error.
    pub async fn tap(
        &self,
        addr: SocketAddr,
        name: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Tap> {
        let stream = self.connect(addr, name).await?;
        Tap::on(stream, &request("GET", path, addr, fields)).await
    }
}
