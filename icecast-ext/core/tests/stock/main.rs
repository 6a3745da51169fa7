//! Stock players, simulated: cut anywhere, at relays that hold more or less, they hear what an uncut one hears, or the answer says
//! that it cannot be.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod player;
mod world;

use icecast_ext_core::resume::Kind;
use proptest::prelude::*;

use player::{Came, Kind as Who, Player};
use world::{Happens, World};

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        12 => (1_u64..400).prop_map(Happens::Grow),
        3 => (0_usize..200).prop_map(Happens::Title),
        1 => any::<bool>().prop_map(Happens::Begin),
        3 => Just(Happens::Evict),
        8 => (1_usize..300).prop_map(Happens::Read),
        6 => any::<bool>().prop_map(Happens::Cut),
    ]
}

fn story() -> impl Strategy<Value = Vec<Happens>> {
    prop::collection::vec(happens(), 1..120)
}

/// Plays a story; returns how often the player came back.
fn play(who: Who, ogg: bool, story: &[Happens]) -> Result<usize, TestCaseError> {
    let mut world = World::new(ogg);
    world.happen(&Happens::Grow(600));
    let mut player = Player::join(who, &world);
    let mut back = 0;
    for what in story {
        world.happen(what);
        match what {
            Happens::Read(most) => player.read(&world, *most)?,
            Happens::Cut(relay) => {
                let n = player.received();
                back += 1;
                match player.come_back(&world, usize::from(*relay)) {
                    Came::Exact => {}
                    Came::Lost(start) => {
                        // What was lost was not there, or could not be counted.
                        prop_assert!(matches!(start.kind, Kind::Miss { .. }), "{start:?}");
                        prop_assert!(
                            !player.could_have(&world, usize::from(*relay), n),
                            "byte {n} was there"
                        );
                        return Ok(back);
                    }
                }
            }
            _ => {}
        }
    }
    player.compare(&world)?;
    Ok(back)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn plain_players_hear_every_byte_once(story in story(), url: bool, ogg: bool) {
        play(if url { Who::Vlc } else { Who::FfmpegPlain }, ogg, &story)?;
    }

    #[test]
    fn players_that_begin_a_block_anew_hear_every_byte_once(story in story()) {
        play(Who::Ffmpeg, false, &story)?;
    }

    #[test]
    fn players_that_count_on_hear_every_byte_once(story in story()) {
        play(Who::GStreamer, false, &story)?;
    }
}

#[test]
fn what_was_lost_does_not_come_back_into_reach_by_the_burst_that_followed() {
    let mut world = World::new(false);
    world.happen(&Happens::Grow(600));
    let mut player = Player::join(Who::Vlc, &world);
    player.read(&world, 100).unwrap();
    for _ in 0..20 {
        world.happen(&Happens::Grow(300));
    }
    // Gone by less than the burst, everywhere.
    for server in &mut world.servers {
        let gone = player.received() as u64 + 200;
        assert_eq!(server.held(), 6600);
        server.evict(gone + 100);
    }
    assert!(matches!(player.come_back(&world, 0), Came::Lost(_)));
    player.read(&world, 450).unwrap();
    player.forget_cookies();
    // By the URL alone the old place would be held again, and be wrong.
    let came = player.come_back(&world, 1);
    assert!(matches!(came, Came::Lost(_)), "old bytes");
}

#[test]
fn a_title_that_may_have_had_another_place_before_a_crash_is_no_ground_to_stand_on() {
    for (who, title, exact) in [
        (Who::GStreamer, true, false),
        (Who::GStreamer, false, true),
        (Who::FfmpegPlain, true, true),
    ] {
        let mut world = World::new(false);
        world.happen(&Happens::Grow(600));
        let mut player = Player::join(who, &world);
        player.read(&world, 300).unwrap();
        world
            .servers
            .iter_mut()
            .for_each(|server| server.recalled());
        world.happen(&Happens::Grow(100));
        if title {
            world.happen(&Happens::Title(9));
        }
        world.happen(&Happens::Grow(700));
        // What is before the end of the journal is certain.
        assert!(matches!(player.come_back(&world, 0), Came::Exact));
        player.read(&world, 700).unwrap();
        let came = player.come_back(&world, 0);
        assert_eq!(matches!(came, Came::Exact), exact, "{who:?}, {title}");
    }
}

#[test]
fn ten_thousand_cuts_of_one_byte_each_lose_nothing() {
    for who in [Who::Ffmpeg, Who::GStreamer, Who::FfmpegPlain, Who::Vlc] {
        let mut story = vec![Happens::Title(3), Happens::Grow(100), Happens::Title(40)];
        story.extend(std::iter::repeat_n(Happens::Grow(350), 30));
        for _ in 0..5000 {
            story.extend([Happens::Read(1), Happens::Cut(false)]);
        }
        assert_eq!(play(who, false, &story).expect("exact"), 5000);
    }
}
