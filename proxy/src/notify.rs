//! What the service manager is told (sd_notify). Without one, nothing is said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use icecast_ext_delivery::Survey;
use sd_notify::NotifyState;

use crate::server::Server;

/// Between two status lines, at most.
const STATUS: Duration = Duration::from_secs(10);
/// A ticker that has been at one round for so long is stuck.
const STUCK: Duration = Duration::from_secs(10);
/// What a stop may take besides the drain: tasks, loops and the journal end.
const MARGIN: Duration = Duration::from_secs(10);

/// Another process speaks now.
static SILENT: AtomicBool = AtomicBool::new(false);

fn tell(states: &[NotifyState<'_>]) {
    if SILENT.load(Ordering::Relaxed) {
        return;
    }
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told: is NotifyAccess=all set?");
    }
}

fn microseconds(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// It serves; also the end of a reload. After an upgrade this process is the service's main one.
pub(crate) fn ready(status: &str) {
    tell(&[
        NotifyState::Ready,
        NotifyState::MainPid(std::process::id()),
        NotifyState::Status(status),
    ]);
}

/// It reads its configuration anew; [`ready`] must follow, whether that worked or not.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "no monotonic clock"),
    }
}

/// It ends, and that may take `drain` and a bit.
pub(crate) fn stopping(drain: Duration) {
    let most = microseconds(drain + MARGIN);
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping"),
        NotifyState::ExtendTimeoutUsec(most),
    ]);
}

/// A line for `systemctl status`.
pub(crate) fn status(line: &str) {
    tell(&[NotifyState::Status(line)]);
}

/// Another process is the service from now on; this one says nothing more.
pub(crate) fn main_pid(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
    SILENT.store(true, Ordering::Relaxed);
}

/// What is served, in a line.
pub(crate) fn summary(server: &Server) -> String {
    let listeners = server.engine.listeners();
    let mounts = server.stations.len();
    format!("{listeners} listeners, {mounts} mounts")
}

/// How long it may be silent; `None`: for ever.
fn watchdog() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    // After an upgrade the environment names the process that started this one.
    let ours = [std::process::id(), std::os::unix::process::parent_id()];
    let meant =
        number("WATCHDOG_PID").is_none_or(|pid| ours.iter().any(|id| u64::from(*id) == pid));
    let time = number("WATCHDOG_USEC").filter(|_| meant)?;
    Some(Duration::from_micros(time.max(1)))
}

/// Until the server stops: the status, and the watchdog's sign of life if it is asked for. That is given only while the delivery
/// loops and the ticker answer: a process that hangs is better started anew from its journal.
pub(crate) async fn watch(server: Arc<Server>) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let watchdog = watchdog();
    let every = watchdog.map_or(STATUS, |time| (time / 3).min(STATUS));
    let mut asked: Option<Arc<Survey>> = None;
    loop {
        tokio::select! {
            () = server.stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let owed = asked.as_ref().and_then(|survey| survey.owed());
        if owed.is_none() {
            asked = Some(server.engine.survey(false));
        }
        let busy = server.engine.ticker_busy();
        if owed.is_some() || busy > STUCK {
            tracing::error!(
                ?owed,
                ?busy,
                "a delivery loop does not answer: the watchdog is not told that all is well"
            );
            continue;
        }
        let line = summary(&server);
        match watchdog {
            Some(_) => tell(&[NotifyState::Watchdog, NotifyState::Status(&line)]),
            None => status(&line),
        }
    }
}
