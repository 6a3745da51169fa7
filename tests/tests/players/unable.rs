//! Players that cannot resume: nothing is worse for them than at Icecast.

use std::net::SocketAddr;
use std::time::Duration;

use icecast_ext_tests::cutter::{Cutter, How, Manners, Passage};
use icecast_ext_tests::icy;
use icecast_ext_tests::player::liquidsoap::LIQUIDSOAP;
use icecast_ext_tests::player::mpd::MPD;
use icecast_ext_tests::player::mplayer::MPLAYER;
use icecast_ext_tests::player::streamripper::STREAMRIPPER;
use icecast_ext_tests::player::{Family, Player};
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::wait_for;

use crate::case::Level;
use crate::radio::Radio;
use crate::trial::RATE;

/// liquidsoap takes six seconds to start, and six to come back.
const LONG: Duration = Duration::from_secs(40);
/// A burst, and three seconds.
const ENOUGH: u64 = 65_536 + 3 * RATE;

/// What those are told who may resume.
pub(crate) const OURS: [&str; 7] = [
    "Accept-Ranges",
    "Content-Length",
    "Content-Location",
    "Content-Range",
    "ETag",
    "Location",
    "Set-Cookie",
];

#[derive(Clone, Copy)]
struct Unable {
    family: Family,
    /// Nobody could tell it from one that resumes. It asks as ffmpeg does, with ffmpeg's library, and is told the same.
    alike: bool,
    /// Its file is the stream.
    writes: bool,
    /// It joins again by itself after a cut.
    rejoins: bool,
}

const UNABLE: [Unable; 4] = [
    Unable {
        family: MPD,
        alike: false,
        writes: false,
        rejoins: false,
    },
    Unable {
        family: MPLAYER,
        alike: false,
        writes: true,
        rejoins: false,
    },
    Unable {
        family: LIQUIDSOAP,
        alike: true,
        writes: false,
        rejoins: true,
    },
    Unable {
        family: STREAMRIPPER,
        alike: false,
        writes: true,
        rejoins: true,
    },
];

/// One at one server.
struct Listening {
    unable: Unable,
    place: &'static str,
    level: Level,
    wire: Cutter,
    player: Player,
}

impl Listening {
    async fn start(unable: Unable, place: &'static str, level: Level, addr: SocketAddr) -> Self {
        let wire = Cutter::to(addr).await.expect("a wire");
        wire.behave(Manners {
            keep: 4 << 20,
            ..Manners::default()
        });
        let url = format!("http://{}{}", wire.front(0), level.mount());
        let player = Player::start(unable.family, &url, true).expect(unable.family.name);
        Self {
            unable,
            place,
            level,
            wire,
            player,
        }
    }

    fn name(&self) -> String {
        format!(
            "{} at {} of {}",
            self.unable.family.name,
            self.level.name(),
            self.place
        )
    }

    fn passages(&self) -> Vec<Passage> {
        let passages = self.wire.passages().into_iter();
        passages.filter(|passage| passage.body > 0).collect()
    }

    async fn plays(&self) {
        wait_for(&format!("{} plays", self.name()), LONG, || {
            let most = self.passages().iter().map(|passage| passage.body).max();
            most >= Some(ENOUGH) && self.player.len() >= RATE
        })
        .await;
    }

    async fn rejoins(&self) {
        let before = self.wire.passages().len();
        self.wire.cut_now(How::Fin);
        wait_for(&format!("{} joins again", self.name()), LONG, || {
            let passages = self.wire.passages();
            passages[before..]
                .iter()
                .any(|passage| passage.body >= RATE)
        })
        .await;
    }

    fn judge(&self, truth: &[u8]) {
        let name = self.name();
        for passage in self.passages() {
            let told = OURS.map(|field| passage.told(field).map(|_| field));
            let told: Vec<_> = told.into_iter().flatten().collect();
            if !self.unable.alike {
                assert!(
                    passage.status == 200 && told.is_empty(),
                    "{name}: {told:?} in {}",
                    passage.answer
                );
                let metaint = passage.told("icy-metaint");
                let audio = match metaint.and_then(|metaint| metaint.parse().ok()) {
                    Some(metaint) => icy::split(&passage.kept, metaint).0,
                    None => passage.kept.clone(),
                };
                assert!(find(truth, &audio).is_some(), "{name}: other bytes");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_cannot_resume_play_as_at_icecast() {
    let radio = Radio::start().await;
    let (icecast, proxy) = (radio.icecast.addr(), radio.proxy.addr());
    let mut all = Vec::new();
    for unable in UNABLE {
        if unable.family.missing() {
            continue;
        }
        let (ranges, full) = (Level::Ranges, Level::Full);
        for (place, level, addr) in [
            ("icecast", ranges, icecast),
            ("the proxy", ranges, proxy),
            ("the proxy", full, proxy),
        ] {
            all.push(Listening::start(unable, place, level, addr).await);
        }
    }
    let mut heard = Vec::new();
    for listening in &all {
        listening.plays().await;
        heard.push(listening.player.heard());
    }
    let rejoining = all.iter().filter(|listening| listening.unable.rejoins);
    futures_util::future::join_all(rejoining.map(Listening::rejoins)).await;
    for listening in &mut all {
        listening.player.stop();
    }
    for (listening, heard) in all.iter().zip(heard) {
        let truth = radio.sent(listening.level).await;
        listening.judge(&truth);
        let name = listening.name();
        let is_stream = find(&truth, &heard).is_some();
        assert!(
            is_stream || !listening.unable.writes,
            "{name} writes something else"
        );
    }
}
