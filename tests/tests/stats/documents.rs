//! What the documents say.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_same_listeners_make_the_same_documents_direct_and_through_the_proxy() {
    let (direct, behind) = (server().await, server().await);
    let proxy = Proxy::start(behind.icecast.addr())
        .await
        .expect("the proxy starts");
    let (one, other) = (direct.icecast.addr(), proxy.addr());
    let before = tokio::join!(at_rest(one), at_rest(other));
    let _listeners = (audience(one).await, audience(other).await);
    counts_grow_alike((one, &before.0), (other, &before.1)).await;
    listening(one, 5, 2).await;
    listening(other, 5, 2).await;
    for target in [
        "/status-json.xsl",
        "/status-json.xsl?mount=/a.mp3",
        "/admin/stats",
        "/admin/stats?mount=/a.mp3",
        "/admin/stats.xml",
        "/admin/listmounts",
        "/admin/streamlist",
        "/admin/listclients?mount=/a.mp3",
        "/admin/listclients?mount=%2Fb.mp3",
        "/admin/moveclients?mount=/a.mp3",
        "/admin/stats?mount=/none.mp3",
        "/admin/listclients",
        "/admin/killclient?mount=/a.mp3&id=999999",
        "/admin/killclient?mount=/a.mp3",
        "/admin/moveclients?mount=/a.mp3&destination=/a.mp3",
        "/",
        "/status.xsl",
        "/admin/",
        "/admin/stats.xsl",
        "/admin/stats.xsl?mount=/b.mp3",
        "/admin/listmounts.xsl",
        "/admin/listclients.xsl?mount=/a.mp3",
        "/admin/moveclients.xsl?mount=/a.mp3",
        "/admin/killclient.xsl?mount=/a.mp3&id=999999",
        "/a.mp3.m3u",
        "/a.mp3.xspf",
        "/a.mp3.vclt",
    ] {
        // The direct one says its own port, and says it as localhost.
        let mine = format!("localhost:{}", one.port());
        let told =
            |answer: &Answer| comparable(&answer.text().replace(&mine, "radio.example:8000"));
        let what = format!("equal answers to {target}");
        let answers = wait_until(&what, SOON, || async {
            let answers = (admin(one, target).await, admin(other, target).await);
            (told(&answers.0) == told(&answers.1)).then_some(answers)
        });
        let answers = match tokio::time::timeout(Duration::from_secs(8), answers).await {
            Ok(answers) => answers,
            Err(_) => (admin(one, target).await, admin(other, target).await),
        };
        assert_eq!(told(&answers.1), told(&answers.0), "{target}");
        assert_eq!(answers.1.head.status, answers.0.head.status, "{target}");
        let text = answers.1.text();
        if let Some(length) = answers.1.head.get("Content-Length") {
            assert_eq!(
                length.parse::<usize>().ok(),
                Some(answers.1.body.len()),
                "{target}"
            );
        }
        if text.starts_with('{') {
            let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert!(
                json["icestats"]["source"].is_array() || target.contains('?'),
                "{text}"
            );
        } else if text.starts_with("<?xml") {
            let options = roxmltree::ParsingOptions {
                allow_dtd: true,
                ..Default::default()
            };
            roxmltree::Document::parse_with_options(&text, options).expect(target);
        }
    }
    for mount in ["/a.mp3", "/b.mp3"] {
        let (through, stock) = (azuracast(other, mount).await, azuracast(one, mount).await);
        assert_eq!(through, stock, "{mount}");
        assert_eq!(
            through.1.len(),
            if mount == "/a.mp3" { 4 } else { 2 },
            "{mount}"
        );
        assert_eq!(through.0, through.2 as u64, "{mount}");
    }
    bytes_grow_alike((one, &before.0), (other, &before.1)).await;
}

/// `/admin/stats`, once nobody but us has come since the last look.
async fn at_rest(addr: SocketAddr) -> String {
    let mut last = admin(addr, "/admin/stats").await.text();
    let mut turns = tokio::time::interval(Duration::from_secs(1));
    turns.tick().await;
    for _ in 0..15 {
        turns.tick().await;
        let next = admin(addr, "/admin/stats").await.text();
        if grown(&last, &next).0 == 1 {
            return next;
        }
        last = next;
    }
    panic!("never at rest: {last}");
}

/// What the servers have counted since `before`, when the same requests have come to both.
async fn counts_grow_alike(stock: (SocketAddr, &str), through: (SocketAddr, &str)) {
    for target in ["/status-json.xsl", "/style.css", "/admin/listmounts"] {
        for _ in 0..4 {
            admin(stock.0, target).await;
            admin(through.0, target).await;
        }
    }
    // Icecast adds up a few times a second: asked more seldom, each answer has all that came before it. Both are asked
    // equally often.
    let mut turns = tokio::time::interval(Duration::from_secs(1));
    turns.tick().await;
    let mut left = 15;
    let (stock, through) = loop {
        turns.tick().await;
        left -= 1;
        let at = async |(addr, before)| grown(before, &admin(addr, "/admin/stats").await.text());
        let (stock, through) = (at(stock).await, at(through).await);
        if left == 0 || (stock.3 == 7 && through.3 == 7) {
            break (stock, through);
        }
    };
    for (name, stock, through) in [
        ("connections", stock.0, through.0),
        ("client_connections", stock.1, through.1),
    ] {
        assert!(stock >= 7 + 12, "{name}: {stock} at Icecast");
        // A connection is counted at one moment, and one of ours that it caused at another.
        assert!(
            through.abs_diff(stock) <= 2,
            "{name}: {stock} at Icecast, {through} through the proxy"
        );
    }
    assert_eq!((stock.2, stock.3), (7, 7), "at Icecast");
    assert_eq!((through.2, through.3), (7, 7), "through the proxy");
    assert!(
        through.4.abs_diff(stock.4) <= 2,
        "clients: {stock:?} {through:?}"
    );
}

/// What the listeners of a mount have been sent since `before`.
async fn bytes_grow_alike(stock: (SocketAddr, &str), through: (SocketAddr, &str)) {
    let of = async |(addr, before)| {
        let after = admin(addr, "/admin/stats").await.text();
        sent(&after, "/a.mp3") - sent(before, "/a.mp3")
    };
    // Icecast brings its number up to date every few seconds.
    let old = of(stock).await;
    let (stock, through) = wait_until("a new number", SOON, || async {
        let (stock, through) = (of(stock).await, of(through).await);
        (stock != old && stock > 500_000).then_some((stock, through))
    })
    .await;
    assert!(
        through.abs_diff(stock) <= stock / 4,
        "total_bytes_sent: {stock} at Icecast, {through} through the proxy"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listenurl_leads_to_the_proxy() {
    let server = server().await;
    let proxy = Proxy::start(server.icecast.addr())
        .await
        .expect("the proxy starts");
    let public = Proxy::with(proxy::Setup {
        config: "public-url = \"https://radio.example/\"\n".into(),
        ..proxy::Setup::before(server.icecast.addr())
    });
    let public = public.await.expect("the proxy starts");
    let told = |addr: SocketAddr, target: &'static str, host: &'static str| async move {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {}\r\n\r\n",
            basic("admin", PASSWORD)
        );
        let answer = http::exchange(addr, request.as_bytes(), SOON).await;
        // A head that is none, of `/admin/buildm3u`.
        let answer = String::from_utf8(answer.expect("an answer")).expect("text");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        body.to_owned()
    };
    let own = format!("localhost:{}", server.icecast.addr().port());
    for (addr, host, base) in [
        (proxy.addr(), "fm.example", "http://fm.example"),
        (proxy.addr(), "[::1]:8100", "http://[::1]:8100"),
        (public.addr(), "fm.example", "https://radio.example"),
    ] {
        for target in [
            "/status-json.xsl",
            "/admin/stats",
            "/admin/stats.xsl",
            "/a.mp3.m3u",
            "/a.mp3.xspf",
            "/a.mp3.vclt",
        ] {
            let text = told(addr, target, host).await;
            assert!(
                text.contains(&format!("{base}/a.mp3")),
                "{target} {host}: {text}"
            );
            assert!(!text.contains(&own), "{target} {host}: {text}");
        }
        let text = told(
            addr,
            "/admin/buildm3u?mount=/a.mp3&username=u&password=p",
            host,
        )
        .await;
        assert_eq!(
            text.trim(),
            format!("{}/a.mp3", base.replacen("://", "://u:p@", 1))
        );
    }
    // What is no host is not written into a document.
    let text = told(proxy.addr(), "/status-json.xsl", "x\"},{\"a\":\"").await;
    assert!(text.contains(&own), "{text}");
    serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_is_passed_on_without_nonsense() {
    let upstream = Upstream::start(&[("/live", "audio/mpeg")])
        .await
        .expect("a server");
    let stream = b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n".to_vec();
    upstream.script("/live", Script::Stream(stream));
    let mut proxy = Proxy::start(upstream.addr())
        .await
        .expect("the proxy starts");
    let opening = tokio::spawn(Tap::open(proxy.addr(), "/live", &[]));
    wait_for("the pull", SOON, || {
        upstream.push("/live", &[7; 400]);
        opening.is_finished()
    })
    .await;
    let listener = opening.await.expect("no panic").expect("a listener");
    let listen = "\"listenurl\":\"http://h:1/live\"";
    let json = |source: &str| format!("{{\"icestats\":{{\"source\":{source}}}}}");
    let deep = "[".repeat(200_000);
    for (body, part) in [
        (
            json(&format!("{{\"listeners\":-7,{listen}}}")),
            Some("\"listeners\":1,"),
        ),
        (
            json(&format!(
                "{{\"listeners\":1000000000000000000000000000000,{listen}}}"
            )),
            Some("\"listeners\":1,"),
        ),
        (
            json(&format!(
                "{{\"listeners\":\"many\",\"listener_peak\":nan,{listen}}}"
            )),
            Some("\"listeners\":\"1\",\"listener_peak\":1,"),
        ),
        (json(&format!("{{{listen}}}")), Some("/live\"}}}")),
        (
            json(&format!(
                "[{{\"listeners\":1,{listen}}},{{\"listeners\":1,{listen}}}]"
            )),
            Some("\"listeners\":1,"),
        ),
        (
            json(&format!("{{\"title\":\"\u{1}\",\"listeners\":1,{listen}}}")),
            Some("\"listeners\":1,"),
        ),
        ("{\"icestats\":".to_owned(), None),
        (deep.clone(), None),
        ("not at all".to_owned(), None),
        (String::new(), None),
    ] {
        let head = format!(
            "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        upstream.script(
            "/status-json.xsl",
            Script::Bytes([head.as_bytes(), body.as_bytes()].concat()),
        );
        let answer = http::get(proxy.addr(), "/status-json.xsl", &[])
            .await
            .expect("an answer");
        match part {
            Some(part) => assert!(answer.text().contains(part), "{body}: {}", answer.text()),
            None => assert_eq!(answer.body, body.as_bytes()),
        }
    }
    let source = "<source mount=\"/live\"><listeners>-1</listeners><listenurl>http://h:1/live</listenurl></source>";
    for (body, part) in [
        (
            format!("<icestats><listeners>-1</listeners>{source}</icestats>"),
            Some(
                "<listeners>1</listeners><source mount=\"/live\"><listeners>1</listeners><listenurl>http://127.0.0.1",
            ),
        ),
        (
            format!("<icestats>{source}{source}</icestats>"),
            Some("<listeners>-1</listeners>"),
        ),
        (format!("<icestats>{}", "<a>".repeat(100_000)), None),
        (
            "<icestats><source mount=\"/live\"><listeners>1</icestats>".to_owned(),
            None,
        ),
        (
            "<!DOCTYPE x [<!ENTITY a \"b\">]><icestats>&a;</icestats>".to_owned(),
            None,
        ),
    ] {
        let head = "HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n";
        upstream.script(
            "/admin/stats",
            Script::Bytes([head.as_bytes(), body.as_bytes()].concat()),
        );
        let answer = http::get(proxy.addr(), "/admin/stats", &[])
            .await
            .expect("an answer");
        match part {
            Some(part) => assert!(
                answer.text().contains(part),
                "{body:.200}: {}",
                answer.text()
            ),
            None => assert_eq!(answer.body, body.as_bytes()),
        }
    }
    // Not UTF-8; too long by its own word; compressed; cut; more than is read: as it came.
    for (head, body) in [
        (
            "Content-Type: text/xml\r\n",
            b"<icestats>\xff</icestats>".to_vec(),
        ),
        (
            "Content-Type: text/xml\r\nContent-Encoding: gzip\r\n",
            b"\x1f\x8b\x08".to_vec(),
        ),
        (
            "Content-Type: text/xml\r\nContent-Length: 999\r\n",
            b"<icestats>".to_vec(),
        ),
        ("Content-Type: text/xml\r\n", vec![b' '; 17 << 20]),
    ] {
        let bytes = [b"HTTP/1.0 200 OK\r\n", head.as_bytes(), b"\r\n", &body].concat();
        upstream.script("/admin/stats", Script::Bytes(bytes));
        let answer = http::get(proxy.addr(), "/admin/stats", &[])
            .await
            .expect("an answer");
        assert!(answer.body == body, "{head}: {} bytes", answer.body.len());
    }
    assert!(
        upstream
            .requests()
            .iter()
            .all(|head| !head.contains("Accept-Encoding"))
    );
    assert_eq!(listener.ended(), None);
    assert!(proxy.runs(), "{}", proxy.log());
}

/// Connections, those of clients, listeners so far, listeners, clients: what has been added.
fn grown(before: &str, after: &str) -> (u64, u64, u64, u64, u64) {
    let of = |name: &str| number(after, name).saturating_sub(number(before, name));
    (
        of("<connections>"),
        of("<client_connections>"),
        of("<listener_connections>"),
        of("<listeners>"),
        of("<clients>"),
    )
}

/// `total_bytes_sent` of a mount.
fn sent(stats: &str, mount: &str) -> u64 {
    let (_, source) = stats
        .split_once(&format!("<source mount=\"{mount}\">"))
        .expect(mount);
    let (source, _) = source.split_once("</source>").expect(mount);
    number(source, "<total_bytes_sent>")
}
