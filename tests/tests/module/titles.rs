//! Titles, as a listener gets them.

use icecast_ext_tests::metadata::set_title;

use super::*;

/// What a block says as long as nobody has set a title.
const NONE: &str = "StreamTitle='';";

/// The texts of the blocks that a listener has got, in their order. One that comes again at once says nothing: Icecast repeats
/// a title now and then, and we do not.
pub(crate) fn texts(tap: &Tap) -> Vec<String> {
    let mut texts: Vec<_> = tap.titles().into_iter().map(|title| title.text).collect();
    texts.dedup();
    texts
}

pub(crate) async fn wait_text(tap: &Tap, part: &str) {
    wait_for(&format!("a block with {part}"), SOON, || {
        texts(tap).iter().any(|text| text.contains(part))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn titles_come_in_their_order_and_once_each() {
    twice("titles", async |run| {
        let icecast = run.icecast("").await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let icy = [("Icy-MetaData", "1")];
        let before = hear_with(&icecast, "/a.mp3", &icy).await;
        before.wait_more(40_000, SOON).await;
        let updates = [
            ("song=Erster%20Titel", "'Erster Titel'"),
            ("song=%C3%9Cber%20uns&charset=UTF-8", "ber uns'"),
            ("song=%DCber%20euch&charset=ISO8859-1", "ber euch'"),
            ("artist=Jemand&title=Lied%203", "'Jemand - Lied 3'"),
            ("song=It%27s%20%26%20%3Cthis%3E%3B", "It's & <this>;'"),
            ("song=Adresse&url=http%3A%2F%2Fa.example%2F", "Adresse'"),
            ("song=", "'Jemand - '"),
            ("song=last", "last'"),
        ];
        let mut seen = Seen::new();
        for (update, title) in updates {
            let target = format!("/admin/metadata?mode=updinfo&mount=/a.mp3&{update}");
            let answer = icecast.admin(&target).await.unwrap();
            seen.is(update, format!("{}{}", seen::whole(&answer), answer.text()));
            wait_text(&before, title).await;
        }
        // So long that a burst begins with it.
        before.wait_more(80_000, SOON).await;
        let late = hear_with(&icecast, "/a.mp3", &icy).await;
        late.wait_more(RATE, SOON).await;
        let plain = hear(&icecast, "/a.mp3").await;
        plain.wait_more(RATE, SOON).await;
        let titles = texts(&before).into_iter().skip_while(|text| text == NONE);
        let titles: Vec<_> = titles.collect();
        seen.is("before", titles.join("\n"));
        seen.is("late", texts(&late).join("\n"));
        seen.is("late: audio before the first", late.titles()[0].at);
        for (name, tap) in [("before", &before), ("late", &late), ("plain", &plain)] {
            seen.is(format!("{name}: streams"), heard(tap));
        }
        for name in ["title", "artist"] {
            seen.is(name, admin::stat(&icecast, "/a.mp3", name).await);
        }
        let bad = "/admin/metadata?mode=updinfo&mount=/none&song=x";
        let answer = icecast.admin(bad).await.unwrap();
        seen.is(bad, format!("{}{}", seen::whole(&answer), answer.text()));
        let target = "/admin/metadata?mode=updinfo&mount=/a.mp3&song=x";
        let answer = http::get(icecast.addr(), target, &[]).await.unwrap();
        seen.is("without a password", seen::whole(&answer));
        seen.in_short(format!("{} titles", titles.len()));
        run.end(icecast, seen)
    })
    .await;
}

/// Waits until a listener has every whole block of so many bytes that were sent.
async fn has(tap: &Tap, sent: usize) {
    let whole = sent as u64 / air::BLOCK * air::BLOCK;
    let last = || pieces(&tap.audio()).last().map(|last| last.to);
    wait_for("all that was sent", SOON, || last() == Some(whole)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_has_its_titles_where_they_were() {
    twice("titles in a burst", async |run| {
        let icecast = run.icecast("").await;
        let mut source = Source::accepted(icecast.addr(), "/a.mp3", Method::Source)
            .await
            .unwrap();
        let mut sent = 0;
        let mut taps: Vec<Tap> = Vec::new();
        for (title, blocks) in [("none", 20), ("one", 50), ("two", 40), ("three", 3)] {
            if title != "none" {
                set_title(icecast.addr(), "/a.mp3", title).await.unwrap();
            }
            let len = blocks * air::BLOCK as usize;
            source.send(&marked::bytes(1, sent, len)).await.unwrap();
            sent += len;
            if taps.is_empty() {
                icecast.wait_mount("/a.mp3").await;
            }
            for tap in &taps {
                has(tap, sent).await;
            }
            let tap = hear_with(&icecast, "/a.mp3", &[("Icy-MetaData", "1")]).await;
            has(&tap, sent).await;
            taps.push(tap);
        }
        // So much that everybody gets one block more.
        source.send(&marked::bytes(1, sent, 20_000)).await.unwrap();
        let mut seen = Seen::new();
        for (i, tap) in taps.iter().enumerate() {
            has(tap, sent + 20_000).await;
            let titles = tap.titles();
            let titles = titles.iter().filter(|title| title.text != NONE);
            let lines: Vec<_> = titles
                .map(|title| format!("{} {}", title.at, title.text))
                .collect();
            seen.is(format!("listener {i}"), lines.join("\n"));
            seen.is(
                format!("listener {i}: streams"),
                format!("{:?}", pieces(&tap.audio())),
            );
        }
        seen.in_short("4 listeners");
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_block_says_that_there_is_no_title() {
    twice("no title yet", async |run| {
        let icecast = run.icecast("").await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let tap = hear_with(&icecast, "/a.mp3", &[("Icy-MetaData", "1")]).await;
        tap.wait_more(100_000, SOON).await;
        let titles = tap.titles();
        let lines = titles
            .iter()
            .map(|title| format!("{} {}", title.at, title.text));
        let lines = lines.collect::<Vec<_>>().join("\n");
        let mut seen = Seen::new();
        seen.is("blocks", &lines);
        seen.is("streams", heard(&tap));
        seen.in_short(lines);
        run.end(icecast, seen)
    })
    .await;
}
