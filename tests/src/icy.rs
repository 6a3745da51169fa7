//! Metadata blocks out of a recorded body.

/// A block that was not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title {
    /// Audio bytes that came before it.
    pub at: usize,
    /// Its text without padding.
    pub text: String,
}

impl Title {
    /// `StreamTitle`.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        let from = self.text.find("StreamTitle='")? + "StreamTitle='".len();
        let to = self.text[from..].find("';")? + from;
        Some(&self.text[from..to])
    }

    /// Every (offset, title) that `StreamAt` gives a place, in the block's order.
    #[must_use]
    pub fn placed(&self) -> Vec<(u64, String)> {
        let mut out = Vec::new();
        for part in self.text.split("StreamTitle='").skip(1) {
            let Some((title, rest)) = part.split_once("';") else {
                continue;
            };
            let Some(at) = rest
                .split_once("StreamAt='")
                .and_then(|(_, rest)| rest.split_once('\''))
            else {
                continue;
            };
            if let Ok(at) = at.0.parse() {
                out.push((at, title.to_owned()));
            }
        }
        out
    }
}

/// Audio and blocks of a body whose phase starts with its first byte. An incomplete last block is left out.
///
/// # Panics
/// If `metaint` is zero.
#[must_use]
pub fn split(body: &[u8], metaint: usize) -> (Vec<u8>, Vec<Title>) {
    assert!(metaint > 0, "icy-metaint: 0");
    let mut audio = Vec::with_capacity(body.len());
    let mut titles = Vec::new();
    let mut rest = body;
    loop {
        let take = metaint.min(rest.len());
        audio.extend_from_slice(&rest[..take]);
        rest = &rest[take..];
        let Some((&length, after)) = rest.split_first() else {
            break;
        };
        let length = usize::from(length) * 16;
        if after.len() < length {
            break;
        }
        if length > 0 {
            let text = String::from_utf8_lossy(&after[..length]);
            titles.push(Title {
                at: audio.len(),
                text: text.trim_end_matches('\0').to_owned(),
            });
        }
        rest = &after[length..];
    }
    (audio, titles)
}

/// A block with this text: length byte, text, padding.
#[must_use]
pub fn block(text: &str) -> Vec<u8> {
    let units = text.len().div_ceil(16).min(255);
    let mut out = vec![units as u8];
    out.extend_from_slice(text.as_bytes());
    out.resize(1 + units * 16, 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_blocks_out_of_a_body() {
        let mut body = b"abcd".to_vec();
        body.extend(block(
            "StreamTitle='x; y';StreamAt='7';StreamTitle='w';StreamAt='3';",
        ));
        body.extend(b"efgh\0ij");
        let (audio, titles) = split(&body, 4);
        assert_eq!(audio, b"abcdefghij");
        assert_eq!(titles[0].at, 4);
        assert_eq!(titles[0].title(), Some("x; y"));
        assert_eq!(
            titles[0].placed(),
            [(7, "x; y".to_owned()), (3, "w".to_owned())]
        );
    }
}
