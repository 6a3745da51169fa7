//! Looks at everything once a second: what has begun, how the loops are, how many listen.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use icecast_ext_core::address::Position;
use icecast_ext_core::icy;
use icecast_ext_core::timeline::{RunId, Timeline};
use icecast_ext_delivery::survey::Places;
use icecast_ext_delivery::{Mount, Survey};

use crate::events::{What, short};
use crate::figures::MountFigures;
use crate::server::Server;
use icecast_ext_delivery::clock;

const EVERY: Duration = Duration::from_secs(1);
/// Looks from one sample of a mount's history to the next.
const SAMPLE: u64 = 2;
/// Samples that are kept: five minutes.
const SAMPLES: usize = 150;
/// A loop or the ticker that does not answer for so long hangs.
const STUCK: Duration = Duration::from_secs(5);
/// Listeners are looked for one by one for so long after the status was asked for, ms.
const INTEREST: u64 = 15_000;
/// Events of one kind and mount that one look may tell.
const AT_ONCE: usize = 8;

/// A mount at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) listeners: u32,
    /// Bytes a second to all listeners.
    pub(crate) sent: u64,
    /// Canonical bytes a second from the upstream.
    pub(crate) received: u64,
}

/// What was seen of a mount.
#[derive(Debug)]
struct Seen {
    mount: Arc<Mount>,
    run: Option<RunId>,
    title: Option<Position>,
    passed: icecast_ext_delivery::Passed,
    history: VecDeque<Sample>,
}

/// The title as people read it.
pub(crate) fn title_of(text: &[u8]) -> Option<String> {
    let title = icy::titles(text).into_iter().next_back()?.title;
    Some(short(&String::from_utf8_lossy(title)))
}

impl Seen {
    fn new(mount: Arc<Mount>) -> Self {
        let passed = mount.tally().passed();
        Self {
            mount,
            run: None,
            title: None,
            passed,
            history: VecDeque::new(),
        }
    }

    /// Tells of the epochs and titles that have begun since the last look.
    fn tell(&mut self, figures: &MountFigures) {
        let mount = self.mount.clone();
        let (epochs, titles) =
            mount.with(|timeline| (self.epochs(timeline), self.titles(timeline)));
        for (at, declared) in epochs {
            figures.tell(What::Epoch {
                epoch: at.epoch.to_string(),
                offset: at.offset.get(),
                declared,
            });
        }
        for (at, title) in titles {
            figures.tell(What::Title {
                title,
                epoch: at.epoch.to_string(),
                offset: at.offset.get(),
            });
        }
    }

    fn epochs(&mut self, timeline: &Timeline) -> Vec<(Position, bool)> {
        let mut new = Vec::new();
        let mut splice = None;
        for run in timeline.runs() {
            if self.run.is_none_or(|seen| run.id > seen) {
                new.push((Position::new(run.epoch, run.start), splice == Some(true)));
                self.run = Some(run.id);
            }
            // Whether the next one is declared is known once it has a sync point; until then it is not told.
            let Some(next) = run.splice else { break };
            splice = Some(next.declared);
        }
        new.split_off(new.len().saturating_sub(AT_ONCE))
    }

    fn titles(&mut self, timeline: &Timeline) -> Vec<(Position, String)> {
        let Some(run) = timeline.runs().next_back() else {
            return Vec::new();
        };
        let told = self.title.filter(|told| told.epoch == run.epoch);
        let new = run
            .titles
            .iter()
            .filter(|title| told.is_none_or(|told| title.at > told.offset));
        let new: Vec<_> = new
            .filter_map(|title| Some((Position::new(run.epoch, title.at), title_of(&title.text)?)))
            .collect();
        // That there is none is no news at first.
        let news = |(_, title): &&(Position, String)| told.is_some() || !title.is_empty();
        // Of what was there at the first look, the one in force is enough.
        let most = if self.title.is_none() { 1 } else { AT_ONCE };
        if let Some((at, _)) = new.last() {
            self.title = Some(*at);
        }
        let new = &new[new.len().saturating_sub(most)..];
        new.iter().filter(news).cloned().collect()
    }

    fn sample(&mut self) {
        let now = self.mount.tally().passed();
        let each = SAMPLE * EVERY.as_secs();
        if self.history.len() >= SAMPLES {
            self.history.pop_front();
        }
        self.history.push_back(Sample {
            listeners: u32::try_from(self.mount.listeners().total()).unwrap_or(u32::MAX),
            sent: (now.sent - self.passed.sent) / each,
            received: (now.received - self.passed.received) / each,
        });
        self.passed = now;
    }
}

#[derive(Debug, Default)]
struct Inside {
    looks: u64,
    mounts: HashMap<String, Seen>,
    asked: Option<Arc<Survey>>,
    answered: Option<Arc<Survey>>,
    stuck: Option<&'static str>,
}

/// What is known of everything since the last look.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    inside: Mutex<Inside>,
    wanted: AtomicU64,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody looks at the status: for a while, it is looked where each listener stands.
    pub(crate) fn want(&self) {
        self.wanted.store(clock::now_ms(), Ordering::Relaxed);
    }

    /// What hangs, if anything does.
    pub(crate) fn stuck(&self) -> Option<&'static str> {
        self.lock().stuck
    }

    /// Where a mount's listeners stood, and its last minutes, [`Watch::sample_seconds`] apart.
    pub(crate) fn of(&self, path: &str, mount: &Mount) -> (Places, Vec<Sample>) {
        let inside = self.lock();
        let places = inside.answered.as_ref().map(|survey| survey.places(mount));
        let seen = inside.mounts.get(path);
        let history = seen.map(|seen| seen.history.iter().copied().collect());
        (places.unwrap_or_default(), history.unwrap_or_default())
    }

    pub(crate) const fn sample_seconds() -> u64 {
        SAMPLE * EVERY.as_secs()
    }

    /// Until the server stops.
    pub(crate) async fn run(server: Arc<Server>) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = server.stop.cancelled() => return,
                _ = ticks.tick() => server.watch.look(&server),
            }
        }
    }

    fn look(&self, server: &Server) {
        let inside = &mut *self.lock();
        inside.looks += 1;
        let stations = server.stations.all();
        inside.mounts.retain(|path, seen| {
            let same = |station: &Arc<crate::station::Station>| {
                station.path == *path && Arc::ptr_eq(&station.mount, &seen.mount)
            };
            stations.iter().any(same)
        });
        for station in &stations {
            let seen = inside
                .mounts
                .entry(station.path.clone())
                .or_insert_with(|| Seen::new(station.mount.clone()));
            seen.tell(&station.figures);
            if inside.looks.is_multiple_of(SAMPLE) {
                seen.sample();
            }
        }
        server.figures.flush();
        inside.survey(
            server,
            clock::now_ms().saturating_sub(self.wanted.load(Ordering::Relaxed)) < INTEREST,
        );
    }
}

impl Inside {
    /// Asks the loops, and notes if they owe an answer.
    fn survey(&mut self, server: &Server, places: bool) {
        let owed = self.asked.as_ref().and_then(|survey| survey.owed());
        let stuck = if owed.is_some_and(|owed| owed >= STUCK) {
            Some("a delivery loop")
        } else if server.engine.ticker_busy() >= STUCK {
            Some("the ticker")
        } else {
            None
        };
        match (self.stuck, stuck) {
            (None, Some(what)) => tracing::error!(
                what,
                "hangs for {} s: listeners get nothing. Is the machine out of CPU, or a disk stalled? A stack trace (gdb -p, thread apply all bt) would tell",
                STUCK.as_secs()
            ),
            (Some(what), None) => tracing::warn!(what, "goes on"),
            _ => {}
        }
        self.stuck = stuck;
        if owed.is_none() {
            self.answered = self.asked.replace(server.engine.survey(places));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use icecast_ext_core::address::{Epoch, Offset};
    use icecast_ext_core::buffer::RunStart;
    use icecast_ext_core::codec::Format;
    use icecast_ext_delivery::MountConfig;

    use super::*;
    use crate::figures::Figures;

    fn begin(mount: &Arc<Mount>, epoch: u8) {
        mount.begin(RunStart {
            epoch: Epoch::from_bytes([epoch; 16]),
            first: Offset::ZERO,
            declared: true,
            format: Format::Opaque,
            fields: Bytes::new(),
            prelude: None,
        });
    }

    #[test]
    fn each_epoch_and_title_is_told_once() {
        let figures = Figures::default();
        let mount = Mount::new("/a", MountConfig::default());
        let mut seen = Seen::new(mount.clone());
        let told = |seen: &mut Seen| {
            let (before, _) = figures.events.subscribe(0);
            seen.tell(&figures.mount("/a"));
            let (after, _) = figures.events.subscribe(0);
            let new = after[before.len()..].iter().map(|event| match &event.what {
                What::Title { title, .. } => title.clone(),
                What::Epoch { declared, .. } => format!("epoch {declared}"),
                other => panic!("{other:?}"),
            });
            new.collect::<Vec<_>>()
        };
        begin(&mount, 1);
        mount.title(None, Bytes::from_static(b"StreamTitle='one';"));
        mount.append(b"abc", Some(1));
        mount.flush();
        assert_eq!(told(&mut seen), ["epoch false", "one"]);
        assert!(told(&mut seen).is_empty());
        mount.title(None, Bytes::from_static(b"StreamTitle='two';"));
        mount.append(b"abc", Some(2));
        mount.title(None, Bytes::from_static(b"StreamTitle='<b>';"));
        mount.append(b"abc", Some(2));
        begin(&mount, 2);
        mount.append(b"abc", Some(3));
        mount.flush();
        let new = told(&mut seen);
        assert!(new.starts_with(&["epoch true".to_owned()]), "{new:?}");
    }
}
