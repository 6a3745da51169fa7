//! What the code calls a requirement is one.
#![expect(
    clippy::unwrap_used,
    reason = "a test's own file walk may stop the test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use icecast_ext_spec::prose::ids;
use icecast_ext_spec::requirements;

#[test]
fn every_id_in_the_code_is_a_requirement() {
    let listed: BTreeSet<_> = requirements().unwrap().into_iter().map(|r| r.id).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    rust_files(root, &mut files);
    assert!(files.len() > 10, "only {} files", files.len());
    let own = Path::new("spec").join("src").join("prose.rs");
    let mut unknown = Vec::new();
    for file in files.iter().filter(|file| !file.ends_with(&own)) {
        let text = fs::read_to_string(file).unwrap();
        for id in ids(&text).into_iter().filter(|id| !listed.contains(*id)) {
            unknown.push(format!("{}: {id}", file.display()));
        }
    }
    assert_eq!(unknown, [""; 0]);
}

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                rust_files(&path, out);
            }
        } else if name.ends_with(".rs") {
            out.push(path);
        }
    }
}
