//! Two relays, each before an Icecast of its own, that are told of one another: a position of the one is good at the other.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::http::{self, Place};
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::metadata::set_title;
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::{find, first_difference, sha256};
use icecast_ext_tests::wait::{wait_for, wait_until};
use icecast_ext_tests::{feed, port};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(20);
/// A place is proven once the peer was heard for twice the clock's bound, and some chunks.
const PROVEN: Duration = Duration::from_secs(60);
const FORMATS: [Format; 2] = [Format::Mp3, Format::Opus];
const OURS: &str = "the peer's stream is ours";
const TITLE: &str = "A Title";
const NOT_OURS: &str = "the peer's stream is not ours";

fn relays(from: SocketAddr) -> String {
    let relay = |format: Format| {
        format!(
            "<relay><server>127.0.0.1</server><port>{}</port><mount>{mount}</mount><local-mount>{mount}</local-mount>\
             <on-demand>0</on-demand></relay>",
            from.port(),
            mount = format.mount(),
        )
    };
    FORMATS.map(relay).concat()
}

async fn encoder(icecast: &Icecast, seed: u64, format: Format) -> Encoder {
    let setup = Setup {
        kbps: 128,
        seed,
        ..Setup::new(format)
    };
    let encoder = Encoder::start(icecast.addr(), format.mount(), setup).unwrap();
    icecast.wait_mount(format.mount()).await;
    encoder
}

/// With a proof of a second: what the test feeds has no loops.
async fn relay(upstream: SocketAddr, listen: SocketAddr, peer: SocketAddr) -> Proxy {
    let flags = ["--peer", &format!("http://{peer}"), "--peer-proof", "1"];
    Proxy::with(proxy::Setup {
        listen: Some(listen),
        flags: flags.map(str::to_owned).to_vec(),
        ..proxy::Setup::before(upstream)
    })
    .await
    .unwrap()
}

async fn tap(addr: SocketAddr, mount: &str, fields: &[(&str, &str)]) -> Tap {
    wait_until(mount, SOON, async || {
        let tap = Tap::open(addr, mount, fields).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    })
    .await
}

/// A listener that moves, and all that it has heard.
struct Walk {
    audio: Vec<u8>,
    tap: Tap,
}

impl Walk {
    async fn join(addr: SocketAddr, mount: &str) -> Self {
        Self {
            audio: Vec::new(),
            tap: tap(addr, mount, &[("Resume-Offset", "live")]).await,
        }
    }

    /// It hears no more for now, and this is what it lacks. To be called once for each answer.
    fn stop(&mut self) -> Place {
        let heard = self.tap.audio();
        let place = self.tap.head.place().unwrap();
        self.audio.extend(&heard);
        Place {
            offset: place.offset + heard.len() as u64,
            ..place
        }
    }

    /// The answer goes on where `asked` is, in another epoch, and says why.
    async fn is_aliased(&mut self, tap: Tap, asked: &Place, more: usize) {
        assert_eq!(tap.head.status, 200, "{:?}", tap.head);
        let place = tap.head.place().unwrap();
        assert_eq!(tap.head.get("Stream-Proof"), Some("alias"), "{place:?}");
        assert_ne!(place.epoch, asked.epoch);
        assert_eq!((place.prelude, place.spliced), (0, true));
        tap.wait_len(more, SOON).await;
        self.tap = tap;
    }

    async fn moves(&mut self, addr: SocketAddr, mount: &str, icy: bool, more: usize) {
        let asked = self.stop();
        let at = asked.resume(0);
        let mut fields = vec![("Resume-Offset", at.as_str())];
        fields.extend(icy.then_some(("Icy-MetaData", "1")));
        let tap = Tap::open(addr, mount, &fields).await.unwrap();
        self.is_aliased(tap, &asked, more).await;
    }

    /// All of it is a slice of the truth.
    async fn is_exact(&mut self, what: &str, truth: &Tap) {
        self.stop();
        let audio = &self.audio;
        let found = wait_until(what, SOON, async || {
            let truth = truth.body();
            let start = find(&truth, &audio[..1024])?;
            let found = truth.get(start..start + audio.len())?;
            Some(found.to_vec())
        })
        .await;
        let differs = first_difference(&found, audio);
        assert_eq!(sha256(&found), sha256(audio), "{what}: {differs}");
    }
}

/// Waits until both know the other's epochs.
async fn know(one: &Proxy, two: &Proxy, mounts: usize) {
    let known = |proxy: &Proxy| proxy.log().matches(OURS).count() >= mounts;
    wait_for("aliases", PROVEN, || known(one) && known(two)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_of_one_relay_is_good_at_the_other() {
    let first = Icecast::start().await.unwrap();
    let mut encoders = Vec::new();
    for (seed, format) in (1..).zip(FORMATS) {
        encoders.push(encoder(&first, seed, format).await);
    }
    let second = Icecast::with(icecast::Setup {
        more: relays(first.addr()),
        ..icecast::Setup::default()
    })
    .await
    .unwrap();
    for format in FORMATS {
        second.wait_mount(format.mount()).await;
    }
    let [a, b] = [port::free(), port::free()];
    let mut one = relay(first.addr(), a, b).await;
    let two = relay(second.addr(), b, a).await;
    let mut truths = Vec::new();
    for format in FORMATS {
        truths.push(tap(first.addr(), format.mount(), &[]).await);
        // One is enough: the peer asks the other, and that one has a peer, too.
        let live = [("Resume-Offset", "live")];
        drop(tap(a, format.mount(), &live).await);
    }
    let began = Instant::now();
    know(&one, &two, FORMATS.len()).await;
    eprintln!("proven after {:?}", began.elapsed());
    set_title(first.addr(), "/live.mp3", TITLE).await.unwrap();

    let live = ("Resume-Offset", "live");
    for (format, truth) in FORMATS.into_iter().zip(&truths) {
        let mount = format.mount();
        // There, back, and there again with blocks, which have their places in the name of the answer.
        let mut walk = Walk::join(a, mount).await;
        walk.tap.wait_len(30_000, SOON).await;
        walk.moves(b, mount, false, 8_000).await;
        walk.moves(a, mount, false, 8_000).await;
        walk.moves(b, mount, true, 20_000).await;
        if format.is_raw() {
            let titles = walk.tap.titles();
            let placed: Vec<_> = titles.iter().flat_map(|title| title.placed()).collect();
            let title = placed.iter().find(|(_, title)| title == TITLE);
            let title = title.unwrap_or_else(|| panic!("{titles:?}"));
            // It is where the relay itself says that it is.
            let own = tap(b, mount, &[live, ("Icy-MetaData", "1")]).await;
            wait_for("its own block", SOON, || {
                let titles = own.titles();
                let mut own = titles.iter().flat_map(|title| title.placed());
                own.any(|own| own == *title)
            })
            .await;
        }
        // The query form goes the same way, and a feed does not.
        let asked = walk.stop();
        let query = format!("{mount}?_resume={}.{}", asked.epoch, asked.offset);
        let by_query = Tap::open(a, &query, &[]).await.unwrap();
        walk.is_aliased(by_query, &asked, 4_000).await;
        let at = format!("{};miss=fail", asked.resume(0));
        let accept = ("Accept", "application/vnd.icecast-ext.relay");
        let fields = [("Resume-Offset", at.as_str()), accept];
        let feed = http::get(a, mount, &fields).await.unwrap();
        assert_eq!(feed.head.status, 412, "{mount}");
        walk.is_exact(mount, truth).await;
    }

    // One dies. What it has sent is known at the other.
    let (mount, truth) = (FORMATS[0].mount(), &truths[0]);
    let mut heard = Vec::new();
    for _ in 0..8 {
        let walk = Walk::join(a, mount).await;
        // All of the burst: it hears live.
        walk.tap.wait_len(70_000, SOON).await;
        heard.push(walk);
    }
    one.kill();
    let mut proven = 0;
    for mut walk in heard {
        walk.tap.wait_end(SOON).await;
        let asked = walk.stop();
        let at = format!("{};miss=fail", asked.resume(0));
        let after = Tap::open(b, mount, &[("Resume-Offset", &at)])
            .await
            .unwrap();
        if after.head.status == 412 {
            // It was sent a tick that the other relay was not: that is said.
            continue;
        }
        walk.is_aliased(after, &asked, 8_000).await;
        walk.is_exact("after a death", truth).await;
        proven += 1;
    }
    eprintln!("{proven} of 8 go on after a death");
    assert!(proven >= 4, "{proven}");
}

/// A peer that sends what an Icecast sends, by names of its own, until it lies.
struct Liar {
    addr: SocketAddr,
    lies: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

const EPOCH: [u8; 16] = [0; 16];
const NAME: &str = "AAAAAAAAAAAAAAAAAAAAAA";
/// Of its first byte.
const FROM: u64 = 7_000_000;

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Liar {
    async fn start(truth: Arc<Tap>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let lies = Arc::new(AtomicBool::new(false));
        let told = lies.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(lie(socket, truth.clone(), told.clone()));
            }
        });
        Self { addr, lies, task }
    }
}

/// The feed of all that the truth is. From the lie on, one bit in each piece is another.
async fn lie(mut socket: TcpStream, truth: Arc<Tap>, lies: Arc<AtomicBool>) -> Option<()> {
    let mut asked = Vec::new();
    while find(&asked, b"\r\n\r\n").is_none() {
        let more = socket.read_buf(&mut asked).await.ok()?;
        (more > 0).then_some(())?;
    }
    let head = [feed::head(NAME, FROM), feed::format(&EPOCH, FROM)].concat();
    socket.write_all(&head).await.ok()?;
    let mut sent = 0;
    loop {
        wait_for("the truth", SOON, || truth.len() >= sent + 4_000).await;
        let mut bytes = truth.body()[sent..sent + 4_000].to_vec();
        if lies.load(Ordering::Relaxed) {
            bytes[2_000] ^= 1;
        }
        let frame = feed::data(FROM + sent as u64, &bytes);
        socket.write_all(&frame).await.ok()?;
        sent += bytes.len();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_lies_is_dropped_and_never_believed_again() {
    let icecast = Icecast::start().await.unwrap();
    let _encoder = encoder(&icecast, 3, Format::Mp3).await;
    let mount = Format::Mp3.mount();
    let truth = Arc::new(tap(icecast.addr(), mount, &[]).await);
    let liar = Liar::start(truth.clone()).await;
    let proxy = relay(icecast.addr(), port::free(), liar.addr).await;
    let own = tap(proxy.addr(), mount, &[("Resume-Offset", "live")]).await;
    wait_for("an alias", PROVEN, || proxy.log().contains(OURS)).await;

    // As a listener of the liar's that has heard what the truth has up to half a minute ago.
    let ask = async |place: usize| {
        let at = FROM + place as u64;
        let at = format!("{at};epoch=\"{NAME}\";miss=fail");
        let fields = [("Resume-Offset", at.as_str())];
        Tap::open(proxy.addr(), mount, &fields).await.unwrap()
    };
    let place = truth.len() - 20_000;
    let after = ask(place).await;
    assert_eq!(after.head.get("Stream-Proof"), Some("alias"));
    after.wait_len(60_000, SOON).await;
    let (heard, truth_now) = (after.audio(), truth.body());
    let len = heard.len().min(truth_now.len() - place);
    assert!(len >= 50_000);
    assert_eq!(
        sha256(&heard[..len]),
        sha256(&truth_now[place..place + len])
    );

    liar.lies.store(true, Ordering::Relaxed);
    wait_for("the lie", SOON, || proxy.log().contains(NOT_OURS)).await;
    for place in [place, truth.len() - 10_000] {
        let answer = ask(place).await;
        assert_eq!(answer.head.status, 412);
        assert_eq!(answer.head.get("Stream-Proof"), None);
    }
    // It is good again, and it is not believed; who listens, listens on.
    liar.lies.store(false, Ordering::Relaxed);
    own.wait_more(100_000, SOON).await;
    assert_eq!(ask(truth.len() - 10_000).await.head.status, 412);
    assert_eq!(after.ended(), None);
    assert_eq!(proxy.log().matches(OURS).count(), 1, "{}", proxy.log());
    let audio = own.audio();
    let start = find(&truth.body(), &audio[..1024]).unwrap();
    let len = audio.len().min(truth.len() - start);
    assert_eq!(
        sha256(&audio[..len]),
        sha256(&truth.body()[start..start + len])
    );
}
