//! Cut anywhere, the client has every byte once, and every title.

use icecast_ext::ICECAST_EXT_WAIT;
use proptest::prelude::*;

use crate::client::{Player, radio};
use crate::mount::{Answering, Station};
use crate::noise;

/// Connects the player to the station.
fn connect(player: &mut Player, station: &Station) -> Answering {
    let (_, request) = player.asks();
    station.answer(&request)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_client_that_is_cut_anywhere_has_every_byte_once(
        steps in prop::collection::vec((1_usize..9000, 0_usize..7000, prop::bool::weighted(0.4)), 1..60),
        split in 1_usize..3000,
        metaint in 300_u32..5000,
    ) {
        let mut station = Station::new(|options| options.metaint = metaint);
        station.source("SOURCE /live ICE/1.0\r\nContent-Type: audio/x-test\r\n\r\n");
        station.title("Title 0");
        station.publish(&noise(0, 500));
        let mut player = Player::new(&["http://a/live"], radio);
        let mut listener = connect(&mut player, &station);
        let (mut sent, mut titles) = (500, vec![(0, "Title 0".to_owned())]);
        for (n, (grows, takes, cut)) in steps.into_iter().enumerate() {
            if n % 5 == 4 {
                let title = format!("Title {n}");
                station.title(&title);
                titles.push((sent as u64, title));
            }
            station.publish(&noise(sent, grows));
            sent += grows;
            let (bytes, _) = listener.take(station.now, if cut { takes } else { usize::MAX });
            for piece in bytes.chunks(split) {
                player.received(piece);
            }
            if cut {
                player.failed();
                listener = connect(&mut player, &station);
            }
            player.now += 250;
        }
        // A title is told with the first block after its place.
        let more = metaint as usize + 1;
        station.publish(&noise(sent, more));
        sent += more;
        let (bytes, result) = listener.all(station.now);
        prop_assert_eq!(result, ICECAST_EXT_WAIT);
        player.received(&bytes);
        prop_assert!(player.heard == noise(0, sent), "{} of {sent}", player.heard.len());
        prop_assert_eq!(&player.titles, &titles);
        let stats = player.stats();
        prop_assert_eq!((stats.lost, stats.losses, stats.memory_over), (0, 0, 0));
        prop_assert_eq!(stats.audio as usize, sent);
        // What docs/players.md says of a radio.
        prop_assert!(stats.memory_peak < 24 << 10, "{} in use", stats.memory_peak);
    }
}

#[test]
fn a_loss_is_told_to_the_byte() {
    let mut station = Station::new(|options| options.window = 1000);
    station.source("SOURCE /live ICE/1.0\r\nContent-Type: audio/x-test\r\n\r\n");
    station.publish(&noise(0, 1000));
    let mut player = Player::new(&["http://a/live"], radio);
    let mut listener = connect(&mut player, &station);
    player.received(&listener.all(station.now).0);
    player.failed();
    for n in 1..20 {
        station.publish(&noise(n * 1000, 1000));
    }
    let first = station.state().first as usize;
    let mut listener = connect(&mut player, &station);
    player.received(&listener.all(station.now).0);
    assert_eq!(player.lost, [first as u64 - 1000]);
    assert_eq!(
        player.heard,
        [noise(0, 1000), noise(first, 20_000 - first)].concat()
    );
}
