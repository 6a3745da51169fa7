//! An upgrade without a disconnect: SIGUSR2, and another process goes on with every listener at its next byte.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use icecast_ext_tests::chance::Frames;
use icecast_ext_tests::child::{As, Child, Scratch};
use icecast_ext_tests::ears::{Ear, Ears, Truth};
use icecast_ext_tests::icecast::{Icecast, PASSWORD};
use icecast_ext_tests::port;
use icecast_ext_tests::proxy::{Proxy, Setup};
use icecast_ext_tests::source::{Method, Source, Streaming};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::{wait_for, wait_until};

const SOON: Duration = Duration::from_secs(20);
/// Bytes a second.
const RATE: usize = 8_000;
/// A test has only one address.
const LIMITS: &str = "burst = 16384\n[limits]\nconnections-per-address = 100000\njoins-per-second = 100000\nresumes-per-second = 100000\nwindow-bytes-per-minute = 100000000000\n";

/// A source whose bytes are known in advance.
async fn source(
    addr: SocketAddr,
    path: &str,
    method: Method,
    seed: u64,
) -> (Streaming, Arc<Vec<u8>>) {
    let truth = Arc::new(Frames::new(seed).take(4 << 20));
    let source = Source::accepted(addr, path, method).await.unwrap();
    let bytes = Arc::clone(&truth);
    let streaming = source.stream(RATE, move |at, len| bytes[at..at + len].to_vec());
    (streaming, truth)
}

/// What offset 0 of the epoch is.
async fn base(addr: SocketAddr, path: &str, bytes: &Arc<Vec<u8>>) -> Truth {
    let tap = wait_until("the mount", SOON, async || {
        let tap = Tap::aware(addr, path).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    })
    .await;
    tap.wait_len(2000, SOON).await;
    let offset = usize::try_from(tap.head.place().unwrap().offset).unwrap();
    let at = find(bytes, &tap.audio()).expect("heard what was sent");
    Truth {
        bytes: Arc::clone(bytes),
        base: at - offset,
    }
}

/// Somebody who comes all the time, and must always be answered.
struct Knocker {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<Vec<String>>,
}

impl Knocker {
    fn start(addr: SocketAddr, targets: &'static [(&'static str, u16)]) -> Self {
        let (stop, answered) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&answered));
        let task = tokio::spawn(async move {
            let mut refused = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                for (target, status) in targets {
                    match Tap::open(addr, target, &[("Resume-Offset", "live")]).await {
                        Ok(tap) if tap.head.status == *status => {
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(tap) => refused.push(format!("{target}: {:?}", tap.head)),
                        Err(error) => refused.push(format!("{target}: {error:#}")),
                    }
                }
            }
            refused
        });
        Self {
            stop,
            answered,
            task,
        }
    }

    async fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let refused = self.task.await.unwrap();
        assert!(refused.is_empty(), "{} refused: {refused:?}", refused.len());
        self.answered.load(Ordering::Relaxed)
    }
}

/// Keeps a stock Icecast awake until the last of the knockers has its answer.
async fn ask_on(addr: SocketAddr) {
    loop {
        let asked = Tap::open(addr, "/nothing", &[]);
        let _ = tokio::time::timeout(Duration::from_secs(1), asked).await;
    }
}

/// Everybody hears two more seconds, from now on.
async fn goes_on(crowd: &Ears) {
    let last = *crowd.first_and_last().end();
    crowd.wait_at(last + 2 * RATE as u64, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_listeners_hear_every_byte_across_upgrades() {
    let icecast = Icecast::start().await.unwrap();
    let (source, bytes) = source(icecast.addr(), "/live.mp3", Method::Put, 50).await;
    icecast.wait_mount("/live.mp3").await;
    let setup = Setup {
        config: LIMITS.to_owned(),
        upgrades: true,
        ..Setup::before(icecast.addr())
    };
    let mut proxy = Proxy::with(setup).await.unwrap();
    let addr = proxy.addr();
    let truth = base(addr, "/live.mp3", &bytes).await;
    let mut crowd = Ears::default();
    for (ear, count) in [
        (Ear::Plain, 1000),
        (Ear::Icy, 500),
        (Ear::Aware, 400),
        (Ear::Feed, 60),
        (Ear::Slow, 40),
    ] {
        crowd
            .join(ear, count, addr, "/live.mp3", &truth)
            .await
            .unwrap();
    }
    goes_on(&crowd).await;
    let aware = Tap::aware(addr, "/live.mp3").await.unwrap();
    // Two of them: a stock Icecast whose thread for files ends just then keeps an answer until somebody asks for the next.
    let knockers = [0, 1].map(|_| Knocker::start(addr, &[("/live.mp3", 200), ("/nothing", 404)]));

    // Twice in a row, at once.
    for upgrade in 1..=2 {
        let _ = crowd.silences();
        let began = Instant::now();
        let pid = proxy.upgrade().await.unwrap();
        let took = began.elapsed();
        goes_on(&crowd).await;
        let silences = crowd.silences();
        let log = proxy.log();
        let told = log
            .lines()
            .rfind(|line| line.contains("handed over listeners="));
        eprintln!(
            "upgrade {upgrade}: {} listeners, {took:?}, longest silence {:?}, median {:?}; {}",
            crowd.len(),
            silences[0],
            silences[silences.len() / 2],
            told.unwrap_or_default()
        );
        assert_eq!(proxy.id(), Some(pid));
    }
    // What cannot start changes nothing.
    let pid = proxy.id();
    proxy.rewrite("nonsense = 1\n").unwrap();
    let failed = proxy.upgrade().await.unwrap_err();
    assert!(
        format!("{failed:#}").contains("goes on as before"),
        "{failed:#}"
    );
    assert!(proxy.runs() && proxy.id() == pid);
    goes_on(&crowd).await;
    let [one, two] = knockers;
    let one = one.stop().await;
    let two = tokio::select! {
        two = two.stop() => two,
        () = ask_on(addr) => 0,
    };
    let answered = one + two;
    assert!(answered > 20, "{answered}");

    // An aware client resumes at the last process where it was with the first.
    aware.wait_more(1, SOON).await;
    let heard = aware.audio();
    let place = aware.head.place().unwrap();
    let resume = place.resume(heard.len() as u64);
    drop(aware);
    let again = Tap::open(addr, "/live.mp3", &[("Resume-Offset", &resume)])
        .await
        .unwrap();
    let second = again.head.place().unwrap();
    assert_eq!(second.epoch, place.epoch);
    assert_eq!(second.offset, place.offset + heard.len() as u64);
    again.wait_len(RATE, SOON).await;
    assert!(find(&bytes, &[heard, again.audio()].concat()).is_some());

    wait_for("the first process to end", SOON, || !proxy.first_runs()).await;
    assert!(!source.ended());
    let log = proxy.log();
    assert!(
        !log.contains("panicked") && !log.contains("a new epoch begins"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origins_sources_and_journal_go_along() {
    let setup = Setup {
        config: LIMITS.to_owned(),
        flags: vec!["--source-password".to_owned(), PASSWORD.to_owned()],
        state: true,
        upgrades: true,
        ..Setup::default()
    };
    let mut origin = Proxy::with(setup).await.unwrap();
    let addr = origin.addr();
    let mut mounts = Vec::new();
    for (path, method, seed) in [
        ("/put.mp3", Method::Put, 61),
        ("/chunked.mp3", Method::Chunked, 62),
        ("/source.mp3", Method::Source, 63),
    ] {
        let (source, bytes) = source(addr, path, method, seed).await;
        let truth = base(addr, path, &bytes).await;
        let mut crowd = Ears::default();
        for ear in [Ear::Plain, Ear::Icy, Ear::Aware, Ear::Feed] {
            crowd.join(ear, 5, addr, path, &truth).await.unwrap();
        }
        mounts.push((path, source, crowd, bytes));
    }
    let aware = Tap::aware(addr, "/put.mp3").await.unwrap();
    for _ in 0..2 {
        origin.upgrade().await.unwrap();
        for (path, source, crowd, _) in &mounts {
            goes_on(crowd).await;
            assert!(!source.ended(), "{path}: its source goes on");
        }
    }
    // The last process alone has the journal, and it is whole.
    let heard = aware.audio();
    let place = aware.head.place().unwrap();
    wait_for("the first process to end", SOON, || !origin.first_runs()).await;
    origin.kill();
    origin.restart().await.unwrap();
    let resume = place.resume(heard.len() as u64 / 2);
    let again = Tap::open(addr, "/put.mp3", &[("Resume-Offset", &resume)])
        .await
        .unwrap();
    assert_eq!(again.head.status, 200, "{:?}", again.head);
    let second = again.head.place().unwrap();
    assert_eq!(second.epoch, place.epoch);
    assert_eq!(second.offset, place.offset + heard.len() as u64 / 2);
    again.wait_len(heard.len() / 4, SOON).await;
    assert!(find(&mounts[0].3, &again.audio()).is_some());
    assert!(!origin.log().contains("panicked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_speaks_tls_stays_with_the_old_process_and_loses_nothing() {
    let icecast = Icecast::start().await.unwrap();
    let (_source, bytes) = source(icecast.addr(), "/live.mp3", Method::Put, 70).await;
    icecast.wait_mount("/live.mp3").await;
    let keys = Scratch::new("keys").unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (keys.file("chain.pem"), keys.file("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = port::free();
    let setup = Setup {
        config: format!(
            "listen-tls = [\"{tls}\"]\nupgrade-drain = 30\n{LIMITS}[[certificate]]\nchain = {chain:?}\nkey = {key:?}\n"
        ),
        upgrades: true,
        ..Setup::before(icecast.addr())
    };
    let mut proxy = Proxy::with(setup).await.unwrap();
    let truth = base(proxy.addr(), "/live.mp3", &bytes).await;
    let mut plain = Ears::default();
    plain
        .join(Ear::Plain, 3, proxy.addr(), "/live.mp3", &truth)
        .await
        .unwrap();
    let heard = keys.file("heard");
    let url = format!("https://{tls}/live.mp3");
    let file = heard.display().to_string();
    let mut curl = Child::start(
        As::Me,
        &["curl", "-skN", "-o", &file, &url].map(str::to_owned),
        &keys.file("log"),
    )
    .unwrap();
    let length = || std::fs::metadata(&heard).map_or(0, |file| file.len() as usize);
    wait_for("the TLS listener to hear", SOON, || length() > RATE).await;
    // A pull is made again, and to prove that it continues its rate must be known: two seconds of it.
    goes_on(&plain).await;
    goes_on(&plain).await;
    for _ in 0..2 {
        proxy.upgrade().await.unwrap();
        goes_on(&plain).await;
        let now = length();
        wait_for("it to go on", SOON, || length() > now + 2 * RATE).await;
    }
    assert!(curl.runs() && proxy.first_runs(), "{}", proxy.log());
    let all = std::fs::read(&heard).unwrap();
    assert!(find(&bytes, &all).is_some(), "every byte once");
    // With it the old process ends.
    curl.kill();
    wait_for("the first process to end", SOON, || !proxy.first_runs()).await;
    goes_on(&plain).await;
}
