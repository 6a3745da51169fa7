//! What the server starts, and who starts the server.

use icecast_ext_tests::faults::Faults;
use icecast_ext_tests::icecast::{Icecast, Setup};
use icecast_ext_tests::stage::noise;
use icecast_ext_tests::wait::wait_for;

use crate::{LOG, SOON, is_at_work, told};

const ON_CONNECT: &str = "<mount type=\"normal\"><mount-name>/live.mp3</mount-name>\
    <on-connect>{dir}/on-connect</on-connect></mount>";
const SCRIPT: &str =
    "#!/bin/sh\ncd \"${0%/*}\" && env >part && echo END >>part && mv part environment\n";

/// The environment of a script that such a server starts, and what was said meanwhile.
async fn environment(setup: Setup) -> (Vec<String>, String) {
    let setup = Setup {
        more: ON_CONNECT.to_owned(),
        files: vec![("on-connect".to_owned(), SCRIPT.into())],
        ..setup
    };
    let icecast = Icecast::with(setup).await.expect("icecast starts");
    let _source = noise(icecast.addr(), "/live.mp3", 1)
        .await
        .expect("a source");
    let has_run = || icecast.read("environment").ends_with("END\n");
    wait_for("the script", SOON, has_run).await;
    let lines = icecast.read("environment");
    (lines.lines().map(str::to_owned).collect(), icecast.output())
}

fn preloaded(environment: &[String]) -> Option<&str> {
    let line = environment
        .iter()
        .find_map(|line| line.strip_prefix("LD_PRELOAD="));
    line.filter(|list| !list.is_empty())
}

#[tokio::test]
async fn a_script_that_the_server_starts_is_not_preloaded() {
    let (environment, output) = environment(told(LOG)).await;
    assert_eq!(preloaded(&environment), None);
    assert!(!output.contains("stands aside"), "{output}");
}

#[tokio::test]
async fn nor_is_it_where_the_module_stands_aside() {
    let (environment, output) = environment(told("windw = 3\n")).await;
    assert_eq!(preloaded(&environment), None);
    assert_eq!(output.matches("stands aside").count(), 1, "{output}");
}

#[tokio::test]
async fn what_else_was_preloaded_still_is() {
    let faults = Faults::new().unwrap();
    let object = faults.object();
    let setup = Setup {
        preload: vec![object.clone()],
        ..told(LOG)
    };
    let (environment, _) = environment(setup).await;
    assert_eq!(preloaded(&environment), object.to_str());
}

#[tokio::test]
async fn a_program_that_becomes_the_server_hands_the_module_on() {
    // As the shell of an init script and start-stop-daemon do.
    let setup = Setup {
        through: ["/usr/bin/setpriv", "--"].map(str::to_owned).to_vec(),
        ..told(LOG)
    };
    let icecast = Icecast::with(setup).await.unwrap();
    is_at_work(&icecast).await;
}
