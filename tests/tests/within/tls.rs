//! A socket with TLS resumes as any other, over the server's own connection.

use std::net::Ipv4Addr;

use icecast_ext_tests::icecast::Socket;
use icecast_ext_tests::tls::Authority;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn who_was_cut_goes_on_with_the_next_byte_over_tls() {
    let authority = Authority::new().unwrap();
    let issued = authority.issue("server", &["radio.example"]).unwrap();
    let pem = [
        std::fs::read(&issued.key).unwrap(),
        std::fs::read(&issued.chain).unwrap(),
    ]
    .concat();
    let setup = icecast::Setup {
        sockets: vec![Socket {
            ssl: true,
            ..Socket::at(Ipv4Addr::LOCALHOST)
        }],
        paths: "<ssl-certificate>{dir}/server.pem</ssl-certificate>".to_owned(),
        files: vec![("server.pem".to_owned(), pem)],
        ..setup("", "")
    };
    let icecast = Icecast::with(setup).await.unwrap();
    let source = noise(icecast.addr(), "/live.mp3", 1).await.unwrap();
    icecast.wait_mount("/live.mp3").await;
    let secure = icecast.sockets()[0];
    let ask = async |resume: &str, icy: bool| {
        let mut fields = vec![("Resume-Offset", resume)];
        fields.extend(icy.then_some(("Icy-MetaData", "1")));
        let tap = authority.tap(secure, "radio.example", "/live.mp3", &fields);
        tap.await.unwrap()
    };
    let first = ask("live", false).await;
    let place = first.head.place().unwrap();
    first.wait_len(2 * RATE, SOON).await;
    is_at_its_place(&first, &source.sent());
    drop(first);
    // A plain listener has the same addresses.
    let plain = super::ask(&icecast, &place.resume(10)).await;
    assert_eq!(plain.head.place().unwrap().offset, place.offset + 10);
    for (further, icy) in [(0, false), (33_333, true), (60_000, false)] {
        let again = ask(&place.resume(further), icy).await;
        assert_eq!(again.head.place().unwrap().offset, place.offset + further);
        again.wait_len(4 * RATE, SOON).await;
        is_at_its_place(&again, &source.sent());
    }
    let log = std::fs::read_to_string(icecast.file("module.log")).unwrap();
    assert!(!log.contains("ERROR"), "{log}");
}
