//! `icecast-ext listen`, against an origin of the same executable.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_icecast-ext"))
}

/// Byte `place` of a source that counts.
fn byte(place: u64) -> u8 {
    (place / 4).to_be_bytes()[usize::try_from(4 + place % 4).unwrap()]
}

/// An origin that ends with its standard input.
struct Origin {
    address: String,
    process: Child,
    _stdin: ChildStdin,
}

impl Drop for Origin {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Origin {
    fn start() -> Self {
        let mut process = command()
            .args([
                "serve",
                "--until-stdin-closes",
                "--listen",
                "127.0.0.1:0",
                "--source-password",
                "secret",
            ])
            .args(["--delivery-tick", "50"])
            .env("NO_COLOR", "1")
            .env("ICECAST_EXT_LOG", "info")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(
                log.read_line(&mut line).unwrap() > 0,
                "the origin does not start"
            );
            if let Some((_, address)) = line.split_once("listening on ") {
                break address.trim().to_owned();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let stdin = process.stdin.take().unwrap();
        Self {
            address,
            process,
            _stdin: stdin,
        }
    }

    /// A source that sends 100 kB/s of counting until the origin ends.
    fn feed(&self) -> String {
        let mut source = TcpStream::connect(&self.address).unwrap();
        // source:secret
        let head = "PUT /count HTTP/1.1\r\nHost: x\r\nAuthorization: Basic c291cmNlOnNlY3JldA==\r\n\
                    Content-Type: application/octet-stream\r\n\r\n";
        source.write_all(head.as_bytes()).unwrap();
        std::thread::spawn(move || {
            let mut place = 0;
            loop {
                let bytes: Vec<u8> = (place..place + 2000).map(byte).collect();
                if source.write_all(&bytes).is_err() {
                    return;
                }
                place += 2000;
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        format!("http://{}/count", self.address)
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The last JSON object on standard error.
fn end(output: &Output) -> serde_json::Value {
    let said = stderr(output);
    let events: Vec<serde_json::Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    assert_eq!(events[0]["event"], "joined", "{said}");
    events.last().unwrap().clone()
}

#[test]
fn a_second_run_goes_on_where_the_first_one_ended() {
    let origin = Origin::start();
    let url = origin.feed();
    let first = command()
        .args(["listen", &url, "--json", "--bytes", "100001"])
        .output()
        .unwrap();
    assert!(first.status.success(), "{}", stderr(&first));
    let last = end(&first);
    assert_eq!(
        (&last["event"], &last["why"], &last["bytes"]),
        (&"end".into(), &"limit".into(), &100_001.into())
    );
    assert_eq!(first.stdout.len(), 100_001);

    let next = last["next"]["offset"].as_u64().unwrap();
    let at = format!("{}.{next}", last["next"]["epoch"].as_str().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("more");
    let second = command()
        .args([
            "listen",
            &url,
            "--quiet",
            "--bytes",
            "5000",
            "--at",
            &at,
            "-o",
            file.to_str().unwrap(),
        ])
        .output()
        .unwrap();
    assert!(
        second.status.success() && second.stderr.is_empty(),
        "{}",
        stderr(&second)
    );
    let heard = [first.stdout, std::fs::read(file).unwrap()].concat();
    let source: Vec<u8> = (next - 100_001..next + 5000).map(byte).collect();
    assert!(heard == source, "it is not what was sent");
}

#[test]
fn a_player_that_goes_away_is_a_quiet_end() {
    let origin = Origin::start();
    let url = origin.feed();
    let mut listen = command()
        .args(["listen", &url, "--quiet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut player = listen.stdout.take().unwrap();
    player.read_exact(&mut [0; 1000]).unwrap();
    drop(player);
    let output = listen.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        stderr(&output)
    );
}

#[test]
fn ctrl_c_ends_with_a_summary_and_a_whole_file() {
    let origin = Origin::start();
    let url = origin.feed();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out");
    let listen = command()
        .args(["listen", &url, "-o", file.to_str().unwrap()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    while std::fs::metadata(&file).map_or(0, |meta| meta.len()) < 10_000 {
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&listen), Signal::INT).unwrap();
    let output = listen.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output);
    let last = said.lines().last().unwrap();
    assert!(
        said.starts_with("joined ") && last.contains("0 bytes lost; to go on: --at "),
        "{said}"
    );
    let next: usize = last.rsplit('.').next().unwrap().parse().unwrap();
    assert!(std::fs::metadata(&file).unwrap().len() <= next as u64);
}

#[test]
fn giving_up_is_an_error_that_says_what_to_do() {
    // Nobody listens on a port that was just given back.
    let address = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let output = command()
        .args([
            "listen",
            &format!("http://{address}/x"),
            "--quiet",
            "--give-up",
            "0.5",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains("no relay gives audio") && said.contains("Is the URL right"),
        "{said}"
    );
    let output = command().args(["listen", "not a url"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}
