//! A mount's directory.

use std::fmt::Write as _;

/// Longest name made; file systems allow 255 bytes.
const MAX: usize = 200;

/// A file name for any mount name: letters, digits, `-` and `_` as they are, the rest as `%XX`, the leading slash left out. A
/// long one is cut and given a checksum. Never empty, never `.` or `..`, never with a slash.
pub(crate) fn directory(mount: &str) -> String {
    let mut name = String::from("m");
    for byte in mount.strip_prefix('/').unwrap_or(mount).bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            // Not in first place, because of the `m`.
            b'.' => name.push('.'),
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(name, "%{byte:02X}");
            }
        }
    }
    if name.len() > MAX {
        name.truncate(MAX - 9);
        let _ = write!(name, "~{:08x}", crc32fast::hash(mount.as_bytes()));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mount_name_leaves_its_place() {
        assert_eq!(directory("/live.mp3"), "mlive.mp3");
        assert_eq!(directory("/../../etc/passwd"), "m..%2F..%2Fetc%2Fpasswd");
        assert_eq!(directory("/"), "m");
        assert_eq!(directory(".."), "m..");
        assert_eq!(directory("/a\0b/%"), "ma%00b%2F%25");
        let long = directory(&"x/".repeat(5000));
        assert_eq!(long.len(), MAX);
        assert_ne!(long, directory(&"x/".repeat(5001)));
    }
}
