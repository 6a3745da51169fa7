//! No threads, or no descriptors, at the start.

use std::fs::read_dir;

use icecast_ext_tests::faults::{Call, Errno, Faults, Rule};
use icecast_ext_tests::icecast::{Icecast, Setup};
use icecast_ext_tests::wait::wait_for;

use crate::{LOG, SOON, is_at_work, is_stock, told};

/// Entries of one of the server's directories in /proc.
fn count(icecast: &Icecast, of: &str) -> usize {
    let id = icecast.id().expect("it runs");
    read_dir(format!("/proc/{id}/{of}")).map_or(0, Iterator::count)
}

/// One start for each call of this kind that the module makes, which fails. Then one at which none does.
async fn fails_one_by_one(call: Call, error: Errno, least: u32) {
    let stock = Icecast::start().await.expect("icecast starts");
    for skip in 0.. {
        let faults = Faults::new().expect("faults");
        let rule = Rule {
            skip,
            most: 1,
            module: true,
            ..Rule::always(error)
        };
        faults.set(call, rule).expect("a rule");
        let setup = Setup {
            preload: vec![faults.object()],
            environment: vec![faults.environment()],
            ..told(LOG)
        };
        let icecast = Icecast::with(setup).await.expect("icecast starts");
        if faults.done(call) == 0 {
            assert!(skip >= least, "{skip} calls of {call:?}");
            faults.end(call).expect("a rule");
            return is_at_work(&icecast).await;
        }
        // The log is all that is left.
        let what = format!("no more than the server's own, {call:?} {skip}");
        wait_for(&what, SOON, || {
            let more = |of| count(&icecast, of).checked_sub(count(&stock, of));
            (more("fd"), more("task")) == (Some(1), Some(0))
        })
        .await;
        is_stock(&icecast, "").await;
    }
}

#[tokio::test]
async fn without_a_thread_the_server_is_stock() {
    // A loop at least, the ticker, and the keeper.
    fails_one_by_one(Call::Thread, Errno::Again, 3).await;
}

#[tokio::test]
async fn without_an_epoll_the_server_is_stock() {
    fails_one_by_one(Call::Epoll, Errno::Files, 1).await;
}

#[tokio::test]
async fn without_an_event_descriptor_the_server_is_stock() {
    fails_one_by_one(Call::Eventfd, Errno::Files, 1).await;
}

#[tokio::test]
async fn an_epoll_that_takes_nothing_is_none() {
    fails_one_by_one(Call::EpollCtl, Errno::NoMemory, 1).await;
}

#[tokio::test]
async fn few_descriptors_are_enough() {
    let setup = Setup {
        clients: 20,
        through: ["/usr/bin/prlimit", "--nofile=60:100", "--"]
            .map(str::to_owned)
            .to_vec(),
        ..told(LOG)
    };
    let icecast = Icecast::with(setup).await.unwrap();
    is_at_work(&icecast).await;
    let log = icecast.read("module.log");
    assert!(log.contains("from=60 to=100"), "{log}");
}
