//! The certificates in use: taken anew when their files change, without touching a connection.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::table::Table;
use crate::config::CertificateFiles;

/// Between two looks at the files. What changed is taken when it has not changed for one more look: a renewal writes several.
const LOOK: Duration = Duration::from_secs(2);
/// Between two warnings of a certificate that ends.
const REMIND: Duration = Duration::from_secs(86_400);
/// Handshakes at once (R-SEC-2).
const MAX_HANDSHAKES: usize = 4096;

/// Certificates, and how they are offered to clients.
#[derive(Debug)]
pub(crate) struct Certificates {
    table: Arc<Current>,
    config: Arc<ServerConfig>,
    files: Mutex<Files>,
    places: Semaphore,
}

/// What new handshakes take.
#[derive(Debug)]
struct Current(RwLock<Arc<Table>>);

/// What was read last, successfully or not.
#[derive(Debug)]
struct Files {
    paths: Vec<CertificateFiles>,
    prints: Vec<Print>,
    /// What was found at the last look, if it differs.
    moving: Option<Vec<Print>>,
}

/// What changes when a file does: device, inode, length, seconds and nanoseconds of its change. `None`: it is not there.
type Print = Option<(u64, u64, u64, i64, i64)>;

impl Current {
    fn get(&self) -> Arc<Table> {
        let table = self.0.read();
        table.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, table: Table) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(table);
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.get()
            .choose(hello.server_name(), hello.signature_schemes())
    }
}

impl Certificates {
    /// Reads them. An error says which file, and what to do about it.
    pub(crate) fn load(paths: &[CertificateFiles]) -> anyhow::Result<Self> {
        let prints = prints(paths);
        let table = Table::read(paths)?;
        tracing::info!(names = table.names(), "certificates");
        table.warn_of_ends();
        let table = Arc::new(Current(RwLock::new(Arc::new(table))));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .context("TLS 1.2 and 1.3")?
            .with_no_client_auth()
            .with_cert_resolver(table.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Sessions that clients keep for us: a storm of reconnects costs no signatures, and we remember nothing.
        config.ticketer =
            rustls::crypto::ring::Ticketer::new().context("keys for session tickets")?;
        config.send_tls13_tickets = 1;
        Ok(Self {
            table,
            config: Arc::new(config),
            files: Mutex::new(Files {
                paths: paths.to_vec(),
                prints,
                moving: None,
            }),
            places: Semaphore::new(MAX_HANDSHAKES),
        })
    }

    /// Reads these instead, for connections to come. If they cannot be used, the log says why and those in use stay; false then.
    pub(crate) fn reload(&self, paths: &[CertificateFiles]) -> bool {
        let prints = prints(paths);
        *self.files() = Files {
            paths: paths.to_vec(),
            prints,
            moving: None,
        };
        match Table::read(paths) {
            Ok(table) => {
                tracing::info!(names = table.names(), "certificates read again");
                table.warn_of_ends();
                self.table.set(table);
                true
            }
            Err(error) => {
                tracing::error!(
                    "the certificates in use stay, as the new ones cannot be used: {error:#}"
                );
                false
            }
        }
    }

    /// Reloads them whenever their files have changed. Never returns.
    pub(crate) async fn watch(&self) {
        for path in self.files().paths.iter().flat_map(both) {
            // After the privileges are dropped, not before.
            if let Err(error) = File::open(path) {
                tracing::warn!(file = %path.display(), %error, "a renewed certificate could not be read: let the user that this runs as read it, and its directories");
            }
        }
        let mut reminded = Instant::now();
        loop {
            tokio::time::sleep(LOOK).await;
            self.look();
            if reminded.elapsed() >= REMIND {
                reminded = Instant::now();
                self.table.get().warn_of_ends();
            }
        }
    }

    /// Looks whether the files have changed, and reloads them if they did not change since the last look.
    pub(super) fn look(&self) {
        let mut files = self.files();
        let found = prints(&files.paths);
        if found == files.prints {
            files.moving = None;
        } else if files.moving.as_ref() == Some(&found) {
            let paths = files.paths.clone();
            drop(files);
            self.reload(&paths);
        } else {
            files.moving = Some(found);
        }
    }

    /// Makes connections TLS.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.config.clone().into()
    }

    #[cfg(test)]
    pub(super) fn in_use(&self, name: Option<&str>) -> rustls::pki_types::CertificateDer<'static> {
        let schemes = [rustls::SignatureScheme::ECDSA_NISTP256_SHA256];
        let chosen = self.table.get().choose(name, &schemes);
        chosen.unwrap().cert[0].clone()
    }

    /// A place for a handshake.
    pub(super) fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.try_acquire().ok()
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn both(files: &CertificateFiles) -> [&Path; 2] {
    [&files.chain, &files.key]
}

fn prints(paths: &[CertificateFiles]) -> Vec<Print> {
    let print = |path: &Path| {
        let file = std::fs::metadata(path).ok()?;
        Some((
            file.dev(),
            file.ino(),
            file.len(),
            file.ctime(),
            file.ctime_nsec(),
        ))
    };
    paths.iter().flat_map(both).map(print).collect()
}
