//! A server that says exactly what a test wants it to say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// What a path is answered with.
#[derive(Debug, Clone)]
pub enum Script {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// These bytes, then whatever [`Upstream::push`] sends to the path.
    Stream(Vec<u8>),
    /// These bytes, then the test says nothing more and does not close.
    Hang(Vec<u8>),
}

type Scripts = Arc<Mutex<BTreeMap<String, Script>>>;

/// A scripted server on a port of its own. It ends when dropped.
#[derive(Debug)]
pub struct Upstream {
    addr: SocketAddr,
    scripts: Scripts,
    requests: Arc<Mutex<Vec<String>>>,
    push: broadcast::Sender<(String, Vec<u8>)>,
    accepts: JoinHandle<()>,
}

impl Upstream {
    /// One whose `/status-json.xsl` lists `mounts` (path, content type), and that answers 404 to the rest.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(mounts: &[(&str, &str)]) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let scripts = Scripts::default();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (push, _) = broadcast::channel(4096);
        let shared = (Arc::clone(&scripts), Arc::clone(&requests), push.clone());
        let accepts = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (scripts, requests, push) = shared.clone();
                tokio::spawn(answer(socket, scripts, requests, push.subscribe()));
            }
        });
        let upstream = Self {
            addr,
            scripts,
            requests,
            push,
            accepts,
        };
        upstream.list(mounts);
        Ok(upstream)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sets what `/status-json.xsl` lists, in Icecast's form.
    pub fn list(&self, mounts: &[(&str, &str)]) {
        let sources: Vec<_> = mounts
            .iter()
            .map(|(mount, kind)| {
                format!(
                    "{{\"listenurl\":\"http://localhost:{}{mount}\",\"server_type\":\"{kind}\",\"listeners\":0,\
                     \"stream_start_iso8601\":\"2026-01-01T00:00:00+0000\",\"dummy\":null}}",
                    self.addr.port()
                )
            })
            .collect();
        let source = match sources.len() {
            0 => String::new(),
            1 => format!(",\"source\":{}", sources[0]),
            _ => format!(",\"source\":[{}]", sources.join(",")),
        };
        let body = format!("{{\"icestats\":{{\"server_id\":\"Icecast 2.4.4\"{source}}}}}");
        let head = format!(
            "HTTP/1.0 200 OK\r\nServer: Icecast 2.4.4\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.script(
            "/status-json.xsl",
            Script::Bytes((head + &body).into_bytes()),
        );
    }

    /// Sets what a path is answered with from now on.
    pub fn script(&self, path: &str, script: Script) {
        let mut scripts = self.scripts.lock().expect("no panic while held");
        scripts.insert(path.to_owned(), script);
    }

    /// Sends bytes on every open stream of a path.
    pub fn push(&self, path: &str, bytes: &[u8]) {
        // Nobody listening is no error.
        let _ = self.push.send((path.to_owned(), bytes.to_vec()));
    }

    /// Ends every open stream of a path.
    pub fn end(&self, path: &str) {
        self.push(path, &[]);
    }

    /// Every head that was received.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic while held").clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

async fn answer(
    mut socket: TcpStream,
    scripts: Scripts,
    requests: Arc<Mutex<Vec<String>>>,
    mut pushed: broadcast::Receiver<(String, Vec<u8>)>,
) -> Option<()> {
    let mut head = Vec::new();
    while memchr::memmem::find(&head, b"\r\n\r\n").is_none() {
        if socket.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1)?.to_owned();
    requests.lock().ok()?.push(head);
    let path = target.split('?').next()?;
    let script = scripts.lock().ok()?.get(path).cloned();
    let missing = b"HTTP/1.0 404 Not Found\r\nContent-Length: 4\r\n\r\ngone".to_vec();
    match script.unwrap_or(Script::Bytes(missing)) {
        Script::Bytes(bytes) => {
            socket.write_all(&bytes).await.ok()?;
            socket.shutdown().await.ok()
        }
        Script::Hang(bytes) => {
            socket.write_all(&bytes).await.ok()?;
            let mut rest = Vec::new();
            socket.read_to_end(&mut rest).await.ok().map(|_| ())
        }
        Script::Stream(bytes) => {
            socket.write_all(&bytes).await.ok()?;
            loop {
                let (to, bytes) = pushed.recv().await.ok()?;
                if to == path {
                    if bytes.is_empty() {
                        return socket.shutdown().await.ok();
                    }
                    socket.write_all(&bytes).await.ok()?;
                }
            }
        }
    }
}
