//! Chromium, without a head and without a driver.

use super::{Family, PLAIN, words};

/// `<audio>` on a [`page`](super::page).
pub const CHROMIUM: Family = Family {
    name: "Chromium <audio>",
    program: "chromium",
    args: |wish| {
        let profile = format!("--user-data-dir={}", wish.dir.join("profile").display());
        let mut args = words(&FLAGS);
        args.extend([profile, wish.url.to_owned()]);
        args
    },
    ..PLAIN
};

const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Nobody clicks.
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
];
