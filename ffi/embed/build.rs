//! Names the shared object, as loaders know it, and spares it a dependency.

use std::env::var;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libicecast_ext.so.1");
    if var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("gnu") {
        return;
    }
    // What unwinds a panic is asked for as libgcc_s.so, which not every radio has: the same code is in libgcc_eh.a. A linker takes a
    // text for a library, and this one is found first.
    let out = PathBuf::from(var("OUT_DIR").expect("cargo names it"));
    std::fs::write(out.join("libgcc_s.so"), "GROUP ( -lgcc_eh -lgcc )\n")
        .expect("OUT_DIR can be written to");
    println!("cargo::rustc-link-search=native={}", out.display());
}
