//! Whoever reads the statistics through the proxy reads what he would have read had everybody come to Icecast.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use icecast_ext_tests::http::{self, Answer, basic};
use icecast_ext_tests::icecast::{self, Icecast, PASSWORD};
use icecast_ext_tests::metadata::set_title;
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::source::Streaming;
use icecast_ext_tests::stage::noise;
use icecast_ext_tests::tap::{End, Tap};
use icecast_ext_tests::truth::{find, first_difference};
use icecast_ext_tests::upstream::{Script, Upstream};
use icecast_ext_tests::wait::{wait_for, wait_until};

const SOON: Duration = Duration::from_secs(15);
const HOSTILE: &str = "a<b>&\"'é]]>&#x41;\\";

/// Icecast with two mounts and one that wants a password.
struct Server {
    icecast: Icecast,
    sources: Vec<Streaming>,
}

async fn server() -> Server {
    let more = "<mount type=\"normal\"><mount-name>/a.mp3</mount-name><stream-name>A &lt;&amp;&gt; \"name\"</stream-name></mount>";
    let icecast = Icecast::with(icecast::Setup {
        more: more.into(),
        ..icecast::Setup::default()
    });
    let icecast = icecast.await.expect("icecast starts");
    let mut sources = Vec::new();
    for (seed, mount) in (7..).zip(["/a.mp3", "/b.mp3"]) {
        sources.push(noise(icecast.addr(), mount, seed).await.expect("a source"));
        icecast.wait_mount(mount).await;
    }
    // Text that every format has to escape.
    set_title(icecast.addr(), "/a.mp3", HOSTILE)
        .await
        .expect("a title");
    Server { icecast, sources }
}

/// A request of a listener.
fn listener(mount: &str, agent: &str, icy: bool) -> Vec<u8> {
    let agent = if agent.is_empty() {
        String::new()
    } else {
        format!("User-Agent: {agent}\r\n")
    };
    let icy = if icy { "Icy-MetaData: 1\r\n" } else { "" };
    format!("GET {mount} HTTP/1.1\r\nHost: radio.example:8000\r\n{agent}{icy}\r\n").into_bytes()
}

/// A listener at one of our addresses.
async fn from(host: u8, addr: SocketAddr, request: &[u8]) -> anyhow::Result<Tap> {
    let local = Ipv4Addr::new(127, 0, 0, host);
    Tap::on(http::connect_from(local, addr).await?, request).await
}

/// Five at one mount and two at the other; two of them are one for who counts addresses and agents.
async fn audience(addr: SocketAddr) -> Vec<Tap> {
    let mut taps = Vec::new();
    for (mount, agent, icy, host) in [
        ("/a.mp3", "plain/1.0", false, 2),
        ("/a.mp3", "VLC/3.0.18 LibVLC/3.0.18", true, 3),
        ("/a.mp3", HOSTILE, true, 4),
        ("/a.mp3", "", false, 5),
        ("/a.mp3", "plain/1.0", false, 2),
        ("/b.mp3", "listeners", false, 2),
        ("/b.mp3", "AppleCoreMedia/1.0.0", true, 6),
    ] {
        let tap = from(host, addr, &listener(mount, agent, icy))
            .await
            .expect("a listener");
        assert_eq!(tap.head.status, 200, "{mount} {agent}");
        taps.push(tap);
    }
    taps
}

async fn admin(addr: SocketAddr, target: &str) -> Answer {
    let auth = basic("admin", PASSWORD);
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: radio.example:8000\r\nAccept-Encoding: gzip\r\nAuthorization: {auth}\r\n\r\n"
    );
    http::raw(addr, request.as_bytes()).await.expect(target)
}

/// What stands between two words, wherever they are.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let parts = text.split(before).skip(1);
    parts
        .map(|part| part.split(after).next().unwrap_or_default())
        .collect()
}

fn number(text: &str, before: &str) -> u64 {
    let found = between(text, before, "<");
    found
        .first()
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{before} in {text}"))
}

/// The counts of a mount in `/admin/stats`: listeners and peak.
fn counts(stats: &str, mount: &str) -> (u64, u64) {
    let xml = roxmltree::Document::parse(stats).expect("well-formed");
    let source = xml
        .descendants()
        .find(|node| node.attribute("mount") == Some(mount))
        .expect(mount);
    let count = |name: &str| {
        let node = source
            .children()
            .find(|node| node.has_tag_name(name))
            .expect(name);
        node.text().expect(name).parse().expect(name)
    };
    (count("listeners"), count("listener_peak"))
}

async fn listening(addr: SocketAddr, a: u64, b: u64) {
    wait_until(&format!("{a} and {b} listeners"), SOON, || async {
        let stats = admin(addr, "/admin/stats").await.text();
        (counts(&stats, "/a.mp3").0 == a && counts(&stats, "/b.mp3").0 == b).then_some(())
    })
    .await;
}

/// Ids and times are not compared; nor are bytes sent (heads differ) and requests made (their sums are compared apart).
fn comparable(text: &str) -> String {
    let mut text = text.to_owned();
    for (before, after) in [
        ("<ID>", "<"),
        ("&amp;id=", "\""),
        ("<Connected>", "<"),
        ("start>", "<"),
        ("start_iso8601>", "<"),
        ("start\":\"", "\""),
        ("start_iso8601\":\"", "\""),
        ("started:</td><td class=\"streamstats\">", "<"),
        ("<total_bytes_read>", "<"),
        ("<total_bytes_sent>", "<"),
        ("client_connections>", "<"),
        ("<connections>", "<"),
        ("<clients>", "<"),
    ] {
        for value in between(&text.clone(), before, after) {
            text = text.replacen(
                &format!("{before}{value}{after}"),
                &format!("{before}#{after}"),
                1,
            );
        }
    }
    // The same on pages: a name in one cell, the value in the next, and seconds between an address and an agent.
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let cell = line
            .trim()
            .strip_prefix("<td>")
            .and_then(|line| line.strip_suffix("</td>"));
        let before = lines
            .last()
            .map(|line| line.trim().to_owned())
            .unwrap_or_default();
        let named = [
            "connections</td>",
            "clients</td>",
            "start</td>",
            "start_iso8601</td>",
            "total_bytes_read</td>",
            "total_bytes_sent</td>",
        ];
        let seconds = before.starts_with("<td>127.0.0.") || before == ")</td>";
        let masked = cell.is_some() && (seconds || named.iter().any(|name| before.ends_with(name)));
        lines.push(if masked {
            "<td>#</td>".to_owned()
        } else {
            line.to_owned()
        });
    }
    lines.join("\n")
}

/// As AzuraCast's library reads it: the listeners of a mount, and the clients that differ in address or agent.
async fn azuracast(addr: SocketAddr, mount: &str) -> (u64, BTreeSet<(String, String)>, usize) {
    let stats = admin(addr, "/admin/stats").await.text();
    let clients = admin(addr, &format!("/admin/listclients?mount={mount}"))
        .await
        .text();
    let xml = roxmltree::Document::parse(&clients).expect("well-formed");
    let mut unique = BTreeSet::new();
    let mut rows = 0;
    for listener in xml
        .descendants()
        .filter(|node| node.has_tag_name("listener"))
    {
        let of = |name: &str| {
            listener
                .children()
                .find(|node| node.has_tag_name(name))
                .and_then(|node| node.text())
                .unwrap_or_default()
                .to_owned()
        };
        assert!(
            of("ID").parse::<u64>().is_ok() && of("Connected").parse::<u64>().is_ok(),
            "{clients}"
        );
        unique.insert((of("IP"), of("UserAgent")));
        rows += 1;
    }
    (counts(&stats, mount).0, unique, rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_listeners_make_the_same_documents_direct_and_through_the_proxy() {
    let (direct, behind) = (server().await, server().await);
    let proxy = Proxy::start(behind.icecast.addr())
        .await
        .expect("the proxy starts");
    let (one, other) = (direct.icecast.addr(), proxy.addr());
    let before = (
        admin(one, "/admin/stats").await.text(),
        admin(other, "/admin/stats").await.text(),
    );
    let _listeners = (audience(one).await, audience(other).await);
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
    // What the servers counted since then, but for requests that are counted while they are answered.
    let after = (
        admin(one, "/admin/stats").await.text(),
        admin(other, "/admin/stats").await.text(),
    );
    let (stock, through) = (grown(&before.0, &after.0), grown(&before.1, &after.1));
    for (name, stock, through) in [
        ("connections", stock.0, through.0),
        ("client_connections", stock.1, through.1),
    ] {
        // `wait_until` may have asked one of them more often.
        assert!(
            through.abs_diff(stock) <= 40,
            "{name}: {stock} at Icecast, {through} through the proxy"
        );
    }
    assert_eq!((through.2, through.3), (stock.2, stock.3));
    assert!(
        stock.2 == 7 && through.4.abs_diff(stock.4) <= 2,
        "{stock:?} {through:?}"
    );
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

/// The ids of a mount's listeners by their agents.
async fn ids(addr: SocketAddr, mount: &str) -> Vec<(String, String)> {
    let list = admin(addr, &format!("/admin/listclients?mount={mount}"))
        .await
        .text();
    let xml = roxmltree::Document::parse(&list).expect("well-formed");
    let rows = xml
        .descendants()
        .filter(|node| node.has_tag_name("listener"));
    rows.map(|row| {
        let of = |name: &str| {
            row.children()
                .find(|node| node.has_tag_name(name))
                .and_then(|node| node.text())
                .unwrap_or_default()
                .to_owned()
        };
        (of("UserAgent"), of("ID"))
    })
    .collect()
}

async fn id_of(addr: SocketAddr, mount: &str, agent: &str) -> String {
    let ids = ids(addr, mount).await;
    ids.iter()
        .find(|(other, _)| other == agent)
        .unwrap_or_else(|| panic!("{agent} in {ids:?}"))
        .1
        .clone()
}

async fn open(addr: SocketAddr, mount: &str, agent: &str, fields: &[(&str, &str)]) -> Tap {
    let fields: Vec<_> = fields
        .iter()
        .copied()
        .chain([("User-Agent", agent)])
        .collect();
    let tap = Tap::open(addr, mount, &fields).await.expect("a listener");
    assert_eq!(tap.head.status, 200, "{agent}");
    tap
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_killed_goes_and_nobody_else() {
    let server = server().await;
    let proxy = Proxy::start(server.icecast.addr())
        .await
        .expect("the proxy starts");
    let (icecast, proxied) = (server.icecast.addr(), proxy.addr());
    let first = open(proxied, "/a.mp3", "first", &[]).await;
    let second = open(proxied, "/a.mp3", "second", &[]).await;
    let direct = open(icecast, "/a.mp3", "direct", &[]).await;
    let kept = open(icecast, "/a.mp3", "kept", &[]).await;
    let elsewhere = open(proxied, "/b.mp3", "elsewhere", &[]).await;
    // Everybody once, wherever he listens.
    listening(proxied, 4, 1).await;
    let mut agents: Vec<String> = ids(proxied, "/a.mp3")
        .await
        .into_iter()
        .map(|(agent, _)| agent)
        .collect();
    agents.sort();
    assert_eq!(agents, ["direct", "first", "kept", "second"]);
    let id = id_of(proxied, "/a.mp3", "second").await;
    let kill = |mount: &str, id: &str, auth: Option<String>| {
        let auth = auth.map_or_else(String::new, |auth| format!("Authorization: {auth}\r\n"));
        let request = format!(
            "GET /admin/killclient?mount={mount}&id={id} HTTP/1.1\r\nHost: x\r\n{auth}\r\n"
        );
        async move {
            http::raw(proxied, request.as_bytes())
                .await
                .expect("an answer")
        }
    };
    let right = || Some(basic("admin", PASSWORD));
    // No right, another mount, another number that Icecast would read as one of its own: nobody goes.
    for auth in [
        None,
        Some(basic("admin", "wrong")),
        Some(basic("source", "wrong")),
    ] {
        let answer = kill("/a.mp3", &id, auth).await;
        assert_eq!(
            (answer.head.status, answer.head.get("WWW-Authenticate")),
            (401, Some("Basic realm=\"Icecast2 Server\""))
        );
    }
    let refused = kill("/none.mp3", &id, right()).await;
    assert_eq!(refused.head.status, 400, "{}", refused.text());
    let stock = id_of(proxied, "/a.mp3", "kept").await;
    let wrapped = (stock.parse::<u64>().expect("an id") + (1 << 32)).to_string();
    for (mount, id) in [
        ("/b.mp3", id.as_str()),
        ("/a.mp3", wrapped.as_str()),
        ("/a.mp3", "1000999999"),
    ] {
        let answer = kill(mount, id, right()).await.text();
        assert!(
            answer.contains(&format!(
                "<message>Client {id} not found</message><return>0</return>"
            )),
            "{answer}"
        );
    }
    let twice = kill("/a.mp3", &format!("{id}&id=1"), right()).await;
    assert_eq!(twice.head.status, 400, "{}", twice.text());
    assert_eq!(
        [&first, &second, &direct, &kept, &elsewhere].map(Tap::ended),
        [None; 5]
    );
    // A source's password is enough for its own mount, as it is at Icecast.
    let answer = kill("/a.mp3", &id, Some(basic("source", PASSWORD)))
        .await
        .text();
    let removed = |id: &str| {
        format!(
            "<?xml version=\"1.0\"?>\n<iceresponse><message>Client {id} removed</message><return>1</return></iceresponse>\n"
        )
    };
    assert_eq!(answer, removed(&id));
    assert_eq!(second.wait_end(SOON).await, End::Fin);
    let id = id_of(proxied, "/a.mp3", "direct").await;
    assert_eq!(kill("/a.mp3", &id, right()).await.text(), removed(&id));
    direct.wait_end(SOON).await;
    listening(proxied, 2, 1).await;
    for tap in [&first, &kept, &elsewhere] {
        assert_eq!(tap.ended(), None);
        tap.wait_more(8000, SOON).await;
    }
    let page = admin(
        proxied,
        &format!(
            "/admin/killclient.xsl?mount=/b.mp3&id={}",
            id_of(proxied, "/b.mp3", "elsewhere").await
        ),
    )
    .await
    .text();
    assert!(
        page.contains("removed</p>") && page.contains("<p>Return Code: 1</p>"),
        "{page}"
    );
    elsewhere.wait_end(SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_whom_icecast_judges_is_listed_once_and_where_it_is() {
    let more = "<mount type=\"normal\"><mount-name>/p.mp3</mount-name><authentication type=\"htpasswd\"><option name=\"filename\" value=\"{dir}/users\"/></authentication></mount>";
    let icecast = Icecast::with(icecast::Setup {
        more: more.into(),
        ..icecast::Setup::default()
    });
    let icecast = icecast.await.expect("icecast starts");
    // A user may be there once.
    let users = "bob:5ebe2294ecd0e0f08eab7690d2a6ee69\npull:5ebe2294ecd0e0f08eab7690d2a6ee69\n";
    std::fs::write(icecast.file("users"), users).expect("a file");
    let _source = noise(icecast.addr(), "/p.mp3", 9).await.expect("a source");
    icecast.wait_mount("/p.mp3").await;
    let proxy = Proxy::with(proxy::Setup {
        config: "[mount.\"/p.mp3\"]\npull-credentials = \"pull:secret\"\n".into(),
        ..proxy::Setup::before(icecast.addr())
    });
    let proxy = proxy.await.expect("the proxy starts");
    let request = format!(
        "GET /p.mp3 HTTP/1.1\r\nHost: x\r\nUser-Agent: shadowed\r\nAuthorization: {}\r\n\r\n",
        basic("bob", "secret")
    );
    let tap = from(7, proxy.addr(), request.as_bytes());
    let tap = tap.await.expect("a listener");
    assert_eq!(tap.head.status, 200);
    tap.wait_more(8000, SOON).await;
    let list = wait_until("the listener", SOON, || async {
        let list = admin(proxy.addr(), "/admin/listclients?mount=/p.mp3").await;
        list.text().contains("shadowed").then(|| list.text())
    })
    .await;
    let rows = between(&list, "<listener>", "</listener>");
    assert_eq!(rows.len(), 1, "{list}");
    assert!(
        rows[0].starts_with("<IP>127.0.0.7</IP><UserAgent>shadowed<"),
        "{list}"
    );
    assert!(rows[0].ends_with("<username>bob</username>"), "{list}");
    assert!(list.contains("<Listeners>1<"), "{list}");
    wait_until("one listener", SOON, || async {
        let stats = admin(proxy.addr(), "/admin/stats").await.text();
        (counts(&stats, "/p.mp3") == (1, 1)).then_some(())
    })
    .await;
    let page = admin(proxy.addr(), "/admin/listclients.xsl?mount=/p.mp3").await;
    assert!(page.text().contains("<td>127.0.0.7"), "{}", page.text());
    let id = id_of(proxy.addr(), "/p.mp3", "shadowed").await;
    let killed = admin(
        proxy.addr(),
        &format!("/admin/killclient?mount=/p.mp3&id={id}"),
    )
    .await;
    assert!(
        killed.text().contains("<return>1</return>"),
        "{}",
        killed.text()
    );
    tap.wait_end(SOON).await;
}

/// Where `body` leaves `from` for `to`: a slice of the one, then a slice of the other.
fn changeover(body: &[u8], from: &[u8], to: &[u8]) {
    let start = find(from, &body[..256]).expect("begins in the first mount");
    let same = first_difference(&from[start..], body);
    assert!(same < body.len(), "it is in the first mount still");
    let there =
        find(to, &body[same..(same + 256).min(body.len())]).expect("goes on in the second mount");
    assert_eq!(
        first_difference(&to[there..], &body[same..]),
        body.len() - same,
        "a slice of the second"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_move_and_no_byte_of_one_mount_is_taken_for_another() {
    let server = server().await;
    let proxy = Proxy::start(server.icecast.addr())
        .await
        .expect("the proxy starts");
    let (icecast, proxied) = (server.icecast.addr(), proxy.addr());
    let ours = open(proxied, "/a.mp3", "ours", &[]).await;
    let icy = open(proxied, "/a.mp3", "icy", &[("Icy-MetaData", "1")]).await;
    let aware = open(proxied, "/a.mp3", "aware", &[("Resume-Offset", "live")]).await;
    let direct = open(icecast, "/a.mp3", "direct", &[]).await;
    let stays = open(proxied, "/b.mp3", "stays", &[]).await;
    listening(proxied, 4, 1).await;
    let target = "/admin/moveclients?mount=/a.mp3&destination=/b.mp3";
    let auth = basic("admin", "wrong");
    let refused = http::get(proxied, target, &[("Authorization", &auth)])
        .await
        .expect("an answer");
    assert_eq!(refused.head.status, 401);
    let refused = http::raw(
        proxied,
        format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").as_bytes(),
    )
    .await
    .expect("an answer");
    assert_eq!(refused.head.status, 405);
    for tap in [&ours, &icy, &aware, &direct] {
        tap.wait_more(16_000, SOON).await;
        assert_eq!(tap.ended(), None);
    }
    let answer = admin(proxied, target).await.text();
    assert_eq!(
        answer,
        "<?xml version=\"1.0\"?>\n<iceresponse><message>Clients moved from /a.mp3 to /b.mp3</message><return>1</return></iceresponse>\n"
    );
    // An aware client asks again by itself: it would take the other mount's bytes for its own.
    assert_eq!(aware.wait_end(SOON).await, End::Fin);
    listening(proxied, 0, 4).await;
    let mut agents: Vec<String> = ids(proxied, "/b.mp3")
        .await
        .into_iter()
        .map(|(agent, _)| agent)
        .collect();
    agents.sort();
    assert_eq!(agents, ["direct", "icy", "ours", "stays"]);
    // The aware one comes back to its mount, which is still the same run.
    let place = aware.head.place().expect("a place");
    let resume = place.resume(aware.audio().len() as u64);
    let again = open(proxied, "/a.mp3", "aware", &[("Resume-Offset", &resume)]).await;
    for tap in [&ours, &icy, &direct, &stays, &again] {
        tap.wait_more(48_000, SOON).await;
    }
    let heard = [ours.body(), icy.audio(), direct.body()];
    let whole = [aware.audio(), again.audio()].concat();
    let stayed = stays.body();
    let [a, b] = [server.sources[0].sent(), server.sources[1].sent()];
    for body in &heard {
        changeover(body, &a, &b);
    }
    let same = again.head.place().map(|place| place.epoch);
    assert_eq!(same, Some(place.epoch), "the same run");
    assert!(find(&a, &whole).is_some(), "one slice of its own mount");
    assert!(find(&b, &stayed).is_some(), "one slice of the other");
    // A killed id is at its new mount now.
    let id = id_of(proxied, "/b.mp3", "ours").await;
    admin(proxied, &format!("/admin/killclient?mount=/b.mp3&id={id}")).await;
    ours.wait_end(SOON).await;
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
