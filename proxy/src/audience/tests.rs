use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Instant;

use super::*;
use crate::config;
use crate::limits::Limits;

struct Room {
    audience: Audience,
    log: Arc<AccessLog>,
    path: PathBuf,
    start: SystemTime,
    _dir: tempfile::TempDir,
}

fn caller(agent: &str) -> Caller {
    Caller {
        peer: ([192, 0, 2, 1], 1234).into(),
        trusted: false,
        address: [192, 0, 2, 1].into(),
        limited: true,
        agent: agent.to_owned(),
        referer: String::new(),
        user: None,
        line: "GET /live.mp3 HTTP/1.1".to_owned(),
    }
}

fn session(n: u8) -> Session {
    Session::from_bytes([n; 16])
}

impl Room {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let log = Arc::new(AccessLog::start(Some(&path)).unwrap());
        Self {
            audience: Audience::new(log.clone()),
            log,
            path,
            start: SystemTime::now(),
            _dir: dir,
        }
    }

    fn at(&self, seconds: u64) -> SystemTime {
        self.start + Duration::from_secs(seconds)
    }

    fn join(&self, at: u64, session: Option<Session>, previous: Option<Session>) -> u64 {
        let joining = Joining {
            join: None,
            caller: &caller("a"),
            mount: "/live.mp3",
            kind: Kind::Plain,
            session,
            previous,
            keep: Duration::from_secs(60),
            places: Places::default(),
        };
        self.audience.admitted_at(joining, self.at(at))
    }

    fn end(&self, at: u64, id: u64, sent_bytes: u64, reason: Reason) {
        let ended = Ended {
            id,
            reason,
            sent_bytes,
            audio_bytes: 0,
            secs: 0,
        };
        self.audience.ended_at(ended, self.at(at));
    }

    /// Bytes and seconds of each line.
    fn lines(&self) -> Vec<(u64, u64)> {
        self.log.flush(Duration::from_secs(10));
        let text = std::fs::read_to_string(&self.path).unwrap();
        let read = |line: &str| {
            let bytes = line
                .split("\" 200 ")
                .nth(1)
                .unwrap()
                .split(' ')
                .next()
                .unwrap();
            (
                bytes.parse().unwrap(),
                line.rsplit(' ').next().unwrap().parse().unwrap(),
            )
        };
        text.lines().map(read).collect()
    }
}

#[test]
fn a_stock_listener_has_its_line_when_it_goes() {
    let room = Room::new();
    let id = room.join(0, None, None);
    assert!(id >= FIRST_ID && room.lines().is_empty());
    assert_eq!(room.audience.of("/live.mp3").len(), 1);
    assert!(room.audience.of("/other.mp3").is_empty());
    room.end(7, id, 1000, Reason::PeerClosed);
    assert_eq!(room.lines(), [(1000, 7)]);
    room.end(8, id, 1000, Reason::PeerClosed);
    assert_eq!(room.lines().len(), 1);
}

#[test]
fn a_session_that_is_cut_five_times_has_one_line() {
    let room = Room::new();
    let mut id = room.join(0, Some(session(0)), None);
    for n in 1..=5 {
        room.end(u64::from(n) * 10, id, 100, Reason::PeerClosed);
        room.audience.tick(room.at(u64::from(n) * 10 + 5));
        id = room.join(
            u64::from(n) * 10 + 5,
            Some(session(n)),
            Some(session(n - 1)),
        );
    }
    room.end(70, id, 100, Reason::PeerClosed);
    room.audience.tick(room.at(129));
    assert!(room.lines().is_empty(), "it may come back");
    room.audience.tick(room.at(131));
    assert_eq!(room.lines(), [(600, 70)]);
    let inside = room.audience.inside();
    assert!(inside.stories.is_empty() && inside.by_session.is_empty() && inside.away.is_empty());
}

#[test]
fn a_ghost_that_ends_after_its_successor_came_or_even_went_counts_as_well() {
    let room = Room::new();
    let ghost = room.join(0, Some(session(0)), None);
    let next = room.join(5, Some(session(1)), Some(session(0)));
    room.end(6, ghost, 100, Reason::Replaced);
    room.end(9, next, 10, Reason::PeerClosed);
    let last = room.join(9, Some(session(2)), Some(session(1)));
    let very_last = room.join(10, Some(session(3)), Some(session(2)));
    room.end(11, very_last, 1, Reason::PeerClosed);
    room.end(12, last, 1000, Reason::Replaced);
    room.audience.tick(room.at(100));
    assert_eq!(room.lines(), [(1111, 12)]);
}

#[test]
fn a_session_of_another_mount_or_an_old_one_is_another_listener() {
    let room = Room::new();
    let one = room.join(0, Some(session(0)), None);
    let two = room.join(1, Some(session(1)), Some(session(0)));
    let stranger = room.join(2, Some(session(2)), Some(session(0)));
    for (id, sent) in [(one, 1), (two, 2), (stranger, 4)] {
        room.end(3, id, sent, Reason::PeerClosed);
    }
    room.audience.tick(room.at(100));
    assert_eq!(room.lines(), [(3, 3), (4, 1)]);
}

#[test]
fn who_is_kicked_has_its_line_at_once_and_who_is_away_at_the_end() {
    let room = Room::new();
    let kicked = room.join(0, Some(session(0)), None);
    room.end(3, kicked, 5, Reason::Kicked);
    assert_eq!(room.lines(), [(5, 3)]);
    let away = room.join(0, Some(session(1)), None);
    room.end(4, away, 6, Reason::Stuck);
    room.audience.finish();
    assert_eq!(room.lines(), [(5, 3), (6, 4)]);
}

#[test]
fn one_that_was_never_taken_leaves_nothing() {
    let room = Room::new();
    let id = room.join(0, Some(session(0)), None);
    room.audience.forget(id);
    room.audience.forget(id);
    room.audience.finish();
    assert!(room.lines().is_empty() && room.audience.of("/live.mp3").is_empty());
}

#[test]
fn a_client_that_comes_back_is_not_kept_out_by_its_own_ghost() {
    let room = Room::new();
    let now = Instant::now();
    let limits = Limits::new(
        config::Limits {
            listeners: 1,
            connections_per_address: 0,
            joins_per_second: 0,
            resumes_per_second: 0,
            window_bytes_per_minute: 0,
            mounts: 0,
            held: 2,
        },
        10,
        now,
    );
    let places = Places {
        connection: None,
        seat: Some(limits.listener(now).unwrap()),
    };
    room.audience.admitted(Joining {
        join: None,
        caller: &caller("a"),
        mount: "/live.mp3",
        kind: Kind::Plain,
        session: Some(session(0)),
        previous: None,
        keep: Duration::from_secs(60),
        places,
    });
    assert!(limits.listener(now).is_err());
    assert!(room.audience.take_seat("/other.mp3", session(0)).is_none());
    let seat = room.audience.take_seat("/live.mp3", session(0));
    assert!(seat.is_some());
    assert!(room.audience.take_seat("/live.mp3", session(0)).is_none());
    assert!(limits.listener(now).is_err());
    drop(seat);
    assert!(limits.listener(now).is_ok());
}

#[test]
fn those_who_are_away_are_bounded() {
    let room = Room::new();
    let id = |n: u64| Session::from_bytes((u128::from(n) << 64 | 7).to_be_bytes());
    for n in 0..MAX_AWAY as u64 + 100 {
        let visit = room.join(0, Some(id(n)), None);
        room.end(1, visit, 1, Reason::PeerClosed);
    }
    assert_eq!(room.lines().len(), 100);
    assert_eq!(room.audience.inside().stories.len(), MAX_AWAY);
}

#[test]
fn a_listener_takes_less_than_half_a_kib_and_a_stock_one_a_quarter() {
    // A hash table has at least 7/16 of its buckets in use once it has grown, and one byte more a bucket.
    let bucket = |size: usize| (size + 1) * 16 / 7;
    let boxes = 2 * bucket(16) + bucket(size_of::<(Session, u64)>());
    let heap = size_of::<Entry>() + size_of::<Story>();
    assert!(boxes + heap < 512, "{boxes} + {heap}");
    // Who has no session has no story.
    let stock = bucket(16) + size_of::<Entry>();
    assert!(stock < 256, "{stock}");
    let one = Room::new();
    let agents: Vec<_> = (0..2).map(|n| one.join(n, None, None)).collect();
    let visits = one.audience.of("/live.mp3");
    assert!(Arc::ptr_eq(&visits[0].asked, &visits[1].asked) && agents.len() == 2);
    assert!(IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)) == visits[0].address);
}
