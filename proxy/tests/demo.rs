//! `icecast-ext demo`, as somebody runs it who has nothing but the executable.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icecast-ext"));
    command.args(["demo", "--seconds", "6"]).args(arguments);
    command
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The servers that `parent` has started.
fn servers_of(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status
                .lines()
                .any(|line| line == format!("PPid:\t{parent}"))
        })
        .collect()
}

/// True while the process runs, as a server.
fn serves(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.split(|b| *b == 0).any(|word| word == b"serve"))
}

/// A demo that is under way, and its servers.
fn under_way() -> (Child, BufReader<std::process::ChildStdout>, Vec<u32>) {
    let mut child = demo(&[])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    // The second line comes after two seconds.
    for _ in 0..2 {
        assert!(
            lines.read_line(&mut String::new()).unwrap() > 0,
            "the demo has ended"
        );
    }
    let servers = servers_of(child.id());
    assert!(
        servers.len() >= 2 && servers.iter().all(|pid| serves(*pid)),
        "{servers:?}"
    );
    (child, lines, servers)
}

fn assert_gone(servers: &[u32]) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while servers.iter().any(|pid| serves(*pid)) {
        assert!(Instant::now() < deadline, "{servers:?} are still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn the_demo_loses_nothing_and_ends_well() {
    let output = demo(&[]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("not one byte lost, repeated or wrong"),
        "{}",
        said(&output)
    );
}

#[test]
fn one_flipped_bit_on_the_way_is_found() {
    let output = demo(&["--spoil"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("FAILED"), "{}", said(&output));
}

#[test]
fn a_demo_that_is_killed_leaves_no_process_behind() {
    let (mut child, _lines, servers) = under_way();
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    assert_gone(&servers);
}

#[test]
fn ctrl_c_ends_the_demo_and_its_servers() {
    let (mut child, mut lines, servers) = under_way();
    signal(&child, Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_gone(&servers);
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("OK:"), "{rest}");
}
