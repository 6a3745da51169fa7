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

mod documents;
mod forwarded;
mod orders;

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
