//! What is counted of a mount.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use icecast_ext_core::resume::{Kind as StartKind, Start};
use icecast_ext_delivery::{Ended, Kind, Passed, Reason, Tally};

use super::{Count, lock};
use crate::caller::Caller;
use crate::events::{Events, What, Who, short};
use crate::station::Supply;

/// Why listeners leave, in the order of [`MountFigures::left`].
pub(crate) const REASONS: [&str; 10] = [
    "closed",
    "epoch",
    "evicted",
    "stuck",
    "replaced",
    "mount-closed",
    "shutdown",
    "kicked",
    "moved",
    "complete",
];

fn reason(reason: Reason) -> usize {
    match reason {
        Reason::PeerClosed => 0,
        Reason::Epoch => 1,
        Reason::Evicted => 2,
        Reason::Stuck => 3,
        Reason::Replaced => 4,
        Reason::MountClosed => 5,
        Reason::Shutdown => 6,
        Reason::Kicked => 7,
        Reason::Moved => 8,
        Reason::Complete => 9,
    }
}

/// How a connection of a pull went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pulled {
    /// Made.
    Connected,
    /// It broke while bytes came.
    Lost,
    /// It broke because nothing came.
    Silent,
    /// The next one was proven to continue it.
    Healed,
    /// A new epoch was minted.
    Minted,
    /// Another upstream gave it than before.
    Moved,
}

/// Listeners who began, by how.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    pub(crate) joins: Count,
    pub(crate) resumes: Count,
    /// Among `resumes`: into another epoch, by a declared splice or an alias.
    pub(crate) spliced: Count,
    pub(crate) misses: Count,
}

/// No bytes come from the upstream.
#[derive(Debug)]
struct Lost {
    since: Instant,
    told: bool,
}

impl Lost {
    fn now() -> Self {
        Self {
            since: Instant::now(),
            told: false,
        }
    }
}

/// What is counted of a mount. Outlives its stations.
#[derive(Debug)]
pub(crate) struct MountFigures {
    name: Arc<str>,
    events: Arc<Events>,
    /// Stock clients, aware ones, relays.
    pub(crate) starts: [Starts; 3],
    /// Bytes that clients were told they lost.
    pub(crate) lost_bytes: Count,
    /// Misses where it is not known how many.
    pub(crate) lost_unknown: Count,
    /// Resumes that were refused.
    pub(crate) refused: Count,
    /// Resumes at a peer's position.
    pub(crate) aliased: Count,
    /// Peers whose stream was found to be another.
    pub(crate) aliases_refuted: Count,
    /// By [`REASONS`].
    pub(crate) left: [Count; REASONS.len()],
    pub(crate) pulled: [Count; 6],
    /// Where the stream comes from.
    upstream: Mutex<Option<Arc<str>>>,
    tallies: Mutex<(Passed, Vec<Arc<Tally>>)>,
    lost: Mutex<Option<Lost>>,
}

/// Names of [`MountFigures::starts`].
pub(crate) const CLIENTS: [&str; 3] = ["stock", "aware", "relay"];

impl MountFigures {
    pub(super) fn new(name: &str, events: Arc<Events>) -> Self {
        Self {
            name: name.into(),
            events,
            starts: Default::default(),
            lost_bytes: Count::default(),
            lost_unknown: Count::default(),
            refused: Count::default(),
            aliased: Count::default(),
            aliases_refuted: Count::default(),
            left: Default::default(),
            pulled: Default::default(),
            upstream: Mutex::default(),
            tallies: Mutex::default(),
            lost: Mutex::default(),
        }
    }

    /// Counts a station's bytes from now on.
    pub(crate) fn follow(&self, tally: &Arc<Tally>) {
        lock(&self.tallies).1.push(tally.clone());
    }

    /// Bytes through all stations of this name.
    pub(crate) fn passed(&self) -> Passed {
        let (past, tallies) = &mut *lock(&self.tallies);
        // Whoever holds the last one counts no more.
        tallies.retain(|tally| {
            let goes = Arc::strong_count(tally) == 1;
            if goes {
                *past += tally.passed();
            }
            !goes
        });
        let mut all = *past;
        for tally in tallies.iter() {
            all += tally.passed();
        }
        all
    }

    /// Joins, resumes and misses of all kinds of clients.
    pub(crate) fn sum(&self, of: impl Fn(&Starts) -> &Count) -> u64 {
        self.starts.iter().map(|starts| of(starts).get()).sum()
    }

    /// A listener is handed to the loops.
    pub(crate) fn admitted(&self, caller: &Caller, kind: Kind, aware: bool, start: &Start) {
        let client = match kind {
            Kind::Feed => 2,
            _ => usize::from(aware),
        };
        let starts = &self.starts[client];
        let who = Who {
            address: caller.address,
            agent: short(&caller.agent),
            kind: match kind {
                Kind::Plain => "plain",
                Kind::Icy => "icy",
                Kind::Feed => "feed",
            },
            aware: client == 1,
            epoch: start.at.epoch.to_string(),
            offset: start.at.offset.get(),
        };
        let what = match start.kind {
            StartKind::Join => {
                starts.joins.one();
                What::Joined(who)
            }
            StartKind::Exact | StartKind::Spliced => {
                starts.resumes.one();
                if start.kind == StartKind::Spliced {
                    starts.spliced.one();
                }
                What::Resumed(who)
            }
            StartKind::Miss { lost } => {
                starts.misses.one();
                match lost {
                    Some(lost) => self.lost_bytes.add(lost),
                    None => self.lost_unknown.one(),
                }
                What::Missed { who, lost }
            }
        };
        self.events.listener(&self.name, what);
    }

    /// A listener's response has ended.
    pub(super) fn left(&self, address: IpAddr, ended: &Ended) {
        let index = reason(ended.reason);
        self.left[index].one();
        let what = What::Left {
            address,
            reason: REASONS[index],
            seconds: ended.secs,
            bytes: ended.audio_bytes,
        };
        self.events.listener(&self.name, what);
    }

    /// A pull's connection.
    pub(crate) fn pulled(&self, how: Pulled) {
        self.pulled[how as usize].one();
    }

    pub(crate) fn pulls(&self, how: Pulled) -> u64 {
        self.pulled[how as usize].get()
    }

    /// The stream comes from this server now.
    pub(crate) fn comes_from(&self, upstream: &str) {
        *lock(&self.upstream) = Some(upstream.into());
    }

    /// The server that the stream came from last.
    pub(crate) fn upstream(&self) -> Option<Arc<str>> {
        lock(&self.upstream).clone()
    }

    /// The upstream, or the source, is gone while bytes came. Told once.
    pub(crate) fn upstream_lost(&self, why: &str) {
        let mut lost = lock(&self.lost);
        let lost = lost.get_or_insert_with(Lost::now);
        if !lost.told {
            lost.told = true;
            let why = short(why);
            self.events
                .tell(Some(&self.name), What::UpstreamLost { why });
        }
    }

    /// The supply of the mount has changed.
    pub(crate) fn supply(&self, now: Supply) {
        let mut lost = lock(&self.lost);
        match now {
            Supply::Starting => {}
            Supply::Lost(_) => {
                lost.get_or_insert_with(Lost::now);
            }
            Supply::NoSource | Supply::Refused => *lost = None,
            Supply::Live => {
                let lost = lost.take();
                let what = What::UpstreamLive {
                    lost_seconds: lost.map(|lost| lost.since.elapsed().as_secs_f64()),
                };
                self.events.tell(Some(&self.name), what);
            }
        }
    }

    /// For how long the upstream has given nothing, though a station may have been given up and made again meanwhile.
    pub(crate) fn lost_for(&self) -> Option<Duration> {
        lock(&self.lost).as_ref().map(|lost| lost.since.elapsed())
    }

    /// Something else about this mount.
    pub(crate) fn tell(&self, what: What) {
        self.events.tell(Some(&self.name), what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figures;

    #[test]
    fn a_mount_that_comes_again_goes_on_counting() {
        let figures = Figures::default();
        let mount =
            icecast_ext_delivery::Mount::new("/a", icecast_ext_delivery::MountConfig::default());
        let counts = figures.mount("/a");
        counts.follow(mount.tally());
        counts.starts[1].joins.one();
        drop(mount);
        assert_eq!(counts.passed(), Passed::default());
        assert!(
            lock(&counts.tallies).1.is_empty(),
            "what ended is folded in"
        );
        assert_eq!(figures.mount("/a").sum(|starts| &starts.joins), 1);
    }

    #[test]
    fn an_upstream_is_lost_until_bytes_come_whatever_stations_do() {
        let figures = Figures::default();
        let counts = figures.mount("/a");
        counts.supply(Supply::Lost(tokio::time::Instant::now()));
        counts.upstream_lost("it broke");
        counts.upstream_lost("it broke again");
        figures.mount("/a").supply(Supply::Starting);
        assert!(figures.mount("/a").lost_for().is_some());
        counts.supply(Supply::Live);
        assert_eq!(counts.lost_for(), None);
        let (past, _) = figures.events.subscribe(0);
        assert_eq!(past.len(), 2, "lost once, live once");
    }
}
