//! Requests: what they say, over which connection they go, and where redirects lead.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use super::Listener;
use crate::http::{Head, Request, basic};

/// How long a connect and a head may take, if another relay can be asked meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);
/// If not (R-CLIENT-12).
const PATIENCE_WITH_ONE: Duration = Duration::from_secs(12);
/// Redirects that one request follows (R-SEC-8).
const MOST_HOPS: usize = 10;

/// What can be read and written.
pub(super) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Whose certificates are believed.
pub(super) struct Trust(Option<TlsConnector>);

impl std::fmt::Debug for Trust {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Trust").field(&self.0.is_some()).finish()
    }
}

impl Trust {
    /// Those of a file.
    pub(super) fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else {
            return Ok(Self(None));
        };
        let mut roots = RootCertStore::empty();
        let certificates =
            CertificateDer::pem_file_iter(file).with_context(|| format!("{}", file.display()))?;
        for certificate in certificates {
            roots.add(certificate?)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Some(TlsConnector::from(Arc::new(config)))))
    }
}

/// An answer, its body still to be read.
pub(super) struct Answer {
    /// Who answered, redirects followed.
    pub(super) url: Url,
    /// Its head.
    pub(super) head: Head,
    /// Whether the request had evidence.
    pub(super) evidence: bool,
    /// Body that came with the head.
    pub(super) ahead: Vec<u8>,
    /// The rest of it.
    pub(super) wire: Box<dyn Wire>,
}

impl Answer {
    /// The body of a refusal: what comes of it within a short time.
    pub(super) async fn rest(&mut self) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.ahead);
        let read = self.wire.read_to_end(&mut out);
        let _ = timeout(PATIENCE, read).await;
        out
    }
}

impl<A: std::io::Write, S: std::io::Write> Listener<A, S> {
    /// Asks a relay for what comes next, and follows its redirects.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn ask(&self, relay: &Url) -> anyhow::Result<Answer> {
        let mut url = relay.clone();
        let patience = match self.relays.len() > 1 || self.is("impatient") {
            true => PATIENCE,
            false => PATIENCE_WITH_ONE,
        };
        for _ in 0..=MOST_HOPS {
            let answer = timeout(patience, self.ask_once(relay, &url));
            let answer = answer.await.context("no answer in time")??;
            let to = answer.head.field("Location");
            let (301..=303 | 307 | 308, Some(to)) = (answer.head.status, to) else {
                return Ok(answer);
            };
            let next = url.join(&to).context("a redirect to nowhere")?;
            let down = url.scheme() == "https" && next.scheme() != "https";
            anyhow::ensure!(
                !down || self.is("down-to-http"),
                "a redirect from https to http is not followed (R-CLIENT-6)"
            );
            url = next;
        }
        if self.is("follows-for-ever") {
            return Box::pin(self.ask(&url)).await;
        }
        anyhow::bail!("more than {MOST_HOPS} redirects")
    }

    async fn ask_once(&self, relay: &Url, url: &Url) -> anyhow::Result<Answer> {
        let host = url.host_str().context("a URL without a host")?;
        let port = url
            .port_or_known_default()
            .context("a URL without a port")?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, port)).await?;
        let mut wire: Box<dyn Wire> = match url.scheme() {
            "https" => {
                let tls = self.trust.0.as_ref().context("no certificates to trust")?;
                let name = ServerName::try_from(bare.to_owned())?;
                Box::new(tls.connect(name, stream).await?)
            }
            _ => Box::new(stream),
        };
        let evidence = match self.heard {
            true => self.witness.value(),
            false => None,
        };
        let sent = evidence.is_some();
        let mut request = self.request(relay, url);
        if let Some(value) = evidence {
            request = request.field("Resume-Anchor", value);
        }
        let octets = request.octets(&format!("{host}:{port}"));
        wire.write_all(&octets).await?;
        wire.flush().await?;
        // They end with this request.
        let mut more = JoinSet::new();
        if self.is("three-at-once") && self.heard && self.relays.len() > 1 {
            let host = bare.to_owned();
            more.spawn(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let mut open = Vec::new();
                for _ in 0..2 {
                    let mut wire = TcpStream::connect((&host[..], port)).await?;
                    wire.write_all(&octets).await?;
                    open.push(wire);
                }
                std::future::pending::<()>().await;
                anyhow::Ok(())
            });
        }
        let mut ahead = Vec::new();
        loop {
            if let Some((head, length)) = Head::parse(&ahead)? {
                ahead.drain(..length);
                return Ok(Answer {
                    url: url.clone(),
                    head,
                    evidence: sent,
                    ahead,
                    wire,
                });
            }
            let mut piece = [0; 4096];
            let read = wire.read(&mut piece).await?;
            anyhow::ensure!(read > 0, "closed within the head");
            ahead.extend_from_slice(&piece[..read]);
        }
    }

    fn request(&self, relay: &Url, url: &Url) -> Request {
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let mut request = Request::get(&target)
            .field("User-Agent", "icecast-ext-conformance")
            .field("Icy-MetaData", "1")
            .field("Connection", "close");
        // They are for the origin in whose URL they stand (R-CLIENT-5).
        let whose = match self.is("credentials-for-all") {
            true => self.relays.first().map(|first| &first.url),
            false => (relay.origin() == url.origin()).then_some(relay),
        };
        if let Some(whose) = whose.filter(|whose| !whose.username().is_empty()) {
            let password = whose.password().unwrap_or_default();
            request = request.field(
                "Authorization",
                basic(&format!("{}:{password}", whose.username())),
            );
        }
        if self.is("long-heads") {
            request = request.field("X-Padding", "a".repeat(4096));
        }
        let from = self.from(url);
        if self.is("joins-without-a-word") && self.at.is_none() {
            return request;
        }
        if self.is("two-lines") {
            request = request.resume(from.clone());
        }
        request.resume(from)
    }

    /// The value of `Resume-Offset` for a server.
    fn from(&self, url: &Url) -> String {
        let mut from = match &self.at {
            Some(at) => at.ask(),
            None => "live".to_owned(),
        };
        // One of several may hold the byte still.
        let fails = usize::try_from(self.fails).unwrap_or(usize::MAX);
        if self.at.is_some() && self.relays.len() > 1 && fails < self.relays.len() {
            from += ";miss=fail";
        }
        if let Some((origin, session)) = &self.session
            && !self.is("no-session")
            && (*origin == url.origin() || self.is("session-for-all"))
        {
            from += &format!(";session=\"{session}\"");
        }
        from
    }
}
