//! ffmpeg as a source: six formats of noise that never repeats.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::child::{As, Child, Scratch};
use crate::icecast::PASSWORD;
use crate::wait::wait_for;

/// What a mount carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// MPEG layer 3, constant bit rate, without a Xing header.
    Mp3,
    /// AAC in ADTS.
    Aac,
    /// Ogg Vorbis: rebuilt by every server.
    Vorbis,
    /// Ogg Opus.
    Opus,
    /// Ogg FLAC.
    Flac,
    /// WebM with Opus.
    WebM,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Mp3,
        Self::Aac,
        Self::Vorbis,
        Self::Opus,
        Self::Flac,
        Self::WebM,
    ];

    /// A mount's name for it.
    #[must_use]
    pub const fn mount(self) -> &'static str {
        match self {
            Self::Mp3 => "/live.mp3",
            Self::Aac => "/live.aac",
            Self::Vorbis => "/live.ogg",
            Self::Opus => "/live.opus",
            Self::Flac => "/live.flac.ogg",
            Self::WebM => "/live.webm",
        }
    }

    /// Its `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Aac => "audio/aac",
            Self::Vorbis | Self::Opus | Self::Flac => "application/ogg",
            Self::WebM => "audio/webm",
        }
    }

    /// Whether Icecast sends titles in ICY blocks for it, and passes the source's bytes on unchanged.
    #[must_use]
    pub const fn is_raw(self) -> bool {
        matches!(self, Self::Mp3 | Self::Aac)
    }

    fn input(self, seed: u64) -> String {
        // 16 kHz mono noise is about 250 kbit/s as FLAC; the others are told their bit rate.
        match self {
            Self::Flac => format!("anoisesrc=seed={seed}:r=16000:a=0.5"),
            Self::Opus | Self::WebM => {
                format!("anoisesrc=seed={seed}:r=48000:a=0.3,aformat=channel_layouts=stereo")
            }
            _ => format!("anoisesrc=seed={seed}:r=44100:a=0.3,aformat=channel_layouts=stereo"),
        }
    }

    const fn codec(self) -> &'static str {
        match self {
            Self::Mp3 => "libmp3lame",
            Self::Aac => "aac",
            Self::Vorbis => "libvorbis",
            Self::Opus | Self::WebM => "libopus",
            Self::Flac => "flac",
        }
    }

    /// Frames that need no earlier ones, so that a recording decodes from any of them on.
    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Mp3 => &["-reservoir", "0"],
            _ => &[],
        }
    }

    const fn muxer(self) -> &'static str {
        match self {
            Self::Mp3 => "f=mp3:write_xing=0",
            Self::Aac => "f=adts",
            Self::Vorbis | Self::Opus | Self::Flac => "f=ogg:page_duration=250000",
            Self::WebM => "f=webm:live=1:cluster_time_limit=500",
        }
    }
}

/// How an encoder is set up.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// What it encodes.
    pub format: Format,
    /// kbit/s; FLAC comes to about 250 whatever this says.
    pub kbps: u32,
    /// Chooses the noise.
    pub seed: u64,
    /// `SOURCE` instead of PUT with `Expect: 100-continue`.
    pub legacy: bool,
    /// Over TLS, whoever signed the certificate.
    pub tls: bool,
    /// Times real time.
    pub speed: f32,
}

impl Setup {
    /// 128 kbit/s in real time.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        Self {
            format,
            kbps: 128,
            seed: 1,
            legacy: false,
            tls: false,
            speed: 1.0,
        }
    }
}

/// A running encoder; it ends when dropped.
#[derive(Debug)]
pub struct Encoder {
    child: Child,
    file: PathBuf,
    scratch: Scratch,
}

impl Encoder {
    /// Starts one that sends to `mount` at `addr`, and keeps what it sends in a file.
    ///
    /// # Errors
    /// If ffmpeg cannot be started.
    pub fn start(addr: SocketAddr, mount: &str, setup: Setup) -> Result<Self> {
        let scratch = Scratch::new("encoder")?;
        let file = scratch.file("sent");
        let (muxer, kind) = (setup.format.muxer(), setup.format.content_type());
        let legacy = if setup.legacy {
            ":legacy_icecast=1"
        } else {
            ""
        };
        let tls = if setup.tls { ":tls=1" } else { "" };
        let sinks = format!(
            "[{muxer}:content_type={kind}{legacy}{tls}]icecast://source:{PASSWORD}@{addr}{mount}\
             |[{muxer}:flush_packets=1]{}",
            file.display()
        );
        let (speed, bit_rate) = (setup.speed.to_string(), format!("{}k", setup.kbps));
        let input = setup.format.input(setup.seed);
        let mut args = vec!["ffmpeg", "-nostdin", "-v", "error", "-readrate", &speed];
        args.extend(["-f", "lavfi", "-i", &input, "-map", "0:a"]);
        args.extend(["-c:a", setup.format.codec(), "-b:a", &bit_rate]);
        args.extend(setup.format.options());
        args.extend(["-f", "tee", &sinks]);
        let args: Vec<_> = args.into_iter().map(str::to_owned).collect();
        let child = Child::start(As::Me, &args, &scratch.file("ffmpeg.log"))?;
        Ok(Self {
            child,
            file,
            scratch,
        })
    }

    /// Everything it has sent, as far as ffmpeg has written it out.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn sent(&self) -> Result<Vec<u8>> {
        Ok(std::fs::read(&self.file)?)
    }

    /// Everything it had sent by now, and a little more: the file lags behind the wire.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn sent_by_now(&self) -> Result<Vec<u8>> {
        let len = || std::fs::metadata(&self.file).map_or(0, |meta| meta.len());
        let more = len() + 8192;
        wait_for("the encoder's file", Duration::from_secs(10), || {
            len() >= more
        })
        .await;
        self.sent()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.runs()
    }

    /// What it complained about.
    #[must_use]
    pub fn output(&self) -> String {
        self.child.output()
    }

    /// SIGKILL: the source vanishes.
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Where its files are.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        self.scratch.path()
    }
}
