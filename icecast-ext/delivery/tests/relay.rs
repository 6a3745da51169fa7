//! Relays on the feed, and clients that are cut.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

mod common;

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use common::*;
use icecast_ext_core::address::Position;
use icecast_ext_core::buffer::RunStart;
use icecast_ext_core::field::{From, Miss, Resume};
use icecast_ext_core::frame::{Decoder, Frame};
use icecast_ext_core::plan::Cursor;
use icecast_ext_core::resume::Kind as StartKind;
use icecast_ext_delivery::{Adopter, Engine, EngineConfig, Kind, Mount, MountConfig};

fn at(position: Position) -> Resume {
    Resume {
        from: From::At(position),
        miss: Miss::Fail,
        max_lag: None,
        session: None,
    }
}

fn feed(engine: &Engine, mount: &Arc<Mount>) -> TcpStream {
    let start = mount.start_feed(None).unwrap();
    let (client, server) = pair();
    let mut admission = admission(server, mount, Cursor::feed(start.at));
    admission.kind = Kind::Feed;
    engine.admit(admission).unwrap();
    client
}

/// The runs, without their names.
fn timeline(mount: &Mount) -> String {
    mount.with(|timeline| {
        let runs = timeline.runs().map(|run| {
            let run = (
                (run.epoch, run.window, &run.fields, run.splice, run.ended),
                (&run.titles, &run.times, &run.preludes, &run.syncs),
            );
            format!("{run:?}\n")
        });
        runs.collect()
    })
}

#[test]
fn a_relay_that_reads_the_feed_has_the_same_timeline_and_the_same_bytes() {
    let (engine, _ends) = engine(EngineConfig::default());
    let parent = engine.mount("/live", quick());
    let child = engine.mount("/relay", quick());
    parent.begin(run(1, 1000));
    parent.append(&content(1, 1000, 70_000), Some(5000));
    parent.flush();
    let mut socket = feed(&engine, &parent);
    let reader = {
        let child = Arc::clone(&child);
        thread::spawn(move || {
            let (mut decoder, mut frames, mut adopter) =
                (Decoder::default(), Vec::new(), Adopter::default());
            let (mut random, mut keepalives) = (Random(3), 0);
            let mut scrap = vec![0; 40_000];
            loop {
                let len = random.below(40_000) as usize + 1;
                let n = socket.read(&mut scrap[..len]).unwrap();
                if n == 0 {
                    break;
                }
                decoder
                    .feed(Bytes::copy_from_slice(&scrap[..n]), &mut frames)
                    .unwrap();
                for frame in frames.drain(..) {
                    keepalives += u32::from(matches!(frame, Frame::Keepalive { .. }));
                    adopter.apply(&child, frame);
                }
            }
            child.end();
            keepalives
        })
    };
    let mut random = Random(11);
    let mut end = 71_000;
    for epoch in 1..4 {
        for n in 0..40 {
            if random.below(3) == 0 {
                parent.title(None, format!("StreamTitle='{epoch} {n}';").into());
            }
            let len = random.below(5000) + 1;
            parent.append(
                &content(epoch, end, len),
                Some(6000 + u64::from(epoch) * 10_000 + n * 20),
            );
            end += len;
            thread::sleep(Duration::from_millis(random.below(12)));
        }
        if epoch < 3 {
            end = random.below(1000);
            parent.begin(RunStart {
                declared: epoch == 1,
                ..run(epoch + 1, end)
            });
        }
    }
    parent.end();
    thread::sleep(Duration::from_millis(200));
    parent.close();
    let keepalives = reader.join().unwrap();
    assert!(keepalives >= 4, "{keepalives} while nothing else came");
    assert_eq!(timeline(&child), timeline(&parent));
    assert!(child.tail(usize::MAX) == parent.tail(usize::MAX));
}

#[test]
fn a_client_that_is_cut_and_resumes_has_every_byte_once() {
    let (engine, _ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 1000), Some(0));
    mount.flush();
    let total = 3_000_000;
    let writer = {
        let mount = Arc::clone(&mount);
        thread::spawn(move || {
            for from in (1000..total).step_by(1000) {
                mount.append(&content(1, from, 1000), Some(from / 16));
                if from % 10_000 == 0 {
                    thread::sleep(Duration::from_millis(5));
                }
            }
            mount.close();
        })
    };
    let mut random = Random(5);
    let mut next = 0;
    let mut cuts = 0;
    while next < total {
        let start = mount.start(&at(position(1, next))).unwrap();
        assert_eq!(
            (start.at, start.kind),
            (position(1, next), StartKind::Exact)
        );
        let mut client = listen(&engine, &mount, Cursor::plain(start.at, true, true));
        let mut left = random.below(90_000);
        let mut scrap = vec![0; 8192];
        while left > 0 {
            let len = left.min(8192) as usize;
            let n = client.read(&mut scrap[..len]).unwrap();
            if n == 0 {
                break;
            }
            assert_content(1, next, &scrap[..n], "after a resume");
            next += n as u64;
            left -= n as u64;
        }
        cuts += 1;
    }
    assert!(cuts > 50, "{cuts}");
    writer.join().unwrap();
    until("nobody is left", || engine.listeners() == 0);
}

#[test]
fn a_relay_that_comes_back_is_told_nothing_twice() {
    let child = Mount::new("/relay", MountConfig::default());
    child.begin(run(1, 100));
    child.title(Some(offset(50)), "StreamTitle='one';".into());
    child.time(offset(90), 5);
    child.append(&content(1, 100, 100), None);
    child.title(Some(offset(200)), "StreamTitle='two';".into());
    child.append(&content(1, 200, 10), None);
    child.flush();
    child.title(Some(offset(210)), "StreamTitle='three';".into());
    child.append(&content(1, 210, 10), None);
    // The link is cut; the parent is asked for 220 and says what is in force.
    assert_eq!(child.edge_with_pending(), Some(position(1, 220)));
    for (at, text) in [(50, "one"), (200, "two"), (210, "three")] {
        child.title(Some(offset(at)), format!("StreamTitle='{text}';").into());
    }
    child.time(offset(90), 5);
    child.append(&content(1, 220, 10), None);
    child.flush();
    let titles = child.with(|timeline| {
        let run = timeline.runs().next().unwrap();
        run.titles
            .iter()
            .map(|title| title.at.get())
            .collect::<Vec<_>>()
    });
    assert_eq!(titles, [50, 200, 210]);
    assert_content(1, 100, &child.tail(usize::MAX), "healed");
}
