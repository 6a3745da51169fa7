//! Stations: what is on air, byte by byte, with the repeats that radio has.

use std::fmt;

/// A generator that is the same everywhere: xorshift64*.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self((seed ^ 0x5851_f42d_4c95_7f2d).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From `low` up to, but not, `high`.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() >> 11) as usize % (high - low).max(1)
    }

    /// The same number of times below and above any power between.
    pub(crate) fn magnitude(&mut self, low: usize, high: usize) -> usize {
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (low as f64 * (high as f64 / low as f64).powf(share)) as usize
    }

    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.between(0, times) == 0
    }

    /// Bytes that never repeat.
    pub(crate) fn noise(&mut self, len: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.next().to_le_bytes());
        let mut out: Vec<u8> = words.take(len.div_ceil(8)).flatten().collect();
        out.truncate(len);
        out
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Station {
    /// Encoded live: nothing repeats.
    Live,
    /// Thirty songs encoded once, played in any order, none of them twice in a row.
    Rotation,
    /// Live, with jingles between that loop up to 12 times.
    Jingles,
    /// Live songs with up to 15 seconds of silence in and between them.
    Silences,
    /// A block of some minutes that comes again and again, live between.
    Block,
    /// One song, over and over.
    SongLoop,
    /// The same songs again, of which six frames in ten are the same as before.
    Alike,
    /// Copies at distances, and for as long, as the rule just allows.
    Adversary,
    /// Ten seconds, over and over.
    ShortLoop,
    /// An encoder with nothing to encode.
    Silent,
}

impl Station {
    pub(crate) const ALL: [Self; 10] = [
        Self::Live,
        Self::Rotation,
        Self::Jingles,
        Self::Silences,
        Self::Block,
        Self::SongLoop,
        Self::Alike,
        Self::Adversary,
        Self::ShortLoop,
        Self::Silent,
    ];

    /// At least `len` bytes, of which `rate` are a second.
    pub(crate) fn air(self, dice: &mut Dice, rate: usize, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 560 * rate);
        let songs: Vec<(u64, usize)> = (0..30)
            .map(|_| (dice.next(), dice.between(100, 280) * rate))
            .collect();
        let song = |number: usize| Dice::new(songs[number].0).noise(songs[number].1);
        let mut last = 0;
        // Of a constant bitrate, as ffmpeg makes of nothing at 128 kbit/s.
        let silence = dice.noise(20_480);
        while out.len() < len {
            match self {
                Self::Live => out.extend(dice.noise(60 * rate)),
                Self::Rotation => {
                    last = (last + dice.between(1, songs.len())) % songs.len();
                    out.extend(song(last));
                }
                Self::Jingles => {
                    let seconds = dice.between(60, 240);
                    out.extend(dice.noise(seconds * rate));
                    let number = dice.between(0, 5);
                    let jingle = &song(number)[..(3 + 2 * number) * rate];
                    out.extend(jingle.repeat(dice.between(1, 13)));
                }
                Self::Silences => {
                    let seconds = dice.between(30, 180);
                    out.extend(dice.noise(seconds * rate));
                    let quiet = dice.between(1, 15) * rate;
                    out.extend(silence.iter().cycle().take(quiet));
                }
                Self::Block => {
                    let seconds = dice.between(60, 240);
                    out.extend(dice.noise(seconds * rate));
                    out.extend([song(0), song(1)].concat());
                }
                Self::SongLoop => out.extend(song(0)),
                Self::Alike => {
                    let song = song(dice.between(0, 3));
                    for frame in song.chunks(418) {
                        match dice.between(0, 10) < 6 {
                            true => out.extend(frame),
                            false => out.extend(dice.noise(frame.len())),
                        }
                    }
                }
                Self::Adversary => adversary(&mut out, dice, rate),
                Self::ShortLoop => out.extend(&song(0)[..10 * rate]),
                Self::Silent => out.extend(&silence),
            }
        }
        out
    }
}

/// Something new, then what was heard a little ago for about as long as the rule wants to see: 20 s and a few chunks. At
/// times a byte is changed in what is copied.
fn adversary(out: &mut Vec<u8>, dice: &mut Dice, rate: usize) {
    let fresh = dice.magnitude(rate / 8, 40 * rate);
    out.extend(dice.noise(fresh));
    for _ in 0..dice.between(1, 4) {
        let back = match dice.between(0, 3) {
            0 => dice.magnitude(1_100, 24 * rate),
            1 => dice.between(18 * rate, 24 * rate),
            _ => dice.between(rate / 2, 20 * rate),
        };
        let len = match dice.between(0, 3) {
            0 => dice.magnitude(1_100, 60 * rate),
            1 => 20 * rate + dice.between(0, 4 * rate + 40_000),
            _ => back + 20 * rate + dice.between(0, 4 * rate + 40_000),
        };
        let from = out.len().saturating_sub(back);
        let copied = out.len();
        for at in from..from + len {
            let byte = out[at];
            out.push(byte);
        }
        if dice.once_in(3) {
            let at = dice.between(copied, out.len());
            out[at] ^= 1 << dice.between(0, 8);
        }
    }
}

impl fmt::Display for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Live => "encoded live",
            Self::Rotation => "rotation of encoded files",
            Self::Jingles => "jingles looped up to 12 times",
            Self::Silences => "songs with silence",
            Self::Block => "a block repeated",
            Self::SongLoop => "a song looped",
            Self::Alike => "songs that share frames",
            Self::Adversary => "adversarial repeats",
            Self::ShortLoop => "a loop of 10 s",
            Self::Silent => "silence",
        })
    }
}
