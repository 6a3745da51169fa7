//! What the client costs a radio: bytes of code, bytes of memory.

use std::path::Path;
use std::process::Command;

use crate::built::{Link, compile, prefix, run};
use icecast_ext_tests::child::Scratch;

/// All that a player calls.
const CLIENT: &str = r#"
#include <icecast_ext.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    struct icecast_ext_client_options options = {.size = sizeof options};
    struct icecast_ext_client_step step = {.size = sizeof step};
    struct icecast_ext_client_event event = {.size = sizeof event};
    struct icecast_ext_client_stats stats = {.size = sizeof stats};
    struct icecast_ext_client *client;
    size_t taken;
    if (icecast_ext_init(ICECAST_EXT_ABI) < 0 || icecast_ext_client_options_init(&options) < 0)
        return 1;
    options.relays = (const char *const *)(argv + 1);
    options.relay_count = (size_t)(argc - 1);
    options.history = 0, options.max_prelude = 16384, options.max_relays = 4, options.max_url = 256;
    if (icecast_ext_client_new(&options, &client) < 0)
        return printf("%s\n", icecast_ext_last_error());
    icecast_ext_client_poll(client, 0, &step);
    icecast_ext_client_received(client, 0, (const uint8_t *)"", 0, &taken);
    icecast_ext_client_closed(client, 0);
    icecast_ext_client_failed(client, 0, NULL);
    icecast_ext_client_event(client, &event);
    icecast_ext_client_stats(client, &stats);
    printf("%zu\n", stats.memory);
    return icecast_ext_client_free(client);
}
"#;

fn bytes(program: &Path) -> u64 {
    let out = run(Command::new("size").arg(program));
    let line = out.lines().nth(1).expect("a line");
    let columns: Vec<u64> = line
        .split_whitespace()
        .take(3)
        .map(|n| n.parse().unwrap())
        .collect();
    // Code and constants, and data that is not zero.
    columns[0] + columns[1]
}

#[test]
fn the_client_is_small_enough_for_a_radio() {
    let scratch = Scratch::new("size").unwrap();
    let (with, without) = (scratch.file("with.c"), scratch.file("without.c"));
    std::fs::write(&with, CLIENT).unwrap();
    std::fs::write(
        &without,
        "#include <stdio.h>\nint main(void) { return printf(\"%zu\\n\", (size_t)0) < 0; }\n",
    )
    .unwrap();
    let out = |name: &str| scratch.file(name);
    compile(&with, &out("with"), Link::Static, &["-Os", "-s"]);
    compile(&without, &out("without"), Link::Static, &["-Os", "-s"]);
    let code = bytes(&out("with")) - bytes(&out("without"));
    let shared = bytes(&prefix().join("lib/libicecast_ext.so"));
    let memory: u64 = run(Command::new(out("with")).arg("http://a/live"))
        .trim()
        .parse()
        .unwrap();
    eprintln!("client: {code} bytes of code, {memory} of memory; the whole library: {shared}");
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/players.md"))
            .unwrap();
    let told = |what: &str| {
        let line = page
            .lines()
            .find(|line| line.starts_with(&format!("| {what} |")))
            .unwrap_or_else(|| panic!("docs/players.md says nothing of {what}"));
        let number = line
            .split('|')
            .nth(2)
            .unwrap()
            .trim()
            .trim_end_matches(" KiB");
        number.parse::<u64>().unwrap() * 1024
    };
    assert!(code <= told("Code of the client, linked in"), "{code}");
    assert!(memory <= told("Memory of a radio's client"), "{memory}");
    assert!(shared <= told("Code of the whole library"), "{shared}");
}
