//! Every option there is: its name, what it takes, what it is for. Read from the flags' own help, so that help, errors and
//! the operators' page say the same.

use clap::{Args, Command};

use super::options::{CertificateFiles, LimitsTable, MountTable, Options};

/// An option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// `certificate`, `mount` or `limits`; none at the top.
    pub table: Option<&'static str>,
    /// As in the file.
    pub name: String,
    /// What it takes, such as `SECONDS`.
    pub takes: String,
    /// Several values, as a list.
    pub many: bool,
    /// One sentence, and the default.
    pub help: String,
}

/// Tables in the file.
pub(super) const TABLES: [&str; 3] = ["certificate", "mount", "limits"];

fn of(table: Option<&'static str>, command: &Command) -> Vec<Known> {
    let known = |argument: &clap::Arg| Known {
        table,
        name: argument.get_id().as_str().replace('_', "-"),
        takes: argument.get_value_names().unwrap_or_default().join(" "),
        many: matches!(argument.get_action(), clap::ArgAction::Append),
        help: argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default(),
    };
    command.get_arguments().map(known).collect()
}

/// All of them, in the order of `--help`.
#[must_use]
pub fn known() -> Vec<Known> {
    let mut all = of(None, &Options::augment_args(Command::new("")));
    all.extend(of(
        Some("certificate"),
        &CertificateFiles::augment_args(Command::new("")),
    ));
    all.extend(of(
        Some("mount"),
        &MountTable::augment_args(Command::new("")),
    ));
    all.extend(of(
        Some("limits"),
        &LimitsTable::augment_args(Command::new("")),
    ));
    all
}

/// What an option is for; `path` as [`super::problem::Problem::option`] has it.
pub(super) fn help(path: &str) -> Option<String> {
    let table = TABLES
        .into_iter()
        .find(|table| path.starts_with(&format!("{table}.")));
    let name = if table.is_some() {
        path.rsplit('.').next()?
    } else {
        path
    };
    let found = known()
        .into_iter()
        .find(|known| known.table == table && known.name == name)?;
    Some(format!("{}: {}", found.takes, found.help))
}

/// Which of `names` was meant, if one is close.
pub(super) fn close_to<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.replace('_', "-").to_lowercase();
    let rated = names.map(|name| (strsim::jaro_winkler(&typed, name), name));
    let best = rated.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 > 0.8).then_some(best.1)
}
