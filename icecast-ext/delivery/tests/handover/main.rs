//! A mount and its listeners go on in another engine, as they would in another process.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

#[path = "../common/mod.rs"]
mod common;
mod journals;
mod ogg;

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use common::*;
use icecast_ext_core::address::{Offset, Session};
use icecast_ext_core::buffer::RunStart;
use icecast_ext_core::codec::Format;
use icecast_ext_core::frame::{Decoder, Frame};
use icecast_ext_core::icy::{Deinterleaver, Part};
use icecast_ext_core::plan::Cursor;
use icecast_ext_core::timeline::Timeline;
use icecast_ext_delivery::{
    Engine, EngineConfig, Error, Journal, Kind, Mount, MountConfig, Reason, handover::Progress,
};
use proptest::prelude::*;

const WAIT: Duration = Duration::from_secs(10);

/// The mount in another engine.
fn move_mount(from: &Mount, to: &Engine) -> Arc<Mount> {
    let mount = to.mount(from.name(), from.config());
    mount.restore(from.export()).unwrap();
    mount
}

/// Everybody in another engine; by mount name.
fn move_listeners(from: &Engine, to: &Engine, mounts: &[Arc<Mount>]) -> usize {
    let detached = from.detach(|_| false);
    let count = detached.len();
    for mut listener in detached {
        let mount = mounts
            .iter()
            .find(|mount| mount.name() == listener.mount.name());
        listener.mount = Arc::clone(mount.unwrap());
        listener.cursor = Cursor::decode(&listener.cursor.encode()).unwrap();
        to.resume(listener).unwrap();
    }
    count
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Plain,
    Icy,
    Feed,
}

/// Reads to the end, at its own pace, and checks every byte.
fn hear(
    shape: Shape,
    mut client: std::net::TcpStream,
    from: u64,
    slow: bool,
) -> (u64, Vec<String>) {
    let metaint = NonZeroU32::new(1000).unwrap();
    let (mut icy, mut feed) = (Deinterleaver::new(metaint), Decoder::default());
    let (mut parts, mut frames) = (Vec::new(), Vec::new());
    let (mut at, mut titles) = (from, Vec::new());
    let mut random = Random(from + 1);
    let mut scrap = vec![0; 40_000];
    loop {
        let len = random.below(scrap.len() as u64) as usize + 1;
        let n = std::io::Read::read(&mut client, &mut scrap[..len]).unwrap();
        if n == 0 {
            return (at, titles);
        }
        let bytes = Bytes::copy_from_slice(&scrap[..n]);
        let audio = |at: &mut u64, bytes: &[u8]| {
            assert_content(1, *at, bytes, &format!("{shape:?} from {from}"));
            *at += bytes.len() as u64;
        };
        match shape {
            Shape::Plain => audio(&mut at, &bytes),
            Shape::Icy => icy.feed(bytes, &mut parts),
            Shape::Feed => feed.feed(bytes, &mut frames).unwrap(),
        }
        for part in parts.drain(..) {
            match part {
                Part::Audio(bytes) => audio(&mut at, &bytes),
                Part::Block(text) => titles.push(String::from_utf8(text.to_vec()).unwrap()),
            }
        }
        for frame in frames.drain(..) {
            match frame {
                Frame::Data { bytes, .. } => audio(&mut at, &bytes),
                Frame::Title { text, .. } => titles.push(String::from_utf8(text.to_vec()).unwrap()),
                _ => {}
            }
        }
        if slow {
            thread::sleep(Duration::from_millis(random.below(10)));
        }
    }
}

#[test]
fn a_mount_that_moves_keeps_the_tick_that_relays_were_told_until_it_is_told_another() {
    let (from, _ends) = engine(EngineConfig::default());
    let (to, _ends) = engine(EngineConfig::default());
    let mount = from.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 100), Some(0));
    let config = MountConfig {
        tick: Duration::from_millis(500),
        ..quick()
    };
    let moved = to.mount("/live", config);
    moved.restore(mount.export()).unwrap();
    let says = |mount: &Mount| mount.with(|timeline| timeline.runs().last().unwrap().tick_ms);
    assert_eq!((says(&moved), moved.config().tick), (20, quick().tick));
    moved.reconfigure(config);
    assert_eq!((says(&moved), moved.config().tick), (500, config.tick));
}

#[test]
fn listeners_that_move_again_and_again_get_every_byte_and_every_title_once() {
    let engines: Vec<_> = (0..6).map(|_| engine(EngineConfig::default())).collect();
    let mut mount = engines[0].0.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 200_000), Some(0));
    mount.flush();
    let mut random = Random(11);
    let clients: Vec<_> = (0..120)
        .map(|id| {
            let from = random.below(200_000);
            let shape = [Shape::Plain, Shape::Icy, Shape::Feed][id as usize % 3];
            let metaint = NonZeroU32::new(1000).unwrap();
            let at = position(1, from);
            let (kind, cursor) = match shape {
                Shape::Plain => (Kind::Plain, Cursor::plain(at, id % 2 == 0, true)),
                Shape::Icy => (Kind::Icy, Cursor::icy(at, metaint, id % 2 == 0, true)),
                Shape::Feed => (Kind::Feed, Cursor::feed(at)),
            };
            let (client, server) = pair();
            let mut admission = admission(server, &mount, cursor);
            (admission.id, admission.kind) = (id, kind);
            engines[0].0.admit(admission).unwrap();
            let slow = id % 5 == 0;
            thread::spawn(move || hear(shape, client, from, slow))
        })
        .collect();
    let (mut at, mut titles) = (200_000, 0);
    for hop in 0..engines.len() {
        for _ in 0..40 {
            let len = random.below(9000) + 1;
            mount.append(&content(1, at, len), Some(at / 16));
            at += len;
            if random.below(8) == 0 {
                titles += 1;
                mount.title(None, format!("StreamTitle='{titles}';").into());
            }
            thread::sleep(Duration::from_millis(2));
        }
        if let Some((next, _)) = engines.get(hop + 1) {
            let moved = move_mount(&mount, next);
            assert_eq!(moved.received(), mount.received());
            let count = move_listeners(&engines[hop].0, next, &[Arc::clone(&moved)]);
            assert_eq!(count, 120);
            until("the counts move along", || {
                mount.listeners().total() == 0 && moved.listeners().total() == 120
            });
            assert_eq!(engines[hop].0.listeners(), 0);
            mount = moved;
        }
    }
    mount.append(&content(1, at, 1), Some(at / 16));
    at += 1;
    mount.close();
    for (id, client) in clients.into_iter().enumerate() {
        let (end, heard) = client.join().unwrap();
        assert_eq!(end, at);
        match id % 3 {
            0 => {}
            // Of several titles between two blocks a stock player is shown the last; none is shown twice.
            1 => {
                let mut once = heard.clone();
                once.dedup();
                assert_eq!(once, heard);
                assert!(heard.len() <= titles && !heard.is_empty());
            }
            _ => assert_eq!(heard.len(), titles, "a relay is told each once"),
        }
    }
    let mut ended: Vec<_> = (0..120)
        .map(|_| engines[5].1.recv_timeout(WAIT).unwrap())
        .collect();
    ended.sort_by_key(|ended| ended.id);
    for (id, ended) in ended.iter().enumerate() {
        assert_eq!((ended.id, ended.reason), (id as u64, Reason::MountClosed));
        assert!(ended.audio_bytes > 100_000, "counted from the beginning");
    }
    for (_, ends) in &engines[..5] {
        assert!(ends.try_recv().is_err(), "nobody has ended anywhere else");
    }
}

#[test]
fn what_a_listener_was_and_had_moves_along_and_those_who_are_kept_stay() {
    let (one, ends) = engine(EngineConfig::default());
    let (two, two_ends) = engine(EngineConfig::default());
    let mount = one.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 1000), Some(0));
    mount.flush();
    let session = Session::from_bytes([5; 16]);
    let mut clients = Vec::new();
    for id in 0..2 {
        let (client, server) = pair();
        let mut admission = admission(server, &mount, Cursor::plain(position(1, 0), true, true));
        admission.id = id;
        admission.session = (id == 1).then_some(session);
        one.admit(admission).unwrap();
        clients.push(client);
    }
    for client in &mut clients {
        read(client, 1000);
    }
    let moved = move_mount(&mount, &two);
    let mut detached = one.detach(|id| id == 0);
    assert_eq!(detached.len(), 1);
    let mut listener = detached.remove(0);
    assert_eq!((listener.id, listener.session), (1, Some(session)));
    assert_eq!(
        (listener.progress.sent_bytes, listener.progress.audio_bytes),
        (1000, 1000)
    );
    listener.mount = Arc::clone(&moved);
    listener.progress = Progress {
        secs: 100,
        ..listener.progress
    };
    two.resume(listener).unwrap();
    assert!(!one.close_session(&mount, session), "gone from here");
    assert!(two.close_session(&moved, session));
    let ended = two_ends.recv_timeout(WAIT).unwrap();
    assert_eq!((ended.id, ended.reason), (1, Reason::Replaced));
    assert_eq!((ended.sent_bytes, ended.audio_bytes), (1000, 1000));
    assert!(ended.secs >= 100);
    // The other goes on where it was, with what comes there.
    mount.append(&content(1, 1000, 500), Some(1));
    assert_content(1, 1000, &read(&mut clients[0], 500), "kept");
    assert!(ends.try_recv().is_err());
    one.shutdown(Duration::ZERO);
    assert!(one.detach(|_| false).is_empty());
}

/// All that a reader can find out of a mount.
fn seen(mount: &Mount) -> (Vec<Bytes>, Option<icecast_ext_core::address::Position>) {
    (mount.export().collect(), mount.received())
}

#[derive(Clone, Debug)]
enum Op {
    Append(usize),
    Publish,
    Title(u8),
    Begin { new: bool, declared: bool },
    End,
    Move,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (1_usize..3000).prop_map(Op::Append),
        4 => Just(Op::Publish),
        2 => (0_u8..9).prop_map(Op::Title),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(new, declared)| Op::Begin { new, declared }),
        1 => Just(Op::End),
        2 => Just(Op::Move),
    ]
}

/// MPEG frames, each with its number inside.
fn frames(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|n| {
            let mut frame = vec![0xff, 0xfb, 0x90, 0x64];
            frame.extend_from_slice(&(n as u32).to_be_bytes());
            frame.resize(417, 0);
            frame
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Two mounts live through the same; one moves now and then. Nobody can tell.
    #[test]
    fn a_mount_that_moved_is_the_mount_it_was(ops in prop::collection::vec(op(), 1..60)) {
        let config = icecast_ext_delivery::MountConfig { cap: 30_000, ..quick() };
        let stays = Mount::new("/live", config);
        let mut goes = Mount::new("/live", config);
        let audio = frames(600);
        let (mut done, mut epoch_now, mut ms) = (0, 0_u8, 0);
        let first = Op::Begin { new: true, declared: true };
        for op in [first].into_iter().chain(ops) {
            ms += 100;
            match op {
                Op::Append(len) => {
                    let end = (done + len).min(audio.len());
                    for mount in [&stays, &goes] {
                        mount.append(&audio[done..end], Some(ms));
                    }
                    done = end;
                }
                Op::Publish => [&stays, &goes].into_iter().for_each(|mount| mount.flush()),
                Op::Title(n) => for mount in [&stays, &goes] {
                    mount.title(None, format!("StreamTitle='{n}';").into());
                },
                Op::Begin { new, declared } => {
                    epoch_now += u8::from(new);
                    for mount in [&stays, &goes] {
                        let at = mount.received().map_or(0, |at| at.offset.get());
                        let first = if new { 0 } else { at + 1000 };
                        mount.begin(RunStart { format: Format::Mpeg, declared, ..run(epoch_now, first) });
                    }
                }
                Op::End => [&stays, &goes].into_iter().for_each(|mount| mount.end()),
                Op::Move => {
                    // Exporting publishes.
                    stays.flush();
                    let moved = Mount::new("/live", config);
                    moved.restore(goes.export()).unwrap();
                    prop_assert_eq!(seen(&moved), seen(&goes));
                    goes = moved;
                }
            }
        }
        prop_assert_eq!(seen(&stays), seen(&goes));
    }
}

#[test]
fn pieces_that_are_torn_damaged_or_of_another_version_are_refused() {
    let mount = Mount::new("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 3000), Some(0));
    let pieces: Vec<_> = mount.export().collect();
    let fresh = || Mount::new("/live", quick());
    fresh().restore(pieces.clone()).unwrap();
    for left_out in 0..pieces.len() {
        let mut torn = pieces.clone();
        torn.remove(left_out);
        let mount = fresh();
        assert!(
            matches!(mount.restore(torn), Err(Error::Handover { .. })),
            "without {left_out}"
        );
        assert_eq!(mount.received(), None);
    }
    for piece in 0..pieces.len() {
        for at in (0..pieces[piece].len()).step_by(if piece == 2 { 197 } else { 3 }) {
            let mut damaged = pieces.clone();
            let mut bytes = damaged[piece].to_vec();
            bytes[at] ^= 0x20;
            damaged[piece] = bytes.into();
            assert!(fresh().restore(damaged).is_err(), "byte {at} of {piece}");
        }
    }
}
