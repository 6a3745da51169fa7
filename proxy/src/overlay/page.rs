//! Icecast's own pages, `/status.xsl` and those of `/admin/`: HTML that its stylesheets make of the same documents. A page
//! that an operator has made himself is left where it does not look like these.

use super::clients::{Change, Row, agent, true_address};
use super::places::{Edits, Place, Places, Source, What};
use super::xml::{Step, attribute, base, text, walk};

/// What the first cell of a row says of the second.
fn label(text: &str, in_source: bool) -> Option<What> {
    match text {
        "Listeners (current):" => Some(What::Listeners),
        "Listeners (peak):" => Some(What::Peak),
        name if in_source => What::of_source(name.as_bytes()),
        name => What::of_server(name.as_bytes()),
    }
}

/// `None`: not well-formed, or too deep.
pub(crate) fn places(html: &[u8]) -> Option<Places> {
    let mut found = Places::default();
    let mut cells: Vec<String> = Vec::new();
    let mut codes: Vec<String> = Vec::new();
    let named = |path: &[String], name: &str| path.last().is_some_and(|last| last == name);
    let well = walk(html, |step| match step {
        Step::Start { path, .. } if named(path, "tr") => cells.clear(),
        Step::Start { path, .. } if named(path, "p") => codes.clear(),
        Step::End {
            path,
            leaf: Some(leaf),
            ..
        } if named(path, "h3") => {
            let heading = text(&html[leaf.at]).unwrap_or_default();
            let mount = heading
                .strip_prefix("Mount Point ")
                .or_else(|| heading.strip_prefix("Mountpoint "));
            if let Some(mount) = mount {
                found.sources.push(Source {
                    mount: mount.to_owned(),
                    ..Source::default()
                });
            }
        }
        Step::End { path, leaf, .. } if named(path, "td") => {
            let source = found.sources.last_mut();
            if let (1, Some(leaf)) = (cells.len(), &leaf)
                && let Some(what) = label(&cells[0], source.is_some())
            {
                let at = leaf.at.clone();
                match source {
                    Some(source) if what == What::Base => {
                        source
                            .places
                            .extend(base(&html[at.clone()], &source.mount, at.start));
                    }
                    Some(source) => source.places.push(Place { what, at }),
                    None => found.server.push(Place { what, at }),
                }
            }
            cells.push(
                leaf.and_then(|leaf| text(&html[leaf.at]))
                    .unwrap_or_default(),
            );
        }
        // `3 Listener(s)`, in a list of mounts.
        Step::End {
            path,
            leaf: Some(leaf),
            ..
        } if named(path, "p") => {
            let number = html[leaf.at.clone()]
                .strip_suffix(b" Listener(s)")
                .map(<[u8]>::len);
            if let (Some(length), Some(source)) = (number, found.sources.last_mut()) {
                source.places.push(Place {
                    what: What::Listeners,
                    at: leaf.at.start..leaf.at.start + length,
                });
            }
        }
        // `Move from <code>/a</code> to <code>/b</code><br />3 listeners`: those of `/b`.
        Step::End {
            path,
            leaf: Some(leaf),
            ..
        } if named(path, "code") => {
            codes.push(text(&html[leaf.at]).unwrap_or_default());
        }
        Step::Text { path, at } if named(path, "p") && codes.len() == 2 => {
            let raw = html[at.clone()].trim_ascii();
            if let Some(number) = raw.strip_suffix(b" listeners") {
                let start = at.end - html[at.clone()].trim_ascii_start().len();
                found.sources.push(Source {
                    mount: codes[1].clone(),
                    places: vec![Place {
                        what: What::Listeners,
                        at: start..start + number.len(),
                    }],
                    ..Source::default()
                });
            }
        }
        _ => {}
    });
    well.then_some(found)
}

/// A row of `/admin/listclients.xsl`.
#[derive(Debug, Default)]
struct Theirs {
    at: std::ops::Range<usize>,
    cells: Vec<std::ops::Range<usize>>,
    kick: bool,
}

/// `/admin/listclients.xsl` with the change; `None` if it does not look like Icecast's own.
pub(crate) fn clients(html: &[u8], change: &Change<'_>) -> Option<Vec<u8>> {
    let mut mount = None;
    let mut theirs: Vec<Theirs> = Vec::new();
    // Of the table: where it begins, where its rows end, where it ends.
    let mut table: Option<(usize, usize, usize)> = None;
    let mut none = None;
    let named = |path: &[String], name: &str| path.last().is_some_and(|last| last == name);
    let mut divs: Vec<(usize, bool)> = Vec::new();
    let mut rows_end = None;
    let well = walk(html, |step| match step {
        Step::Start { path, tag, at } if named(path, "div") => {
            divs.push((
                at,
                attribute(tag, "class").is_some_and(|class| class == "scrolltable"),
            ));
        }
        Step::End { path, after, .. } if named(path, "div") => {
            if let (Some((from, true)), Some(rows)) = (divs.pop(), rows_end) {
                table = Some((from, rows, after));
            }
        }
        Step::End { path, end, .. } if named(path, "tbody") => rows_end = Some(end),
        Step::End {
            path,
            leaf: Some(leaf),
            ..
        } if named(path, "h3") => {
            let heading = text(&html[leaf.at]).unwrap_or_default();
            mount = heading.strip_prefix("Mountpoint ").map(str::to_owned);
        }
        Step::Start { path, at, .. } if named(path, "tr") => theirs.push(Theirs {
            at: at..at,
            ..Theirs::default()
        }),
        Step::End { path, end, .. } if named(path, "td") => {
            if let Some(row) = theirs.last_mut() {
                let from = html[..end]
                    .iter()
                    .rposition(|byte| *byte == b'>')
                    .map_or(end, |at| at + 1);
                row.cells.push(from..end);
            }
        }
        Step::Start { path, tag, .. } if named(path, "a") => {
            let kick =
                attribute(tag, "href").is_some_and(|href| href.starts_with("killclient.xsl?"));
            if let (true, Some(row)) = (kick, theirs.last_mut()) {
                row.kick = true;
            }
        }
        Step::End { path, after, .. } if named(path, "tr") => {
            if let Some(row) = theirs.last_mut() {
                row.at.end = after;
            }
        }
        Step::End {
            path,
            leaf: Some(leaf),
            after,
            ..
        } if named(path, "p") && &html[leaf.at.clone()] == NONE => {
            none = Some(leaf.at.start - "<p>".len()..after);
        }
        _ => {}
    });
    let (true, Some(mount)) = (well, mount) else {
        return None;
    };
    theirs.retain(|row| row.kick && row.cells.len() == 4);
    let rows = (change.rows)(&mount);
    let mut shadows = (change.shadows)(&mount);
    let made: String = rows.iter().map(|row| element(row, &mount)).collect();
    let mut edits = Edits::default();
    match (table, none) {
        (Some((from, end, after)), _) => {
            let cell = |row: &Theirs, index: usize| {
                text(html[row.cells[index].clone()].trim_ascii()).unwrap_or_default()
            };
            let own = |row: &&Theirs| (change.own)(&cell(row, 2));
            if rows.is_empty() && theirs.iter().filter(own).count() == theirs.len() {
                edits.put(from..after, [b"<p>", NONE, b"</p>"].concat());
                return Some(edits.apply(html));
            }
            for row in &theirs {
                // The indentation before the row goes with it.
                let blank = html[..row.at.start].trim_ascii_end().len();
                if own(&row) {
                    edits.put(blank..row.at.end, "");
                } else if let Some(address) = true_address(
                    &mut shadows,
                    cell(row, 0).split_whitespace().next().unwrap_or_default(),
                    &cell(row, 2),
                ) {
                    let shown = &html[row.cells[0].clone()];
                    let length = shown
                        .iter()
                        .position(u8::is_ascii_whitespace)
                        .unwrap_or(shown.len());
                    let at = row.cells[0].start;
                    edits.put(at..at + length, address);
                }
            }
            let blank = html[..end].trim_ascii_end().len();
            edits.put(blank..blank, made);
        }
        (None, Some(at)) if !rows.is_empty() => edits.put(at, format!("{HEAD}{made}{FOOT}")),
        _ => {}
    }
    Some(edits.apply(html))
}

/// What the page says if there are none.
const NONE: &[u8] = b"No listeners connected";
/// Before the rows of a table that Icecast did not make.
const HEAD: &str = "<div class=\"scrolltable\">
          <table class=\"colortable\">
            <thead>
              <tr>
                <td>IP</td>
                <td>Sec. connected</td>
                <td>User Agent</td>
                <td>Action</td>
              </tr>
            </thead>
            <tbody>";
/// After them.
const FOOT: &str = "
            </tbody>
          </table>
        </div>";

/// A row as Icecast's stylesheet makes it.
fn element(row: &Row, mount: &str) -> String {
    let user = if row.user.is_empty() {
        String::new()
    } else {
        format!(
            "\n\t\t\t\t\t\t\t\t\t\t\t\t\t({})\n\t\t\t\t\t\t\t\t\t\t\t\t",
            escape(&row.user)
        )
    };
    format!(
        "
              <tr>
                <td>{}{user}</td>
                <td>{}</td>
                <td>{}</td>
                <td>
                  <a href=\"killclient.xsl?mount={}&amp;id={}\">Kick</a>
                </td>
              </tr>",
        escape(&row.address),
        row.connected,
        escape(agent(&row.agent)),
        escape(mount).replace('"', "&quot;"),
        row.id,
    )
}

/// Text in a page of UTF-8.
fn escape(text: &str) -> String {
    let cannot = |c: char| {
        (c < ' ' && c != '\t' && c != '\n') || matches!(c, '\u{fffd}' | '\u{fffe}' | '\u{ffff}')
    };
    if text.contains(cannot) {
        return String::new();
    }
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
