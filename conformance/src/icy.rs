//! Bodies with ICY blocks, and the texts in the blocks.

/// A body taken apart.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pieces {
    /// The bytes of the stream.
    pub audio: Vec<u8>,
    /// Each whole block: how many bytes of audio stand before it, and its text without padding.
    pub blocks: Vec<(usize, Vec<u8>)>,
    /// The body ends within a block.
    pub in_block: bool,
}

/// Takes a body apart that has a block after each `metaint` bytes.
#[must_use]
pub fn split(body: &[u8], metaint: usize) -> Pieces {
    let mut out = Pieces::default();
    let mut rest = body;
    loop {
        let audio = rest.len().min(metaint);
        out.audio.extend_from_slice(&rest[..audio]);
        rest = &rest[audio..];
        let Some((length, after)) = rest.split_first() else {
            return out;
        };
        let length = usize::from(*length) * 16;
        if after.len() < length {
            out.in_block = true;
            return out;
        }
        let text = &after[..length];
        let text = &text[..text
            .iter()
            .rposition(|octet| *octet != 0)
            .map_or(0, |last| last + 1)];
        out.blocks.push((out.audio.len(), text.to_vec()));
        rest = &after[length..];
    }
}

/// The `StreamTitle` of a text, and the `StreamAt` that belongs to it, in the order of the text.
#[must_use]
pub fn titles(text: &[u8]) -> Vec<(Vec<u8>, Option<u64>)> {
    let mut out: Vec<(Vec<u8>, Option<u64>)> = Vec::new();
    for (key, value) in pairs(text) {
        match &key[..] {
            b"StreamTitle" => out.push((value, None)),
            b"StreamAt" => {
                if let (Some(last), Ok(value)) = (out.last_mut(), String::from_utf8(value)) {
                    last.1 = value.parse().ok().filter(|_| value.len() <= 15);
                }
            }
            _ => {}
        }
    }
    out
}

/// `key='value';`, where a value ends at the first `';` after which the text ends or another key begins.
#[must_use]
pub fn pairs(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(length) = key(rest) {
        let after = &rest[length + 2..];
        let ends = |at: usize| {
            let behind = &after[at + 2..];
            behind.is_empty() || key(behind).is_some()
        };
        let end = (0..after.len().saturating_sub(1))
            .find(|at| after[*at..].starts_with(b"';") && ends(*at));
        let Some(end) = end else { break };
        out.push((rest[..length].to_vec(), after[..end].to_vec()));
        rest = &after[end + 2..];
    }
    out
}

/// The length of a key with which a text begins, if `='` follows.
fn key(text: &[u8]) -> Option<usize> {
    let length = text
        .iter()
        .take_while(|c| c.is_ascii_alphanumeric() || **c == b'_')
        .count();
    ((1..=32).contains(&length) && text[length..].starts_with(b"='")).then_some(length)
}

/// A block: its length octet, the text, and zeros.
#[must_use]
pub fn block(text: &[u8]) -> Vec<u8> {
    let text = &text[..text.len().min(4080)];
    let units = text.len().div_ceil(16);
    let mut out = vec![u8::try_from(units).unwrap_or(u8::MAX)];
    out.extend_from_slice(text);
    out.resize(1 + units * 16, 0);
    out
}

#[cfg(test)]
mod tests {
    use icecast_ext_spec::vector;

    use super::*;

    #[test]
    fn takes_bodies_apart_as_the_vectors_say() {
        for case in vector::parse().unwrap().icy_body {
            let body = case.input.hex.hex().unwrap();
            let pieces = split(&body, case.input.metaint as usize);
            let expected = case.expect.unwrap();
            assert_eq!(pieces.audio, expected.audio.hex().unwrap(), "{}", case.id);
            assert_eq!(pieces.in_block, expected.in_block, "{}", case.id);
            let blocks: Vec<_> = pieces
                .blocks
                .into_iter()
                .filter(|(_, text)| !text.is_empty())
                .collect();
            let expected: Vec<_> = expected
                .blocks
                .iter()
                .map(|(at, text)| (usize::try_from(*at).unwrap(), text.octets().unwrap()))
                .collect();
            assert_eq!(blocks, expected, "{}", case.id);
        }
    }

    #[test]
    fn reads_texts_as_the_vectors_say() {
        for case in vector::parse().unwrap().icy_text {
            let octets: Vec<u8> = case
                .input
                .chars()
                .map(|c| u8::try_from(c).unwrap())
                .collect();
            let read: Vec<_> = titles(&octets)
                .into_iter()
                .map(|(title, at)| (crate::http::latin(&title), at))
                .collect();
            let expected: Vec<_> = case
                .expect
                .unwrap()
                .into_iter()
                .map(|named| (named.title, named.at))
                .collect();
            assert_eq!(read, expected, "{}", case.id);
        }
    }

    #[test]
    fn blocks_come_back() {
        let body = [
            &b"abcd"[..],
            &block(b"StreamTitle='x';"),
            b"efgh",
            &block(b""),
            b"i",
        ]
        .concat();
        let pieces = split(&body, 4);
        assert_eq!(pieces.audio, b"abcdefghi");
        assert_eq!(
            pieces.blocks,
            [(4, b"StreamTitle='x';".to_vec()), (8, Vec::new())]
        );
    }
}
