//! Open files: what clients may take of them, what is kept for the rest, and whether as many listeners fit as are configured.
//!
//! One pool for all that clients cause: their own connections, and those to the upstream that are made for one of them (a
//! verdict, a shadow, a tunnel, a document). What mounts have open makes it smaller. The rest is kept.

use std::collections::BTreeSet;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::config::{Admission, Config};

/// Kept for the delivery loops, the listening sockets, the admin address, the lists and logs, those who are turned away.
const KEPT: u64 = 512;
/// A mount's pull and its journal; at an origin, its journal and a second handle of its source while that is handed over.
pub(crate) const OF_A_MOUNT: u64 = 2;
/// Room for fewer listeners than this is a limit that nobody chose: shells give 1024.
const FEW: u64 = 3000;

/// An eighth at most: where little may be open, there are few loops and little to keep.
fn kept(most: u64) -> u64 {
    KEPT.min(most / 8)
}

/// A listener is a descriptor: as many as we may have.
pub(crate) fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let most = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => tracing::info!(?most, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it was"),
    }
}

/// How many may be open.
fn now() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many may be open once the limit has been raised.
pub(crate) fn possible() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// What clients and mounts may take together.
pub(crate) fn pool() -> u64 {
    let most = now();
    most - kept(most)
}

/// What is left then.
pub(crate) fn spare() -> u64 {
    kept(now())
}

/// Listeners for whom there is room if so many files may be open, when all mounts are served that are configured.
pub(crate) fn listeners(most: u64, config: &Config) -> u64 {
    (most - kept(most)).saturating_sub(of_mounts(config))
}

fn of_mounts(config: &Config) -> u64 {
    let served = |path: &&String| config.mount(path).admission != Some(Admission::Tunnel);
    let named = config.mounts.keys().chain(&config.always).filter(served);
    let count = named.collect::<BTreeSet<_>>().len().max(1);
    OF_A_MOUNT.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX))
}

/// The smallest limit that leaves room for so many.
fn needed(listeners: u64, config: &Config) -> u64 {
    let taken = listeners.saturating_add(of_mounts(config));
    // An eighth of it, rounded down, is kept.
    match taken.saturating_sub(1).saturating_mul(8) / 7 + 1 {
        most if kept(most) < KEPT => most,
        _ => taken.saturating_add(KEPT),
    }
}

/// If so many open files are too few for the listeners that are configured: what is wrong, and what to do.
pub(crate) fn shortage(most: u64, config: &Config) -> Option<(String, String)> {
    let each = config
        .mounts
        .values()
        .filter_map(|mount| mount.max_listeners);
    let (wanted, what) = match (config.limits.listeners, each.sum::<u64>()) {
        (0, 0) => (FEW, None),
        (0, together) => (together, Some("the max-listeners of all mounts are")),
        (all, _) => (all, Some("`listeners` of [limits] is")),
    };
    let room = listeners(most, config);
    if room >= wanted {
        return None;
    }
    let configured = what.map_or(String::new(), |what| format!(", and {what} {wanted}"));
    let says = format!(
        "{most} open files are allowed, which is room for {room} listeners (a shadowed one takes two){configured}"
    );
    let needed = needed(wanted, config);
    let remedy = format!(
        "allow {needed}: LimitNOFILE={needed} in the service's unit (the package's has 1048576), ulimit -n {needed} in a shell"
    );
    Some((says, remedy))
}

/// Says so, if so many are too few.
pub(crate) fn warn(config: &Config) {
    if let Some((says, remedy)) = shortage(now(), config) {
        tracing::warn!("{says}: {remedy}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Options;

    fn config(text: &str) -> Config {
        let text = format!("upstream = \"http://a:1\"\n{text}");
        Config::checked(Options::default(), toml::from_str(&text).unwrap()).unwrap()
    }

    #[test]
    fn nineteen_thousand_listeners_fit_into_twenty_thousand_files() {
        let one = config("always = [\"/live.mp3\"]");
        assert_eq!(listeners(20_000, &one), 19_486);
        assert_eq!(listeners(256, &one), 222);
        assert_eq!(listeners(0, &one), 0);
        assert!(listeners(u64::MAX, &one) > u64::MAX / 2);
    }

    #[test]
    fn what_is_asked_for_is_enough_and_one_less_is_not() {
        for listeners in [1, 100, 3500, 3583, 3584, 19_000, 1_000_000] {
            let config = config(&format!("[limits]\nlisteners = {listeners}\n"));
            let most = needed(listeners, &config);
            assert_eq!(shortage(most, &config), None, "{listeners}");
            let (says, remedy) = shortage(most - 1, &config).unwrap();
            assert!(says.contains(&format!("[limits] is {listeners}")), "{says}");
            assert!(remedy.contains(&format!("LimitNOFILE={most}")), "{remedy}");
        }
    }

    #[test]
    fn without_a_bound_for_all_those_of_the_mounts_count() {
        let config = config(
            "[mount.\"/a\"]\nmax-listeners = 300\n[mount.\"/b\"]\nmax-listeners = 400\n[mount.\"/c\"]\nadmission = \"tunnel\"\n",
        );
        let (says, _) = shortage(512, &config).unwrap();
        assert_eq!(
            says,
            "512 open files are allowed, which is room for 444 listeners (a shadowed one takes two), and the max-listeners of all mounts are 700"
        );
        assert_eq!(shortage(1024, &config), None);
    }

    #[test]
    fn what_a_shell_gives_is_few() {
        assert!(shortage(1024, &config("")).is_some());
        assert_eq!(shortage(4096, &config("")), None);
        assert_eq!(shortage(u64::MAX, &config("")), None);
    }
}
