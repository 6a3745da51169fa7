use super::*;
use crate::config::{Config, Options};
use crate::icecast_xml::parse;

fn proposal(xml: &str) -> String {
    propose(
        &parse(xml.as_bytes()).unwrap(),
        Path::new("/etc/icecast2/icecast.xml"),
    )
}

/// As it is, and with every line that is switched off switched on.
fn configuration(text: &str) -> Config {
    let options: Options = toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    Config::checked(Options::default(), options).unwrap_or_else(|error| panic!("{error:#}\n{text}"))
}

#[test]
fn the_proposal_for_a_rich_server_is_a_configuration() {
    let text = proposal(include_str!("../../tests/data/rich.xml"));
    let config = configuration(&text);
    assert_eq!(config.upstreams[0].base(), "http://127.0.0.1:18000");
    let addresses: Vec<_> = config
        .listen
        .iter()
        .map(|bind| (bind.address.to_string(), bind.tls))
        .collect();
    assert_eq!(
        addresses,
        [
            ("192.0.2.7:8000".into(), false),
            ("0.0.0.0:8443".into(), true)
        ]
    );
    assert_eq!(
        config.certificates[0].key,
        Path::new("/usr/share/icecast2/icecast.pem")
    );
    assert_eq!(config.limits.listeners, 300);
    assert_eq!(config.burst, 32_768);
    assert_eq!(
        config.deny_ip.as_deref(),
        Some(Path::new("/etc/icecast2/deny.txt"))
    );
    assert_eq!(config.mount("/club.mp3").max_listeners, Some(50));
    assert_eq!(
        config.mount("/open.mp3").admission,
        Some(crate::config::Admission::Fanout)
    );
    assert_eq!(
        config.mount("/a & b.mp3").admission,
        Some(crate::config::Admission::Tunnel)
    );
    assert_eq!(
        config.mount("/full.mp3").admission,
        Some(crate::config::Admission::Tunnel)
    );
    assert!(
        !text.contains("secret"),
        "passwords stay where they are: {text}"
    );
}

#[test]
fn the_proposal_for_a_rich_server_is_the_one_that_was_read_and_found_good() {
    let text = proposal(include_str!("../../tests/data/rich.xml"));
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/rich.toml");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(kept, &text).unwrap();
    }
    let kept = std::fs::read_to_string(kept).unwrap();
    assert_eq!(
        text, kept,
        "run with UPDATE_DOCS=1 and read what has changed"
    );
}

#[test]
fn what_is_switched_off_would_parse_too() {
    let text = proposal(include_str!("../../tests/data/rich.xml"));
    let on: String = text
        .lines()
        .map(|line| {
            let option = line.strip_prefix("# ").filter(|rest| {
                let name = rest.split(" = ").next().unwrap_or_default();
                rest.contains(" = ") && name.chars().all(|c| c.is_ascii_lowercase() || c == '-')
            });
            option.unwrap_or(line).to_owned() + "\n"
        })
        .collect();
    let config = configuration(&on);
    assert!(config.mount("/club.mp3").pull_credentials.is_some());
    assert_eq!(config.user.as_deref(), None);
    assert!(config.upstreams[0].admin.is_some() && config.access_log.is_some());
}

#[test]
fn it_says_which_lines_to_change() {
    let xml = include_str!("../../tests/data/rich.xml");
    let text = proposal(xml);
    let line = |text: &str| 1 + xml.lines().position(|line| line.contains(text)).unwrap();
    let port = format!(
        "line {}: <port>8000</port> becomes <port>18000</port>",
        line("<port>8000")
    );
    assert!(text.contains(&port), "{text}");
    let bind = format!(
        "line {}: becomes <bind-address>127.0.0.1</bind-address>",
        line("192.0.2.7")
    );
    assert!(text.contains(&bind), "{text}");
    let tls = format!(
        "line {}: remove this <listen-socket>",
        line("<port>8443") - 1
    );
    assert!(text.contains(&tls), "{text}");
}

#[test]
fn a_name_cannot_become_an_option() {
    let text = proposal(
        "<icecast><hostname>a&#10;listen = []&#10;b\"c</hostname><mount><mount-name>/x\"]&#10;window = 1&#10;\"</mount-name>\
         <intro>&#10;window = 2</intro></mount><relay><mount>&#10;window = 3</mount></relay></icecast>",
    );
    let config = configuration(&text);
    assert_eq!(config.window.as_secs(), 120);
    assert!(
        config.mounts.is_empty() && text.contains("or no path"),
        "{text}"
    );
}

#[test]
fn an_icecast_on_loopback_stays_where_it_is() {
    let text = proposal(
        "<icecast><listen-socket><port>8010</port><bind-address>127.0.0.1</bind-address></listen-socket></icecast>",
    );
    let config = configuration(&text);
    assert_eq!(config.upstreams[0].port, 8010);
    assert_eq!(config.listen[0].address.port(), 8100);
    assert!(text.contains("that stays"), "{text}");
}

#[test]
fn files_that_say_little_still_make_a_configuration() {
    for xml in [
        "<icecast/>",
        "<icecast><port>80</port></icecast>",
        "<icecast><listen-socket><ssl>1</ssl><port>443</port></listen-socket></icecast>",
        "<icecast><listen-socket><port>65535</port><bind-address>radio.example</bind-address></listen-socket></icecast>",
    ] {
        configuration(&proposal(xml));
    }
}

#[test]
fn the_distributions_own_file_is_understood() {
    // The tests install the package; elsewhere there is nothing to read.
    let Ok(xml) = std::fs::read_to_string("/etc/icecast2/icecast.xml") else {
        return;
    };
    let config = configuration(&proposal(&xml));
    assert_eq!(config.upstreams[0].base(), "http://127.0.0.1:18000");
    assert_eq!(config.listen[0].address.to_string(), "0.0.0.0:8000");
}
