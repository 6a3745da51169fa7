//! Relay frames, right and wrong: written from the specification, without the product's help.

/// A variable-length integer (RFC 9000 section 16).
#[must_use]
pub fn varint(n: u64) -> Vec<u8> {
    match n {
        0..=0x3f => vec![n as u8],
        0x40..=0x3fff => (n as u16 | 0x4000).to_be_bytes().to_vec(),
        0x4000..=0x3fff_ffff => (n as u32 | 0x8000_0000).to_be_bytes().to_vec(),
        _ => (n | 0xc000_0000_0000_0000).to_be_bytes().to_vec(),
    }
}

/// Any frame.
#[must_use]
pub fn frame(kind: u64, value: &[u8]) -> Vec<u8> {
    [varint(kind), varint(value.len() as u64), value.to_vec()].concat()
}

/// FORMAT of an MP3 from a parent that may be silent for 20 s.
#[must_use]
pub fn format(epoch: &[u8; 16], at: u64) -> Vec<u8> {
    let fields = b"Content-Type: audio/mpeg\r\n".to_vec();
    frame(
        0,
        &[epoch.to_vec(), varint(at), varint(20_000), fields].concat(),
    )
}

/// PRELUDE.
#[must_use]
pub fn prelude(at: u64, bytes: &[u8]) -> Vec<u8> {
    frame(1, &[varint(at), bytes.to_vec()].concat())
}

/// DATA.
#[must_use]
pub fn data(at: u64, bytes: &[u8]) -> Vec<u8> {
    frame(2, &[varint(at), bytes.to_vec()].concat())
}

/// TITLE.
#[must_use]
pub fn title(at: u64, text: &str) -> Vec<u8> {
    frame(3, &[varint(at), text.as_bytes().to_vec()].concat())
}

/// TIME.
#[must_use]
pub fn time(at: u64, ms: u64) -> Vec<u8> {
    frame(4, &[varint(at), varint(ms)].concat())
}

/// KEEPALIVE.
#[must_use]
pub fn keepalive(next: u64) -> Vec<u8> {
    frame(5, &varint(next))
}

/// SPLICE.
#[must_use]
pub fn splice(declared: bool, end: u64, epoch: &[u8; 16], at: u64) -> Vec<u8> {
    let flags = vec![u8::from(declared)];
    frame(
        6,
        &[flags, varint(end), epoch.to_vec(), varint(at)].concat(),
    )
}

/// The head of a feed that starts at an offset.
#[must_use]
pub fn head(epoch: &str, at: u64) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/vnd.icecast-ext.relay\r\n\
         Stream-Offset: {at};epoch=\"{epoch}\";prelude=0\r\n\
         Stream-Window: first=0, next={at}, epoch=\"{epoch}\"\r\n\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_specifications_example() {
        let epoch = [
            0xab, 0xcd, 0xef, 0x12, 0x34, 0x56, 0x78, 0x90, 0xab, 0xcd, 0xef, 0x12, 0x34, 0x56,
            0x78, 0x90,
        ];
        let format = format(&epoch, 1000);
        assert_eq!(format[..2], [0, 0x30]);
        assert_eq!(format[18..22], [0x43, 0xe8, 0x80, 0]);
        assert_eq!(
            time(1000, 1_760_000_000_000)[4..],
            [0xc0, 0, 1, 0x99, 0xc8, 0x2c, 0xc0, 0]
        );
        assert_eq!(data(1000, b"abcd")[..4], [2, 6, 0x43, 0xe8]);
    }
}
