//! The shared object: what it exports, what it needs, and that a header of another version is refused.

use std::collections::BTreeSet;
use std::process::Command;

use crate::built::{Link, compile, embed, object, prefix, run};
use icecast_ext_tests::child::Scratch;

/// The names of the header's functions.
fn header() -> BTreeSet<String> {
    let text = std::fs::read_to_string(prefix().join("include/icecast_ext.h")).unwrap();
    let committed = std::fs::read_to_string(embed().join("icecast_ext.h")).unwrap();
    assert_eq!(text, committed);
    let names = text.match_indices("icecast_ext_").filter_map(|(at, _)| {
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        let called = rest[end..].starts_with('(') && !rest[end..].starts_with("()\"");
        let before = text[..at].chars().next_back()?;
        // Not those that a comment mentions.
        (called && (before == ' ' || before == '*') && !rest[..end].ends_with('_'))
            .then(|| rest[..end].to_owned())
    });
    names.collect()
}

fn symbols(arguments: &[&str], file: &std::path::Path) -> BTreeSet<String> {
    let mut command = Command::new("nm");
    let out = run(command.args(arguments).arg(file));
    let names = out
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2));
    names.map(str::to_owned).collect()
}

#[test]
fn it_exports_what_the_header_names_and_nothing_else() {
    let named = header();
    assert!(named.len() > 25, "{named:?}");
    assert_eq!(symbols(&["-D", "--defined-only"], &object()), named);
    let archive = prefix().join("lib/libicecast_ext.a");
    assert_eq!(symbols(&["-g", "--defined-only"], &archive), named);
}

#[test]
fn it_needs_the_c_library_alone() {
    let dynamic = run(Command::new("readelf").arg("-d").arg(object()));
    let needed: BTreeSet<&str> = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split(['[', ']']).nth(1))
        .collect();
    for library in &needed {
        assert!(
            ["libc.so.", "libm.so.", "ld-linux"]
                .iter()
                .any(|may| library.starts_with(may)),
            "{needed:?}"
        );
    }
    assert!(
        dynamic.contains("Library soname: [libicecast_ext.so.1]"),
        "{dynamic}"
    );
}

#[test]
fn the_header_is_c_and_cpp() {
    let scratch = Scratch::new("header").unwrap();
    let source = scratch.file("it.c");
    std::fs::write(
        &source,
        "#include <icecast_ext.h>\nint main(void) { return icecast_ext_init(ICECAST_EXT_ABI); }\n",
    )
    .unwrap();
    compile(&source, &scratch.file("it"), Link::Shared, &[]);
    run(&mut Command::new(scratch.file("it")));
    run(Command::new("g++")
        .args([
            "-std=c++17",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-fsyntax-only",
            "-x",
            "c++",
        ])
        .arg(&source)
        .arg(format!("-I{}", prefix().join("include").display())));
}
