//! What listeners are told of a stream, as field lines: each ends with CRLF.

use bytes::Bytes;

use super::{Request, Response};

/// Of an answer's fields those that are its connection's, and those that we write ourselves.
const OURS: [&str; 14] = [
    "Connection",
    "Keep-Alive",
    "Transfer-Encoding",
    "Content-Length",
    "Cache-Control",
    "Date",
    "Accept-Ranges",
    "icy-metaint",
    "Link",
    "Stream-Offset",
    "Stream-Window",
    "Set-Cookie",
    "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers",
];

/// Where the source itself is here, as Icecast does: `ice-*` becomes `icy-*`. `request` is the source's; `server` is the value
/// of `Server`.
#[must_use]
pub fn source_lines(request: &Request<'_>, content_type: &[u8], server: &str) -> Bytes {
    let mut lines = format!("Server: {server}\r\nContent-Type: ").into_bytes();
    lines.extend_from_slice(content_type);
    lines.extend_from_slice(b"\r\nExpires: Mon, 26 Jul 1997 05:00:00 GMT\r\nPragma: no-cache\r\n");
    for field in &request.fields {
        let name = field.name.to_ascii_lowercase();
        let Some(rest) = name
            .strip_prefix("ice-")
            .or_else(|| name.strip_prefix("icy-"))
        else {
            continue;
        };
        if matches!(rest, "metaint" | "metadata") {
            continue;
        }
        let rest = if rest == "bitrate" { "br" } else { rest };
        lines.extend_from_slice(format!("icy-{rest}: ").as_bytes());
        lines.extend_from_slice(field.value);
        lines.extend_from_slice(b"\r\n");
    }
    lines.into()
}

/// Where the stream comes from an upstream: the fields of its answer, as it wrote them, but for those that are ours to write.
#[must_use]
pub fn upstream_lines(answer: &Response<'_>) -> Bytes {
    let mut lines = Vec::new();
    for field in &answer.fields {
        if !OURS.iter().any(|name| field.is(name)) {
            field.encode(&mut lines);
        }
    }
    lines.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sources_fields_are_told_as_icecast_tells_them() {
        let head = b"PUT /live.mp3 HTTP/1.1\r\nHost: h\r\nAuthorization: Basic c291cmNlOng=\r\nContent-Type: audio/mpeg\r\n\
            Ice-Name: \xe9\r\nice-bitrate: 128\r\nicy-genre: a: b\r\nice-metadata: 1\r\nicy-metaint: 5\r\n\r\n";
        let (request, _) = Request::parse(head).unwrap().unwrap();
        assert_eq!(
            source_lines(&request, b"audio/mpeg", "us/1")[..],
            b"Server: us/1\r\nContent-Type: audio/mpeg\r\nExpires: Mon, 26 Jul 1997 05:00:00 GMT\r\nPragma: no-cache\r\n\
              icy-name: \xe9\r\nicy-br: 128\r\nicy-genre: a: b\r\n"[..]
        );
    }

    #[test]
    fn an_upstreams_fields_are_passed_on_but_for_ours() {
        let head = b"HTTP/1.0 200 OK\r\nServer: Icecast 2.4.4\r\nConnection: Close\r\nDate: today\r\nContent-Type: audio/mpeg\r\n\
            Cache-Control: no-cache\r\nSet-Cookie: a=b\r\nicy-br:128\r\nICY-MetaInt:16000\r\nStream-Window: first=0, next=1\r\n\
            icy-name: \xe9\r\n\r\n";
        let (answer, _) = Response::parse(head).unwrap().unwrap();
        assert_eq!(
            upstream_lines(&answer)[..],
            b"Server: Icecast 2.4.4\r\nContent-Type: audio/mpeg\r\nicy-br: 128\r\nicy-name: \xe9\r\n"[..]
        );
    }
}
