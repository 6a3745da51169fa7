//! What `/status.json` says of a mount.

use std::collections::BTreeMap;

use icecast_ext_core::address::Offset;
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::Resume;
use icecast_ext_core::head::encode_path;
use icecast_ext_core::timeline::{Run, Timeline, Title};
use serde::Serialize;

use crate::events::short;
use crate::figures::{MountFigures, Pulled, REASONS};
use crate::server::Server;
use crate::station::{Station, Supply};
use crate::watch::{Sample, Watch, title_of};

/// Titles of a run that are listed, the newest.
const TITLES: usize = 50;

#[derive(Debug, Serialize)]
pub(super) struct OfMount {
    /// Decoded path.
    mount: String,
    /// As in a URL.
    href: String,
    supply: OfSupply,
    /// Where the stream comes from, as a URL without a path.
    upstream: Option<String>,
    /// `mpeg`, `adts`, `ogg`, `webm` or `opaque`.
    format: String,
    content_type: Option<String>,
    /// As the source says.
    name: Option<String>,
    description: Option<String>,
    /// As the source says, kbit/s.
    bitrate: Option<String>,
    /// Measured, bytes a second.
    rate: Option<u64>,
    title: Option<OfTitle>,
    listeners: OfListeners,
    window: Option<OfWindow>,
    /// What is held, the oldest first.
    runs: Vec<OfRun>,
    /// How many listeners are in each equal part of what is held, the oldest first.
    places: Vec<u32>,
    counts: Counts,
    history: Option<History>,
}

#[derive(Debug, Serialize)]
struct OfSupply {
    /// `starting`, `live`, `lost`, `no-source` or `refused`.
    state: &'static str,
    lost_seconds: Option<u64>,
}

#[derive(Debug, Serialize)]
struct OfTitle {
    title: String,
    epoch: String,
    offset: u64,
    /// When its first byte arrived, ms since 1970.
    at: Option<u64>,
}

#[derive(Debug, Serialize)]
struct OfListeners {
    plain: usize,
    icy: usize,
    feed: usize,
}

#[derive(Debug, Serialize)]
struct OfWindow {
    /// Of the current run.
    epoch: String,
    first: u64,
    next: u64,
    /// Where a listener who joins now starts.
    live: Option<OfPlace>,
    /// Of all runs.
    bytes: u64,
    seconds: f64,
    /// As configured.
    configured_seconds: u64,
}

#[derive(Debug, Serialize)]
struct OfPlace {
    epoch: String,
    offset: u64,
}

#[derive(Debug, Serialize)]
struct OfRun {
    epoch: String,
    first: u64,
    next: u64,
    /// When `first` arrived, ms since 1970.
    since: Option<u64>,
    /// What follows it is said to continue it; none while nothing follows.
    spliced: Option<bool>,
    titles: Vec<OfTitle>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    pub(super) joins: u64,
    pub(super) resumes: u64,
    pub(super) spliced: u64,
    pub(super) misses: u64,
    pub(super) lost_bytes: u64,
    pub(super) lost_unknown: u64,
    pub(super) refused: u64,
    pub(super) sent_bytes: u64,
    pub(super) received_bytes: u64,
    pub(super) pull_connections: u64,
    pub(super) pull_losses: u64,
    pub(super) pull_silences: u64,
    pub(super) heals: u64,
    pub(super) epochs: u64,
    pub(super) pull_moves: u64,
    pub(super) left: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
struct History {
    /// Between two samples.
    seconds: u64,
    listeners: Vec<u32>,
    /// Bytes a second.
    sent: Vec<u64>,
    received: Vec<u64>,
}

impl Counts {
    pub(super) fn of(figures: &MountFigures) -> Self {
        let passed = figures.passed();
        let left = REASONS.iter().zip(&figures.left);
        let left = left.map(|(reason, count)| (*reason, count.get()));
        Self {
            joins: figures.sum(|starts| &starts.joins),
            resumes: figures.sum(|starts| &starts.resumes),
            spliced: figures.sum(|starts| &starts.spliced),
            misses: figures.sum(|starts| &starts.misses),
            lost_bytes: figures.lost_bytes.get(),
            lost_unknown: figures.lost_unknown.get(),
            refused: figures.refused.get(),
            sent_bytes: passed.sent,
            received_bytes: passed.received,
            pull_connections: figures.pulls(Pulled::Connected),
            pull_losses: figures.pulls(Pulled::Lost),
            pull_silences: figures.pulls(Pulled::Silent),
            heals: figures.pulls(Pulled::Healed),
            epochs: figures.pulls(Pulled::Minted),
            pull_moves: figures.pulls(Pulled::Moved),
            left: left.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

impl OfSupply {
    fn of(supply: Supply) -> Self {
        let lost_seconds = match supply {
            Supply::Lost(since) => Some(since.elapsed().as_secs()),
            _ => None,
        };
        Self {
            state: supply.name(),
            lost_seconds,
        }
    }
}

/// A line of the fields that listeners are told, as text.
fn told(fields: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(fields);
    let line = text.split("\r\n").find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    });
    line.filter(|value| !value.is_empty())
        .map(|value| short(&value))
}

impl OfTitle {
    fn of(run: &Run, title: &Title) -> Option<Self> {
        Some(Self {
            title: title_of(&title.text)?,
            epoch: run.epoch.to_string(),
            offset: title.at.get(),
            at: arrival(run, title.at),
        })
    }
}

/// When the byte at `at` arrived, ms since 1970.
fn arrival(run: &Run, at: Offset) -> Option<u64> {
    let after = run.times.partition_point(|(offset, _)| *offset <= at);
    run.times.get(after.saturating_sub(1)).map(|(_, ms)| *ms)
}

impl OfRun {
    fn of(run: &Run) -> Self {
        let titles = run
            .titles
            .iter()
            .rev()
            .filter_map(|title| OfTitle::of(run, title));
        let mut titles: Vec<_> = titles.take(TITLES).collect();
        titles.reverse();
        Self {
            epoch: run.epoch.to_string(),
            first: run.window.first.get(),
            next: run.window.next.get(),
            since: arrival(run, run.window.first),
            spliced: run.splice.map(|splice| splice.declared),
            titles,
        }
    }
}

fn name(format: Format) -> String {
    format!("{format:?}").to_lowercase()
}

impl OfMount {
    pub(super) fn of(server: &Server, station: &Station, with_history: bool) -> Self {
        let mount = &station.mount;
        let live = mount.start(&Resume::LIVE).ok().map(|start| OfPlace {
            epoch: start.at.epoch.to_string(),
            offset: start.at.offset.get(),
        });
        let look = |timeline: &Timeline| {
            let runs: Vec<_> = timeline.runs().map(OfRun::of).collect();
            let last = timeline.runs().next_back();
            let title = last.and_then(|run| OfTitle::of(run, run.titles.back()?));
            let format = last.map_or(Format::Opaque, |run| run.format);
            (runs, title, name(format), timeline.held())
        };
        let (runs, title, format, bytes) = mount.with(look);
        let fields = mount.fields();
        let now = mount.listeners();
        let (places, history) = server.watch.of(&station.path, mount);
        Self {
            mount: station.path.clone(),
            href: encode_path(&station.path),
            supply: OfSupply::of(station.supply()),
            upstream: station
                .figures
                .upstream()
                .map(|upstream| upstream.to_string()),
            format,
            content_type: told(&fields, "content-type"),
            name: told(&fields, "icy-name"),
            description: told(&fields, "icy-description"),
            bitrate: told(&fields, "icy-br"),
            rate: Some(mount.rate()).filter(|rate| *rate > 0),
            title,
            listeners: OfListeners {
                plain: now.plain,
                icy: now.icy,
                feed: now.feed,
            },
            window: runs.last().map(|run| OfWindow {
                epoch: run.epoch.clone(),
                first: run.first,
                next: run.next,
                live,
                bytes,
                seconds: station.held_seconds(),
                configured_seconds: mount.config().window.as_secs(),
            }),
            runs,
            places: places.to_vec(),
            counts: Counts::of(&station.figures),
            history: with_history.then(|| History::of(&history)),
        }
    }
}

impl History {
    fn of(samples: &[Sample]) -> Self {
        Self {
            seconds: Watch::sample_seconds(),
            listeners: samples.iter().map(|sample| sample.listeners).collect(),
            sent: samples.iter().map(|sample| sample.sent).collect(),
            received: samples.iter().map(|sample| sample.received).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_source_says_is_read_from_its_lines() {
        let lines = b"Content-Type: audio/mpeg\r\nicy-name: <b>A</b>: \xff\r\nicy-br:\r\n";
        assert_eq!(told(lines, "content-type").as_deref(), Some("audio/mpeg"));
        assert_eq!(
            told(lines, "icy-name").as_deref(),
            Some("<b>A</b>: \u{fffd}")
        );
        assert_eq!(told(lines, "icy-br"), None);
    }
}
