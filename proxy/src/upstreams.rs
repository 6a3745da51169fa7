//! The servers behind us, of which each has the same streams: which one is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use crate::config::Upstream;
use crate::overlay::Ledger;
use crate::stream::Stream;
use crate::upstream::{Listed, Origin, UpstreamError};

/// In order of preference, at least one. One of them is used for all but the pulls, until it fails: then the next that answers.
/// So nobody goes to and fro.
#[derive(Debug)]
pub(crate) struct Upstreams {
    all: Vec<Arc<Origin>>,
    current: AtomicUsize,
}

impl Upstreams {
    /// `None` without a server: an origin.
    pub(crate) fn new(servers: &[Upstream], id: &str) -> anyhow::Result<Option<Arc<Self>>> {
        if servers.is_empty() {
            return Ok(None);
        }
        let origin = |server: &Upstream| Origin::new(server.clone(), format!("1.1 {id}"));
        let all = servers.iter().map(|server| origin(server).map(Arc::new));
        Ok(Some(Arc::new(Self {
            all: all.collect::<anyhow::Result<_>>()?,
            current: AtomicUsize::new(0),
        })))
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn get(&self, at: usize) -> &Arc<Origin> {
        &self.all[at % self.all.len()]
    }

    /// Which one is used.
    pub(crate) fn current(&self) -> usize {
        self.current.load(Ordering::Acquire)
    }

    fn used(&self) -> &Arc<Origin> {
        self.get(self.current())
    }

    /// What we did at the one that is used, and what it said.
    pub(crate) fn ledger(&self) -> &Ledger {
        self.used().ledger()
    }

    /// See [`Origin::agent`]: the same for all.
    pub(crate) fn agent(&self) -> String {
        self.used().agent()
    }

    /// The value of `Via` on all that we send.
    pub(crate) fn via(&self) -> &str {
        self.used().via()
    }

    /// See [`Origin::started`].
    pub(crate) async fn started(&self, path: &str, then: Option<Instant>) -> Option<Arc<str>> {
        self.used().started(path, then).await
    }

    /// All of them, `first` first.
    fn round(&self, first: usize) -> impl Iterator<Item = usize> {
        let count = self.len();
        (0..count).map(move |step| (first + step) % count)
    }

    /// `to` is used from now on, if it was `from`.
    pub(crate) fn moved(&self, from: usize, to: usize, why: &str) {
        let (was, is) = (from % self.len(), to % self.len());
        let swap = self
            .current
            .compare_exchange(was, is, Ordering::AcqRel, Ordering::Acquire);
        if was != is && swap.is_ok() {
            let [from, to] = [was, is].map(|at| self.get(at).server().base());
            tracing::warn!(from, to, why, "another upstream is used");
        }
    }

    /// A new connection for a request about `path`: to the one that is used, unless another alone has that mount; to the next that
    /// can be reached.
    pub(crate) async fn connect(&self, path: &str) -> Result<Stream, UpstreamError> {
        let first = self.having(path);
        let mut failed = None;
        for at in self.round(first) {
            match self.get(at).connect().await {
                Ok(stream) => {
                    if let Some(error) = failed {
                        self.moved(first, at, &UpstreamError::to_string(&error));
                    }
                    return Ok(stream);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or(UpstreamError::Down("there is none".to_owned())))
    }

    /// Who is asked about `path`.
    fn having(&self, path: &str) -> usize {
        let current = self.current();
        let lists = |at: &usize| self.get(*at).glance(path).is_some_and(Listed::is_mount);
        match self.get(current).glance(path) {
            Some(Listed::No) => self.round(current).find(lists).unwrap_or(current),
            _ => current,
        }
    }

    /// What `path` is, to the first that has it; [`Listed::No`] if none of those that answer has.
    pub(crate) async fn listed(&self, path: &str) -> Result<Listed, UpstreamError> {
        let first = self.current();
        let (mut without, mut failed) = (None, None);
        for at in self.round(first) {
            let origin = self.get(at);
            // Who asks for what is nowhere is not to wait for the dead each time.
            if without.is_some() && origin.failed_lately() {
                continue;
            }
            let listed = match origin.listed(path).await {
                Err(error) => {
                    failed = failed.or(Some(error));
                    continue;
                }
                Ok(listed) => listed,
            };
            if let (None, Some(error)) = (without, &failed) {
                self.moved(first, at, &error.to_string());
            }
            if listed.is_mount() {
                return Ok(listed);
            }
            without = without.or(Some(at));
        }
        match (without, failed) {
            (None, Some(error)) => Err(error),
            _ => Ok(Listed::No),
        }
    }

    /// What `path` is to the one that is used, without waiting; see [`Origin::glance`].
    pub(crate) fn glance(&self, path: &str) -> Option<Listed> {
        self.get(self.having(path)).glance(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// A server with one mount.
    async fn server(mount: &'static str) -> (Upstream, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let body =
                    format!(r#"{{"icestats":{{"source":{{"listenurl":"http://h{mount}"}}}}}}"#);
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let upstream = Upstream {
            host: "127.0.0.1".to_owned(),
            port,
            tls: false,
            ca: None,
            admin: None,
        };
        (upstream, serve)
    }

    #[tokio::test]
    async fn a_mount_is_found_wherever_it_is_and_the_dead_are_left() {
        let (one, first) = server("/a").await;
        let (two, second) = server("/b").await;
        let upstreams = Upstreams::new(&[one, two], "icx-0").unwrap().unwrap();
        assert_eq!(upstreams.listed("/a").await.unwrap(), Listed::Open);
        assert_eq!(upstreams.listed("/b").await.unwrap(), Listed::Open);
        assert_eq!(upstreams.listed("/c").await.unwrap(), Listed::No);
        assert_eq!((upstreams.having("/a"), upstreams.having("/b")), (0, 1));
        // To ask another for what one has not is no reason to leave that one.
        assert_eq!(upstreams.current(), 0);
        first.abort();
        let _ = first.await;
        assert!(upstreams.connect("/a").await.is_ok());
        assert_eq!(upstreams.current(), 1);
        second.abort();
        let _ = second.await;
        assert!(upstreams.connect("/a").await.is_err());
        assert_eq!(upstreams.current(), 1);
    }
}
