//! A small disk that gets full, and read-only, and empty again. Needs root.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::child::Scratch;
use crate::debian::run;

/// A tmpfs, unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    scratch: Scratch,
}

impl Disk {
    /// One of `kib` KiB that everybody may write to.
    ///
    /// # Errors
    /// If this is not root.
    pub fn new(kib: usize) -> Result<Self> {
        let disk = Self {
            scratch: Scratch::new("disk")?,
        };
        run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k,mode=777"), "icx"])
            .arg(disk.path()))
        .context("a small disk can be made by root alone")?;
        Ok(disk)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    fn filler(&self) -> PathBuf {
        self.scratch.file("filler")
    }

    /// Takes what is left of it.
    ///
    /// # Errors
    /// If anything but the room fails.
    pub fn fill(&self) -> Result<()> {
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.filler())?;
        loop {
            match file.write(&[0; 4096]) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives that back.
    ///
    /// # Errors
    /// If it was not taken.
    pub fn free(&self) -> Result<()> {
        Ok(std::fs::remove_file(self.filler())?)
    }

    /// Remounts it. Files that are open for writing must not be there.
    ///
    /// # Errors
    /// If there are.
    pub fn read_only(&self, yes: bool) -> Result<()> {
        let how = if yes { "remount,ro" } else { "remount,rw" };
        run(Command::new("mount").args(["-o", how]).arg(self.path()))?;
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever still has it open keeps it until then.
        let _ = run(Command::new("umount").arg("--lazy").arg(self.path()));
    }
}
