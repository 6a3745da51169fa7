//! The mounts of an `icecast.xml` in our words: who is admitted how, and what listeners will notice.

use super::page::{Page, quoted};
use crate::icecast_xml::{IcecastXml, Mount};

pub(super) fn write(page: &mut Page, xml: &IcecastXml) {
    let default = xml.mounts.iter().rev().find(|mount| mount.name.is_none());
    if let Some(default) = default {
        page.why(&format!(
            "Line {}: <mount type=\"default\"> holds for mounts that have no <mount> of their own in Icecast. There is \
             no such table here: give each of those mounts a table of its own if something of it is to hold.",
            default.line
        ));
        if default.authentication.is_some() {
            page.why("It has an authenticator: each of its mounts is tunnelled unless it gets pull-credentials here.");
        }
        if default.fallback.is_some() {
            page.why("It has a fallback: any path is a live stream then. Only mounts in the stats are fanned out.");
        }
        page.blank();
    }
    let mut seen = std::collections::HashSet::new();
    let named = xml
        .mounts
        .iter()
        .filter_map(|mount| Some((mount.name.as_deref()?, mount)));
    for (name, mount) in named {
        if !name.starts_with('/')
            || name.contains(['*', '?', '['])
            || name.contains(char::is_control)
        {
            page.why(&format!(
                "Line {}: {name} is a pattern, or no path; name the mounts one by one here.",
                mount.line
            ));
            page.blank();
        } else if seen.insert(name) {
            table(page, name, mount);
        }
    }
    if seen.is_empty() {
        page.why("Mounts need no table; an example (see docs/operators.md):");
        page.why("[mount.\"/live.mp3\"]");
        page.off("window", "600");
    }
}

fn table(page: &mut Page, name: &str, mount: &Mount) {
    page.why(&format!("Line {}.", mount.line));
    page.table(&format!("mount.{}", quoted(name)));
    admission(page, mount);
    if let Some(listeners) = &mount.max_listeners {
        page.why(&format!(
            "Line {}: with fan-out Icecast counts the proxy's one pull, so the proxy counts. In icecast.xml it goes on \
             to hold for who is tunnelled or shadowed; the pull takes one place, so add one there.",
            listeners.line
        ));
        page.plain("max-listeners", &listeners.value.to_string());
    }
    if let Some(seconds) = &mount.max_listener_duration {
        page.why(&format!(
            "Line {}: seconds, over all resumes of a listener. Icecast ends the proxy's own pull by it too; that one \
             comes back and heals, nobody loses a byte.",
            seconds.line
        ));
        page.plain("max-listener-duration", &seconds.value.to_string());
    }
    if let Some(burst) = &mount.burst_size {
        page.why(&format!("Line {}.", burst.line));
        page.plain("burst", &burst.value.min(16 << 20).to_string());
    }
    if let Some(fallback) = &mount.fallback {
        page.why(&format!(
            "Line {}: if the source goes, Icecast moves the proxy's pull to {}, and all listeners hear that.",
            fallback.line, fallback.value
        ));
    }
    if let Some(line) = mount.hidden {
        page.why(&format!(
            "Line {line}: hidden mounts are not in the public stats; `icecast-ext check` says what becomes of it."
        ));
    }
    if let Some(line) = mount.headers {
        page.why(&format!(
            "Line {line}: fields of its own are sent to who is tunnelled; fan-out repeats icy-* and Content-Type only."
        ));
    }
    page.blank();
}

/// One `admission`, and all that speaks for it.
fn admission(page: &mut Page, mount: &Mount) {
    let mut tunnel = false;
    if let Some(intro) = &mount.intro {
        tunnel = true;
        page.why(&format!(
            "Line {}: each joiner hears {} first, from Icecast, so the mount is tunnelled and does not resume. \
             \"fanout\" instead: everybody resumes, nobody hears the intro.",
            intro.line, intro.value
        ));
    }
    if let Some(line) = mount.fallback_when_full {
        tunnel = true;
        page.why(&format!(
            "Line {line}: when the mount is full, Icecast sends listeners to the fallback, so it must see each of them: \
             tunnelled. \"fanout\" with max-listeners instead: the proxy refuses them."
        ));
    }
    match &mount.authentication {
        Some(asks) if asks.leaves_listeners_alone() => {
            page.why(&format!(
                "Line {}: the hooks ask about sources only, so anybody may listen, although the stats say \"authenticator\".",
                asks.line
            ));
            if !tunnel {
                page.string("admission", "fanout");
                page.why("Any account will do for the pull: nobody asks for it.");
                page.string("pull-credentials", "icecast-ext:any");
            }
        }
        Some(asks) => {
            let how = match asks.option("filename") {
                Some(file) => format!("{} in {file}", asks.kind),
                None => asks.kind.clone(),
            };
            page.why(&format!(
                "Line {}: listeners need an account ({how}). With one for the proxy's own pull the mount resumes, and \
                 Icecast still judges, bills and kicks every listener (\"shadow\"). Without: tunnelled.",
                asks.line
            ));
            page.off("pull-credentials", "\"user:password\"");
            if !tunnel {
                page.off("admission", "\"shadow\"");
            }
        }
        None => {}
    }
    if tunnel {
        page.string("admission", "tunnel");
    }
}
