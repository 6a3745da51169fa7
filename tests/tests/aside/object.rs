//! The shared object itself.

use std::process::Command;

use icecast_ext_tests::module::shared_object;

/// What it stands in front of: libc's, libogg's and libssl's.
const HOOKS: [&str; 14] = [
    "SSL_free",
    "SSL_get_error",
    "SSL_read",
    "SSL_set_fd",
    "SSL_shutdown",
    "SSL_write",
    "accept",
    "close",
    "listen",
    "ogg_stream_flush",
    "ogg_stream_pageout",
    "recv",
    "send",
    "writev",
];

fn nm(which: &[&str]) -> Vec<String> {
    let object = shared_object().expect("a module");
    let out = Command::new("nm")
        .arg("-D")
        .args(which)
        .arg(object)
        .output();
    let out = String::from_utf8(out.expect("it runs").stdout).expect("it runs");
    let name = |line: &str| line.split_whitespace().last().map(str::to_owned);
    let mut names: Vec<_> = out.lines().filter_map(name).collect();
    names.sort();
    names
}

#[test]
fn it_exports_what_it_stands_in_front_of_and_nothing_else() {
    assert_eq!(nm(&["--defined-only"]), HOOKS);
}

#[test]
fn it_loads_into_a_program_that_has_none_of_what_it_stands_in_front_of() {
    let needs = nm(&["--undefined-only"]);
    let foreign = |name: &&String| name.starts_with("SSL_") || name.starts_with("ogg_");
    assert_eq!(needs.iter().find(foreign), None);
}
