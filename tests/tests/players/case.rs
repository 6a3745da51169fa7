//! Which players, at which levels, and how they are cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::cutter::{At, How, Next, Plan};
use icecast_ext_tests::player::Family;
use icecast_ext_tests::player::chromium::CHROMIUM;
use icecast_ext_tests::player::curl::CURL;
use icecast_ext_tests::player::ffmpeg::FFMPEG;
use icecast_ext_tests::player::firefox::FIREFOX;
use icecast_ext_tests::player::gstreamer::GSTREAMER;
use icecast_ext_tests::player::mpv::MPV;
use icecast_ext_tests::player::vlc::VLC;
use icecast_ext_tests::player::wget::WGET;

/// Cuts by the wire before the proxy is killed, and in all.
pub(crate) const BEFORE: usize = 4;
pub(crate) const CUTS: usize = 9;

/// `stock-players` of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Ranges,
    Full,
}

impl Level {
    pub(crate) const ALL: [Self; 2] = [Self::Ranges, Self::Full];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ranges => "ranges",
            Self::Full => "full",
        }
    }

    pub(crate) const fn mount(self) -> &'static str {
        match self {
            Self::Ranges => "/ranges.mp3",
            Self::Full => "/full.mp3",
        }
    }
}

/// A line of the matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) family: Family,
    pub(crate) level: Level,
    /// Whether it asks for titles.
    pub(crate) icy: bool,
    /// Whether a FIN is not the end of the stream to it. It is to those who are told no length and believe that.
    pub(crate) fin: bool,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let titles = if self.icy { " with titles" } else { "" };
        write!(f, "{} at {}{titles}", self.family.name, self.level.name())
    }
}

/// Those that write what they hear.
pub(crate) fn writers() -> Vec<Case> {
    // The last: whether they ask for titles if they may, and survive a FIN without a length.
    let families = [
        (FFMPEG, true, true),
        (MPV, true, true),
        (VLC, false, true),
        (GSTREAMER, true, false),
        (WGET, false, false),
        (CURL, false, true),
    ];
    let mut cases = Vec::new();
    for (family, asks, fin) in families {
        for level in Level::ALL {
            let fin = fin || level == Level::Full;
            for icy in [false, true] {
                if asks || !icy {
                    cases.push(Case {
                        family,
                        level,
                        icy,
                        fin,
                    });
                }
            }
        }
    }
    cases
}

/// Those that show a page.
pub(crate) fn browsers() -> [[Case; 2]; 2] {
    [(CHROMIUM, false), (FIREFOX, true)].map(|(family, fin)| {
        Level::ALL.map(|level| Case {
            family,
            level,
            icy: false,
            fin: fin || level == Level::Full,
        })
    })
}

/// What its wire does: nothing between the fourth cut and the proxy's death.
pub(crate) fn planner(
    case: Case,
    mut chance: Chance,
    killed: Arc<AtomicBool>,
) -> impl FnMut(usize, usize) -> Option<Plan> + Send + 'static {
    move |_, made| {
        let most = if killed.load(Ordering::SeqCst) {
            CUTS
        } else {
            BEFORE
        };
        let at = match made % 3 {
            0 if case.icy => At::Block(chance.bits()),
            // A browser that has not begun to play takes the end of what it has for an error of the file.
            _ if made == 0 && case.family.browses() => At::Body(chance.range(90_000, 100_000)),
            // Blocks are 16 000 bytes apart, titles 40 000: each answer lives to see a block, so that no title is overtaken.
            _ if case.icy => At::Body(chance.range(17_000, 40_000)),
            _ => At::Body(chance.range(5_000, 40_000)),
        };
        let how = if case.fin && made % 2 == 0 {
            How::Fin
        } else {
            How::Reset
        };
        (made < most).then_some(Plan {
            at,
            how,
            next: Next::Any,
        })
    }
}
