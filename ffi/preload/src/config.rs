//! The options: a TOML file that `ICECAST_EXT_CONFIG` names, or defaults that need none.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use icecast_ext_core::stock::Level;
use icecast_ext_delivery::{EngineConfig, MountConfig};
use serde::Deserialize;

/// The variable that names the file.
pub(crate) const VARIABLE: &str = "ICECAST_EXT_CONFIG";

/// As the file has it. The names are those of the proxy's configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct Config {
    /// Where the module's log goes; opened before Icecast goes into its jail.
    pub(crate) log: Option<PathBuf>,
    /// What is logged, as `info` or `icecast_ext_preload=debug`.
    pub(crate) log_level: Option<String>,
    /// MiB that all back buffers together hold.
    pub(crate) memory: Option<u64>,
    /// The journal's directory, as the server sees it after chroot and changeowner.
    pub(crate) state: Option<PathBuf>,
    /// Requests that wait at once for the next byte (R-SEC-2).
    held: Option<u64>,
    /// Other relays of the same streams, told to listeners in `Link`.
    pub(crate) relays: Vec<String>,
    window: Option<u64>,
    burst: Option<u64>,
    stock_players: Option<StockPlayers>,
    delivery_tick: Option<u64>,
    mounts: BTreeMap<String, Options>,
}

/// For all mounts, or for one.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Options {
    /// Seconds of audio that the back buffer holds.
    window: Option<u64>,
    /// Bytes before the edge at which a player starts that Icecast does not place: time shift, stock players that come back.
    burst: Option<u64>,
    /// off, ranges or full.
    stock_players: Option<StockPlayers>,
    /// Milliseconds between two sends to a listener.
    delivery_tick: Option<u64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StockPlayers {
    Off,
    Ranges,
    Full,
}

impl Config {
    /// Reads the file's text.
    ///
    /// # Errors
    /// What is wrong, with its line, and what would be right: in one line, for a log.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            format!("line {line}: {}", error.message().replace('\n', ", "))
        })?;
        config.check()?;
        Ok(config)
    }

    const fn every(&self) -> Options {
        Options {
            window: self.window,
            burst: self.burst,
            stock_players: self.stock_players,
            delivery_tick: self.delivery_tick,
        }
    }

    /// How many requests may wait at once.
    pub(crate) fn held(&self) -> usize {
        let held = self.held.unwrap_or(20_000);
        usize::try_from(held).unwrap_or(usize::MAX)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(held) = self.held.filter(|held| !(1..=1_000_000).contains(held)) {
            return Err(format!("held is {held}: write 1 to 1000000"));
        }
        let every = self.every();
        let all = std::iter::once(("all mounts", &every));
        let each = self.mounts.iter().map(|(path, one)| (path.as_str(), one));
        for (whose, options) in all.chain(each) {
            let within = |name: &str, value: Option<u64>, least: u64, most: u64| match value {
                Some(value) if !(least..=most).contains(&value) => Err(format!(
                    "{name} of {whose} is {value}: write {least} to {most}"
                )),
                _ => Ok(()),
            };
            within("window", options.window, 1, 86_400)?;
            within("delivery-tick", options.delivery_tick, 10, 5_000)?;
            within("burst", options.burst, 0, 16 << 20)?;
        }
        match self.mounts.keys().find(|path| !path.starts_with('/')) {
            Some(path) => Err(format!("the mount {path:?}: it begins with a slash")),
            None => Ok(()),
        }
    }

    fn pick<T>(&self, path: &str, get: impl Fn(&Options) -> Option<T>) -> Option<T> {
        let own = self.mounts.get(path).and_then(&get);
        own.or_else(|| get(&self.every()))
    }

    /// The loops.
    pub(crate) fn engine(&self) -> EngineConfig {
        EngineConfig {
            // As Icecast, which does not read on.
            half_closed: true,
            memory: self.memory.unwrap_or(0).saturating_mul(1 << 20),
            ..EngineConfig::default()
        }
    }

    /// How a mount holds and publishes.
    pub(crate) fn mount(&self, path: &str) -> MountConfig {
        let default = MountConfig::default();
        let seconds = self.pick(path, |options| options.window);
        let ms = self.pick(path, |options| options.delivery_tick);
        MountConfig {
            tick: ms.map_or(default.tick, Duration::from_millis),
            window: seconds.map_or(default.window, Duration::from_secs),
            burst: self
                .pick(path, |options| options.burst)
                .unwrap_or(default.burst),
            // Icecast sends what it has.
            cut_frames: true,
            ..default
        }
    }

    /// What stock players are offered on a mount.
    pub(crate) fn level(&self, path: &str) -> Level {
        match self.pick(path, |options| options.stock_players) {
            Some(StockPlayers::Off) => Level::Off,
            Some(StockPlayers::Full) => Level::Full,
            Some(StockPlayers::Ranges) | None => Level::Ranges,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_has_what_it_says_and_else_what_all_have() {
        let config = Config::parse(
            "window = 30\ndelivery-tick = 500\n[mounts.\"/a\"]\nwindow = 60\nstock-players = \"off\"\n",
        )
        .unwrap();
        assert_eq!(config.mount("/a").window, Duration::from_secs(60));
        assert_eq!(config.mount("/b").window, Duration::from_secs(30));
        assert_eq!(config.mount("/a").tick, Duration::from_millis(500));
        assert_eq!(config.level("/a"), Level::Off);
        assert_eq!(config.level("/b"), Level::Ranges);
        let none = Config::parse("").unwrap();
        assert_eq!(none.mount("/x").window, MountConfig::default().window);
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        let wrong = |text: &str| Config::parse(text).unwrap_err();
        assert!(wrong("\nwindw = 3").starts_with("line 2: unknown field `windw`"));
        assert_eq!(wrong("window = \n").lines().count(), 1);
        assert!(wrong("window = 0").contains("1 to 86400"));
        assert!(wrong("[mounts.x]\nwindow = 3").contains("slash"));
        assert!(wrong("delivery-tick = 5").contains("10 to 5000"));
        assert!(wrong("held = 0").contains("1 to 1000000"));
    }
}
