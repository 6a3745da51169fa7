//! Source clients that stations use, beside ffmpeg: ezstream and liquidsoap.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::child::{As, Child, Scratch};
use crate::icecast::PASSWORD;

/// A source client that plays two files of 8 s in turns, each with a title of its own, for ever. It ends when dropped.
#[derive(Debug)]
pub struct Studio {
    child: Child,
    scratch: Scratch,
}

/// The titles of the two files.
pub const TITLES: [&str; 2] = ["Bach - Air", "Satie - Gnossienne"];

impl Studio {
    /// ezstream: SOURCE or PUT by libshout, sends the files as they are, and titles by a request of their own. It comes back
    /// after 5 s, or so many times less.
    ///
    /// # Errors
    /// If ezstream or ffmpeg cannot be started.
    pub fn ezstream(addr: SocketAddr, mount: &str) -> Result<Self> {
        let scratch = Scratch::new("ezstream")?;
        let list = playlist(&scratch)?;
        let config = format!(
            "<ezstream><servers><server><hostname>{}</hostname><port>{}</port><password>{PASSWORD}</password>\
             <tls>None</tls><reconnect_attempts>100</reconnect_attempts></server></servers>\
             <streams><stream><mountpoint>{mount}</mountpoint><format>MP3</format></stream></streams>\
             <intakes><intake><type>playlist</type><filename>{}</filename></intake></intakes></ezstream>",
            addr.ip(),
            addr.port(),
            list.display()
        );
        std::fs::write(scratch.file("ezstream.xml"), config)?;
        let config = scratch.file("ezstream.xml").display().to_string();
        let args = [
            "ezstream".to_owned(),
            "-v".to_owned(),
            "-c".to_owned(),
            config,
        ];
        let child = Child::start(As::Me, &args, &scratch.file("log"))?;
        Ok(Self { child, scratch })
    }

    /// liquidsoap: encodes anew, with metadata requests of its own. It starts in about 6 s, and comes back after 1 s.
    ///
    /// # Errors
    /// If liquidsoap or ffmpeg cannot be started.
    pub fn liquidsoap(addr: SocketAddr, mount: &str) -> Result<Self> {
        let scratch = Scratch::new("liquidsoap")?;
        let list = playlist(&scratch)?;
        let script = format!(
            "settings.init.allow_root.set(true)\nsettings.log.stdout.set(true)\nsettings.log.file.set(false)\n\
             s = playlist(mode=\"normal\", reload_mode=\"never\", \"{}\")\n\
             output.icecast(%mp3(bitrate=128), host=\"{}\", port={}, password=\"{PASSWORD}\", mount=\"{mount}\", \
             dumpfile=\"{}\", on_error=fun (_) -> 1., fallible=true, s)\n",
            list.display(),
            addr.ip(),
            addr.port(),
            scratch.file("sent").display()
        );
        std::fs::write(scratch.file("radio.liq"), script)?;
        let script = scratch.file("radio.liq").display().to_string();
        let args = ["liquidsoap".to_owned(), script];
        let child = Child::start(As::Me, &args, &scratch.file("log"))?;
        Ok(Self { child, scratch })
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.runs()
    }

    /// What it has written.
    #[must_use]
    pub fn output(&self) -> String {
        self.child.output()
    }

    /// What liquidsoap has encoded, as far as it has written that out.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn sent(&self) -> Result<Vec<u8>> {
        Ok(std::fs::read(self.scratch.file("sent"))?)
    }

    /// The two files.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn files(&self) -> Result<[Vec<u8>; 2]> {
        Ok([
            std::fs::read(self.scratch.file("0.mp3"))?,
            std::fs::read(self.scratch.file("1.mp3"))?,
        ])
    }
}

fn playlist(scratch: &Scratch) -> Result<PathBuf> {
    let mut lines = String::new();
    for (i, title) in TITLES.iter().enumerate() {
        let file = scratch.file(&format!("{i}.mp3"));
        let (artist, name) = title.split_once(" - ").unwrap_or_default();
        let made = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"])
            .arg(format!(
                "anoisesrc=seed={}:r=44100:a=0.3,aformat=channel_layouts=stereo",
                i + 7
            ))
            .args([
                "-t",
                "8",
                "-c:a",
                "libmp3lame",
                "-b:a",
                "128k",
                "-reservoir",
                "0",
            ])
            .args([
                "-metadata",
                &format!("artist={artist}"),
                "-metadata",
                &format!("title={name}"),
            ])
            .arg(&file)
            .status()?;
        ensure!(made.success(), "ffmpeg makes no {}", file.display());
        lines.push_str(&format!("{}\n", file.display()));
    }
    let list = scratch.file("list.m3u");
    std::fs::write(&list, lines)?;
    Ok(list)
}
