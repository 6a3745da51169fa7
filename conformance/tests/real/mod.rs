//! Real servers: Icecast, with the module or without, and the proxy. `ICECAST_EXT_BIN` names the proxy; the module is beside it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::common::free;

/// Windows of some seconds: much is about bytes that have left them.
const WINDOW: &str = "6";

/// Requests that the proxies and the module let wait at once.
pub(crate) const HELD: usize = 40;

/// A mount of Icecast's that asks its listeners for a password …
pub(crate) const PROTECTED: &str = "/protected.mp3";
/// … which is this one's …
pub(crate) const LISTENER: &str = "listener:secret";
/// … and stands so, as MD5, in Icecast's file.
const USERS: &str = "listener:5ebe2294ecd0e0f08eab7690d2a6ee69\n";

/// The proxy: named by the environment, or built beside this test.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("ICECAST_EXT_BIN") {
        return path.into();
    }
    // target/PROFILE/deps/this-test
    let me = std::env::current_exe().unwrap();
    let folder = me.parent().unwrap().parent().unwrap();
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args([
        "build",
        "--quiet",
        "-p",
        "icecast-ext-proxy",
        "-p",
        "icecast-ext-preload",
    ]);
    if folder.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success(), "cargo build failed");
    folder.join("icecast-ext")
}

/// A process that ends when dropped, and with the test, however that ends.
struct Process(Child);

impl Process {
    fn start(args: &[String]) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).args(args);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn listens(addr: SocketAddr) {
    let began = Instant::now();
    while TcpStream::connect(addr).await.is_err() {
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "nobody listens at {addr}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn texts<const N: usize>(args: [&str; N]) -> Vec<String> {
    args.map(str::to_owned).to_vec()
}

/// A stock Icecast.
pub(crate) struct Icecast {
    addr: SocketAddr,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl Icecast {
    /// One of its own, with the module or without.
    pub(crate) async fn start(module: bool) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let (addr, path) = (free(), dir.path().display().to_string());
        let config = format!(
            "<icecast><limits><clients>2000</clients><sources>500</sources><source-timeout>60</source-timeout>\
             <header-timeout>15</header-timeout><client-timeout>30</client-timeout><burst-size>65536</burst-size></limits>\
             <authentication><source-password>hackme</source-password><relay-password>hackme</relay-password>\
             <admin-user>admin</admin-user><admin-password>hackme</admin-password></authentication>\
             <hostname>localhost</hostname>\
             <listen-socket><port>{}</port><bind-address>{}</bind-address></listen-socket>\
             <paths><basedir>/usr/share/icecast2</basedir><logdir>{path}</logdir>\
             <webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot></paths>\
             <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>3</loglevel></logging>\
             <security><chroot>0</chroot></security>\
             <mount type=\"normal\"><mount-name>{PROTECTED}</mount-name><authentication type=\"htpasswd\">\
             <option name=\"filename\" value=\"{path}/users\"/><option name=\"allow_duplicate_users\" value=\"1\"/>\
             </authentication></mount></icecast>",
            addr.port(),
            addr.ip()
        );
        std::fs::write(dir.path().join("users"), USERS).unwrap();
        std::fs::write(dir.path().join("icecast.xml"), config).unwrap();
        // It refuses to run as root, but not to start.
        let root = std::fs::metadata("/proc/self")
            .is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
        let mut args = match root {
            true => texts([
                "--reuid=nobody",
                "--regid=nogroup",
                "--clear-groups",
                "--",
                "/usr/bin/env",
            ]),
            false => texts(["--", "/usr/bin/env"]),
        };
        if module {
            let settings = format!(
                "log = \"{path}/module.log\"\nwindow = {WINDOW}\ndelivery-tick = 100\nheld = {HELD}\n"
            );
            std::fs::write(dir.path().join("module.toml"), settings).unwrap();
            let object = binary().with_file_name("libicecast_ext_preload.so");
            assert!(object.exists(), "{} is not there", object.display());
            args.push(format!("ICECAST_EXT_CONFIG={path}/module.toml"));
            args.push(format!("LD_PRELOAD={}", object.display()));
        }
        args.extend(texts(["/usr/bin/icecast2", "-c"]));
        args.push(format!("{path}/icecast.xml"));
        let process = Process::start(&args);
        listens(addr).await;
        Self {
            addr,
            _process: process,
            _dir: dir,
        }
    }

    /// `http://HOST:PORT` and a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}

/// The proxy.
pub(crate) struct Proxy {
    addr: SocketAddr,
    _process: Process,
    _dir: tempfile::TempDir,
}

impl Proxy {
    /// One with arguments of its own, at an address.
    async fn start(addr: SocketAddr, more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("proxy.toml");
        let settings = format!(
            "[mount.\"{PROTECTED}\"]\npull-credentials = \"{LISTENER}\"\n[limits]\nheld = {HELD}\n"
        );
        std::fs::write(&config, settings).unwrap();
        let mut args = texts(["--"]);
        args.push(binary().display().to_string());
        args.extend(texts([
            "serve",
            "--window",
            WINDOW,
            "--delivery-tick",
            "100",
        ]));
        args.push(format!("--config={}", config.display()));
        args.push(format!("--listen={addr}"));
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        let process = Process::start(&args);
        listens(addr).await;
        Self {
            addr,
            _process: process,
            _dir: dir,
        }
    }

    /// One in front of a server.
    pub(crate) async fn before(upstream: &str) -> Self {
        Self::start(free(), &["--upstream", upstream]).await
    }

    /// One with a relay of it, which it tells its listeners of. `first` says what the first is.
    pub(crate) async fn two(first: &[&str]) -> (Self, Self) {
        let second = free();
        let link = format!("http://{second}");
        let first = Self::start(free(), &[first, &["--relay", &link]].concat()).await;
        let second = Self::start(second, &["--upstream", &first.url("")]).await;
        (first, second)
    }

    /// `http://HOST:PORT` and a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}

/// The C library's example of a server.
pub(crate) struct Example {
    addr: SocketAddr,
    _process: Process,
}

impl Example {
    /// Requests that it lets wait at once: `HELD` in its text.
    pub(crate) const HELD: usize = 500;

    /// With a window of 8 s.
    pub(crate) async fn start(program: &std::path::Path) -> Self {
        let addr = free();
        let program = program.display().to_string();
        let port = addr.port().to_string();
        let process = Process::start(&texts([&program, &port, "hackme", "8000"]));
        listens(addr).await;
        Self {
            addr,
            _process: process,
        }
    }

    /// A URL of it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}
