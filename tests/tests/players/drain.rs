//! A relay is told to stop: everybody goes on at the other.

use icecast_ext_tests::proxy::Proxy;

use crate::radio::{Radio, setup};
use crate::trial::{RATE, Trial, Wiring};
use crate::verdict::{assert_right, verdicts, wait};

/// A burst, and two seconds.
const ENOUGH: u64 = 65_536 + 2 * RATE;

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_stops_sends_each_player_on_to_the_next() {
    let radio = Radio::start().await;
    let relay = || Proxy::with(setup(radio.proxy.addr()));
    let (mut one, two) = (relay().await.unwrap(), relay().await.unwrap());
    let mut trials = Trial::all(Wiring {
        to: one.addr(),
        planner: &mut |_| Box::new(|_, _| None),
        due: 0,
        besides: "1 SIGTERM",
    })
    .await;
    wait(&mut trials, |trial| trial.reached() >= ENOUGH).await;
    for trial in &trials {
        trial.lead(two.addr());
    }
    one.signal("TERM").unwrap();
    wait(&mut trials, |trial| trial.resumes() > 0).await;
    for trial in &mut trials {
        assert!(trial.resumes() > 0, "{} was not sent on", trial.case);
        trial.set_goal();
    }
    wait(&mut trials, Trial::is_there).await;
    let lines = verdicts(&radio, trials).await;
    assert_right(&lines, &format!("{}\n{}", one.log(), two.log()));
}
