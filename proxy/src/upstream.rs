//! The server behind us: connections to it, and the mounts that it says are live.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use icecast_ext_client::trust;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::config::Upstream;
use crate::overlay::Ledger;
use crate::stream::Stream;

/// Where a server lists its mounts.
pub(crate) const STATS: &str = "/status-json.xsl";
/// How long a connect may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long TLS may take then.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How old the list of mounts may be, for what is on it.
const FRESH: Duration = Duration::from_secs(1);
/// How old it may be for what is not: a new mount is asked for at once.
const FRESH_MISS: Duration = Duration::from_millis(200);
/// How old it may be for a mount that is served already.
const STALE: Duration = Duration::from_secs(3);
/// Another upstream that gave none is not asked again for so long for what this one has not.
const FAILED: Duration = Duration::from_secs(10);
/// The list of mounts is no longer than this.
const MAX_STATS: usize = 16 << 20;

/// What a path is to the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    /// A live mount that anyone may hear.
    Open,
    /// A live mount with an authenticator.
    Protected,
    /// No mount, or a hidden one.
    No,
}

impl Listed {
    /// It is there.
    pub(crate) fn is_mount(self) -> bool {
        self != Self::No
    }
}

/// Why the upstream could not be asked.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// It does not answer.
    #[error("the upstream does not answer: {0}")]
    Down(String),
    /// It answers, and TLS with it comes to nothing.
    #[error("no TLS with the upstream: {0}")]
    Tls(String),
    /// It is ourselves, or too far from the source (R-RELAY-7, R-RELAY-10).
    #[error(
        "the upstream leads back to this relay, or through too many: look at `upstream` of every relay of the chain (R-RELAY-7, R-RELAY-10)"
    )]
    Loop,
}

/// A mount on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) listed: Listed,
    /// When its source came, in the server's words.
    started: Option<Arc<str>>,
}

/// The upstream's mounts by decoded path, or why they are not known.
type Mounts = Result<HashMap<String, Entry>, UpstreamError>;

/// A client of the upstream.
#[derive(Debug)]
pub(crate) struct Origin {
    server: Upstream,
    via: String,
    http: reqwest::Client,
    tls: Arc<ClientConfig>,
    mounts: Mutex<Option<(Instant, Mounts)>>,
    ledger: Ledger,
}

impl Origin {
    pub(crate) fn new(server: Upstream, via: String) -> anyhow::Result<Self> {
        // For all others that speak TLS. Of several, the first counts: an error says that there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = if server.tls {
            trust::config(server.ca.as_deref()).context("upstream-ca")?
        } else {
            trust::nobody()?
        };
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(crate::USER_AGENT)
            .build()
            .context("the HTTP client")?;
        Ok(Self {
            server,
            via,
            http,
            tls: Arc::new(tls),
            mounts: Mutex::new(None),
            ledger: Ledger::default(),
        })
    }

    /// What we did there, and what it said.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What our pulls call themselves: nobody else does, so that they are known among the upstream's listeners.
    pub(crate) fn agent(&self) -> String {
        let name = self.via.split(' ').nth(1).unwrap_or_default();
        format!("{} ({name})", crate::USER_AGENT)
    }

    pub(crate) fn server(&self) -> &Upstream {
        &self.server
    }

    /// The value of `Via` on all that we send there.
    pub(crate) fn via(&self) -> &str {
        &self.via
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Result<Stream, UpstreamError> {
        self.ledger.made();
        // An IPv6 address stands in brackets in a URL.
        let host = self.server.host.trim_matches(['[', ']']);
        let connecting = TcpStream::connect((host, self.server.port));
        let stream = match tokio::time::timeout(CONNECT, connecting).await {
            Err(_) => {
                return Err(UpstreamError::Down(format!(
                    "no connection within {CONNECT:?}"
                )));
            }
            Ok(Err(error)) => return Err(UpstreamError::Down(error.to_string())),
            Ok(Ok(stream)) => stream,
        };
        let _ = stream.set_nodelay(true);
        // A dead link is told from a source that pauses while the burst still overlaps the buffer.
        let probes = socket2::TcpKeepalive::new()
            .with_time(Duration::from_secs(1))
            .with_interval(Duration::from_secs(1))
            .with_retries(3);
        if let Err(error) = socket2::SockRef::from(&stream).set_tcp_keepalive(&probes) {
            tracing::debug!(%error, "no keepalive on an upstream connection");
        }
        if !self.server.tls {
            return Ok(stream.into());
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| UpstreamError::Tls(format!("{host} is no name for a certificate")))?;
        let handshake = TlsConnector::from(self.tls.clone()).connect(name, stream);
        match tokio::time::timeout(HANDSHAKE, handshake).await {
            Err(_) => Err(self.speechless()),
            Ok(Err(error)) => Err(self.failure(&error, error.to_string())),
            Ok(Ok(stream)) => Ok(Box::new(stream).into()),
        }
    }

    /// It is there, and says nothing to TLS.
    fn speechless(&self) -> UpstreamError {
        UpstreamError::Tls(format!(
            "{} does not answer to it: does it speak TLS, or should `upstream` say http:// or another port?",
            self.server.authority()
        ))
    }

    /// Why there was no answer, in words that say what to do.
    fn failure(
        &self,
        error: &(dyn std::error::Error + 'static),
        otherwise: String,
    ) -> UpstreamError {
        match trust::remedy(error, &self.server.host, "upstream-ca") {
            Some(remedy) => UpstreamError::Tls(remedy),
            None => UpstreamError::Down(otherwise),
        }
    }

    /// What `path` is. Those who ask meanwhile wait for one answer.
    pub(crate) async fn listed(&self, path: &str) -> Result<Listed, UpstreamError> {
        let mut mounts = self.mounts.lock().await;
        let fresh = mounts.as_ref().is_some_and(|(when, list)| {
            let missed = list.as_ref().is_ok_and(|list| !list.contains_key(path));
            when.elapsed() <= if missed { FRESH_MISS } else { FRESH }
        });
        if !fresh {
            // Those who wait meanwhile take this answer: it is fresh when it is here, not when it was asked for.
            let list = self.fetch().await;
            *mounts = Some((Instant::now(), list));
        }
        match mounts.as_ref() {
            Some((_, Ok(list))) => Ok(list.get(path).map_or(Listed::No, |entry| entry.listed)),
            Some((_, Err(error))) => Err(error.clone()),
            None => Ok(Listed::No),
        }
    }

    /// What `path` was when the list was last read, without waiting for it; one that is old is read anew behind our back.
    pub(crate) fn glance(self: &Arc<Self>, path: &str) -> Option<Listed> {
        let Ok(mounts) = self.mounts.try_lock() else {
            return None;
        };
        let (when, list) = mounts.as_ref()?;
        if when.elapsed() > STALE {
            let (origin, path) = (self.clone(), path.to_owned());
            tokio::spawn(async move { origin.listed(&path).await });
        }
        let list = list.as_ref().ok()?;
        Some(list.get(path).map_or(Listed::No, |entry| entry.listed))
    }

    /// When the source of `path` came, in the server's words, by a list that is not older than `then` (or than a
    /// few seconds): another source, or
    /// another life of the server, says something else.
    pub(crate) async fn started(&self, path: &str, then: Option<Instant>) -> Option<Arc<str>> {
        let mut mounts = self.mounts.lock().await;
        let fresh = mounts.as_ref().is_some_and(|(when, _)| match then {
            Some(then) => *when >= then,
            None => when.elapsed() <= STALE,
        });
        if !fresh {
            let list = self.fetch().await;
            *mounts = Some((Instant::now(), list));
        }
        let (_, list) = mounts.as_ref()?;
        list.as_ref().ok()?.get(path)?.started.clone()
    }

    /// Whether it gave no list when it was asked last, not long ago.
    pub(crate) fn failed_lately(&self) -> bool {
        let Ok(mounts) = self.mounts.try_lock() else {
            return false;
        };
        (mounts.as_ref()).is_some_and(|(when, list)| list.is_err() && when.elapsed() < FAILED)
    }

    async fn fetch(&self) -> Mounts {
        let down = |error: reqwest::Error| {
            let error = error.without_url();
            if self.server.tls && error.is_connect() && error.is_timeout() {
                return self.speechless();
            }
            let mut inner: &dyn std::error::Error = &error;
            while let Some(source) = inner.source() {
                inner = source;
            }
            self.failure(&error, inner.to_string())
        };
        let url = format!("{}{STATS}", self.server.base());
        self.ledger.made();
        let mut answer = self
            .http
            .get(url)
            .header("Via", &self.via)
            .send()
            .await
            .map_err(down)?;
        if answer.status().as_u16() == 508 {
            return Err(UpstreamError::Loop);
        }
        if !answer.status().is_success() {
            tracing::warn!(
                status = answer.status().as_u16(),
                "the upstream has no /status-json.xsl: every mount is tunnelled"
            );
            return Ok(HashMap::new());
        }
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(down)? {
            body.extend_from_slice(&part);
            if body.len() > MAX_STATS {
                tracing::warn!(
                    "the upstream's /status-json.xsl is over {MAX_STATS} bytes: every mount is tunnelled"
                );
                return Ok(HashMap::new());
            }
        }
        self.ledger.polled(&body);
        Ok(mounts(&body))
    }
}

/// The mounts in a `/status-json.xsl`. Read source by source and leniently: Icecast's stylesheet does not always write
/// valid JSON (a title of `nan` or `-`), and one odd title must not hide the other mounts.
pub(crate) fn mounts(json: &[u8]) -> HashMap<String, Entry> {
    const KEY: &str = "\"listenurl\":";
    const STARTED: &str = "\"stream_start_iso8601\":\"";
    let text = String::from_utf8_lossy(json);
    let mut list = HashMap::new();
    // `authenticator` stands before `listenurl` in a source, and quotes within a text are escaped: between two `listenurl`
    // there is one source's, whatever that source calls itself.
    let mut from = 0;
    while let Some(at) = text[from..].find(KEY).map(|at| from + at) {
        let before = &text[from..at];
        let protected = before.contains("\"authenticator\":");
        from = at + KEY.len();
        let mut value = serde_json::Deserializer::from_str(&text[from..]).into_iter::<String>();
        if let Some(Ok(listenurl)) = value.next()
            && let Some(path) = path(&listenurl)
        {
            // It stands after `listenurl`, before that of the next source.
            let rest = &text[from..];
            let rest = &rest[..rest.find(KEY).unwrap_or(rest.len())];
            let started = rest.find(STARTED).and_then(|at| {
                let rest = &rest[at + STARTED.len()..];
                Some(rest[..rest.find('"')?].into())
            });
            let listed = if protected {
                Listed::Protected
            } else {
                Listed::Open
            };
            list.insert(path, Entry { listed, started });
        }
    }
    list
}

/// The decoded path of a `listenurl`.
fn path(listenurl: &str) -> Option<String> {
    let rest = listenurl.split_once("://")?.1;
    let path = &rest[rest.find('/')?..];
    let decoded = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_mounts_of_a_stock_server() {
        let json = br#"{"icestats":{"admin":"x","source":[{"genre":"a","listenurl":"http://localhost:8000/live.mp3","title":"{\"listenurl\":","dummy":null},
            {"authenticator":"htpasswd","listenurl":"http://localhost:8000/a%20b.ogg","title":nan,"stream_start_iso8601":"2026-11-23T03:22:16+0000","dummy":null}]}}"#;
        let list = mounts(json);
        let of = |path: &str| {
            list.get(path)
                .map(|entry| (entry.listed, entry.started.as_deref()))
        };
        assert_eq!(of("/live.mp3"), Some((Listed::Open, None)));
        let started = Some("2026-11-23T03:22:16+0000");
        assert_eq!(of("/a b.ogg"), Some((Listed::Protected, started)));
        assert_eq!(list.len(), 2);
    }

    #[test]
    fn no_text_of_a_source_takes_its_protection_away() {
        let json = br#"{"icestats":{"source":[{"authenticator":"url","genre":"{x","listenurl":"http://h/a","server_name":"{","stream_start_iso8601":"1","title":"\"listenurl\":"},
            {"genre":"b","listenurl":"http://h/b"}]}}"#;
        let list = mounts(json);
        assert_eq!(list["/a"].listed, Listed::Protected);
        assert_eq!(list["/a"].started.as_deref(), Some("1"));
        assert_eq!(list["/b"].listed, Listed::Open);
    }

    #[test]
    fn reads_a_single_source_and_none() {
        assert_eq!(
            mounts(br#"{"icestats":{"source":{"listenurl":"http://h/x"}}}"#).len(),
            1
        );
        assert!(mounts(br#"{"icestats":{"dummy":null}}"#).is_empty());
        assert!(mounts(br#""listenurl":"#).is_empty());
        assert!(mounts(b"\"listenurl\":\"http://h\"").is_empty());
    }
}
