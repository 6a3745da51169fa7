//! The main job: cut a listener anywhere, at any relay of the tree, and not one byte is lost or repeated.
//!
//! One Icecast with six formats, a proxy before it, two relays behind the proxy, and eight clients that are cut a hundred
//! times each. Half of the cuts are followed by a move to the other relay. And the same where the Icecast has the module: there
//! the client moves between the server itself and a relay of it.

mod plan;
mod table;
mod tree;
mod trial;

use std::collections::BTreeMap;

use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::metadata::Titles;
use tokio::task::JoinSet;

use table::{Line, matrix};
use tree::Tree;
use trial::Trial;

/// Bytes between titles: three seconds.
const APART: usize = 96_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_cuts_in_each_format_lose_and_repeat_nothing() {
    cut(&Tree::of_proxies().await, "cuts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_do_they_at_an_icecast_with_the_module() {
    cut(&Tree::of_module().await, "cuts-module").await;
}

/// Cuts clients of `tree`, and leaves a table in a file of this name, which `./test` shows at its end.
async fn cut(tree: &Tree, name: &str) {
    let mut chance = Chance::seeded(name);
    let mut encoders = BTreeMap::new();
    for format in Format::ALL {
        let setup = Setup {
            kbps: 256,
            seed: 1 + chance.range(0, 1000),
            ..Setup::new(format)
        };
        let encoder =
            Encoder::start(tree.icecast.addr(), format.mount(), setup).expect("an encoder");
        tree.icecast.wait_mount(format.mount()).await;
        encoders.insert(format, std::sync::Arc::new(encoder));
    }
    let icecast = tree.icecast.addr();
    let mounts = [Format::Mp3, Format::Aac].map(Format::mount);
    let titles = Titles::start(icecast, mounts, APART).await;

    let mut trials = JoinSet::new();
    let mut roster: Vec<_> = Format::ALL.map(|format| (format, false)).to_vec();
    roster.extend([(Format::Mp3, true), (Format::Aac, true)]);
    for (format, icy) in roster {
        let (places, chance) = (tree.places(), chance.fork());
        let encoder = std::sync::Arc::clone(&encoders[&format]);
        trials.spawn(async move {
            let trial = Trial::start(places, format, icy, chance).await;
            trial.run(|| encoder.sent().expect("a file")).await
        });
    }
    let mut lines = Vec::new();
    while let Some(line) = trials.join_next().await {
        lines.push(line.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())));
    }
    drop(titles);
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    let matrix = matrix(&lines);
    eprintln!("{matrix}");
    let file = format!("{}/{name}.txt", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(file, format!("\n{name}{matrix}")).expect("a file");
    lines.iter().for_each(Line::check);
}
