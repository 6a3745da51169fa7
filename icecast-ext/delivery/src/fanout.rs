//! A loop: its own epoll, its own listeners.
//!
//! Edge-triggered: a listener that was told "no room" waits for the kernel's word, the others for their mount's tick. Nobody is
//! sent more than a turn before the next in the queue has one. Listeners at the same place share a turn, made once under the
//! mount's lock; no lock is held while sending.

mod detach;
mod end;
mod join;
mod orders;
mod part;
mod serve;
mod survey;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use icecast_ext_core::address::Session;
use icecast_ext_core::buffer::Turn;
use icecast_ext_core::plan::Cursor;
use mio::{Events, Poll, Token, Waker};

use crate::engine::{LoopHandle, Message, Reason, Shared};
use crate::listener::{Listener, State};
use crate::mount::Mount;
use crate::socket::Peer;
use crate::tally::Passed;

const WAKE: Token = Token(usize::MAX);
/// Turns between two looks at the epoll and the inbox.
const BATCH: usize = 128;

#[derive(Debug)]
struct Group {
    mount: Arc<Mount>,
    members: Vec<u32>,
    /// Taken by their sockets, and not yet added to the mount's.
    sent: Passed,
}

impl Group {
    /// Tells the mount what was sent.
    fn settle(&mut self) {
        if self.sent.sent > 0 {
            self.mount.tally.add(std::mem::take(&mut self.sent));
        }
    }
}

/// A turn that was made for a cursor; others at the same one take it as it is.
#[derive(Debug, Default)]
struct Memo {
    made_for: Option<(u32, Cursor)>,
    turn: Turn,
    closed: bool,
}

/// Whose responses end once they have been sent what is held.
#[derive(Debug, Clone, Copy)]
enum Retiring {
    No,
    Aware,
    AllWhoReturn,
}

impl Retiring {
    fn takes(self, cursor: &Cursor) -> bool {
        match self {
            Self::No => false,
            Self::Aware => !cursor.is_stock(),
            Self::AllWhoReturn => !cursor.is_stock() || cursor.is_anchored(),
        }
    }
}

/// A loop's inside.
#[derive(Debug)]
pub(crate) struct Fanout {
    shared: Arc<Shared>,
    index: usize,
    poll: Poll,
    origin: Instant,
    now: u64,
    listeners: Vec<Option<Listener>>,
    free: Vec<u32>,
    live: usize,
    seq: u32,
    groups: Vec<Option<Group>>,
    by_mount: HashMap<u64, u32>,
    /// By the caller's id, whose response has not ended.
    by_id: HashMap<u64, u32>,
    sessions: HashMap<(u64, Session), u32>,
    ready: VecDeque<u32>,
    /// When somebody may be stuck, or has lingered enough: loop clock in ms, key, seq.
    timers: BinaryHeap<Reverse<(u64, u32, u32)>>,
    /// When somebody who is to part may have waited enough: as `timers`.
    lapses: BinaryHeap<Reverse<(u64, u32, u32)>>,
    memos: [Memo; 2],
    turns: usize,
    scratch: Turn,
    retiring: Retiring,
    drain: Option<Instant>,
}

impl Fanout {
    /// A loop's epoll, and what wakes it.
    pub(crate) fn poll() -> io::Result<(Poll, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        Ok((poll, waker))
    }

    pub(crate) fn new(shared: Arc<Shared>, index: usize, poll: Poll) -> Self {
        Self {
            shared,
            index,
            poll,
            origin: Instant::now(),
            now: 0,
            listeners: Vec::new(),
            free: Vec::new(),
            live: 0,
            seq: 0,
            groups: Vec::new(),
            by_mount: HashMap::new(),
            by_id: HashMap::new(),
            sessions: HashMap::new(),
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
            lapses: BinaryHeap::new(),
            memos: Default::default(),
            turns: 0,
            scratch: Turn::default(),
            retiring: Retiring::No,
            drain: None,
        }
    }

    fn handle(&self) -> &Arc<LoopHandle> {
        &self.shared.loops[self.index]
    }

    /// Until the engine is shut down.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        let mut inbox = Vec::new();
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "epoll");
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            self.now = self.clock();
            let handle = Arc::clone(self.handle());
            handle.take(&mut inbox);
            for message in inbox.drain(..) {
                self.message(message);
            }
            for event in &events {
                if event.token() != WAKE {
                    self.event(event);
                }
            }
            for _ in 0..BATCH {
                let Some(key) = self.ready.pop_front() else {
                    break;
                };
                self.serve(key);
            }
            self.timers();
            self.lapses();
            if self.drained() {
                return;
            }
        }
    }

    fn clock(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long there is nothing to do; `None`: until somebody says so.
    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let timers = self.timers.peek().into_iter().chain(self.lapses.peek());
        let timer = timers
            .map(|Reverse((due, ..))| Duration::from_millis(due.saturating_sub(self.clock())));
        let drain = self
            .drain
            .map(|end| end.saturating_duration_since(Instant::now()));
        timer.chain(drain).min()
    }

    // ---- what comes in ----

    fn message(&mut self, message: Message) {
        match message {
            Message::Admit(admission, before) => self.admit(*admission, before),
            Message::Detach(keep, out) => self.detach(&*keep, &out),
            Message::Dirty(mount) => self.dirty(mount),
            Message::Replace(mount, session) => {
                if let Some(key) = self.sessions.get(&(mount, session)) {
                    self.end(*key, Reason::Replaced);
                }
            }
            Message::Kick(mount, id) => self.kick(mount, id),
            Message::Part(id, order) => self.part(id, &order),
            Message::Renew(mount) => self.renew(mount),
            Message::Carry(from, to, moved) => self.carry(from, &to, &*moved),
            Message::Survey(survey) => self.survey(&survey),
            Message::Retire(anchored) => {
                self.retiring = if anchored {
                    Retiring::AllWhoReturn
                } else {
                    Retiring::Aware
                };
                self.all_dirty();
            }
            Message::Drain(end) => {
                self.drain = Some(end);
                self.all_dirty();
            }
        }
    }

    /// Loop clock, s.
    fn second(&self) -> i64 {
        i64::try_from(self.now / 1000).unwrap_or(i64::MAX)
    }

    fn all_dirty(&mut self) {
        let mounts: Vec<u64> = self.by_mount.keys().copied().collect();
        for mount in mounts {
            self.dirty(mount);
        }
    }

    /// The mount has something new for those who wait.
    fn dirty(&mut self, mount: u64) {
        let Some(&index) = self.by_mount.get(&mount) else {
            return;
        };
        for memo in &mut self.memos {
            if memo.made_for.is_some_and(|(group, _)| group == index) {
                memo.made_for = None;
                memo.turn.clear();
            }
        }
        let Some(group) = &mut self.groups[index as usize] else {
            return;
        };
        group.settle();
        for &key in &group.members {
            if let Some(listener) = &mut self.listeners[key as usize]
                && listener.state == State::Waiting
            {
                listener.state = State::Ready;
                if !listener.queued {
                    listener.queued = true;
                    self.ready.push_back(key);
                }
            }
        }
    }

    fn event(&mut self, event: &mio::event::Event) {
        let Token(token) = event.token();
        let (key, seq) = (token as u32, (token as u64 >> 32) as u32);
        let Some(Some(listener)) = self.listeners.get_mut(key as usize) else {
            return;
        };
        if listener.seq != seq {
            return;
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            match listener.socket.discard() {
                Peer::There => {}
                Peer::Finished
                    if self.shared.config.half_closed && listener.state != State::Lingering => {}
                Peer::Finished | Peer::Gone => return self.end(key, Reason::PeerClosed),
                Peer::Silent => return self.end(key, Reason::Stuck),
            }
        }
        if event.is_writable() {
            match listener.state {
                State::Blocked => {
                    listener.state = State::Ready;
                    listener.queued = true;
                    self.ready.push_back(key);
                }
                State::Lingering => listener.socket.finish_rest(),
                State::Ready | State::Waiting => {}
            }
        }
    }
}
