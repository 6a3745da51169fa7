//! Which servers are trusted, and what to do about one that is not.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// Why nobody can be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// A file of authorities.
    #[error("{path}: {why}")]
    File {
        /// As it was given.
        path: PathBuf,
        /// Why it cannot be read.
        #[source]
        why: pem::Error,
    },
    /// It has none.
    #[error("{0}: it holds no certificate as PEM")]
    Empty(PathBuf),
    /// The machine knows no authority, and none was named.
    #[error("no certificate authority is known: install ca-certificates, or name one")]
    Nobody,
    /// As the TLS library says.
    #[error("TLS: {0}")]
    Tls(#[from] Error),
}

/// TLS to servers whom the machine's authorities, or those in the file `ca`, vouch for. A certificate in `ca` is trusted as a
/// server's own, too, whatever names and dates it has: Icecast's are mostly made by hand.
pub fn config(ca: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "the machine's certificate authorities");
    }
    roots.add_parsable_certificates(native.certs);
    let mut known = Vec::new();
    if let Some(path) = ca {
        let file = |why| TrustError::File {
            path: path.to_owned(),
            why,
        };
        for certificate in CertificateDer::pem_file_iter(path).map_err(file)? {
            let certificate = certificate.map_err(file)?;
            roots.add(certificate.clone())?;
            known.push(certificate);
        }
        if known.is_empty() {
            return Err(TrustError::Empty(path.to_owned()));
        }
    }
    if roots.is_empty() {
        return Err(TrustError::Nobody);
    }
    let provider = provider();
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { usual, known }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// TLS to nobody, for those who have no use for it.
pub fn nobody() -> Result<ClientConfig, TrustError> {
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// As usual, but for the certificates that were named.
#[derive(Debug)]
struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    known: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // That the server has the key to it, its signature proves.
        if self.known.iter().any(|known| known == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.usual
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// What is wrong with TLS at `host`, and what to do about it, `option` being what names further authorities. `None` if TLS is
/// not what is wrong.
#[must_use]
pub fn remedy(error: &(dyn StdError + 'static), host: &str, option: &str) -> Option<String> {
    let error = tls_error(error)?;
    let what = match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => format!(
            "nobody who is trusted here signed the certificate of {host}: put the authority's certificate, or the server's own, into {option}"
        ),
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!(
            "the certificate there is not for {host}: ask by the name that it is for, or put it into {option}"
        ),
        Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => format!("the certificate of {host} has ended: renew it there"),
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => format!("the certificate of {host} is not valid yet: is a clock wrong?"),
        Error::InvalidCertificate(error) => format!(
            "the certificate of {host} cannot be used ({error}): put it into {option} if you trust it"
        ),
        Error::InvalidMessage(_) => {
            format!("what answers at {host} does not speak TLS: is it http://, or another port?")
        }
        error => format!("{host}: {error}"),
    };
    Some(what)
}

/// The TLS library's own error, however it is wrapped.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<Error>() {
            return Some(error);
        }
        // An I/O error hides what it wraps from `source`.
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
