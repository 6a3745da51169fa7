//! What `listen` says on standard error: a line that is kept up to date, plain lines, or JSON for scripts.

use std::collections::{BTreeMap, VecDeque};
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use icecast_ext_client::{Event, Move, Stats};
use icecast_ext_core::address::Position;
use serde_json::{Value, json};

use super::Why;
use super::words::{object, place, readable, words};
use crate::demo::screen::grouped;

/// The rate is that of so long.
const RATE_OVER: Duration = Duration::from_secs(10);
/// The status line fits a narrow terminal.
const COLUMNS: usize = 79;

/// How it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Quiet,
    Lines,
    /// Lines, and a last one that lives.
    Status,
    Json,
}

impl Style {
    pub(super) fn of(quiet: bool, json: bool) -> Self {
        match (quiet, json) {
            (true, _) => Self::Quiet,
            (_, true) => Self::Json,
            _ if std::io::stderr().is_terminal() => Self::Status,
            _ => Self::Lines,
        }
    }
}

/// How it went, at the end.
#[derive(Debug)]
pub(super) struct Summary {
    /// `None`: by an error, which is told elsewhere.
    pub(super) why: Option<Why>,
    pub(super) stats: Stats,
    /// Bytes of audio written.
    pub(super) bytes: u64,
    /// The byte after them, where known.
    pub(super) next: Option<Position>,
}

/// The moves so far.
#[derive(Debug, Default)]
struct Moves {
    /// How many were proven by what; `lost`: by nothing.
    proofs: BTreeMap<String, u64>,
    /// What the last one was proven by.
    last: String,
    longest: Duration,
}

impl Moves {
    fn add(&mut self, moved: &Move) {
        self.last = moved
            .proof
            .map_or_else(|| "lost".to_owned(), |proof| proof.to_string());
        *self.proofs.entry(self.last.clone()).or_default() += 1;
        self.longest = self.longest.max(moved.took);
    }

    /// In brackets, if there are any.
    fn words(&self) -> String {
        if self.proofs.is_empty() {
            return String::new();
        }
        let proofs = self.proofs.iter();
        let proofs: Vec<_> = proofs.map(|(proof, n)| format!("{n} {proof}")).collect();
        let longest = self.longest.as_millis();
        format!(" ({}; {longest} ms at most)", proofs.join(", "))
    }
}

/// Tells what happens.
#[derive(Debug)]
pub(super) struct Report {
    style: Style,
    begun: Instant,
    relay: String,
    title: String,
    cuts: u64,
    lost: u64,
    moves: Moves,
    /// Bytes written at some moments of the last seconds.
    marks: VecDeque<(Instant, u64)>,
}

impl Report {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            begun: Instant::now(),
            relay: String::new(),
            title: String::new(),
            cuts: 0,
            lost: 0,
            moves: Moves::default(),
            marks: VecDeque::new(),
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Joined { url, .. } => self.relay = authority(url),
            Event::Moved(moved) => {
                self.relay = authority(&moved.to);
                self.moves.add(moved);
            }
            Event::Title(title) => self.title = readable(&title.text),
            Event::Cut { .. } => self.cuts += 1,
            Event::Lost(loss) => self.lost += loss.bytes.unwrap_or(0),
            _ => {}
        }
        match self.style {
            Style::Quiet => {}
            Style::Json => self.say(object(event).map(|object| object.to_string())),
            Style::Lines => self.say(words(event)),
            Style::Status => self.say(words(event)),
        }
    }

    /// Brings the status line up to date, if there is one.
    pub(super) fn redraw(&mut self, bytes: u64) {
        let now = Instant::now();
        self.marks.push_back((now, bytes));
        while self.marks.len() > 2
            && self
                .marks
                .front()
                .is_some_and(|(at, _)| now - *at > RATE_OVER)
        {
            self.marks.pop_front();
        }
        if self.style == Style::Status {
            put(&format!("\r{}\x1b[K", self.status(now - self.begun)));
        }
    }

    /// The last words.
    pub(super) fn close(&mut self, summary: &Summary) {
        let line = match self.style {
            Style::Quiet => None,
            Style::Json => Some(end_object(summary, &self.moves, self.begun.elapsed()).to_string()),
            Style::Lines | Style::Status => {
                Some(end_words(summary, &self.moves, self.begun.elapsed()))
            }
        };
        self.say(line);
    }

    fn say(&self, line: Option<String>) {
        if let Some(line) = line {
            let over = if self.style == Style::Status {
                "\r\x1b[K"
            } else {
                ""
            };
            put(&format!("{over}{line}\n"));
        }
    }

    fn status(&self, elapsed: Duration) -> String {
        let (bytes, rate) = match (self.marks.front(), self.marks.back()) {
            (Some((from, before)), Some((to, bytes))) => {
                let seconds = (*to - *from).as_secs_f64();
                (
                    *bytes,
                    if seconds > 0.0 {
                        (bytes - before) as f64 / seconds
                    } else {
                        0.0
                    },
                )
            }
            _ => (0, 0.0),
        };
        let line = format!(
            "{}  {} bytes  {:.1} kB/s  {} cuts  {} lost  {}{}  {}",
            clock(elapsed),
            grouped(bytes),
            rate / 1000.0,
            self.cuts,
            grouped(self.lost),
            self.relay,
            match self.moves.last.as_str() {
                "" => String::new(),
                last => format!(" ({last})"),
            },
            self.title
        );
        line.trim_end().chars().take(COLUMNS).collect()
    }
}

/// Nobody reads it any more? Then nobody misses it.
fn put(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

fn end_words(summary: &Summary, moves: &Moves, elapsed: Duration) -> String {
    let stats = &summary.stats;
    let unknown = match stats.unknown_losses {
        0 => String::new(),
        n => format!(" (and {n} losses of unknown size)"),
    };
    format!(
        "{}: {} bytes; {} cuts, {} moves{}, {} bytes lost{unknown}{}",
        clock(elapsed),
        grouped(summary.bytes),
        stats.cuts,
        stats.moves,
        moves.words(),
        grouped(stats.lost_bytes),
        summary
            .next
            .map_or_else(String::new, |at| format!("; to go on: --at {at}"))
    )
}

fn end_object(summary: &Summary, moves: &Moves, elapsed: Duration) -> Value {
    let stats = &summary.stats;
    let why = match summary.why {
        Some(Why::Limit) => "limit",
        Some(Why::Stopped) => "stopped",
        Some(Why::Reader) => "reader",
        None => "error",
    };
    json!({
        "event": "end",
        "why": why,
        "seconds": elapsed.as_secs_f64(),
        "bytes": summary.bytes,
        "next": place(summary.next),
        "cuts": stats.cuts,
        "moves": stats.moves,
        "proofs": moves.proofs,
        "longest_move_ms": u64::try_from(moves.longest.as_millis()).unwrap_or(u64::MAX),
        "splices": stats.splices,
        "stitches": stats.stitches,
        "losses": stats.losses,
        "lost_bytes": stats.lost_bytes,
        "unknown_losses": stats.unknown_losses,
        "titles": stats.titles,
    })
}

/// Host and port.
fn authority(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default().to_owned()
}

/// `1:02:03`, `2:03`.
fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use icecast_ext_client::{Loss, Proven, Why as Lost};
    use icecast_ext_core::address::{Epoch, Offset};

    use super::*;

    fn at(offset: u64) -> Position {
        Position::new(Epoch::from_bytes([0; 16]), Offset::new(offset).unwrap())
    }

    fn moved(proof: Option<Proven>) -> Event {
        Event::Moved(Move {
            from: "http://a/live.mp3".into(),
            to: "http://radio.net:8100/live.mp3?x".into(),
            proof,
            lost: None,
            took: Duration::from_millis(40),
        })
    }

    fn loss() -> Event {
        Event::Lost(Loss {
            after: Some(at(10)),
            at: Some(at(1210)),
            bytes: Some(1200),
            why: Lost::Gone,
        })
    }

    #[test]
    fn the_status_line_is_short_and_says_it_all() {
        let mut report = Report::new(Style::Quiet);
        report.event(&moved(Some(Proven::Offset)));
        report.event(&loss());
        report.marks.push_back((report.begun, 0));
        report
            .marks
            .push_back((report.begun + Duration::from_secs(10), 160_000));
        let line = report.status(Duration::from_secs(3723));
        assert_eq!(
            line,
            "1:02:03  160 000 bytes  16.0 kB/s  0 cuts  1 200 lost  radio.net:8100 (offset)"
        );
        report.title = "x".repeat(200);
        assert_eq!(report.status(Duration::ZERO).chars().count(), COLUMNS);
    }

    #[test]
    fn the_end_says_where_to_go_on() {
        let summary = Summary {
            why: Some(Why::Stopped),
            stats: Stats {
                unknown_losses: 1,
                ..Stats::default()
            },
            bytes: 5000,
            next: Some(at(7)),
        };
        let mut report = Report::new(Style::Quiet);
        for proof in [Some(Proven::Offset), None, Some(Proven::Offset)] {
            report.event(&moved(proof));
        }
        let line = end_words(&summary, &report.moves, Duration::from_secs(61));
        assert!(
            line.starts_with("1:01: 5 000 bytes")
                && line.contains("moves (1 lost, 2 offset; 40 ms at most)")
                && line.contains("and 1 losses of unknown")
                && line.ends_with(".7"),
            "{line}"
        );
        let object = end_object(&summary, &report.moves, Duration::ZERO);
        assert_eq!(
            (&object["why"], &object["proofs"]),
            (&json!("stopped"), &json!({"lost": 1, "offset": 2}))
        );
    }
}
