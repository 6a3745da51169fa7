//! Listeners that part from their mount at a place: there they end, or go on elsewhere.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

mod common;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::*;
use icecast_ext_core::plan::Cursor;
use icecast_ext_delivery::{EngineConfig, Kind, Mount, Next, Reason};

const WAIT: Duration = Duration::from_secs(10);

fn go(mount: &Arc<Mount>, n: u8, at: u64) -> Next {
    Next::Go {
        mount: Arc::clone(mount),
        at: position(n, at),
        prelude: Bytes::new(),
    }
}

#[test]
fn a_response_ends_at_a_byte_within_a_chunk_and_its_neighbours_go_on() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = mount(&engine, 1, 1000);
    let mut clients: Vec<_> = (0..6)
        .map(|id| enter(&engine, &mount, id, Kind::Plain, stock(1, 0)))
        .collect();
    engine.part(2, position(1, 3210), Next::End(Reason::Kicked));
    engine.part(3, position(1, 3210), Next::End(Reason::MountClosed));
    engine.part(77, position(1, 0), Next::End(Reason::Kicked));
    grow(&mount, 1, 1000, 2000);
    grow(&mount, 1, 2000, 5000);
    for (id, reason) in [(2, Reason::Kicked), (3, Reason::MountClosed)] {
        let got = read_to_end(&mut clients[id]);
        assert_eq!(got.len(), 3210);
        assert_content(1, 0, &got, "up to there");
        let ended = ends.recv_timeout(WAIT).unwrap();
        assert!([2, 3].contains(&ended.id) && ended.audio_bytes == 3210);
        assert!(ended.reason == reason || ended.id != id as u64);
    }
    for id in [0, 1, 4, 5] {
        assert_content(1, 0, &read(&mut clients[id], 5000), "a neighbour");
    }
    assert!(ends.try_recv().is_err());
    assert_eq!(mount.listeners().total(), 4);
}

#[test]
fn a_place_that_is_past_or_that_nothing_leads_to_is_reached_at_once() {
    let (engine, ends) = engine(EngineConfig {
        linger: Duration::from_secs(60),
        ..EngineConfig::default()
    });
    let mount = mount(&engine, 1, 1000);
    mount.begin(run(2, 0));
    grow(&mount, 2, 0, 700);
    mount.begin(run(3, 0));
    let end = |id, from, at, what: &str| {
        let mut client = enter(&engine, &mount, id, Kind::Plain, from);
        until("it is in", || mount.listeners().total() == 1);
        engine.part(id, at, Next::End(Reason::Kicked));
        let ended = ends.recv_timeout(WAIT).expect(what);
        assert_eq!((ended.id, ended.reason), (id, Reason::Kicked), "{what}");
        read_to_end(&mut client)
    };
    end(1, stock(2, 0), position(2, 0), "past, in its epoch");
    end(2, stock(2, 0), position(1, 1000), "past, in one before");
    let got = end(3, stock(1, 400), position(2, 500), "in the next one");
    assert_content(1, 400, &got[..600], "what stands before");
    assert_content(2, 0, &got[600..1100], "and what is after the splice");
    let got = end(4, stock(2, 0), position(9, 5), "nobody knows that epoch");
    assert_eq!(got.len(), 700, "all there is");
    end(5, stock(2, 0), position(2, 701), "the run has ended before");
    mount.close();
}

#[test]
fn what_does_not_come_is_not_waited_for_longer_than_a_moment() {
    let (engine, ends) = engine(EngineConfig {
        linger: Duration::from_millis(100),
        ..EngineConfig::default()
    });
    let mount = mount(&engine, 1, 1000);
    let mut client = enter(&engine, &mount, 1, Kind::Plain, stock(1, 0));
    engine.part(1, position(1, 1500), Next::End(Reason::Kicked));
    let got = read_to_end(&mut client);
    assert_content(1, 0, &got, "all there is");
    assert_eq!((got.len(), ends.recv_timeout(WAIT).unwrap().id), (1000, 1));
    let mut client = enter(&engine, &mount, 2, Kind::Plain, stock(1, 0));
    engine.part(2, position(1, 1500), Next::End(Reason::Kicked));
    mount.close();
    assert_eq!(read_to_end(&mut client).len(), 1000);
    assert_eq!(ends.recv_timeout(WAIT).unwrap().reason, Reason::Kicked);
}

#[test]
fn an_end_does_not_wait_for_a_reader_that_reads_nothing() {
    let (engine, ends) = engine(EngineConfig {
        stuck: Duration::from_secs(60),
        linger: Duration::from_secs(60),
        ..EngineConfig::default()
    });
    let mount = mount(&engine, 1, 8_000_000);
    let mut client = enter(&engine, &mount, 0, Kind::Plain, stock(1, 0));
    engine.part(0, position(1, 8_000_000), Next::End(Reason::Kicked));
    let ended = ends.recv_timeout(WAIT).unwrap();
    assert_eq!((ended.id, ended.reason), (0, Reason::Kicked));
    assert!(ended.audio_bytes < 8_000_000);
    let got = read_to_end(&mut client);
    assert_eq!(got.len() as u64, ended.audio_bytes, "a FIN after that");
    assert_content(1, 0, &got, "what was queued");
}

#[test]
fn a_stuck_reader_goes_on_elsewhere_after_a_moment() {
    let (engine, ends) = engine(EngineConfig {
        linger: Duration::from_millis(100),
        ..EngineConfig::default()
    });
    let (from, to) = (mount(&engine, 1, 8_000_000), mount(&engine, 2, 3000));
    let mut client = enter(&engine, &from, 1, Kind::Plain, stock(1, 0));
    engine.part(1, position(1, 8_000_000), go(&to, 2, 1000));
    until("it is there", || to.listeners().plain == 1);
    to.close();
    let got = read_to_end(&mut client);
    let (before, after) = got.split_at(got.len() - 2000);
    assert!(before.len() < 8_000_000);
    assert_content(1, 0, before, "what it took in time");
    assert_content(2, 1000, after, "the other mount");
    assert_eq!(ends.recv_timeout(WAIT).unwrap().reason, Reason::MountClosed);
}

#[test]
fn stock_listeners_go_on_at_a_byte_of_another_mount_and_others_end() {
    let (engine, ends) = engine(EngineConfig::default());
    let (from, to) = (mount(&engine, 1, 1000), mount(&engine, 2, 9000));
    let metaint = NonZeroU32::new(700).unwrap();
    let kinds = [
        (Kind::Plain, stock(1, 0)),
        (Kind::Plain, stock(1, 0)),
        (Kind::Icy, Cursor::icy(position(1, 0), metaint, false, true)),
        (Kind::Icy, Cursor::icy(position(1, 0), metaint, false, true)),
        (Kind::Plain, Cursor::plain(position(1, 0), true, true)),
        (Kind::Feed, Cursor::feed(position(1, 0))),
        (Kind::Plain, Cursor::plain(position(1, 0), false, false)),
    ];
    let mut clients: Vec<_> = (0..)
        .zip(kinds)
        .map(|(id, (kind, cursor))| enter(&engine, &from, id, kind, cursor))
        .collect();
    let with_prelude = |prelude: &'static str| Next::Go {
        mount: Arc::clone(&to),
        at: position(2, 4321),
        prelude: prelude.into(),
    };
    engine.part(0, position(1, 2345), with_prelude("headers"));
    for id in [1, 2, 4, 5, 6] {
        engine.part(id, position(1, 2345), with_prelude(""));
    }
    // A prelude has no place between ICY blocks.
    engine.part(3, position(1, 2345), with_prelude("headers"));
    grow(&from, 1, 1000, 3000);
    let mut gone: Vec<_> = (0..4)
        .map(|_| ends.recv_timeout(WAIT).unwrap())
        .map(|ended| (ended.id, ended.reason, ended.audio_bytes))
        .collect();
    gone.sort_by_key(|(id, ..)| *id);
    assert_eq!(gone, [3, 4, 5, 6].map(|id| (id, Reason::Moved, 2345)));
    until("the others are there", || {
        (
            to.listeners().plain,
            to.listeners().icy,
            from.listeners().total(),
        ) == (2, 1, 0)
    });
    grow(&to, 2, 9000, 9500);
    to.close();
    let mut got: Vec<_> = clients.iter_mut().map(read_to_end).collect();
    assert_content(1, 0, &got[4], "aware");
    assert_eq!(got[4].len(), 2345);
    assert_eq!(&got[0][2345..2352], b"headers");
    got[0].drain(2345..2352);
    got[2] = apart(metaint, std::mem::take(&mut got[2])).0;
    for id in [0, 1, 2] {
        let (before, after) = got[id].split_at(2345);
        assert_content(1, 0, before, "before");
        assert_content(2, 4321, after, "after");
        assert_eq!(after.len(), 9500 - 4321, "listener {id}");
    }
    assert!(
        ends.iter()
            .take(3)
            .all(|ended| ended.reason == Reason::MountClosed)
    );
}

#[test]
fn an_icy_phase_goes_on_and_the_other_mounts_title_is_named() {
    let (engine, _ends) = engine(EngineConfig::default());
    let metaint = NonZeroU32::new(600).unwrap();
    // The second time a block is due where they part: it is the other mount's.
    for (at, title) in [(2500, "StreamTitle='1';"), (1400, "")] {
        let (from, to) = (mount(&engine, 1, 1000), mount(&engine, 2, 1000));
        for (mount, n) in [(&from, 1), (&to, 2)] {
            mount.title(None, format!("StreamTitle='{n}';").into());
            grow(mount, n, 1000, 1100);
        }
        let cursor = Cursor::icy(position(1, 800), metaint, false, true);
        let mut client = enter(&engine, &from, at, Kind::Icy, cursor);
        engine.part(at, position(1, at), go(&to, 2, 1000));
        grow(&from, 1, 1100, 3000);
        until("it is there", || to.listeners().icy == 1);
        grow(&to, 2, 1100, 3000);
        to.close();
        let (audio, texts) = apart(metaint, read_to_end(&mut client));
        let (before, after) = audio.split_at(at as usize - 800);
        assert_content(1, 800, before, "the first mount");
        assert_content(2, 1000, after, "the second");
        assert_eq!(after.len(), 2000);
        let wanted = [title, "StreamTitle='2';"].map(str::to_owned);
        let wanted = wanted.into_iter().filter(|text| !text.is_empty());
        assert_eq!(texts, wanted.collect::<Vec<_>>());
    }
}

#[test]
fn what_is_told_before_the_first_has_happened_happens_after_it() {
    let (engine, ends) = engine(EngineConfig::default());
    let mounts: Vec<_> = (1..=3).map(|n| mount(&engine, n, 500)).collect();
    let mut client = enter(&engine, &mounts[0], 9, Kind::Plain, stock(1, 0));
    engine.part(9, position(1, 1111), go(&mounts[1], 2, 222));
    engine.part(9, position(2, 777), go(&mounts[2], 3, 0));
    engine.part(9, position(3, 640), go(&mounts[0], 1, 1400));
    engine.part(9, position(1, 1600), Next::End(Reason::Kicked));
    for (mount, n) in mounts.iter().zip(1..=3).rev() {
        grow(mount, n, 500, 2000);
    }
    let got = read_to_end(&mut client);
    let wanted = [
        content(1, 0, 1111),
        content(2, 222, 555),
        content(3, 0, 640),
        content(1, 1400, 200),
    ]
    .concat();
    assert!(got == wanted, "{} of {} bytes", got.len(), wanted.len());
    let ended = ends.recv_timeout(WAIT).unwrap();
    assert_eq!((ended.id, ended.reason), (9, Reason::Kicked));
    assert_eq!(ended.audio_bytes, wanted.len() as u64);
    assert!(mounts.iter().all(|mount| mount.listeners().total() == 0));
}

#[test]
fn a_listener_goes_on_in_another_run_of_its_mount() {
    let (engine, _ends) = engine(EngineConfig::default());
    let mount = mount(&engine, 1, 1000);
    let mut client = enter(&engine, &mount, 1, Kind::Plain, stock(1, 0));
    engine.part(1, position(1, 1200), go(&mount, 2, 100));
    grow(&mount, 1, 1000, 1500);
    assert_content(1, 0, &read(&mut client, 1200), "the first run");
    mount.begin(run(2, 0));
    grow(&mount, 2, 0, 500);
    mount.close();
    let got = read_to_end(&mut client);
    assert_content(2, 100, &got, "the second");
}
