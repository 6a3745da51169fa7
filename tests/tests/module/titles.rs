//! Titles, as a listener gets them.

use super::*;

/// The texts of the blocks that a listener has got, in their order. One that comes again at once says nothing: Icecast repeats
/// a title now and then, and we do not.
fn texts(tap: &Tap) -> Vec<String> {
    let mut texts: Vec<_> = tap.titles().into_iter().map(|title| title.text).collect();
    texts.dedup();
    texts
}

async fn wait_text(tap: &Tap, part: &str) {
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
            "song=Erster%20Titel",
            "song=%C3%9Cber%20uns&charset=UTF-8",
            "song=%DCber%20euch&charset=ISO8859-1",
            "artist=Jemand&title=Lied%203",
            "song=It%27s%20%26%20%3Cthis%3E%3B",
            "song=Mit%20Adresse&url=http%3A%2F%2Fa.example%2F",
            "song=",
            "song=last",
        ];
        let mut seen = Seen::new();
        for (i, update) in updates.into_iter().enumerate() {
            let count = texts(&before).len();
            let target = format!("/admin/metadata?mode=updinfo&mount=/a.mp3&{update}");
            let answer = icecast.admin(&target).await.unwrap();
            seen.is(update, format!("{}{}", seen::whole(&answer), answer.text()));
            wait_for(&format!("a block after {update}"), SOON, || {
                texts(&before).len() > count || i + 1 == updates.len()
            })
            .await;
        }
        wait_text(&before, "last").await;
        // So long that a burst begins with it.
        before.wait_more(80_000, SOON).await;
        let late = hear_with(&icecast, "/a.mp3", &icy).await;
        late.wait_more(RATE, SOON).await;
        let plain = hear(&icecast, "/a.mp3").await;
        plain.wait_more(RATE, SOON).await;
        seen.is("before", texts(&before).join("\n"));
        seen.is("late", texts(&late).join("\n"));
        seen.is(
            "late: audio before the first",
            late.titles().first().map_or(0, |title| title.at),
        );
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
        seen.in_short(format!("{} blocks", texts(&before).len()));
        run.end(icecast, seen)
    })
    .await;
}
