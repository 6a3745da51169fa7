//! Players that share what tells them apart: each gets its own bytes, or a loss that is told, never another's place.

use std::collections::BTreeMap;
use std::time::Duration;

use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::cutter::{At, Cutter, How, Manners, Next, Passage, Plan};
use icecast_ext_tests::player::chromium::CHROMIUM;
use icecast_ext_tests::player::firefox::FIREFOX;
use icecast_ext_tests::player::page::Page;
use icecast_ext_tests::player::wire::stitch;
use icecast_ext_tests::player::{Family, Player};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::wait_for;

use crate::case::Level;
use crate::radio::Radio;
use crate::trial::RATE;
use crate::unable::OURS;

const SOON: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(60);

/// As ffmpeg asks.
async fn ask(radio: &Radio, level: Level, icy: bool, from: usize, jar: &str) -> Tap {
    let range = format!("bytes={from}-");
    let mut fields = vec![("User-Agent", "Lavf/59.27.100"), ("Range", &range)];
    if icy {
        fields.push(("Icy-MetaData", "1"));
    }
    if !jar.is_empty() {
        fields.push(("Cookie", jar));
    }
    let tap = Tap::open(radio.proxy.addr(), level.mount(), &fields).await;
    tap.expect("an answer")
}

fn cookie(tap: &Tap) -> String {
    let cookie = tap.head.get("Set-Cookie").expect("a cookie");
    cookie.split(';').next().unwrap_or_default().to_owned()
}

/// Where a response starts, which has to be where it says that it does; `base` is the place of the encoder's first byte.
async fn place(radio: &Radio, level: Level, tap: &Tap, base: &mut Option<i64>) -> u64 {
    tap.wait_len(3 * RATE as usize, SOON).await;
    let audio = tap.audio();
    let truth = radio.sent(level).await;
    let at = find(&truth, &audio).expect("bytes that were sent") as i64;
    let says = tap.head.place().expect("a place").offset;
    assert_eq!(
        *base.get_or_insert(says as i64 - at),
        says as i64 - at,
        "{:?}",
        tap.head
    );
    says
}

fn misses(radio: &Radio) -> usize {
    radio.proxy.log().matches("began=\"miss\"").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_players_behind_one_cookie_jar_are_not_given_each_others_place() {
    /// Before the first ICY block.
    const N: usize = 10_000;
    let radio = Radio::start().await;
    for level in Level::ALL {
        let mut base = None;
        for icy in [false, true] {
            let one = ask(&radio, level, icy, 0, "").await;
            let first = place(&radio, level, &one, &mut base).await;
            // It has gone on meanwhile.
            one.wait_len(65_536 + 2 * RATE as usize, SOON).await;
            let two = ask(&radio, level, icy, 0, "").await;
            let second = place(&radio, level, &two, &mut base).await;
            assert_ne!(first, second, "they have joined at different times");
            let (a, b) = (cookie(&one), cookie(&two));

            // Each jar its own, and what others may have put into it.
            for (jar, own) in [
                (a.clone(), first),
                (b.clone(), second),
                (format!("x=y; icx-AAAAAAAA=AAAA; {a}"), first),
            ] {
                let again = ask(&radio, level, icy, N, &jar).await;
                assert_eq!(again.head.status, 206, "{:?}", again.head);
                let at = place(&radio, level, &again, &mut base).await;
                assert_eq!(at, own + N as u64, "{jar}");
            }

            // One jar for both.
            for jar in [format!("{a}; {b}"), format!("{b}; {a}")] {
                for own in [first, second] {
                    let before = misses(&radio);
                    let again = ask(&radio, level, icy, N, &jar).await;
                    assert_eq!(again.head.status, 206, "{:?}", again.head);
                    let at = place(&radio, level, &again, &mut base).await;
                    let told = misses(&radio) > before;
                    let foreign = first + second - own + N as u64;
                    assert!(at == own + N as u64 || told, "{:?}", again.head);
                    assert_ne!(at, foreign, "{:?}", again.head);
                }
            }
        }
    }
}

/// A page with two elements and a script that all want one URL, over one wire that is cut again and again.
async fn crowded(family: Family, fin: bool, radio: &Radio, mut chance: Chance) {
    const CUTS: usize = 8;
    let level = Level::Ranges;
    let planner = move |_, made| {
        (made < CUTS).then(|| Plan {
            at: At::Body(chance.range(80_000, 110_000)),
            how: if fin && chance.one_in(2) {
                How::Fin
            } else {
                How::Reset
            },
            next: Next::Any,
        })
    };
    let addr = radio.proxy.addr();
    let wire = Cutter::counted(&[addr], planner).await.expect("a wire");
    wire.behave(Manners {
        keep: 4 << 20,
        settle: true,
        ..Manners::default()
    });
    let url = format!("http://{}{}", wire.front(0), level.mount());
    let page = Page::crowded(&url).await.expect("a page");
    let mut browser = Player::start(family, &page.url(), false).expect(family.name);
    let name = family.name;
    wait_for(&format!("{name}: {CUTS} cuts"), LONG, || {
        wire.cuts().len() >= CUTS
    })
    .await;
    let goals = [0, 1].map(|element| page.time(element) + 8.0);
    wait_for(&format!("{name}: both play on"), LONG, || {
        page.time(0) >= goals[0] && page.time(1) >= goals[1]
    })
    .await;
    let passages = wire.passages();
    browser.stop();
    for element in [0, 1] {
        let told = page.told(element).into_iter();
        let bad: Vec<_> = told
            .filter(|told| ["error", "ended", "refused"].contains(&told.event.as_str()))
            .collect();
        assert!(bad.is_empty(), "{name}: {bad:?}");
    }
    let truth = radio.sent(level).await;
    let mut joins: BTreeMap<String, Vec<Passage>> = BTreeMap::new();
    for passage in passages {
        if passage.target().contains("_anchor=") {
            let join = joins.entry(passage.target().to_owned()).or_default();
            join.push(passage);
        } else if passage.asked("Range").is_none() && passage.body > 0 {
            // The script's.
            let told = OURS.map(|field| passage.told(field).map(|_| field));
            assert!(
                told.iter().all(Option::is_none),
                "{name}: {}",
                passage.answer
            );
            assert!(
                find(&truth, &passage.kept).is_some(),
                "{name}: a script's bytes"
            );
        }
    }
    // Firefox may give a second element what the first has, and its place: then there are two that ask there.
    let expected = if family.program == FIREFOX.program {
        1..=2
    } else {
        2..=2
    };
    assert!(
        expected.contains(&joins.len()),
        "{name}: {:?}",
        joins.keys()
    );
    for (target, passages) in joins {
        let mut stitched = stitch(&passages);
        if expected.contains(&1) {
            stitched.astray.clear();
        }
        let astray = &stitched.astray;
        assert!(astray.is_empty(), "{name}: {target}: {astray:?}");
        assert!(
            stitched.faults.is_empty(),
            "{name}: {target}: {:?}",
            stitched.faults
        );
        assert!(find(&truth, &stitched.bytes).is_some(), "{name}: {target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_elements_and_a_script_on_one_url_keep_their_own_places() {
    let mut chance = Chance::seeded("jars");
    let radio = Radio::start().await;
    let one = crowded(CHROMIUM, false, &radio, chance.fork());
    let two = crowded(FIREFOX, true, &radio, chance.fork());
    tokio::join!(
        async {
            if !CHROMIUM.missing() {
                one.await;
            }
        },
        async {
            if !FIREFOX.missing() {
                two.await;
            }
        }
    );
}
