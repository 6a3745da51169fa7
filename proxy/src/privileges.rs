//! From root to a user, for good.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use nix::unistd::{Gid, Uid, User, getresuid, initgroups, setresgid, setresuid, setuid};

use crate::config::Config;

/// Becomes `user`: user, group and supplementary groups, of all threads. To be called when everything is open that only root may
/// open, and before anything is made that must belong to the user. A state directory that is not there yet is made for the
/// user.
///
/// # Errors
/// There is no such user, or this process may not become it.
pub(crate) fn drop(config: &Config) -> anyhow::Result<()> {
    let Some(name) = &config.user else {
        return Ok(());
    };
    let found = User::from_name(name).with_context(|| format!("user {name:?}"))?;
    let user = found.with_context(|| {
        format!("user {name:?} does not exist: make it (adduser --system --group {name}), or take `user` out")
    })?;
    if Uid::effective() == user.uid {
        return Ok(());
    }
    if !Uid::effective().is_root() {
        bail!(
            "only root can become user {name:?}, this is user {}: start it as root, or take `user` out",
            Uid::effective()
        );
    }
    if let Some(state) = &config.state
        && !state.exists()
    {
        make_for(state, &user);
    }
    become_user(&user).with_context(|| format!("cannot become user {name:?}"))?;
    tracing::info!(user = name, "privileges are dropped");
    Ok(())
}

fn become_user(user: &User) -> anyhow::Result<()> {
    ensure!(!user.uid.is_root(), "that is root");
    let name = CString::new(user.name.as_str())?;
    initgroups(&name, user.gid).context("supplementary groups")?;
    setresgid(user.gid, user.gid, user.gid).context("group")?;
    setresuid(user.uid, user.uid, user.uid).context("user")?;
    let now = getresuid()?;
    let all = [now.real, now.effective, now.saved];
    ensure!(
        all == [user.uid; 3] && Gid::effective() == user.gid,
        "it is still {now:?}"
    );
    ensure!(
        setuid(Uid::from_raw(0)).is_err(),
        "the way back to root is open"
    );
    Ok(())
}

/// What does not work here is said by the journal, which then goes without it.
fn make_for(dir: &Path, user: &User) {
    let made = std::fs::create_dir_all(dir).and_then(|()| {
        std::os::unix::fs::chown(dir, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
    });
    if let Err(error) = made {
        tracing::warn!(dir = %dir.display(), %error, "the state directory cannot be made");
    }
}

/// Says so if files that were there before do not belong to who we are now.
pub(crate) fn check(config: &Config) {
    let Some(name) = config.user.as_deref() else {
        return;
    };
    let lock = config.state.as_ref().map(|dir| dir.join("lock"));
    let log = config.access_log.clone();
    for path in [config.state.clone(), lock, log].into_iter().flatten() {
        let Ok(about) = std::fs::metadata(&path) else {
            continue;
        };
        if about.uid() != Uid::effective().as_raw() {
            tracing::warn!(path = %path.display(), owner = about.uid(), "this belongs to somebody else: chown -R {name} it if it cannot be written");
        }
    }
    for files in &config.certificates {
        if let Err(error) = std::fs::File::open(&files.key) {
            tracing::warn!(key = %files.key.display(), %error, "user {name} cannot read this key: a renewed certificate needs a restart, unless {name} may read it");
        }
    }
}
