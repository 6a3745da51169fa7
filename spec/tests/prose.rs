//! `protocol.md` and `requirements.toml` say the same.

use std::collections::BTreeSet;

use icecast_ext_spec::prose::{anchors, ids, paragraphs, without_code, words};
use icecast_ext_spec::{Level, PROTOCOL, requirements};

#[test]
fn ids_are_unique_and_well_formed() {
    let mut seen = BTreeSet::new();
    for requirement in requirements().unwrap() {
        assert_eq!(ids(&requirement.id), [&requirement.id]);
        assert!(
            seen.insert(requirement.id.clone()),
            "{} is listed twice",
            requirement.id
        );
    }
}

#[test]
fn each_requirement_has_one_level_and_it_is_its_key_words() {
    for requirement in requirements().unwrap() {
        let code_free = without_code(&requirement.text);
        let found: Vec<_> = Level::ALL
            .into_iter()
            .filter(|level| words(&code_free).any(|word| word == level.word()))
            .collect();
        assert_eq!(found, [requirement.level], "{}", requirement.id);
    }
}

#[test]
fn each_requirement_stands_once_in_the_text_as_a_sentence_under_its_anchor() {
    let paragraphs = paragraphs(PROTOCOL);
    for requirement in requirements().unwrap() {
        let sentence = format!("{} [{}]", requirement.text, requirement.id);
        let found: Vec<_> = paragraphs
            .iter()
            .filter(|paragraph| paragraph.text.contains(&sentence))
            .collect();
        let [paragraph] = found[..] else {
            panic!(
                "{} stands {} times in protocol.md: {sentence}",
                requirement.id,
                found.len()
            );
        };
        assert_eq!(paragraph.anchor, requirement.anchor, "{}", requirement.id);
        assert!(requirement.text.ends_with('.'), "{}", requirement.id);
        let before = paragraph.text.split(&sentence).next().unwrap().trim_end();
        assert!(
            before.is_empty() || before.ends_with(['.', ':', ']', ')', '*']),
            "{} does not begin a sentence: …{before}",
            requirement.id
        );
    }
}

#[test]
fn nothing_normative_is_without_an_id() {
    let requirements = requirements().unwrap();
    for paragraph in paragraphs(PROTOCOL) {
        let mut rest = paragraph.text.clone();
        for requirement in &requirements {
            rest = rest.replacen(&format!("{} [{}]", requirement.text, requirement.id), "", 1);
        }
        let rest = without_code(&rest);
        for word in words(&rest) {
            assert!(
                Level::ALL.iter().all(|level| level.word() != word),
                "{word} without an id: {rest}"
            );
        }
        assert!(!rest.contains("[R-"), "an id without its sentence: {rest}");
    }
}

#[test]
fn no_id_is_an_orphan() {
    let listed: BTreeSet<_> = requirements().unwrap().into_iter().map(|r| r.id).collect();
    for id in ids(PROTOCOL) {
        assert!(listed.contains(id), "{id} is not in requirements.toml");
    }
}

#[test]
fn links_within_the_text_lead_to_headings() {
    let anchors = anchors(PROTOCOL);
    let unique: BTreeSet<_> = anchors.iter().collect();
    assert_eq!(unique.len(), anchors.len(), "two headings are the same");
    for link in PROTOCOL.split("](#").skip(1) {
        let target = link.split(')').next().unwrap();
        assert!(anchors.iter().any(|a| a == target), "#{target} is nowhere");
    }
}
