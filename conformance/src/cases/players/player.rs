//! Players, as they ask.

use crate::case::Stop;
use crate::connection::Answer;
use crate::http::Request;
use crate::reference::place::Anchor;
use crate::session::Session;

/// How long a stream is said to be.
pub(super) const TOTAL: u64 = 1_000_000_000_000;

/// A player of the cookie family: ffmpeg. Without ICY it is known by its name.
pub(super) fn ffmpeg(mount: &str, first: u64, icy: bool, cookies: &[String]) -> Request {
    let mut request = Request::get(mount)
        .field("User-Agent", "Lavf/59.27.100")
        .field("Accept", "*/*")
        .field("Range", format!("bytes={first}-"))
        .field("Connection", "close");
    if !cookies.is_empty() {
        request = request.field("Cookie", cookies.join("; "));
    }
    match icy {
        true => request.field("Icy-MetaData", "1"),
        false => request,
    }
}

/// A player of the families with a URL: VLC.
pub(super) fn vlc(target: &str, first: u64) -> Request {
    Request::get(target)
        .field("Accept", "*/*")
        .field("User-Agent", "VLC/3.0.24 LibVLC/3.0.24")
        .field("Range", format!("bytes={first}-"))
}

/// Firefox's media element.
pub(super) fn firefox(target: &str) -> Request {
    Request::get(target)
        .field("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0")
        .field("Accept", "audio/webm,audio/ogg,audio/wav,audio/*;q=0.9,application/ogg;q=0.7,video/*;q=0.6,*/*;q=0.5")
        .field("Range", "bytes=0-")
        .field("Sec-Fetch-Dest", "audio")
}

/// The `NAME=VALUE` of the answer's cookies of this chapter.
pub(super) fn cookies(answer: &Answer) -> Vec<String> {
    let lines = answer.head.lines("Set-Cookie");
    let pairs = lines.map(|line| line.split(';').next().unwrap_or_default().trim().to_owned());
    pairs.filter(|pair| pair.starts_with("icx-")).collect()
}

/// The anchor of a cookie.
pub(super) fn anchor(cookie: &str) -> Option<Anchor> {
    Anchor::decode(cookie.split_once('=')?.1)
}

/// A cookie of an anchor.
pub(super) fn cookie(anchor: &Anchor) -> String {
    format!("icx-{}={}", anchor.name(), anchor.encode())
}

/// A join of ffmpeg that got a cookie: the answer, and what its anchor says.
pub(super) async fn joined(
    s: &Session,
    mount: &str,
    icy: bool,
) -> Result<(Answer, String, Anchor), Stop> {
    s.join_at(mount).await?;
    let answer = s
        .ask_new(ffmpeg(mount, 0, icy, &[]))
        .await?
        .only_if(200, "R-STOCK-14")?;
    let cookie = cookies(&answer).into_iter().next();
    let cookie = cookie.ok_or_else(|| Stop::blocked("R-STOCK-5", "no cookie came for ffmpeg"))?;
    let anchor = anchor(&cookie).ok_or_else(|| {
        Stop::blocked(
            "R-STOCK-7",
            format!("an anchor that cannot be read: {cookie}"),
        )
    })?;
    Ok((answer, cookie, anchor))
}

/// A join of VLC: where it is redirected to.
pub(super) async fn redirected(s: &Session, mount: &str) -> Result<String, Stop> {
    let answer = s.ask_new(vlc(mount, 0)).await?.only_if(302, "R-STOCK-6")?;
    location(s, &answer)
}

/// The target of a redirect at the same server.
pub(super) fn location(s: &Session, answer: &Answer) -> Result<String, Stop> {
    let location = answer.field("Location").unwrap_or_default();
    let own = format!("http://{}", s.target().url.authority);
    let target = location.strip_prefix(&own).unwrap_or(&location).to_owned();
    match target.starts_with('/') {
        true => Ok(target),
        false => Err(Stop::blocked("R-STOCK-6", format!("Location: {location}"))),
    }
}

/// The token in a target.
pub(super) fn token(target: &str) -> Option<Anchor> {
    let (_, query) = target.split_once('?')?;
    Anchor::decode(
        query
            .split('&')
            .find_map(|part| part.strip_prefix("_anchor="))?,
    )
}
