//! Where a listener's answer starts: where the server starts, unless a place is asked for. What is nearly there is waited for.

use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use icecast_ext_core::address::Position;
use icecast_ext_core::answer::Answer;
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::{From, Proof, Resume};
use icecast_ext_core::plan::Cursor;
use icecast_ext_core::resume::{HOLD, Kind as Began, Refusal, Start};
use icecast_ext_core::stock::{Ask, Join, Stream, Terms};
use icecast_ext_core::wanted::{Tier, Wanted};
use icecast_ext_delivery::{Kind, clock};

use crate::asked::Asked;
use crate::client::{Client, Stage};
use crate::gather::Gathering;
use crate::locate::Found;
use crate::module::Module;
use crate::random;
use crate::serve;
use crate::shadow::Shadow;
use crate::station::Station;

/// Whoever waits looks again after so long.
pub(crate) const TURN: Duration = Duration::from_millis(100);
/// Bytes between two ICY blocks, where the server says nothing.
const METAINT: NonZeroU32 = NonZeroU32::new(16_000).expect("not zero");

/// What is needed to answer, until it is answered.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) asked: Asked,
    pub(crate) lines: Bytes,
    pub(crate) metaint: Option<NonZeroU32>,
    pub(crate) station: Arc<Station>,
    /// Where the server starts.
    pub(crate) start: Start,
    /// When the request came, by the engine's clock.
    asked_at: u64,
    until: Instant,
    /// Once it waits.
    place: Option<Arc<()>>,
}

impl Pending {
    /// The server starts elsewhere now.
    pub(crate) fn move_to(&mut self, station: &Arc<Station>, at: Position, prelude: Bytes) {
        self.station = station.clone();
        self.start = Start {
            at,
            prelude,
            kind: Began::Join,
        };
    }
}

/// What a listener is sent.
pub(crate) struct Body {
    pub(crate) station: Arc<Station>,
    pub(crate) start: Start,
    pub(crate) cursor: Cursor,
    pub(crate) kind: Kind,
    pub(crate) metaint: Option<NonZeroU32>,
    pub(crate) stream: Option<Stream>,
    /// Of evidence.
    pub(crate) proof: Option<Proof>,
}

/// What it comes to.
enum Decided {
    Body(Box<Body>),
    Answer(Answer),
    /// What is asked for is nearly there (R-AHEAD-1).
    Wait,
}

/// The listener's place in the server's stream is found.
pub(crate) fn begin(client: &mut Client, module: &Module, gathering: Gathering, found: Found) {
    let Gathering {
        asked,
        head,
        lines,
        metaint,
        phase,
        heard,
        ..
    } = gathering;
    let Found {
        station,
        at,
        prelude,
    } = found;
    if !asked.path.is_empty() {
        module.stations.found(&asked.path, &station);
    }
    let place = |bytes: usize| {
        let bytes = bytes.saturating_sub(prelude.len()) as u64;
        Position::new(at.epoch, at.offset.saturating_add(bytes))
    };
    let oracle = place(heard.audio.len());
    for (before, text) in heard.titles {
        station.titled(place(before), text.into());
    }
    client.stage = Stage::Shadow(Shadow::new(station.clone(), oracle, phase));
    let Some(icecasts) = head else {
        return serve::after_intro(
            client,
            module,
            &station,
            at,
            prelude,
            metaint.zip(heard.left),
        );
    };
    let pending = Pending {
        start: Start {
            at,
            prelude,
            kind: Began::Join,
        },
        asked,
        lines,
        metaint,
        station,
        asked_at: clock::now_ms(),
        until: Instant::now() + HOLD,
        place: None,
    };
    if pending.asked.wanted.is_none() {
        return serve::as_it_is(client, module, &pending, icecasts);
    }
    settle(client, module, pending);
}

/// Decides, or waits for what is nearly there.
pub(crate) fn settle(client: &mut Client, module: &Module, mut pending: Pending) {
    pending.station.publish(pending.start.at);
    if let Some(From::At(at)) = pending.asked.position() {
        pending.station.publish(at);
    }
    let late = Instant::now() >= pending.until;
    let mut decided = decide(module, &pending, late);
    if matches!(decided, Decided::Wait) && pending.place.is_none() {
        pending.place = module.place();
        if pending.place.is_none() {
            decided = crowded(module, &pending);
        }
    }
    match decided {
        Decided::Body(body) => serve::stream(client, module, &pending, *body),
        Decided::Wait => {
            if let Stage::Shadow(shadow) = &mut client.stage {
                shadow.pending = Some(Box::new(pending));
            }
            module.wait(client.wire.fd, client.generation);
        }
        Decided::Answer(answer) => {
            let date = httpdate::fmt_http_date(SystemTime::now());
            let asked = &pending.asked;
            client
                .wire
                .say(&answer.encode(asked.version, asked.head_only, &date));
            client.stage = Stage::Over;
        }
    }
}

/// It should wait, and there is no room for it. A player gets what there is.
fn crowded(module: &Module, pending: &Pending) -> Decided {
    let asked = &pending.asked;
    if asked
        .wanted
        .as_ref()
        .is_some_and(|wanted| wanted.stock.is_some())
    {
        return decide(module, pending, true);
    }
    let refusal = Refusal::Crowded;
    tracing::warn!(path = asked.path, %refusal, "refused: `held` says how many may");
    Decided::Answer(Answer::of_refusal(refusal, None))
}

fn decide(module: &Module, pending: &Pending, late: bool) -> Decided {
    let Pending {
        asked,
        station,
        metaint,
        ..
    } = pending;
    let Some(wanted) = &asked.wanted else {
        return Decided::Wait;
    };
    let ours = metaint.unwrap_or(METAINT);
    let (refusal, proof) = match &wanted.stock {
        Some(ask) => match of_player(station, ask, ours, late) {
            Ok(decided) => return decided,
            Err(refusal) => (refusal, None),
        },
        None => match start(module, pending, wanted) {
            (Ok((station, start)), proof) => {
                let format = format_at(&station, start.at);
                let metaint = metaint.and_then(|ours| wanted.metaint(format, ours));
                return Decided::Body(Box::new(Body {
                    cursor: wanted.cursor(start.at, format, metaint),
                    kind: match (wanted.tier, metaint) {
                        (Tier::Feed, _) => Kind::Feed,
                        (_, Some(_)) => Kind::Icy,
                        (_, None) => Kind::Plain,
                    },
                    station,
                    start,
                    metaint,
                    stream: None,
                    proof,
                }));
            }
            (Err(refusal), proof) => (refusal, proof),
        },
    };
    match refusal {
        Refusal::Soon { .. } | Refusal::Empty if !late => Decided::Wait,
        refusal => {
            tracing::info!(path = asked.path, agent = asked.agent, %refusal, "refused");
            let answer = Answer::of_refusal(refusal, station.mount.window());
            Decided::Answer(answer.proof(proof))
        }
    }
}

/// A player that may resume.
fn of_player(
    station: &Arc<Station>,
    ask: &Ask,
    metaint: NonZeroU32,
    late: bool,
) -> Result<Decided, Refusal> {
    let fresh = random().map(Join::from_bytes).ok_or(Refusal::Empty)?;
    let mut anchors = station
        .anchors
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let terms = Terms {
        fresh,
        metaint,
        late,
    };
    let ask = anchors.mend(ask);
    let reply = station
        .mount
        .with(|timeline| ask.decide(timeline, &terms))?;
    anchors.note(&ask, &reply);
    Ok(match Answer::of_reply(reply, || content_type(station)) {
        Err(answer) => Decided::Answer(answer),
        Ok(stream) => Decided::Body(Box::new(Body {
            station: station.clone(),
            start: stream.start.clone(),
            cursor: stream.cursor,
            kind: match stream.anchor.metaint {
                Some(_) => Kind::Icy,
                None => Kind::Plain,
            },
            metaint: stream.metaint,
            stream: Some(stream),
            proof: None,
        })),
    })
}

fn content_type(station: &Station) -> Vec<u8> {
    let lines = station.mount.fields();
    let fields = icecast_ext_core::head::field_lines(&lines).unwrap_or_default();
    let field = fields.iter().find(|field| field.is("Content-Type"));
    field.map(|field| field.value.to_vec()).unwrap_or_default()
}

/// In which stream, and where; and what is said of evidence.
type Begins = (Result<(Arc<Station>, Start), Refusal>, Option<Proof>);

/// Where the answer starts, and in which stream: where the server starts, unless a place is asked for, or proven by content.
fn start(module: &Module, pending: &Pending, wanted: &Wanted) -> Begins {
    let here = &pending.station;
    let asked = wanted.asked.unwrap_or(Resume::LIVE);
    let decided = |station: &Arc<Station>| {
        let decided = station.mount.decide(wanted, pending.asked_at);
        let start = decided.start.map(|start| (station.clone(), start));
        (start, decided.proof)
    };
    let at = match asked.from {
        From::Live if wanted.tier == Tier::Stock => {
            return (Ok((here.clone(), pending.start.clone())), None);
        }
        From::Live | From::Shift(_) => return decided(here),
        From::At(at) => at,
    };
    let knows = |station: &Station| station.mount.with(|timeline| timeline.knows(at.epoch));
    // The stream that the path stands for has ended, and the server goes on with another one. What the listener has not heard of
    // the first comes first.
    if !knows(here)
        && let Some(home) = module.stations.at(&pending.asked.path)
        && !home.is_live()
        && knows(&home)
    {
        match decided(&home) {
            (Ok((_, start)), _) if home.mount.received() == Some(start.at) => {}
            first => return first,
        }
    }
    decided(here)
}

pub(crate) fn format_at(station: &Station, at: Position) -> Format {
    let look = station
        .mount
        .with(|timeline| timeline.run_at(at).map(|run| run.format));
    look.or_else(|| station.format()).unwrap_or(Format::Opaque)
}
