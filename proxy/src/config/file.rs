//! The TOML file: its options, and the line of each.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::options::Options;
use super::problem::{Findings, Place, Problem};
use super::schema;

/// A configuration is no longer than this, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// The options of a file. What is wrong with it is in `findings`, and then the options are those of an empty file.
pub(super) fn read(path: &Path, findings: &mut Findings) -> Options {
    findings.places.file = Some(path.to_owned());
    let mut bad = |what: String, remedy: &str| {
        findings.problems.push(Problem {
            place: Place::File(path.to_owned()),
            option: String::new(),
            what,
            remedy: remedy.to_owned(),
        });
    };
    match std::fs::metadata(path) {
        Err(error) => bad(
            format!("cannot be read: {error}"),
            "give --config the path of a file that this user may read",
        ),
        Ok(about) if !about.is_file() => bad(
            "is not a file".to_owned(),
            "give --config the path of a TOML file",
        ),
        Ok(about) if about.len() > MAX_BYTES => {
            bad(
                format!("is over {MAX_BYTES} bytes"),
                "is this the right file?",
            );
        }
        Ok(_) => match std::fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => return parse(&text, findings),
            Ok(Err(_)) => bad("is not UTF-8 text".to_owned(), "save it as UTF-8"),
            Err(error) => bad(format!("cannot be read: {error}"), "let this user read it"),
        },
    }
    Options::default()
}

/// The line of a byte, from 1.
fn line(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn parse(text: &str, findings: &mut Findings) -> Options {
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            broken(text, &error, "", findings);
            return Options::default();
        }
    };
    let mut walk = Walk {
        text,
        findings,
        spans: Vec::new(),
    };
    walk.top(table.get_ref());
    let spans = walk.spans;
    if !findings.problems.is_empty() {
        return Options::default();
    }
    match toml::from_str(text) {
        Ok(options) => options,
        Err(error) => {
            let span = error.span().unwrap_or_default();
            let inside = spans
                .iter()
                .filter(|(_, at)| at.start <= span.start && span.end <= at.end);
            let tightest = inside.min_by_key(|(_, at)| at.len());
            let option = tightest.map_or(String::new(), |(path, _)| path.clone());
            broken(text, &error, &option, findings);
            Options::default()
        }
    }
}

fn broken(text: &str, error: &toml::de::Error, option: &str, findings: &mut Findings) {
    let at = error.span().map_or(1, |span| line(text, span.start));
    let place = match &findings.places.file {
        Some(file) => Place::Line(file.clone(), at),
        None => Place::Nowhere,
    };
    let (what, remedy) = match schema::help(option) {
        Some(help) => (
            format!("does not fit: {}", error.message()),
            format!("it takes {help}"),
        ),
        None if option.is_empty() => (
            format!("is not TOML: {}", error.message()),
            "write NAME = VALUE, texts in \"quotes\", lists in [brackets]".to_owned(),
        ),
        None => (format!("does not fit: {}", error.message()), String::new()),
    };
    findings.problems.push(Problem {
        place,
        option: if option.is_empty() {
            "this".to_owned()
        } else {
            option.to_owned()
        },
        what: what.replace('\n', " "),
        remedy,
    });
}

/// Notes where everything is, and what is nothing that we know.
struct Walk<'a> {
    text: &'a str,
    findings: &'a mut Findings,
    /// Each option's value, by its path.
    spans: Vec<(String, std::ops::Range<usize>)>,
}

impl Walk<'_> {
    fn note(&mut self, path: &str, key: usize, value: std::ops::Range<usize>) {
        let at = line(self.text, key);
        self.findings
            .places
            .lines
            .entry(path.to_owned())
            .or_insert(at);
        self.spans.push((path.to_owned(), value));
    }

    fn top(&mut self, table: &DeTable<'_>) {
        let known = schema::known();
        let top: Vec<&str> = (known.iter())
            .filter(|known| known.table.is_none())
            .map(|known| known.name.as_str())
            .chain(schema::TABLES)
            .collect();
        for (key, value) in table {
            let name: &str = key.get_ref();
            self.note(name, key.span().start, value.span());
            if !top.contains(&name) {
                self.unknown(name, name, &top, &known);
                continue;
            }
            let within: Vec<&str> = (known.iter())
                .filter(|known| known.table == Some(name))
                .map(|known| known.name.as_str())
                .collect();
            match (name, value.get_ref()) {
                ("limits", DeValue::Table(limits)) => self.table("limits", limits, &within),
                ("certificate", DeValue::Array(list)) => {
                    for (number, certificate) in list.iter().enumerate() {
                        let path = format!("certificate.{}", number + 1);
                        self.note(&path, certificate.span().start, certificate.span());
                        if let DeValue::Table(table) = certificate.get_ref() {
                            self.table(&path, table, &within);
                        }
                    }
                }
                ("mount", DeValue::Table(mounts)) => {
                    for (mount, options) in mounts {
                        let path = format!("mount.{:?}", mount.get_ref());
                        self.note(&path, mount.span().start, options.span());
                        if let DeValue::Table(table) = options.get_ref() {
                            self.table(&path, table, &within);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn table(&mut self, path: &str, table: &DeTable<'_>, within: &[&str]) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            let path = format!("{path}.{name}");
            self.note(&path, Spanned::span(key).start, value.span());
            if !within.contains(&name) {
                let known = schema::known();
                self.unknown(&path, name, within, &known);
            }
        }
    }

    fn unknown(&mut self, path: &str, name: &str, here: &[&str], known: &[schema::Known]) {
        let remedy = if let Some(close) = schema::close_to(name, here.iter().copied()) {
            format!("did you mean {close}?")
        } else if let Some(elsewhere) = known.iter().find(|known| known.name == name) {
            match elsewhere.table {
                // What stands after a [table] belongs to it.
                None => "it belongs above the first [table] of the file".to_owned(),
                Some("mount") => {
                    format!("it belongs in a table such as [mount.\"/live.mp3\"], as {name} = …")
                }
                Some("certificate") => format!("it belongs under [[certificate]], as {name} = …"),
                Some(table) => format!("it belongs under [{table}], as {name} = …"),
            }
        } else if name.starts_with('/') {
            format!("for a mount, write [mount.{name:?}]")
        } else {
            format!("there are {}", here.join(", "))
        };
        self.findings.problem(path, "is not an option here", remedy);
    }
}
