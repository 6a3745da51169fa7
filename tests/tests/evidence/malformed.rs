//! What is no evidence is 400, with a text that names the field.

use icecast_ext_core::anchor::MAX_CHUNKS;
use icecast_ext_tests::stage::Stage;

use super::{UNKNOWN, answer, unlimited};

const SUM: &str = "sum=:AAAAAAAAAAAAAAAAAAAAAA==:";
const CHUNK: &str = ":AAAAAAAAAAAAAAAA:;n=2000";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_or_too_long_is_named() {
    let chunks = |n: usize| vec![CHUNK; n].join(", ");
    let tail = format!("100;age=1;{SUM}");
    let valid = format!("{tail}, {}", chunks(MAX_CHUNKS));
    let mut cases = vec![
        String::new(),
        ",".to_owned(),
        "garbage garbage".to_owned(),
        "\u{7f}".to_owned(),
        tail.clone(),
        CHUNK.to_owned(),
        format!("{tail}, {}", chunks(MAX_CHUNKS + 1)),
        format!("{valid},"),
        format!("{valid}, {valid}"),
        format!("({valid})"),
        format!("{tail}, ({CHUNK})"),
        format!("-1;age=1;{SUM}, {CHUNK}"),
        format!("65537;age=1;{SUM}, {CHUNK}"),
        format!("99999999999999999999;age=1;{SUM}, {CHUNK}"),
        format!("1.5;age=1;{SUM}, {CHUNK}"),
        format!("\"100\";age=1;{SUM}, {CHUNK}"),
        format!("100;{SUM}, {CHUNK}"),
        format!("100;age=1, {CHUNK}"),
        format!("100;age=-1;{SUM}, {CHUNK}"),
        format!("100;age=soon;{SUM}, {CHUNK}"),
        format!("100;age;{SUM}, {CHUNK}"),
        format!("100;age=1e9;{SUM}, {CHUNK}"),
        format!("100;age=9999999999999999;{SUM}, {CHUNK}"),
        format!("100;age=1;lag=-0.1;{SUM}, {CHUNK}"),
        format!("100;age=1;lag=:AA==:;{SUM}, {CHUNK}"),
        format!("100;age=1;sum=:AAAA:, {CHUNK}"),
        format!("100;age=1;sum=\"AAAAAAAAAAAAAAAAAAAAAA==\", {CHUNK}"),
        format!("100;age=1;sum=:****:, {CHUNK}"),
        format!("{tail}, :AAAA:;n=2000"),
        format!("{tail}, AAAAAAAAAAAAAAAA;n=2000"),
        format!("{tail}, :AAAAAAAAAAAAAAAA:"),
        format!("{tail}, :AAAAAAAAAAAAAAAA:;n=1023"),
        format!("{tail}, :AAAAAAAAAAAAAAAA:;n=4294967296"),
        format!("{tail}, :AAAAAAAAAAAAAAAA:;n=-2000"),
        format!("{tail}, :AAAAAAAAAAAAAAAA:;n=2000.0"),
        format!("{tail}, :AAAAAAAAAAAAAAAA:;n"),
        format!("{valid}\t\u{e9}"),
    ];
    // One byte too many, whatever they are.
    let long = format!("{valid}{}", " ".repeat(1537 - valid.len()));
    cases.push(format!("{long}, {CHUNK}"));
    cases.push("x".repeat(1537));
    cases.push("1, ".repeat(2000));
    let stage = Stage::proxied(icecast_ext_tests::icecast::Setup::default(), unlimited)
        .await
        .unwrap();
    let addr = stage.proxy.addr();
    for value in &cases {
        for resume in ["live", UNKNOWN] {
            let fields = [("Resume-Offset", resume), ("Resume-Anchor", value)];
            let (head, text) = answer(addr, "/live.mp3", &fields).await;
            let shown: String = value.chars().take(100).collect();
            assert_eq!(head.status, 400, "{shown:?}: {text}");
            assert!(text.contains("Resume-Anchor"), "{shown:?}: {text}");
        }
    }
    // The same in two lines is one list, and too long a one.
    let fields = [
        ("Resume-Offset", "live"),
        ("Resume-Anchor", valid.as_str()),
        ("resume-anchor", valid.as_str()),
    ];
    let (head, text) = answer(addr, "/live.mp3", &fields).await;
    assert_eq!(head.status, 400, "{text}");
    assert!(text.contains("Resume-Anchor"), "{text}");
    // What is well-formed is none of that.
    let fields = [
        ("Resume-Offset", &*format!("{UNKNOWN};miss=fail")),
        ("Resume-Anchor", &valid),
    ];
    let (head, _) = answer(addr, "/live.mp3", &fields).await;
    assert_eq!(head.status, 412);
    assert!(
        head.get("Stream-Proof")
            .is_some_and(|proof| proof.starts_with("none;why="))
    );
    stage.unharmed().await;
}
