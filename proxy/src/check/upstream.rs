//! The upstream: whether it answers, what it is, which mounts it has.

use std::collections::BTreeMap;

use super::ask::{Answer, Appetite, ask};
use super::report::Section;
use crate::config::Credentials;
use crate::icecast_xml::stats::{self, Source};
use crate::upstream::{Listed, Origin, STATS, mounts};

/// What the upstream says of itself.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    /// By decoded path: what the public list says of it, and what the administrator's does.
    pub(super) mounts: BTreeMap<String, Seen>,
    /// It answered.
    pub(super) answers: bool,
    /// The administrator's list was read.
    pub(super) as_admin: bool,
}

/// A mount of the upstream.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// In the public list, and whether with an authenticator.
    pub(super) listed: Option<Listed>,
    /// In the administrator's list.
    pub(super) source: Option<Source>,
}

pub(super) async fn look(origin: &Origin, section: &mut Section) -> Upstream {
    let mut seen = Upstream::default();
    let base = origin.server().base();
    match ask(origin, "GET", STATS, None, Appetite::DOCUMENT).await {
        Err(error) => {
            section.error(
                &base,
                error,
                "is it running, and is this its address? Look at its log",
            );
            return seen;
        }
        Ok(answer) => public(&base, &answer, section, &mut seen),
    }
    if let Some(admin) = &origin.server().admin {
        administrator(origin, admin, section, &mut seen).await;
    }
    seen
}

/// A further upstream, beside the first that answers: it is to have the same mounts.
pub(super) fn compare(base: &str, first: &Upstream, other: &Upstream, section: &mut Section) {
    if !other.answers {
        return;
    }
    let listed = |upstream: &Upstream, path: &String| {
        let seen = upstream.mounts.get(path);
        seen.and_then(|seen| seen.listed)
    };
    for path in first.mounts.keys() {
        let (ours, theirs) = (listed(first, path), listed(other, path));
        if ours.is_some() && theirs.is_none() {
            let remedy =
                "its listeners have nowhere to go when the other fails: let this one relay it too";
            section.warn(base, format!("has no {path}"), remedy);
        } else if ours.is_some() && ours != theirs {
            let what = format!("protects {path} otherwise than the first upstream");
            let remedy = "give the mount the same authenticator everywhere: whichever is in use decides who listens";
            section.warn(base, what, remedy);
        }
    }
}

fn public(base: &str, answer: &Answer, section: &mut Section, seen: &mut Upstream) {
    seen.answers = true;
    let server = answer.field("server").unwrap_or("a server without a name");
    let took = answer.took.as_millis();
    if answer.status == 508 {
        section.error(
            base,
            "leads back to the proxy itself",
            "name the Icecast, not the proxy, in upstream",
        );
        return;
    }
    section.ok(base, format!("{server} answers in {took} ms"));
    let url = format!("{base}{STATS}");
    if answer.status != 200 {
        let says = format!(
            "answers {}: no mount is known to be open, so every mount is tunnelled",
            answer.status
        );
        section.error(
            url,
            says,
            "let the proxy read it: it is part of Icecast's webroot",
        );
        return;
    }
    let list = mounts(&answer.body);
    section.ok(
        url,
        format!(
            "lists {} live mount{}",
            list.len(),
            if list.len() == 1 { "" } else { "s" }
        ),
    );
    if list.is_empty() && !answer.body.windows(8).any(|part| part == b"icestats") {
        section.warn(
            base,
            "its list is not one of Icecast's",
            "is upstream an Icecast, or another icecast-ext?",
        );
    }
    for (path, entry) in list {
        seen.mounts.entry(path).or_default().listed = Some(entry.listed);
    }
}

async fn administrator(
    origin: &Origin,
    admin: &Credentials,
    section: &mut Section,
    seen: &mut Upstream,
) {
    let asked = ask(
        origin,
        "GET",
        "/admin/stats",
        Some(&admin.basic()),
        Appetite::DOCUMENT,
    )
    .await;
    match asked {
        Ok(answer) if answer.status == 200 => match stats::parse(&answer.body) {
            Ok(sources) => {
                seen.as_admin = true;
                section.ok(
                    "upstream-admin",
                    format!("is let in; {} mounts, hidden ones too", sources.len()),
                );
                for source in sources {
                    let mount = seen.mounts.entry(source.mount.clone()).or_default();
                    mount.source = Some(source);
                }
            }
            Err(error) => section.warn(
                "upstream-admin",
                format!("/admin/stats is not understood: {error}"),
                "",
            ),
        },
        Ok(answer) if answer.status == 401 => section.error(
            "upstream-admin",
            "is refused (401)",
            "admin-user and admin-password of <authentication> in icecast.xml are meant",
        ),
        Ok(answer) => section.warn(
            "upstream-admin",
            format!("/admin/stats answers {}", answer.status),
            "",
        ),
        Err(error) => section.warn("upstream-admin", error, ""),
    }
}
