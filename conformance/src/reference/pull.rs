//! A relay's part: the feed of a parent, or the plain stream of a server that knows nothing, of which this is then the minter.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::ask::{Ask, From};
use super::mount::Mount;
use super::serve::House;
use super::{plain, receive};
use crate::frame::MEDIA_TYPE;
use crate::http::{Head, Request};

/// How long it takes until a dead parent is asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// Begins to pull a path, if the upstream has a stream there.
pub(crate) async fn start(house: &Arc<House>, path: &str) -> bool {
    let Ok((head, stream, ahead)) = ask(house, path, None).await else {
        return false;
    };
    let kind = head.field("Content-Type").unwrap_or_default();
    let streams = kind == MEDIA_TYPE
        || kind.starts_with("audio/")
        || kind.starts_with("video/")
        || kind == "application/ogg";
    if head.status != 200 || !streams || head.field("Content-Length").is_some() {
        return false;
    }
    let known = house.find(path).is_some();
    let mount = house.open(path, "");
    if !known {
        let house = Arc::clone(house);
        tokio::spawn(async move { run(house, mount, head, stream, ahead).await });
    }
    true
}

type Connected = (Head, TcpStream, Vec<u8>);

/// Asks the upstream for a path, from a position on if there is one.
async fn ask(house: &House, path: &str, at: Option<String>) -> io::Result<Connected> {
    let upstream = house.config.upstream.clone().unwrap_or_default();
    let mut request = Request::get(path);
    if !house.config.is("never-asks-for-the-feed") {
        request = request.field("Accept", MEDIA_TYPE);
    }
    request = request
        .field("Icy-MetaData", "1")
        .field("Connection", "close");
    if !house.config.is("no-via") {
        request = request.field("Via", house.via.clone());
    }
    if let Some(at) = at {
        request = request.resume(at);
    }
    let octets = request.octets(&upstream);
    let connect = async {
        let mut stream = TcpStream::connect(&upstream).await?;
        stream.write_all(&octets).await?;
        let mut ahead = Vec::new();
        let mut piece = vec![0; 16 * 1024];
        loop {
            match Head::parse(&ahead).map_err(io::Error::other)? {
                Some((head, length)) => {
                    ahead.drain(..length);
                    return Ok((head, stream, ahead));
                }
                None => match stream.read(&mut piece).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => ahead.extend_from_slice(&piece[..read]),
                },
            }
        }
    };
    timeout(Duration::from_secs(12), connect)
        .await
        .map_err(io::Error::other)?
}

async fn run(house: Arc<House>, mount: Arc<Mount>, head: Head, stream: TcpStream, ahead: Vec<u8>) {
    let mut next = Some((head, stream, ahead));
    let mut cut = None;
    while !house.closed.load(Ordering::Acquire) {
        if let Some((head, stream, ahead)) = next.take()
            && head.status == 200
        {
            let fed = head.field("Content-Type").as_deref() == Some(MEDIA_TYPE);
            let ended = match fed {
                true => receive::feed(&house, &mount, &head, stream, ahead).await,
                false => plain::read(&house, &mount, &head, stream, ahead, cut).await,
            };
            if ended.is_err_and(|error| error.kind() == io::ErrorKind::Other)
                && house.config.is("forgets-on-errors")
            {
                mount.forget();
            }
            cut = Some(Instant::now());
        }
        tokio::time::sleep(AGAIN).await;
        let at = position(&mount);
        next = ask(&house, &mount.path, at).await.ok();
        if next.as_ref().is_some_and(|(head, ..)| head.status == 412) {
            // That byte will not come; what there is then is another run.
            next = ask(&house, &mount.path, Some("live".to_owned())).await.ok();
        }
    }
}

/// The next byte that is missing.
fn position(mount: &Mount) -> Option<String> {
    let (epoch, next) = mount.edge()?;
    Some(format!("{next};epoch=\"{epoch}\""))
}

/// What a feed without a position asks for.
pub(crate) fn oldest() -> Ask {
    Ask {
        from: From::Oldest,
        ..Ask::nothing()
    }
}
