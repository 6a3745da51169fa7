//! The benchmark works, and the published page is what it makes of the published figures.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;

use icecast_ext_tests::child::Scratch;
use icecast_ext_tests::proxy::binary;
use serde_json::Value;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn bench(out: &Path, arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icecast-ext-bench"));
    command.args(arguments).arg("--out").arg(out);
    let ended = command.env("ICECAST_EXT_BIN", binary()).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
}

fn text(file: impl AsRef<Path>) -> String {
    let file = file.as_ref();
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn a_small_run_hears_every_byte_of_every_server_and_writes_table_and_picture() {
    let scratch = Scratch::new("bench").unwrap();
    let out = scratch.path();
    let only = "fanout-500,resume,accounts,tls,titles,slow,mounts";
    bench(out, &["--small", "--seconds", "2", "--only", only]);
    let results: Value = serde_json::from_str(&text(out.join("results.json"))).unwrap();
    let scenarios = results["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), only.split(',').count());
    let (mut runs, mut cores) = (0, 0.0);
    for scenario in scenarios {
        for contender in scenario["contenders"].as_array().unwrap() {
            for run in contender["rounds"].as_array().unwrap() {
                let what = format!("{}, {}: {run}", scenario["name"], contender["label"]);
                let figure = |name: &str| run[name].as_f64().unwrap();
                assert_eq!(figure("hearing"), figure("listeners"), "{what}");
                assert_eq!(figure("wrong") + figure("dropped"), 0.0, "{what}");
                // A listener of 128 kbit/s; some are slow.
                let rate = figure("rate") / figure("listeners");
                assert!(
                    (8_000.0..24_000.0).contains(&rate),
                    "{rate} bytes/s, {what}"
                );
                assert!(figure("sends") > 1.0, "{what}");
                cores += figure("cores");
                runs += 1;
            }
        }
    }
    // nginx may not be here.
    assert!(runs >= 15, "{runs}");
    // Of one run it may be less than the kernel counts.
    assert!(cores > 0.0);
    let page = text(out.join("BENCHMARKS.md"));
    for scenario in only.split(',') {
        assert!(page.contains(&format!("\n## {scenario}: ")), "{scenario}");
    }
    let picture = text(out.join("cpu.svg"));
    assert!(roxmltree::Document::parse(&picture).is_ok());
    assert!(picture.contains("proxy + Icecast"));
}

#[test]
fn the_page_in_the_repository_is_made_of_the_figures_beside_it() {
    let scratch = Scratch::new("redraw").unwrap();
    let out = scratch.path();
    let published = Path::new(REPOSITORY).join("bench/results");
    std::fs::copy(published.join("results.json"), out.join("results.json")).unwrap();
    bench(out, &["--redraw"]);
    let page = text(out.join("BENCHMARKS.md")).replace("(cpu.svg)", "(bench/results/cpu.svg)");
    assert!(
        page == text(Path::new(REPOSITORY).join("BENCHMARKS.md")),
        "BENCHMARKS.md is out of date: cargo run --release -p icecast-ext-bench -- --publish --redraw"
    );
    assert_eq!(text(out.join("cpu.svg")), text(published.join("cpu.svg")));
}
