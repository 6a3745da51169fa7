//! What a run has shown, and the middle of several runs.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::crowd::Tally;
use crate::process::{Look, Process};

/// Of a distribution, in milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Quantiles {
    /// Of microseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            p50: at(0.5),
            p99: at(0.99),
            max: histogram.max() as f64 / 1000.0,
        }
    }
}

/// CPU of one process, in cores.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Share {
    pub(crate) name: String,
    pub(crate) cores: f64,
}

/// One run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Listeners that were asked for, and those that heard to the end.
    pub(crate) listeners: u64,
    pub(crate) hearing: u64,
    /// Cores that all processes took together, while it was measured.
    pub(crate) cores: f64,
    /// The same, by process.
    pub(crate) shares: Vec<Share>,
    /// Cores that the load itself took, with the source.
    pub(crate) load: f64,
    /// Audio bytes a second that all listeners heard, each checked.
    pub(crate) rate: f64,
    /// Segments with data a second and listener: sends, if each fits into one.
    pub(crate) sends: f64,
    /// Bytes a second that all sources send.
    pub(crate) buffers: u64,
    /// KiB that resident memory grew by from the first listeners to the last, a listener, without what the sources sent
    /// meanwhile.
    pub(crate) rss_each: f64,
    /// KiB resident at the end.
    pub(crate) rss: u64,
    /// KiB that the sources had sent by then.
    pub(crate) held: u64,
    pub(crate) threads: u64,
    /// From `connect` to the first byte of audio.
    pub(crate) first_byte: Quantiles,
    /// Age of the oldest byte of each read.
    pub(crate) oldest: Quantiles,
    /// Age of the newest.
    pub(crate) newest: Quantiles,
    /// Seconds until all were back.
    pub(crate) storm_took: f64,
    pub(crate) refused: u64,
    pub(crate) dropped: u64,
    /// Of those that read slowly, or nothing.
    pub(crate) slow_dropped: u64,
    /// Listeners that missed a byte, or got one twice, or a wrong one.
    pub(crate) wrong: u64,
    pub(crate) sources_lost: u64,
    /// Why, for one of those above.
    pub(crate) sample: Option<String>,
}

impl Figures {
    /// `looks`: when the first listeners were there, and at the begin and the end of what is measured. `now`: what was heard
    /// between these two.
    pub(crate) fn take(&mut self, processes: &[Process], looks: [&Look; 3], now: &Tally) {
        let [before, start, end] = looks;
        let seconds = (end.at - start.at).as_secs_f64();
        let listeners = self.listeners as f64;
        for (index, process) in processes.iter().enumerate() {
            let cores = (end.usage[index].cpu - start.usage[index].cpu) / seconds;
            self.cores += cores;
            match self
                .shares
                .iter_mut()
                .find(|share| share.name == process.name)
            {
                Some(share) => share.cores += cores,
                None => self.shares.push(Share {
                    name: process.name.to_owned(),
                    cores,
                }),
            }
        }
        let rss = |look: &Look| look.usage.iter().map(|usage| usage.rss).sum::<u64>();
        self.rss = rss(end);
        let held = match processes.first() {
            // Only a back buffer grows by all that comes, until it is full.
            Some(first) if first.name == "icecast-ext" => {
                self.buffers as f64 * (end.at - before.at).as_secs_f64() / 1024.0
            }
            _ => 0.0,
        };
        let grown = rss(end) as f64 - rss(before) as f64 - held;
        self.rss_each = grown.max(0.0) / listeners;
        self.threads = end.usage.first().map_or(0, |usage| usage.threads);
        let segments = end.segments.saturating_sub(start.segments) as f64;
        self.sends = segments / seconds / listeners;
        self.load = (end.own - start.own) / seconds;
        self.hearing = now.hearing;
        self.rate = now.bytes as f64 / seconds;
        self.oldest = Quantiles::of(&now.oldest);
        self.newest = Quantiles::of(&now.newest);
    }

    /// What went wrong since the first connection.
    pub(crate) fn failures(&mut self, all: &Tally) {
        self.refused = all.refused;
        self.dropped = all.dropped;
        self.slow_dropped = all.slow_dropped;
        self.wrong = all.wrong;
        self.sample.clone_from(&all.sample);
    }

    /// Percent of a core for a thousand listeners.
    pub(crate) fn percent(&self) -> f64 {
        self.cores * 100_000.0 / self.listeners as f64
    }

    /// Seconds of CPU for a gigabyte that was heard.
    pub(crate) fn per_gigabyte(&self) -> f64 {
        self.cores / (self.rate / 1e9)
    }

    /// Of one process.
    pub(crate) fn share(&self, name: &str) -> f64 {
        let found = self.shares.iter().find(|share| share.name == name);
        found.map_or(0.0, |share| share.cores)
    }

    /// The run in the middle by CPU; failures of all.
    pub(crate) fn middle(mut runs: Vec<Self>) -> Option<Self> {
        runs.sort_by(|a, b| a.cores.total_cmp(&b.cores));
        let mut middle = runs.get(runs.len() / 2)?.clone();
        let sum = |of: fn(&Self) -> u64| runs.iter().map(of).sum();
        middle.refused = sum(|run| run.refused);
        middle.dropped = sum(|run| run.dropped);
        middle.wrong = sum(|run| run.wrong);
        middle.sources_lost = sum(|run| run.sources_lost);
        middle.sample = runs.iter().find_map(|run| run.sample.clone());
        let mid = |of: fn(&Self) -> f64| {
            let mut all: Vec<f64> = runs.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        middle.rss_each = mid(|run| run.rss_each);
        middle.sends = mid(|run| run.sends);
        for (quantiles, of) in [
            (
                &mut middle.first_byte,
                (|run| run.first_byte) as fn(&Self) -> Quantiles,
            ),
            (&mut middle.oldest, |run| run.oldest),
            (&mut middle.newest, |run| run.newest),
        ] {
            let mid = |part: fn(Quantiles) -> f64| {
                let mut all: Vec<f64> = runs.iter().map(of).map(part).collect();
                all.sort_by(f64::total_cmp);
                all[all.len() / 2]
            };
            *quantiles = Quantiles {
                p50: mid(|q| q.p50),
                p99: mid(|q| q.p99),
                max: mid(|q| q.max),
            };
        }
        Some(middle)
    }
}
