//! A gate that is closed for a moment: whoever is inside leaves, and nobody comes in.

use tokio::sync::watch;

/// Open as long as nobody keeps it closed.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many keep it closed.
    closed: usize,
    inside: usize,
}

/// Somebody is inside.
#[derive(Debug)]
pub(crate) struct Inside<'a>(&'a Gate);

/// Somebody keeps the gate closed.
#[derive(Debug)]
pub(crate) struct Closed<'a>(&'a Gate);

impl Gate {
    /// Waits until it is open, and goes in.
    pub(crate) async fn enter(&self) -> Inside<'_> {
        loop {
            let entered = self.state.send_if_modified(|state| {
                let open = state.closed == 0;
                state.inside += usize::from(open);
                open
            });
            if entered {
                return Inside(self);
            }
            // The sender is ours: it is not gone.
            let _ = self
                .state
                .subscribe()
                .wait_for(|state| state.closed == 0)
                .await;
        }
    }

    /// Returns when whoever is inside is to leave.
    pub(crate) async fn closing(&self) {
        let _ = self
            .state
            .subscribe()
            .wait_for(|state| state.closed > 0)
            .await;
    }

    /// Closes it, and returns when nobody is inside.
    pub(crate) async fn close(&self) -> Closed<'_> {
        self.state.send_modify(|state| state.closed += 1);
        let closed = Closed(self);
        let _ = self
            .state
            .subscribe()
            .wait_for(|state| state.inside == 0)
            .await;
        closed
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.inside -= 1);
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.closed -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn nobody_is_inside_while_it_is_closed() {
        let gate = Arc::new(Gate::default());
        let inside = Arc::new(AtomicUsize::new(0));
        let (worker_gate, worker_inside) = (gate.clone(), inside.clone());
        let worker = tokio::spawn(async move {
            for _ in 0..100 {
                let _inside = worker_gate.enter().await;
                worker_inside.store(1, Ordering::SeqCst);
                worker_gate.closing().await;
                worker_inside.store(0, Ordering::SeqCst);
            }
        });
        for _ in 0..100 {
            while inside.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            let _closed = gate.close().await;
            assert_eq!(inside.load(Ordering::SeqCst), 0);
        }
        worker.await.unwrap();
    }
}
