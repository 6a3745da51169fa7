//! The examples, real sources, and cuts: not one byte is lost, repeated or wrong.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::child::{As, Child, Scratch};
use icecast_ext_tests::cutter::{At, Cutter, How, Next, Plan};
use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::icecast::PASSWORD;
use icecast_ext_tests::port;
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::{Verdict, decode_errors, find, judge, sha256};
use icecast_ext_tests::wait::{wait_for, wait_until};

use crate::built::{Link, embed, example, prefix};

const SOON: Duration = Duration::from_secs(20);
/// Under valgrind everything takes long.
const LATER: Duration = Duration::from_secs(180);
/// Of each listener.
const CUTS: usize = 24;

/// Memory that is read unset, freed twice, or lost.
const VALGRIND: [&str; 5] = [
    "valgrind",
    "--quiet",
    "--error-exitcode=99",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,indirect,possible",
];

/// A program of the examples that runs.
struct Program {
    child: Child,
    scratch: Scratch,
}

impl Program {
    fn start(name: &str, command: &[String]) -> Self {
        let scratch = Scratch::new(name).unwrap();
        let script = format!("exec \"$@\" >'{}'", scratch.file("out").display());
        let mut args = vec![
            "env".to_owned(),
            // Who started the tests in the background has it ignored, and Python leaves it so.
            "--default-signal=INT".to_owned(),
            format!("LD_LIBRARY_PATH={}", prefix().join("lib").display()),
        ];
        args.extend(["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()]);
        args.extend_from_slice(command);
        let child = Child::start(As::Me, &args, &scratch.file("log")).unwrap();
        Self { child, scratch }
    }

    fn out(&self) -> Vec<u8> {
        std::fs::read(self.scratch.file("out")).unwrap_or_default()
    }

    /// Ends it, as Ctrl-C would.
    async fn stop(&mut self) -> (Option<i32>, String) {
        self.child.signal("INT").unwrap();
        wait_for("the program's end", LATER, || !self.child.runs()).await;
        (self.child.code(), self.child.output())
    }
}

fn words(command: &[&str]) -> Vec<String> {
    command.iter().map(|word| (*word).to_owned()).collect()
}

/// The C server, with an encoder.
async fn server(wrap: &[&str], format: Format, seed: u64) -> (Program, SocketAddr, Encoder) {
    let addr = port::free();
    let mut command = words(wrap);
    command.push(example("server", Link::Shared).display().to_string());
    command.extend([addr.port().to_string(), PASSWORD.to_owned()]);
    let server = Program::start("server", &command);
    wait_until("the server", LATER, async || {
        tokio::net::TcpStream::connect(addr).await.ok()
    })
    .await;
    let setup = Setup {
        kbps: 192,
        seed,
        ..Setup::new(format)
    };
    let encoder = Encoder::start(addr, format.mount(), setup).unwrap();
    (server, addr, encoder)
}

/// The proxy as an origin, with an encoder.
async fn origin(format: Format, seed: u64) -> (Proxy, SocketAddr, Encoder) {
    let flags = words(&["--source-password", PASSWORD]);
    let origin = Proxy::with(proxy::Setup {
        flags,
        ..proxy::Setup::default()
    })
    .await
    .unwrap();
    let setup = Setup {
        kbps: 192,
        seed,
        ..Setup::new(format)
    };
    let encoder = Encoder::start(origin.addr(), format.mount(), setup).unwrap();
    let addr = origin.addr();
    (origin, addr, encoder)
}

/// A wire to the server with two fronts, as if they were two relays.
async fn wire(addr: SocketAddr, mut chance: Chance) -> Cutter {
    Cutter::counted(&[addr, addr], move |_, cuts| {
        let how = match chance.range(0, 3) {
            0 => How::Fin,
            _ => How::Reset,
        };
        let at = match chance.range(0, 6) {
            0 => At::Head(chance.bits()),
            _ => At::Body(chance.range(0, 30_000)),
        };
        let next = if chance.one_in(2) {
            Next::Move
        } else {
            Next::Stay
        };
        (cuts < CUTS).then_some(Plan { at, how, next })
    })
    .await
    .unwrap()
}

/// An uncut listener, whose recording is the truth.
async fn tap(addr: SocketAddr, mount: &str) -> Tap {
    wait_until(mount, LATER, async || {
        let tap = Tap::aware(addr, mount).await.ok()?;
        // One whose headers come as a prelude, as the others' will.
        let place = tap.head.place()?;
        (tap.head.status == 200 && place.offset > 0).then_some(tap)
    })
    .await
}

/// Every byte stands where it should.
async fn is_exact(name: &str, truth: &Tap, out: &[u8], log: &str) {
    truth.wait_len(truth.len() + 20_000, SOON).await;
    let whole = truth.body();
    let prelude = truth.head.place().unwrap().prelude;
    assert_eq!(out[..prelude], whole[..prelude], "{name}: another prelude");
    let audio = &out[prelude..];
    let start =
        find(&whole, &audio[..512]).unwrap_or_else(|| panic!("{name}: it begins nowhere: {log}"));
    let verdict = judge(&whole, start, audio);
    assert_eq!(verdict, Verdict::default(), "{name}: {log}");
    assert_eq!(sha256(audio), sha256(&whole[start..start + audio.len()]));
}

/// Cuts a program that listens; every byte that it wrote stands where it should.
async fn listen(
    name: &str,
    command: Vec<String>,
    addr: SocketAddr,
    format: Format,
    ends: Option<i32>,
) {
    let mount = format.mount();
    let truth = tap(addr, mount).await;
    let cutter = wire(addr, Chance::seeded(name)).await;
    let mut command = command;
    command.extend([0, 1].map(|front| format!("http://{}{mount}", cutter.front(front))));
    let mut program = Program::start(name, &command);
    wait_for(name, LATER, || cutter.cuts().len() == CUTS).await;
    let enough = program.out().len() + 40_000;
    wait_for(name, LATER, || program.out().len() > enough).await;
    let (code, log) = program.stop().await;
    let out = program.out();
    is_exact(name, &truth, &out, &log).await;
    let file = Scratch::new("decoded").unwrap();
    let recording = file.file("recording");
    std::fs::write(
        &recording,
        icecast_ext_tests::truth::whole_units(format, &out),
    )
    .unwrap();
    assert_eq!(decode_errors(&recording), "", "{name}");
    assert_eq!(code, ends, "{name}: {log}");
    assert!(
        !log.contains("lost ") || log.contains(" 0 lost"),
        "{name}: {log}"
    );
    eprintln!(
        "{name}: {} bytes, {CUTS} cuts: {}",
        out.len(),
        log.lines().last().unwrap_or_default()
    );
}

fn python() -> Vec<String> {
    vec![
        "python3".to_owned(),
        embed().join("examples/listen.py").display().to_string(),
    ]
}

fn program(path: PathBuf) -> Vec<String> {
    vec![path.display().to_string()]
}

#[tokio::test(flavor = "multi_thread")]
async fn c_and_python_lose_nothing_at_a_server_in_c() {
    let (mut server, addr, _encoder) = server(&[], Format::Mp3, 1).await;
    tokio::join!(
        listen(
            "C",
            program(example("listen", Link::Shared)),
            addr,
            Format::Mp3,
            Some(0)
        ),
        listen(
            "C, static",
            program(example("listen", Link::Static)),
            addr,
            Format::Mp3,
            Some(0)
        ),
        listen("Python", python(), addr, Format::Mp3, Some(0)),
    );
    assert_eq!(server.stop().await, (Some(0), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_moves_the_listener_in_c_and_nothing_is_lost() {
    const MOVES: usize = 6;
    let (_origin, addr, _encoder) = origin(Format::Flac, 5).await;
    let mount = Format::Flac.mount();
    let truth = tap(addr, mount).await;
    let cutter = Cutter::planned(&[addr, addr], |_| None).await.unwrap();
    let mut command = program(example("listen", Link::Shared));
    command.extend([0, 1].map(|front| format!("http://{}{mount}", cutter.front(front))));
    let mut program = Program::start("moved", &command);
    let more = async |program: &Program| {
        let enough = program.out().len() + 20_000;
        wait_for("more audio", SOON, || program.out().len() > enough).await;
    };
    for nth in 1..=MOVES {
        more(&program).await;
        program.child.signal("USR1").unwrap();
        let moved = || program.child.output().matches("moved to ").count();
        wait_for("a move", SOON, || moved() == nth).await;
    }
    more(&program).await;
    let (code, log) = program.stop().await;
    is_exact("moved", &truth, &program.out(), &log).await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(&format!(" {MOVES} moves, 0 lost")), "{log}");
    // From one to the other and back each time.
    let fronts: Vec<_> = cutter.passages().iter().map(|one| one.front).collect();
    assert_eq!(fronts, [0, 1, 0, 1, 0, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn c_and_python_lose_nothing_at_the_proxy() {
    let (_origin, addr, _encoder) = origin(Format::Opus, 2).await;
    tokio::join!(
        listen(
            "C at the proxy",
            program(example("listen", Link::Shared)),
            addr,
            Format::Opus,
            Some(0)
        ),
        listen("Python at the proxy", python(), addr, Format::Opus, Some(0)),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn valgrind_has_nothing_to_say_of_client_and_server() {
    let (mut server, addr, mut encoder) = server(&VALGRIND, Format::Flac, 3).await;
    let mut command = words(&VALGRIND);
    command.push(example("listen", Link::Shared).display().to_string());
    listen("C under valgrind", command, addr, Format::Flac, Some(0)).await;
    // Its source goes, and comes again.
    encoder.kill();
    let setup = Setup {
        seed: 4,
        ..Setup::new(Format::Flac)
    };
    let _encoder = Encoder::start(addr, Format::Flac.mount(), setup).unwrap();
    let again = tap(addr, Format::Flac.mount()).await;
    again.wait_len(50_000, LATER).await;
    assert_eq!(server.stop().await, (Some(0), String::new()));
}
