//! `/admin/listclients`: the server's rows without our own connections, and our listeners after them.

use super::places::{Edits, count};
use super::xml::{Step, attribute, is, text, walk};

/// A listener that only we know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: u64,
    pub(crate) address: String,
    pub(crate) agent: String,
    pub(crate) referer: String,
    /// Empty: none.
    pub(crate) user: String,
    /// Seconds.
    pub(crate) connected: u64,
}

/// A listener whom the server sees at an address of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// That address.
    pub(crate) at: String,
    pub(crate) agent: String,
    /// The true one.
    pub(crate) address: String,
}

/// The true address of the next listener whom the server sees there with this agent.
pub(super) fn true_address(seen: &mut Vec<Seen>, at: &str, agent_there: &str) -> Option<String> {
    let found = seen
        .iter()
        .position(|seen| seen.at == at && agent(&seen.agent) == agent_there)?;
    Some(seen.remove(found).address)
}

/// A row of the server's.
#[derive(Debug, Default)]
pub(super) struct Theirs {
    /// All of the element.
    pub(super) at: std::ops::Range<usize>,
    pub(super) agent: String,
    pub(super) id: String,
    /// Where its address stands.
    pub(super) address: Option<std::ops::Range<usize>>,
    /// The element has its id as an attribute, too.
    marked: bool,
    /// Names of the elements in it, as written.
    names: Vec<String>,
}

/// What is to be done to a list.
pub(crate) struct Change<'a> {
    /// Whether a row with this agent is a connection of our own.
    pub(crate) own: &'a dyn Fn(&str) -> bool,
    /// Listeners of a mount whom the server sees at an address of ours, in the order in which they came.
    pub(crate) shadows: &'a dyn Fn(&str) -> Vec<Seen>,
    /// In the order of their ids.
    pub(crate) rows: &'a dyn Fn(&str) -> Vec<Row>,
}

/// What a stock 2.4 writes of each listener.
const STOCK: [&str; 4] = ["IP", "UserAgent", "Connected", "ID"];

/// The document with the change; `None` if it cannot be read.
pub(crate) fn overlay(xml: &[u8], change: &Change<'_>) -> Option<Vec<u8>> {
    let mut mount = None;
    let mut total = None;
    let mut theirs: Vec<Theirs> = Vec::new();
    let mut end = None;
    let well = walk(xml, |step| match step {
        Step::Start { path, tag, .. } if is(path, &["icestats", "source"]) && mount.is_none() => {
            mount = attribute(tag, "mount");
        }
        Step::Start { path, tag, at } if is(path, &["icestats", "source", "listener"]) => {
            theirs.push(Theirs {
                at: at..at,
                marked: attribute(tag, "id").is_some(),
                ..Theirs::default()
            });
        }
        Step::End { path, after, .. } if is(path, &["icestats", "source", "listener"]) => {
            if let Some(row) = theirs.last_mut() {
                row.at.end = after;
            }
        }
        Step::End {
            path: [_, _, listener, name],
            leaf: Some(leaf),
            ..
        } if listener == "listener" => {
            if let Some(row) = theirs.last_mut() {
                let value = || text(&xml[leaf.at.clone()]).unwrap_or_default();
                match name.to_ascii_lowercase().as_str() {
                    "useragent" => row.agent = value(),
                    "id" => row.id = value(),
                    "ip" => row.address = Some(leaf.at.clone()),
                    _ => {}
                }
                row.names.push(name.clone());
            }
        }
        Step::End {
            path,
            leaf: Some(leaf),
            ..
        } if is(path, &["icestats", "source", "Listeners"])
            || is(path, &["icestats", "source", "listeners"]) =>
        {
            total = Some(leaf.at);
        }
        Step::End { path, end: at, .. } if is(path, &["icestats", "source"]) && end.is_none() => {
            end = Some(at);
        }
        _ => {}
    });
    let (true, Some(mount), Some(end)) = (well, mount, end) else {
        return None;
    };
    let rows = (change.rows)(&mount);
    let mut shadows = (change.shadows)(&mount);
    let mut edits = Edits::default();
    let mut own = 0;
    for row in &theirs {
        if (change.own)(&row.agent) {
            own += 1;
            edits.put(row.at.clone(), "");
        } else if let Some(at) = &row.address
            && let Some(address) =
                text(&xml[at.clone()]).and_then(|at| true_address(&mut shadows, &at, &row.agent))
        {
            edits.put(at.clone(), escape(&address));
        }
    }
    if let Some(at) = total {
        let up = count(&xml[at.clone()])
            .unwrap_or(0)
            .max(theirs.len() as u64);
        let now = up.saturating_sub(own) + rows.len() as u64;
        edits.put(at, now.to_string());
    }
    let like = theirs.first();
    let rows: String = rows.iter().map(|row| element(row, like)).collect();
    edits.put(end..end, rows);
    Some(edits.apply(xml))
}

/// A row as the server writes its own.
fn element(row: &Row, like: Option<&Theirs>) -> String {
    use std::fmt::Write as _;
    let stock = STOCK.map(str::to_owned);
    let has = |row: &&Theirs| {
        STOCK
            .iter()
            .all(|name| row.names.iter().any(|other| other == name))
    };
    let names = like.filter(has).map_or(&stock[..], |row| &row.names);
    let mut out = String::from("<listener");
    if like.is_some_and(|row| row.marked) {
        let _ = write!(out, " id=\"{}\"", row.id);
    }
    out.push('>');
    let mut put = |name: &str, value: &str| {
        let _ = write!(out, "<{name}>{}</{name}>", escape(value));
    };
    let mut user = false;
    for name in names {
        match name.to_ascii_lowercase().as_str() {
            "ip" => put(name, &row.address),
            "useragent" => put(name, agent(&row.agent)),
            "connected" => put(name, &row.connected.to_string()),
            "id" => put(name, &row.id.to_string()),
            "referer" => put(name, &row.referer),
            "lag" => put(name, "0"),
            "username" if !row.user.is_empty() => {
                user = true;
                put(name, &row.user);
            }
            _ => {}
        }
    }
    if !user && !row.user.is_empty() {
        put("username", &row.user);
    }
    out.push_str("</listener>");
    out
}

/// As Icecast has it.
pub(super) fn agent(agent: &str) -> &str {
    if agent.is_empty() { "Unknown" } else { agent }
}

/// Text as libxml writes it where no encoding is declared: ASCII, the rest as references. What XML cannot say is not said.
pub(super) fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let cannot = |c: char| {
        (c < ' ' && c != '\t' && c != '\n') || matches!(c, '\u{fffd}' | '\u{fffe}' | '\u{ffff}')
    };
    if text.contains(cannot) {
        return String::new();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c if c.is_ascii() => out.push(c),
            c => {
                let _ = write!(out, "&#x{:X};", u32::from(c));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "<?xml version=\"1.0\"?>\n<icestats><source mount=\"/a.mp3\"><Listeners>3</Listeners>\
<listener><IP>127.0.0.1</IP><UserAgent>ours</UserAgent><Connected>7</Connected><ID>9</ID></listener>\
<listener><IP>10.0.0.1</IP><UserAgent>a&amp;b</UserAgent><Connected>7</Connected><ID>10</ID></listener>\
<listener><IP>127.0.0.1</IP><UserAgent>shadow</UserAgent><Connected>7</Connected><ID>11</ID><username>bob</username></listener>\
</source></icestats>\n";

    fn row(id: u64, agent: &str) -> Row {
        Row {
            id,
            address: "192.0.2.1".to_owned(),
            agent: agent.to_owned(),
            connected: 5,
            ..Row::default()
        }
    }

    fn changed(xml: &str, rows: Vec<Row>) -> Option<String> {
        let change = Change {
            own: &|agent| agent == "ours",
            shadows: &|_| {
                let seen = |at: &str, address: &str| Seen {
                    at: at.to_owned(),
                    agent: "shadow".to_owned(),
                    address: address.to_owned(),
                };
                vec![
                    seen("10.9.9.9", "192.0.2.8"),
                    seen("127.0.0.1", "192.0.2.9"),
                ]
            },
            rows: &move |mount| {
                if mount == "/a.mp3" {
                    rows.clone()
                } else {
                    Vec::new()
                }
            },
        };
        overlay(xml.as_bytes(), &change).map(|xml| String::from_utf8(xml).unwrap())
    }

    #[test]
    fn our_pull_goes_and_our_listeners_come() {
        let text = changed(
            LIST,
            vec![row(1_000_000_000, "<é>\"'"), row(1_000_000_001, "")],
        )
        .unwrap();
        assert_eq!(
            text,
            "<?xml version=\"1.0\"?>\n<icestats><source mount=\"/a.mp3\"><Listeners>4</Listeners>\
<listener><IP>10.0.0.1</IP><UserAgent>a&amp;b</UserAgent><Connected>7</Connected><ID>10</ID></listener>\
<listener><IP>192.0.2.9</IP><UserAgent>shadow</UserAgent><Connected>7</Connected><ID>11</ID><username>bob</username></listener>\
<listener><IP>192.0.2.1</IP><UserAgent>&lt;&#xE9;&gt;\"'</UserAgent><Connected>5</Connected><ID>1000000000</ID></listener>\
<listener><IP>192.0.2.1</IP><UserAgent>Unknown</UserAgent><Connected>5</Connected><ID>1000000001</ID></listener>\
</source></icestats>\n"
        );
    }

    #[test]
    fn rows_are_made_as_the_server_makes_them() {
        let kh = "<icestats><source mount=\"/a.mp3\"><listeners>1</listeners><listener id=\"4\"><ID>4</ID><IP>1.1.1.1</IP><UserAgent>ours</UserAgent><lag>12</lag><Connected>3</Connected></listener></source></icestats>";
        let text = changed(kh, vec![row(7, "x")]).unwrap();
        assert_eq!(
            text,
            "<icestats><source mount=\"/a.mp3\"><listeners>1</listeners><listener id=\"7\"><ID>7</ID><IP>192.0.2.1</IP><UserAgent>x</UserAgent><lag>0</lag><Connected>5</Connected></listener></source></icestats>"
        );
    }

    #[test]
    fn what_xml_cannot_say_is_left_out_as_libxml_does() {
        assert_eq!(escape("a\u{1}b"), "");
        assert_eq!(escape("a\u{fffd}"), "");
        assert_eq!(
            escape("a\tb]]>\u{1f600}\u{7f}"),
            "a\tb]]&gt;&#x1F600;\u{7f}"
        );
    }

    #[test]
    fn a_count_that_lies_is_put_right() {
        let text = changed(&LIST.replace(">3<", ">-99<"), vec![]).unwrap();
        assert!(text.contains("<Listeners>2</Listeners>"), "{text}");
    }

    #[test]
    fn what_is_no_list_is_left() {
        for xml in [
            "",
            "<html><body>x</body></html>",
            "<icestats><source></source></icestats>",
            "<icestats><source mount=\"/a.mp3\">",
        ] {
            assert!(changed(xml, vec![]).is_none(), "{xml}");
        }
    }
}
