//! Whether this relay does what it is there for.

use std::time::Duration;

use serde::Serialize;

use crate::server::Server;
use crate::station::Supply;

/// A mount may be without its upstream for so long: a reconnect is no failure.
const GRACE: Duration = Duration::from_secs(3);

/// What `/healthz` says.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Health {
    /// `ok` or `failing`.
    pub(crate) status: &'static str,
    /// Why it fails; none while it is ok.
    pub(crate) reasons: Vec<String>,
    /// What somebody should look at, though listeners are served.
    pub(crate) warnings: Vec<String>,
}

impl Health {
    pub(crate) fn of(server: &Server) -> Self {
        let config = server.config();
        let (mut reasons, mut warnings) = (Vec::new(), Vec::new());
        if server.stop.is_cancelled() {
            reasons.push("stopping".to_owned());
        } else if server.accepting.is_cancelled() {
            reasons.push("draining: no new listeners".to_owned());
        }
        if let Some(what) = server.watch.stuck() {
            reasons.push(format!("{what} hangs: listeners get nothing"));
        }
        // Behind an upstream, a mount that is always wanted and cannot be had is our failure; a source that is not there is the
        // source's.
        let wanted = |path: &String| server.upstream.is_some() && config.always.contains(path);
        for path in config.always.iter().filter(|path| wanted(path)) {
            let lost = server.figures.mount(path).lost_for();
            if let Some(lost) = lost.filter(|lost| *lost >= GRACE) {
                let secs = lost.as_secs();
                reasons.push(format!(
                    "{path}: no bytes from the upstream for {secs} s; is it up?"
                ));
            }
        }
        for station in server.stations.all() {
            let path = &station.path;
            match station.supply() {
                Supply::Live | Supply::Starting => {}
                Supply::Lost(since) if since.elapsed() < GRACE || wanted(path) => {}
                Supply::Lost(since) => {
                    let secs = since.elapsed().as_secs();
                    warnings.push(format!("{path}: nothing comes in for {secs} s"));
                }
                Supply::NoSource => {
                    warnings.push(format!("{path}: the upstream has no source on it"));
                }
                Supply::Refused => warnings.push(format!(
                    "{path}: the upstream refuses it: does the mount need pull-credentials?"
                )),
            }
        }
        if server
            .journal
            .as_ref()
            .is_some_and(|journal| journal.degraded())
        {
            warnings.push(
                "the journal cannot be written: is the disk of the state directory full?"
                    .to_owned(),
            );
        }
        Self {
            status: if reasons.is_empty() { "ok" } else { "failing" },
            reasons,
            warnings,
        }
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.reasons.is_empty()
    }

    /// Lines for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}\n", self.status);
        for reason in &self.reasons {
            text.push_str(&format!("failing: {}\n", reason.escape_debug()));
        }
        for warning in &self.warnings {
            text.push_str(&format!("warning: {}\n", warning.escape_debug()));
        }
        text
    }
}
