//! The client over plain connections.

use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::client::http::{Act, Dial, HttpClient, MAX_REDIRECTS};
use icecast_ext_core::client::{Client, Event, Options, Trouble};

use crate::caller::{SECOND, at, stands};

const NOW: Duration = Duration::from_secs(100);

fn client(url: &str) -> HttpClient {
    let options = Options {
        history: 0,
        ..Options::default()
    };
    HttpClient::new(
        Client::new([url.to_owned()], options, 42).unwrap(),
        "test/1\r\n",
    )
}

fn dial(client: &mut HttpClient) -> Dial {
    match client.poll(NOW) {
        Act::Connect(dial) => dial,
        other => panic!("{other:?} instead of a connection"),
    }
}

/// Gives all of it, in pieces of `size`; what happened meanwhile.
fn give(client: &mut HttpClient, bytes: &[u8], size: usize) -> Vec<Event> {
    let mut events = Vec::new();
    for mut piece in bytes.chunks(size) {
        while !piece.is_empty() {
            piece = &piece[client.received(NOW, piece)..];
            events.extend(std::iter::from_fn(|| client.poll_event()));
        }
    }
    events
}

fn audio(events: &[Event]) -> Vec<u8> {
    let audio = events.iter().filter_map(|event| match event {
        Event::Audio(bytes) => Some(bytes.clone()),
        _ => None,
    });
    audio.collect::<Vec<Bytes>>().concat()
}

fn head(fields: &str) -> Vec<u8> {
    let stands = stands(at(1, 0)).encode();
    format!("HTTP/1.1 200 OK\r\nStream-Offset: {stands}\r\n{fields}\r\n").into_bytes()
}

#[test]
fn a_request_is_whole_and_has_the_credentials_of_its_url() {
    let mut client = client("https://us%65r:p%3Aw@[::1]:8443/live?x");
    let dial = dial(&mut client);
    assert_eq!(
        (dial.tls, dial.host.as_str(), dial.port),
        (true, "::1", 8443)
    );
    assert_eq!(
        String::from_utf8(dial.head).unwrap(),
        "GET /live?x HTTP/1.1\r\nHost: [::1]:8443\r\nUser-Agent: test/1\r\nAccept: */*\r\nConnection: close\r\n\
         Authorization: Basic dXNlcjpwOnc=\r\nResume-Offset: live\r\n\r\n"
    );
}

#[test]
fn every_coding_of_a_body_is_taken_off_in_any_split() {
    let body: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let mut chunked = Vec::new();
    for chunk in body.chunks(999) {
        icecast_ext_core::chunked::encode(chunk, &mut chunked);
    }
    for (fields, sent) in [
        ("", body.clone()),
        ("Content-Length: 20000\r\n", body.clone()),
        ("Transfer-Encoding: chunked\r\n", chunked),
    ] {
        let mut whole = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_vec();
        whole.extend_from_slice(&head(fields));
        whole.extend_from_slice(&sent);
        for size in [1, 7, 1000, 100_000] {
            let mut client = client("http://a/live");
            dial(&mut client);
            let events = give(&mut client, &whole, size);
            assert!(audio(&events) == body, "{fields} by {size}");
            assert!(matches!(client.poll(NOW), Act::Read { until } if until > NOW));
        }
    }
}

#[test]
fn a_body_that_is_complete_is_told_from_one_that_broke_off() {
    for (fields, why) in [
        ("", Trouble::Closed),
        ("Content-Length: 3\r\n", Trouble::Closed),
        (
            "Content-Length: 9\r\n",
            Trouble::Broke("the body ended early".into()),
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            Trouble::Broke("the body ended early".into()),
        ),
    ] {
        let mut client = client("http://a/live");
        dial(&mut client);
        let body: &[u8] = if fields.starts_with('T') {
            b"3\r\nabc\r\n"
        } else {
            b"abc"
        };
        let mut events = give(&mut client, &[&head(fields), body].concat(), 4096);
        client.closed(NOW);
        events.extend(std::iter::from_fn(|| client.poll_event()));
        assert_eq!(audio(&events), b"abc");
        assert!(
            events
                .iter()
                .any(|event| matches!(event, Event::Cut { why: told, .. } if *told == why)),
            "{fields}: {events:?}"
        );
        // It goes on where it was cut, at once.
        let dial = dial(&mut client);
        assert!(String::from_utf8_lossy(&dial.head).contains("\r\nResume-Offset: 3;epoch="));
    }
}

#[test]
fn redirects_are_followed_but_not_for_ever_nor_out_of_tls_nor_with_credentials() {
    let turn = |to: &str| {
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 4\r\n\r\ngone")
            .into_bytes()
    };
    let mut moved = client("http://u:p@a/live");
    dial(&mut moved);
    give(&mut moved, &turn("/other?x"), 3);
    let there = dial(&mut moved);
    assert_eq!((there.host.as_str(), there.port), ("a", 80));
    let text = String::from_utf8(there.head).unwrap();
    assert!(text.starts_with("GET /other?x HTTP/1.1\r\n") && text.contains("\r\nAuthorization: "));
    give(&mut moved, &turn("https://b:99/z"), 4096);
    let there = dial(&mut moved);
    assert_eq!(
        (there.tls, there.host.as_str(), there.port),
        (true, "b", 99)
    );
    let text = String::from_utf8(there.head).unwrap();
    assert!(text.contains("\r\nResume-Offset: live\r\n") && !text.contains("Authorization"));
    moved.received(NOW, &turn("http://b/z"));
    let refused = |client: &mut HttpClient, said: &str| {
        let events: Vec<Event> = std::iter::from_fn(|| client.poll_event()).collect();
        let told = events.iter().any(|event| matches!(event, Event::Refused { why: Trouble::Unreachable(why), .. } if why.contains(said)));
        assert!(told, "{said}: {events:?}");
    };
    refused(&mut moved, "R-CLIENT-6");
    let mut client = client("http://a/0");
    dial(&mut client);
    for n in 0..MAX_REDIRECTS {
        give(&mut client, &turn(&format!("/{n}")), 4096);
        dial(&mut client);
    }
    client.received(NOW, &turn("/once-more"));
    refused(&mut client, "R-SEC-8");
    let mut secure = self::client("https://a/live");
    dial(&mut secure);
    secure.received(NOW, &turn("http://a/live"));
    refused(&mut secure, "R-CLIENT-6");
}

#[test]
fn what_is_no_answer_is_a_refusal_and_costs_little() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(100_000));
    for bad in [
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 200 OK\r\n\0: a\r\n\r\n",
        "\r\n\r\n",
        &long,
    ] {
        let mut client = client("http://a/live");
        dial(&mut client);
        let events = give(&mut client, bad.as_bytes(), 4096);
        assert!(
            events.iter().any(|event| matches!(
                event,
                Event::Refused {
                    why: Trouble::Unreachable(_),
                    ..
                }
            )),
            "{bad:.20}: {events:?}"
        );
        assert!(matches!(client.poll(NOW), Act::Wait { .. }));
    }
    // Neither is silence.
    let mut client = client("http://a/live");
    dial(&mut client);
    client.closed(NOW);
    assert!(matches!(client.poll_event(), Some(Event::Refused { .. })));
    let later = NOW + 3600 * SECOND;
    assert_eq!(client.poll(later), Act::Ended);
}
