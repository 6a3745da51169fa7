//! The header is what the code says.

use std::path::Path;

#[test]
fn the_header_that_is_committed_is_the_one_that_the_code_makes() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(here.join("cbindgen.toml")).expect("cbindgen.toml");
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(here.join("src/lib.rs"))
        .generate();
    let mut made = Vec::new();
    bindings.expect("a header").write(&mut made);
    let made = String::from_utf8(made).expect("UTF-8");
    // What Rust calls safety is, in C, about pointers.
    let made = made.replace("# Safety\n", "Pointers:\n");
    let place = here.join("icecast_ext.h");
    if std::env::var_os("ICECAST_EXT_BLESS").is_some() {
        std::fs::write(&place, &made).expect("written");
    }
    let held = std::fs::read_to_string(&place).expect("icecast_ext.h");
    assert!(
        held == made,
        "icecast_ext.h is not what the code makes: ICECAST_EXT_BLESS=1 cargo test -p icecast-ext-embed --test header"
    );
}
