//! `Range` and `Content-Range` (RFC 9110 section 14).
