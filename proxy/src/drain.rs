//! SIGTERM: nobody new comes in, those who can resume go on elsewhere, the others have a while.

use std::time::Duration;

use tokio::time::Instant;

use crate::notify;
use crate::server::Server;

/// Between two looks at who is left.
const LOOK: Duration = Duration::from_millis(100);

impl Server {
    /// Returns when nobody is left, the `drain` of the configuration is over, or `at_once` says that it must not be waited for.
    /// Aware clients and relays are sent what is held and then end: they ask another relay. So do stock players that come back,
    /// if there are other relays; many of them ask once only, and the later that is, the sooner a successor answers (R-STOCK-21).
    /// Other listeners and tunnels go on until then.
    pub(crate) async fn drain(&self, at_once: impl Future<Output = ()>) {
        let time = self.config().drain;
        notify::stopping(time);
        self.accepting.cancel();
        self.doors.close();
        self.engine.retire(!self.config().relays.is_empty());
        tokio::select! {
            () = self.emptied(time) => {}
            () = at_once => tracing::warn!("stopping at once"),
        }
    }

    async fn emptied(&self, time: Duration) {
        let start = Instant::now();
        let mut said = None;
        loop {
            let listeners = self.engine.listeners();
            let connections = self.connections.len();
            let left = time.saturating_sub(start.elapsed());
            if (listeners == 0 && connections == 0) || left.is_zero() {
                tracing::info!(listeners, connections, "drained");
                return;
            }
            if said != Some(left.as_secs()) {
                said = Some(left.as_secs());
                let secs = left.as_secs_f32().ceil();
                tracing::info!(listeners, connections, secs, "draining");
                notify::status(&format!(
                    "stopping: {listeners} listeners left, {secs} s at most"
                ));
            }
            tokio::time::sleep(LOOK.min(left)).await;
        }
    }
}
