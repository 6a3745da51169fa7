//! Real encoders and real decoders: the canonical form has the same samples, to the first and to the last.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use super::build::read;
use super::canonical;

/// Runs a program of a Debian package with `input` on its standard input; its output.
fn run(program: &str, package: &str, args: &str, input: Vec<u8>) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(args.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}: install {package}, ./test does"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let feeder = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("it runs");
    feeder.join().expect("the feeder ends");
    output.stdout
}

fn ffmpeg(args: &str, input: Vec<u8>) -> Vec<u8> {
    let args = format!("-hide_banner -v error -threads 1 {args} pipe:1");
    run("ffmpeg", "ffmpeg", &args, input)
}

/// The same samples in ffmpeg's own decoder and in libvorbis, and not none.
fn same(stream: &[u8], what: &str) {
    let made = canonical(stream);
    assert_ne!(made, stream, "{what}");
    let by_ffmpeg = |bytes: &[u8]| ffmpeg("-i pipe:0 -map 0:a -f f32le", bytes.to_vec());
    let by_libvorbis = |bytes: &[u8]| run("oggdec", "vorbis-tools", "-Q -R -o - -", bytes.to_vec());
    for (decoder, decode) in [
        ("ffmpeg", &by_ffmpeg as &dyn Fn(&[u8]) -> Vec<u8>),
        ("libvorbis", &by_libvorbis),
    ] {
        let (before, after) = (decode(stream), decode(&made));
        assert!(before.len() > 50_000, "{what}: {decoder}");
        assert_eq!(before.len(), after.len(), "{what}: {decoder}");
        assert!(before == after, "{what}: {decoder}");
    }
    // What is canonical stays as it is.
    assert!(canonical(&made) == made, "{what}");
}

const NOISE: &str = "-f lavfi -i anoisesrc=c=pink:seed=5:a=0.5";

#[test]
fn of_ffmpeg() {
    for (args, what) in [
        ("-t 5.123 -ar 44100 -ac 2 -c:a libvorbis", "stereo"),
        ("-t 5 -ar 8000 -ac 1 -c:a libvorbis", "mono at 8 kHz"),
        ("-t 3 -ar 48000 -ac 6 -c:a libvorbis -q:a 9", "5.1"),
        (
            "-t 3 -ar 44100 -ac 2 -c:a vorbis -strict -2",
            "ffmpeg's own encoder",
        ),
    ] {
        for pages in ["20000", "1000000"] {
            let args = format!("{NOISE} {args} -f ogg -page_duration {pages}");
            same(&ffmpeg(&args, Vec::new()), what);
        }
    }
}

/// Of speech and clicks: short blocks and long ones.
#[test]
fn of_libvorbis() {
    // With some noise: of a stream that is one page ffmpeg does not know the beginning.
    let clicks = "-f lavfi -i aevalsrc=random(0)/9+sin(900*t)*gt(mod(t\\,0.31)\\,0.3):s=44100:d=6";
    for source in [clicks, &format!("{NOISE} -t 6 -ar 22050 -ac 2")] {
        let wav = ffmpeg(&format!("{source} -f wav"), Vec::new());
        for quality in ["-1", "4", "10"] {
            let args = format!("-Q -q {quality} -o - -");
            let stream = run("oggenc", "vorbis-tools", &args, wav.clone());
            same(&stream, &format!("{source} {quality}"));
        }
    }
}

#[test]
fn of_chains() {
    let part = |seconds: &str, title: &str| {
        let args = format!("{NOISE} -t {seconds} -ar 44100 -ac 2 -c:a libvorbis");
        ffmpeg(
            &format!("{args} -metadata title={title} -f ogg"),
            Vec::new(),
        )
    };
    let chains = [part("3", "a"), part("2.5", "b"), part("3", "a")].concat();
    same(&chains, "three titles");
    let twice = [part("3", "a"), part("3", "a")].concat();
    same(&twice, "a title that is set again");
    assert!(read(&canonical(&chains)).iter().any(|page| page.flags == 4));
}
