//! The relay feed, as a sender writes it (R-FEED-1 to R-FEED-14).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::decide::Start;
use super::head::RequestHead;
use super::mount::{Mount, State};
use super::names;
use super::serve::{Client, House};
use super::timeline::{Run, Then};
use super::written::window;
use crate::frame::{Frame, MEDIA_TYPE};

/// How often something is sent.
const TICK: Duration = Duration::from_millis(100);
const PIECE: usize = 16 * 1024;

/// Answers with the feed from a start on.
pub(crate) async fn answer(
    house: &Arc<House>,
    mount: &Arc<Mount>,
    head: &RequestHead,
    mut client: Client,
    start: Start,
    proof: Option<String>,
) -> io::Result<()> {
    let is = |bug: &str| house.config.is(bug);
    let mut out = format!(
        "{} 200 OK\r\nConnection: close\r\nContent-Type: {MEDIA_TYPE}\r\n",
        head.version
    );
    out += "Cache-Control: no-cache, no-store\r\nAccess-Control-Allow-Origin: *\r\n";
    {
        let state = mount.lock();
        let epoch = state
            .timeline
            .run(start.run)
            .map(|run| names::encode(&run.epoch))
            .unwrap_or_default();
        out += &format!("Stream-Offset: {};epoch=\"{epoch}\";prelude=0", start.at);
        if start.spliced {
            out += ";spliced";
        }
        if let Some(lost) = start.lost {
            out += &format!(";lost={lost}");
        }
        out += "\r\n";
        if let Some(window) = window(house, &state).filter(|_| !is("feeds-without-window")) {
            out += &format!("Stream-Window: {window}\r\n");
        }
    }
    if let Some(proof) = proof {
        out += &format!("Stream-Proof: {proof}\r\n");
    }
    out += "\r\n";
    client.stream.write_all(out.as_bytes()).await?;
    if head.method != "GET" {
        return client.stream.shutdown().await;
    }
    let mut feed = Feed {
        run: start.run,
        at: start.at,
        said: 0,
        timed: 0,
        preluded: 0,
        injected: mount.lock().injected.len(),
        begun: false,
    };
    let mut changes = mount.watch();
    let mut cuts = mount.watch_cuts();
    loop {
        changes.mark_unchanged();
        let step = feed.step(house, &mount.lock());
        match step {
            Step::Send(octets) => {
                tokio::select! {
                    written = client.stream.write_all(&octets) => written?,
                    _ = cuts.changed() => return Ok(()),
                }
            }
            Step::End => return client.stream.shutdown().await,
            Step::Wait => {
                let change = async {
                    tokio::select! {
                        changed = changes.changed() => changed.is_ok(),
                        _ = cuts.changed() => false,
                    }
                };
                match timeout(TICK, change).await {
                    Ok(true) => {}
                    Ok(false) => return Ok(()),
                    Err(_) if is("no-keepalive") || mount.lock().mute => {}
                    Err(_) => {
                        client
                            .stream
                            .write_all(&Frame::Keepalive(feed.at).octets())
                            .await?
                    }
                }
            }
        }
    }
}

/// Where a feed is.
struct Feed {
    run: u64,
    at: u64,
    /// Below these offsets, titles, times and preludes have been sent.
    said: u64,
    timed: u64,
    preluded: u64,
    /// What was injected and sent.
    injected: usize,
    begun: bool,
}

enum Step {
    Send(Vec<u8>),
    Wait,
    End,
}

impl Feed {
    fn step(&mut self, house: &House, state: &State) -> Step {
        let is = |bug: &str| house.config.is(bug);
        if state.mute {
            return Step::Wait;
        }
        let Some(run) = state.timeline.run(self.run) else {
            return Step::End;
        };
        if self.at < run.first && (self.begun || run.then == Then::Running) {
            if !is("skips-what-is-gone") {
                return Step::End;
            }
            self.at = run.first;
        }
        if !self.begun {
            self.begun = true;
            return Step::Send(self.begin(house, state, run));
        }
        if let Some(octets) = state
            .injected
            .get(self.injected)
            .filter(|_| self.at == run.next())
        {
            self.injected += 1;
            return Step::Send(octets.clone());
        }
        let mut out = Vec::new();
        self.events(house, run, &mut out);
        if self.at < run.next() {
            self.data(house, run, &mut out);
        }
        if !out.is_empty() {
            return Step::Send(out);
        }
        if matches!(run.then, Then::Running | Then::Unknown) {
            return Step::Wait;
        }
        let Some(next) = state.timeline.after(self.run) else {
            return Step::Wait;
        };
        let Some(target) = run.target.or(next.entry()) else {
            return Step::Wait;
        };
        if !is("no-splice-frame") {
            let declared = run.then == Then::Declared
                || is("declares-everything") && house.config.upstream.is_some();
            let splice = Frame::Splice {
                declared,
                at: self.at,
                epoch: next.epoch,
                target,
            };
            out.extend_from_slice(&splice.octets());
        } else {
            return Step::End;
        }
        self.run = next.id;
        self.at = next.first;
        out.extend_from_slice(&self.begin(house, state, next));
        Step::Send(out)
    }

    /// FORMAT, PRELUDE, titles, TIME (R-FEED-7).
    fn begin(&mut self, house: &House, state: &State, run: &Run) -> Vec<u8> {
        let is = |bug: &str| house.config.is(bug);
        let mut fields = format!("Content-Type: {}\r\n", state.timeline.content_type);
        for (name, value) in &state.fields {
            fields += &format!("{name}: {value}\r\n");
        }
        let format = Frame::Format {
            epoch: run.epoch,
            at: self.at,
            tick: 100,
            fields,
        };
        let mut out = format.octets();
        if let Some((at, prelude)) = run
            .scan
            .preludes
            .iter()
            .rev()
            .find(|(at, _)| *at <= self.at)
            && !prelude.is_empty()
        {
            out.extend_from_slice(&Frame::Prelude(*at, prelude.clone()).octets());
        }
        let mut titles: Vec<_> = run.titles.iter().filter(|(at, _)| *at <= self.at).collect();
        if is("titles-newest-first") {
            titles.reverse();
        }
        for (at, text) in titles {
            out.extend_from_slice(&Frame::Title(*at, text.clone()).octets());
        }
        if let Some((at, ms)) = run.times.iter().rev().find(|(at, _)| *at <= self.at) {
            out.extend_from_slice(&Frame::Time(*at, *ms).octets());
        }
        (self.said, self.timed, self.preluded) = (self.at + 1, self.at + 1, self.at + 1);
        out
    }

    fn events(&mut self, house: &House, run: &Run, out: &mut Vec<u8>) {
        let late = if house.config.is("titles-late") {
            2000
        } else {
            0
        };
        // An event for the edge may come after its reader did: only what was sent is past.
        let (mut preluded, mut timed) = (self.preluded, self.timed);
        for (at, prelude) in run
            .scan
            .preludes
            .iter()
            .filter(|(at, _)| (self.preluded..=self.at).contains(at))
        {
            out.extend_from_slice(&Frame::Prelude(*at, prelude.clone()).octets());
            preluded = at + 1;
        }
        self.preluded = preluded;
        let due = run
            .titles
            .iter()
            .filter(|(at, _)| *at >= self.said && *at + late <= self.at);
        let mut said = self.said;
        for (at, text) in due {
            out.extend_from_slice(&Frame::Title(*at, text.clone()).octets());
            said = at + 1;
        }
        self.said = said;
        for (at, ms) in run
            .times
            .iter()
            .filter(|(at, _)| (self.timed..=self.at).contains(at))
        {
            out.extend_from_slice(&Frame::Time(*at, *ms).octets());
            timed = at + 1;
        }
        self.timed = timed;
    }

    fn data(&mut self, house: &House, run: &Run, out: &mut Vec<u8>) {
        let ahead = |at: u64| at > self.at;
        let titles = run
            .titles
            .iter()
            .map(|(at, _)| *at)
            .filter(|_| !house.config.is("titles-late"));
        let events = titles
            .chain(run.times.iter().map(|(at, _)| *at))
            .chain(run.scan.preludes.iter().map(|(at, _)| *at));
        let stop = events
            .filter(|at| ahead(*at))
            .min()
            .unwrap_or(u64::MAX)
            .min(run.next());
        let count = usize::try_from(stop - self.at)
            .unwrap_or(usize::MAX)
            .min(PIECE);
        let skip = usize::try_from(self.at - run.first).unwrap_or(usize::MAX);
        let bytes: Vec<u8> = run.bytes.range(skip..).take(count).copied().collect();
        out.extend_from_slice(&Frame::Data(self.at, bytes).octets());
        if house.config.is("long-lengths") && self.at > 100_000 {
            // A type and a length without all of the value.
            out.extend_from_slice(&[2, 2, 0]);
        }
        if house.config.is("empty-data") {
            out.extend_from_slice(&Frame::Data(self.at + count as u64, Vec::new()).octets());
        }
        self.at += count as u64;
    }
}
