//! Who may listen: a real Icecast with password files and URL hooks, behind each kind of admission.

use std::net::SocketAddr;
use std::time::Duration;

use icecast_ext_tests::hooks::Hooks;
use icecast_ext_tests::http::{self, basic, request};
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::source::Streaming;
use icecast_ext_tests::stage::{RATE, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;

use tokio::task::JoinSet;

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

    /// A listener at the proxy.
    async fn open(&self, mount: &str, fields: &[(&str, &str)]) -> Tap {
        Tap::open(self.proxy.addr(), mount, fields).await.unwrap()
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

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_is_let_in_or_refused_as_at_icecast() {
    let modes = ["fanout", "verdict", "shadow"];
    let mut mounts = Vec::new();
    for kind in ["USERS", "HOOKS"] {
        for mode in modes {
            let path = format!("/{}-{mode}.mp3", kind.to_lowercase());
            let table = format!("admission = \"{mode}\"\npull-credentials = \"{PULL}\"");
            mounts.push((path, kind, table));
        }
    }
    // Protected without credentials: tunnelled. With credentials: a shadow.
    mounts.push(("/none.mp3".into(), "HOOKS", String::new()));
    mounts.push((
        "/default.mp3".into(),
        "HOOKS",
        format!("pull-credentials = \"{PULL}\""),
    ));
    let rows: Vec<_> = mounts
        .iter()
        .map(|(path, kind, table)| (path.as_str(), *kind, table.as_str()))
        .collect();
    let stage = Stage::new(&rows).await;
    let (direct, proxied) = (stage.icecast.addr(), stage.proxy.addr());
    let mut checks = JoinSet::new();
    for (path, ..) in &mounts {
        checks.spawn(check(path.clone(), direct, proxied));
    }
    while let Some(checked) = checks.join_next().await {
        let (path, heard) = checked.unwrap();
        assert!(
            find(&stage.sent(&path), &heard).is_some(),
            "{path}: other bytes"
        );
    }
    let log = stage.proxy.log();
    assert!(!log.contains("secret") && !log.contains("Ym9i"), "{log}");
}

/// The matrix of one mount; what a listener heard across a resume.
async fn check(path: String, direct: SocketAddr, proxied: SocketAddr) -> (String, Vec<u8>) {
    let bob = basic("bob", "secret");
    let right = ("Authorization", bob.as_str());
    let wrong = basic("bob", "guess");
    let wrong = ("Authorization", wrong.as_str());
    let opened = path.contains("fanout");
    let aware = path != "/none.mp3";
    let open = async |fields: &[(&str, &str)]| Tap::open(proxied, &path, fields).await.unwrap();

    // Right: a join, and a resume that goes on where it was, with the session, while the same user may not log in twice.
    let join = open(&[right, ("Resume-Offset", "live")]).await;
    assert_eq!(join.head.status, 200, "{path}");
    assert_eq!(join.head.place().is_some(), aware, "{path}");
    join.wait_len(RATE, SOON).await;
    let mut heard = join.audio();
    let place = join.head.place();
    drop(join);
    if let Some(place) = &place {
        let at = format!(
            "{};session=\"{}\"",
            place.resume(heard.len() as u64),
            place.session.as_deref().unwrap_or_default()
        );
        let resumed = open(&[right, ("Resume-Offset", &at)]).await;
        assert_eq!(resumed.head.status, 200, "{path}: {:?}", resumed.head);
        let again = resumed.head.place().unwrap();
        assert_eq!(again.offset, place.offset + heard.len() as u64, "{path}");
        resumed.wait_len(RATE, SOON).await;
        heard.extend(resumed.audio());
    }

    // Wrong, or none: as Icecast says it, and nothing of ours, whatever position is asked for.
    let known = place.map_or_else(|| "live".to_owned(), |place| place.resume(1));
    let evicted = known
        .split_once(';')
        .map_or("live".to_owned(), |(_, epoch)| {
            format!("0;{epoch};miss=fail")
        });
    let ahead = known
        .split_once(';')
        .map_or("live".to_owned(), |(_, epoch)| {
            format!("99999999999;{epoch};miss=fail")
        });
    for credentials in [None, Some(wrong)] {
        let fields: Vec<_> = credentials.into_iter().collect();
        let refused = http::get(direct, &path, &fields).await.unwrap();
        for resume in [
            "live",
            &known,
            &evicted,
            &ahead,
            "5;epoch=\"AAAAAAAAAAAAAAAAAAAAAA\";miss=fail",
        ] {
            let mut fields = fields.clone();
            fields.push(("Resume-Offset", resume));
            if opened {
                if resume == "live" || resume == known {
                    assert_eq!(open(&fields).await.head.status, 200, "{path}");
                }
                continue;
            }
            let answer = http::get(proxied, &path, &fields).await.unwrap();
            assert_eq!(refusal(&answer), refusal(&refused), "{path} {resume}");
            assert_eq!(
                place_fields(&answer.head),
                Vec::<&(String, String)>::new(),
                "{path} {resume}"
            );
        }
        if !opened && aware {
            let head = http::raw(proxied, &request("HEAD", &path, proxied, &fields))
                .await
                .unwrap();
            assert_eq!((head.head.status, head.body.len()), (401, 0), "{path}");
            assert_eq!(
                place_fields(&head.head),
                Vec::<&(String, String)>::new(),
                "{path}"
            );
        }
    }
    (path, heard)
}
