//! Real encoders, judged by a real decoder: whoever starts at a sync point with the prelude in force there decodes without
//! an error.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use bytes::Bytes;
use icecast_ext_core::codec::{Format, Mark, Tracker, leading_headers};

use super::offset;

/// Sync points of one stream that are tried.
const TRIED: usize = 6;

/// Runs a program of a Debian package with `input` on its standard input; its output, and what it says.
fn run(program: &str, package: &str, args: &str, input: Vec<u8>) -> (Vec<u8>, String) {
    let mut child = Command::new(program)
        .args(args.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}: install {package}, ./test does"));
    let mut stdin = child.stdin.take().expect("a pipe");
    // A decoder that gives up closes its end; what it says counts.
    let feeder = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("it runs");
    feeder.join().expect("the feeder ends");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.stdout, errors)
}

fn ffmpeg(args: &str, input: Vec<u8>) -> (Vec<u8>, String) {
    let args = format!("-hide_banner -v error -threads 1 {args}");
    run("ffmpeg", "ffmpeg", &args, input)
}

fn encode(args: &str) -> Vec<u8> {
    let (bytes, errors) = ffmpeg(&format!("{args} pipe:1"), Vec::new());
    assert!(!bytes.is_empty() && errors.is_empty(), "{args}: {errors}");
    bytes
}

/// What a decoder complains about.
fn decode(body: Vec<u8>) -> String {
    let (_, errors) = ffmpeg("-i pipe:0 -map 0 -f null -", body);
    // At the seam of two chains ffmpeg's null muxer minds that time begins anew; the decoder does not.
    let minded = |line: &&str| !line.contains("non monotonically increasing dts");
    errors.lines().filter(minded).collect()
}

const NOISE: &str = "-f lavfi -i anoisesrc=d=8:c=pink:r=48000:seed=5:a=0.5 -ac 2";
const VIDEO: &str = "-f lavfi -i testsrc2=d=6:s=160x120:r=25 -f lavfi -i anoisesrc=d=6:r=48000";

/// Sync points, each with the prelude in force there.
fn starts(format: Format, stream: &[u8]) -> Vec<(usize, Bytes)> {
    let mut tracker = Tracker::new(format, offset(0), None);
    let mut marks = Vec::new();
    for piece in stream.chunks(1400) {
        tracker.feed(piece, &mut marks);
    }
    let mut prelude = Bytes::new();
    let mut out = Vec::new();
    for mark in marks {
        match mark {
            Mark::Prelude(_, bytes) => prelude = bytes,
            Mark::Sync(at) => out.push((at.get() as usize, prelude.clone())),
        }
    }
    out
}

/// What a joiner at a sync point receives.
fn join(stream: &[u8], (at, prelude): &(usize, Bytes)) -> Vec<u8> {
    [prelude, &stream[*at..]].concat()
}

/// Tries sync points all over the stream, at least `least` in all, with no two further apart than `gap`.
fn judge(format: Format, stream: &[u8], least: usize, gap: usize) -> Vec<(usize, Bytes)> {
    let starts = starts(format, stream);
    assert!(starts.len() >= least, "only {} sync points", starts.len());
    for pair in starts.windows(2) {
        assert!(
            pair[1].0 - pair[0].0 <= gap,
            "nothing between {} and {}",
            pair[0].0,
            pair[1].0
        );
    }
    // The last one may have too little after it for a decoder to know what it is.
    let tried = starts.len() - 1;
    for n in 0..TRIED.min(tried) {
        let start = &starts[n * tried / TRIED.min(tried)];
        let errors = decode(join(stream, start));
        assert_eq!(errors, "", "from {} of {}", start.0, stream.len());
    }
    starts
}

#[test]
fn mp3_with_constant_bitrate() {
    let stream = encode(&format!("{NOISE} -c:a libmp3lame -b:a 128k -f mp3"));
    judge(Format::Mpeg, &stream, 100, 1500);
}

#[test]
fn mp3_with_variable_bitrate_and_without_tags() {
    let stream = encode(&format!(
        "{NOISE} -c:a libmp3lame -q:a 4 -id3v2_version 0 -write_xing 0 -f mp3"
    ));
    judge(Format::Mpeg, &stream, 50, 2500);
}

#[test]
fn mp3_of_a_low_sample_rate() {
    let stream = encode(&format!(
        "{NOISE} -ar 22050 -c:a libmp3lame -b:a 64k -f mp3"
    ));
    judge(Format::Mpeg, &stream, 40, 1500);
}

#[test]
fn mpeg_layer_two() {
    let stream = encode(&format!("{NOISE} -c:a mp2 -b:a 192k -f mp2"));
    judge(Format::Mpeg, &stream, 100, 2000);
}

#[test]
fn aac_in_adts() {
    let stream = encode(&format!("{NOISE} -c:a aac -b:a 96k -f adts"));
    judge(Format::Adts, &stream, 80, 2500);
}

#[test]
fn ogg_vorbis() {
    let stream = encode(&format!("{NOISE} -c:a libvorbis -f ogg"));
    judge(Format::Ogg, &stream, 6, 16_000);
}

#[test]
fn ogg_opus_with_short_pages() {
    let stream = encode(&format!("{NOISE} -c:a libopus -page_duration 60000 -f ogg"));
    judge(Format::Ogg, &stream, 40, 4000);
}

/// libogg fills its pages otherwise than ffmpeg: packets go on in the next page.
#[test]
fn ogg_vorbis_and_opus_of_the_reference_encoders() {
    let wav = encode(&format!("{NOISE} -f wav"));
    let (vorbis, _) = run("oggenc", "vorbis-tools", "-Q -o - -", wav.clone());
    let (opus, _) = run("opusenc", "opus-tools", "--quiet --bitrate 128 - -", wav);
    judge(Format::Ogg, &vorbis, 6, 16_000);
    judge(Format::Ogg, &opus, 5, 40_000);
}

#[test]
fn ogg_flac() {
    let stream = encode(&format!("{NOISE} -t 4 -c:a flac -f ogg"));
    judge(Format::Ogg, &stream, 3, 140_000);
}

#[test]
fn ogg_speex() {
    let stream = encode(&format!("{NOISE} -ar 16000 -c:a libspeex -f ogg"));
    judge(Format::Ogg, &stream, 3, 20_000);
}

#[test]
fn ogg_chains_are_joined_with_the_headers_of_their_own() {
    let vorbis = encode(&format!("{NOISE} -t 4 -c:a libvorbis -f ogg"));
    let second = encode(&format!("{NOISE} -t 5 -c:a libvorbis -q:a 2 -f ogg"));
    let stream = [vorbis.as_slice(), &second].concat();
    let starts = judge(Format::Ogg, &stream, 10, 20_000);
    assert!(starts.contains(&(vorbis.len(), Bytes::new())));
    let headers = leading_headers(Format::Ogg, &second).expect("headers are there");
    let (at, prelude) = &starts[starts.len() - 1];
    assert!(*at > vorbis.len());
    assert_eq!(prelude, &second[..headers]);
}

#[test]
fn ogg_with_two_audio_streams() {
    let stream = encode(&format!(
        "{NOISE} -f lavfi -i sine=d=8:r=48000 -map 0 -map 1 -c:a:0 libvorbis -c:a:1 libopus -f ogg"
    ));
    judge(Format::Ogg, &stream, 10, 70_000);
}

#[test]
fn ogg_theora_with_vorbis_is_joined_at_key_frames() {
    let stream = encode(&format!(
        "{VIDEO} -c:v libtheora -g 25 -c:a libvorbis -f ogg"
    ));
    judge(Format::Ogg, &stream, 4, 100_000);
}

#[test]
fn webm_with_opus() {
    let stream = encode(&format!(
        "{NOISE} -c:a libopus -cluster_time_limit 500 -f webm"
    ));
    judge(Format::Webm, &stream, 12, 10_000);
}

#[test]
fn webm_live_with_opus() {
    let stream = encode(&format!(
        "{NOISE} -c:a libopus -live 1 -cluster_time_limit 500 -f webm"
    ));
    judge(Format::Webm, &stream, 12, 10_000);
}

#[test]
fn webm_with_video_is_joined_at_key_frames() {
    for live in ["", "-live 1"] {
        let stream = encode(&format!(
            "{VIDEO} -c:v libvpx -deadline realtime -cpu-used 8 -b:v 200k -g 50 -c:a libopus \
             -cluster_time_limit 700 {live} -f webm"
        ));
        judge(Format::Webm, &stream, 4, 120_000);
    }
}

/// The judge is worth nothing if it lets everything pass.
#[test]
fn the_judge_hears_a_wrong_start() {
    let stream = encode(&format!("{NOISE} -t 5 -c:a libvorbis -f ogg"));
    let starts = starts(Format::Ogg, &stream);
    let (at, prelude) = &starts[starts.len() / 2];
    assert_eq!(decode(join(&stream, &(*at, prelude.clone()))), "");
    assert_ne!(decode(join(&stream, &(*at, Bytes::new()))), "");

    let stream = encode(&format!(
        "{VIDEO} -an -c:v libvpx -deadline realtime -cpu-used 8 -g 500 -cluster_time_limit 700 -f webm"
    ));
    let headers = leading_headers(Format::Webm, &stream).expect("headers are there");
    let cluster = memchr::memmem::rfind(&stream, b"\x1f\x43\xb6\x75").expect("a cluster");
    assert_ne!(
        decode([&stream[..headers], &stream[cluster..]].concat()),
        ""
    );
    assert_eq!(
        super::marks(Format::Webm, &stream).last(),
        Some(&super::sync(headers))
    );
}
