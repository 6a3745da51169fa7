//! What happens, for who looks on: a ring of the last events and a bus for the next ones.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::broadcast;

use icecast_ext_delivery::clock;

/// Events that are remembered for who comes late.
const REMEMBERED: usize = 500;
/// Events that a subscriber may be behind; then it is dropped, and comes back for what is remembered.
const BEHIND: usize = 256;
/// Listeners' events a second that are told one by one; the rest is told as a crowd.
const SINGLE: u32 = 20;
/// Longest text of an event, characters.
const TEXT: usize = 300;

/// One thing that happened.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Event {
    /// Counts from 1; `Last-Event-ID`.
    pub(crate) id: u64,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
    /// Decoded path; none for what concerns all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mount: Option<Arc<str>>,
    #[serde(flatten)]
    pub(crate) what: What,
}

/// A listener, as an event tells of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Who {
    pub(crate) address: IpAddr,
    pub(crate) agent: String,
    /// `plain`, `icy` or `feed`.
    pub(crate) kind: &'static str,
    /// Sends fields of ours.
    pub(crate) aware: bool,
    pub(crate) epoch: String,
    pub(crate) offset: u64,
}

/// What happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(crate) enum What {
    /// A listener that asked for nothing in particular.
    Joined(Who),
    /// A listener goes on where it was cut.
    Resumed(Who),
    /// What a listener asked for is gone. `lost`: bytes, where known.
    Missed {
        #[serde(flatten)]
        who: Who,
        lost: Option<u64>,
    },
    /// A listener's response has ended.
    Left {
        address: IpAddr,
        reason: &'static str,
        seconds: u64,
        bytes: u64,
    },
    /// What happened to more listeners than can be told one by one, within about a second.
    Crowd(Crowd),
    Title {
        title: String,
        epoch: String,
        offset: u64,
    },
    /// An epoch begins. `declared`: it is said to follow the one before.
    Epoch {
        epoch: String,
        offset: u64,
        declared: bool,
    },
    /// The connection to the upstream, or the source.
    UpstreamLost {
        why: String,
    },
    /// Bytes come again, or for the first time.
    UpstreamLive {
        lost_seconds: Option<f64>,
    },
    /// A new connection to the upstream was proven to continue the epoch.
    Healed {},
    /// A limit was hit. Told once in a while, with how often since.
    Limit {
        limit: &'static str,
        times: u64,
    },
    Reload {
        ok: bool,
        note: String,
    },
    Upgrade {
        note: String,
    },
}

/// Listeners, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Crowd {
    pub(crate) joined: u64,
    pub(crate) resumed: u64,
    pub(crate) missed: u64,
    pub(crate) left: u64,
    /// Bytes.
    pub(crate) lost: u64,
}

impl Crowd {
    fn add(&mut self, what: &What) {
        match what {
            What::Joined(_) => self.joined += 1,
            What::Resumed(_) => self.resumed += 1,
            What::Missed { lost, .. } => {
                self.missed += 1;
                self.lost += lost.unwrap_or(0);
            }
            What::Left { .. } => self.left += 1,
            _ => {}
        }
    }
}

#[derive(Debug)]
struct Inside {
    next: u64,
    ring: VecDeque<Arc<Event>>,
    second: Instant,
    told: u32,
    crowds: HashMap<Arc<str>, Crowd>,
}

/// The ring and the bus.
#[derive(Debug)]
pub(crate) struct Events {
    inside: Mutex<Inside>,
    bus: broadcast::Sender<Arc<Event>>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            inside: Mutex::new(Inside {
                next: 1,
                ring: VecDeque::new(),
                second: Instant::now(),
                told: 0,
                crowds: HashMap::new(),
            }),
            bus: broadcast::Sender::new(BEHIND),
        }
    }
}

/// At most [`TEXT`] characters.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(TEXT).collect()
}

impl Events {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, inside: &mut Inside, mount: Option<Arc<str>>, what: What) {
        let event = Arc::new(Event {
            id: inside.next,
            at: clock::now_ms(),
            mount,
            what,
        });
        inside.next += 1;
        if inside.ring.len() >= REMEMBERED {
            inside.ring.pop_front();
        }
        inside.ring.push_back(event.clone());
        // Nobody may be looking.
        let _ = self.bus.send(event);
    }

    /// Something happened.
    pub(crate) fn tell(&self, mount: Option<&Arc<str>>, what: What) {
        self.put(&mut self.lock(), mount.cloned(), what);
    }

    /// Something happened to a listener.
    pub(crate) fn listener(&self, mount: &Arc<str>, what: What) {
        let mut inside = self.lock();
        let now = Instant::now();
        if now.duration_since(inside.second) >= Duration::from_secs(1) {
            inside.second = now;
            inside.told = 0;
        }
        if inside.told < SINGLE {
            inside.told += 1;
            self.put(&mut inside, Some(mount.clone()), what);
        } else {
            inside.crowds.entry(mount.clone()).or_default().add(&what);
        }
    }

    /// Tells of the crowds; to be called about once a second.
    pub(crate) fn flush(&self) {
        let mut inside = self.lock();
        for (mount, crowd) in std::mem::take(&mut inside.crowds) {
            self.put(&mut inside, Some(mount), What::Crowd(crowd));
        }
    }

    /// What is remembered after the event `after`, and everything from now on.
    pub(crate) fn subscribe(
        &self,
        after: u64,
    ) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let inside = self.lock();
        // An id from before a restart is no id of ours.
        let after = if after < inside.next { after } else { 0 };
        let past = inside.ring.iter().filter(|event| event.id > after);
        (past.cloned().collect(), self.bus.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left() -> What {
        What::Left {
            address: [127, 0, 0, 1].into(),
            reason: "closed",
            seconds: 1,
            bytes: 2,
        }
    }

    #[test]
    fn a_crowd_is_told_as_one() {
        let events = Events::default();
        let mount: Arc<str> = "/a".into();
        for _ in 0..SINGLE + 30 {
            events.listener(&mount, left());
        }
        events.flush();
        let (past, _) = events.subscribe(0);
        assert_eq!(past.len(), SINGLE as usize + 1);
        let What::Crowd(crowd) = &past[SINGLE as usize].what else {
            panic!("{past:?}");
        };
        assert_eq!((crowd.left, crowd.joined), (30, 0));
    }

    #[test]
    fn who_comes_back_gets_what_came_after_and_the_ring_is_bounded() {
        let events = Events::default();
        let (_, mut bus) = events.subscribe(0);
        for n in 0..REMEMBERED as u64 + 10 {
            let note = n.to_string();
            events.tell(None, What::Upgrade { note });
        }
        let (past, _) = events.subscribe(0);
        assert_eq!((past.len(), past[0].id), (REMEMBERED, 11));
        let (past, _) = events.subscribe(REMEMBERED as u64 + 8);
        assert_eq!(past.len(), 2);
        let (past, _) = events.subscribe(u64::MAX);
        assert_eq!(past.len(), REMEMBERED, "an id from another life");
        assert!(matches!(
            bus.try_recv(),
            Err(broadcast::error::TryRecvError::Lagged(_))
        ));
    }

    #[test]
    fn an_event_is_flat_json() {
        let events = Events::default();
        events.tell(Some(&"/\"<b>".into()), left());
        let (past, _) = events.subscribe(0);
        let json = serde_json::to_value(&*past[0]).unwrap();
        assert_eq!(json["event"], "left");
        assert_eq!(json["mount"], "/\"<b>");
        assert_eq!(json["address"], "127.0.0.1");
    }
}
