//! Whatever a server sends, the client's memory is enough.

use proptest::prelude::*;

use crate::client::{Player, Step, options, radio};
use crate::noise;

const EPOCH: &str = "AAAAAAAAAAAAAAAAAAAAAA";

fn memory(set: impl FnOnce(&mut icecast_ext::ClientOptions)) -> usize {
    let mut options = options();
    set(&mut options);
    let mut memory = 0;
    // SAFETY: the struct is what it says.
    let result = unsafe { icecast_ext::icecast_ext_client_memory(&options, &mut memory) };
    assert_eq!(result, 0);
    memory
}

/// A head as large as one can be.
fn head(fields: &str, filler: &str) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 200 OK\r\n{fields}");
    let mut n = 0;
    while head.len() + filler.len() + 20 < 8192 && n < 50 {
        head.push_str(&filler.replace('#', &n.to_string()));
        n += 1;
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// A block full of titles, each with a place.
fn block(at: u64) -> Vec<u8> {
    let mut text = String::new();
    for n in (0..at).rev() {
        let title = format!("StreamTitle='';StreamAt='{n}';");
        if text.len() + title.len() > 4080 {
            break;
        }
        text.push_str(&title);
    }
    let mut block = vec![255];
    block.extend_from_slice(text.as_bytes());
    block.resize(1 + 4080, 0);
    block
}

#[test]
fn a_radio_needs_so_much() {
    let size = memory(radio);
    assert!(size <= 100 << 10, "{size}");
    assert!(memory(|_| ()) < 6 << 20);
}

#[test]
fn the_worst_that_a_head_can_be_fits() {
    let links = format!(
        "Link: {}\r\n",
        (0..31)
            .map(|n| format!("<http://relay{n}/{}>; rel=duplicate", "x".repeat(200)))
            .collect::<Vec<_>>()
            .join(", ")
    );
    let offset = format!(
        "Stream-Offset: 5;epoch=\"{EPOCH}\";prelude=16384;session=\"{EPOCH}\"\r\nicy-metaint: 1\r\n"
    );
    let strange = "Stream-Window: a=1, b=(1 2 3), c=?1;d;e;f=\"g\"\r\n";
    for fields in [
        links,
        format!("{offset}{strange}"),
        offset.clone(),
        format!("{offset}Transfer-Encoding: chunked\r\n"),
    ] {
        for filler in [
            "Link: </#>;rel=duplicate\r\n",
            "a: b\r\n",
            "Stream-Window: x#=1\r\n",
            "Location: http://b/#\r\n",
        ] {
            let mut player = Player::new(&["http://a/live", "http://b/live"], radio);
            for _ in 0..20 {
                if !matches!(player.poll(), Step::Connect { .. }) {
                    player.now += 20_000;
                    player.events();
                    continue;
                }
                player.received(&head(&fields, filler));
                player.received(&noise(0, 17_000));
                // Blocks everywhere, full of titles.
                for n in 0..20 {
                    player.received(&block(400 + n));
                    player.received(b"x");
                }
                player.failed();
            }
            let stats = player.stats();
            assert_eq!(
                stats.memory_over, 0,
                "{fields:.60} {filler}: {} of {}",
                stats.memory_peak, stats.memory
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_comes_fits(
        answers in prop::collection::vec((0_usize..6, prop::collection::vec(any::<u8>(), 0..3000), 0_u64..40_000, 1_u32..6000), 1..40),
    ) {
        let mut player = Player::new(&["http://a/live", "http://b/live?x"], radio);
        for (kind, bytes, number, metaint) in answers {
            match player.poll() {
                Step::Connect { .. } => {
                    let status = [200, 200, 200, 302, 412, 503][kind];
                    let head = format!(
                        "HTTP/1.1 {status} X\r\nStream-Offset: {number};epoch=\"{EPOCH}\";prelude={}\r\nicy-metaint: {metaint}\r\n\
                         Location: /{number}\r\nLink: <http://c/{number}>; rel=duplicate\r\n\r\n",
                        number % 17_000,
                    );
                    player.received(head.as_bytes());
                }
                Step::Read(_) => {}
                Step::Wait(until) => player.now = until,
                Step::Ended(_) => break,
            }
            player.received(&bytes);
            player.received(&noise(0, number as usize));
            if kind % 2 == 0 {
                player.closed();
            }
            player.now += 100;
        }
        let stats = player.stats();
        prop_assert_eq!(stats.memory_over, 0);
    }
}

#[test]
fn a_client_that_gives_up_says_what_each_relay_said() {
    let mut player = Player::new(&["http://u:secret@a/live", "http://b/live"], |options| {
        radio(options);
        options.give_up = 3000;
    });
    let ended = loop {
        match player.poll() {
            Step::Connect { .. } => player.received(b"HTTP/1.0 404 Not Found\r\n\r\n"),
            Step::Wait(until) => player.now = until,
            Step::Ended(text) => break text,
            Step::Read(_) => unreachable!("nothing is accepted"),
        }
        player.events();
    };
    assert_eq!(
        ended,
        "no relay gives audio: http://a/live: status 404; http://b/live: status 404"
    );
    assert!(player.said.iter().all(|(_, text)| !text.contains("secret")));
    assert_eq!(player.stats().audio, 0);
}
