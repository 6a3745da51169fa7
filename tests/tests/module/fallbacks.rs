//! Listeners who are moved from one mount to another.

use icecast_ext_tests::marked::{Piece, ogg};
use icecast_ext_tests::metadata::set_title;

use super::*;
use titles::{texts, wait_text};

/// How far behind a listener may be who is moved: both servers put him at the edge, but the module sends in ticks.
const TICK: f64 = 24_000.0;

fn with_fallback(path: &str, fallback: &str) -> String {
    let elements = format!(
        "<fallback-mount>{fallback}</fallback-mount><fallback-override>1</fallback-override>"
    );
    mount(path, &elements)
}

/// What is left of a stream that has ended, behind what a listener has heard of it.
fn left(tap: &Tap, number: u8, sent: u64) -> String {
    match sent - air::piece(tap, number).to {
        0..air::BLOCK => "less than a block".to_owned(),
        more => format!("{more} bytes"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_fall_back_and_are_called_back() {
    twice("fallback-override", async |run| {
        let icecast = run.icecast(&with_fallback("/a.mp3", "/b.mp3")).await;
        let b = air(&icecast, "/b.mp3", 2).await;
        let a = air(&icecast, "/a.mp3", 1).await;
        let plain = hear(&icecast, "/a.mp3").await;
        let icy = hear_with(&icecast, "/a.mp3", &[("Icy-MetaData", "1")]).await;
        let native = hear(&icecast, "/b.mp3").await;
        for (mount, title) in [("/b.mp3", "B"), ("/a.mp3", "A")] {
            set_title(icecast.addr(), mount, title).await.unwrap();
        }
        wait_text(&icy, "'A'").await;
        plain.wait_more(RATE, SOON).await;
        let mut seen = Seen::new();
        let sent = a.end();
        for (name, tap) in [("plain", &plain), ("icy", &icy)] {
            seen.about(
                format!("{name}: behind when moved"),
                b.reaches(tap).await as f64,
                TICK,
            );
            seen.is(
                format!("{name}: not heard of the first"),
                left(tap, 1, sent),
            );
        }
        plain.wait_more(RATE, SOON).await;
        admin::wait_listeners(&icecast, "/b.mp3", 3).await;
        wait_text(&icy, "'B'").await;
        let c = air(&icecast, "/a.mp3", 3).await;
        for (name, tap) in [("plain", &plain), ("icy", &icy)] {
            seen.about(
                format!("{name}: behind when called back"),
                c.reaches(tap).await as f64,
                TICK,
            );
        }
        plain.wait_more(RATE, SOON).await;
        native.wait_more(RATE, SOON).await;
        admin::wait_listeners(&icecast, "/a.mp3", 3).await;
        for (name, tap) in [("plain", &plain), ("icy", &icy), ("native", &native)] {
            seen.is(format!("{name}: streams"), heard(tap));
        }
        set_title(icecast.addr(), "/a.mp3", "C").await.unwrap();
        wait_text(&icy, "'C'").await;
        let from_a = texts(&icy)
            .into_iter()
            .skip_while(|text| !text.contains("'A'"));
        seen.is("titles", from_a.collect::<Vec<_>>().join("\n"));
        seen.in_short(format!("heard {}; {}", heard(&plain), heard(&icy)));
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ogg_listeners_fall_back_and_are_called_back() {
    twice("fallback-override, Opus", async |run| {
        let icecast = run.icecast(&with_fallback("/a.opus", "/b.opus")).await;
        let _b = opus(&icecast, "/b.opus", 2).await;
        let a = opus(&icecast, "/a.opus", 1).await;
        let tap = hear(&icecast, "/a.opus").await;
        tap.wait_more(2 * RATE, SOON).await;
        drop(a);
        let on_air = |number: u8| {
            let tap = &tap;
            async move {
                wait_for(&format!("stream {number}"), SOON, || {
                    pages(tap)
                        .last()
                        .is_some_and(|last| last.stream == number && last.to > ogg::HEADERS)
                })
                .await;
                tap.wait_more(RATE, SOON).await;
            }
        };
        on_air(2).await;
        let _a = opus(&icecast, "/a.opus", 3).await;
        on_air(3).await;
        let mut seen = Seen::new();
        seen.is("head", seen::live(&tap.head));
        seen.is("streams", ogg_order(&pages(&tap)));
        seen.in_short(format!("heard {}", ogg_order(&pages(&tap))));
        run.end(icecast, seen)
    })
    .await;
}

fn pages(tap: &Tap) -> Vec<Piece> {
    ogg::pieces(&tap.body())
}

/// As [`order`], where `h` says that a piece is headers only.
fn ogg_order(pieces: &[Piece]) -> String {
    let name = |piece: &Piece| match piece.to {
        ogg::HEADERS => format!("{}h", piece.stream),
        _ => piece.stream.to_string(),
    };
    pieces.iter().map(name).collect::<Vec<_>>().join(" ")
}

/// A source of Ogg pages.
async fn opus(icecast: &Icecast, mount: &str, number: u8) -> Streaming {
    let source = Source::open(
        icecast.addr(),
        mount,
        Method::Source,
        "application/ogg",
        PASSWORD,
    );
    let mut source = source.await.unwrap();
    assert_eq!(source.head.status, 200);
    let (mut next, mut ready) = (0, Vec::new());
    let mut pages = move |len: usize| -> Vec<u8> {
        while ready.len() < len {
            ready.extend(ogg::page(number, next));
            next += 1;
        }
        ready.drain(..len).collect()
    };
    source.send(&pages(2 * RATE)).await.unwrap();
    let streaming = source.stream(RATE, move |_, len| pages(len));
    icecast.wait_mount(mount).await;
    streaming
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_fall_back_to_a_file() {
    twice("fallback to a file", async |run| {
        let setup = Setup {
            more: with_fallback("/a.mp3", "/file.mp3"),
            files: vec![("web/file.mp3".to_owned(), marked::bytes(7, 0, 50_000))],
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let a = air(&icecast, "/a.mp3", 1).await;
        let tap = hear(&icecast, "/a.mp3").await;
        tap.wait_more(RATE, SOON).await;
        let mut seen = Seen::new();
        let sent = a.end();
        let is_file = |piece: &&Piece| piece.stream == 7;
        // Over and over again.
        wait_for("the file, twice", SOON, || {
            pieces(&tap.audio()).iter().filter(is_file).count() > 2
        })
        .await;
        seen.is("not heard of the first", left(&tap, 1, sent));
        let c = air(&icecast, "/a.mp3", 3).await;
        seen.about(
            "behind when called back",
            c.reaches(&tap).await as f64,
            TICK,
        );
        tap.wait_more(RATE, SOON).await;
        let all = pieces(&tap.audio());
        let mut order: Vec<_> = all.iter().map(|piece| piece.stream).collect();
        order.dedup();
        seen.is("streams", format!("{order:?}"));
        let file: Vec<_> = all.iter().filter(is_file).collect();
        seen.is("file, first time", format!("{:?}", file[0]));
        seen.is("file, second time", format!("{:?}", file[1]));
        seen.in_short(format!("heard {order:?}"));
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_path_leads_to_the_default_mount() {
    twice("default mount", async |run| {
        let default = "<mount type=\"default\"><fallback-mount>/a.mp3</fallback-mount>\
                       <fallback-override>1</fallback-override></mount>";
        let icecast = run.icecast(default).await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let tap = hear(&icecast, "/any/where.mp3").await;
        tap.wait_more(RATE, SOON).await;
        let mut seen = Seen::new();
        seen.is("head", seen::live(&tap.head));
        let c = air(&icecast, "/any/where.mp3", 3).await;
        seen.about(
            "behind when called back",
            c.reaches(&tap).await as f64,
            TICK,
        );
        tap.wait_more(RATE, SOON).await;
        seen.is("streams", heard(&tap));
        seen.in_short(format!("heard {}", heard(&tap)));
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_a_mount_full_gets_its_fallback() {
    twice("fallback-when-full", async |run| {
        let full = "<max-listeners>1</max-listeners><fallback-mount>/b.mp3</fallback-mount>\
                    <fallback-when-full>1</fallback-when-full>";
        let icecast = run.icecast(&mount("/a.mp3", full)).await;
        let _b = air(&icecast, "/b.mp3", 2).await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let first = hear(&icecast, "/a.mp3").await;
        admin::wait_listeners(&icecast, "/a.mp3", 1).await;
        let second = hear(&icecast, "/a.mp3").await;
        second.wait_more(RATE, SOON).await;
        let mut seen = Seen::new();
        seen.is("first", heard(&first));
        seen.is("second", heard(&second));
        drop(first);
        admin::wait_listeners(&icecast, "/a.mp3", 0).await;
        let third = hear(&icecast, "/a.mp3").await;
        third.wait_more(RATE, SOON).await;
        seen.is("third", heard(&third));
        seen.is("second, still", heard(&second));
        seen.in_short(format!(
            "heard {}, {}, {}",
            1,
            heard(&second),
            heard(&third)
        ));
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fallback_listeners_end_with_their_source() {
    twice("source ends", async |run| {
        let icecast = run.icecast("").await;
        let a = air(&icecast, "/a.mp3", 1).await;
        let taps = [
            hear(&icecast, "/a.mp3").await,
            hear_with(&icecast, "/a.mp3", &[("Icy-MetaData", "1")]).await,
        ];
        taps[0].wait_more(RATE, SOON).await;
        let mut seen = Seen::new();
        let at = Instant::now();
        let sent = a.end();
        for tap in &taps {
            seen.is("end", format!("{:?}", tap.wait_end(SOON).await));
            seen.is("streams", heard(tap));
            seen.is("not heard", left(tap, 1, sent));
        }
        seen.takes("to the end", at.elapsed(), 1.0);
        let after = http::get(icecast.addr(), "/a.mp3", &[]).await.unwrap();
        seen.is("afterwards", seen::whole(&after));
        seen.in_short(format!(
            "heard {}, then {}",
            heard(&taps[0]),
            after.head.status
        ));
        run.end(icecast, seen)
    })
    .await;
}
