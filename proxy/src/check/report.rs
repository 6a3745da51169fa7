//! What was found, as lines for people and as JSON for programs.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    Warn,
    Error,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// What was looked at: an option, a file, an address.
    pub(super) about: String,
    pub(super) says: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

/// Findings under one heading.
#[derive(Debug, Serialize)]
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) findings: Vec<Finding>,
}

impl Section {
    pub(super) fn new(title: &'static str) -> Self {
        let findings = Vec::new();
        Self { title, findings }
    }

    fn push(&mut self, level: Level, about: &str, says: String, remedy: &str) {
        self.findings.push(Finding {
            level,
            about: about.to_owned(),
            says,
            remedy: (!remedy.is_empty()).then(|| remedy.to_owned()),
        });
    }

    pub(super) fn ok(&mut self, about: impl AsRef<str>, says: impl Into<String>) {
        self.push(Level::Ok, about.as_ref(), says.into(), "");
    }

    pub(super) fn warn(
        &mut self,
        about: impl AsRef<str>,
        says: impl Into<String>,
        remedy: impl AsRef<str>,
    ) {
        self.push(Level::Warn, about.as_ref(), says.into(), remedy.as_ref());
    }

    pub(super) fn error(
        &mut self,
        about: impl AsRef<str>,
        says: impl Into<String>,
        remedy: impl AsRef<str>,
    ) {
        self.push(Level::Error, about.as_ref(), says.into(), remedy.as_ref());
    }
}

/// What becomes of a mount.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct MountReport {
    pub(super) mount: String,
    /// `fanout`, `verdict`, `shadow` or `tunnel`.
    pub(super) admission: crate::config::Admission,
    pub(super) why: String,
    pub(super) window_seconds: u64,
    /// At the mount's rate.
    pub(super) window_bytes: u64,
    pub(super) burst_bytes: u64,
    /// As the upstream says it; otherwise 128 000 is reckoned with.
    pub(super) bits_per_second: Option<u64>,
    pub(super) listeners_notice: &'static str,
    pub(super) findings: Vec<Finding>,
}

/// All of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) errors: usize,
    pub(super) warnings: usize,
    pub(super) sections: Vec<Section>,
    pub(super) mounts: Vec<MountReport>,
}

/// Names and titles come from strangers: nothing of them moves a cursor.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

impl Report {
    /// Counts what is wrong.
    pub(super) fn count(&mut self) {
        let in_sections = self.sections.iter().flat_map(|section| &section.findings);
        let all = in_sections.chain(self.mounts.iter().flat_map(|mount| &mount.findings));
        let levels: Vec<Level> = all.map(|finding| finding.level).collect();
        let of = |level| levels.iter().filter(|other| **other == level).count();
        self.errors = of(Level::Error);
        self.warnings = of(Level::Warn);
    }

    /// For a terminal, or a file.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for section in &self.sections {
            if section.findings.is_empty() {
                continue;
            }
            out.push_str(&format!("{}\n", section.title));
            findings(&mut out, &section.findings, "  ");
        }
        if !self.mounts.is_empty() {
            out.push_str("mounts\n");
        }
        for mount in &self.mounts {
            let admission = serde_json::to_value(mount.admission).unwrap_or_default();
            let admission = admission.as_str().unwrap_or_default();
            out.push_str(&format!("  {}\n", plain(&mount.mount)));
            out.push_str(&format!(
                "    admission  {admission}: {}\n",
                plain(&mount.why)
            ));
            if admission != "tunnel" {
                let rate = mount
                    .bits_per_second
                    .map_or("128 kbit/s, assumed".to_owned(), |bits| {
                        format!("{} kbit/s", bits / 1000)
                    });
                let per_second = mount.bits_per_second.unwrap_or(128_000).max(8) / 8;
                out.push_str(&format!(
                    "    window     {} s, about {} at {rate}\n    burst      {} bytes, {:.1} s\n",
                    mount.window_seconds,
                    mebibytes(mount.window_bytes),
                    mount.burst_bytes,
                    mount.burst_bytes as f64 / per_second as f64,
                ));
            }
            out.push_str(&format!("    listeners  {}\n", mount.listeners_notice));
            findings(&mut out, &mount.findings, "    ");
        }
        let plural = |count: usize, what: &str| {
            format!("{count} {what}{}", if count == 1 { "" } else { "s" })
        };
        out.push_str(&format!(
            "{}, {}\n",
            plural(self.errors, "error"),
            plural(self.warnings, "warning")
        ));
        out
    }
}

fn findings(out: &mut String, all: &[Finding], indent: &str) {
    let width = all
        .iter()
        .map(|finding| finding.about.chars().count())
        .max()
        .unwrap_or(0)
        .min(40);
    for finding in all {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Error => "ERROR",
        };
        let about = plain(&finding.about);
        out.push_str(&format!(
            "{indent}{level:<6} {about:<width$}  {}\n",
            plain(&finding.says)
        ));
        if let Some(remedy) = &finding.remedy {
            out.push_str(&format!(
                "{indent}       {:width$}  -> {}\n",
                "",
                plain(remedy)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_on_their_line() {
        let mut section = Section::new("upstream");
        section.error("a\nb", "\x1b[2J", "c\r\n\0d");
        let mut report = Report {
            sections: vec![section],
            ..Report::default()
        };
        report.count();
        let text = report.text();
        assert!(!text.contains(['\x1b', '\r', '\0']), "{text:?}");
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.ends_with("1 error, 0 warnings\n"), "{text}");
    }
}
