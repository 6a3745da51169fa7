//! Certificates read, and chosen by name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::CertificateFiles;

/// A certificate that ends sooner is warned of.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// All certificates, as they were read at one time.
#[derive(Debug)]
pub(super) struct Table {
    /// In the order of the configuration; at least one.
    all: Vec<Certificate>,
    /// By lower-case name, wildcards as they stand. Several if they differ in the kind of their key.
    names: HashMap<String, Vec<usize>>,
}

#[derive(Debug)]
struct Certificate {
    path: PathBuf,
    key: Arc<CertifiedKey>,
    names: Vec<String>,
    ends: SystemTime,
}

impl Table {
    /// Reads them all, or says what to do about the first that cannot be used.
    pub(super) fn read(files: &[CertificateFiles]) -> anyhow::Result<Self> {
        if files.is_empty() {
            bail!("no certificate: add a [[certificate]] with chain and key");
        }
        let provider = rustls::crypto::ring::default_provider();
        let all = files
            .iter()
            .map(|files| Certificate::read(files, &provider))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut names: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, certificate) in all.iter().enumerate() {
            for name in &certificate.names {
                names.entry(name.clone()).or_default().push(index);
            }
        }
        Ok(Self { all, names })
    }

    /// The certificate for a name; the first one for a name that none has, and for none.
    pub(super) fn choose(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let named = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let parent = name.split_once('.').map(|(_, parent)| parent);
            self.names
                .get(&name)
                .or_else(|| self.names.get(&format!("*.{}", parent?)))
        });
        let mut candidates = named
            .into_iter()
            .flatten()
            .filter_map(|index| self.all.get(*index));
        let fits = |certificate: &&Certificate| {
            let key = &certificate.key.key;
            key.choose_scheme(schemes).is_some()
        };
        let chosen = candidates.clone().find(fits);
        let chosen = chosen.or_else(|| candidates.next());
        chosen
            .or_else(|| self.all.first())
            .map(|certificate| certificate.key.clone())
    }

    /// One line for each that ends soon, or has ended.
    pub(super) fn warn_of_ends(&self) {
        for certificate in &self.all {
            let chain = certificate.path.display();
            match certificate.ends.duration_since(SystemTime::now()) {
                Ok(left) if left > SOON => {}
                Ok(left) => {
                    let days = left.as_secs() / 86_400;
                    tracing::warn!(%chain, days, "a certificate ends soon: renew it; the new files are noticed");
                }
                Err(_) => {
                    tracing::error!(%chain, "a certificate has ended, and clients refuse it: renew it; the new files are noticed");
                }
            }
        }
    }

    /// Every name that has a certificate.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self
            .all
            .iter()
            .flat_map(|certificate| certificate.names.iter().map(String::as_str))
            .collect();
        names.join(", ")
    }
}

impl Certificate {
    fn read(files: &CertificateFiles, provider: &CryptoProvider) -> anyhow::Result<Self> {
        let CertificateFiles { chain, key } = files;
        let certificates: Vec<_> = CertificateDer::pem_file_iter(chain)
            .and_then(Iterator::collect)
            .map_err(|error| unreadable("chain", chain, error))?;
        let Some(first) = certificates.first() else {
            bail!("chain {}: it holds no certificate as PEM", chain.display());
        };
        let (_, leaf) = X509Certificate::from_der(first)
            .with_context(|| format!("chain {}: its first certificate", chain.display()))?;
        let names = leaf
            .subject_alternative_name()
            .ok()
            .flatten()
            .map(|names| dns(&names.value.general_names))
            .unwrap_or_default();
        let ends = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0);
        let ends = SystemTime::UNIX_EPOCH + Duration::from_secs(ends);
        let private =
            PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("key", key, error))?;
        let certified = CertifiedKey::from_der(certificates, private, provider).map_err(|error| {
            match error {
                rustls::Error::InconsistentKeys(_) => anyhow::anyhow!(
                    "key {} is not the key of the certificate in {}: name the two files that belong together",
                    key.display(),
                    chain.display()
                ),
                error => anyhow::Error::new(error).context(format!("key {}", key.display())),
            }
        })?;
        Ok(Self {
            path: chain.clone(),
            key: Arc::new(certified),
            names,
            ends,
        })
    }
}

/// A certificate's names and its end, for who only wants to look; or what to do about files that cannot be used.
pub(crate) fn look(files: &CertificateFiles) -> anyhow::Result<(Vec<String>, SystemTime)> {
    let provider = rustls::crypto::ring::default_provider();
    let certificate = Certificate::read(files, &provider)?;
    Ok((certificate.names, certificate.ends))
}

fn dns(names: &[GeneralName<'_>]) -> Vec<String> {
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    names.iter().filter_map(name).collect()
}

fn unreadable(what: &str, path: &Path, error: pem::Error) -> anyhow::Error {
    let path = path.display();
    match error {
        pem::Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!(
                "{what} {path}: {error}: let the user that this runs as read it, and its directories"
            )
        }
        pem::Error::Io(error) => anyhow::anyhow!("{what} {path}: {error}"),
        pem::Error::NoItemsFound => {
            anyhow::anyhow!("{what} {path}: it holds no {what} as PEM, or one with a passphrase")
        }
        error => anyhow::anyhow!("{what} {path}: {error}"),
    }
}
