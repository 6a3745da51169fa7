//! Judging a client: the suite is the server. It serves, cuts, refuses, moves and lies; the client is a command, which writes the
//! audio to its standard output and what it loses to standard error. What it asks for is seen in its requests.
//!
//! Where things are: `scene` is what a case may do, `host` the servers, `process` the client, `play` the course that most
//! cases share, `cases` the cases.

mod cases;
mod host;
mod play;
mod process;
mod scene;

use std::sync::Arc;

use crate::case::Case;
use crate::profile::{Applies, Profile};
use crate::report::{Report, sentences};
use crate::runner::{Options, try_all};

pub use cases::all as cases;
pub use scene::Scene;

/// The first relay, in a command.
pub const FIRST: &str = "{url}";
/// The second relay: left out, with the argument that consists of it, where a case has one relay only.
pub const SECOND: &str = "{url2}";
/// A file with the certificate of the suite's `https` servers (PEM), which stands in `SSL_CERT_FILE`, too.
pub const TRUST: &str = "{ca}";

/// Judges a client, started by a command in which [`FIRST`] stands.
///
/// # Errors
/// If the command has no [`FIRST`], or the suite cannot make the certificate of its servers.
pub async fn run(
    command: &[String],
    cases: &[Case<Scene>],
    options: &Options,
) -> anyhow::Result<Report> {
    let named = command.iter().skip(1).any(|word| word.contains(FIRST));
    anyhow::ensure!(named, "the command needs {FIRST} among its arguments");
    let mut report = Report {
        suite: env!("CARGO_PKG_VERSION").to_owned(),
        target: command.join(" "),
        profiles: vec![Applies {
            profile: Profile::Client,
            applies: true,
            why: "a command was given".to_owned(),
        }],
        interrupted: false,
        error: None,
        cases: Vec::new(),
    };
    let stage = Arc::new(scene::Stage::new(command.to_vec())?);
    let begin = || std::future::ready(Scene::new(Arc::clone(&stage)));
    try_all(&mut report, cases, &sentences(), options, begin).await;
    Ok(report)
}
