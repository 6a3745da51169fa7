//! The operators' page: what it shows works, and its tables say what the program says.
#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

use std::fmt::Write as _;
use std::process::Command;

use icecast_ext_proxy::config::schema::{Known, known};
use icecast_ext_proxy::config::{Config, Options};
use icecast_ext_proxy::icecast_xml;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operators.md");

fn page() -> String {
    std::fs::read_to_string(PAGE).unwrap()
}

/// Blocks of a language, without the indent of a list.
fn blocks(language: &str) -> Vec<String> {
    let page = page();
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.trim_start() != format!("```{language}") {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let block = lines.by_ref().take_while(|line| line.trim_start() != "```");
        found.push(
            block
                .map(|line| line.get(indent..).unwrap_or("").to_owned() + "\n")
                .collect(),
        );
    }
    assert!(!found.is_empty(), "{language}");
    found
}

#[test]
fn every_toml_block_is_a_configuration() {
    for block in blocks("toml") {
        let whole = if block.contains("upstream =") {
            block.clone()
        } else {
            format!("upstream = \"http://127.0.0.1:1\"\n{block}")
        };
        let options: Options =
            toml::from_str(&whole).unwrap_or_else(|error| panic!("{error}\n{block}"));
        let config = Config::new(options, None).unwrap_or_else(|error| panic!("{error}\n{block}"));
        assert!(config.warnings.is_empty(), "{:?}\n{block}", config.warnings);
    }
}

#[test]
fn every_xml_block_is_a_part_of_an_icecast_xml() {
    for block in blocks("xml") {
        let read = icecast_xml::parse(format!("<icecast>{block}</icecast>").as_bytes());
        assert!(
            !read
                .unwrap_or_else(|error| panic!("{error}\n{block}"))
                .sockets
                .is_empty(),
            "{block}"
        );
    }
}

#[test]
fn every_command_exists_with_its_flags() {
    let mut tried = 0;
    for block in blocks("sh") {
        let syntax = Command::new("bash")
            .args(["-n", "-c", &block])
            .status()
            .unwrap();
        assert!(syntax.success(), "{block}");
        for line in block.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let known = ["serve", "check", "propose", "listen", "demo"];
            let ours = words
                .windows(2)
                .position(|pair| pair[0] == "icecast-ext" && known.contains(&pair[1]));
            let Some(at) = ours else { continue };
            let arguments = words[at + 1..]
                .iter()
                .take_while(|word| !matches!(**word, "|" | ">" | "&&" | "#"));
            let mut command = Command::new(env!("CARGO_BIN_EXE_icecast-ext"));
            let out = command.args(arguments).arg("--help").output().unwrap();
            assert!(
                out.status.success(),
                "{line}: {}",
                String::from_utf8_lossy(&out.stderr)
            );
            tried += 1;
        }
    }
    assert!(tried >= 4);
}

#[test]
fn links_within_the_page_lead_somewhere() {
    let page = page();
    let anchors: Vec<String> = (page.lines())
        .filter_map(|line| line.strip_prefix('#'))
        .map(|heading| {
            let heading = heading
                .trim_start_matches('#')
                .trim()
                .to_lowercase()
                .replace(' ', "-");
            heading
                .chars()
                .filter(|c| c.is_alphanumeric() || *c == '-')
                .collect()
        })
        .collect();
    for link in page.split("](#").skip(1) {
        let anchor = link.split(')').next().unwrap();
        assert!(anchors.iter().any(|known| known == anchor), "#{anchor}");
    }
}

fn rows(title: &str, of: &[&Known]) -> String {
    let mut out = format!("\n{title}\n\n| Option | Takes | What for |\n|---|---|---|\n");
    for Known {
        name,
        takes,
        many,
        help,
        ..
    } in of
    {
        let takes = if *many {
            format!("list of {takes}")
        } else {
            takes.clone()
        };
        let help = help.replace("; may be repeated", "").replace('|', "\\|");
        let _ = writeln!(out, "| `{name}` | {takes} | {help} |");
    }
    out
}

#[test]
fn the_tables_of_options_are_what_the_program_has() {
    let all = known();
    let of = |table: Option<&str>| {
        all.iter()
            .filter(|known| known.table == table)
            .collect::<Vec<_>>()
    };
    let expected = [
        rows("At the top of the file:", &of(None)),
        rows(
            "Under `[[certificate]]`, as often as there are certificates:",
            &of(Some("certificate")),
        ),
        rows(
            "Under `[mount.\"/path\"]`, for mounts that differ:",
            &of(Some("mount")),
        ),
        rows("Under `[limits]`; 0 is no limit:", &of(Some("limits"))),
    ]
    .concat();
    let page = page();
    let from = page.find("<!-- options:").unwrap();
    let from = from + page[from..].find("-->\n").unwrap() + 4;
    let to = page.find("<!-- /options -->").unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(
            PAGE,
            format!("{}{expected}\n{}", &page[..from], &page[to..]),
        )
        .unwrap();
        return;
    }
    assert_eq!(
        page[from..to].trim(),
        expected.trim(),
        "run with UPDATE_DOCS=1 to write it"
    );
}

/// Everything that the program may log, as its sources have it.
fn sources(dir: &std::path::Path, into: &mut String) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn the_lines_worth_knowing_are_lines_of_the_log() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    sources(&here.join("src"), &mut all);
    sources(&here.join("../icecast-ext/delivery/src"), &mut all);
    let page = page();
    let night = page.split("## At 3 in the morning").nth(1).unwrap();
    let lines: Vec<&str> = night
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .collect();
    assert!(lines.len() > 10);
    for line in lines {
        let quoted = line.split('`').next().unwrap();
        assert!(all.contains(quoted), "nothing logs {quoted:?}");
    }
}
