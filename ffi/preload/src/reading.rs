//! A request's head on its way to the server: what is ours is taken out, and nothing else is changed. One that asks for
//! something of the protocol is read as strictly as that wants; all others are the server's to read (R-HEAD-6).

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use icecast_ext_core::answer::Answer;
use icecast_ext_core::head::{self, HeadError, Method, Request, Target, Version};
use icecast_ext_core::wanted::Wanted;

use crate::asked::Asked;
use crate::client::{Client, Done, Stage, later};
use crate::module::Module;
use crate::source::Knocking;
use crate::title::Retitling;
use crate::wire::Wire;

/// What Icecast reads of a head: of a longer one that does not ask for anything of ours nothing more is taken from it, so that
/// it is refused as it always was.
const MAX_HEAD: usize = 4095;
/// Pieces of so many bytes that are thrown away before an answer.
const MAX_DISCARDED: usize = 16;
/// How long a request waits until the server has closed the dead connection of its own client (R-SESS-3).
const GHOST: Duration = Duration::from_secs(2);

/// Read, and not the server's yet.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    held: Vec<u8>,
    given: usize,
    /// What follows once all of it is given.
    next: Option<Box<Stage>>,
    /// The client's own dead connection, and until when it is waited for.
    ghost: Option<(RawFd, u32, Instant)>,
}

/// The server reads.
pub(crate) fn receive(client: &mut Client, module: &Module, buffer: &mut [u8]) -> Done {
    let wire = client.wire;
    let Stage::Reading(reading) = &mut client.stage else {
        return wire.recv(buffer);
    };
    while reading.next.is_none() {
        let mut piece = [0; MAX_HEAD];
        let most = match reading.held.len() {
            ..MAX_HEAD => MAX_HEAD,
            _ => head::MAX_HEAD,
        };
        let left = most.saturating_sub(reading.held.len());
        let room = left.min(buffer.len()).clamp(1, MAX_HEAD);
        let read = match wire.recv(&mut piece[..room]) {
            Ok(0) if reading.held.is_empty() => return Ok(0),
            Ok(0) => {
                reading.next = Some(Box::new(Stage::Left));
                break;
            }
            other => other?,
        };
        reading.held.extend_from_slice(&piece[..read]);
        match judge(&reading.held, module) {
            Judged::More => {}
            Judged::Answer(answer, version) => {
                tracing::info!(
                    peer = client.peer,
                    status = answer.status(),
                    why = answer.body().trim_end(),
                    "answered a head, not asked the server"
                );
                discard(wire);
                let date = httpdate::fmt_http_date(std::time::SystemTime::now());
                wire.say(&answer.encode(version, false, &date));
                client.stage = Stage::Over;
                // The server takes it for a client that went away.
                return Ok(0);
            }
            Judged::Next { head, stage, ghost } => {
                if let Some(head) = head {
                    reading.held = head;
                }
                reading.next = Some(Box::new(stage));
                let until = Instant::now() + GHOST;
                // Its number may be this connection's by now.
                let ghost = ghost.filter(|(fd, _)| *fd != wire.fd);
                reading.ghost = ghost.map(|(fd, generation)| (fd, generation, until));
            }
        }
    }
    if let Some((fd, generation, until)) = reading.ghost {
        if module.is_open(fd, generation) && Instant::now() < until {
            return Err(later());
        }
        reading.ghost = None;
    }
    let rest = reading.held.get(reading.given..).unwrap_or_default();
    let len = rest.len().min(buffer.len());
    buffer[..len].copy_from_slice(&rest[..len]);
    reading.given += len;
    if reading.given == reading.held.len()
        && let Some(next) = reading.next.take()
    {
        client.stage = *next;
    }
    Ok(len)
}

/// What else has come: closing before it is read would be a reset, which may overtake our answer.
fn discard(wire: Wire) {
    let mut some = [0; MAX_HEAD];
    for _ in 0..MAX_DISCARDED {
        if !matches!(wire.recv(&mut some), Ok(1..)) {
            return;
        }
    }
}

enum Judged {
    /// It may still become a listener's.
    More,
    /// Not the server's business.
    Answer(Answer, Version),
    /// It is the server's, in these words or its own.
    Next {
        head: Option<Vec<u8>>,
        stage: Stage,
        ghost: Option<(RawFd, u32)>,
    },
}

/// 431 or 400.
fn refused(error: &HeadError) -> Judged {
    let status = match error {
        HeadError::TooLarge => 431,
        _ => 400,
    };
    Judged::Answer(Answer::new(status, format!("{error}\n")), Version::Http11)
}

fn left() -> Judged {
    onward(Stage::Left)
}

fn onward(stage: Stage) -> Judged {
    Judged::Next {
        head: None,
        stage,
        ghost: None,
    }
}

/// What so many bytes are.
fn judge(held: &[u8], module: &Module) -> Judged {
    const METHODS: [&[u8]; 3] = [b"GET ", b"HEAD ", b"OPTIONS "];
    let may_listen = METHODS.iter().any(|method| {
        let len = method.len().min(held.len());
        held[..len] == method[..len]
    });
    match Request::parse(held) {
        Err(error) if head::asks(held) => refused(&error),
        _ if !may_listen => onward(Stage::Knocking(Knocking::of(held))),
        Ok(None) if held.len() < MAX_HEAD || head::asks(held) => Judged::More,
        Ok(Some((request, len))) if len > MAX_HEAD => {
            let why = format!("the head is over {MAX_HEAD} bytes, and the server reads no more\n");
            Judged::Answer(Answer::new(431, why), request.version)
        }
        Ok(Some((request, len))) => of_request(&request, held, len, module),
        // The server's parser is more lenient than ours: it may well be a listener's.
        Ok(None) | Err(_) => onward(Stage::Asked(Box::default())),
    }
}

/// `len` bytes of those that are held are the request.
fn of_request(request: &Request<'_>, held: &[u8], len: usize, module: &Module) -> Judged {
    let target = match Target::parse(request.target) {
        Ok(target) => target,
        Err(error) if head::asks(held) => return refused(&error),
        Err(_) => return onward(Stage::Asked(Box::default())),
    };
    if target.path.starts_with("/admin") {
        return match Retitling::of(&target) {
            Some(retitling) if request.method == Method::Get => {
                onward(Stage::Retitling(Box::new(retitling)))
            }
            _ => left(),
        };
    }
    let station = module.stations.at(&target.path).filter(|one| one.is_live());
    let wanted = match Wanted::of(request, &target, module.config.level(&target.path)) {
        Ok(wanted) => wanted,
        // Of a page or a file it says nothing.
        Err(_) if station.is_none() => return left(),
        Err(error) => {
            return Judged::Answer(Answer::new(400, format!("{error}\n")), request.version);
        }
    };
    let head_only = match request.method {
        Method::Get => false,
        _ if station.is_none() => return left(),
        Method::Options => return Judged::Answer(Answer::preflight(), request.version),
        _ => true,
    };
    let ghost = wanted.session().and_then(|session| {
        let station = station.as_ref()?;
        module.engine.close_session(&station.mount, session);
        module.session(session)
    });
    let ours = request.field("Resume-Offset").is_some();
    let head = (ours || head_only || wanted.onward.is_some()).then(|| {
        let mut head = plain(request, &wanted);
        head.extend_from_slice(&held[len..]);
        head
    });
    let agent = request.field("User-Agent").unwrap_or_default();
    let asked = Asked {
        path: target.path,
        version: request.version,
        head_only,
        agent: String::from_utf8_lossy(&agent).into_owned(),
        wanted: Some(wanted),
        answer: Vec::new(),
    };
    Judged::Next {
        head,
        stage: Stage::Asked(Box::new(asked)),
        ghost,
    }
}

/// The request as somebody who knows nothing of us would have written it: a GET, without our field and our query.
fn plain(request: &Request<'_>, wanted: &Wanted) -> Vec<u8> {
    let path = request.target.split('?').next().unwrap_or_default();
    let target = match &wanted.onward {
        None => request.target.to_owned(),
        Some(None) => path.to_owned(),
        Some(Some(query)) => format!("{path}?{query}"),
    };
    let mut head = format!("GET {target} {}\r\n", request.version.as_str()).into_bytes();
    for field in request
        .fields
        .iter()
        .filter(|field| !field.is("Resume-Offset"))
    {
        field.encode(&mut head);
    }
    head.extend_from_slice(b"\r\n");
    head
}
