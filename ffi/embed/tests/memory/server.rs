//! The server's side: what a mount is given, and what listeners get of it.

use icecast_ext::*;

use crate::mount::{Station, chars, field, last_error};
use crate::noise;

#[test]
fn a_resume_is_exact_and_a_join_begins_at_the_burst() {
    let mut station = Station::opaque();
    station.publish(&noise(0, 100_000));
    let (head, body, result) = station.get("").split(station.now);
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("\r\nicy-name: Test\r\n"),
        "{head}"
    );
    assert_eq!(
        (body, result),
        (noise(100_000 - 65_536, 65_536), ICECAST_EXT_WAIT)
    );
    let epoch = station.epoch();
    let mut listener = station.get(&format!("Resume-Offset: 1234;epoch=\"{epoch}\"\r\n"));
    let (head, body, _) = listener.split(station.now);
    assert!(
        field(&head, "Stream-Offset")
            .unwrap()
            .starts_with(&format!("1234;epoch=\"{epoch}\""))
    );
    assert_eq!(body, noise(1234, 100_000 - 1234));
    station.publish(&noise(100_000, 500));
    assert_eq!(
        listener.all(station.now),
        (noise(100_000, 500), ICECAST_EXT_WAIT)
    );
}

#[test]
fn the_window_and_the_bounds_are_kept() {
    let mut station = Station::new(|options| {
        options.window = 1000;
        options.max_bytes = 50_000;
        options.burst = 100;
    });
    station.source("PUT /live HTTP/1.1\r\nHost: h\r\nContent-Type: audio/x-test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for n in 0..20 {
        let mut chunk = b"3e8\r\n".to_vec();
        chunk.extend_from_slice(&noise(n * 1000, 1000));
        chunk.extend_from_slice(b"\r\n");
        station.publish(&chunk);
    }
    let state = station.state();
    assert_eq!((state.next, state.live), (20_000, 1));
    assert!((14_000..16_000).contains(&state.first), "{}", state.first);
    let asked = format!("Resume-Offset: 5;epoch=\"{}\"\r\n", station.epoch());
    let (head, body, _) = station.get(&asked).split(station.now);
    assert!(
        field(&head, "Stream-Offset").unwrap().contains(";lost="),
        "{head}"
    );
    assert_eq!(body.len() as u64, state.next - state.first);
    let fails = asked.replace("\"\r\n", "\";miss=fail\r\n");
    let (head, _, result) = station.get(&fails).split(station.now);
    assert!(
        head.starts_with("HTTP/1.1 412 ") && result == ICECAST_EXT_END,
        "{head}"
    );
    assert_eq!(station.body(b"0\r\n\r\n"), ICECAST_EXT_END);
    assert_eq!(station.body(b"more"), ICECAST_EXT_OUT_OF_ORDER);
    assert!(
        last_error().contains("icecast_ext_mount_source"),
        "{}",
        last_error()
    );
}

#[test]
fn what_is_not_here_yet_is_waited_for_ten_seconds() {
    let mut station = Station::opaque();
    station.publish(&noise(0, 10_000));
    let ahead = format!("Resume-Offset: 12000;epoch=\"{}\"\r\n", station.epoch());
    let mut patient = station.get(&ahead);
    let mut late = station.get(&ahead);
    assert_eq!(patient.all(station.now), (Vec::new(), ICECAST_EXT_WAIT));
    station.publish(&noise(10_000, 5000));
    let (head, body, _) = patient.split(station.now);
    assert!(field(&head, "Stream-Offset").unwrap().starts_with("12000;"));
    assert_eq!(body, noise(12_000, 3000));
    // Whoever is not looked at in time gets what there is then.
    assert!(
        late.split(station.now + 11_000)
            .0
            .starts_with("HTTP/1.1 200 ")
    );
    let never = ahead.replace("12000", "20000");
    let mut never = station.get(&never);
    assert_eq!(never.all(station.now + 9999).1, ICECAST_EXT_WAIT);
    let (head, _, result) = never.split(station.now + 10_000);
    assert!(
        head.starts_with("HTTP/1.1 412 ") && result == ICECAST_EXT_END,
        "{head}"
    );
}

#[test]
fn titles_come_with_their_places() {
    let mut station = Station::new(|options| options.metaint = 1000);
    assert_eq!(station.title("too soon"), ICECAST_EXT_OUT_OF_ORDER);
    station.source("SOURCE /live ICE/1.0\r\nContent-Type: audio/x-test\r\n\r\n");
    station.publish(&noise(0, 1500));
    assert_eq!(station.title("It's; here"), 0);
    station.publish(&noise(1500, 1500));
    let epoch = station.epoch();
    let (head, body, _) = station
        .get(&format!(
            "Resume-Offset: 0;epoch=\"{epoch}\"\r\nIcy-MetaData: 1\r\n"
        ))
        .split(station.now);
    assert_eq!(field(&head, "icy-metaint"), Some("1000"));
    assert_eq!(body[..1000], noise(0, 1000));
    assert_eq!(body[1000], 0);
    assert_eq!(body[1001..2001], noise(1000, 1000));
    let text =
        String::from_utf8_lossy(&body[2002..2002 + usize::from(body[2001]) * 16]).into_owned();
    assert!(
        text.starts_with("StreamTitle='It's; here';StreamAt='1500';"),
        "{text}"
    );
}

#[test]
fn a_source_that_comes_again_is_followed_and_one_that_stays_away_ends_it() {
    let mut station = Station::opaque();
    station.publish(&noise(0, 1000));
    let first = station.epoch();
    let mut stock = station.get("");
    let mut aware = station.get("Resume-Offset: live\r\n");
    assert_eq!(
        (stock.split(station.now).1, aware.split(station.now).1),
        (noise(0, 1000), noise(0, 1000))
    );
    assert_eq!(icecast_ext_mount_gone(station.handle, station.now), 0);
    assert_eq!(station.state().live, 0);
    station.tick();
    assert_eq!(stock.all(station.now).1, ICECAST_EXT_WAIT);
    station.source("SOURCE /live ICE/1.0\r\nContent-Type: audio/x-test\r\n\r\n");
    station.publish(&noise(5000, 1000));
    // A player that knows nothing is carried on; one that resumes is told where.
    assert_eq!(
        stock.all(station.now),
        (noise(5000, 1000), ICECAST_EXT_WAIT)
    );
    assert_eq!(aware.all(station.now).1, ICECAST_EXT_END);
    let (head, body, _) = station
        .get(&format!("Resume-Offset: 1000;epoch=\"{first}\"\r\n"))
        .split(station.now);
    assert!(
        field(&head, "Stream-Offset").unwrap().contains(";spliced"),
        "{head}"
    );
    assert_eq!(body, noise(5000, 1000));
    icecast_ext_mount_gone(station.handle, station.now);
    assert_eq!(stock.all(station.now + 4999).1, ICECAST_EXT_WAIT);
    assert_eq!(stock.all(station.now + 5000).1, ICECAST_EXT_END);
    station.now += 5000;
    assert!(
        station
            .get("")
            .split(station.now)
            .0
            .starts_with("HTTP/1.1 404 ")
    );
    // What is held is held.
    let known = format!("Resume-Offset: 10;epoch=\"{}\"\r\n", station.epoch());
    assert_eq!(station.get(&known).split(station.now).1, noise(5010, 990));
}

#[test]
fn nobody_competes_with_his_own_dead_connection() {
    let mut station = Station::opaque();
    station.publish(&noise(0, 1000));
    let mut dead = station.get("Resume-Offset: live\r\n");
    let (head, ..) = dead.split(station.now);
    let session = field(&head, "Stream-Offset")
        .unwrap()
        .split("session=")
        .nth(1)
        .unwrap()
        .to_owned();
    let again = format!(
        "Resume-Offset: 1000;epoch=\"{}\";session={session}\r\n",
        station.epoch()
    );
    let mut alive = station.get(&again);
    assert_eq!(dead.all(station.now).1, ICECAST_EXT_END);
    station.publish(&noise(1000, 10));
    assert_eq!(alive.split(station.now).1, noise(1000, 10));
    drop(dead);
    assert_eq!(alive.all(station.now).1, ICECAST_EXT_WAIT);
}

#[test]
fn short_answers_say_why() {
    let mut station = Station::opaque();
    station.publish(&noise(0, 1000));
    for (head, status) in [
        ("OPTIONS /live HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 204 "),
        ("POST /live HTTP/1.0\r\n\r\n", "HTTP/1.0 405 "),
        (
            "GET /live HTTP/1.1\r\nResume-Offset: soon\r\n\r\n",
            "HTTP/1.1 400 ",
        ),
        ("GET /live\0 HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "),
        ("GET /live HTTP/1.1\r\n", "HTTP/1.1 400 "),
        ("HEAD /live HTTP/1.1\r\n\r\n", "HTTP/1.1 200 "),
    ] {
        let (bytes, result) = station.answer(head).all(station.now);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            text.starts_with(status) && result == ICECAST_EXT_END,
            "{head}: {text}"
        );
    }
    let long = format!("GET /live HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(9000));
    assert!(
        station
            .answer(&long)
            .split(station.now)
            .0
            .starts_with("HTTP/1.1 431 ")
    );
    let mut handle = std::ptr::null_mut();
    let head = "GET /live HTTP/1.0\r\n\r\n";
    // SAFETY: the bytes are bytes.
    let result = unsafe {
        icecast_ext_refuse(
            head.as_ptr(),
            head.len(),
            401,
            std::ptr::null(),
            station.now,
            &mut handle,
        )
    };
    assert_eq!(result, 0);
    let (head, ..) = crate::mount::Answering { handle }.split(station.now);
    assert!(
        head.starts_with("HTTP/1.0 401 ") && field(&head, "WWW-Authenticate").is_some(),
        "{head}"
    );
}

#[test]
fn a_player_that_knows_nothing_resumes_with_a_range() {
    let mut station = Station::new(|options| options.level = ICECAST_EXT_LEVEL_FULL);
    station.source("SOURCE /live ICE/1.0\r\nContent-Type: audio/mpeg\r\n\r\n");
    for n in 0..10 {
        let frame = |k: usize| {
            // 417 bytes at 128 kbit/s and 44.1 kHz, and nothing in it that looks like the beginning of another.
            let rest = noise((n * 10 + k) * 417, 413)
                .into_iter()
                .map(|byte| byte & 0x7f);
            [0xff, 0xfb, 0x90, 0x64]
                .into_iter()
                .chain(rest)
                .collect::<Vec<u8>>()
        };
        station.publish(&(0..10).map(frame).collect::<Vec<_>>().concat());
    }
    let player = "User-Agent: Lavf/60.3.100\r\nAccept: */*\r\nIcy-MetaData: 1\r\n";
    let mut first = station.get(&format!("{player}Range: bytes=0-\r\n"));
    let (head, body, _) = first.split(station.now);
    let cookie = field(&head, "Set-Cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let (all, _) = (body[..16_000].to_vec(), drop(first));
    let again = format!("{player}Range: bytes=10000-\r\nCookie: {cookie}\r\n");
    let (head, body, _) = station.get(&again).split(station.now);
    assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
    assert_eq!(body[..6000], all[10_000..]);
}

#[test]
fn a_relay_of_it_has_the_same_addresses() {
    let mut parent = Station::opaque();
    let mut child = Station::new(|_| {});
    let accept = "Accept: application/vnd.icecast-ext.relay\r\n";
    parent.publish(&noise(0, 3000));
    let mut feed = parent.get(accept);
    assert_eq!(icecast_ext_mount_feed(child.handle, 0), 0);
    let fed = |child: &mut Station, bytes: &[u8]| {
        for piece in bytes.chunks(77) {
            // SAFETY: the bytes are bytes.
            let result =
                unsafe { icecast_ext_mount_fed(child.handle, piece.as_ptr(), piece.len()) };
            assert_eq!(result, 0, "{}", last_error());
        }
        child.tick();
    };
    let (_, body, _) = feed.split(parent.now);
    fed(&mut child, &body);
    parent.title("Title");
    parent.publish(&noise(3000, 1000));
    let (bytes, _) = feed.all(parent.now);
    // Cut in the middle of what came: the rest is asked for, as the state says.
    fed(&mut child, &bytes[..bytes.len() / 2]);
    icecast_ext_mount_gone(child.handle, child.now);
    let state = child.state();
    assert!((3000..4000).contains(&state.received), "{}", state.received);
    let rest = format!(
        "{accept}Resume-Offset: {};epoch=\"{}\"\r\n",
        state.received,
        chars(&state.epoch)
    );
    let (_, body, _) = parent.get(&rest).split(parent.now);
    assert_eq!(icecast_ext_mount_feed(child.handle, 0), 0);
    fed(&mut child, &body);
    assert_eq!((child.epoch(), child.state().next), (parent.epoch(), 4000));
    let at = format!(
        "Resume-Offset: 2500;epoch=\"{}\"\r\nIcy-MetaData: 1\r\n",
        parent.epoch()
    );
    let heard = |station: &Station| station.get(&at).split(station.now).1;
    assert_eq!(heard(&parent), heard(&child));
    // What is no feed is an error, and what came before it counts.
    // SAFETY: the bytes are bytes.
    let result = unsafe { icecast_ext_mount_fed(child.handle, [0_u8; 64].as_ptr(), 64) };
    assert_eq!(result, ICECAST_EXT_MALFORMED);
    assert_eq!(child.state().next, 4000);
}

#[test]
fn a_mount_that_is_freed_ends_its_listeners() {
    let mut station = Station::opaque();
    station.publish(&noise(0, 1000));
    let mut listener = station.get("");
    let (now, handle) = (station.now, station.handle);
    drop(station);
    let (_, body, result) = listener.split(now);
    assert_eq!((body, result), (noise(0, 1000), ICECAST_EXT_END));
    assert_eq!(
        icecast_ext_mount_publish(handle, now),
        ICECAST_EXT_WRONG_HANDLE
    );
}

#[test]
fn a_feed_that_nobody_began_costs_the_source_nothing() {
    let mut station = Station::opaque();
    station.publish(&noise(0, 1000));
    // SAFETY: the bytes are bytes.
    let result = unsafe { icecast_ext_mount_fed(station.handle, [0_u8; 9].as_ptr(), 9) };
    assert_eq!(result, ICECAST_EXT_OUT_OF_ORDER);
    assert_eq!(station.state().live, 1);
    station.publish(&noise(1000, 1000));
    assert_eq!(station.state().next, 2000);
}
