//! Chromium, without a head and without a driver.

use super::{Family, PLAIN, words};
use crate::browser::HEADLESS;

/// `<audio>` on a [`page`](super::page).
pub const CHROMIUM: Family = Family {
    name: "Chromium <audio>",
    program: "chromium",
    args: |wish| {
        let profile = format!("--user-data-dir={}", wish.dir.join("profile").display());
        let mut args = words(&HEADLESS);
        // Nobody clicks.
        args.push("--autoplay-policy=no-user-gesture-required".to_owned());
        args.extend([profile, wish.url.to_owned()]);
        args
    },
    ..PLAIN
};
