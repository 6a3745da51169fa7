//! mpv: it plays, and records what it has taken from the stream.

use super::{Family, PLAIN, words};

/// It shows a title when it is heard, not when it comes.
pub const MPV: Family = Family {
    name: "mpv",
    program: "mpv",
    args: |wish| {
        let record = format!("--stream-record={}.mp3", wish.file());
        let mut args = words(&[
            "--no-config",
            "--ao=null",
            "--vo=null",
            "--no-input-terminal",
        ]);
        args.extend(words(&[
            "--term-status-msg=",
            "--msg-level=ffmpeg=v",
            &record,
        ]));
        if !wish.icy {
            // It asks by default.
            args.push("--stream-lavf-o=icy=0".to_owned());
        }
        args.push(wish.url.to_owned());
        args
    },
    prepare: |wish| {
        // The format that it records in is chosen by the name.
        std::os::unix::fs::symlink("heard.mp3", wish.file())
    },
    own,
    title: Some("icy-title: "),
    ..PLAIN
};

/// It writes an ID3 tag, and a frame without sound that is to say how long the file is.
fn own(bytes: &[u8]) -> usize {
    let Some(tag) = bytes.get(..10).filter(|tag| tag.starts_with(b"ID3")) else {
        return 0;
    };
    let size = tag[6..].iter();
    let tag = 10 + size.fold(0, |size, &byte| size << 7 | usize::from(byte));
    let Some(head) = bytes.get(tag..tag + 64) else {
        return bytes.len();
    };
    if memchr::memmem::find(head, b"Xing").is_none() {
        return tag;
    }
    // Its length is in its head, but whose bit rate that is, is mpv's secret: the next frame says where it ends.
    let sync = [0xff, head[1]];
    let next = memchr::memmem::find(&bytes[tag + 4..], &sync);
    next.map_or(bytes.len(), |next| tag + 4 + next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_bytes_are_told_from_the_streams() {
        let mut file = b"ID3\x04\0\0\0\0\0\x02xx\xff\xfb\x90\0".to_vec();
        file.extend([0; 32]);
        file.extend(b"Xing");
        file.extend([0; 100]);
        let own_len = file.len();
        file.extend(b"\xff\xfb\x92\x64stream");
        assert_eq!(own(&file), own_len);
        assert_eq!(own(b"\xff\xfb\x92\x64stream"), 0);
    }
}
