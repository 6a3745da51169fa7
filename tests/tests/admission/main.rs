//! Who may listen: a real Icecast with password files and URL hooks, behind each kind of admission.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot be had fails the test"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use icecast_ext_tests::hooks::Hooks;
use icecast_ext_tests::http::{self, basic, request};
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::source::Streaming;
use icecast_ext_tests::stage::{RATE, noise};
use icecast_ext_tests::tap::{End, Tap};
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::{wait_for, wait_until};

use tokio::task::JoinSet;

mod bounds;
mod judged;
mod shadow;
mod verdict;

const SOON: Duration = Duration::from_secs(15);
/// bob:secret and pull:secret, MD5 in hexadecimal, as Icecast wants it.
const USERS: &str = "bob:5ebe2294ecd0e0f08eab7690d2a6ee69\npull:5ebe2294ecd0e0f08eab7690d2a6ee69\n";
const PULL: &str = "pull:secret";

/// Icecast with mounts that are protected in two ways and served in three, and a proxy in front.
struct Stage {
    icecast: Icecast,
    proxy: Proxy,
    hooks: Hooks,
    sources: Vec<(String, Streaming)>,
}

impl Stage {
    /// `mounts`: path, elements of its `<mount>` (`HOOKS` and `USERS` stand for the two authenticators), lines of its table.
    async fn new(mounts: &[(&str, &str, &str)]) -> Self {
        let hooks = Hooks::start("bob", "secret").await.unwrap();
        hooks.admit("pull", "secret");
        let users = "<authentication type=\"htpasswd\"><option name=\"filename\" value=\"{dir}/users\"/>\
                     <option name=\"allow_duplicate_users\" value=\"0\"/></authentication>";
        let (mut more, mut config) = (String::new(), String::new());
        for (path, elements, table) in mounts {
            let elements = elements
                .replace("HOOKS", &hooks.authentication())
                .replace("USERS", users);
            more += &format!(
                "<mount type=\"normal\"><mount-name>{path}</mount-name>{elements}</mount>"
            );
            config += &format!("[mount.\"{path}\"]\n{table}\n");
        }
        let setup = icecast::Setup {
            more,
            ..icecast::Setup::default()
        };
        let icecast = Icecast::with(setup).await.unwrap();
        std::fs::write(icecast.file("users"), USERS).unwrap();
        let mut sources = Vec::new();
        for (i, (path, ..)) in mounts.iter().enumerate() {
            let source = noise(icecast.addr(), path, i as u64).await.unwrap();
            sources.push(((*path).to_owned(), source));
        }
        for (path, ..) in mounts {
            icecast.wait_mount(path).await;
        }
        let setup = proxy::Setup {
            config,
            ..proxy::Setup::before(icecast.addr())
        };
        let proxy = Proxy::with(setup).await.unwrap();
        Self {
            icecast,
            proxy,
            hooks,
            sources,
        }
    }

    /// What the source of a mount has sent.
    fn sent(&self, mount: &str) -> Vec<u8> {
        let mut sources = self.sources.iter();
        sources.find(|(path, _)| path == mount).unwrap().1.sent()
    }
}

/// What a refusal says to a listener.
fn refusal(answer: &http::Answer) -> (u16, String, Option<String>, String) {
    let head = &answer.head;
    (
        head.status,
        head.reason.clone(),
        head.get("WWW-Authenticate").map(str::to_owned),
        answer.text(),
    )
}

fn place_fields(head: &http::Head) -> Vec<&(String, String)> {
    let ours = |(name, _): &&(String, String)| name.to_ascii_lowercase().starts_with("stream-");
    head.fields.iter().filter(ours).collect()
}

/// Whether two lengths of time are the same to a server that counts whole seconds.
fn about(a: Duration, b: Duration) -> bool {
    a.abs_diff(b) <= Duration::from_millis(1500)
}

/// A listener of the shadow tests: one user and one agent each, so that the hooks can be told apart.
struct Who<'a> {
    user: &'a str,
    auth: String,
}

impl<'a> Who<'a> {
    fn new(user: &'a str) -> Self {
        Self {
            user,
            auth: basic(user, "secret"),
        }
    }

    async fn join(&self, addr: SocketAddr, mount: &str, resume: Option<&str>) -> Tap {
        let mut fields = vec![
            ("Authorization", self.auth.as_str()),
            ("User-Agent", self.user),
        ];
        fields.extend(resume.map(|resume| ("Resume-Offset", resume)));
        Tap::open(addr, mount, &fields).await.unwrap()
    }
}
