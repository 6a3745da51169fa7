//! What the kernel says of this process.

use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use rustix::process::{Resource, getrlimit};

use super::names::{BYTES, Names, SECONDS};
use icecast_ext_delivery::clock;

/// This process now. What cannot be read is zero.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(crate) struct Process {
    /// Bytes.
    pub(crate) resident_bytes: u64,
    pub(crate) open_fds: u64,
    /// Zero: no limit.
    pub(crate) max_fds: u64,
    /// User and system.
    pub(crate) cpu_seconds: f64,
    pub(crate) threads: u64,
}

impl Process {
    pub(crate) fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name in parentheses may hold anything; what follows it are numbers.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        let number = |index: usize| -> u64 {
            fields
                .get(index)
                .and_then(|text| text.parse().ok())
                .unwrap_or(0)
        };
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        let cpu = Duration::from_millis((number(11) + number(12)).saturating_mul(1000) / ticks);
        Self {
            resident_bytes: number(21).saturating_mul(page),
            open_fds: std::fs::read_dir("/proc/self/fd").map_or(0, |fds| fds.count() as u64),
            max_fds: getrlimit(Resource::Nofile).current.unwrap_or(0),
            cpu_seconds: cpu.as_secs_f64(),
            threads: number(17),
        }
    }
}

/// Tells metrics of this process, which started at so many ms since 1970.
#[derive(Debug)]
pub(super) struct Since(pub(super) u64);

impl Collector for Since {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut names = Names(encoder);
        let now = Process::now();
        let cpu = "User and system time";
        let mut family = names
            .0
            .encode_descriptor("cpu", cpu, SECONDS, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, u64>(&now.cpu_seconds, None)?;
        for (name, help, unit, value) in [
            (
                "resident_memory",
                "Resident memory",
                BYTES,
                now.resident_bytes as f64,
            ),
            ("open_fds", "Open descriptors", None, now.open_fds as f64),
            (
                "max_fds",
                "Descriptors that may be open",
                None,
                now.max_fds as f64,
            ),
            ("threads", "Threads", None, now.threads as f64),
            (
                "start_time",
                "When it started, since 1970",
                SECONDS,
                self.0 as f64 / 1000.0,
            ),
            (
                "uptime",
                "For how long it has run",
                SECONDS,
                clock::now_ms().saturating_sub(self.0) as f64 / 1000.0,
            ),
        ] {
            names.gauge(name, help, unit)?.gauge(&[], value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_has_memory_descriptors_and_threads() {
        let now = super::Process::now();
        assert!(
            now.resident_bytes > 100_000 && now.open_fds > 2 && now.threads > 0,
            "{now:?}"
        );
    }
}
