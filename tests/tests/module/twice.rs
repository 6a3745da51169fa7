//! One scenario, twice.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicU8, Ordering};

use futures_util::FutureExt as _;
use icecast_ext_tests::module::Module;

use super::*;

/// One of the two times that a scenario runs.
#[derive(Debug)]
pub(crate) struct Run {
    module: Option<Module>,
    clients: AtomicU8,
}

impl Run {
    /// What every Icecast that is tried is set up with.
    pub(crate) fn setup(&self) -> Setup {
        Setup {
            module: self.module.clone(),
            ..Setup::default()
        }
    }

    /// One with these elements.
    pub(crate) async fn icecast(&self, more: &str) -> Icecast {
        self.start(Setup {
            more: more.to_owned(),
            ..self.setup()
        })
        .await
    }

    /// One with a set-up that was made from [`Run::setup`].
    pub(crate) async fn start(&self, setup: Setup) -> Icecast {
        Icecast::with(setup).await.unwrap()
    }

    /// An address that no other client of this run has.
    pub(crate) fn client(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, 0, 9, 1 + self.clients.fetch_add(1, Ordering::Relaxed))
    }

    /// What has come of it, and what every Icecast has to say in the end: that it still runs, and what it complained of.
    pub(crate) fn end(&self, mut icecast: Icecast, mut seen: Seen) -> Seen {
        seen.is("runs in the end", icecast.runs());
        seen.is("complaints", seen::complaints(&icecast));
        seen
    }
}

/// Runs a scenario without and with the module, both at once, and compares what is seen.
pub(crate) async fn twice(name: &str, scenario: impl AsyncFn(&Run) -> Seen) {
    let module = Module::unless_told_otherwise();
    let second = if module.is_some() {
        "module"
    } else {
        "stock again"
    };
    let runs = [None, module].map(|module| Run {
        module,
        clients: AtomicU8::new(0),
    });
    let [stock, with] = runs
        .each_ref()
        .map(|run| AssertUnwindSafe(scenario(run)).catch_unwind());
    let start = Instant::now();
    let (stock, with) = tokio::join!(stock, with);
    eprintln!("{name}: {:.1} s", start.elapsed().as_secs_f32());
    for (who, failed) in [("stock", stock.is_err()), (second, with.is_err())] {
        if failed {
            eprintln!("--- {name}: {who} failed");
        }
    }
    table::add(name, second, stock.as_ref().ok(), with.as_ref().ok());
    let stock = stock.unwrap_or_else(|panic| resume_unwind(panic));
    let with = with.unwrap_or_else(|panic| resume_unwind(panic));
    let differences = stock.compare(&with);
    assert!(
        differences.is_empty(),
        "{name}: stock (-) and {second} (+) differ:\n{differences}"
    );
}
