use std::io;
use std::path::Path;
use std::sync::Arc;

use icecast_ext_client::trust;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
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

/// What a handshake between the two comes to, at the client.
fn handshake(client: rustls::ClientConfig, name: &str, files: &CertificateFiles) -> io::Result<()> {
    let chain = CertificateDer::pem_file_iter(&files.chain).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            chain.map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_file(&files.key).unwrap(),
        )
        .unwrap();
    let (mut ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let server = std::thread::spawn(move || {
        let mut server = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let _ = server.complete_io(&mut theirs);
    });
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
    let shaken = client.complete_io(&mut ours);
    drop(ours);
    server.join().unwrap();
    shaken.map(drop)
}

#[test]
fn an_upstream_is_trusted_by_its_authority_and_name_or_by_itself_and_else_it_is_said_what_to_do() {
    let dir = TempDir::new().unwrap();
    let authority_key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&authority_key).unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let issuer = Issuer::new(parameters.clone(), authority_key);
    let signed = |file: &str, years: i32| {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(years, 1, 1);
        let files = CertificateFiles {
            chain: dir.path().join(format!("{file}.pem")),
            key: dir.path().join(format!("{file}.key")),
        };
        let made = parameters.signed_by(&key, &issuer).unwrap();
        std::fs::write(&files.chain, made.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    };
    let (good, old) = (signed("good", 4000), signed("old", 2020));
    let (own, _) = write(dir.path(), "own", &["b.example"]);
    // As `openssl req -x509` makes it: an authority, without a name.
    let by_hand = CertificateFiles {
        chain: ca.clone(),
        key: dir.path().join("ca.key"),
    };
    std::fs::write(&by_hand.key, issuer.key().serialize_pem()).unwrap();
    let tried = |ca: &Path, name: &str, server: &CertificateFiles| {
        let client = trust::config(Some(ca)).unwrap();
        handshake(client, name, server)
            .err()
            .map(|error| trust::remedy(&error, name, "upstream-ca").unwrap())
    };
    for (ca, name, server, says) in [
        (&ca, "a.example", &good, None),
        (&ca, "b.example", &good, Some("not for b.example")),
        (&ca, "a.example", &old, Some("has ended")),
        (&ca, "b.example", &own, Some("into upstream-ca")),
        (&own.chain, "b.example", &own, None),
        (&own.chain, "other.example", &own, None),
        (&own.chain, "a.example", &good, Some("into upstream-ca")),
        (&ca, "c.example", &by_hand, None),
    ] {
        let said = tried(ca, name, server);
        match says {
            None => assert_eq!(said, None, "{name} {server:?}"),
            Some(says) => assert!(said.as_ref().unwrap().contains(says), "{said:?}"),
        }
    }
    let error = trust::config(Some(&good.key)).unwrap_err();
    assert!(error.to_string().contains("no certificate"), "{error:#}");
}
