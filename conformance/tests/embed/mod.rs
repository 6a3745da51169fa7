//! The C library and its examples, as `ffi/embed/install` makes them.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test's own set-up may stop the test, and not every test uses all of it"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the library is installed: as the environment says, or under `target`.
pub(crate) fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        if let Some(given) = std::env::var_os("ICECAST_EXT_EMBED") {
            return given.into();
        }
        let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embed");
        let install = folder().join("install");
        assert!(
            Command::new(install)
                .arg(&prefix)
                .status()
                .unwrap()
                .success()
        );
        prefix
    })
}

/// `ffi/embed`.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ffi/embed")
}

/// An example, compiled into `folder`.
pub(crate) fn compile(name: &str, into: &Path) -> PathBuf {
    let (program, library) = (into.join(name), prefix().join("lib"));
    let built = Command::new("cc")
        .arg("-O2")
        .arg("-o")
        .arg(&program)
        .arg(folder().join(format!("examples/{name}.c")))
        .arg("-I")
        .arg(prefix().join("include"))
        .arg("-L")
        .arg(&library)
        .arg("-licecast_ext")
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .status();
    assert!(built.unwrap().success());
    program
}
