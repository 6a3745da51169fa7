//! What a scenario observes, and how two observations compare.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter, Write as _};

use super::*;

#[derive(Debug, PartialEq)]
enum Value {
    /// The same in both runs.
    Text(String),
    /// The same in both runs but for so much: what depends on time.
    About(f64, f64),
}

/// Everything seen in one run, by name, in order.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    rows: Vec<(String, Value)>,
    /// One line for the table.
    pub(crate) short: String,
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Something that has to be the same.
    pub(crate) fn is(&mut self, name: impl Into<String>, value: impl Display) {
        self.rows
            .push((name.into(), Value::Text(value.to_string())));
    }

    /// A number that may differ by `within`.
    pub(crate) fn about(&mut self, name: impl Into<String>, value: f64, within: f64) {
        self.rows.push((name.into(), Value::About(value, within)));
    }

    /// A time that may differ by `within` seconds.
    pub(crate) fn takes(&mut self, name: impl Into<String>, time: Duration, within: f64) {
        self.about(name, time.as_secs_f64(), within);
    }

    /// A line for the table.
    pub(crate) fn in_short(&mut self, text: impl Into<String>) {
        self.short = text.into();
    }

    /// How much has been seen.
    pub(crate) fn count(&self) -> usize {
        self.rows.len()
    }

    /// What differs, line by line; nothing if nothing does.
    pub(crate) fn compare(&self, other: &Self) -> String {
        let mut out = String::new();
        for i in 0..self.rows.len().max(other.rows.len()) {
            match (self.rows.get(i), other.rows.get(i)) {
                (Some((name, ours)), Some((same, theirs))) if name == same => {
                    differ(&mut out, name, ours, theirs);
                }
                (ours, theirs) => {
                    let _ = writeln!(out, "- {ours:?}\n+ {theirs:?}");
                    break;
                }
            }
        }
        out
    }
}

impl Display for Seen {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.rows.iter().try_for_each(|(name, value)| match value {
            Value::Text(text) => writeln!(f, "{name}: {text}"),
            Value::About(number, within) => writeln!(f, "{name}: {number}, within {within}"),
        })
    }
}

fn differ(out: &mut String, name: &str, ours: &Value, theirs: &Value) {
    match (ours, theirs) {
        (Value::Text(ours), Value::Text(theirs)) if ours != theirs => {
            let _ = writeln!(out, "{name}:");
            let (ours, theirs): (Vec<_>, Vec<_>) =
                (ours.lines().collect(), theirs.lines().collect());
            for line in ours.iter().filter(|line| !theirs.contains(line)) {
                let _ = writeln!(out, "- {line}");
            }
            for line in theirs.iter().filter(|line| !ours.contains(line)) {
                let _ = writeln!(out, "+ {line}");
            }
            // The same lines in another order, or more often.
            if ours.iter().all(|line| theirs.contains(line))
                && theirs.iter().all(|line| ours.contains(line))
            {
                let _ = writeln!(out, "- {ours:?}\n+ {theirs:?}");
            }
        }
        (Value::About(ours, within), Value::About(theirs, _))
            if (ours - theirs).abs() > *within =>
        {
            let _ = writeln!(out, "{name}, within {within}:\n- {ours}\n+ {theirs}");
        }
        _ => {}
    }
}

/// Every kind of warning and error in the log, once each.
pub(crate) fn complaints(icecast: &Icecast) -> String {
    let log = icecast.read("error.log");
    let lines = log.lines().filter_map(|line| line.split_once("] "));
    let bad = lines.filter(|(_, text)| text.starts_with("WARN") || text.starts_with("EROR"));
    let kinds: BTreeSet<_> = bad.map(|(_, text)| plain(text, icecast)).collect();
    kinds.into_iter().collect::<Vec<_>>().join("\n")
}

/// A text without what differs by nature: directories, and each number.
pub(crate) fn plain(text: &str, icecast: &Icecast) -> String {
    let dir = icecast.file("").display().to_string();
    let text = text.replace(dir.trim_end_matches('/'), "{dir}");
    let mut out = String::new();
    for each in text.chars() {
        match each {
            '0'..='9' if out.ends_with('#') => {}
            '0'..='9' => out.push('#'),
            _ => out.push(each),
        }
    }
    out
}

/// The fields of a live answer in which the module may not differ.
pub(crate) fn live(head: &Head) -> String {
    const KEPT: [&str; 6] = [
        "content-type",
        "ice-audio-info",
        "server",
        "cache-control",
        "pragma",
        "expires",
    ];
    let fields = head
        .fields
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value));
    let kept = fields.filter(|(name, _)| name.starts_with("icy-") || KEPT.contains(&name.as_str()));
    let fields: BTreeSet<_> = kept
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let fields: Vec<_> = fields.into_iter().collect();
    format!("{}\n{}", head.status, fields.join("\n"))
}

/// The whole of an answer that is not a live stream, but for its dates.
pub(crate) fn whole(answer: &Answer) -> String {
    let head = &answer.head;
    let mut out = format!("{} {} {}\n", head.version, head.status, head.reason);
    for (name, value) in &head.fields {
        let dated = ["date", "last-modified"].contains(&name.to_ascii_lowercase().as_str());
        let value = if dated { "…" } else { value };
        let _ = writeln!(out, "{name}: {value}");
    }
    out
}
