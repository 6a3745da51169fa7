//! Requests as they are on the wire, and redirects.

use icecast_ext_client::{Event, Listener};

use crate::server::{Conn, Server};

fn audio(mut conn: Conn) {
    conn.ok(0);
    conn.send(b"audio");
    conn.hang();
}

fn redirect(to: String) -> impl Fn(Conn) + Send + Sync + 'static {
    move |mut conn| {
        conn.send(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes());
    }
}

/// The first audio, and who gives it.
async fn joined(listener: &mut Listener) -> String {
    loop {
        if let Event::Joined { url, .. } = listener.next().await.unwrap() {
            return url;
        }
    }
}

#[tokio::test]
async fn a_request_says_who_asks_and_for_what() {
    let server = Server::start(audio);
    let mut listener = Listener::builder([server.url.as_str()])
        .icy(true)
        .open()
        .unwrap();
    assert_eq!(joined(&mut listener).await, server.url);
    let head = server.head(0).to_ascii_lowercase();
    assert!(head.starts_with("get /live http/1.1\r\n"));
    for line in [
        "resume-offset: live",
        "icy-metadata: 1",
        concat!("user-agent: icecast-ext/", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(head.contains(line), "{head}");
    }
    for name in ["via:", "referer:", "range:"] {
        assert!(!head.contains(name), "{head}");
    }
}

#[tokio::test]
async fn redirects_are_followed_without_credentials_to_another_origin() {
    let target = Server::start(audio);
    let first = Server::start(redirect(target.url.clone()));
    let url = first.url.replace("http://", "http://user:secret@");
    let mut listener = Listener::builder([url]).open().unwrap();
    // Credentials are for the relay, not for people's eyes.
    assert_eq!(joined(&mut listener).await, first.url);
    assert!(
        first
            .head(0)
            .to_ascii_lowercase()
            .contains("authorization: basic")
    );
    let head = target.head(0).to_ascii_lowercase();
    assert!(
        !head.contains("authorization") && !head.contains("referer") && !head.contains("secret"),
        "{head}"
    );
    assert!(head.contains("resume-offset: live"));
}

#[tokio::test]
async fn redirects_in_a_circle_are_a_failure() {
    let circle = Server::start(|conn| {
        let to = format!("http://{}/live", conn.field("host").unwrap());
        redirect(to)(conn);
    });
    let good = Server::start(audio);
    let mut listener = Listener::builder([circle.url.as_str(), good.url.as_str()])
        .open()
        .unwrap();
    assert_eq!(joined(&mut listener).await, good.url);
    assert_eq!(circle.heads.lock().unwrap().len(), 6);
}

#[tokio::test]
async fn other_relays_are_learned() {
    let server = Server::start(|mut conn| {
        let head =
            crate::server::ok(0).replace("\r\n\r\n", "\r\nLink: </other>; rel=duplicate\r\n\r\n");
        conn.send(head.as_bytes());
        conn.send(b"audio");
        conn.hang();
    });
    let mut listener = Listener::builder([server.url.as_str()]).open().unwrap();
    joined(&mut listener).await;
    let known: Vec<_> = listener.relays().map(str::to_owned).collect();
    assert_eq!(
        known,
        [server.url.clone(), server.url.replace("/live", "/other")]
    );
}
