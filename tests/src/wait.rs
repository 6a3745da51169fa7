//! Waiting for states, never for time.

use std::time::{Duration, Instant};

/// Polls `condition` every 10 ms until it holds.
///
/// # Panics
/// After `deadline`, naming `what` it waited for.
pub async fn wait_for(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < deadline,
            "not within {deadline:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Polls an asynchronous question every 20 ms until it is answered.
///
/// # Panics
/// After `deadline`, naming `what` it waited for.
pub async fn wait_until<T, F>(what: &str, deadline: Duration, mut question: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        assert!(
            start.elapsed() < deadline,
            "not within {deadline:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
