//! Requests that are none of ours go to the upstream, written anew (R-HEAD-3), and its answer comes back as it is.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;

use super::ask::rest;
use super::head::{Refused, RequestHead};
use super::serve::{Client, House, refuse};

/// Forwards a request; without an upstream there is no such thing here.
pub(crate) async fn forward(
    house: &Arc<House>,
    head: &RequestHead,
    mut client: Client,
) -> io::Result<()> {
    let Some(upstream) = &house.config.upstream else {
        return refuse(
            &mut client,
            &head.version,
            Refused(404, "Not here.\n".to_owned()),
        )
        .await;
    };
    let Ok(mut server) = TcpStream::connect(upstream).await else {
        return refuse(
            &mut client,
            &head.version,
            Refused(503, "The upstream is down.\n".to_owned()),
        )
        .await;
    };
    server.write_all(&write(house, head, &client)).await?;
    server.write_all(&std::mem::take(&mut client.ahead)).await?;
    copy_bidirectional(&mut client.stream, &mut server).await?;
    Ok(())
}

/// A head as it goes upstream: nothing but what was parsed, without what is between us and the client.
fn write(house: &House, head: &RequestHead, client: &Client) -> Vec<u8> {
    let bug = |id| house.config.is(id);
    let query = match &head.query {
        Some(query) if bug("queries-go-upstream") && !query.contains("_anchor") => {
            Some(query.clone())
        }
        Some(query) => rest(query),
        None => None,
    };
    let mut target = String::new();
    for octet in head.path.bytes() {
        match octet {
            b'!'..=b'~' if !b"%?#\"<>".contains(&octet) => target.push(char::from(octet)),
            other => target.push_str(&format!("%{other:02X}")),
        }
    }
    if let Some(query) = query {
        target += &format!("?{query}");
    }
    let mut out = format!("{} {target} {}\r\n", head.method, head.version);
    for (name, value) in &head.fields {
        let lower = name.to_ascii_lowercase();
        let value = match &lower[..] {
            "connection" | "keep-alive" | "te" | "upgrade" => continue,
            "x-forwarded-for" if !bug("believes-forwarded-for") => continue,
            "cookie" if !bug("cookies-go-upstream") => {
                let left: Vec<_> = value
                    .split(';')
                    .filter(|one| !one.trim().starts_with("icx-"))
                    .collect();
                if left.is_empty() {
                    continue;
                }
                left.join(";")
            }
            _ => value.clone(),
        };
        // White space as it came: what R-HEAD-3 is there to prevent.
        let colon = if bug("heads-as-they-came") {
            ":\t"
        } else {
            ": "
        };
        out += &format!("{name}{colon}{value}\r\n");
    }
    if !bug("no-via") {
        out += &format!("Via: {}\r\n", house.via);
    }
    if !bug("believes-forwarded-for") {
        out += &format!("X-Forwarded-For: {}\r\n", client.peer.ip());
    }
    out += "Connection: close\r\n\r\n";
    out.chars()
        .map(|c| u8::try_from(c).unwrap_or(b'?'))
        .collect()
}
