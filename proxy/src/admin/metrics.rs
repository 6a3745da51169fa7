//! `/metrics`: OpenMetrics text. Labels are mounts that are served and names of our own, never what a stranger sent.

use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use super::names::{BYTES, Names, SECONDS};
use super::process::Since;
use crate::figures::{CLIENTS, LIMITS, MountFigures, Pulled, REASONS, Starts};
use crate::server::Server;
use crate::station::{Station, Supply};

/// What a scraper is told.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything at this moment.
pub(crate) fn encode(server: &Arc<Server>) -> Result<String, Error> {
    let mut registry = Registry::with_prefix("icecast_ext");
    registry.register_collector(Box::new(Now(server.clone())));
    let mut process = Registry::with_prefix("process");
    process.register_collector(Box::new(Since(server.started_ms)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode_registry(&mut text, &registry)?;
    prometheus_client::encoding::text::encode_registry(&mut text, &process)?;
    prometheus_client::encoding::text::encode_eof(&mut text)?;
    Ok(text)
}

#[derive(Debug)]
struct Now(Arc<Server>);

/// A metric's name, help and unit, and where its value is.
type Named<T, V> = (
    &'static str,
    &'static str,
    Option<&'static Unit>,
    fn(&T) -> V,
);

impl Collector for Now {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut names = Names(encoder);
        let server = &*self.0;
        let mounts = server.figures.mounts();
        counted(&mut names, &mounts)?;
        pulls(&mut names, &mounts)?;
        held(&mut names, &server.stations.all())?;
        whole(&mut names, server)
    }
}

type Mounts = [(String, Arc<MountFigures>)];

/// What listeners did.
fn counted(names: &mut Names<'_>, mounts: &Mounts) -> Result<(), Error> {
    let starts: [Named<Starts, u64>; 3] = [
        (
            "joins",
            "Listeners that asked for no position",
            None,
            |starts| starts.joins.get(),
        ),
        (
            "resumes",
            "Listeners that went on at the exact byte",
            None,
            |starts| starts.resumes.get(),
        ),
        (
            "misses",
            "Listeners whose position was gone: each is a gap that somebody may hear",
            None,
            |starts| starts.misses.get(),
        ),
    ];
    for (name, help, unit, of) in starts {
        let mut family = names.counter(name, help, unit)?;
        for (mount, figures) in mounts {
            for (client, starts) in CLIENTS.iter().zip(&figures.starts) {
                family.count(&[("mount", mount), ("client", client)], of(starts))?;
            }
        }
    }
    let sums: [Named<MountFigures, u64>; 8] = [
        (
            "resumes_spliced",
            "Resumes that a declared splice or an alias led into another epoch",
            None,
            |figures| figures.sum(|starts| &starts.spliced),
        ),
        (
            "lost",
            "Bytes that clients were told they have lost",
            BYTES,
            |figures| figures.lost_bytes.get(),
        ),
        (
            "lost_unknown",
            "Misses where nobody knows how many bytes are lost",
            None,
            |figures| figures.lost_unknown.get(),
        ),
        (
            "resumes_refused",
            "Resumes that were answered 412 or 503",
            None,
            |figures| figures.refused.get(),
        ),
        (
            "resumes_aliased",
            "Resumes at a position of a peer's that is known to be one of ours",
            None,
            |figures| figures.aliased.get(),
        ),
        (
            "aliases_dropped",
            "Peers' epochs that turned out not to be ours",
            None,
            |figures| figures.aliases_refuted.get(),
        ),
        (
            "received",
            "Bytes of audio from the upstream or the source",
            BYTES,
            |figures| figures.passed().received,
        ),
        (
            "sent",
            "Bytes that the sockets of listeners took, with heads and metadata",
            BYTES,
            |figures| figures.passed().sent,
        ),
    ];
    for (name, help, unit, of) in sums {
        let mut family = names.counter(name, help, unit)?;
        for (mount, figures) in mounts {
            family.count(&[("mount", mount)], of(figures))?;
        }
    }
    let mut family = names.counter(
        "listeners_left",
        "Listeners whose response ended, by why",
        None,
    )?;
    for (mount, figures) in mounts {
        for (reason, count) in REASONS.iter().zip(&figures.left) {
            family.count(&[("mount", mount), ("reason", reason)], count.get())?;
        }
    }
    Ok(())
}

/// What happened between us and the upstream.
fn pulls(names: &mut Names<'_>, mounts: &Mounts) -> Result<(), Error> {
    for (name, help, how) in [
        (
            "pull_connections",
            "Connections to the upstream that gave a stream",
            Pulled::Connected,
        ),
        (
            "pull_losses",
            "Streams from the upstream, or sources, that broke",
            Pulled::Lost,
        ),
        (
            "pull_silences",
            "Streams from the upstream that were given up because nothing came",
            Pulled::Silent,
        ),
        (
            "pull_heals",
            "Connections that were proven to continue the epoch",
            Pulled::Healed,
        ),
        ("epochs", "Epochs that were minted here", Pulled::Minted),
        (
            "pull_moves",
            "Connections to another upstream than before",
            Pulled::Moved,
        ),
    ] {
        let mut family = names.counter(name, help, None)?;
        for (mount, figures) in mounts {
            family.count(&[("mount", mount)], figures.pulls(how))?;
        }
    }
    Ok(())
}

/// What mounts hold, and who listens now.
fn held(names: &mut Names<'_>, stations: &[Arc<Station>]) -> Result<(), Error> {
    let mut family = names.gauge("mount_upstream", "Always 1: where a mount comes from", None)?;
    for station in stations {
        if let Some(upstream) = station.figures.upstream() {
            family.gauge(&[("mount", &station.path), ("upstream", &upstream)], 1.0)?;
        }
    }
    let mut family = names.gauge("listeners", "Listeners now", None)?;
    for station in stations {
        let now = station.mount.listeners();
        for (kind, count) in [("plain", now.plain), ("icy", now.icy), ("feed", now.feed)] {
            family.gauge(&[("mount", &station.path), ("kind", kind)], count as f64)?;
        }
    }
    let gauges: [Named<Station, f64>; 5] = [
        ("window", "What the back buffer holds", BYTES, |station| {
            station.mount.held() as f64
        }),
        (
            "window",
            "What the back buffer holds, by arrival time",
            SECONDS,
            Station::held_seconds,
        ),
        (
            "rate",
            "Bytes a second of the stream; 0 while unknown",
            BYTES,
            |station| station.mount.rate() as f64,
        ),
        (
            "aliases",
            "Peers' epochs that are known to be ours",
            None,
            |station| station.mount.aliases() as f64,
        ),
        (
            "supply_up",
            "1 while bytes come from the upstream or the source",
            None,
            |station| f64::from(u8::from(station.supply() == Supply::Live)),
        ),
    ];
    for (name, help, unit, of) in gauges {
        let mut family = names.gauge(name, help, unit)?;
        for station in stations {
            family.gauge(&[("mount", &station.path)], of(station))?;
        }
    }
    Ok(())
}

/// What is counted for all.
fn whole(names: &mut Names<'_>, server: &Server) -> Result<(), Error> {
    let figures = &server.figures;
    for (name, help, value) in [
        (
            "connections",
            "Connections that were accepted",
            figures.connections.get(),
        ),
        (
            "tunnelled_requests",
            "Requests that were passed to the upstream as they were",
            figures.tunnelled.get(),
        ),
        (
            "passages",
            "Listeners that got from the upstream what is older than what is held",
            figures.passages.get(),
        ),
        (
            "accept_errors",
            "Connections that could not be accepted: out of descriptors?",
            figures.accept_errors.get(),
        ),
        (
            "tls_handshakes_failed",
            "TLS handshakes that failed",
            figures.tls_failed.get(),
        ),
        (
            "reloads",
            "Reloads of the configuration",
            figures.reloads.get(),
        ),
        (
            "access_log_lines_lost",
            "Lines that the access log could not take: is its disk full, or slow?",
            server.access_log.lost(),
        ),
        (
            "journal_failures",
            "Records that could not be written",
            server
                .journal
                .as_ref()
                .map_or(0, |journal| journal.failures()),
        ),
    ] {
        names.counter(name, help, None)?.count(&[], value)?;
    }
    let mut family = names.counter(
        "answers",
        "Answers that are neither a stream nor tunnelled, by status",
        None,
    )?;
    for (status, count) in figures.answers() {
        family.count(&[("status", &status.to_string())], count)?;
    }
    let mut family = names.counter("limits_hit", "Requests that a limit turned away", None)?;
    for (limit, count) in LIMITS.iter().zip(&figures.limits) {
        family.count(&[("limit", limit)], count.get())?;
    }
    let healthy = f64::from(u8::from(super::health::Health::of(server).is_ok()));
    names
        .gauge("healthy", "1 if /healthz says 200", None)?
        .gauge(&[], healthy)?;
    let degraded = server
        .journal
        .as_ref()
        .is_some_and(|journal| journal.degraded());
    names
        .gauge(
            "journal_degraded",
            "1 if the journal could not be written lately",
            None,
        )?
        .gauge(&[], f64::from(u8::from(degraded)))?;
    names
        .gauge("mounts", "Mounts that are served", None)?
        .gauge(&[], server.stations.len() as f64)?;
    names
        .gauge(
            "seats",
            "Listeners that count towards limits.listeners",
            None,
        )?
        .gauge(&[], server.limits.seats() as f64)?;
    names
        .gauge(
            "known_addresses",
            "Addresses that the limits remember",
            None,
        )?
        .gauge(&[], server.limits.addresses() as f64)?;
    let build = "Which build this is";
    let mut info = names
        .0
        .encode_descriptor("build", build, None, MetricType::Info)?;
    info.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
}
