//! Heads: what is refused, what is incomplete, and that writing is the inverse of reading.

use icecast_ext_core::head::{
    Field, HeadError, MAX_FIELDS, MAX_HEAD, Method, Protocol, Request, Response, Version,
};
use proptest::prelude::*;

fn refusal(input: &[u8]) -> Option<HeadError> {
    Request::parse(input).err()
}

fn is_malformed(input: &[u8]) -> bool {
    matches!(refusal(input), Some(HeadError::Malformed(_)))
}

#[test]
fn reads_players_and_sources() {
    let input = b"GET /live.mp3 HTTP/1.0\r\nIcy-MetaData:1\r\nUser-Agent: \t Lavf \r\nX: a\r\nx: b\r\nEmpty:\r\n\r\nbody";
    let (head, len) = Request::parse(input).unwrap().unwrap();
    assert_eq!(&input[len..], b"body");
    assert_eq!(
        (head.method, head.target, head.version),
        (Method::Get, "/live.mp3", Version::Http10)
    );
    assert_eq!(head.field("icy-metadata").as_deref(), Some(&b"1"[..]));
    assert_eq!(head.field("User-agent").as_deref(), Some(&b"Lavf"[..]));
    assert_eq!(head.field("X").as_deref(), Some(&b"a, b"[..]));
    assert_eq!(head.field("empty").as_deref(), Some(&b""[..]));
    assert_eq!(head.field("none"), None);

    let source =
        b"SOURCE /mount ICE/1.0\r\nAuthorization: Basic c291cmNlOmE6Yg==\r\nice-name: \xe9\r\n\r\n";
    let (head, _) = Request::parse(source).unwrap().unwrap();
    assert_eq!(
        (head.method, head.version),
        (Method::Source, Version::Ice10)
    );
    assert_eq!(
        head.basic_auth(),
        Some((b"source".to_vec(), b"a:b".to_vec()))
    );

    let put = b"PUT /a HTTP/1.1\r\nTransfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n";
    let (head, _) = Request::parse(put).unwrap().unwrap();
    assert!(head.is_chunked() && head.expects_continue());
    assert_eq!(head.content_length(), None);
}

/// Every leniency of the server behind us, ICECAST.md "Lenient heads", and what else two parsers would read differently.
#[test]
fn refuses_every_differential() {
    for (what, input) in [
        (
            "a bare LF ends a field line",
            "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
        ),
        (
            "a bare LF ends the request line",
            "GET / HTTP/1.1\nA: b\r\n\r\n",
        ),
        ("LFLF ends the head", "GET / HTTP/1.1\r\nA: b\n\n"),
        ("CRLF LF ends the head", "GET / HTTP/1.1\r\nA: b\r\n\n"),
        ("a bare CR in a value", "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n"),
        (
            "a bare CR ends the head",
            "GET / HTTP/1.1\r\n\rA: b\r\n\r\n",
        ),
        ("NUL in a value", "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n"),
        ("NUL in a name", "GET / HTTP/1.1\r\nA\0: b\r\n\r\n"),
        ("NUL in the target", "GET /a\0b HTTP/1.1\r\n\r\n"),
        (
            "a line folded with a space",
            "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        ),
        (
            "a line folded with a tab",
            "GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n",
        ),
        ("the first line folded", "GET / HTTP/1.1\r\n A: b\r\n\r\n"),
        (
            "a space before the colon",
            "GET / HTTP/1.1\r\nAuthorization : b\r\n\r\n",
        ),
        (
            "a tab before the colon",
            "GET / HTTP/1.1\r\nAuthorization\t: b\r\n\r\n",
        ),
        ("an empty name", "GET / HTTP/1.1\r\n: b\r\n\r\n"),
        ("no colon", "GET / HTTP/1.1\r\nA\r\n\r\n"),
        ("a leading CRLF", "\r\nGET / HTTP/1.1\r\n\r\n"),
        ("a leading LF", "\nGET / HTTP/1.1\r\n\r\n"),
        ("a leading space", " GET / HTTP/1.1\r\n\r\n"),
        ("two spaces before the target", "GET  / HTTP/1.1\r\n\r\n"),
        ("two spaces before the version", "GET /  HTTP/1.1\r\n\r\n"),
        ("a space after the version", "GET / HTTP/1.1 \r\n\r\n"),
        ("a tab for a space", "GET\t/ HTTP/1.1\r\n\r\n"),
        ("a method in small letters", "get / HTTP/1.1\r\n\r\n"),
        ("a method that is no token", "G@T / HTTP/1.1\r\n\r\n"),
        ("a version from the future", "GET / HTTP/9.9zz\r\n\r\n"),
        ("a version in small letters", "GET / http/1.1\r\n\r\n"),
        ("HTTP/1.2", "GET / HTTP/1.2\r\n\r\n"),
        ("HTTP/2.0", "GET / HTTP/2.0\r\n\r\n"),
        ("HTTP/1.10", "GET / HTTP/1.10\r\n\r\n"),
        ("no version", "GET /\r\n\r\n"),
        ("no target", "GET HTTP/1.1\r\n\r\n"),
        (
            "an octet above 126 in the target",
            "GET /\u{e9} HTTP/1.1\r\n\r\n",
        ),
        ("ICE/1.0 of a listener", "GET / ICE/1.0\r\n\r\n"),
        ("two Host", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
        (
            "two Authorization",
            "GET / HTTP/1.1\r\nAuthorization: a\r\nB: c\r\nAUTHORIZATION: b\r\n\r\n",
        ),
        (
            "two Content-Length",
            "PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        ),
        (
            "two Range",
            "GET / HTTP/1.1\r\nRange: bytes=0-\r\nRange: bytes=1-\r\n\r\n",
        ),
        (
            "two Transfer-Encoding",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "two Resume-Offset",
            "GET / HTTP/1.1\r\nResume-Offset: live\r\nResume-Offset: live\r\n\r\n",
        ),
        (
            "both lengths",
            "PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "a list of lengths",
            "PUT / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
        ),
        (
            "a signed length",
            "PUT / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        ),
        (
            "a hexadecimal length",
            "PUT / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n",
        ),
        (
            "an empty length",
            "PUT / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        ),
        (
            "a length that overflows",
            "PUT / HTTP/1.1\r\nContent-Length: 18446744073709551617\r\n\r\n",
        ),
        (
            "another coding",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
        ),
        (
            "two codings",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        ),
        (
            "a coding in HTTP/1.0",
            "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
    ] {
        assert!(
            is_malformed(input.as_bytes()),
            "{what}: {:?}",
            Request::parse(input.as_bytes())
        );
    }
}

#[test]
fn counts_fields_beyond_those_that_icecast_drops() {
    let head = |fields: usize| format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(fields));
    let at_most = head(MAX_FIELDS) + "\r\n";
    assert_eq!(
        Request::parse(at_most.as_bytes())
            .unwrap()
            .unwrap()
            .0
            .fields
            .len(),
        MAX_FIELDS
    );
    assert_eq!(
        refusal((head(MAX_FIELDS + 1)).as_bytes()),
        Some(HeadError::TooLarge)
    );
}

#[test]
fn a_head_is_too_large_before_its_end_has_come() {
    let head = |bytes: usize| {
        let begin = "GET / HTTP/1.1\r\nA: ";
        format!("{begin}{}\r\n\r\n", "x".repeat(bytes - begin.len() - 4)).into_bytes()
    };
    assert!(Request::parse(&head(MAX_HEAD)).unwrap().is_some());
    assert_eq!(Request::parse(&head(MAX_HEAD)[..MAX_HEAD - 1]), Ok(None));
    assert_eq!(refusal(&head(MAX_HEAD + 1)), Some(HeadError::TooLarge));
    assert_eq!(
        refusal(&head(MAX_HEAD + 1)[..MAX_HEAD]),
        Some(HeadError::TooLarge)
    );
    assert_eq!(refusal(&[b'A'; MAX_HEAD]), Some(HeadError::TooLarge));
}

#[test]
fn refuses_as_soon_as_it_is_certain() {
    for bad in [
        "\r",
        "\n",
        " ",
        "g ",
        "GET  ",
        "GET / X",
        "GET / HTTP/1.1\r\n ",
        "GET / HTTP/1.1\r\nA ",
        "GET / HTTP/1.1\r\nA: \n",
    ] {
        assert!(is_malformed(bad.as_bytes()), "{bad:?}");
    }
}

#[test]
fn reads_basic_credentials_only() {
    let auth = |value: &str| {
        let input = format!("GET / HTTP/1.0\r\nAuthorization: {value}\r\n\r\n");
        Request::parse(input.as_bytes())
            .unwrap()
            .unwrap()
            .0
            .basic_auth()
    };
    assert_eq!(auth("basic YTpi"), Some((b"a".to_vec(), b"b".to_vec())));
    assert_eq!(auth("Basic  YTo"), Some((b"a".to_vec(), Vec::new())));
    for bad in [
        "",
        "Basic",
        "Basic ",
        "Basic YQ==",
        "Basic ****",
        "Bearer YTpi",
        "BasicYTpi",
    ] {
        assert_eq!(auth(bad), None, "{bad}");
    }
}

/// Names that may stand twice and mean nothing to a parser.
fn names() -> impl Strategy<Value = String> {
    "[A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]{0,12}".prop_filter(
        "fields with rules of their own",
        |name| {
            ![
                "host",
                "authorization",
                "content-length",
                "range",
                "transfer-encoding",
                "resume-offset",
            ]
            .contains(&name.to_ascii_lowercase().as_str())
        },
    )
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        any::<u8>().prop_filter("ends lines", |b| !matches!(b, b'\r' | b'\n' | 0)),
        0..30,
    )
    .prop_map(|value| {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let begin = value
            .iter()
            .position(|byte| !blank(byte))
            .unwrap_or(value.len());
        let end = value
            .iter()
            .rposition(|byte| !blank(byte))
            .map_or(begin, |last| last + 1);
        value[begin..end].to_vec()
    })
}

fn fields() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    prop::collection::vec((names(), values()), 0..8)
}

fn borrow(fields: &[(String, Vec<u8>)]) -> Vec<Field<'_>> {
    fields
        .iter()
        .map(|(name, value)| Field { name, value })
        .collect()
}

proptest! {
    #[test]
    fn a_request_reads_as_written_and_no_sooner(
        method in "[A-Z-]{1,10}",
        target in "/[!-~]{0,20}",
        old in any::<bool>(),
        fields in fields(),
        body in prop::collection::vec(any::<u8>(), 0..10),
    ) {
        let method = match method.as_str() {
            "GET" => Method::Get,
            "PUT" => Method::Put,
            "HEAD" => Method::Head,
            "SOURCE" => Method::Source,
            "OPTIONS" => Method::Options,
            other => Method::Other(other),
        };
        let version = if old { Version::Http10 } else { Version::Http11 };
        let head = Request { method, target: &target, version, fields: borrow(&fields) };
        let mut bytes = Vec::new();
        head.encode(&mut bytes);
        for end in 0..bytes.len() {
            prop_assert_eq!(Request::parse(&bytes[..end]), Ok(None));
        }
        let len = bytes.len();
        bytes.extend(body);
        prop_assert_eq!(Request::parse(&bytes), Ok(Some((head, len))));
    }

    #[test]
    fn a_response_reads_as_written_and_no_sooner(
        icy in any::<bool>(),
        status in 100u16..600,
        reason in "[^\r\n\0]{0,20}",
        fields in fields(),
    ) {
        let protocol = if icy { Protocol::Icy } else { Protocol::Http(Version::Http11) };
        let head = Response { protocol, status, reason: &reason, fields: borrow(&fields) };
        let mut bytes = Vec::new();
        head.encode(&mut bytes);
        for end in 0..bytes.len() {
            prop_assert_eq!(Response::parse(&bytes[..end]), Ok(None));
        }
        prop_assert_eq!(Response::parse(&bytes), Ok(Some((head, bytes.len()))));
    }

    #[test]
    fn what_is_read_is_read_again_from_what_is_written(bytes in lines()) {
        if let Ok(Some((head, len))) = Request::parse(&bytes) {
            prop_assert!(len <= bytes.len());
            let mut again = Vec::new();
            head.encode(&mut again);
            prop_assert_eq!(Request::parse(&again), Ok(Some((head, again.len()))));
        }
        let _ = Response::parse(&bytes);
    }

    #[test]
    fn a_refusal_stands_whatever_comes_after(bytes in lines(), at in any::<prop::sample::Index>()) {
        if let Err(HeadError::Malformed(_)) = Request::parse(&bytes[..at.index(bytes.len() + 1)]) {
            prop_assert!(is_malformed(&bytes));
        }
    }
}

/// Bytes that come close to a head.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        8 => prop::sample::select(vec![
            "GET", " ", "/", "HTTP/1.1", "ICE/1.0", "SOURCE", "\r\n", "\r\n\r\n", "A: b", "Host: c", "Content-Length: 1", ":", "\t", "ICY 200 OK",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    prop::collection::vec(part, 0..14).prop_map(|parts| parts.concat())
}
