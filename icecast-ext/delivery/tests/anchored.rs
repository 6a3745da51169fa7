//! Stock players that come back: how their responses end.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use common::*;
use icecast_ext_core::plan::{Anchored, Cursor};
use icecast_ext_delivery::{Engine, EngineConfig, Kind, Mount, Reason};

const WAIT: Duration = Duration::from_secs(10);
const RESETS: Anchored = Anchored {
    reset: true,
    left: None,
};
const CLOSES: Anchored = Anchored {
    reset: false,
    left: None,
};

fn listen_as(
    engine: &Engine,
    mount: &Arc<Mount>,
    id: u64,
    anchored: Option<Anchored>,
) -> TcpStream {
    let (client, server) = pair();
    let cursor = Cursor::plain(position(1, 0), false, true);
    let cursor = anchored.map_or(cursor, |anchored| cursor.anchored(anchored));
    let mut admission = admission(server, mount, cursor);
    (admission.id, admission.kind) = (id, Kind::Plain);
    engine.admit(admission).unwrap();
    client
}

/// What comes, and whether it ends with RST.
fn end(client: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let ended = client.read_to_end(&mut bytes);
    let reset = ended.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
    (bytes, reset)
}

#[test]
fn players_that_come_back_are_sent_on_as_each_needs_it_and_others_stay() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 5000), Some(0));
    mount.flush();
    let mut closed = listen_as(&engine, &mount, 0, Some(CLOSES));
    let mut reset = listen_as(&engine, &mount, 1, Some(RESETS));
    let mut stays = listen_as(&engine, &mount, 2, None);
    for client in [&mut closed, &mut reset, &mut stays] {
        assert_content(1, 0, &read(client, 5000), "what is held");
    }
    // There is nobody else to go to.
    engine.retire(false);
    mount.append(&content(1, 5000, 500), Some(1));
    for client in [&mut closed, &mut reset, &mut stays] {
        assert_content(1, 5000, &read(client, 500), "all stay");
    }
    engine.retire(true);
    for _ in 0..2 {
        assert_eq!(ends.recv_timeout(WAIT).unwrap().reason, Reason::Shutdown);
    }
    assert_eq!(end(&mut closed), (Vec::new(), false));
    assert_eq!(end(&mut reset), (Vec::new(), true));
    mount.append(&content(1, 5500, 500), Some(2));
    assert_content(1, 5500, &read(&mut stays, 500), "who would not come back");
}

#[test]
fn an_end_for_good_is_a_fin_to_everybody() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 5000), Some(0));
    mount.flush();
    // All that it asked for.
    let part = Anchored {
        left: NonZeroU64::new(1234),
        ..RESETS
    };
    let mut part = listen_as(&engine, &mount, 0, Some(part));
    assert_eq!(ends.recv_timeout(WAIT).unwrap().reason, Reason::Complete);
    let (bytes, reset) = end(&mut part);
    assert_eq!((bytes.len(), reset), (1234, false));
    assert_content(1, 0, &bytes, "as much as was asked for");
    let mut kicked = listen_as(&engine, &mount, 7, Some(RESETS));
    read(&mut kicked, 5000);
    engine.kick(&mount, 7);
    assert_eq!(ends.recv_timeout(WAIT).unwrap().reason, Reason::Kicked);
    assert_eq!(end(&mut kicked), (Vec::new(), false));
    let mut last = listen_as(&engine, &mount, 8, Some(RESETS));
    mount.close();
    let (bytes, reset) = end(&mut last);
    assert_eq!((bytes.len(), reset), (5000, false));
}

#[test]
fn an_undeclared_splice_ends_a_body_that_is_counted_and_a_declared_one_does_not() {
    for declared in [true, false] {
        let (engine, ends) = engine(EngineConfig::default());
        let mount = engine.mount("/live", quick());
        mount.begin(run(1, 0));
        mount.append(&content(1, 0, 5000), Some(0));
        let mut counted = listen_as(&engine, &mount, 0, Some(RESETS));
        let mut other = listen_as(&engine, &mount, 1, None);
        for client in [&mut counted, &mut other] {
            assert_content(1, 0, &read(client, 5000), "the first epoch");
        }
        let mut next = run(2, 0);
        next.declared = declared;
        mount.begin(next);
        mount.append(&content(2, 0, 3000), Some(1));
        assert_content(2, 0, &read(&mut other, 3000), "carried");
        if declared {
            assert_content(2, 0, &read(&mut counted, 3000), "carried and counted");
        } else {
            assert_eq!(ends.recv_timeout(WAIT).unwrap().reason, Reason::Epoch);
            assert_eq!(end(&mut counted), (Vec::new(), true));
        }
    }
}
