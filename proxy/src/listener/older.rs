//! Audio that is older than what is held here: the upstream may hold it still, and its answer is passed on (R-RELAY-9).

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use icecast_ext_core::address::Position;
use icecast_ext_core::answer::Head;
use icecast_ext_core::field::{
    From, Miss, Proof, RESUME_OFFSET, Resume, STREAM_OFFSET, STREAM_PROOF, StreamOffset,
};
use icecast_ext_core::head::{Field, Method, Request, Response, upstream_lines};
use icecast_ext_core::icy::{Deinterleaver, Part};
use icecast_ext_core::resume::{Kind, Refusal};
use icecast_ext_core::wanted::{Decided, Tier, Wanted};
use icecast_ext_delivery::clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::take_room;
use crate::admission::Permit;
use crate::answer::{date, drain};
use crate::caller::Caller;
use crate::connection::Connection;
use crate::figures::Limit;
use crate::server::Server;
use crate::station::Station;
use crate::stream::Stream;
use crate::tunnel;
use crate::upstreams::Upstreams;

/// Listeners that are passed on at once; a further one gets what is held here.
pub(crate) const MAX_PASSAGES: usize = 64;
/// The upstream has so long to give exactly what was asked for.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// The upstream is asked without these fields: they are ours, or would have something else come back,
const OURS: [&str; 3] = [RESUME_OFFSET, "Range", "If-Range"];
/// or are between the listener and who judged it. If that was not the upstream, it does not get them.
const SECRETS: [&str; 3] = ["Authorization", "Proxy-Authorization", "Cookie"];

/// The upstream's answer: exactly what was asked for.
struct Exact {
    stream: Stream,
    offset: StreamOffset,
    proof: Option<Proof>,
    metaint: Option<NonZeroU32>,
    lines: Bytes,
    /// What came of the body with the head.
    begun: Bytes,
}

/// Passes the upstream's answer on to a listener that asks for what is not held here, if the upstream gives exactly that.
/// Otherwise, the listener's connection.
pub(super) async fn serve(
    server: &Server,
    station: &Station,
    mut connection: Connection,
    request: &Request<'_>,
    caller: &Caller,
    wanted: &Wanted,
    permit: &Permit,
) -> Option<Connection> {
    let Some((upstreams, asked)) = server.upstream.as_ref().zip(missed(station, wanted)) else {
        return Some(connection);
    };
    if request.method != Method::Get || permit.is_kin() || !permit.is_ours_alone() {
        return Some(connection);
    }
    let Ok(_passage) = server.passages.try_acquire() else {
        server.figures.limited(Limit::Passages);
        return Some(connection);
    };
    let head = onward(request, asked, permit.is_judged());
    let target = tunnel::onward(request, wanted);
    let head = tunnel::forward(
        &head.request(request),
        &target,
        upstreams.via(),
        caller.address,
    );
    let Some(head) = head else {
        return Some(connection);
    };
    let exact = ask(upstreams, &station.path, &head, asked);
    let Ok(Some(exact)) = tokio::time::timeout(HEAD_TIME, exact).await else {
        return Some(connection);
    };
    let mut seat = None;
    if let Err(limited) = take_room(server, station, caller, asked, &mut seat) {
        server.say(&limited, caller.address);
        return Some(connection);
    }
    server.figures.passages.one();
    tracing::info!(address = %caller.address, mount = station.path, agent = caller.agent, at = %exact.offset.at, "older than what is held: passed on from the upstream");
    let head = Head {
        offset: exact.offset,
        window: station.mount.window(),
        proof: exact.proof,
        metaint: exact.metaint,
        lines: Some(&exact.lines),
        player: None,
        path: &station.path,
        relays: &server.config().relays,
    }
    .encode(request.version, &date());
    let most = server.config().mount(&station.path).max_listener_duration;
    let most = most.unwrap_or(Duration::MAX);
    let mut bytes = 0;
    let client = &mut connection.stream;
    if client.write_all(&head).await.is_ok() {
        bytes = head.len() as u64;
        let (mut from_client, mut to_client) = tokio::io::split(client);
        let gone = async { tokio::io::copy(&mut from_client, &mut tokio::io::sink()).await };
        tokio::select! {
            () = server.stop.cancelled() => {}
            () = pass(station, exact, &mut to_client, &mut bytes) => {}
            () = tokio::time::sleep(most.min(Duration::from_secs(86_400))) => {}
            _ = gone => {}
        }
        let _ = to_client.shutdown().await;
    }
    drain(&mut connection.stream).await;
    server.note(caller, connection.since, Some(200), bytes);
    None
}

/// The position that a listener asks for, if it is not held here and not to come.
fn missed(station: &Station, wanted: &Wanted) -> Option<Position> {
    let asked = wanted.asked.filter(|asked| asked.max_lag.is_none())?;
    let From::At(position) = asked.from else {
        return None;
    };
    if wanted.tier != Tier::Aware || !station.is_fed() {
        return None;
    }
    let Decided { start, .. } = station.mount.decide(wanted, clock::now_ms());
    let missed = match start {
        Ok(start) => matches!(start.kind, Kind::Miss { .. }),
        Err(refusal) => refusal == Refusal::Missed,
    };
    missed.then_some(position)
}

/// The fields that the upstream gets.
struct Onward<'a> {
    theirs: Vec<Field<'a>>,
    resume: String,
}

impl Onward<'_> {
    fn request<'a>(&'a self, request: &Request<'a>) -> Request<'a> {
        let mut fields = self.theirs.clone();
        fields.push(Field {
            name: RESUME_OFFSET,
            value: self.resume.as_bytes(),
        });
        Request {
            fields,
            ..request.clone()
        }
    }
}

/// The listener's own request. Its session is one of ours (R-SESS-6), and a miss is ours to answer.
fn onward<'a>(request: &Request<'a>, asked: Position, judged: bool) -> Onward<'a> {
    let names = |names: &[&str], field: &Field<'_>| names.iter().any(|name| field.is(name));
    let theirs = |field: &&Field<'_>| !names(&OURS, field) && (judged || !names(&SECRETS, field));
    let resume = Resume {
        from: From::At(asked),
        miss: Miss::Fail,
        max_lag: None,
        session: None,
    };
    Onward {
        theirs: request.fields.iter().filter(theirs).copied().collect(),
        resume: resume.encode(),
    }
}

/// The upstream's answer, if it begins with the very byte that is asked for.
async fn ask(upstreams: &Upstreams, path: &str, head: &[u8], asked: Position) -> Option<Exact> {
    let mut stream = upstreams.connect(path).await.ok()?;
    stream.send(head).await.ok()?;
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        if let Some((answer, length)) = Response::parse(&buffer).ok()? {
            let offset = StreamOffset::parse(&answer.field(STREAM_OFFSET)?).ok()?;
            let proof = answer.field(STREAM_PROOF);
            let proof = proof.and_then(|value| Proof::parse(&value).ok());
            let same = offset.at == asked || offset.spliced || proof == Some(Proof::Anchor);
            if answer.status != 200 || !same || offset.lost.is_some() || answer.is_chunked() {
                return None;
            }
            let (metaint, lines) = (answer.metaint(), upstream_lines(&answer));
            let begun = buffer.split_off(length).freeze();
            return Some(Exact {
                stream,
                offset: StreamOffset {
                    session: None,
                    ..offset
                },
                proof,
                metaint,
                lines,
                begun,
            });
        }
        if stream.read_buf(&mut buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Until either side ends, or the listener has come so far that it is served from here when it asks again.
async fn pass(
    station: &Station,
    exact: Exact,
    client: &mut (impl tokio::io::AsyncWrite + Unpin),
    sent: &mut u64,
) {
    let mut stream = exact.stream;
    let mut count = Count {
        at: exact.offset.at,
        prelude: exact.offset.prelude,
        blocks: exact.metaint.map(Deinterleaver::new),
    };
    let mut bytes = exact.begun;
    let mut buffer = BytesMut::new();
    loop {
        if client.write_all(&bytes).await.is_err() || client.flush().await.is_err() {
            return;
        }
        *sent += bytes.len() as u64;
        count.pass(bytes);
        if has_come_home(station, count.at) {
            return;
        }
        buffer.reserve(16 << 10);
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => bytes = buffer.split().freeze(),
        }
    }
}

/// Where the listener is.
struct Count {
    at: Position,
    prelude: u64,
    blocks: Option<Deinterleaver>,
}

impl Count {
    fn pass(&mut self, mut bytes: Bytes) {
        let ahead = usize::try_from(self.prelude).unwrap_or(usize::MAX);
        let prelude = bytes.split_to(ahead.min(bytes.len()));
        self.prelude -= prelude.len() as u64;
        let audio = match &mut self.blocks {
            None => bytes.len() as u64,
            Some(blocks) => {
                let mut parts = Vec::new();
                blocks.feed(bytes, &mut parts);
                let audio = parts.iter().map(|part| match part {
                    Part::Audio(bytes) => bytes.len() as u64,
                    Part::Block(_) => 0,
                });
                audio.sum()
            }
        };
        self.at.offset = self.at.offset.saturating_add(audio);
    }
}

/// Past the middle of what is held here: there is time enough to ask again.
fn has_come_home(station: &Station, at: Position) -> bool {
    let Some(held) = station.mount.window().filter(|held| held.epoch == at.epoch) else {
        return false;
    };
    let passed = at.offset.since(held.window.first);
    passed.is_some_and(|passed| passed >= held.window.len() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use icecast_ext_core::head::Target;
    use icecast_ext_core::stock::Level;

    #[test]
    fn the_upstream_gets_no_session_and_no_secret_that_it_has_not_judged() {
        let epoch = "q83vEjRWeJCrze8SNFZ4kA";
        let head = format!(
            "GET /a HTTP/1.1\r\nHost: h\r\nAuthorization: Basic eA==\r\nCookie: a=b\r\n\
             Resume-Offset: 7;epoch=\"{epoch}\";miss=oldest;session=\"AAECAwQFBgcICQoLDA0ODw\"\r\nIcy-MetaData: 1\r\n\r\n"
        );
        let (request, _) = Request::parse(head.as_bytes()).unwrap().unwrap();
        let target = Target::parse(request.target).unwrap();
        let wanted = Wanted::of(&request, &target, Level::default()).unwrap();
        let From::At(asked) = wanted.asked.unwrap().from else {
            panic!("a position")
        };
        let told = |judged| {
            let onward = onward(&request, asked, judged);
            let mut out = Vec::new();
            onward.request(&request).encode(&mut out);
            String::from_utf8(out).unwrap()
        };
        let resume = format!("Resume-Offset: 7;epoch=\"{epoch}\";miss=fail\r\n");
        assert_eq!(
            told(false),
            format!("GET /a HTTP/1.1\r\nHost: h\r\nIcy-MetaData: 1\r\n{resume}\r\n")
        );
        assert!(told(true).contains("Authorization: Basic eA==\r\nCookie: a=b\r\n"));
    }

    #[test]
    fn a_listener_is_where_its_audio_is() {
        let epoch = icecast_ext_core::address::Epoch::from_bytes([1; 16]);
        let mut count = Count {
            at: Position::new(epoch, icecast_ext_core::address::Offset::ZERO),
            prelude: 3,
            blocks: NonZeroU32::new(4).map(Deinterleaver::new),
        };
        count.pass(Bytes::from_static(b"pr"));
        count.pass(Bytes::from_static(b"eaudi\0o"));
        assert_eq!(count.at.offset.get(), 5);
    }
}
