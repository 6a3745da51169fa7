//! SIGHUP: flags and file are read again. What is wrong changes nothing; what can be changed is, for whoever comes next, and
//! nobody who listens is disturbed; what cannot be is said.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::signal::unix::Signal;

use crate::config::{Config, Options};
use crate::events::{What, short};
use crate::server::Server;
use crate::{descriptors, house, notify, origin};

/// Open or in use already: changing them takes a new process.
const FIXED: [&str; 10] = [
    "upstream",
    "upstream-ca",
    "upstream-admin",
    "peers",
    "peer-proof",
    "listen",
    "listen-tls",
    "state",
    "admin",
    "user",
];
/// Their values are never logged.
const SECRET: [&str; 4] = [
    "upstream-admin",
    "source-password",
    "admin-password",
    "pull-credentials",
];
/// Longest value in a line of the log, in characters.
const MAX_SHOWN: usize = 120;

/// Reloads at each SIGHUP, until the server stops.
pub(crate) async fn watch(
    server: Arc<Server>,
    mut hangup: Signal,
    flags: Options,
    file: Option<PathBuf>,
) {
    loop {
        tokio::select! {
            () = server.stop.cancelled() => return,
            received = hangup.recv() => if received.is_none() { return },
        }
        notify::reloading();
        let read = {
            let (flags, file) = (flags.clone(), file.clone());
            tokio::task::spawn_blocking(move || Config::new(flags, file.as_deref())).await
        };
        match read {
            Ok(Ok(config)) => server.reload(config),
            Ok(Err(problems)) => {
                let note = short(&format!("not reloaded: {problems}"));
                server
                    .figures
                    .events
                    .tell(None, What::Reload { ok: false, note });
                tracing::error!("not reloaded, the configuration stays as it was: {problems}");
            }
            Err(error) => tracing::error!(%error, "not reloaded"),
        }
        // Whatever became of the configuration: the log may have been rotated.
        let all = server.clone();
        let followed = tokio::task::spawn_blocking(move || house::follow(&all)).await;
        if let Err(error) = followed {
            tracing::error!(%error, "the address lists and the access log are as they were");
        }
        notify::ready(&notify::summary(&server));
    }
}

/// A change, as a line of the log.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    option: String,
    from: String,
    to: String,
}

/// Option by option, and mount by mount.
fn changes(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<Change> {
    let mut found = Vec::new();
    compare("", before, after, &mut found);
    found
}

fn compare(
    within: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    found: &mut Vec<Change>,
) {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let empty = Map::new();
    for name in names {
        let (was, is) = (before.get(name), after.get(name));
        if was == is {
            continue;
        }
        let option = match within {
            "" => name.clone(),
            "mount" => format!("mount.{name:?}"),
            _ => format!("{within}.{name}"),
        };
        let table = |value: Option<&'_ Value>| value.is_none_or(Value::is_object);
        if table(was) && table(is) {
            let of =
                |value: Option<&Value>| value.and_then(Value::as_object).unwrap_or(&empty).clone();
            compare(&option, &of(was), &of(is), found);
            continue;
        }
        let show = |value: Option<&Value>| match value {
            None => "default".to_owned(),
            Some(_) if SECRET.contains(&name.as_str()) => "…".to_owned(),
            Some(value) => value.to_string().chars().take(MAX_SHOWN).collect(),
        };
        found.push(Change {
            from: show(was),
            to: show(is),
            option,
        });
    }
}

/// `next`, but for what stays as it is until a restart; and the names of those options that should be otherwise.
fn keep_what_is_fixed(now: &Config, next: &mut Config) -> Vec<Change> {
    let given = |options: &Options| options.given().unwrap_or_default();
    let only = |mut map: Map<String, Value>| {
        map.retain(|name, _| FIXED.contains(&name.as_str()));
        map
    };
    let refused = changes(&only(given(&now.options)), &only(given(&next.options)));
    next.upstreams.clone_from(&now.upstreams);
    next.peers.clone_from(&now.peers);
    next.peer_proof = now.peer_proof;
    next.listen.clone_from(&now.listen);
    next.state.clone_from(&now.state);
    next.admin = now.admin;
    next.user.clone_from(&now.user);
    let options = &mut next.options;
    options.upstream.clone_from(&now.options.upstream);
    options.upstream_ca.clone_from(&now.options.upstream_ca);
    options
        .upstream_admin
        .clone_from(&now.options.upstream_admin);
    options.peers.clone_from(&now.options.peers);
    options.peer_proof = now.options.peer_proof;
    options.listen.clone_from(&now.options.listen);
    options.listen_tls.clone_from(&now.options.listen_tls);
    options.state.clone_from(&now.options.state);
    options.admin = now.options.admin;
    options.user.clone_from(&now.options.user);
    refused
}

impl Server {
    /// From here on as `next` says.
    fn reload(self: &Arc<Self>, mut next: Config) {
        let now = self.config();
        for warning in &next.warnings {
            tracing::warn!("{warning}");
        }
        for Change { option, from, to } in keep_what_is_fixed(&now, &mut next) {
            tracing::warn!(
                option,
                from,
                to,
                "cannot be changed while running: upgrade (SIGUSR2) or restart for it"
            );
        }
        let before = now.options.given().unwrap_or_default();
        let after = next.options.given().unwrap_or_default();
        let changed = changes(&before, &after);
        for Change { option, from, to } in &changed {
            tracing::info!(option, from, to, "changed");
        }
        self.configure(next);
        self.mounts_as_configured();
        descriptors::warn(&self.config());
        if let Some(certificates) = &self.certificates {
            certificates.reload(&self.config().certificates);
        }
        tracing::info!(changes = changed.len(), "reloaded");
        self.figures.reloads.one();
        let note = format!("reloaded, {} changes", changed.len());
        self.figures
            .events
            .tell(None, What::Reload { ok: true, note });
    }

    /// The mounts that are there; pulls of those that always are.
    fn mounts_as_configured(self: &Arc<Self>) {
        for station in self.stations.all() {
            self.mount_as_configured(&station);
        }
        let config = self.config();
        for path in &config.always {
            let is_new = self.stations.get(path).is_none();
            let station = self.station(path);
            if is_new && self.upstream.is_none() {
                origin::lost(self, &station);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::checked(Options::default(), toml::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn changes_are_named_one_by_one_and_secrets_are_not_shown() {
        let before = config(
            "upstream = \"http://a:1\"\nwindow = 5\nupstream-admin = \"admin:hemlig\"\n[mount.\"/a\"]\npull-credentials = \"u:hemlig\"\n[mount.\"/b\"]\nwindow = 7\n",
        );
        let after = config(
            "upstream = \"http://a:1\"\nburst = 9\nupstream-admin = \"admin:hemligt\"\n[mount.\"/a\"]\npull-credentials = \"u:hemligt\"\n[limits]\nmounts = 4\n",
        );
        let found = changes(
            &before.options.given().unwrap(),
            &after.options.given().unwrap(),
        );
        let lines: Vec<String> = found
            .iter()
            .map(|change| format!("{} {} {}", change.option, change.from, change.to))
            .collect();
        assert_eq!(
            lines,
            [
                "burst default 9",
                "limits.mounts default 4",
                "mount.\"/a\".pull-credentials … …",
                "mount.\"/b\".window 7 default",
                "upstream-admin … …",
                "window 5 default",
            ]
        );
    }

    #[test]
    fn what_is_open_stays_and_is_named_each_time() {
        let now = config("upstream = \"http://a:1\"\nlisten = [\"127.0.0.1:1\"]\n");
        let text = "upstream = \"http://b:1\"\nlisten = [\"127.0.0.1:2\"]\nstate = \"/s\"\nadmin = \"127.0.0.1:3\"\nuser = \"u\"\npatience = 3\n";
        let mut next = config(text);
        for _ in 0..2 {
            let refused = keep_what_is_fixed(&now, &mut next);
            let names: Vec<&str> = refused
                .iter()
                .map(|change| change.option.as_str())
                .collect();
            assert_eq!(names, ["admin", "listen", "state", "upstream", "user"]);
            assert_eq!(next.upstreams, now.upstreams);
            assert_eq!(next.listen, now.listen);
            assert_eq!((next.admin, &next.state, &next.user), (None, &None, &None));
            assert_eq!(next.patience.as_secs(), 3, "what can change does");
            assert_eq!(next.options.listen, now.options.listen);
            next = config(text);
        }
    }

    #[test]
    fn all_that_is_fixed_is_an_option() {
        let known = crate::config::schema::known();
        for name in FIXED.iter().chain(&SECRET) {
            assert!(known.iter().any(|known| known.name == *name), "{name}");
        }
        let secret = |known: &&crate::config::schema::Known| known.takes.contains("PASSWORD");
        for known in known.iter().filter(secret) {
            assert!(
                SECRET.contains(&known.name.as_str()),
                "{} would be logged",
                known.name
            );
        }
    }
}
