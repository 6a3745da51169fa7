//! What it writes down.

use icecast_ext_tests::metadata::set_title;

use super::*;

/// What a line of the access log says.
#[derive(Debug)]
struct Line {
    /// Address, user, request, status, referer, agent.
    what: String,
    bytes: f64,
    seconds: f64,
}

impl Line {
    /// `ADDRESS - USER [TIME] "REQUEST" STATUS BYTES "REFERER" "AGENT" SECONDS`
    fn parse(line: &str) -> Option<Self> {
        let (who, rest) = line.split_once(" [")?;
        let (_, rest) = rest.split_once("] \"")?;
        let parts: Vec<_> = rest.split('"').collect();
        let [request, numbers, referer, _, agent, seconds] = parts[..] else {
            return None;
        };
        let (status, bytes) = numbers.trim().split_once(' ')?;
        Some(Self {
            what: format!("{who} {request:?} {status} {referer:?} {agent:?}"),
            bytes: bytes.parse().ok()?,
            seconds: seconds.trim().parse().ok()?,
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_its_line() {
    twice("access.log", async |run| {
        let setup = Setup {
            sockets: vec![Socket::at(Ipv6Addr::LOCALHOST)],
            files: vec![("web/file.mp3".to_owned(), marked::bytes(7, 0, 50_000))],
            more: mount("/full.mp3", "<max-listeners>0</max-listeners>"),
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let a = air(&icecast, "/a.mp3", 1).await;
        let _full = air(&icecast, "/full.mp3", 2).await;
        let six = icecast.sockets()[0];
        let mut heard_bytes = Vec::new();
        let fields = |agent: &'static str| {
            let referer = ("Referer", "http://a.example/\u{e9}");
            [("User-Agent", agent), referer, ("Icy-MetaData", "1")]
        };
        // Listeners who leave after so many bytes.
        for (agent, bytes) in [("L1", 100_000), ("L2", 200_000)] {
            let (client, path) = (run.client(), "/a.mp3?a=b%20c");
            let tap = Tap::from(client, icecast.addr(), path, &fields(agent))
                .await
                .unwrap();
            tap.wait_len(bytes, SOON).await;
            heard_bytes.push((agent, tap.len() + tap.head.len));
        }
        let tap = Tap::open(six, "/a.mp3", &fields("L3 \"quoted\""))
            .await
            .unwrap();
        tap.wait_len(100_000, SOON).await;
        heard_bytes.push(("L3", tap.len() + tap.head.len));
        drop(tap);
        // Others.
        let auth = http::basic("admin", PASSWORD);
        let nothing = ("X-None", "");
        for (agent, path, field) in [
            ("O1", "/file.mp3", nothing),
            ("O2", "/none.mp3", nothing),
            ("O3", "/status.xsl", nothing),
            ("O4", "/full.mp3", nothing),
            ("O5", "/admin/stats", nothing),
            ("O6", "/admin/stats", ("Authorization", auth.as_str())),
            ("O7", "/file.mp3", ("Range", "bytes=0-99")),
        ] {
            let fields = [("User-Agent", agent), field];
            http::get(icecast.addr(), path, &fields).await.unwrap();
        }
        // Two who are there until the source ends.
        let last = Tap::from(run.client(), icecast.addr(), "/a.mp3", &fields("L4"))
            .await
            .unwrap();
        last.wait_len(150_000, SOON).await;
        drop(a);
        last.wait_end(SOON).await;
        heard_bytes.push(("L4", last.len() + last.head.len));

        let names = [
            "L1", "L2", "L3", "L4", "O1", "O2", "O3", "O4", "O5", "O6", "O7",
        ];
        let of = |name: &str| {
            let log = icecast.read("access.log");
            let line = log.lines().find(|line| line.contains(&format!("\"{name}")));
            line.and_then(Line::parse)
        };
        let mut seen = Seen::new();
        for name in names {
            let line = wait_until(&format!("{name}'s line"), SOON, async || of(name)).await;
            seen.is(name, &line.what);
            seen.about(format!("{name}: seconds"), line.seconds, 2.0);
            match heard_bytes.iter().find(|(each, _)| *each == name) {
                // The server may have sent more than was read.
                Some((_, bytes)) => {
                    let more = line.bytes - *bytes as f64;
                    seen.about(format!("{name}: bytes logged, not read"), more, 200_000.0);
                }
                None => seen.about(format!("{name}: bytes"), line.bytes, 20.0),
            }
        }
        let is_ours = |line: &&str| names.iter().any(|name| line.contains(&format!("\"{name}")));
        let count = icecast.read("access.log").lines().filter(is_ours).count();
        seen.is("lines", count);
        seen.in_short(format!("{count} lines"));
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_and_its_titles_are_written_down() {
    twice("dump-file, playlist.log", async |run| {
        let setup = Setup {
            more: mount("/a.mp3", "<dump-file>{dir}/dump</dump-file>")
                + "<logging><playlistlog>playlist.log</playlistlog></logging>",
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let a = air(&icecast, "/a.mp3", 1).await;
        let tap = hear(&icecast, "/a.mp3").await;
        for title in ["one", "two"] {
            set_title(icecast.addr(), "/a.mp3", title).await.unwrap();
            wait_for(title, SOON, || icecast.read("playlist.log").contains(title)).await;
        }
        tap.wait_more(RATE, SOON).await;
        drop(a);
        tap.wait_end(SOON).await;
        let dump = std::fs::read(icecast.file("dump")).unwrap();
        let (dump, all) = (pieces(&dump), pieces(&tap.audio()));
        let mut seen = Seen::new();
        seen.is("dumped", format!("{} from {}", order(&dump), dump[0].from));
        // The file's last bytes may still be in the server's hands.
        seen.is("all that was heard", dump[0].to + 8192 > all[0].to);
        let lines = icecast.read("playlist.log");
        seen.is("titles", seen::plain(&lines, &icecast));
        seen.in_short(format!("stream {} from {}", order(&dump), dump[0].from));
        run.end(icecast, seen)
    })
    .await;
}
