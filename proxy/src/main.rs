//! The `icecast-ext` command.
fn main() {}
