//! MPD: it plays, and does not come back.

use super::{Family, PLAIN, words};

/// Writes what it has decoded. What it is to play stands in the state that it finds.
pub const MPD: Family = Family {
    name: "MPD",
    program: "mpd",
    prepare: |wish| {
        let dir = wish.dir.display();
        let config = format!(
            "music_directory \"{dir}\"\nstate_file \"{dir}/state\"\nlog_file \"{dir}/mpd.log\"\n\
             bind_to_address \"{dir}/socket\"\nzeroconf_enabled \"no\"\nlog_level \"verbose\"\n\
             audio_output {{\n type \"pipe\"\n name \"file\"\n command \"cat >{}\"\n}}\n",
            wish.file()
        );
        std::fs::write(wish.dir.join("mpd.conf"), config)?;
        let state = format!(
            "state: play\ncurrent: 0\ntime: 0\nplaylist_begin\n0:{}\nplaylist_end\n",
            wish.url
        );
        std::fs::write(wish.dir.join("state"), state)
    },
    args: |wish| {
        words(&[
            "--no-daemon",
            &wish.dir.join("mpd.conf").display().to_string(),
        ])
    },
    ..PLAIN
};
