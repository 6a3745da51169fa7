//! A clean Debian: what the package is installed in, and a systemd of its own that runs it.
//!
//! Needs root: it makes a file tree with `chroot` and boots it in namespaces.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::child::{As, Child, Scratch};
use crate::wait::wait_for;

/// Becomes the first process of a namespace: what a container's manager prepares for systemd.
const INIT: &str = r#"
set -e
cd "$1"
mount --make-rprivate /
mount --bind . .
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sys sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for dir in run tmp dev; do mount -t tmpfs -o mode=755 $dir $dir; done
chmod 1777 tmp
for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
mkdir dev/shm dev/pts host
ln -s pts/ptmx dev/ptmx
ip link set lo up
pivot_root . host
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . \
  /bin/sh -c 'umount -l /host; rmdir /host; exec /lib/systemd/systemd --log-target=journal'
"#;

/// A file tree with Debian in it.
#[derive(Debug)]
pub struct Debian {
    scratch: Scratch,
}

/// A [`Debian`] that runs. Killed when dropped.
#[derive(Debug)]
pub struct Booted {
    child: Child,
    init: u32,
}

/// Runs a command to its end.
///
/// # Errors
/// With everything that it said, if it fails.
pub fn run(command: &mut Command) -> Result<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().with_context(|| format!("{command:?}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !status.success() {
        bail!("{command:?}: {status}\n{}{}", said(&stdout), said(&stderr));
    }
    Ok(said(&stdout))
}

impl Debian {
    /// The machine's own release from the machine's own sources: essential packages and `packages`.
    ///
    /// # Errors
    /// If this is not root, or the archive cannot be reached.
    pub fn new(packages: &[&str]) -> Result<Self> {
        let root = std::fs::metadata("/proc/self")?.uid() == 0;
        ensure!(root, "a Debian of its own can be made by root alone");
        let scratch = Scratch::new("debian")?;
        let sources = run(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(REPO_URI) $(CODENAME) $(COMPONENT)",
            "Created-By: Packages",
            "Origin: Debian",
        ]))?;
        // Updates are not needed for a place to install in.
        let source = sources
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(_, rest)| rest.ends_with(" main") && !rest.contains('-'));
        let (uri, rest) = source.context("apt has no Debian release in its sources")?;
        let suite = rest.split(' ').next().unwrap_or_default();
        run(Command::new("mmdebstrap")
            .args(["--quiet", "--variant=essential"])
            // It lives for a minute.
            .arg("--dpkgopt=force-unsafe-io")
            .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
            .arg(format!("--include={}", packages.join(",")))
            .arg(suite)
            .arg(scratch.file("root"))
            .arg(format!("deb {uri} {suite} main")))
        .context("making a clean Debian")?;
        Ok(Self { scratch })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.scratch.file("root")
    }

    /// A file in it.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        self.path().join(path.trim_start_matches('/'))
    }

    /// Runs a command in it, without booting it.
    ///
    /// # Errors
    /// If the command fails.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        run(Command::new("chroot").arg(self.path()).args(args))
    }

    /// Every file and directory but what package management and systemd keep for themselves, with its owner and mode.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn listing(&self) -> io::Result<Vec<String>> {
        const OTHERS: [&str; 10] = [
            "/var/lib/dpkg",
            "/var/log/",
            "/var/cache",
            "/var/lib/systemd",
            "/var/lib/logrotate",
            "/var/lib/private",
            "/var/tmp",
            "/etc/machine-id",
            "/tmp",
            "/run",
        ];
        let root = self.path();
        let mut found = Vec::new();
        let mut dirs = vec![root.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir)? {
                let path = entry?.path();
                let meta = std::fs::symlink_metadata(&path)?;
                let name = path.strip_prefix(&root).unwrap_or(&path);
                let name = format!("/{}", name.display());
                let ours = name.contains("icecast");
                // Files of users are kept once more with a dash.
                if (!ours && OTHERS.iter().any(|other| name.starts_with(other)))
                    || name.ends_with('-')
                {
                    continue;
                }
                if meta.is_dir() {
                    dirs.push(path);
                }
                found.push(format!(
                    "{name} {}:{} {:o}",
                    meta.uid(),
                    meta.gid(),
                    meta.mode()
                ));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Starts systemd in it, in namespaces of its own, and waits until it answers.
    ///
    /// # Errors
    /// If namespaces are not allowed here.
    pub async fn boot(&self) -> Result<Booted> {
        let spaces = "--mount --pid --uts --ipc --net --cgroup --fork --kill-child";
        let mut args = vec!["unshare".to_owned()];
        args.extend(spaces.split(' ').map(str::to_owned));
        args.extend(["bash", "-c", INIT, "init"].map(str::to_owned));
        args.push(self.path().display().to_string());
        let log = self.scratch.file("boot.log");
        let mut child = Child::start(As::Me, &args, &log)?;
        let pid = child.id();
        let mut init = None;
        wait_for("systemd", Duration::from_secs(60), || {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            init = children.ok().and_then(|pid| pid.trim().parse().ok());
            let up = init.is_some_and(|init| {
                let mut asked = Booted::enter(init, &["systemctl", "is-active", "basic.target"]);
                asked.output().is_ok_and(|said| said.status.success())
            });
            up || !child.runs()
        })
        .await;
        let Some(init) = init.filter(|_| child.runs()) else {
            bail!("systemd does not start in namespaces: {}", child.output());
        };
        Ok(Booted { child, init })
    }
}

impl Booted {
    fn enter(init: u32, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &init.to_string()]);
        command.args("--mount --uts --ipc --net --pid --cgroup --root --wd".split(' '));
        command.args(args);
        command
    }

    /// Runs a command in it.
    ///
    /// # Errors
    /// If the command fails.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        run(&mut Self::enter(self.init, args))
    }

    /// A property of a unit.
    ///
    /// # Errors
    /// If systemd does not answer.
    pub fn show(&self, unit: &str, property: &str) -> Result<String> {
        let said = self.run(&["systemctl", "show", "--value", "--property", property, unit])?;
        Ok(said.trim().to_owned())
    }

    /// What a unit has logged.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub fn log(&self, unit: &str) -> Result<String> {
        self.run(&["journalctl", "--no-pager", "--output=cat", "--unit", unit])
    }

    /// Ends it and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill();
    }
}

/// The repository's root.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
