use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::table::MAX_IDLE;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn bounds() -> config::Limits {
    config::Limits {
        listeners: 3,
        connections_per_address: 4,
        joins_per_second: 2,
        resumes_per_second: 5,
        window_bytes_per_minute: 6000,
        mounts: 0,
        held: 2,
    }
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

#[test]
fn connections_are_counted_by_address_and_given_back() {
    let now = Instant::now();
    let limits = Limits::new(bounds(), 1000, now);
    let mut held: Vec<_> = (0..4).map(|_| limits.connect(v4(1), true, now)).collect();
    assert!(held.iter().all(Result::is_ok));
    let refused = limits.connect(v4(1), true, now).unwrap_err();
    assert_eq!((refused.what, refused.loud), (What::Connections, true));
    assert!(
        !limits.connect(v4(1), true, now).unwrap_err().loud,
        "one line a second"
    );
    assert!(limits.connect(v4(1), true, now + SECOND).unwrap_err().loud);
    assert!(
        limits.connect(v4(2), true, now).is_ok(),
        "another is unharmed"
    );
    held.pop();
    assert!(limits.connect(v4(1), true, now).is_ok());
}

#[test]
fn a_network_of_64_bits_is_one_address_and_a_mapped_one_is_ipv4() {
    let now = Instant::now();
    let limits = Limits::new(bounds(), 1000, now);
    let v6 = |net, host| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, net, 0, 0, 0, host));
    let _held: Vec<_> = (0..4)
        .map(|n| limits.connect(v6(1, n), true, now))
        .collect();
    assert!(limits.connect(v6(1, 77), true, now).is_err());
    assert!(limits.connect(v6(2, 1), true, now).is_ok());
    let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().into();
    let _held: Vec<_> = (0..4).map(|_| limits.connect(mapped, true, now)).collect();
    assert!(limits.connect(v4(1), true, now).is_err());
}

#[test]
fn a_connection_may_be_told_later_whose_it_is() {
    let now = Instant::now();
    let limits = Limits::new(bounds(), 6, now);
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut guard = limits.connect(v4(9), false, now).unwrap();
        guard.belongs_to(v4(1), now).unwrap();
        held.push(guard);
    }
    let mut fifth = limits.connect(v4(9), false, now).unwrap();
    assert!(fifth.belongs_to(v4(1), now).is_err());
    let _sixth = limits.connect(v4(9), true, now).unwrap();
    let full = limits.connect(v4(8), true, now).unwrap_err();
    assert_eq!(full.what, What::Descriptors);
    drop((held, fifth));
    assert_eq!((limits.files.taken(), limits.table().connected), (1, 1));
}

#[test]
fn what_is_open_at_the_upstream_for_a_client_and_for_mounts_is_not_there_for_others() {
    let now = Instant::now();
    let limits = Limits::new(bounds(), 10, now);
    limits.mounts.store(2, Ordering::Relaxed);
    let clients: Vec<_> = (0..4)
        .map(|_| limits.connect(v4(1), true, now).unwrap())
        .collect();
    let shadows: Vec<_> = (0..2).map(|_| limits.onward(now).unwrap()).collect();
    assert!(!limits.has_room_for_a_mount());
    for refused in [
        limits.onward(now).err(),
        limits.connect(v4(2), true, now).err(),
    ] {
        assert_eq!(refused.unwrap().what, What::Descriptors);
    }
    drop(shadows);
    assert!(limits.has_room_for_a_mount());
    assert!(limits.connect(v4(2), true, now).is_ok());
    // Who is there stays, whatever mounts take.
    limits.mounts.store(77, Ordering::Relaxed);
    assert!(limits.onward(now).is_err());
    drop(clients);
    limits.mounts.store(0, Ordering::Relaxed);
    assert_eq!(limits.files.taken(), 0);
}

#[test]
fn zero_is_no_limit() {
    let now = Instant::now();
    let none = config::Limits {
        listeners: 0,
        connections_per_address: 0,
        joins_per_second: 0,
        resumes_per_second: 0,
        window_bytes_per_minute: 0,
        mounts: 0,
        held: 2,
    };
    let limits = Limits::new(none, u64::MAX, now);
    let mut held = Vec::new();
    for _ in 0..2000 {
        limits.join(v4(1), now).unwrap();
        limits.resume(v4(1), now).unwrap();
        limits.window(v4(1), u64::MAX, now).unwrap();
        held.push((
            limits.connect(v4(1), true, now).unwrap(),
            limits.listener(now).unwrap(),
        ));
    }
}

#[test]
fn a_burst_of_ten_seconds_may_come_at_once_and_then_the_rate() {
    let now = Instant::now();
    let limits = Limits::new(bounds(), 1000, now);
    for _ in 0..20 {
        limits.join(v4(1), now).unwrap();
    }
    let refused = limits.join(v4(1), now).unwrap_err();
    assert_eq!((refused.wait, refused.seconds()), (SECOND / 2, 1));
    assert!(limits.join(v4(1), now + SECOND / 2).is_ok());
    assert!(limits.join(v4(1), now + SECOND / 2).is_err());
    assert!(
        limits.resume(v4(1), now).is_ok(),
        "resumes are counted apart"
    );
}

#[test]
fn an_answer_larger_than_a_minutes_worth_is_given_to_who_owes_nothing_and_then_paid_off() {
    let now = Instant::now();
    let limits = Limits::new(bounds(), 1000, now);
    limits.window(v4(1), 12_000, now).unwrap();
    let refused = limits.window(v4(1), 1, now).unwrap_err();
    assert_eq!(refused.wait.as_secs(), 60);
    assert!(limits.window(v4(1), 1, now + refused.wait).is_ok());
    assert!(limits.window(v4(1), 0, now).is_ok(), "live costs nothing");
}

#[test]
fn listeners_are_bounded_and_counted_exactly() {
    let now = Instant::now();
    let limits = Limits::new(bounds(), 1000, now);
    let mut held: Vec<_> = (0..3).map(|_| limits.listener(now).unwrap()).collect();
    let refused = limits.listener(now).unwrap_err();
    assert_eq!((refused.what, refused.loud), (What::Listeners, true));
    held.pop();
    assert!(limits.listener(now).is_ok());
    drop(held);
    assert_eq!(limits.listeners.taken(), 0);
}

#[test]
fn requests_that_wait_are_bounded_and_other_bounds_count_at_once() {
    let limits = Limits::new(bounds(), 1000, Instant::now());
    let waiting = [limits.held(), limits.held()];
    assert!(waiting.iter().all(Option::is_some) && limits.held().is_none());
    limits.set(config::Limits {
        held: 3,
        ..bounds()
    });
    let third = limits.held();
    assert!(third.is_some() && limits.held().is_none());
    drop((waiting, third));
    assert_eq!(limits.held.taken(), 0);
}

#[test]
fn a_flood_of_addresses_neither_grows_for_ever_nor_frees_who_is_connected() {
    let now = Instant::now();
    let limits = Limits::new(bounds(), 1000, now);
    let _held: Vec<_> = (0..4).map(|_| limits.connect(v4(1), true, now)).collect();
    let greedy = v4(2);
    limits.window(greedy, 60_000, now).unwrap();
    for net in 0..200_000_u32 {
        let bits = u128::from(net) << 64;
        let address = IpAddr::from(Ipv6Addr::from_bits(bits));
        let at = now + Duration::from_micros(net.into());
        assert!(limits.join(address, at).is_ok(), "the innocent are served");
        assert!(limits.addresses() <= MAX_IDLE + 1);
    }
    let later = now + SECOND;
    assert!(limits.connect(v4(1), true, later).is_err(), "still counted");
    assert!(limits.window(greedy, 1, later).is_err(), "he owes most");
}

#[test]
fn all_the_addresses_of_a_flood_that_owe_nothing_are_forgotten() {
    let now = Instant::now();
    let limits = Limits::new(bounds(), 1000, now);
    for n in 0..MAX_IDLE as u32 {
        limits.join(Ipv4Addr::from_bits(n).into(), now).unwrap();
    }
    assert_eq!(limits.addresses(), MAX_IDLE);
    limits
        .join(Ipv4Addr::from_bits(u32::MAX).into(), now + SECOND)
        .unwrap();
    assert_eq!(limits.addresses(), 1);
}

proptest! {
    #[test]
    fn connections_are_exact_whatever_the_order(ops in prop::collection::vec((any::<bool>(), 0..4_u8), 0..300)) {
        let now = Instant::now();
        let limits = Limits::new(bounds(), 1000, now);
        let mut held: [Vec<Connected>; 4] = Default::default();
        for (open, who) in ops {
            let mine = &mut held[usize::from(who)];
            if open {
                match limits.connect(v4(who), true, now) {
                    Ok(guard) => mine.push(guard),
                    Err(_) => prop_assert_eq!(mine.len(), 4),
                }
                prop_assert!(mine.len() <= 4);
            } else {
                mine.pop();
            }
        }
        let open = held.iter().filter(|mine| !mine.is_empty()).count();
        prop_assert_eq!(limits.table().connected, open);
        drop(held);
        prop_assert_eq!(limits.table().connected, 0);
    }

    #[test]
    fn no_span_of_time_has_more_joins_than_burst_and_rate(gaps in prop::collection::vec(0..900_u64, 1..300)) {
        let start = Instant::now();
        let limits = Limits::new(bounds(), 1000, start);
        let mut now = start;
        let mut passed = Vec::new();
        for gap in gaps {
            now += Duration::from_millis(gap);
            match limits.join(v4(1), now) {
                Ok(()) => passed.push(now),
                Err(refused) => {
                    // Whoever waits as he was told passes.
                    now += refused.wait;
                    prop_assert!(limits.join(v4(1), now).is_ok());
                    passed.push(now);
                }
            }
        }
        for (i, from) in passed.iter().enumerate() {
            for (j, to) in passed.iter().enumerate().skip(i) {
                let most = 20.0 + 2.0 * (*to - *from).as_secs_f64() + 1e-6;
                prop_assert!((j - i + 1) as f64 <= most, "{} in {:?}", j - i + 1, *to - *from);
            }
        }
    }

    #[test]
    fn who_keeps_to_the_rate_is_never_refused(extra in prop::collection::vec(0..2000_u64, 1..200)) {
        let start = Instant::now();
        let limits = Limits::new(bounds(), 1000, start);
        let mut now = start;
        for extra in extra {
            now += Duration::from_millis(500 + extra);
            prop_assert!(limits.join(v4(1), now).is_ok());
        }
    }
}
