use super::*;

fn upstream(text: &str) -> Options {
    Options {
        upstream: vec![text.to_owned()],
        ..Options::default()
    }
}

/// What is said of a file that begins with an upstream, in line 1.
fn said(rest: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    std::fs::write(&path, format!("upstream = \"http://a:1\"\n{rest}")).unwrap();
    match Config::new(Options::default(), Some(&path)) {
        Ok(config) => config
            .warnings
            .iter()
            .map(|warning| format!("{warning}\n"))
            .collect(),
        Err(problems) => problems.to_string(),
    }
    .replace(&path.display().to_string(), "FILE")
}

#[test]
fn a_flag_beats_the_file_and_the_file_beats_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    let text = "upstream = \"http://a:1\"\nwindow = 5\nburst = 7\nrelays = [\"http://r:1/\"]\ntrusted-proxy = [\"10.0.0.1\", \"fd00::/8\"]\n";
    std::fs::write(&path, text).unwrap();
    let flags = Options {
        window: Some(9),
        ..Options::default()
    };
    let config = Config::new(flags, Some(&path)).unwrap();
    assert_eq!(
        config.upstreams.first().cloned(),
        Some(Upstream::parse("http://a:1").unwrap())
    );
    assert_eq!(
        (
            config.window.as_secs(),
            config.burst,
            config.delivery_tick.as_millis()
        ),
        (9, 7, 250)
    );
    assert_eq!(config.relays, ["http://r:1"]);
    assert!(
        config.trusts("10.0.0.1".parse().unwrap()) && config.trusts("fd00::1".parse().unwrap())
    );
    assert!(!config.trusts("10.0.0.2".parse().unwrap()));
}

#[test]
fn an_error_says_which_option_and_what_it_takes() {
    for (options, says) in [
        (Options::default(), "--source-password"),
        (upstream("nonsense"), "http://127.0.0.1:8000"),
        (upstream("ftp://a"), "only http://"),
        (upstream("http://a/live"), "without a path"),
        (upstream("http://u:p@a"), "credentials"),
        (
            Options {
                window: Some(0),
                ..upstream("http://a")
            },
            "--window is 0: it takes 1 to 86400 (SECONDS: Seconds of audio",
        ),
        (
            Options {
                always: vec!["live".into()],
                ..upstream("http://a")
            },
            "begins with a slash",
        ),
        (
            Options {
                admin: Some(([0, 0, 0, 0], 1).into()),
                ..upstream("http://a")
            },
            "--admin is 0.0.0.0:1, which others can reach: set admin-password",
        ),
        (
            Options {
                listen: vec![([127, 0, 0, 1], 8000).into()],
                ..upstream("http://localhost:8000")
            },
            "lead back to itself",
        ),
    ] {
        let error = Config::new(options, None).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains('\n'), "one cause, one problem: {error}");
    }
}

#[test]
fn a_mount_has_its_own_tick_window_and_burst_or_those_of_all() {
    let text = "upstream = \"http://a:1\"\ndelivery-tick = 50\nwindow = 9\n[mount.\"/slow.mp3\"]\ndelivery-tick = 5000\nburst = 7\n";
    let options = toml::from_str(text).unwrap();
    let config = Config::checked(Options::default(), options).unwrap();
    let of = |path| {
        let config = config.mount_config(path);
        (
            config.tick.as_millis(),
            config.window.as_secs(),
            config.burst,
        )
    };
    assert_eq!(of("/slow.mp3"), (5000, 9, 7));
    assert_eq!(of("/other.mp3"), (50, 9, 65_536));
}

#[test]
fn an_error_in_the_file_has_its_line() {
    for (rest, says) in [
        (
            "\nwindw = 5\n",
            "FILE:3: windw is not an option here: did you mean window?",
        ),
        (
            "relay = [\"http://r\"]\n",
            "FILE:2: relay is not an option here: did you mean relays?",
        ),
        ("trusted_proxy = []\n", "did you mean trusted-proxy?"),
        (
            "quux = 5\n",
            "FILE:2: quux is not an option here: there are upstream, ",
        ),
        ("joins-per-second = 5\n", "it belongs under [limits]"),
        (
            "[limits]\nstate = \"/x\"\n",
            "FILE:3: limits.state is not an option here: it belongs above the first [table]",
        ),
        (
            "[limits]\nheld = 0\n",
            "FILE:3: limits.held is 0: it takes 1 to 1000000 (COUNT: Requests that wait",
        ),
        (
            "[limits]\nmount = 4\n",
            "limits.mount is not an option here: did you mean mounts?",
        ),
        (
            "[mount.\"/a.mp3\"]\nmax-listener = 4\n",
            "FILE:3: mount.\"/a.mp3\".max-listener is not an option here: did you mean max-listeners?",
        ),
        ("\"/a.mp3\" = 1\n", "write [mount.\"/a.mp3\"]"),
        (
            "\nwindow = \"long\"\n",
            "FILE:3: window does not fit: invalid type: string \"long\", expected u64: it takes SECONDS: Seconds of audio",
        ),
        (
            "[mount.\"/a.mp3\"]\ndelivery-tick = 5001\n",
            "FILE:3: mount.\"/a.mp3\".delivery-tick is 5001: it takes 10 to 5000 (MS: Milliseconds between",
        ),
        ("listen = [\"8000\"]\n", "FILE:2: listen does not fit"),
        (
            "trusted-proxy = [\"10.0.0.0/99\"]\n",
            "FILE:2: trusted-proxy does not fit: \"10.0.0.0/99\" is neither",
        ),
        (
            "[mount.\"/a.mp3\"]\nadmission = \"open\"\n",
            "FILE:3: mount.\"/a.mp3\".admission does not fit: unknown variant `open`, expected one of `fanout`",
        ),
        (
            "[[certificate]]\nchain = \"/c\"\n",
            "FILE:2: certificate does not fit: missing field `key`",
        ),
        ("window = \n", "FILE:2: this is not TOML"),
        (
            "window = 1\nwindow = 2\n",
            "FILE:3: this is not TOML: duplicate key",
        ),
        (
            "\n\nwindow = 0\n",
            "FILE:4: window is 0: it takes 1 to 86400",
        ),
        (
            "[mount.\"a.mp3\"]\n",
            "FILE:2: mount.\"a.mp3\" is \"a.mp3\": a mount begins with a slash",
        ),
        (
            "[mount.\"/a.mp3\"]\npull-credentials = \"hemlig\"\n",
            "FILE:3: mount.\"/a.mp3\".pull-credentials has no colon in it",
        ),
        (
            "[mount.\"/a.mp3\"]\nburst = 99999999\n",
            "FILE:3: mount.\"/a.mp3\".burst is 99999999: it takes 0 to 16777216",
        ),
        (
            "listen-tls = [\"127.0.0.1:1\"]\n",
            "FILE:2: listen-tls is 127.0.0.1:1, and there is no certificate: add a [[certificate]]",
        ),
        (
            "listen = [\"0.0.0.0:1\", \"127.0.0.1:1\"]\n",
            "FILE:2: listen has 127.0.0.1:1, and listen has 0.0.0.0:1: an address can be opened once",
        ),
        (
            "admin = \"127.0.0.1:8100\"\n",
            "FILE:2: admin has 127.0.0.1:8100, and listen has 0.0.0.0:8100",
        ),
        (
            "admin = \"192.0.2.1:1\"\nadmin-password = \"\"\n",
            "FILE:2: admin is 192.0.2.1:1, which others can reach",
        ),
        (
            "relays = [\"ftp://r\"]\n",
            "FILE:2: relays is \"ftp://r\": only http://",
        ),
        (
            "public-url = \"http://u:p@r\"\n",
            "FILE:2: public-url has a user or a password in it",
        ),
    ] {
        let said = said(rest);
        assert!(said.contains(says), "{rest:?}: {said}");
        assert!(!said.contains("hemlig"), "{said}");
        assert!(
            !said.trim_end().contains('\n'),
            "one cause, one problem: {said}"
        );
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let said =
        said("window = 0\nburst = 99999999999\nalways = [\"live\"]\n[mount.\"/a\"]\nwindow = 0\n");
    assert!(
        said.starts_with("4 problems in the configuration:\n  FILE:"),
        "{said}"
    );
    for place in [
        "FILE:2: window",
        "FILE:3: burst",
        "FILE:4: always",
        "FILE:6: mount.\"/a\".window",
    ] {
        assert!(said.contains(place), "{place}: {said}");
    }
}

#[test]
fn what_is_merely_odd_is_a_warning() {
    for (rest, says) in [
        (
            "source-password = \"x\"\n",
            "FILE:2: source-password is not used: there is an upstream",
        ),
        (
            "upstream-admin = \"admin:x\"\n",
            "FILE:1: upstream is plain http to another host",
        ),
        (
            "upstream-ca = \"/ca.pem\"\n",
            "FILE:2: upstream-ca is not used: the upstream is plain http",
        ),
        (
            "admin-password = \"x\"\n",
            "FILE:2: admin-password is not used: there is no admin address",
        ),
        (
            "trusted-proxy = [\"0.0.0.0/0\"]\n",
            "FILE:2: trusted-proxy has 0.0.0.0/0: every client may claim any address",
        ),
        (
            "[[certificate]]\nchain = \"/c\"\nkey = \"/k\"\n",
            "certificate is not used: nothing listens with TLS",
        ),
        (
            "[mount.\"/a\"]\nadmission = \"tunnel\"\nwindow = 5\n",
            "FILE:4: mount.\"/a\".window is not used",
        ),
        (
            "[mount.\"/a%20b\"]\n",
            "FILE:2: mount.\"/a%20b\" has a percent sign",
        ),
        (
            "always = [\"/a\"]\n[mount.\"/a\"]\nadmission = \"tunnel\"\n",
            "FILE:2: always has /a, whose admission is tunnel",
        ),
    ] {
        let said = said(rest);
        assert!(said.contains(says), "{rest:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_file_that_is_no_text_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let none = dir.path().join("none.toml");
    let bytes = dir.path().join("bytes.toml");
    std::fs::write(&bytes, [0xff, 0xfe]).unwrap();
    for (path, says) in [
        (none.as_path(), "cannot be read"),
        (bytes.as_path(), "is not UTF-8"),
        (dir.path(), "is not a file"),
    ] {
        let error = Config::new(Options::default(), Some(path))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(says) && error.contains(&path.display().to_string()),
            "{error}"
        );
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn every_option_is_known_by_the_same_name_everywhere() {
    for known in schema::known() {
        assert!(
            !known.help.is_empty() && !known.takes.is_empty(),
            "{known:?}"
        );
        // A value of a type that none takes: then a known name is not "unknown".
        let line = format!("{} = {{ x = 1.5 }}\n", known.name);
        let text = match known.table {
            None => line,
            Some("certificate") => format!("[[certificate]]\n{line}"),
            Some("mount") => format!("[mount.\"/a\"]\n{line}"),
            Some(table) => format!("[{table}]\n{line}"),
        };
        let error = toml::from_str::<Options>(&text).unwrap_err().to_string();
        assert!(!error.contains("unknown field"), "{text}: {error}");
    }
}

#[test]
fn several_upstreams_are_in_order_and_each_once() {
    let bases = |text: &str| {
        let config = Config::checked(Options::default(), toml::from_str(text).unwrap())?;
        let bases = config.upstreams.iter().map(Upstream::base);
        Ok::<Vec<_>, Problems>(bases.collect())
    };
    let two = "upstream = [\"http://b:1\", \"https://a:2\"]\nupstream-admin = \"u:p\"\n";
    assert_eq!(bases(two).unwrap(), ["http://b:1", "https://a:2"]);
    let one = bases("upstream = \"http://a:1\"").unwrap();
    assert_eq!(one, bases("upstream = [\"http://a:1\"]").unwrap());
    let error = |text: &str| bases(text).unwrap_err().to_string();
    let twice = error("upstream = [\"http://a:1\", \"http://a:1/\"]");
    assert!(twice.contains("names http://a:1 twice"), "{twice}");
    let names: Vec<String> = (1..=9).map(|n| format!("http://a:{n}")).collect();
    let many = error(&format!("upstream = {names:?}"));
    assert!(many.contains("names 9 servers"), "{many}");
    let ours = error("upstream = [\"http://b:1\", \"http://localhost:8100\"]");
    assert!(ours.contains("our own address"), "{ours}");
}
