//! The Debian package's configuration file.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

use std::collections::BTreeSet;

use icecast_ext_proxy::config::{Config, Options};

const FILE: &str = include_str!("../../packaging/icecast-ext.toml");

/// With every option that is shown in a comment.
fn everything() -> String {
    let shown = |line: &str| {
        let line = line.strip_prefix('#')?;
        let is_option = line.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
        is_option.then(|| line.to_owned())
    };
    let lines = FILE
        .lines()
        .map(|line| shown(line).unwrap_or_else(|| line.to_owned()));
    lines.collect::<Vec<_>>().join("\n")
}

/// The names that a table takes, as the error about a wrong one lists them.
fn names(table: &str) -> BTreeSet<String> {
    let error = toml::from_str::<Options>(&format!("{table}no-such-option = 1"))
        .unwrap_err()
        .to_string();
    let list = error.split("expected one of").nth(1).unwrap();
    let names = list.split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

#[test]
fn the_file_is_a_configuration_as_it_is_and_with_every_option_that_it_shows() {
    for text in [FILE.to_owned(), everything()] {
        let options: Options = toml::from_str(&text).unwrap();
        Config::new(options, None).unwrap();
    }
}

#[test]
fn the_file_shows_every_option() {
    let shown: toml::Table = toml::from_str(&everything()).unwrap();
    let keys = |table: &toml::Table| table.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&shown), names(""));
    assert_eq!(
        keys(shown["limits"].as_table().unwrap()),
        names("[limits]\n")
    );
    let mount = shown["mount"]["/protected.mp3"].as_table().unwrap();
    assert_eq!(keys(mount), names("[mount.\"/a\"]\n"));
}
