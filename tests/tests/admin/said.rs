//! What the admin address says, and a proxy that has one.

use super::*;

pub(crate) async fn stage(more: &[&str]) -> (Stage, SocketAddr) {
    let admin = port::free();
    let stage = Stage::proxied(icecast::Setup::default(), |upstream| {
        let mut setup = proxy::Setup::before(upstream);
        let admin = admin.to_string();
        setup.flags = ["--admin", admin.as_str(), "--always", "/live.mp3"]
            .iter()
            .chain(more)
            .map(|flag| (*flag).to_owned())
            .collect();
        setup
    });
    (stage.await.unwrap(), admin)
}

/// What the admin address says; HTTP/1.0, so that nothing comes in chunks.
pub(crate) async fn ask(admin: SocketAddr, target: &str, fields: &str) -> Answer {
    let request = format!("GET {target} HTTP/1.0\r\nHost: {admin}\r\n{fields}\r\n");
    http::raw(admin, request.as_bytes()).await.unwrap()
}

pub(crate) async fn status(admin: SocketAddr) -> Value {
    serde_json::from_slice(&ask(admin, "/status.json", "").await.body).unwrap()
}

/// One mount's part of it.
pub(crate) async fn mount(admin: SocketAddr, name: &str) -> Value {
    let status = status(admin).await;
    let mounts = status["mounts"].as_array().unwrap().iter();
    mounts
        .into_iter()
        .find(|mount| mount["mount"] == name)
        .cloned()
        .unwrap_or_default()
}

pub(crate) async fn metrics(admin: SocketAddr) -> String {
    let answer = ask(admin, "/metrics", "").await;
    assert!(
        answer
            .head
            .get("Content-Type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    answer.text()
}

/// The value of one line, which has to be there.
pub(crate) fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{metrics}"))
        .parse()
        .unwrap()
}

/// By the reference parser, which is strict.
pub(crate) fn parse_strictly(metrics: &str) {
    use std::io::Write as _;
    let program = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
                   print(sum(len(family.samples) for family in parse(sys.stdin.read())))";
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python
        .stdin
        .take()
        .unwrap()
        .write_all(metrics.as_bytes())
        .unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{metrics}");
    let samples: usize = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .unwrap();
    assert!(samples > 50, "{samples} samples");
}

/// Events as they come, from `target` on.
pub(crate) struct Events(Tap);

impl Events {
    pub(crate) async fn open(admin: SocketAddr, target: &str, fields: &str) -> Self {
        let request = format!("GET {target} HTTP/1.0\r\nHost: {admin}\r\n{fields}\r\n");
        let tap = Tap::raw(admin, request.as_bytes()).await.unwrap();
        assert_eq!(tap.head.get("Content-Type"), Some("text/event-stream"));
        Self(tap)
    }

    pub(crate) fn all(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.body()).unwrap_or_default();
        let lines = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        lines
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
            .collect()
    }

    /// The first event of this kind that `is` holds for.
    pub(crate) async fn wait(&self, kind: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_until(&format!("an event {kind}"), SOON, async || {
            self.all()
                .into_iter()
                .find(|event| event["event"] == kind && is(event))
        })
        .await
    }
}
