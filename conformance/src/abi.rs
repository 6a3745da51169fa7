//! Judging a shared object that has the C interface of the extension (`icecast_ext.h`, ABI 1): what it exports and needs, and what it
//! does when it is called as it must not be. Each case that calls it does so in a process of its own.
//!
//! Where things are: `names` is what the header says, `elf` reads the file, `library` calls into it, `structs` are the header's,
//! `calls` the cases that call, and this file the others.

mod calls;
mod elf;
mod library;
mod names;
mod structs;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use icecast_ext_spec::{Level, Requirement};
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::timeout;

use crate::case::{Case, Stop, Verdict};
use crate::exchange::Record;
use crate::profile::{Applies, Profile};
use crate::report::{Report, Sentences};
use crate::runner::{self, Options, try_all};

pub use names::{ABI, NAMES, RULES, Rule};

/// Where the interface can be read.
pub const HEADER: &str = "ffi/embed/icecast_ext.h";
/// How a case's process ends if the library lacks a name of the header.
const NO_SUCH_NAME: i32 = 3;
/// How long a case's process may take.
const TIME: Duration = Duration::from_secs(30);

/// What a case may do.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The suite's own program.
    suite: Arc<PathBuf>,
    library: Arc<PathBuf>,
}

/// How a case that called the library has ended: what its process says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    Pass,
    Fail { expected: String, observed: String },
    Skip(String),
    Error(String),
}

impl From<Verdict> for Said {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(()) => Self::Pass,
            Err(Stop::Fail { expected, observed }) => Self::Fail { expected, observed },
            Err(Stop::Skip(why)) => Self::Skip(why),
            Err(Stop::Error(why)) => Self::Error(why),
        }
    }
}

impl From<Said> for Verdict {
    fn from(said: Said) -> Self {
        match said {
            Said::Pass => Ok(()),
            Said::Fail { expected, observed } => Err(Stop::Fail { expected, observed }),
            Said::Skip(why) => Err(Stop::Skip(why)),
            Said::Error(why) => Err(Stop::Error(why)),
        }
    }
}

const FILE_CASES: &[Case<Scene>] = &[
    Case {
        id: "abi/exports",
        requirement: "C-EXPORTS",
        does: "looks for each function of the header among the symbols",
        run: |s| Box::pin(async move { exports(&s) }),
    },
    Case {
        id: "abi/nothing-else",
        requirement: "C-ALONE",
        does: "looks for symbols that the header does not name",
        run: |s| Box::pin(async move { nothing_else(&s) }),
    },
    Case {
        id: "abi/needs",
        requirement: "C-NEEDS",
        does: "reads which libraries the loader has to find",
        run: |s| Box::pin(async move { needs(&s) }),
    },
];

/// All cases, in the order in which reports have them.
#[must_use]
pub fn cases() -> Vec<Case<Scene>> {
    [FILE_CASES, calls::CASES].concat()
}

/// The header's rules, as reports want sentences.
#[must_use]
pub fn sentences() -> Sentences {
    let sentence = |rule: &Rule| Requirement {
        id: rule.id.to_owned(),
        level: Level::Must,
        anchor: String::new(),
        text: rule.text.to_owned(),
    };
    RULES
        .iter()
        .map(|rule| (rule.id.to_owned(), sentence(rule)))
        .collect()
}

/// Judges a library. `suite` is the `icecast-ext-conformance` program: cases run in processes of it.
pub async fn run(suite: &Path, library: &Path, cases: &[Case<Scene>], options: &Options) -> Report {
    let mut report = Report {
        suite: env!("CARGO_PKG_VERSION").to_owned(),
        target: library.display().to_string(),
        profiles: vec![Applies {
            profile: Profile::Abi,
            applies: true,
            why: "a shared object was given".to_owned(),
        }],
        interrupted: false,
        error: None,
        cases: Vec::new(),
    };
    if let Err(error) = elf::read(library) {
        report.error = Some(format!("{}: {error:#}", library.display()));
        return report;
    }
    let scene = Scene {
        suite: Arc::new(suite.to_owned()),
        library: Arc::new(library.to_owned()),
    };
    let begin = || std::future::ready(scene.clone());
    try_all(&mut report, cases, &sentences(), options, begin).await;
    report
}

/// A case in the process that was started for it: its verdict as JSON.
///
/// # Errors
/// If there is no such case, or no such library.
pub fn inside(case: &str, library: &Path) -> anyhow::Result<String> {
    let Some(call) = calls::named(case) else {
        anyhow::bail!("no case {case}");
    };
    let verdict = match library::Library::load(library) {
        Ok(library) => call(&library),
        Err(error) => Err(Stop::fail(
            "a library that can be loaded",
            error.to_string(),
        )),
    };
    Ok(serde_json::to_string(&Said::from(verdict))?)
}

impl Scene {
    fn names(&self) -> Result<elf::Names, Stop> {
        elf::read(&self.library).map_err(|error| Stop::Error(format!("{error:#}")))
    }

    /// Runs a case in a process of its own.
    async fn inside(&self, case: &'static str) -> Verdict {
        let failed = |why: &dyn std::fmt::Display| Stop::Error(format!("its process: {why}"));
        let child = Command::new(&*self.suite)
            .arg("abi")
            .arg("--inside")
            .arg(case)
            .arg(&*self.library)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let ended = timeout(TIME, child)
            .await
            .map_err(|_| {
                Stop::fail(
                    "calls that return",
                    format!("none for {} s", TIME.as_secs()),
                )
            })?
            .map_err(|error| failed(&error))?;
        if ended.status.code() == Some(NO_SUCH_NAME) {
            return Err(Stop::blocked("C-EXPORTS", "a function is not there"));
        }
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            let last = said.lines().last().unwrap_or_default().to_owned();
            return Err(Stop::fail(
                "a process that survives",
                format!("{} {last}", ended.status).trim_end().to_owned(),
            ));
        }
        let said: Said = serde_json::from_slice(&ended.stdout).map_err(|error| failed(&error))?;
        said.into()
    }
}

impl runner::Scene for Scene {
    fn records(&self) -> Vec<Record> {
        Vec::new()
    }
}

fn header_names() -> BTreeSet<String> {
    NAMES.iter().map(|name| (*name).to_owned()).collect()
}

/// Fails if there are any.
fn none(names: Vec<&String>, expected: &str) -> Verdict {
    let names: Vec<_> = names.into_iter().take(20).map(String::as_str).collect();
    match names.is_empty() {
        true => Ok(()),
        false => Err(Stop::fail(expected, names.join(", "))),
    }
}

fn exports(scene: &Scene) -> Verdict {
    let exported = scene.names()?.exported;
    let missing = header_names();
    let missing = missing.difference(&exported).collect();
    none(missing, "all functions of the header; these are not there")
}

fn nothing_else(scene: &Scene) -> Verdict {
    let exported = scene.names()?.exported;
    let named = header_names();
    none(
        exported.difference(&named).collect(),
        "no other symbol than the header's",
    )
}

fn needs(scene: &Scene) -> Verdict {
    let needed = scene.names()?.needed;
    let system = ["libc.", "libm.", "ld-", "ld."];
    let other = needed
        .iter()
        .filter(|name| !system.iter().any(|start| name.starts_with(start)))
        .collect();
    none(other, "no other library than libc, libm and the loader")
}
