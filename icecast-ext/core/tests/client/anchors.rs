//! Moves between relays that share no epoch: evidence goes out, and what is proven is no loss.

use bytes::Bytes;
use icecast_ext_core::anchor::{self, Evidence, Index, Place, SKEW};
use icecast_ext_core::client::{
    Client, Conn, Event, Head, Loss, Options, Proven, Request, Step, Why,
};
use icecast_ext_core::field::{Proof, Resume, StreamOffset};
use icecast_ext_core::head::Field;

use crate::caller::{Caller, SECOND, at, noise, stands};

const RATE: usize = 16_000;

/// Two relays with a client on the first, which has heard a minute of the stream up to byte 960 000 of epoch 1.
fn listening(stream: &[u8]) -> Caller {
    let options = Options {
        history: 0,
        evidence: true,
        ..Options::default()
    };
    let mut caller = Caller::new(&["http://a/live", "http://b/live"], options);
    caller.joined(stands(at(1, 0)), &stream[..RATE]);
    for bytes in stream[RATE..60 * RATE].chunks(RATE) {
        caller.now += SECOND;
        caller.body(bytes);
    }
    caller.events();
    caller
}

/// Cut, the first relay is gone, and this is the request to the second.
fn moved(caller: &mut Caller) -> Request {
    caller.cut();
    caller.asks();
    caller.failed("refused");
    let request = loop {
        match caller.client.poll(caller.now) {
            Step::Connect(request) => break request,
            Step::Wait { until } => caller.now = until,
            other => panic!("{other:?} instead of a request"),
        }
    };
    assert_eq!(request.url, "http://b/live");
    caller.conn = Some(request.conn);
    caller.events();
    request
}

fn evidence(request: &Request) -> Option<Evidence> {
    let anchor = request
        .fields
        .iter()
        .find(|(name, _)| *name == "Resume-Anchor");
    anchor.map(|(_, value)| Evidence::parse(value.as_bytes()).unwrap())
}

/// 200 with this position and this proof, and ten bytes.
fn answer(
    client: &mut Client,
    (now, conn): (std::time::Duration, Conn),
    offset: StreamOffset,
    proof: Option<Proof>,
) {
    let (offset, proof) = (offset.encode(), proof.map(|proof| proof.encode()));
    let mut fields = vec![Field {
        name: "Stream-Offset",
        value: offset.as_bytes(),
    }];
    fields.extend(proof.as_ref().map(|proof| Field {
        name: "Stream-Proof",
        value: proof.as_bytes(),
    }));
    let head = Head {
        status: 200,
        url: None,
        fields: &fields,
    };
    client.head(now, conn, &head);
    client.body(now, conn, Bytes::from_static(b"0123456789"));
}

#[test]
fn evidence_leads_a_relay_with_an_epoch_of_its_own_to_the_next_byte() {
    let stream = noise(9, 90 * RATE);
    let mut caller = listening(&stream);
    // The other relay has the same bytes from 5000 on, and calls that 0.
    let mut index = Index::new(0, SKEW);
    for (second, bytes) in (0..).zip(stream[5_000..].chunks(RATE)) {
        index.push(bytes, caller.now + SECOND * second - SECOND * 59);
    }
    caller.now += SECOND * 3;
    let request = moved(&mut caller);
    let evidence = evidence(&request).expect("a minute was heard");
    assert_eq!(evidence.age, SECOND * 3);
    let held = |from: u64, len: u64| {
        let (from, to) = (from as usize + 5_000, (from + len) as usize + 5_000);
        stream.get(from..to).into_iter()
    };
    let place = index.find(&evidence, caller.now, held);
    assert_eq!(place, Ok(Place::Held(960_000 - 5_000)));
    answer(
        &mut caller.client,
        (caller.now, request.conn),
        stands(at(2, 955_000)),
        Some(Proof::Anchor),
    );
    let events = caller.events();
    assert!(
        events.contains(&Event::Anchored {
            at: at(2, 955_000),
            by: Proven::Anchor
        }),
        "{events:?}"
    );
    assert!(
        !events.iter().any(|event| matches!(event, Event::Lost(_))),
        "{events:?}"
    );
    assert_eq!(caller.client.position(), Some(at(2, 955_010)));
    assert_eq!(
        (caller.client.stats().anchors, caller.client.stats().losses),
        (1, 0)
    );
    // What was heard goes on: the next request says so, too.
    caller.cut();
    assert_eq!(caller.asks().at(), at(2, 955_010));
}

#[test]
fn a_place_that_is_not_proven_is_a_loss_with_the_relays_reason() {
    let stream = noise(9, 60 * RATE);
    let mut caller = listening(&stream);
    let request = moved(&mut caller);
    let why = anchor::Unproven::Repeats;
    let proof = Proof::None { why: Some(why) };
    answer(
        &mut caller.client,
        (caller.now, request.conn),
        stands(at(2, 400)),
        Some(proof),
    );
    let lost = Event::Lost(Loss {
        after: Some(at(1, 960_000)),
        at: Some(at(2, 400)),
        bytes: None,
        why: Why::Unplaced(why),
    });
    let events = caller.events();
    assert!(events.contains(&lost), "{events:?}");
    // After a loss there is nothing to say of what was before.
    caller.cut();
    let Step::Connect(request) = caller.client.poll(caller.now) else {
        panic!("no request");
    };
    assert_eq!(evidence(&request), None);
}

#[test]
fn a_proof_that_nobody_asked_for_proves_nothing() {
    let stream = noise(9, 60 * RATE);
    for (offset, proof) in [
        (
            StreamOffset {
                prelude: 4,
                ..stands(at(2, 400))
            },
            true,
        ),
        (stands(at(2, 400)), false),
    ] {
        let mut caller = listening(&stream);
        if !proof {
            let relays = ["http://a/live", "http://b/live"];
            caller = Caller::new(
                &relays,
                Options {
                    history: 0,
                    ..Options::default()
                },
            );
            caller.joined(stands(at(1, 0)), &stream);
            caller.events();
        }
        let request = moved(&mut caller);
        assert_eq!(evidence(&request).is_some(), proof);
        answer(
            &mut caller.client,
            (caller.now, request.conn),
            offset,
            Some(Proof::Anchor),
        );
        caller.body(b"0123456789");
        let events = caller.events();
        assert!(
            events.iter().any(|event| matches!(event, Event::Lost(_))),
            "{events:?}"
        );
    }
}

#[test]
fn a_client_that_heard_nothing_says_nothing() {
    let options = Options {
        evidence: true,
        ..Options::default()
    };
    let mut caller = Caller::new(&["http://a/live"], options);
    let Step::Connect(request) = caller.client.poll(caller.now) else {
        panic!("no request");
    };
    assert_eq!(evidence(&request), None);
    let resume = Resume::parse(request.fields[0].1.as_bytes());
    assert_eq!(resume, Ok(Resume::LIVE));
}

#[test]
fn an_alias_goes_on_at_the_next_byte_and_the_first_epoch_is_not_over() {
    let stream = noise(9, 60 * RATE);
    let mut caller = listening(&stream);
    let conn = moved(&mut caller).conn;
    let spliced = |at| StreamOffset {
        spliced: true,
        ..stands(at)
    };
    let alias = Some(Proof::Alias);
    let now = (caller.now, conn);
    answer(&mut caller.client, now, spliced(at(2, 400)), alias);
    let by = Proven::Alias;
    let events = caller.events();
    assert!(
        events.contains(&Event::Anchored { at: at(2, 400), by }),
        "{events:?}"
    );
    // There and back.
    caller.cut();
    let again = caller.asks();
    assert_eq!(again.at(), at(2, 410));
    let now = (caller.now, again.conn);
    answer(&mut caller.client, now, spliced(at(1, 960_010)), alias);
    caller.events();
    let stats = caller.client.stats();
    assert_eq!((stats.aliases, stats.splices, stats.losses), (2, 0, 0));
    assert_eq!(caller.client.position(), Some(at(1, 960_020)));
    // What needs a prelude is no next byte.
    caller.cut();
    let last = caller.asks();
    let offset = StreamOffset {
        prelude: 4,
        ..stands(at(3, 7))
    };
    answer(&mut caller.client, (caller.now, last.conn), offset, alias);
    caller.body(b"0123456789");
    caller.events();
    let stats = caller.client.stats();
    assert_eq!((stats.aliases, stats.losses), (2, 1));
}
