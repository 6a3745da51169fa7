//! `client.json`

use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::client::{Client, Event, Head, Options, Request, Step};
use icecast_ext_core::field::{From, Resume};
use icecast_ext_core::head::Field;
use icecast_ext_core::icy;
use icecast_ext_spec::vector::{self, Piece, Report};

use super::from;

/// Runs the clock until the client asks.
fn connect(client: &mut Client, now: &mut Duration) -> Request {
    loop {
        match client.poll(*now) {
            Step::Connect(request) => return request,
            Step::Wait { until } | Step::Read { until } => *now = until.max(*now),
            Step::Ended => panic!("it gave up"),
        }
    }
}

/// What a request asks for, `miss` and `max-lag` left out: with one relay they are the options'.
fn asked(request: &Request) -> (From, Option<String>) {
    let field = |name| request.fields.iter().find(|field| field.0 == name);
    let (_, value) = field("Resume-Offset").expect("every request asks");
    let resume = Resume::parse(value.as_bytes()).expect("a field");
    (
        resume.from,
        resume.session.map(|session| session.to_string()),
    )
}

fn body(pieces: &[Piece]) -> Vec<u8> {
    let zeros = |n: &u64| vec![0x55; usize::try_from(*n).expect("a length")];
    let block = |text: &vector::Parts| icy::block(&text.octets().expect("octets")).to_vec();
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Prelude(n) | Piece::Audio(n) => out.extend(zeros(n)),
            Piece::Block(text) => out.extend(block(text)),
            Piece::CutBlock(text, n) => out.extend(&block(text)[..*n]),
        }
    }
    out
}

fn reports(client: &mut Client) -> Vec<Report> {
    let mut out = Vec::new();
    while let Some(event) = client.poll_event() {
        match event {
            Event::Lost(loss) => out.push(Report::Lost(loss.bytes)),
            Event::Spliced { .. } => out.push(Report::Spliced),
            Event::Title(title) => {
                let text = title.text.iter().copied().map(char::from).collect();
                out.push(Report::Title(text, title.at.map(|at| at.offset.get())));
            }
            _ => {}
        }
    }
    out
}

/// A title without a place in the vector may have any.
fn same(got: &Report, want: &Report) -> bool {
    match (got, want) {
        (Report::Title(got, _), Report::Title(want, None)) => got == want,
        _ => got == want,
    }
}

/// What went wrong, if anything did. The body comes in parts of `split` octets.
fn run(session: &vector::Session, split: usize) -> Result<(), String> {
    let options = Options {
        icy: true,
        history: 0,
        give_up_after: None,
        ..Options::default()
    };
    let url = "http://relay.example/live.mp3".to_owned();
    let mut client = Client::new([url], options, 7).map_err(|error| error.to_string())?;
    let mut now = Duration::ZERO;
    for (n, step) in session.steps.iter().enumerate() {
        let request = connect(&mut client, &mut now);
        let (conn, got) = (request.conn, asked(&request));
        let want = (from(&step.asks.from), step.asks.session.clone());
        if got != want {
            return Err(format!("step {n} asks {got:?}, not {want:?}"));
        }
        now += Duration::from_millis(20);
        match &step.answer {
            None => client.failed(now, conn, "refused"),
            Some(answer) => {
                let metaint = answer.icy_metaint.map(|metaint| metaint.to_string());
                let fields = [
                    ("Content-Type", Some("application/octet-stream")),
                    ("Stream-Offset", answer.stream_offset.as_deref()),
                    ("icy-metaint", metaint.as_deref()),
                ];
                let fields: Vec<_> = fields
                    .iter()
                    .filter_map(|(name, value)| {
                        Some(Field {
                            name,
                            value: value.as_ref()?.as_bytes(),
                        })
                    })
                    .collect();
                let head = Head {
                    status: answer.status,
                    url: None,
                    fields: &fields,
                };
                client.head(now, conn, &head);
                for part in body(&answer.body).chunks(split) {
                    now += Duration::from_millis(1);
                    client.body(now, conn, Bytes::copy_from_slice(part));
                }
                client.failed(now, conn, "cut");
            }
        }
        let got = reports(&mut client);
        let as_wanted = got.len() == step.reports.len()
            && got
                .iter()
                .zip(&step.reports)
                .all(|(got, want)| same(got, want));
        if !as_wanted {
            return Err(format!("step {n} reports {got:?}, not {:?}", step.reports));
        }
    }
    Ok(())
}

#[test]
fn sessions() {
    let mut wrong = Vec::new();
    for session in vector::clients().expect("client.json").sessions {
        for split in [usize::MAX, 1000, 1] {
            if let Err(why) = run(&session, split) {
                wrong.push(format!("{} ({}): {why}", session.id, session.requirement));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
