//! Connections: a head is read, and somebody answers it.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::head::{Refused, RequestHead};
use super::mount::Mount;
use super::{Config, listener, names, origin, pull, tunnel};

/// A head has to come within this time (R-HTTP-7).
const HEAD: Duration = Duration::from_secs(10);
/// What the kernel may hold for a listener: so little that a slow one is seen to be slow.
const SEND: usize = 16 * 1024;
/// Heads that are remembered for the suite.
const SEEN: usize = 4096;

/// The server, as all its connections see it.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) config: Config,
    pub(crate) addr: SocketAddr,
    /// Our name in `Via`.
    pub(crate) via: String,
    /// Requests that are held now.
    pub(crate) held: AtomicUsize,
    /// The server ends.
    pub(crate) closed: AtomicBool,
    mounts: Mutex<HashMap<String, Arc<Mount>>>,
    seen: Mutex<Vec<(RequestHead, String)>>,
}

impl House {
    pub(crate) fn new(config: Config, addr: SocketAddr) -> Self {
        let mut via = "1.1 icx-".to_owned();
        for octet in names::random::<8>() {
            via += &format!("{octet:02x}");
        }
        Self {
            config,
            addr,
            via,
            held: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            mounts: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// The mount of a path; a new one if there is none.
    pub(crate) fn open(&self, path: &str, content_type: &str) -> Arc<Mount> {
        let mut mounts = self.mounts.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            Mount::new(
                path,
                content_type,
                self.config.window,
                self.config.stock,
                self.config.bug,
            )
        };
        Arc::clone(
            mounts
                .entry(path.to_owned())
                .or_insert_with(|| Arc::new(new())),
        )
    }

    pub(crate) fn find(&self, path: &str) -> Option<Arc<Mount>> {
        self.mounts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(path)
            .cloned()
    }

    /// All mounts, in the order of their paths.
    pub(crate) fn mounts(&self) -> Vec<Arc<Mount>> {
        let mounts = self.mounts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = mounts.values().cloned().collect();
        all.sort_by(|one, other| one.path.cmp(&other.path));
        all
    }

    /// A position of any mount: the bug that does not look whose it is.
    pub(crate) fn anywhere(&self, epoch: &[u8; 16]) -> Option<Arc<Mount>> {
        let has = |mount: &Arc<Mount>| {
            mount
                .lock()
                .timeline
                .runs
                .iter()
                .any(|run| run.epoch == *epoch)
        };
        self.mounts().into_iter().find(has)
    }

    /// What came for a path: the heads, and their octets as characters.
    pub(crate) fn seen(&self, path: &str) -> Vec<(RequestHead, String)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter()
            .filter(|(head, _)| head.path == path)
            .cloned()
            .collect()
    }

    fn see(&self, head: &RequestHead, octets: &[u8]) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if self.config.closed && seen.len() < SEEN {
            seen.push((head.clone(), crate::http::latin(octets)));
        }
    }

    pub(crate) fn close(&self) {
        self.closed
            .store(true, std::sync::atomic::Ordering::Release);
        for mount in self.mounts() {
            mount.cut();
            mount.change(|_| ());
        }
    }
}

/// Accepts until the task is ended.
pub(crate) async fn run(house: Arc<House>, listener: TcpListener) {
    loop {
        if let Ok((stream, peer)) = listener.accept().await {
            let house = Arc::clone(&house);
            tokio::spawn(async move {
                // Whoever goes away in the middle is no trouble of ours.
                let _ = connection(&house, stream, peer).await;
            });
        }
    }
}

/// A connection from a client, and what it has sent behind its head.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) ahead: Vec<u8>,
}

async fn connection(house: &Arc<House>, stream: TcpStream, peer: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_send_buffer_size(SEND)?;
    let mut client = Client {
        stream,
        peer,
        ahead: Vec::new(),
    };
    let head = match timeout(HEAD, head(&mut client, house.config.bug)).await {
        Err(_) if house.config.is("waits-for-heads") => return Ok(()),
        Err(_) => {
            return refuse(
                &mut client,
                "HTTP/1.1",
                Refused(408, "The head took too long.\n".to_owned()),
            )
            .await;
        }
        Ok(Ok(None)) => return Ok(()),
        Ok(Err(refused)) => return refuse(&mut client, "HTTP/1.1", refused).await,
        Ok(Ok(Some(head))) => head,
    };
    let (head, octets) = head;
    house.see(&head, &octets);
    answer(house, &head, client).await
}

/// Reads a head; `None` if the client goes away before.
async fn head(
    client: &mut Client,
    bug: Option<&'static str>,
) -> Result<Option<(RequestHead, Vec<u8>)>, Refused> {
    let mut piece = [0; 4096];
    loop {
        if let Some((head, length)) = RequestHead::parse(&client.ahead, bug)? {
            let octets = client.ahead.drain(..length).collect();
            return Ok(Some((head, octets)));
        }
        match client.stream.read(&mut piece).await {
            Ok(read) if read > 0 => client.ahead.extend_from_slice(&piece[..read]),
            _ => return Ok(None),
        }
    }
}

async fn answer(house: &Arc<House>, head: &RequestHead, mut client: Client) -> io::Result<()> {
    let version = head.version.clone();
    if head.names("Via", &house.via) && !house.config.is("goes-in-circles") {
        let why = "This request has been here before.\n".to_owned();
        return refuse(&mut client, &version, Refused(508, why)).await;
    }
    match &head.method[..] {
        "PUT" | "SOURCE" if house.config.upstream.is_none() => {
            return origin::source(house, head, client).await;
        }
        "GET" | "HEAD" | "OPTIONS" => {}
        "PUT" | "SOURCE" | "POST" => return tunnel::forward(house, head, client).await,
        _ => {
            return refuse(
                &mut client,
                &version,
                Refused(405, "Not here.\n".to_owned()),
            )
            .await;
        }
    }
    if house.config.upstream.is_none() {
        if let Some(answered) = origin::admin(house, head, &mut client).await {
            return answered;
        }
    } else if house.find(&head.path).is_none()
        && head.method != "OPTIONS"
        && !pull::start(house, &head.path).await
    {
        return tunnel::forward(house, head, client).await;
    }
    match house.find(&head.path) {
        Some(mount) => listener::answer(house, &mount, head, client).await,
        None => {
            refuse(
                &mut client,
                &version,
                Refused(404, "No such mount.\n".to_owned()),
            )
            .await
        }
    }
}

/// What is said with a status.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        412 => "Precondition Failed",
        416 => "Range Not Satisfiable",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        508 => "Loop Detected",
        _ => "Something",
    }
}

/// A short answer, and the end.
pub(crate) async fn refuse(client: &mut Client, version: &str, refused: Refused) -> io::Result<()> {
    say(client, version, refused.0, &[], &refused.1, true).await
}

/// A short answer with fields of its own.
pub(crate) async fn say(
    client: &mut Client,
    version: &str,
    status: u16,
    fields: &[(&str, String)],
    text: &str,
    body: bool,
) -> io::Result<()> {
    let version = if version == "HTTP/1.0" {
        version
    } else {
        "HTTP/1.1"
    };
    let mut out = format!(
        "{version} {status} {}\r\nConnection: close\r\n",
        reason(status)
    );
    if status != 204 {
        out += &format!(
            "Content-Type: text/plain\r\nContent-Length: {}\r\n",
            text.len()
        );
    }
    out += "Access-Control-Allow-Origin: *\r\n";
    if status == 503 {
        out += "Retry-After: 2\r\n";
    }
    for (name, value) in fields {
        out += &format!("{name}: {value}\r\n");
    }
    out += "\r\n";
    if body {
        out += text;
    }
    client.stream.write_all(out.as_bytes()).await?;
    finish(client).await
}

/// Ends a connection so that what was sent arrives: what the client still sends is read for a moment.
pub(crate) async fn finish(client: &mut Client) -> io::Result<()> {
    client.stream.shutdown().await?;
    let mut rest = [0; 4096];
    let drain = async {
        while client
            .stream
            .read(&mut rest)
            .await
            .is_ok_and(|read| read > 0)
        {}
    };
    // Who never stops sending is not waited for.
    let _ = timeout(Duration::from_millis(500), drain).await;
    Ok(())
}
