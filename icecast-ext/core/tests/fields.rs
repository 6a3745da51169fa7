//! Our fields: what they mean, what is malformed, and that writing is the inverse of reading.
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::time::Duration;

use icecast_ext_core::address::{Epoch, Offset, Position, Session, Window};
use icecast_ext_core::field::{
    From, MAX_DUPLICATES, Miss, Resume, StreamOffset, StreamWindow, duplicates, encode_duplicates,
};
use proptest::prelude::*;

const EPOCH: &str = "q83vEjRWeJCrze8SNFZ4kA";

fn at(offset: u64) -> Position {
    Position::new(EPOCH.parse().unwrap(), Offset::new(offset).unwrap())
}

#[test]
fn reads_where_to_start() {
    assert_eq!(Resume::parse(b"live"), Ok(Resume::LIVE));
    assert_eq!(
        Resume::parse(format!(" 123456;epoch=\"{EPOCH}\" ").as_bytes()),
        Ok(Resume::at(at(123_456)))
    );
    let all = format!(r#"7;epoch="{EPOCH}";new=(;x;miss=live;max-lag=30.5;session="{EPOCH}""#)
        .replace("new=(;", "new;");
    let resume = Resume::parse(all.as_bytes()).unwrap();
    assert_eq!(
        (resume.from, resume.miss, resume.max_lag),
        (
            From::At(at(7)),
            Miss::Live,
            Some(Duration::from_millis(30_500))
        )
    );
    assert_eq!(resume.session, EPOCH.parse().ok());
}

#[test]
fn names_the_field_that_is_malformed() {
    for bad in [
        "",
        "7",
        "LIVE",
        "\"live\"",
        "live, live",
        "-1;epoch=EPOCH",
        "1.0;epoch=EPOCH",
        "1000000000000000;epoch=EPOCH",
        "7;epoch=\"AAAA\"",
        "7;epoch=token",
        "7;epoch",
        "live;epoch=EPOCH",
        "7;epoch=EPOCH;miss=newest",
        "7;epoch=EPOCH;miss=\"live\"",
        "7;epoch=EPOCH;max-lag=-1",
        "7;epoch=EPOCH;max-lag=-0.5",
        "7;epoch=EPOCH;max-lag=a",
        "7;epoch=EPOCH;session=1",
        "7;epoch=EPOCH;session=\"x\"",
        "7;epoch=EPOCH, 8;epoch=EPOCH",
        "7;epoch=EPOCH;x=(1)",
        "7;epoch=EPOCH;\u{e9}",
    ] {
        let bad = bad.replace("EPOCH", &format!("\"{EPOCH}\""));
        let error = Resume::parse(bad.as_bytes()).expect_err(&bad);
        assert_eq!(error.field, "Resume-Offset", "{bad}");
    }
}

#[test]
fn reads_query_forms_and_takes_them_out() {
    let query = |query: &str| {
        Resume::from_query(query).map(|(resume, rest)| (resume.map(|resume| resume.from), rest))
    };
    let text = |text: &str| Some(text.to_owned());
    let shift = |ms| Some(From::Shift(Duration::from_millis(ms)));
    assert_eq!(query(""), Ok((None, None)));
    assert_eq!(query("a=b&c"), Ok((None, text("a=b&c"))));
    assert_eq!(
        query(&format!("_resume={EPOCH}.5")),
        Ok((Some(From::At(at(5))), None))
    );
    assert_eq!(
        query(&format!("a&_resume={EPOCH}.5&b=%20")),
        Ok((Some(From::At(at(5))), text("a&b=%20")))
    );
    assert_eq!(query("_shift=90"), Ok((shift(90_000), None)));
    assert_eq!(query("_shift=1.5&x"), Ok((shift(1_500), text("x"))));
    assert_eq!(query("_shift=0.05"), Ok((shift(50), None)));
    assert_eq!(query("my_shift=1"), Ok((None, text("my_shift=1"))));
}

#[test]
fn names_the_query_parameter_that_is_malformed() {
    for (bad, name) in [
        ("_shift", "_shift"),
        ("_shift=", "_shift"),
        ("_shift=-1", "_shift"),
        ("_shift=1.", "_shift"),
        ("_shift=.5", "_shift"),
        ("_shift=1.2345", "_shift"),
        ("_shift=1234567890123", "_shift"),
        ("_shift=1e3", "_shift"),
        ("_shift=1&_shift=1", "_shift"),
        ("_resume=", "_resume"),
        ("_resume=EPOCH", "_resume"),
        ("_resume=EPOCH.", "_resume"),
        ("_resume=EPOCH.-1", "_resume"),
        ("_resume=EPOCH.1000000000000000", "_resume"),
        ("_resume=AAAA.1", "_resume"),
        ("_resume=live", "_resume"),
        ("_shift=1&_resume=EPOCH.1", "_resume"),
    ] {
        let error = Resume::from_query(&bad.replace("EPOCH", EPOCH)).expect_err(bad);
        assert_eq!(error.field, name, "{bad}");
    }
}

#[test]
fn writes_fields_as_the_specification_shows_them() {
    assert_eq!(Resume::LIVE.encode(), "live");
    let resume = Resume {
        miss: Miss::Fail,
        max_lag: Some(Duration::from_millis(30_500)),
        ..Resume::at(at(7))
    };
    assert_eq!(
        resume.encode(),
        format!("7;epoch=\"{EPOCH}\";miss=fail;max-lag=30.5")
    );
    let offset = StreamOffset {
        at: at(417),
        prelude: 3921,
        session: None,
        spliced: true,
        lost: None,
    };
    assert_eq!(
        offset.encode(),
        format!("417;epoch=\"{EPOCH}\";prelude=3921;spliced")
    );
    let window = StreamWindow {
        epoch: EPOCH.parse().unwrap(),
        window: Window {
            first: Offset::new(15).unwrap(),
            next: Offset::new(34).unwrap(),
        },
        rate: Some(16_000),
    };
    assert_eq!(
        window.encode(),
        format!("first=15, next=34, rate=16000, epoch=\"{EPOCH}\"")
    );
}

#[test]
fn refuses_answers_that_say_no_position() {
    for bad in [
        "",
        "live",
        "7",
        "7;epoch=E;prelude=-1",
        "7;epoch=E;spliced=1",
        "7;epoch=E;lost=1.5",
        "-7;epoch=E",
    ] {
        let bad = bad.replace('E', &format!("\"{EPOCH}\""));
        assert!(StreamOffset::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    for bad in [
        "",
        "first=1",
        "first=1, next=2",
        "first=3, next=2, epoch=E",
        "first=(1), next=2, epoch=E",
        "first=1, next=2, epoch=E, rate=a",
    ] {
        let bad = bad.replace('E', &format!("\"{EPOCH}\""));
        assert!(StreamWindow::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn takes_duplicates_and_skips_the_rest() {
    let value = br#"<http://a/x,y>; rel=duplicate, <//b/z> ;title="a, <c>; rel=duplicate";REL="Next DUPLICATE"; ,, nonsense "<q>",
 <http://c>; rel=next, <http://d>, <http://e>; rel=next; rel=duplicate, <>; rel=duplicate, <http://f>;rel=duplicate;anchor="/g",
 <a b>; rel=duplicate, <http://h>; rel="x\"y duplicate" junk, </i>;rel = duplicate;"#;
    let value: Vec<u8> = value
        .iter()
        .copied()
        .filter(|&byte| byte != b'\n')
        .collect();
    assert_eq!(duplicates(&value), ["http://a/x,y", "//b/z", "/i"]);
}

#[test]
fn bounds_what_it_takes_from_links() {
    let many = vec!["<http://a>; rel=duplicate"; MAX_DUPLICATES * 2].join(",");
    assert_eq!(duplicates(many.as_bytes()).len(), MAX_DUPLICATES);
    assert_eq!(encode_duplicates(["a b", "x>y", "http://ok\r\n"]), "");
    assert!(duplicates(&[b'"'; 8192]).is_empty());
    assert!(duplicates(&[b'<'; 8192]).is_empty());
}

fn positions() -> impl Strategy<Value = Position> {
    (any::<[u8; 16]>(), 0..=Offset::MAX.get()).prop_map(|(epoch, offset)| {
        Position::new(Epoch::from_bytes(epoch), Offset::new(offset).unwrap())
    })
}

fn sessions() -> impl Strategy<Value = Option<Session>> {
    prop::option::of(any::<[u8; 16]>().prop_map(Session::from_bytes))
}

fn lags() -> impl Strategy<Value = Duration> {
    prop_oneof![
        0..=999_999_999_999_999u64,
        (0..=100_000u64).prop_map(|s| s * 1000)
    ]
    .prop_map(Duration::from_millis)
}

proptest! {
    #[test]
    fn resume_offset_reads_as_written(
        at in prop::option::of(positions()),
        miss in prop::sample::select(vec![Miss::Oldest, Miss::Live, Miss::Fail]),
        max_lag in prop::option::of(lags()),
        session in sessions(),
    ) {
        let resume = Resume { from: at.map_or(From::Live, From::At), miss, max_lag, session };
        prop_assert_eq!(Resume::parse(resume.encode().as_bytes()), Ok(resume));
    }

    #[test]
    fn query_forms_read_as_written(at in positions(), ago in lags(), shift in any::<bool>()) {
        let resume = Resume { from: if shift { From::Shift(ago) } else { From::At(at) }, ..Resume::LIVE };
        let query = resume.encode_query().unwrap();
        prop_assert_eq!(Resume::from_query(&query), Ok((Some(resume), None)));
    }

    #[test]
    fn stream_offset_reads_as_written(
        at in positions(),
        prelude in 0..=Offset::MAX.get(),
        session in sessions(),
        spliced in any::<bool>(),
        lost in prop::option::of(0..=Offset::MAX.get()),
    ) {
        // One of the two at most.
        let lost = lost.filter(|_| !spliced);
        let offset = StreamOffset { at, prelude, session, spliced, lost };
        prop_assert_eq!(StreamOffset::parse(offset.encode().as_bytes()), Ok(offset));
    }

    #[test]
    fn stream_window_reads_as_written(a in positions(), b in 0..=Offset::MAX.get(), rate in prop::option::of(0..=Offset::MAX.get())) {
        let b = Offset::new(b).unwrap();
        let window = Window { first: a.offset.min(b), next: a.offset.max(b) };
        let window = StreamWindow { epoch: a.epoch, window, rate };
        prop_assert_eq!(StreamWindow::parse(window.encode().as_bytes()), Ok(window));
    }

    #[test]
    fn links_read_as_written(targets in prop::collection::vec("[a-zA-Z0-9:/?#@!$&'()*+,;=._~%-]{1,40}", 0..6)) {
        let value = encode_duplicates(targets.iter().map(String::as_str));
        prop_assert_eq!(duplicates(value.as_bytes()), targets);
    }

    #[test]
    fn no_value_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in r#"[0-9;,=<>"'a-z._ \\()-]{0,80}"#) {
        for value in [&bytes[..], text.as_bytes()] {
            let _ = (Resume::parse(value), StreamOffset::parse(value), StreamWindow::parse(value), duplicates(value));
        }
        let _ = Resume::from_query(&text);
    }
}
