//! liquidsoap as a listener.

use super::{Family, PLAIN, words};

/// Decodes the stream and writes it as WAV.
pub const LIQUIDSOAP: Family = Family {
    name: "liquidsoap",
    program: "liquidsoap",
    prepare: |wish| {
        let script = format!(
            "settings.init.allow_root.set(true)\nsettings.log.stdout.set(true)\nsettings.log.file.set(false)\n\
             s = input.http(\"{}\")\noutput.file(%wav, fallible=true, \"{}\", s)\n",
            wish.url,
            wish.file()
        );
        std::fs::write(wish.dir.join("listen.liq"), script)
    },
    args: |wish| words(&[&wish.dir.join("listen.liq").display().to_string()]),
    ..PLAIN
};
