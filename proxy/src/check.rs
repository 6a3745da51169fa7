//! `icecast-ext check`: reads the configuration, asks everybody that it names, and says what will become of each mount and
//! what is wrong. It changes nothing; each mount is asked as a listener is, for less than a second.

mod ask;
mod machine;
mod mounts;
mod relays;
mod report;
mod upstream;

use std::path::PathBuf;

use anyhow::Context as _;

use crate::config::{Admission, Config, Options, Place, Problem};
use crate::upstream::Origin;
use report::{Report, Section};

/// Flags of `check`.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Arguments {
    /// The TOML file that `serve` is to have
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for the command's own help")]
    pub options: Options,
}

/// Prints what is found to standard output; true if nothing is an error.
pub async fn run(arguments: Arguments) -> anyhow::Result<bool> {
    use std::io::Write as _;
    let mut report = look(&arguments).await?;
    report.count();
    let text = if arguments.json {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        report.text()
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("writing the report")?;
    Ok(report.errors == 0)
}

async fn look(arguments: &Arguments) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut section = Section::new("configuration");
    let file = arguments
        .config
        .as_ref()
        .map_or("flags".to_owned(), |file| file.display().to_string());
    let config = match Config::new(arguments.options.clone(), arguments.config.as_deref()) {
        Ok(config) => config,
        Err(problems) => {
            for problem in &problems.0 {
                section.error(about(problem), &problem.what, &problem.remedy);
            }
            report.sections.push(section);
            return Ok(report);
        }
    };
    let named = config.mounts.len();
    section.ok(
        &file,
        format!(
            "is a configuration; {named} mount{} with options of their own",
            if named == 1 { "" } else { "s" }
        ),
    );
    for warning in &config.warnings {
        section.warn(about(warning), &warning.what, &warning.remedy);
    }
    report.sections.push(section);

    let mut section = Section::new("upstream");
    // The mounts are those of the first that answers, as they are for who listens.
    let (mut origin, mut seen) = (None, upstream::Upstream::default());
    for server in &config.upstreams {
        let via = format!("1.1 {}", crate::random_id()?);
        let next = Origin::new(server.clone(), via)?;
        let said = upstream::look(&next, &mut section).await;
        if seen.answers {
            upstream::compare(&server.base(), &seen, &said, &mut section);
        } else {
            (origin, seen) = (Some(next), said);
        }
    }
    if config.upstreams.is_empty() {
        section.ok(
            "none",
            "this is an origin: sources come here, with source-password",
        );
    }
    let mounts = mounts::look(&config, origin.as_ref(), &seen, &mut section).await;
    report.sections.push(section);
    report.mounts = mounts;

    let mut section = Section::new("relays");
    let served = report.mounts.iter().filter(|mount| {
        mount.admission == Admission::Fanout && seen.mounts.contains_key(&mount.mount)
    });
    let served: Vec<&str> = served.map(|mount| mount.mount.as_str()).collect();
    relays::look(
        &config,
        origin.as_ref().filter(|_| seen.answers),
        &served,
        &mut section,
    )
    .await;
    report.sections.push(section);

    let mut section = Section::new("addresses");
    machine::ports(&config, &mut section);
    machine::certificates(&config, &mut section);
    report.sections.push(section);

    let mut section = Section::new("this machine");
    machine::files(&config, &mut section);
    machine::process(&config, &mut section);
    report.sections.push(section);
    Ok(report)
}

/// Where a problem is, and of which option.
fn about(problem: &Problem) -> String {
    match &problem.place {
        Place::Line(file, line) => format!("{}:{line} {}", file.display(), problem.option),
        Place::File(file) => file.display().to_string(),
        Place::Flag(flag) => flag.clone(),
        Place::Nowhere => problem.option.clone(),
    }
}
