//! What is on air, and what is heard of it.

use icecast_ext_tests::marked::Piece;

use super::*;

/// Bytes a second of every source here.
pub(crate) const RATE: usize = 64_000;
/// What a source sends at once when it comes, so that a burst is full from the start.
const LEAD: usize = 140_000;
/// Icecast takes MP3 from a source in blocks of so many bytes; what does not fill one is never sent.
pub(crate) const BLOCK: u64 = 1400;

/// `<mount>` with these elements.
pub(crate) fn mount(path: &str, elements: &str) -> String {
    format!("<mount type=\"normal\"><mount-name>{path}</mount-name>{elements}</mount>")
}

/// A source that sends stream `number` from its start on. It ends when dropped.
#[derive(Debug)]
pub(crate) struct Air {
    number: u8,
    source: Streaming,
}

/// Puts a stream on air; the server lists it when this returns.
pub(crate) async fn air(icecast: &Icecast, mount: &str, number: u8) -> Air {
    let air = Air::at(icecast.addr(), mount, number).await;
    icecast.wait_mount(mount).await;
    air
}

impl Air {
    /// As [`air`], without waiting until the server lists it.
    pub(crate) async fn at(addr: SocketAddr, mount: &str, number: u8) -> Self {
        let source = Source::accepted(addr, mount, Method::Source).await.unwrap();
        Self::with(source, number).await
    }

    /// By a source that has been accepted.
    pub(crate) async fn with(mut source: Source, number: u8) -> Self {
        source.send(&marked::bytes(number, 0, LEAD)).await.unwrap();
        let source = source.stream(RATE, move |at, len| marked::bytes(number, LEAD + at, len));
        Self { number, source }
    }

    /// How far it is.
    pub(crate) fn at_now(&self) -> u64 {
        let sent = self.source.truth();
        let sent = sent.lock().unwrap().len();
        (LEAD + sent) as u64
    }

    /// Whether the server has ended it.
    pub(crate) fn ended(&self) -> bool {
        self.source.ended()
    }

    /// Waits until a listener hears it; says how far behind its first byte is.
    pub(crate) async fn reaches(&self, tap: &Tap) -> u64 {
        let last = || pieces(&tap.audio()).last().copied();
        let piece = wait_until(&format!("stream {}", self.number), SOON, async || {
            assert_eq!(
                tap.ended(),
                None,
                "while waiting for stream {}",
                self.number
            );
            last().filter(|piece| piece.stream == self.number)
        })
        .await;
        self.at_now() - piece.from
    }

    /// Ends it; says how much of it a listener does not get who had got all, once somebody else is heard.
    pub(crate) fn end(self) -> u64 {
        self.at_now()
    }
}

/// A listener who has been admitted and heard something.
pub(crate) async fn hear(icecast: &Icecast, mount: &str) -> Tap {
    hear_with(icecast, mount, &[]).await
}

/// As [`hear`], with request fields.
pub(crate) async fn hear_with(icecast: &Icecast, mount: &str, fields: &[(&str, &str)]) -> Tap {
    let tap = Tap::open(icecast.addr(), mount, fields).await.unwrap();
    assert_eq!(tap.head.status, 200, "{mount}: {:?}", tap.head);
    tap.wait_len(1, SOON).await;
    tap
}

/// Waits until each has heard a second more.
pub(crate) async fn go_on<'a>(taps: impl IntoIterator<Item = &'a Tap>) {
    let goals: Vec<_> = taps
        .into_iter()
        .map(|tap| (tap, tap.len() + RATE))
        .collect();
    for (tap, goal) in goals {
        tap.wait_len(goal, SOON).await;
    }
}

/// The streams that a listener has heard, one after the other.
pub(crate) fn heard(tap: &Tap) -> String {
    order(&pieces(&tap.audio()))
}

/// The first piece that a listener has heard of a stream.
pub(crate) fn piece(tap: &Tap, number: u8) -> Piece {
    let mut pieces = pieces(&tap.audio()).into_iter();
    pieces.find(|piece| piece.stream == number).unwrap()
}
