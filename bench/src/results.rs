//! All runs of all scenarios, as they are kept.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::figures::Figures;
use crate::{picture, report};

const FILE: &str = "results.json";
const PICTURE: &str = "cpu.svg";

/// Where it is all written.
#[derive(Debug)]
pub(crate) struct Place {
    folder: PathBuf,
    pub(crate) page: PathBuf,
    /// As the page has it.
    picture: &'static str,
}

impl Place {
    /// Everything in one folder.
    pub(crate) fn folder(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            page: folder.join("BENCHMARKS.md"),
            picture: PICTURE,
        }
    }

    /// Where this was built from.
    pub(crate) fn repository() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self {
            folder: here.join("results"),
            page: here.with_file_name("BENCHMARKS.md"),
            picture: "bench/results/cpu.svg",
        }
    }
}

/// Under what the figures were taken.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Conditions {
    pub(crate) small: bool,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) kernel: String,
    pub(crate) descriptors: u64,
    pub(crate) versions: Vec<String>,
}

impl Conditions {
    pub(crate) fn of_now(small: bool, rounds: usize, seconds: u64, descriptors: u64) -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = cpu.lines().find_map(|line| line.strip_prefix("model name"));
        let name = name
            .unwrap_or_default()
            .trim_start_matches(['\t', ' ', ':']);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            small,
            rounds,
            seconds,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            processor: name.to_owned(),
            kernel: kernel.trim().to_owned(),
            descriptors,
            versions: [
                version("icecast2", "-v"),
                version("nginx", "-v"),
                Some(format!("icecast-ext {}", env!("CARGO_PKG_VERSION"))),
            ]
            .into_iter()
            .flatten()
            .collect(),
        }
    }
}

fn version(program: &str, flag: &str) -> Option<String> {
    let said = std::process::Command::new(program)
        .arg(flag)
        .output()
        .ok()?;
    let text = [said.stdout, said.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().next()?;
    Some(line.trim_start_matches("nginx version: ").to_owned())
}

/// What one contender has shown, round by round.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) label: String,
    pub(crate) rounds: Vec<Figures>,
    /// Why there is nothing.
    pub(crate) left_out: Option<String>,
}

impl Shown {
    pub(crate) fn middle(&self) -> Option<Figures> {
        Figures::middle(self.rounds.clone())
    }
}

/// A scenario's contenders.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) contenders: Vec<Shown>,
}

/// Everything.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) conditions: Conditions,
    pub(crate) scenarios: Vec<Measured>,
}

impl Results {
    pub(crate) fn read(place: &Place) -> Result<Self> {
        let file = place.folder.join(FILE);
        let text = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is none of ours", file.display()))
    }

    /// Writes all that is made of them.
    pub(crate) fn write(&self, place: &Place) -> Result<()> {
        std::fs::create_dir_all(&place.folder)?;
        let files = [
            (place.folder.join(FILE), serde_json::to_string(self)? + "\n"),
            (place.page.clone(), report::markdown(self, place.picture)),
            (place.folder.join(PICTURE), picture::draw(self)),
        ];
        for (file, text) in files {
            std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        }
        Ok(())
    }

    /// A scenario is measured anew.
    pub(crate) fn begin(&mut self, name: &str, title: &str) {
        let new = Measured {
            name: name.to_owned(),
            title: title.to_owned(),
            contenders: Vec::new(),
        };
        match self.scenarios.iter_mut().find(|one| one.name == name) {
            Some(old) => *old = new,
            None => self.scenarios.push(new),
        }
    }

    fn shown(&mut self, name: &str, label: &str) -> Option<&mut Shown> {
        let scenario = self.scenarios.iter_mut().find(|one| one.name == name)?;
        let all = &mut scenario.contenders;
        if let Some(at) = all.iter().position(|one| one.label == label) {
            return all.get_mut(at);
        }
        all.push(Shown {
            label: label.to_owned(),
            rounds: Vec::new(),
            left_out: None,
        });
        all.last_mut()
    }

    pub(crate) fn add(&mut self, name: &str, label: &str, figures: Figures) {
        if let Some(shown) = self.shown(name, label) {
            shown.rounds.push(figures);
        }
    }

    pub(crate) fn left_out(&mut self, name: &str, label: &str, package: &str) {
        if let Some(shown) = self.shown(name, label) {
            shown.left_out = Some(format!("not installed ({package})"));
        }
    }

    /// The middle run of one contender.
    pub(crate) fn of(&self, name: &str, label: &str) -> Option<Figures> {
        let scenario = self.scenarios.iter().find(|one| one.name == name)?;
        let label = |one: &&Shown| one.label == label;
        scenario.contenders.iter().find(label)?.middle()
    }

    /// What no run may show: wrong bytes from anybody, and losses from us.
    pub(crate) fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for scenario in &self.scenarios {
            for Shown { label, rounds, .. } in &scenario.contenders {
                for run in rounds {
                    let ours = !["Icecast alone", "nginx + Icecast"].contains(&label.as_str());
                    let lost = run.refused + run.dropped + run.sources_lost;
                    if run.wrong > 0 || (ours && lost > 0) {
                        broken.push(format!(
                            "{}, {label}: {} wrong, {} dropped, {} refused, {} sources lost: {}",
                            scenario.name,
                            run.wrong,
                            run.dropped,
                            run.refused,
                            run.sources_lost,
                            run.sample.as_deref().unwrap_or("?")
                        ));
                    }
                }
            }
        }
        broken
    }
}
