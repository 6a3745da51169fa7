//! An origin's part: sources, titles, and the list of mounts.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::head::{Refused, RequestHead};
use super::mount::Mount;
use super::serve::{Client, House, refuse, say};
use crate::http::basic;

/// Takes a source (PUT or SOURCE) and its stream.
pub(crate) async fn source(
    house: &Arc<House>,
    head: &RequestHead,
    mut client: Client,
) -> io::Result<()> {
    let version = &head.version;
    if !allowed(house, head) && !house.config.is("any-source") {
        let field = [("WWW-Authenticate", "Basic realm=\"source\"".to_owned())];
        return say(
            &mut client,
            version,
            401,
            &field,
            "Not with this password.\n",
            true,
        )
        .await;
    }
    let content_type = head.field("Content-Type").unwrap_or("audio/mpeg");
    let mount = house.open(&head.path, content_type);
    let fields = if house.config.is("no-names") {
        Vec::new()
    } else {
        names(head)
    };
    let taken = mount.change(|state| {
        if state.fed && !house.config.is("takes-second-sources") {
            return true;
        }
        content_type.clone_into(&mut state.timeline.content_type);
        state.fields = fields;
        state.fed = true;
        false
    });
    if taken {
        return refuse(
            &mut client,
            version,
            Refused(403, "Somebody feeds this mount.\n".to_owned()),
        )
        .await;
    }
    let status = match head.field("Expect") {
        Some(_) => "HTTP/1.1 100 Continue\r\n\r\n",
        None => "HTTP/1.0 200 OK\r\n\r\n",
    };
    client.stream.write_all(status.as_bytes()).await?;
    let ahead = std::mem::take(&mut client.ahead);
    let ended = receive(&mount, ahead, &mut client).await;
    if house.config.is("continues-epochs") {
        mount.change(|state| state.fed = false);
    } else {
        mount.end();
    }
    ended
}

async fn receive(mount: &Mount, ahead: Vec<u8>, client: &mut Client) -> io::Result<()> {
    if !ahead.is_empty() {
        mount.push(&ahead);
    }
    let mut piece = vec![0; 16 * 1024];
    loop {
        match client.stream.read(&mut piece).await? {
            0 => return Ok(()),
            read => mount.push(&piece[..read]),
        }
    }
}

fn allowed(house: &House, head: &RequestHead) -> bool {
    head.field("Authorization") == Some(&basic(&house.config.source))
}

/// What of a source's head listeners get: `ice-name` and the like, as `icy-name`.
fn names(head: &RequestHead) -> Vec<(String, String)> {
    let ours = head.fields.iter().filter_map(|(name, value)| {
        let lower = name.to_ascii_lowercase();
        let rest = lower
            .strip_prefix("ice-")
            .or_else(|| lower.strip_prefix("icy-"))?;
        matches!(
            rest,
            "name" | "genre" | "description" | "url" | "pub" | "public" | "br"
        )
        .then(|| (format!("icy-{rest}"), value.clone()))
    });
    ours.collect()
}

/// Answers `/admin/metadata` and `/status-json.xsl`; `None` for all others.
pub(crate) async fn admin(
    house: &Arc<House>,
    head: &RequestHead,
    client: &mut Client,
) -> Option<io::Result<()>> {
    let version = &head.version;
    match &head.path[..] {
        "/status-json.xsl" => {
            let mounts: Vec<_> = house
                .mounts()
                .iter()
                .filter(|mount| mount.lock().fed)
                .map(|mount| entry(house, mount))
                .collect();
            let sources = match &mounts[..] {
                [] => String::new(),
                [one] => format!(",\"source\":{one}"),
                many => format!(",\"source\":[{}]", many.join(",")),
            };
            let text = format!(
                "{{\"icestats\":{{\"host\":\"localhost\",\"server_id\":\"conformance\",\"server_start_iso8601\":\"2026-01-01T00:00:00+0000\"{sources}}}}}"
            );
            Some(say(client, version, 200, &[], &text, true).await)
        }
        "/admin/metadata" if !allowed(house, head) => {
            let field = [("WWW-Authenticate", "Basic realm=\"source\"".to_owned())];
            Some(
                say(
                    client,
                    version,
                    401,
                    &field,
                    "Not with this password.\n",
                    true,
                )
                .await,
            )
        }
        "/admin/metadata" => {
            let query = head.query.clone().unwrap_or_default();
            let value = |name: &str| {
                let found = query
                    .split('&')
                    .find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
                found.map(unescape)
            };
            let (mount, song) = (value("mount"), value("song"));
            let mount = mount.and_then(|path| house.find(&String::from_utf8_lossy(&path)));
            let (Some(mount), Some(song)) = (mount, song) else {
                return Some(
                    refuse(
                        client,
                        version,
                        Refused(400, "No such mount, or no song.\n".to_owned()),
                    )
                    .await,
                );
            };
            mount.title(&[b"StreamTitle='", &song[..], b"';"].concat());
            Some(
                say(
                    client,
                    version,
                    200,
                    &[],
                    "Metadata update successful\n",
                    true,
                )
                .await,
            )
        }
        _ => None,
    }
}

fn entry(house: &House, mount: &Mount) -> String {
    let content_type = mount.lock().timeline.content_type.clone();
    format!(
        "{{\"listeners\":0,\"listenurl\":\"http://{}{}\",\"server_type\":\"{content_type}\",\"stream_start_iso8601\":\"2026-01-01T00:00:00+0000\",\"dummy\":null}}",
        house.addr, mount.path
    )
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match (
            first,
            digits.and_then(|two| u8::from_str_radix(two, 16).ok()),
        ) {
            (b'%', Some(octet)) => {
                out.push(octet);
                rest = &after[2..];
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(*other),
        }
    }
    out
}
