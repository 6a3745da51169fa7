use std::path::Path;

use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use super::certificates::Certificates;
use super::table::Table;
use crate::config::CertificateFiles;

/// Writes a certificate for these names and its key, as NAME.pem and NAME.key.
fn write(dir: &Path, file: &str, names: &[&str]) -> (CertificateFiles, CertificateDer<'static>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let files = CertificateFiles {
        chain: dir.join(format!("{file}.pem")),
        key: dir.join(format!("{file}.key")),
    };
    std::fs::write(&files.chain, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    (files, made.cert.der().clone())
}

fn chosen(table: &Table, name: Option<&str>) -> CertificateDer<'static> {
    let schemes = [rustls::SignatureScheme::ECDSA_NISTP256_SHA256];
    table.choose(name, &schemes).unwrap().cert[0].clone()
}

#[test]
fn a_name_has_its_certificate_a_wildcard_one_label_and_the_rest_the_first() {
    let dir = TempDir::new().unwrap();
    let (a, first) = write(dir.path(), "a", &["radio.example"]);
    let (b, second) = write(dir.path(), "b", &["*.Other.example", "other.example"]);
    let table = Table::read(&[a, b]).unwrap();
    for (name, certificate) in [
        (None, &first),
        (Some("radio.example"), &first),
        (Some("unknown.example"), &first),
        (Some("live.other.example"), &second),
        (Some("LIVE.other.EXAMPLE"), &second),
        (Some("other.example"), &second),
        (Some("a.live.other.example"), &first),
        (Some("com"), &first),
    ] {
        assert_eq!(&chosen(&table, name), certificate, "{name:?}");
    }
}

#[test]
fn an_error_says_which_file_and_what_to_do() {
    let dir = TempDir::new().unwrap();
    let (good, _) = write(dir.path(), "good", &["a"]);
    let (other, _) = write(dir.path(), "other", &["b"]);
    let text = dir.path().join("text");
    std::fs::write(&text, "no PEM\n").unwrap();
    let files = |chain: &Path, key: &Path| CertificateFiles {
        chain: chain.into(),
        key: key.into(),
    };
    let missing = dir.path().join("missing.pem");
    for (files, says) in [
        (files(&missing, &good.key), "missing.pem: No such file"),
        (files(&text, &good.key), "no certificate as PEM"),
        (files(&good.chain, &text), "no key as PEM"),
        (files(&good.chain, &good.chain), "no key as PEM"),
        (files(&good.chain, &other.key), "other.key is not the key"),
    ] {
        let error = format!("{:#}", Table::read(&[files]).unwrap_err());
        assert!(error.contains(says), "{error}");
    }
    assert!(Table::read(&[]).is_err());
}

#[test]
fn changed_files_are_taken_when_they_are_whole_and_bad_ones_are_not() {
    let dir = TempDir::new().unwrap();
    let (files, before) = write(dir.path(), "a", &["a"]);
    let certificates = Certificates::load(std::slice::from_ref(&files)).unwrap();
    let in_use = || certificates.in_use(Some("a"));
    assert_eq!(in_use(), before);
    let look = |times| (0..times).for_each(|_| certificates.look());
    std::fs::write(&files.key, "half of a key").unwrap();
    look(3);
    assert_eq!(in_use(), before, "what is bad is not taken");
    let (_, after) = write(dir.path(), "a", &["a"]);
    look(1);
    assert_eq!(in_use(), before, "it may not be whole yet");
    look(3);
    assert_eq!(in_use(), after);
    std::fs::remove_file(&files.chain).unwrap();
    assert!(!certificates.reload(&[files]));
    assert_eq!(in_use(), after);
}
