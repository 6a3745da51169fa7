//! Relays of the same streams: whether they answer, and whether a listener that moves there goes on at the same byte.

use std::collections::BTreeMap;

use icecast_ext_core::address::Epoch;
use icecast_ext_core::field::{STREAM_OFFSET, StreamOffset};
use url::Url;

use super::ask::{Appetite, ask, encoded};
use super::report::Section;
use crate::config::{Config, Upstream};
use crate::upstream::Origin;

/// Mounts that each relay is asked for.
const MOUNTS: usize = 5;

/// What one server says of one mount.
enum Said {
    /// It resumes there, in this epoch.
    Epoch(Epoch),
    /// It answers, but is no relay of ours.
    Stock(u16),
    /// It has no such mount, or no bytes of it yet.
    NotNow(u16),
}

/// `url` is a base without a slash at its end.
fn origin(url: &str, config: &Config) -> Option<(Origin, String)> {
    let url = Url::parse(url).ok()?;
    let server = Upstream {
        host: url.host_str()?.to_owned(),
        port: url.port_or_known_default()?,
        tls: url.scheme() == "https",
        ca: config.options.upstream_ca.clone(),
        admin: None,
    };
    let origin = Origin::new(server, format!("1.1 {}", crate::random_id().ok()?)).ok()?;
    Some((origin, url.path().trim_end_matches('/').to_owned()))
}

async fn epoch(origin: &Origin, target: &str) -> Result<Said, String> {
    let answer = ask(origin, "HEAD", target, None, Appetite::NONE).await?;
    let position = answer
        .field(STREAM_OFFSET)
        .map(|value| StreamOffset::parse(value.as_bytes()));
    Ok(match position {
        Some(Ok(position)) => Said::Epoch(position.at.epoch),
        Some(Err(error)) => return Err(format!("its Stream-Offset is not understood: {error}")),
        None if matches!(answer.status, 404 | 503) => Said::NotNow(answer.status),
        None => Said::Stock(answer.status),
    })
}

/// Asks ourselves (if we run), the upstream (if it is one of us) and every relay for the epochs of `mounts`.
pub(super) async fn look(
    config: &Config,
    upstream: Option<&Origin>,
    mounts: &[&str],
    section: &mut Section,
) {
    let mounts = &mounts[..mounts.len().min(MOUNTS)];
    // What others are compared with, by mount: who said it, and what.
    let mut known: BTreeMap<&str, (String, Epoch)> = BTreeMap::new();
    if let Some(upstream) = upstream {
        let mut relay = false;
        for mount in mounts {
            if let Ok(Said::Epoch(epoch)) = epoch(upstream, &encoded(mount)).await {
                relay = true;
                known.insert(mount, (upstream.server().base(), epoch));
            }
        }
        if relay {
            section.ok(
                upstream.server().base(),
                "resumes: it names the epochs, and this is a relay of it",
            );
        }
    }
    for relay in &config.relays {
        let Some((origin, prefix)) = origin(relay, config) else {
            section.error(relay, "cannot be asked", "is it http://HOST[:PORT]?");
            continue;
        };
        let mut agreed = 0;
        for mount in mounts {
            match epoch(&origin, &format!("{prefix}{}", encoded(mount))).await {
                Err(error) => {
                    section.error(relay, error, "listeners are sent there when this one fails: start it, or remove it from relays");
                    break;
                }
                Ok(Said::Stock(status)) => {
                    let says = format!("{mount} answers {status} without a Stream-Offset: it is no icecast-ext, or tunnels this mount");
                    section.error(relay, says, "put icecast-ext in front of it, or remove it from relays");
                    break;
                }
                Ok(Said::NotNow(status)) => section.warn(relay, format!("{mount} answers {status}"), "has it the same upstream?"),
                Ok(Said::Epoch(epoch)) => match known.get(mount) {
                    Some((who, other)) if *other != epoch => section.error(
                        relay,
                        format!("{mount} has another epoch than at {who}: who moves between them loses their place"),
                        "all relays must lead to one icecast-ext next to the source: only that one may have an Icecast as its upstream",
                    ),
                    Some(_) => agreed += 1,
                    None => {
                        known.insert(mount, (relay.clone(), epoch));
                        agreed += 1;
                    }
                },
            }
        }
        if agreed > 0 {
            section.ok(
                relay,
                format!(
                    "answers, with the same epoch for {agreed} of {} mounts",
                    mounts.len()
                ),
            );
        } else if mounts.is_empty() {
            section.warn(
                relay,
                "no mount is live to compare",
                "ask again when one is",
            );
        }
    }
}
