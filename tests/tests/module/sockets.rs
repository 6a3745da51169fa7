//! Where it listens: several sockets, both families, TLS, and the port beside one for Shoutcast's sources.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use icecast_ext_tests::tls::Authority;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

/// Everything it listens on, by name; ports have no number.
fn listening(icecast: &Icecast, names: &[(&str, u16)]) -> String {
    let process = icecast.id().unwrap();
    let mut own = BTreeSet::new();
    for entry in std::fs::read_dir(format!("/proc/{process}/fd")).unwrap() {
        let link = std::fs::read_link(entry.unwrap().path()).unwrap_or_default();
        if let Some(inode) = link.to_str().and_then(|link| link.strip_prefix("socket:[")) {
            own.insert(inode.trim_end_matches(']').to_owned());
        }
    }
    let mut out = BTreeSet::new();
    for family in ["tcp", "tcp6"] {
        let table = std::fs::read_to_string(format!("/proc/{process}/net/{family}")).unwrap();
        for line in table.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            if fields[3] != "0A" || !own.contains(fields[9]) {
                continue;
            }
            let (address, port) = fields[1].split_once(':').unwrap();
            let port = u16::from_str_radix(port, 16).unwrap();
            let name = names.iter().find(|(_, each)| *each == port);
            out.insert(format!("{address} {}", name.map_or("?", |(name, _)| name)));
        }
    }
    out.into_iter().collect::<Vec<_>>().join("\n")
}

async fn connects(ip: impl Into<IpAddr>, port: u16) -> String {
    match TcpStream::connect((ip.into(), port)).await {
        Ok(_) => "connected".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_socket_serves_the_same() {
    twice("several sockets, IPv6", async |run| {
        let setup = Setup {
            sockets: vec![
                Socket::at(Ipv6Addr::LOCALHOST),
                Socket::at(Ipv4Addr::new(127, 0, 0, 2)),
                Socket::default(),
            ],
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let [six, two, any] = icecast.sockets() else {
            panic!()
        };
        let main = icecast.addr();
        let mut seen = Seen::new();
        let names = [
            ("main", main.port()),
            ("six", six.port()),
            ("two", two.port()),
            ("any", any.port()),
        ];
        seen.is("listening", listening(&icecast, &names));
        let _a = Air::at(*six, "/a.mp3", 1).await;
        let _b = Air::at(*any, "/b.mp3", 2).await;
        icecast.wait_mount("/a.mp3").await;
        icecast.wait_mount("/b.mp3").await;
        let three = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 3), any.port()));
        let ways = [
            ("main", main),
            ("six", *six),
            ("two", *two),
            ("any", *any),
            ("any, 3", three),
        ];
        let taps = ways.map(|(_, addr)| async move {
            let open = |path| Tap::open(addr, path, &[]);
            let (first, second) = tokio::join!(open("/a.mp3"), open("/b.mp3"));
            (first.unwrap(), second.unwrap())
        });
        for ((name, _), (first, second)) in ways.iter().zip(join_all(taps).await) {
            first.wait_len(2 * RATE, SOON).await;
            second.wait_len(2 * RATE, SOON).await;
            seen.is(*name, format!("{} {}", heard(&first), heard(&second)));
            seen.is(format!("{name}: head"), seen::live(&first.head));
        }
        seen.is(
            "six by IPv4",
            connects(Ipv4Addr::LOCALHOST, six.port()).await,
        );
        seen.is(
            "main by another address",
            connects(Ipv4Addr::new(127, 0, 0, 2), main.port()).await,
        );
        seen.is(
            "any by IPv6",
            connects(Ipv6Addr::LOCALHOST, any.port()).await,
        );
        seen.is(
            "source's address",
            admin::stat(&icecast, "/a.mp3", "source_ip").await,
        );
        seen.in_short("4 sockets, 5 ways in");
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_what_it_was() {
    twice("TLS", async |run| {
        let authority = Authority::new().unwrap();
        let issued = authority.issue("server", &["radio.example"]).unwrap();
        let pem = [
            std::fs::read(&issued.key).unwrap(),
            std::fs::read(&issued.chain).unwrap(),
        ]
        .concat();
        let setup = Setup {
            sockets: vec![Socket {
                ssl: true,
                ..Socket::at(Ipv4Addr::LOCALHOST)
            }],
            paths: "<ssl-certificate>{dir}/server.pem</ssl-certificate>".to_owned(),
            files: vec![
                ("server.pem".to_owned(), pem),
                ("web/file.mp3".to_owned(), marked::bytes(7, 0, 200_000)),
            ],
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let secure = icecast.sockets()[0];
        let a = air(&icecast, "/a.mp3", 1).await;
        let connect = async || authority.connect(secure, "radio.example").await.unwrap();
        // A source that comes over TLS itself.
        let mut source = connect().await;
        source
            .write_all(
                Method::Source
                    .head(secure, "/s.mp3", "audio/mpeg", PASSWORD)
                    .as_bytes(),
            )
            .await
            .unwrap();
        let mut answer = [0; 12];
        source.read_exact(&mut answer).await.unwrap();
        let mut seen = Seen::new();
        seen.is("source's answer", String::from_utf8_lossy(&answer));
        source
            .write_all(&marked::bytes(2, 0, 300_000))
            .await
            .unwrap();
        icecast.wait_mount("/s.mp3").await;

        let open = async |path: &str, fields: &'static [(&'static str, &'static str)]| {
            authority
                .tap(secure, "radio.example", path, fields)
                .await
                .unwrap()
        };
        let taps = [
            open("/a.mp3", &[]).await,
            open("/a.mp3", &[("Icy-MetaData", "1")]).await,
            Tap::open(icecast.addr(), "/a.mp3", &[]).await.unwrap(),
        ];
        for tap in &taps {
            seen.is("head", seen::live(&tap.head));
            a.reaches(tap).await;
            tap.wait_len(2 * RATE, SOON).await;
            seen.is("streams", heard(tap));
        }
        let of_source = open("/s.mp3", &[]).await;
        of_source.wait_len(60_000, SOON).await;
        seen.is("streams of the secure source", heard(&of_source));
        for path in ["/file.mp3", "/status-json.xsl", "/none"] {
            let tap = open(path, &[]).await;
            tap.wait_end(SOON).await;
            let answer = Answer {
                head: tap.head.clone(),
                body: tap.body(),
            };
            seen.is(path, seen::plain(&seen::whole(&answer), &icecast));
            seen.is(format!("{path}: file"), order(&pieces(&answer.body)));
        }
        let plain = http::get(secure, "/a.mp3", &[]).await;
        seen.is("without TLS", plain.is_ok());
        let id = admin::clients(&icecast, "/a.mp3").await;
        seen.is("list", id);
        seen.in_short(format!("heard {}, {}", heard(&taps[0]), heard(&of_source)));
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shoutcast_sources_are_taken_on_the_next_port() {
    twice("Shoutcast sources", async |run| {
        let setup = Setup {
            sockets: vec![Socket {
                shoutcast: Some("/sc.mp3".to_owned()),
                ..Socket::at(Ipv4Addr::LOCALHOST)
            }],
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let port = icecast.sockets()[0];
        let next = SocketAddr::new(port.ip(), port.port() + 1);
        let mut seen = Seen::new();
        let names = [
            ("main", icecast.addr().port()),
            ("port", port.port()),
            ("next", next.port()),
        ];
        seen.is("listening", listening(&icecast, &names));
        for (name, addr, line) in [
            ("wrong password", next, "wrong\r\n"),
            (
                "password on the first port",
                port,
                "hackme\r\nicy-name:x\r\n\r\n",
            ),
            (
                "a request on the next port",
                next,
                "GET /status-json.xsl HTTP/1.0\r\n\r\n",
            ),
        ] {
            let answer = http::exchange(addr, line.as_bytes(), Duration::from_secs(2))
                .await
                .unwrap();
            let text = String::from_utf8_lossy(&answer).into_owned();
            seen.is(
                name,
                seen::plain(text.lines().next().unwrap_or("nothing"), &icecast),
            );
        }
        let mut source = TcpStream::connect(next).await.unwrap();
        source
            .write_all(format!("{PASSWORD}\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") && source.read_buf(&mut answer).await.unwrap() > 0 {}
        seen.is("answer", format!("{:?}", String::from_utf8_lossy(&answer)));
        let head = "icy-name:Old\r\nicy-genre:any\r\nicy-url:http://a.example/\r\nicy-pub:0\r\n\
                    icy-br:128\r\ncontent-type:audio/mpeg\r\n\r\n";
        source.write_all(head.as_bytes()).await.unwrap();
        // What comes together with the head is lost.
        icecast.wait_mount("/sc.mp3").await;
        source
            .write_all(&marked::bytes(1, 0, 150_000))
            .await
            .unwrap();
        let tap = hear_with(&icecast, "/sc.mp3", &[("Icy-MetaData", "1")]).await;
        let update = format!("/admin.cgi?pass={PASSWORD}&mode=updinfo&song=Old%20song");
        let answer = http::get(port, &update, &[("User-Agent", "Mozilla")])
            .await
            .unwrap();
        seen.is(
            "title's answer",
            format!("{}{}", seen::whole(&answer), answer.text()),
        );
        source
            .write_all(&marked::bytes(1, 150_000, 100_000))
            .await
            .unwrap();
        wait_for("the title", SOON, || {
            tap.titles()
                .iter()
                .any(|block| block.title() == Some("Old song"))
        })
        .await;
        let all = || pieces(&tap.audio()).last().map(|last| last.to);
        wait_for("all of it", SOON, || {
            all() == Some(250_000 - 250_000 % air::BLOCK)
        })
        .await;
        seen.is("head", seen::live(&tap.head));
        seen.is("streams", heard(&tap));
        admin::wait_stat(&icecast, "/sc.mp3", "title", "Old song").await;
        seen.is("stats", admin::stats(&icecast, 1).await);
        drop(source);
        seen.is("end", format!("{:?}", tap.wait_end(SOON).await));
        seen.in_short(format!("heard {}, with a title", heard(&tap)));
        run.end(icecast, seen)
    })
    .await;
}
