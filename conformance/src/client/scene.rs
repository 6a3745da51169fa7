//! What a case may do with a client: make servers for it, start it, and look at what both have said.

use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::host::{Host, Records};
use super::process::Process;
use super::{FIRST, SECOND, TRUST};
use crate::case::Stop;
use crate::content::{Content, Format};
use crate::exchange::{self, Record};
use crate::field::Position;
use crate::reference::names;
use crate::runner;

/// What the cases of a run share.
pub(super) struct Stage {
    command: Vec<String>,
    tls: TlsAcceptor,
    trust: tempfile::NamedTempFile,
    seed: AtomicU16,
}

impl Stage {
    /// For a command; with a new certificate for `localhost`.
    pub(super) fn new(command: Vec<String>) -> anyhow::Result<Self> {
        let names = CertificateParams::new(["localhost".to_owned()])?;
        let key = KeyPair::generate()?;
        let certificate = names.self_signed(&key)?;
        let trust = tempfile::NamedTempFile::new().context("a file for the certificate")?;
        std::fs::write(trust.path(), certificate.pem())?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(Self {
            command,
            tls: TlsAcceptor::from(Arc::new(config)),
            trust,
            seed: AtomicU16::new(0),
        })
    }
}

/// A stream of the suite's: an epoch, and what its bytes are.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    epoch: String,
    content: Content,
    /// What is added to an index of the content.
    further: u64,
}

impl Stream {
    /// A position in it.
    pub(super) fn at(&self, offset: u64) -> Position {
        Position::new(&self.epoch, offset)
    }

    /// The bytes there.
    pub(super) fn bytes(&self, offset: u64, count: usize) -> Vec<u8> {
        self.content.bytes(offset - self.further, count)
    }

    /// The same bytes at a relay that counts them so much further on, in an epoch of its own.
    pub(super) fn elsewhere(&self, further: u64) -> Self {
        Self {
            epoch: names::encode(&names::random::<16>()),
            content: self.content,
            further: self.further + further,
        }
    }
}

/// A case's view of the run. Cheap to clone.
#[derive(Clone)]
pub struct Scene {
    stage: Arc<Stage>,
    records: Records,
    said: Arc<Mutex<String>>,
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Scene").finish_non_exhaustive()
    }
}

impl Scene {
    pub(super) fn new(stage: Arc<Stage>) -> Self {
        Self {
            stage,
            records: Records::default(),
            said: Arc::default(),
        }
    }

    /// A stream that no other case has.
    pub(super) fn stream(&self) -> Stream {
        let seed = self.stage.seed.fetch_add(1, Ordering::Relaxed) + 1;
        Stream {
            epoch: names::encode(&names::random::<16>()),
            content: Content::new(Format::Mpeg, seed),
            further: 0,
        }
    }

    /// A server.
    pub(super) async fn host(&self) -> Result<Host, Stop> {
        let host = Host::start(Arc::clone(&self.records), None).await;
        host.map_err(|error| Stop::Error(format!("cannot listen: {error}")))
    }

    /// One that speaks TLS, with a certificate that is in `SSL_CERT_FILE`.
    pub(super) async fn secure(&self) -> Result<Host, Stop> {
        let host = Host::start(Arc::clone(&self.records), Some(self.stage.tls.clone())).await;
        host.map_err(|error| Stop::Error(format!("cannot listen: {error}")))
    }

    /// Starts the client with one relay, or two.
    pub(super) fn start(&self, first: &str, second: Option<&str>) -> Result<Process, Stop> {
        let trust = self.stage.trust.path();
        let words = words(&self.stage.command, first, second, trust)?;
        Process::start(&words, Some(trust))
            .map_err(|error| Stop::Error(format!("cannot start {}: {error}", words[0])))
    }

    /// Keeps what the client has said, for the report.
    pub(super) fn heard(&self, said: String) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }
}

/// A command with its relays in it.
fn words(
    command: &[String],
    first: &str,
    second: Option<&str>,
    trust: &Path,
) -> Result<Vec<String>, Stop> {
    if second.is_some() && !command.iter().any(|word| word.contains(SECOND)) {
        let why = format!("needs two relays: put {SECOND} into the command");
        return Err(Stop::Skip(why));
    }
    let trust = trust.to_string_lossy();
    let left = |word: &&String| second.is_some() || *word != SECOND;
    let put = |word: &String| {
        word.replace(FIRST, first)
            .replace(SECOND, second.unwrap_or_default())
            .replace(TRUST, &trust)
    };
    Ok(command.iter().filter(left).map(put).collect())
}

impl runner::Scene for Scene {
    fn records(&self) -> Vec<Record> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = records.len().saturating_sub(exchange::MOST);
        let record = |one: &crate::connection::Recorded| {
            one.lock().unwrap_or_else(PoisonError::into_inner).record()
        };
        let mut out: Vec<_> = records.iter().skip(skip).map(record).collect();
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !said.is_empty() {
            let mut record =
                exchange::Exchange::new("the client's standard error".to_owned()).record();
            // The end says how it came to what was seen.
            let skip = said.len().saturating_sub(2048);
            record.received = said.chars().skip(skip).collect();
            out.push(record);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_filled_in() {
        let command = ["x", "--ca={ca}", "{url}", "{url2}"].map(str::to_owned);
        let filled = |second| words(&command, "u1", second, Path::new("/c"));
        assert_eq!(filled(None).unwrap(), ["x", "--ca=/c", "u1"]);
        assert_eq!(filled(Some("u2")).unwrap(), ["x", "--ca=/c", "u1", "u2"]);
        let one = [FIRST.to_owned()];
        assert!(words(&one, "u1", Some("u2"), Path::new("/c")).is_err());
    }
}
