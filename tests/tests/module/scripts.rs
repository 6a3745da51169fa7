//! Programs that Icecast starts.

use super::*;

/// Writes down what it was given: arguments, environment, descriptors.
const SCRIPT: &str = r#"#!/bin/sh
out="${0%/*}/said-${0##*/}"
exec >"$out.part"
echo "arguments: $*"
env | sed 's/^\([A-Za-z_0-9]*\)=.*/\1/' | grep -v '^_$' | sort
for each in /proc/self/fd/*; do readlink "$each"; done | grep -c socket:
mv "$out.part" "$out"
"#;

const SCRIPTS: &str = "<on-connect>{dir}/connect</on-connect>\
    <on-disconnect>{dir}/disconnect</on-disconnect>";

#[tokio::test(flavor = "multi_thread")]
async fn scripts_run_as_they_always_did() {
    twice("scripts", async |run| {
        let script = |name: &str| (name.to_owned(), SCRIPT.as_bytes().to_vec());
        let setup = Setup {
            more: mount("/a.mp3", SCRIPTS),
            files: vec![script("connect"), script("disconnect")],
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let said = async |name: &str| {
            let file = format!("said-{name}");
            wait_for(&file, SOON, || icecast.file(&file).exists()).await;
            icecast.read(&file)
        };
        let mut seen = Seen::new();
        let a = Air::at(icecast.addr(), "/a.mp3", 1).await;
        let connect = said("connect").await;
        seen.is("connect", &connect);
        let tap = hear(&icecast, "/a.mp3").await;
        tap.wait_more(RATE, SOON).await;
        drop(a);
        seen.is("end", format!("{:?}", tap.wait_end(SOON).await));
        let disconnect = said("disconnect").await;
        seen.is("disconnect", disconnect.lines().next().unwrap());
        seen.is("streams", heard(&tap));
        let preload = connect.contains("LD_PRELOAD");
        seen.in_short(format!("both ran, LD_PRELOAD: {preload}"));
        run.end(icecast, seen)
    })
    .await;
}
