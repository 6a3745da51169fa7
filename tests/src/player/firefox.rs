//! Firefox, without a head.

use super::{Family, PLAIN, words};

/// `<audio>` on a [`page`](super::page).
pub const FIREFOX: Family = Family {
    name: "Firefox <audio>",
    program: "firefox-esr",
    prepare: |wish| {
        let profile = wish.dir.join("profile");
        std::fs::create_dir(&profile)?;
        let lines = PREFERENCES.map(|(name, value)| format!("user_pref(\"{name}\", {value});\n"));
        std::fs::write(profile.join("user.js"), lines.concat())
    },
    args: |wish| {
        let profile = wish.dir.join("profile").display().to_string();
        words(&["--headless", "--no-remote", "--profile", &profile, wish.url])
    },
    ..PLAIN
};

const PREFERENCES: [(&str, &str); 20] = [
    // Nobody clicks.
    ("media.autoplay.default", "0"),
    ("media.autoplay.blocking_policy", "0"),
    // It is to talk to nobody but us.
    ("app.normandy.enabled", "false"),
    ("app.update.enabled", "false"),
    ("browser.aboutwelcome.enabled", "false"),
    ("browser.newtabpage.enabled", "false"),
    ("browser.region.network.url", "\"\""),
    ("browser.safebrowsing.downloads.enabled", "false"),
    ("browser.safebrowsing.malware.enabled", "false"),
    ("browser.safebrowsing.phishing.enabled", "false"),
    ("browser.search.update", "false"),
    ("browser.shell.checkDefaultBrowser", "false"),
    ("captivedetect.canonicalURL", "\"\""),
    ("datareporting.policy.dataSubmissionEnabled", "false"),
    ("extensions.systemAddon.update.enabled", "false"),
    ("media.gmp-manager.updateEnabled", "false"),
    ("network.captive-portal-service.enabled", "false"),
    ("network.connectivity-service.enabled", "false"),
    ("services.settings.server", "\"data:,\""),
    ("toolkit.telemetry.enabled", "false"),
];
