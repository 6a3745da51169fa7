//! Where the answer to a player starts that knows nothing of us: its request is looked at, its anchors are counted along the
//! titles that its body had.

mod hour;

use std::hint::black_box;
use std::num::NonZeroU32;

use criterion::{Criterion, criterion_group, criterion_main};
use icecast_ext_core::address::Position;
use icecast_ext_core::field::Resume;
use icecast_ext_core::head::{Request, Target};
use icecast_ext_core::plan::{Cursor, Step};
use icecast_ext_core::resume::Kind;
use icecast_ext_core::stock::{Anchor, Ask, Join, Level, Reply, Terms};
use icecast_ext_core::timeline::Timeline;

use hour::{Hour, TICK, TICKS, position, quick};

const METAINT: NonZeroU32 = NonZeroU32::new(16_000).expect("not zero");
/// Held in [`Hour::whole`], and older than all titles that are.
const JOINED: u64 = 300 * TICK;

const TERMS: Terms = Terms {
    fresh: Join::from_bytes([7; 6]),
    metaint: METAINT,
    late: false,
};

/// ffmpeg, with cookies of so many joins.
fn head(first: u64, anchors: &[Anchor]) -> String {
    let cookies: Vec<String> = anchors.iter().map(Anchor::cookie).collect();
    let cookies = match cookies.is_empty() {
        true => String::new(),
        false => format!("Cookie: {}\r\n", cookies.join("; ")),
    };
    format!(
        "GET /live.mp3 HTTP/1.1\r\nHost: radio.example\r\nUser-Agent: Lavf/61.7.100\r\nAccept: */*\r\n\
         Range: bytes={first}-\r\nConnection: close\r\nIcy-MetaData: 1\r\n{cookies}\r\n"
    )
}

/// So many joins with a body from the same byte on: all agree.
fn anchors(count: u8, metaint: Option<NonZeroU32>, at: Position) -> Vec<Anchor> {
    let anchor = |n| Anchor {
        join: Join::from_bytes([n; 6]),
        body: 0,
        at,
        metaint,
    };
    (0..count).map(anchor).collect()
}

/// Bytes of an ICY body from there on until a minute before the edge, which is about where a player stands that was cut.
fn body(timeline: &Timeline, from: Position) -> u64 {
    let edge = timeline.edge().expect("a run has begun");
    let until = edge.offset.saturating_sub(240 * TICK);
    let mut cursor = Cursor::icy(from, METAINT, false, true);
    let mut body = 0;
    loop {
        let (step, after) = cursor.step(timeline, 1 << 20, 0);
        body += match &step {
            _ if cursor.at().epoch == edge.epoch && cursor.at().offset >= until => return body,
            Step::Audio(bytes) => *bytes,
            Step::Overhead(bytes) => bytes.len() as u64,
            Step::Wait | Step::End(_) => panic!("it ends before the edge: {step:?}"),
        };
        cursor = after;
    }
}

fn decide(request: &Request<'_>, target: &Target<'_>, timeline: &Timeline) -> Reply {
    let ask = Ask::of(request, target, Level::Ranges, Resume::LIVE);
    let ask = ask.expect("ffmpeg is on the list");
    ask.decide(timeline, &TERMS).expect("there is a start")
}

fn decides(c: &mut Criterion, name: &str, timeline: &Timeline, head: &str, kind: Kind) {
    let parsed = Request::parse(head.as_bytes()).expect("it is a head");
    let (request, _) = parsed.expect("it is whole");
    let target = Target::parse(request.target).expect("it has a target");
    let reply = decide(&request, &target, timeline);
    let began = matches!(&reply, Reply::Stream(stream) if stream.start.kind == kind);
    assert!(began, "{name}: {reply:?}");
    c.bench_function(&format!("stock/{name}"), |b| {
        b.iter(|| decide(black_box(&request), &target, timeline))
    });
}

fn players(c: &mut Criterion) {
    let Hour { timeline, .. } = Hour::whole();
    let joined = position(1, JOINED);
    let plain = TICKS / 2 * TICK;
    let icy = body(&timeline, joined);
    for count in [1, 8] {
        let plural = if count == 1 { "cookie" } else { "cookies" };
        let anchors = |metaint| anchors(count, metaint, joined);
        let asked = head(plain, &anchors(None));
        let name = format!("{count} {plural}, no titles");
        decides(c, &name, &timeline, &asked, Kind::Exact);
        let asked = head(icy, &anchors(Some(METAINT)));
        let name = format!("{count} {plural}, 600 titles");
        decides(c, &name, &timeline, &asked, Kind::Exact);
    }
    // Eight joins that cannot all be its own: as with a jar that others use, too.
    let mut several = anchors(8, Some(METAINT), joined);
    for (anchor, n) in several.iter_mut().zip(0..) {
        anchor.at = position(1, JOINED + n * TICK);
    }
    let lost = Kind::Miss { lost: None };
    let asked = head(icy, &several);
    let name = "8 cookies that disagree, 600 titles";
    decides(c, name, &timeline, &asked, lost);
    decides(c, "a join", &timeline, &head(0, &[]), Kind::Join);
}

fn over_a_splice(c: &mut Criterion) {
    let Hour { timeline, .. } = Hour::spliced(2, 2);
    let joined = position(1, JOINED);
    let anchors = anchors(8, Some(METAINT), joined);
    let asked = head(body(&timeline, joined), &anchors);
    let name = "8 cookies, 600 titles, over a splice";
    decides(c, name, &timeline, &asked, Kind::Exact);
}

criterion_group! {
    name = benches;
    config = quick();
    targets = players, over_a_splice
}
criterion_main!(benches);
