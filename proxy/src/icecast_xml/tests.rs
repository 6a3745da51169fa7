use super::*;

const RICH: &str = include_str!("../../tests/data/rich.xml");

#[test]
fn reads_sockets_limits_mounts_and_paths_with_their_lines() {
    let read = parse(RICH.as_bytes()).unwrap();
    let line = |text: &str| 1 + RICH.lines().position(|line| line.contains(text)).unwrap();
    assert_eq!(
        read.hostname,
        Some(At {
            line: line("<hostname>"),
            value: "radio.example".into()
        })
    );
    assert_eq!(read.sockets.len(), 3);
    assert_eq!(read.sockets[0].port.value, 8000);
    assert!(read.sockets[1].ssl && read.sockets[1].port.value == 8443);
    assert!(read.sockets[2].shoutcast_compat.is_some());
    assert_eq!(read.clients.as_ref().unwrap().value, 300);
    assert_eq!(read.burst_size.as_ref().unwrap().value, 32_768);
    let default = read
        .mounts
        .iter()
        .find(|mount| mount.name.is_none())
        .unwrap();
    assert_eq!(default.fallback.as_ref().unwrap().value, "/silence.mp3");
    let named = |name: &str| {
        let found = read
            .mounts
            .iter()
            .find(|mount| mount.name.as_deref() == Some(name));
        found.unwrap()
    };
    let club = named("/club.mp3");
    assert_eq!(club.line, line("<mount-name>/club.mp3") - 1);
    assert_eq!(club.max_listeners.as_ref().unwrap().value, 50);
    assert_eq!(
        club.authentication.as_ref().unwrap().option("filename"),
        Some("/etc/icecast2/club.auth")
    );
    assert!(
        named("/open.mp3")
            .authentication
            .as_ref()
            .unwrap()
            .leaves_listeners_alone()
    );
    assert_eq!(named("/open.mp3").max_listeners, None, "-1 is no limit");
    assert!(named("/a & b.mp3").intro.is_some());
    assert_eq!(read.relays[0].server, "master.example:8000");
    assert!(read.relays[0].on_demand);
    assert_eq!(read.forwarded_from.len(), 2);
    assert!(read.aliases.iter().any(|alias| alias.bound));
    assert_eq!(read.chroot, None);
}

#[test]
fn an_error_names_its_line() {
    for (text, line, says) in [
        ("", 1, "no element"),
        ("<a/>", 1, "not with <icecast>"),
        (
            "<icecast>\n<limits>\n",
            3,
            "<limits> of line 2 is not closed",
        ),
        ("<icecast>\n</limits>", 2, "limits"),
        ("<icecast/>\n<icecast/>", 2, "second root"),
        (
            "<icecast>\n<limits>\n<clients>many</clients></limits></icecast>",
            3,
            "\"many\", not a number",
        ),
        (
            "<icecast>\n<listen-socket><port>99999</port></listen-socket></icecast>",
            2,
            "99999 is not a port",
        ),
        ("<icecast>\n<hostname>&x;</hostname></icecast>", 2, "&x;"),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        assert!(error.why.contains(says), "{text:?}: {error}");
        assert_eq!(error.line, line, "{text:?}: {error}");
    }
}

#[test]
fn hostile_files_end_soon() {
    let bomb = "<!DOCTYPE icecast [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><icecast><hostname>&b;</hostname></icecast>";
    assert!(parse(bomb.as_bytes()).unwrap_err().why.contains("&b;"));
    let file = "<!DOCTYPE icecast [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><icecast><admin>&f;</admin></icecast>";
    assert!(parse(file.as_bytes()).is_err());
    assert!(
        parse("<a>".repeat(100_000).as_bytes())
            .unwrap_err()
            .why
            .contains("too deep")
    );
    let wide = format!("<icecast>{}</icecast>", "<mount/>".repeat(30_000));
    assert!(parse(wide.as_bytes()).unwrap_err().why.contains("too many"));
    let attributes: String = (0..1000).map(|number| format!(" a{number}=\"\"")).collect();
    assert!(parse(format!("<icecast><alias{attributes}/></icecast>").as_bytes()).is_err());
    assert!(parse(&vec![b' '; 2 << 20]).is_err());
    assert!(parse(&vec![0xff; 2 << 20]).is_err());
}

#[test]
fn every_beginning_of_a_file_is_an_error_and_no_panic() {
    for end in 0..RICH.trim_end().len() {
        assert!(parse(&RICH.as_bytes()[..end]).is_err(), "{end}");
    }
}

#[test]
fn old_files_in_latin_1_are_read() {
    let read = parse(
        b"<icecast><location>M\xfcnchen</location><hostname>b\xfccher.example</hostname></icecast>",
    );
    assert_eq!(read.unwrap().hostname.unwrap().value, "bücher.example");
}
