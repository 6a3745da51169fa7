//! What processes cost, as the kernel counts it.

use std::time::Instant;

use anyhow::{Context as _, Result};
use rustix::param::clock_ticks_per_second;

/// A process that is watched.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) name: &'static str,
    pub(crate) pid: u32,
}

/// What it has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Seconds of CPU, user and system.
    pub(crate) cpu: f64,
    /// KiB of resident memory.
    pub(crate) rss: u64,
    pub(crate) threads: u64,
}

impl Process {
    /// What it has used until now.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let Self { name, pid } = self;
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{pid}/{file}"))
                .with_context(|| format!("{name} ({pid}) has ended"))
        };
        let stat = read("stat")?;
        // The name may hold anything but ends at the last parenthesis; utime and stime are fields 14 and 15.
        let (_, rest) = stat.rsplit_once(") ").context("/proc/PID/stat")?;
        let ticks: u64 = rest
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        let status = read("status")?;
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|value| value.split_whitespace().next())
                .and_then(|value| value.parse().ok())
                .unwrap_or(0)
        };
        Ok(Usage {
            cpu: ticks as f64 / clock_ticks_per_second() as f64,
            rss: field("VmRSS:"),
            threads: field("Threads:"),
        })
    }
}

/// The children of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    listed
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

/// Segments with data that this machine's TCP has sent, at first try.
pub(crate) fn segments() -> u64 {
    let text = std::fs::read_to_string("/proc/net/netstat").unwrap_or_default();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return 0;
    };
    names
        .split(' ')
        .zip(values.split(' '))
        .find(|(name, _)| *name == "TCPOrigDataSent")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0)
}

/// All that is watched at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) at: Instant,
    pub(crate) segments: u64,
    /// Seconds of CPU of this process, which makes the load.
    pub(crate) own: f64,
    /// In the order of the processes.
    pub(crate) usage: Vec<Usage>,
}

impl Look {
    /// Looks now.
    pub(crate) fn at(processes: &[Process]) -> Result<Self> {
        let own = Process {
            name: "the load",
            pid: std::process::id(),
        };
        Ok(Self {
            at: Instant::now(),
            segments: segments(),
            own: own.usage()?.cpu,
            usage: processes
                .iter()
                .map(Process::usage)
                .collect::<Result<_>>()?,
        })
    }
}
