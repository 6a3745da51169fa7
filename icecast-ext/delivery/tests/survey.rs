//! What is seen of listeners from outside.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

mod common;

use common::*;
use icecast_ext_core::plan::Cursor;
use icecast_ext_delivery::survey::PARTS;
use icecast_ext_delivery::{EngineConfig, Passed};

#[test]
fn a_survey_says_where_listeners_stand_and_the_mount_what_they_were_sent() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 24_000), Some(0));
    mount.flush();
    let mut clients: Vec<_> = (0..3)
        .map(|_| {
            listen(
                &engine,
                &mount,
                Cursor::plain(position(1, 23_000), true, true),
            )
        })
        .collect();
    for client in &mut clients {
        assert_content(1, 23_000, &read(client, 1_000), "a listener");
    }
    until("everybody stands at the edge", || {
        let survey = engine.survey(true);
        until("the loops answer", || survey.owed().is_none());
        survey.places(&mount)[PARTS - 1] == 3
    });
    let passed = Passed {
        received: 24_000,
        sent: 3_000,
        audio: 3_000,
    };
    until("what was sent is counted", || {
        mount.tally().passed() == passed
    });
    drop(clients);
    for _ in 0..3 {
        ends.recv().unwrap();
    }
    assert_eq!(
        mount.tally().passed(),
        passed,
        "what was sent to those who left stays"
    );
    let survey = engine.survey(true);
    until("the loops answer", || survey.owed().is_none());
    assert_eq!(survey.places(&mount).iter().sum::<u32>(), 0);
    assert!(engine.ticker_busy() < std::time::Duration::from_secs(1));
}

#[test]
fn a_loop_that_hangs_owes_its_answer() {
    use std::sync::{Arc, Mutex};
    let gate = Arc::new(Mutex::new(()));
    let hold = Arc::clone(&gate);
    let engine = icecast_ext_delivery::Engine::start(EngineConfig::default(), move |_| {
        let _held = hold.lock();
    })
    .unwrap();
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    let held = gate.lock().unwrap();
    drop(listen(
        &engine,
        &mount,
        Cursor::plain(position(1, 0), true, true),
    ));
    until("a loop hangs", || {
        let survey = engine.survey(false);
        let end = std::time::Instant::now() + std::time::Duration::from_millis(200);
        while survey.owed().is_some() && std::time::Instant::now() < end {
            std::thread::yield_now();
        }
        survey.owed().is_some()
    });
    drop(held);
    let survey = engine.survey(false);
    until("it goes on", || survey.owed().is_none());
}
