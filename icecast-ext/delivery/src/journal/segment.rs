//! A mount's segment files: a header, then records.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::journal::record::Record;

/// The version of header and records; segments of another are set aside.
pub(crate) const VERSION: u16 = 1;
const MAGIC: [u8; 4] = *b"ICXJ";

fn header(mount: &str) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&(mount.len() as u32).to_be_bytes());
    out.extend_from_slice(mount.as_bytes());
    out
}

/// Why a segment is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("it is of version {0}, this is {VERSION}")]
    Version(u16),
    #[error("it is not a journal of this mount")]
    Foreign,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The segment files of a directory, oldest first, by number.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let number = path
            .extension()
            .filter(|ext| *ext == "seg")
            .and_then(|_| path.file_stem()?.to_str()?.parse().ok());
        if let Some(number) = number {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The mount that a segment's header names.
pub(crate) fn mount_of(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let most = 10 + 64 * 1024;
    File::open(path)
        .ok()?
        .take(most)
        .read_to_end(&mut bytes)
        .ok()?;
    let len = u32::from_be_bytes(bytes.get(6..10)?.try_into().ok()?);
    let name = bytes.get(10..)?.get(..usize::try_from(len).ok()?)?;
    let name = std::str::from_utf8(name).ok()?.to_owned();
    bytes.starts_with(&header(&name)).then_some(name)
}

/// Calls `each` with a segment's whole records, in order. A torn tail is cut off the file.
pub(crate) fn read(path: &Path, mount: &str, mut each: impl FnMut(Record)) -> Result<(), Unusable> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    let bytes = Bytes::from(bytes);
    let expected = header(mount);
    if bytes.len() < expected.len() && expected.starts_with(&bytes) {
        // Killed while it was made: it holds nothing.
        fs::remove_file(path)?;
        return Ok(());
    }
    if !bytes.starts_with(&expected) {
        let version = bytes
            .get(4..6)
            .filter(|_| bytes.starts_with(&MAGIC))
            .map(|v| u16::from_be_bytes([v[0], v[1]]));
        return Err(version
            .filter(|v| *v != VERSION)
            .map_or(Unusable::Foreign, Unusable::Version));
    }
    let mut at = expected.len();
    while at < bytes.len() {
        let Some((record, len)) = Record::decode(&bytes.slice(at..)) else {
            tracing::warn!(path = %path.display(), at, lost = bytes.len() - at, "the journal is torn here; its tail is cut off");
            OpenOptions::new()
                .write(true)
                .open(path)?
                .set_len(at as u64)?;
            break;
        };
        at += len;
        each(record);
    }
    Ok(())
}

/// Deletes a mount's directory.
pub(crate) fn remove_all(dir: &Path) {
    if let Err(error) = fs::remove_dir_all(dir) {
        tracing::warn!(dir = %dir.display(), %error, "an old journal cannot be deleted");
    }
}

/// Renames a file that is of no use, so that somebody can look at it. It is not touched again.
pub(crate) fn set_aside(path: &Path, why: &Unusable) {
    let mut name = path.as_os_str().to_owned();
    name.push(".aside");
    match fs::rename(path, &name) {
        Ok(()) => tracing::warn!(path = %path.display(), %why, "the journal is set aside"),
        Err(error) => {
            tracing::warn!(path = %path.display(), %why, %error, "the journal cannot be used")
        }
    }
}

/// A mount's segments, being written.
#[derive(Debug)]
pub(crate) struct Segments {
    dir: PathBuf,
    mount: String,
    /// Ended ones, and up to which byte of the mount's count they go.
    old: VecDeque<(PathBuf, u64)>,
    current: Option<(File, PathBuf)>,
    number: u64,
    end: u64,
    scratch: Vec<u8>,
    /// Of [`super::lock::Place::ours`], when the directory was last looked at; none after an error.
    times: Option<u64>,
}

impl Segments {
    /// `old`: what is there already.
    pub(crate) fn new(
        dir: PathBuf,
        mount: String,
        old: VecDeque<(PathBuf, u64)>,
        number: u64,
    ) -> Self {
        Self {
            dir,
            mount,
            old,
            current: None,
            number,
            end: 0,
            scratch: Vec::new(),
            times: None,
        }
    }

    /// Writes a record; a snapshot begins a segment. `end`: the mount's count of bytes after it; `floor`: before the oldest
    /// byte that it holds; `times`: how often the directory was taken. After an error only a snapshot can follow. False: nothing
    /// was written, because a snapshot is still to come.
    pub(crate) fn write(
        &mut self,
        record: &Record,
        end: u64,
        floor: u64,
        times: u64,
    ) -> io::Result<bool> {
        if self.times.is_some_and(|before| before != times) {
            // What is open may be in a directory that has gone.
            self.close();
        }
        let written = self.try_write(record, end, times);
        if written.is_err() {
            self.close();
            self.times = None;
        }
        while self.old.front().is_some_and(|(_, end)| *end <= floor) {
            if let Some((path, _)) = self.old.pop_front() {
                remove(&path);
            }
        }
        written
    }

    fn try_write(&mut self, record: &Record, end: u64, times: u64) -> io::Result<bool> {
        self.scratch.clear();
        let begins = matches!(record, Record::Snapshot(_));
        if begins {
            self.close();
            fs::create_dir_all(&self.dir)?;
            if self.times != Some(times) {
                self.look()?;
                self.times = Some(times);
            }
            let path = self.dir.join(format!("{:012}.seg", self.number));
            self.number += 1;
            let file = OpenOptions::new()
                .append(true)
                .create_new(true)
                .open(&path)?;
            self.current = Some((file, path));
            self.scratch.extend_from_slice(&header(&self.mount));
        } else if self.times.is_some_and(|before| before != times) {
            return Err(io::Error::other("the directory was replaced by another"));
        }
        record.encode(&mut self.scratch);
        let Some((file, path)) = &mut self.current else {
            return Ok(false);
        };
        if let Err(error) = file.write_all(&self.scratch) {
            if begins {
                // It holds nothing that could be read, and would take the room of the next.
                let _ = fs::remove_file(path);
                self.current = None;
            }
            return Err(error);
        }
        self.end = end;
        Ok(true)
    }

    /// The next number, and what an earlier process left here that was not read: nothing follows it any more.
    fn look(&mut self) -> io::Result<()> {
        for (number, path) in list(&self.dir)? {
            self.number = self.number.max(number + 1);
            let known = self.old.iter().any(|(old, _)| *old == path);
            if !known && mount_of(&path).as_deref() == Some(&self.mount) {
                self.old.push_front((path, 0));
            }
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some((_, path)) = self.current.take() {
            self.old.push_back((path, self.end));
        }
    }
}

/// Deletes a segment that is of no use any more.
pub(crate) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "an old part of the journal cannot be deleted");
    }
}
