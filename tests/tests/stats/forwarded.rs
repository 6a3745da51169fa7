//! Behind a proxy that is trusted: whoever it names is the listener, and the scheme that it names is the listener's.

use icecast_ext_tests::child::Scratch;
use icecast_ext_tests::tls::Authority;

use super::*;

/// An answer to who asks from `127.0.0.HOST`, as text.
async fn ask(host: u8, addr: SocketAddr, target: &str, fields: &str) -> String {
    let auth = basic("admin", PASSWORD);
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: radio.example\r\nAuthorization: {auth}\r\n{fields}\r\n"
    );
    let tap = from(host, addr, request.as_bytes())
        .await
        .expect("an answer");
    assert_eq!(tap.head.status, 200, "{target}");
    tap.wait_end(SOON).await;
    String::from_utf8(tap.body()).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_trusted_proxy_forwards_is_the_one_in_list_log_and_listenurl() {
    let server = server().await;
    let scratch = Scratch::new("forwarded").expect("a directory");
    let log = scratch.file("access.log");
    let authority = Authority::new().expect("an authority");
    let certificate = authority
        .issue("local", &["localhost"])
        .expect("a certificate");
    let proxy = Proxy::with(proxy::Setup {
        config: format!("trusted-proxy = [\"127.0.0.1\"]\naccess-log = {log:?}\n")
            + &certificate.config(),
        tls: true,
        ..proxy::Setup::before(server.icecast.addr())
    });
    let proxy = proxy.await.expect("the proxy starts");
    let addr = proxy.addr();

    // Who is not trusted is believed nothing.
    let rows = [
        (1, "behind/1.0", "203.0.113.7"),
        (5, "forger/1.0", "127.0.0.5"),
    ];
    let mut taps = Vec::new();
    for (host, agent, _) in rows {
        let request = format!(
            "GET /a.mp3 HTTP/1.1\r\nHost: radio.example\r\nUser-Agent: {agent}\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n"
        );
        let tap = from(host, addr, request.as_bytes()).await;
        let tap = tap.expect("an answer");
        assert_eq!(tap.head.status, 200, "{agent}");
        taps.push(tap);
    }
    let (_, listed, _) = azuracast(addr, "/a.mp3").await;
    let wanted = rows.map(|(_, agent, address)| (address.to_owned(), agent.to_owned()));
    assert_eq!(listed, BTreeSet::from(wanted));
    drop(taps);
    for (host, agent, address) in rows {
        let tunnelled = format!("{agent} tunnelled");
        let fields = format!("User-Agent: {tunnelled}\r\nX-Forwarded-For: 203.0.113.7\r\n");
        ask(host, addr, "/style.css", &fields).await;
        for agent in [agent, &tunnelled] {
            let line = wait_until(&format!("a line of {agent}"), SOON, || async {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                let mut lines = text.lines();
                lines
                    .find(|line| line.contains(&format!("\"{agent}\"")))
                    .map(str::to_owned)
            })
            .await;
            assert!(line.starts_with(&format!("{address} ")), "{line}");
        }
    }

    for target in ["/status-json.xsl", "/admin/stats", "/a.mp3.m3u"] {
        for (host, proto, base) in [
            (1, "https", "https://radio.example/a.mp3"),
            (1, "http", "http://radio.example/a.mp3"),
            (5, "https", "http://radio.example/a.mp3"),
        ] {
            let fields = format!("X-Forwarded-Proto: {proto}\r\n");
            let text = ask(host, addr, target, &fields).await;
            assert!(text.contains(base), "{target} from {host}, {proto}: {text}");
        }
        let auth = basic("admin", PASSWORD);
        let (tls, fields) = (proxy.tls(), [("Authorization", auth.as_str())]);
        let tap = authority.tap(tls, "localhost", target, &fields);
        let tap = tap.await.expect("an answer");
        tap.wait_end(SOON).await;
        let text = String::from_utf8(tap.body()).expect("text");
        assert!(text.contains(&format!("https://{tls}/a.mp3")), "{text}");
    }
}
