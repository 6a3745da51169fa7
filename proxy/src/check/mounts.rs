//! What becomes of each mount: how listeners are admitted and why, how much is held, what they will notice.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};

use super::ask::{Appetite, ask, encoded};
use super::report::{MountReport, Section};
use super::upstream::{Seen, Upstream};
use crate::admission;
use crate::config::{Admission, Config};
use crate::upstream::{Listed, Origin};

/// Mounts that are asked for, at most.
const MOST: usize = 200;
/// Mounts that are asked for at the same time.
const AT_ONCE: usize = 8;
/// With a smaller burst, the upstream heals only short breaks of the pull: bytes.
const SMALL_BURST: usize = 32 << 10;
/// What is assumed of a mount that does not say: bits a second.
const ASSUMED: u64 = 128_000;

/// The mounts that the upstream lists, and those that the configuration names.
pub(super) async fn look(
    config: &Config,
    origin: Option<&Origin>,
    upstream: &Upstream,
    section: &mut Section,
) -> Vec<MountReport> {
    let listed = upstream.mounts.keys();
    let named = config.mounts.keys().chain(&config.always);
    let all: BTreeSet<&String> = listed.chain(named).collect();
    if all.len() > MOST {
        section.warn(
            "mounts",
            format!("{} mounts; the first {MOST} are looked at", all.len()),
            "",
        );
    }
    let looks = all
        .into_iter()
        .take(MOST)
        .map(|path| one(config, origin, upstream, path));
    let reports: Vec<MountReport> = stream::iter(looks).buffered(AT_ONCE).collect().await;
    if reports.is_empty() {
        section.warn(
            "mounts",
            "there is none: no source is live, and the configuration names none",
            "ask again when an encoder is connected",
        );
    }
    memory(&reports, section);
    reports
}

async fn one(
    config: &Config,
    origin: Option<&Origin>,
    upstream: &Upstream,
    path: &str,
) -> MountReport {
    let seen = upstream.mounts.get(path).cloned().unwrap_or_default();
    let mut findings = Section::new("");
    let mut report = empty(config, path, &seen);
    match origin {
        Some(origin) if upstream.answers => {
            mount(config, origin, path, &seen, &mut report, &mut findings).await;
        }
        _ => {}
    }
    report.window_bytes = bytes(&report);
    report.listeners_notice = notice(report.admission, origin.is_some());
    report.findings = findings.findings;
    report
}

fn empty(config: &Config, path: &str, seen: &Seen) -> MountReport {
    let options = config.mount(path);
    let (admission, why) = decide(config, path, seen.listed.unwrap_or(Listed::No));
    MountReport {
        mount: path.to_owned(),
        admission,
        why: why.to_owned(),
        window_seconds: options.window.unwrap_or(config.window).as_secs(),
        window_bytes: 0,
        burst_bytes: options.burst.unwrap_or(config.burst),
        bits_per_second: None,
        listeners_notice: "",
        findings: Vec::new(),
    }
}

/// How listeners of a mount are admitted, and why.
fn decide(config: &Config, path: &str, listed: Listed) -> (Admission, &'static str) {
    if config.upstreams.is_empty() {
        return (Admission::Fanout, "this is an origin: anyone may listen");
    }
    let (mode, why) = admission::decide(config.mount(path), listed);
    (mode, why.text())
}

const fn notice(admission: Admission, behind: bool) -> &'static str {
    match admission {
        Admission::Fanout if !behind => "resume, here and at every relay",
        Admission::Fanout => {
            "resume, here and at every relay; the upstream sees one listener, the pull, and no intro is heard"
        }
        Admission::Verdict => {
            "resume, and each start is judged by the upstream, which does not see how long they stay; no intro is heard"
        }
        Admission::Shadow => {
            "resume; the upstream judges, counts, bills and kicks each of them as ever; no intro is heard"
        }
        Admission::Tunnel => "are the upstream's, as ever: nothing resumes",
    }
}

async fn mount(
    config: &Config,
    origin: &Origin,
    path: &str,
    seen: &Seen,
    report: &mut MountReport,
    findings: &mut Section,
) {
    let options = config.mount(path);
    let target = encoded(path);
    let answer = match ask(origin, "GET", &target, None, Appetite::BURST).await {
        Ok(answer) => answer,
        Err(error) => return findings.error("a plain GET", error, "look at the upstream's log"),
    };
    let br = answer.field("icy-br").unwrap_or_default();
    let digits: String = br.chars().take_while(char::is_ascii_digit).collect();
    let kbits = digits
        .parse()
        .ok()
        .or(seen.source.as_ref().and_then(|source| source.kbits));
    report.bits_per_second = kbits
        .filter(|kbits| (1..=100_000).contains(kbits))
        .map(|kbits: u64| kbits * 1000);
    let stream = answer.status == 200 && answer.field("content-length").is_none();
    let protected = seen.listed == Some(Listed::Protected);
    let pulled = report.admission != Admission::Tunnel;
    let says = format!(
        "answers {} in {} ms",
        answer.status,
        answer.took.as_millis()
    );
    match answer.status {
        200 if !stream => findings.warn("a plain GET", "is a file, not a stream", "files are tunnelled: no table is needed for it"),
        200 if protected && options.admission.is_none() => findings.warn(
            "a plain GET",
            "is let in, although the stats name an authenticator (its hooks ask about sources only, perhaps)",
            "if anyone may listen: admission = \"fanout\", and pull-credentials with any USER:PASSWORD",
        ),
        200 if !protected => findings.ok("a plain GET", says),
        401 | 403 if protected => findings.ok("a plain GET", format!("is refused ({}): the upstream asks for an account", answer.status)),
        401 | 403 if report.admission == Admission::Fanout && options.pull_credentials.is_none() => findings.error(
            "a plain GET",
            format!("is refused ({}), so the mount cannot be pulled", answer.status),
            "full, or banned? If it is protected, set pull-credentials",
        ),
        404 => findings.warn("a plain GET", "there is no such mount now (404)", "the source is gone, or the name is not the mount's"),
        _ => findings.warn("a plain GET", says, ""),
    }
    if stream && pulled && answer.body.is_empty() {
        findings.warn(
            "a plain GET",
            "gave no byte of the stream within 2 s",
            "does the encoder send?",
        );
    } else if stream && pulled && answer.body.len() < SMALL_BURST {
        findings.warn(
            "burst",
            format!("the upstream sent {} bytes at once", answer.body.len()),
            "unless the source has only just come: <burst-size>65536</burst-size> in icecast.xml, by which a broken pull is healed",
        );
    }
    if let Some(credentials) = &options.pull_credentials {
        let asked = ask(
            origin,
            "GET",
            &target,
            Some(&credentials.basic()),
            Appetite::NONE,
        )
        .await;
        match asked {
            Ok(answer) if answer.status == 200 => findings.ok("pull-credentials", "are let in"),
            Ok(answer) => findings.error(
                "pull-credentials",
                format!("are refused ({})", answer.status),
                "a listener's account is meant; passwords of relays, sources and the administrator do not pass",
            ),
            Err(error) => findings.error("pull-credentials", error, ""),
        }
        if options.admission == Some(Admission::Fanout) && protected {
            findings.warn(
                "admission",
                "fanout lets everybody hear a protected mount",
                "shadow or verdict let the upstream judge each listener",
            );
        } else if !protected && answer.status == 200 {
            findings.warn(
                "pull-credentials",
                "are not needed: the mount is open",
                "remove them",
            );
        }
    } else if protected
        && report.admission == Admission::Tunnel
        && options.admission != Some(Admission::Tunnel)
    {
        findings.warn(
            "pull-credentials",
            "there are none, so the mount is tunnelled and does not resume",
            format!("[mount.{path:?}] pull-credentials = \"USER:PASSWORD\" of a listener"),
        );
    }
    if seen.listed.is_none() && seen.source.is_some() {
        let remedy =
            format!("[mount.{path:?}] admission = \"fanout\" (or \"shadow\") to have it resume");
        findings.warn(
            "hidden",
            "the public stats do not show it; a hidden mount is ours to serve only if it is named",
            remedy,
        );
    }
    limits(config, path, seen, report.admission, findings);
}

/// What Icecast counts, against what we do.
fn limits(config: &Config, path: &str, seen: &Seen, admission: Admission, findings: &mut Section) {
    let Some(theirs) = seen.source.as_ref().and_then(|source| source.max_listeners) else {
        return;
    };
    let ours = config.mount(path).max_listeners;
    match admission {
        Admission::Fanout | Admission::Verdict if ours.is_none() => findings.warn(
            "max-listeners",
            format!("the upstream lets {theirs} in, but sees the pull alone: nothing bounds our listeners"),
            format!("[mount.{path:?}] max-listeners = {theirs}"),
        ),
        Admission::Shadow => findings.ok("max-listeners", format!("{theirs} at the upstream, which counts them; the pull takes one place")),
        _ => {}
    }
}

/// All windows together, against what there is.
fn memory(reports: &[MountReport], section: &mut Section) {
    let need: u64 = reports
        .iter()
        .filter(|report| report.admission != Admission::Tunnel)
        .map(bytes)
        .sum();
    let Some(memory) = super::machine::memory() else {
        return;
    };
    let says = format!(
        "all windows take about {:.0} MB when every mount is heard; the limit is a quarter of memory, {:.0} MB",
        need as f64 / 1e6,
        memory as f64 / 4e6
    );
    if need > memory / 4 {
        section.warn("window", says, "windows will shrink, those of idle mounts first: set a shorter window, or one for each mount");
    } else if need > 0 {
        section.ok("window", says);
    }
}

/// Of a full window.
fn bytes(report: &MountReport) -> u64 {
    (report.bits_per_second.unwrap_or(ASSUMED) / 8).saturating_mul(report.window_seconds)
}
