//! Whether a head is the protocol's business at all.

use crate::field::{RESUME_ANCHOR, RESUME_OFFSET};

/// Query forms, as they stand in a request line.
const FORMS: [&[u8]; 2] = [b"_resume=", b"_shift="];

/// True if a head, as far as it was read and however malformed it is, asks for something of this protocol: what R-HEAD-1,
/// R-HEAD-2 and R-HEAD-5 bind everybody to.
///
/// ```
/// use icecast_ext_core::head::asks;
///
/// assert!(asks(b"GET /live.mp3 HTTP/9\r\nresume-offset : live"));
/// assert!(asks(b"GET /a/../live.mp3?a=b&_shift=30 HTTP/1.1\r\n\r\n"));
/// assert!(!asks(b"GET /live.mp3 HTTP/1.1\nX: Resume-Offset\n\n"));
/// ```
#[must_use]
pub fn asks(read: &[u8]) -> bool {
    let mut lines = read.split(|byte| matches!(byte, b'\r' | b'\n'));
    let first = lines.next().unwrap_or_default();
    let mut parts = first.split(|byte| matches!(byte, b'?' | b'&')).skip(1);
    let begins = |line: &[u8], name: &str| {
        let start = line.get(..name.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
    };
    parts.any(|part| FORMS.iter().any(|form| part.starts_with(form)))
        || lines.any(|line| begins(line, RESUME_OFFSET) || begins(line, RESUME_ANCHOR))
}
