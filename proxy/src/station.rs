//! A mount that we serve: its back buffer, and how its upstream or source is doing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::buffer::RunStart;
use icecast_ext_core::codec::Format;
use icecast_ext_core::head::field_lines;
use icecast_ext_core::stock::Anchors;
use icecast_ext_core::timeline::Timeline;
use icecast_ext_delivery::Mount;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::figures::MountFigures;
use crate::gate::Gate;
use crate::handover::Pull;
use crate::pace::Pace;
use crate::upstream::Listed;
use icecast_ext_delivery::clock;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How the bytes of a mount are coming in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Supply {
    /// Nothing is known yet.
    Starting,
    /// Bytes come.
    Live,
    /// They came; the connection is gone, and another is being tried.
    Lost(Instant),
    /// The upstream answers, and says that there is no such mount now.
    NoSource,
    /// The upstream wants credentials, or is no stream: not for us to fan out.
    Refused,
}

impl Supply {
    /// As logs and documents have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Live => "live",
            Self::Lost(_) => "lost",
            Self::NoSource => "no-source",
            Self::Refused => "refused",
        }
    }
}

/// A mount and its supply.
#[derive(Debug)]
pub(crate) struct Station {
    pub(crate) path: String,
    pub(crate) mount: Arc<Mount>,
    pub(crate) figures: Arc<MountFigures>,
    /// Its pull is behind this.
    pub(crate) gate: Gate,
    supply: watch::Sender<Supply>,
    /// When it was last found lost.
    lost: Mutex<Option<Instant>>,
    /// As the upstream's stats had it last.
    listed: Mutex<Option<Listed>>,
    /// Listeners of ours that the upstream counts as well.
    pub(crate) shadows: Arc<AtomicUsize>,
    anchors: Mutex<Anchors>,
    /// For requests that have waited for audio in vain.
    pub(crate) pace: Pace,
    /// Listeners that were promised a place, and are not counted by the mount yet.
    coming: Mutex<u64>,
    taken: AtomicBool,
    /// What is held was read from a journal, and nothing has come since.
    recalled: AtomicBool,
    /// It comes as a relay feed.
    fed: AtomicBool,
    /// What the pull knew last.
    pull: Mutex<Option<Pull>>,
}

/// The right to be a mount's source; given back when dropped.
pub(crate) struct Seat(Arc<Station>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

impl Station {
    /// Whatever `mount` holds already is from a journal.
    pub(crate) fn new(path: &str, mount: Arc<Mount>, figures: Arc<MountFigures>) -> Arc<Self> {
        let recalled = mount.with(|timeline| timeline.edge().is_some());
        Self::taken_over(path, mount, figures, recalled, Supply::Starting, None)
    }

    /// As another process had it.
    pub(crate) fn taken_over(
        path: &str,
        mount: Arc<Mount>,
        figures: Arc<MountFigures>,
        recalled: bool,
        supply: Supply,
        pull: Option<Pull>,
    ) -> Arc<Self> {
        figures.follow(mount.tally());
        Arc::new(Self {
            path: path.to_owned(),
            mount,
            figures,
            gate: Gate::default(),
            supply: watch::Sender::new(supply),
            lost: Mutex::default(),
            listed: Mutex::default(),
            shadows: Arc::default(),
            anchors: Mutex::default(),
            pace: Pace::default(),
            coming: Mutex::default(),
            taken: AtomicBool::new(false),
            recalled: AtomicBool::new(recalled),
            fed: AtomicBool::new(false),
            pull: Mutex::new(pull),
        })
    }

    /// What has become of stock players' anchors.
    pub(crate) fn anchors(&self) -> MutexGuard<'_, Anchors> {
        lock(&self.anchors)
    }

    /// What the pull knows now.
    pub(crate) fn remember(&self, pull: Pull) {
        *self.pull.lock().unwrap_or_else(PoisonError::into_inner) = Some(pull);
    }

    /// What the pull knew last.
    pub(crate) fn remembered(&self) -> Option<Pull> {
        *self.pull.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One source at a time.
    pub(crate) fn take_seat(self: &Arc<Self>) -> Option<Seat> {
        (!self.taken.swap(true, Ordering::AcqRel)).then(|| Seat(self.clone()))
    }

    /// Bytes that arrived now.
    pub(crate) fn append(&self, bytes: &[u8]) {
        self.recalled.store(false, Ordering::Release);
        let next = self.mount.received();
        if next.is_some_and(|next| next.offset.checked_add(bytes.len() as u64).is_none()) {
            self.begin_anew();
        }
        self.mount.append(bytes, Some(clock::now_ms()));
    }

    /// The offsets of an epoch are used up (R-EPOCH-6): the stream goes on in another, and nothing is lost.
    fn begin_anew(&self) {
        let Ok(epoch) = crate::random_epoch() else {
            return tracing::error!(mount = self.path, "no randomness for an epoch");
        };
        let run = self.mount.with(|timeline| {
            let run = timeline.runs().last()?;
            Some(RunStart {
                epoch,
                first: Offset::ZERO,
                declared: true,
                format: run.format,
                fields: run.fields.clone(),
                prelude: Some(run.prelude_at(run.window.next)).filter(|bytes| !bytes.is_empty()),
            })
        });
        if let Some(run) = run {
            tracing::info!(mount = self.path, %epoch, "the offsets of the epoch are used up: another begins");
            self.mount.begin(run);
        }
    }

    /// Whether the run that is held ended where it seems to. A journal may lack the last bytes that were sent before a
    /// crash, and then a splice at its end would not be true for who has heard them (R-SPLICE-1).
    pub(crate) fn end_is_known(&self) -> bool {
        !self.recalled.load(Ordering::Acquire)
    }

    /// The upstream speaks our protocol, or does not.
    pub(crate) fn feeds(&self, fed: bool) {
        self.fed.store(fed, Ordering::Release);
    }

    /// Whether the upstream speaks our protocol, as far as is known.
    pub(crate) fn is_fed(&self) -> bool {
        self.fed.load(Ordering::Acquire)
    }

    /// How long ago the newest byte arrived.
    pub(crate) fn age(&self) -> Option<Duration> {
        let newest = self
            .mount
            .with(|timeline| timeline.runs().last()?.times.back().map(|(_, ms)| *ms))?;
        Some(Duration::from_millis(
            clock::now_ms().saturating_sub(newest),
        ))
    }

    /// How much is held, by arrival time.
    pub(crate) fn held_seconds(&self) -> f64 {
        let ends = |timeline: &Timeline| {
            let first = timeline.runs().find_map(|run| run.times.front())?.1;
            let last = timeline.runs().rev().find_map(|run| run.times.back())?.1;
            Some(Duration::from_millis(last.saturating_sub(first)))
        };
        self.mount.with(ends).unwrap_or_default().as_secs_f64()
    }

    /// Bytes held between `at` and where a new listener would start: what an answer from there has to catch up with.
    pub(crate) fn behind_live(&self, at: Position) -> u64 {
        let held = self.mount.with(|timeline| {
            let mut held = 0;
            for run in timeline.runs().rev() {
                let here = run.epoch == at.epoch && run.window.reaches(at.offset);
                let from = if here { at.offset } else { run.window.first };
                held += run.window.next.since(from).unwrap_or(0);
                if here {
                    break;
                }
            }
            held
        });
        held.saturating_sub(self.mount.config().burst)
    }

    /// One of this mount's epochs, or a peer's that is known to be one.
    pub(crate) fn knows_somehow(&self, epoch: Epoch) -> bool {
        self.knows(epoch) || self.mount.knows_alias(epoch)
    }

    /// One of this mount's epochs, whether or not its bytes are still held.
    pub(crate) fn knows(&self, epoch: Epoch) -> bool {
        self.mount.with(|timeline| timeline.knows(epoch))
    }

    /// The format of the run that an answer starts in, and its lines for the answer's head.
    pub(crate) fn run_at(&self, at: Position) -> (Format, Bytes) {
        let look = |timeline: &Timeline| {
            let run = timeline.run_at(at)?;
            Some((run.format, run.fields.clone()))
        };
        self.mount
            .with(look)
            .unwrap_or((Format::Opaque, Bytes::new()))
    }

    pub(crate) fn supply(&self) -> Supply {
        *self.supply.borrow()
    }

    /// Whether the supply was lost at any time since then.
    pub(crate) fn lost_since(&self, then: std::time::Instant) -> bool {
        lock(&self.lost).is_some_and(|lost| lost.into_std() >= then)
    }

    /// As the upstream's stats had it last.
    pub(crate) fn listed(&self) -> Option<Listed> {
        *lock(&self.listed)
    }

    /// As the upstream's stats have it.
    pub(crate) fn list(&self, listed: Listed) {
        *lock(&self.listed) = Some(listed);
    }

    /// Listeners that were promised a place, and are not counted by the mount yet.
    pub(crate) fn coming(&self) -> MutexGuard<'_, u64> {
        lock(&self.coming)
    }

    /// Whether anything has been said of this stream yet.
    pub(crate) fn begun(&self) -> bool {
        self.mount.with(|timeline| timeline.runs().last().is_some())
    }

    /// A field of the newest bytes.
    pub(crate) fn says(&self, name: &str) -> Option<Vec<u8>> {
        let lines = self
            .mount
            .with(|timeline| Some(timeline.runs().last()?.fields.clone()))?;
        let fields = field_lines(&lines).ok()?;
        let field = fields.iter().find(|field| field.is(name))?;
        Some(field.value.to_vec())
    }

    /// Notes a change, and logs it once.
    pub(crate) fn set(&self, now: Supply) {
        if let Supply::Lost(_) = now {
            *lock(&self.lost) = Some(Instant::now());
        }
        self.supply.send_if_modified(|was| {
            let both_lost = matches!((&*was, now), (Supply::Lost(_), Supply::Lost(_)));
            if *was == now || both_lost {
                return false;
            }
            tracing::info!(
                mount = self.path,
                was = was.name(),
                now = now.name(),
                "supply"
            );
            self.figures.supply(now);
            *was = now;
            true
        });
    }

    /// What the supply is once it is no longer starting.
    pub(crate) async fn settled(&self) -> Supply {
        self.once(|supply| *supply != Supply::Starting).await
    }

    /// What the supply is once that is so.
    pub(crate) async fn once(&self, so: impl FnMut(&Supply) -> bool) -> Supply {
        let mut watch = self.supply.subscribe();
        match watch.wait_for(so).await {
            Ok(supply) => *supply,
            Err(_) => Supply::Starting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figures;
    use icecast_ext_delivery::MountConfig;

    #[test]
    fn a_new_epoch_begins_before_the_offsets_are_used_up() {
        let mount = Mount::new("/x", MountConfig::default());
        let station = Station::new("/x", mount.clone(), Figures::default().mount("/x"));
        let epoch = Epoch::from_bytes([7; 16]);
        mount.begin(RunStart {
            epoch,
            first: Offset::new(Offset::MAX.get() - 10).unwrap(),
            declared: false,
            format: Format::Opaque,
            fields: Bytes::new(),
            prelude: None,
        });
        station.append(&[1; 8]);
        assert_eq!(mount.received().unwrap().epoch, epoch);
        station.append(&[2; 8]);
        let next = mount.received().unwrap();
        assert_eq!((next.epoch == epoch, next.offset.get()), (false, 8));
        mount.flush();
        let last = mount.with(|timeline| timeline.runs().next().unwrap().window.next);
        assert_eq!(last.get(), Offset::MAX.get() - 2);
    }
}
