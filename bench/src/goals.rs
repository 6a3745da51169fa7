//! What was to be reached, and what was.

use crate::figures::Figures;
use crate::results::Results;
use crate::scenario::{FLOOR, ICECAST, MODULE, NGINX, PROXY};

/// One goal.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) found: String,
    met: Option<bool>,
}

impl Goal {
    /// In one word.
    pub(crate) const fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "-",
        }
    }
}

/// All of them, as far as they were measured.
pub(crate) fn all(results: &Results) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut ratio = |what: &str, of: Option<f64>, most: f64| {
        goals.push(Goal {
            what: format!("{what}: at most {most}x"),
            found: of.map_or("not measured".to_owned(), |of| format!("{of:.2}x")),
            met: of.map(|of| of <= most),
        });
    };
    // By what was heard: a server that falls behind would look cheap.
    let cores = |name: &str, label: &str| results.of(name, label).map(|run| run.per_gigabyte());
    let by = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
    let proxy = |name: &str| {
        results
            .of(name, PROXY)
            .map(|run| run.per_gigabyte() * run.share("icecast-ext") / run.cores)
    };
    ratio(
        "CPU of proxy + Icecast against Icecast alone, 5000 x 128k, 250 ms",
        by(cores("fanout-5000", PROXY), cores("fanout-5000", ICECAST)),
        0.55,
    );
    ratio(
        "CPU of proxy + Icecast against one send a tick, 5000 x 128k, 250 ms",
        by(cores("fanout-5000", PROXY), cores("fanout-5000", FLOOR)),
        1.15,
    );
    ratio(
        "CPU of the proxy against one send a tick, 5000 x 128k, 250 ms",
        by(proxy("fanout-5000"), cores("fanout-5000", FLOOR)),
        1.15,
    );
    ratio(
        "CPU of proxy + Icecast against Icecast alone, 1000 x 1M, 100 ms",
        by(cores("fat", PROXY), cores("fat", ICECAST)),
        0.2,
    );
    ratio(
        "CPU of proxy + Icecast against nginx + Icecast, 1000 x 1M, 100 ms",
        by(cores("fat", PROXY), cores("fat", NGINX)),
        0.08,
    );
    ratio(
        "CPU of Icecast with the module against Icecast alone, 2000 x 128k, 250 ms",
        by(cores("module", MODULE), cores("module", ICECAST)),
        0.55,
    );
    ratio(
        "CPU of a mount with accounts, 1000 x 128k, proxy + Icecast against Icecast alone",
        by(
            cores("accounts", "proxy (shadow) + Icecast"),
            cores("accounts", ICECAST),
        ),
        2.0,
    );
    ratio(
        "CPU of titles for all of 5000 against plain",
        by(cores("titles", "Icy-MetaData: 1"), cores("titles", "plain")),
        1.15,
    );
    let newest = |label: &str| results.of("slow", label).map(|run| run.newest.p99);
    ratio(
        "Age of the newest byte, p99, of 3800 beside 1000 slow and 200 stuck listeners, against 5000 prompt ones",
        by(newest("some slow, some stuck"), newest("all prompt")),
        1.1,
    );
    let rss = |label: &str| results.of("slow", label).map(|run| run.rss as f64);
    ratio(
        "Memory with 1000 slow and 200 stuck among 5000 listeners, against 5000 prompt ones",
        by(rss("some slow, some stuck"), rss("all prompt")),
        1.1,
    );
    goals.push(decision());
    goals.push(tls(results));
    goals.push(most(results));
    goals.push(memory(results));
    goals.push(mounts(results));
    goals.extend(resumes(results));
    goals
}

/// Measured in process, by the micro-benchmarks.
fn decision() -> Goal {
    Goal {
        what: "Resume decision by offset, warm, in process: at most 1 us".to_owned(),
        found: "`cargo bench -p icecast-ext-core`: see Parts below".to_owned(),
        met: None,
    }
}

/// No goal: it is said what it costs.
fn tls(results: &Results) -> Goal {
    let both = results.of("tls", "plain").zip(results.of("tls", "TLS 1.3"));
    let found = both.map(|(plain, tls)| {
        format!(
            "{:.2}x the CPU of plain, {:.1} KiB a listener",
            tls.per_gigabyte() / plain.per_gigabyte(),
            tls.rss_each
        )
    });
    Goal {
        what: "TLS, 1000 x 128k".to_owned(),
        found: found.unwrap_or_else(|| "not measured".to_owned()),
        met: None,
    }
}

fn most(results: &Results) -> Goal {
    let run = results.of("most", PROXY);
    let whole = |run: &Figures| run.hearing == run.listeners && lost(run) == 0;
    Goal {
        what: "19,000 listeners x 128k on two cores, none dropped, no byte wrong".to_owned(),
        found: run.as_ref().map_or("not measured".to_owned(), |run| {
            format!(
                "{} of {} heard to the end, {} refused, dropped or wrong",
                run.hearing,
                run.listeners,
                lost(run)
            )
        }),
        met: run
            .as_ref()
            .map(|run| whole(run) && run.listeners >= 19_000),
    }
}

fn memory(results: &Results) -> Goal {
    let run = results.of("most", PROXY);
    Goal {
        what: "RSS a listener, 19,000 of them, at most 0.5 KiB".to_owned(),
        found: run.as_ref().map_or("not measured".to_owned(), |run| {
            format!("{:.2} KiB", run.rss_each)
        }),
        met: run.map(|run| run.rss_each <= 0.5),
    }
}

const MOUNTS: f64 = 1000.0;

fn mounts(results: &Results) -> Goal {
    let scenario = results.scenarios.iter().find(|one| one.name == "mounts");
    let run = |index: usize| scenario.and_then(|one| one.contenders.get(index)?.middle());
    let both = run(0).zip(run(1));
    let mib = |kib: f64| kib / 1024.0;
    // What one mount's process takes with as many listeners is there anyway.
    let split = |one: &Figures, many: &Figures| {
        let windows = many.held as f64 - one.held as f64;
        (windows, many.rss as f64 - one.rss as f64)
    };
    Goal {
        what: "Memory of 1000 mounts beyond their windows: at most 64 KiB a mount, and no thread".to_owned(),
        found: both.as_ref().map_or("not measured".to_owned(), |(one, many)| {
            let (windows, grown) = split(one, many);
            format!(
                "{:.0} MiB more than one mount with as many listeners, {:.0} MiB of it in windows: {:.0} KiB a mount; {} threads, as with one",
                mib(grown),
                mib(windows),
                (grown - windows) / MOUNTS,
                many.threads
            )
        }),
        met: both.map(|(one, many)| {
            let (windows, grown) = split(&one, &many);
            (grown - windows) / MOUNTS <= 64.0 && one.threads == many.threads
        }),
    }
}

fn resumes(results: &Results) -> Vec<Goal> {
    let scenario = results.scenarios.iter().find(|one| one.name == "resume");
    let run = |index: usize| scenario.and_then(|one| one.contenders.get(index)?.middle());
    let (calm, storm) = (run(0), run(1));
    let found = |run: &Option<Figures>| {
        run.as_ref().map_or("not measured".to_owned(), |run| {
            format!(
                "p50 {:.2} ms, p99 {:.1} ms, {} refused, dropped or wrong",
                run.first_byte.p50,
                run.first_byte.p99,
                lost(run)
            )
        })
    };
    vec![
        Goal {
            what: "First byte of a resume, 100 a second: p50 at most 1 ms, p99 at most 5 ms"
                .to_owned(),
            found: found(&calm),
            met: calm.map(|run| {
                run.first_byte.p50 <= 1.0 && run.first_byte.p99 <= 5.0 && lost(&run) == 0
            }),
        },
        Goal {
            what:
                "First byte of a resume, 10,000 within a second: p99 at most 250 ms, none refused"
                    .to_owned(),
            found: found(&storm),
            met: storm.map(|run| run.first_byte.p99 <= 250.0 && lost(&run) == 0),
        },
    ]
}

const fn lost(run: &Figures) -> u64 {
    run.refused + run.dropped + run.wrong
}
