//! Connections that cannot be had, or not be readied.

use icecast_ext_tests::child::{As, Child, Scratch};
use icecast_ext_tests::faults::{Call, Errno, Rule};
use icecast_ext_tests::stage::RATE;
use icecast_ext_tests::tap::Tap;

use crate::scene::{LIVE, SOON, Scene, another};

/// While this fails, listeners come, are cut, and come back.
async fn they_come_back(call: Call, rule: Rule) {
    let scene = Scene::new().await;
    scene.faults.set(call, rule).expect("a rule");
    scene.all_resume(6).await;
    scene.undisturbed().await;
    assert!(scene.faults.done(call) > 0, "{call:?} never failed");
    scene.faults.end(call).expect("a rule");
    scene.resumes().await;
    scene.unharmed().await;
}

#[tokio::test]
async fn accept_fails_now_and_then() {
    for error in [Errno::Files, Errno::Aborted, Errno::Again] {
        they_come_back(Call::Accept, Rule::every(3, error)).await;
    }
}

#[tokio::test]
async fn a_socket_cannot_be_readied_for_a_loop() {
    // Three calls for each.
    for call in [Call::Setsockopt, Call::Fcntl] {
        let rule = Rule {
            module: true,
            ..Rule::every(4, Errno::NoMemory)
        };
        they_come_back(call, rule).await;
    }
}

#[tokio::test]
async fn nor_for_the_server() {
    they_come_back(Call::Setsockopt, Rule::every(5, Errno::NoMemory)).await;
    they_come_back(Call::Fcntl, Rule::every(5, Errno::NoMemory)).await;
}

#[tokio::test]
async fn a_loop_cannot_watch_it() {
    they_come_back(Call::EpollCtl, Rule::every(3, Errno::NoSpace)).await;
}

#[tokio::test]
async fn there_is_no_thread_for_a_source() {
    let scene = Scene::new().await;
    scene
        .faults
        .set(Call::Thread, Rule::always(Errno::Again))
        .unwrap();
    let one = another(scene.addr(), "/one.mp3", 2).await;
    scene.resumes().await;
    scene.undisturbed().await;
    assert!(scene.faults.done(Call::Thread) > 0);
    drop(one);
    // A stock Icecast, too, waits for ever for the source that it has let in and not started: no source comes after it.
    scene.resumes().await;
    scene.undisturbed().await;
}

/// The server's soft limit of open files.
fn limit(scene: &Scene, files: usize) {
    let id = scene.icecast.id().expect("it runs").to_string();
    let limit = format!("--nofile={files}:");
    let args = ["/usr/bin/prlimit", "--pid", &id, &limit].map(str::to_owned);
    let scratch = Scratch::new("limit").expect("a directory");
    // Whoever is not the server's user may not.
    let mut child = Child::start(As::Nobody, &args, &scratch.file("output")).expect("it starts");
    assert_eq!(child.wait(), Some(0), "{}", child.output());
}

#[tokio::test]
async fn all_descriptors_are_in_use() {
    const FREE: usize = 8;
    const CROWD: usize = 40;
    let scene = Scene::new().await;
    limit(&scene, scene.descriptors() + FREE);
    let addr = scene.addr();
    let joining = (0..CROWD).map(|_| tokio::spawn(Tap::aware(addr, LIVE)));
    let mut joining: Vec<_> = joining.collect();
    // Those that find a descriptor are listeners; the others wait.
    let mut taps = Vec::new();
    for _ in 0..FREE {
        let (tap, _, rest) = futures_util::future::select_all(joining).await;
        taps.push(tap.unwrap().unwrap());
        joining = rest;
    }
    for tap in &taps {
        tap.wait_len(RATE / 4, SOON).await;
        scene.check(tap).unwrap();
    }
    scene.undisturbed().await;
    // Whoever goes makes room for another one.
    taps.clear();
    let (tap, _, rest) = futures_util::future::select_all(joining).await;
    let tap = tap.unwrap().unwrap();
    tap.wait_len(RATE / 4, SOON).await;
    scene.check(&tap).unwrap();
    rest.iter().for_each(tokio::task::JoinHandle::abort);
    drop((tap, rest));
    scene.resumes().await;
    scene.unharmed().await;
}
