//! The library, installed under a prefix, and the examples.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where it was installed: as the environment says, or under `target`.
pub(crate) fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        if let Some(given) = std::env::var_os("ICECAST_EXT_EMBED") {
            return given.into();
        }
        let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embed");
        run(Command::new(embed().join("install")).arg(&prefix));
        prefix
    })
}

/// `ffi/embed`.
pub(crate) fn embed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ffi/embed")
}

/// The shared object.
pub(crate) fn object() -> PathBuf {
    prefix().join("lib/libicecast_ext.so")
}

/// What a command prints.
///
/// # Panics
/// If it fails.
pub(crate) fn run(command: &mut Command) -> String {
    let done = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(done.status.success(), "{command:?}: {out}{err}");
    out.into_owned()
}

/// How a program is linked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Link {
    Shared,
    /// The library is in the program.
    Static,
}

/// What pkg-config says of the library.
pub(crate) fn flags(of: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"));
    run(command.args(of).arg("icecast_ext"))
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// Compiles C without a warning.
pub(crate) fn compile(source: &Path, out: &Path, link: Link, more: &[&str]) {
    let mut command = Command::new("cc");
    command.args([
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-o",
    ]);
    command.arg(out).arg(source).args(more);
    match link {
        Link::Shared => {
            command.args(flags(&["--cflags", "--libs"]));
            command.arg(format!("-Wl,-rpath,{}", prefix().join("lib").display()));
        }
        Link::Static => {
            command
                .args(flags(&["--cflags"]))
                .arg(prefix().join("lib/libicecast_ext.a"));
            let private = flags(&["--static", "--libs-only-other", "--libs-only-l"]);
            command.args(private.iter().filter(|flag| *flag != "-licecast_ext"));
            command.args(["-static-libgcc", "-Wl,--gc-sections"]);
        }
    }
    run(&mut command);
}

/// An example, compiled.
pub(crate) fn example(name: &str, link: Link) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("{name}-{link:?}-{}", std::process::id()));
    compile(
        &embed().join(format!("examples/{name}.c")),
        &out,
        link,
        &["-O2"],
    );
    out
}
