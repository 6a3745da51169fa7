//! Messages between the process that goes and the one that comes: over a UNIX socket pair, with descriptors.
//!
//! ```abnf
//! message = descriptors said-length raw-length said raw
//! descriptors = OCTET           ; how many come with the message's first octet (SCM_RIGHTS)
//! said-length = 4OCTET          ; big-endian
//! raw-length  = 4OCTET
//! said        = *OCTET          ; JSON
//! raw         = *OCTET          ; what is no text
//! ```

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Read, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Descriptors in one message; the kernel takes 253.
pub(super) const MAX_DESCRIPTORS: usize = 200;
/// No part of a message is longer.
const MAX_PART: usize = 256 << 20;
const HEAD: usize = 9;

/// What came.
#[derive(Debug)]
pub(super) struct Message<T> {
    pub(super) said: T,
    pub(super) raw: Bytes,
    pub(super) descriptors: VecDeque<OwnedFd>,
}

impl<T> Message<T> {
    /// The next descriptor that came with it.
    pub(super) fn descriptor(&mut self) -> anyhow::Result<OwnedFd> {
        self.descriptors
            .pop_front()
            .context("a descriptor is missing")
    }
}

/// One end.
#[derive(Debug)]
pub(super) struct Wire {
    socket: UnixStream,
    /// They come with a message's first octet, or a little before it is read.
    received: VecDeque<OwnedFd>,
}

impl Wire {
    /// Both ends.
    pub(super) fn pair() -> io::Result<(Self, UnixStream)> {
        let (here, there) = UnixStream::pair()?;
        Ok((Self::new(here), there))
    }

    pub(super) fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            received: VecDeque::new(),
        }
    }

    /// How long a message may take; `None`: for ever.
    pub(super) fn patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(patience)?;
        self.socket.set_write_timeout(patience)
    }

    /// A second handle for the same end, to send while the first one receives.
    pub(super) fn sender(&self) -> io::Result<Self> {
        self.socket.try_clone().map(Self::new)
    }

    pub(super) fn send(
        &mut self,
        said: &impl Serialize,
        raw: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> anyhow::Result<()> {
        let said = serde_json::to_vec(said)?;
        ensure!(
            said.len() <= MAX_PART && raw.len() <= MAX_PART,
            "a message of {} bytes is too long",
            said.len() + raw.len()
        );
        ensure!(
            descriptors.len() <= MAX_DESCRIPTORS,
            "too many descriptors in one message"
        );
        let mut head = vec![descriptors.len() as u8];
        head.extend_from_slice(&(said.len() as u32).to_be_bytes());
        head.extend_from_slice(&(raw.len() as u32).to_be_bytes());
        head.extend_from_slice(&said);
        let sent = self.send_with(&head, descriptors)?;
        self.socket.write_all(&head[sent..])?;
        self.socket.write_all(raw)?;
        Ok(())
    }

    fn send_with(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let sent = rustix::io::retry_on_intr(|| {
            let parts = [IoSlice::new(bytes)];
            rustix::net::sendmsg(&self.socket, &parts, &mut control, SendFlags::NOSIGNAL)
        })?;
        Ok(sent)
    }

    /// The next message.
    pub(super) fn receive<T: DeserializeOwned>(&mut self) -> anyhow::Result<Message<T>> {
        let mut head = [0; HEAD];
        self.read_exact(&mut head)?;
        let [descriptors, lengths @ ..] = head;
        let (said, raw) = lengths.split_at(4);
        let length = |bytes: &[u8]| -> anyhow::Result<usize> {
            let bytes = <[u8; 4]>::try_from(bytes)?;
            let length = u32::from_be_bytes(bytes) as usize;
            ensure!(
                length <= MAX_PART,
                "a message of {length} bytes is too long"
            );
            Ok(length)
        };
        let (said, raw) = (self.part(length(said)?)?, self.part(length(raw)?)?);
        let descriptors = usize::from(descriptors);
        if self.received.len() < descriptors {
            bail!(
                "{descriptors} descriptors were announced, {} came",
                self.received.len()
            );
        }
        Ok(Message {
            said: serde_json::from_slice(&said).context("a message of another version")?,
            raw: raw.into(),
            descriptors: self.received.drain(..descriptors).collect(),
        })
    }

    /// Grows with what comes, not with what is announced.
    fn part(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length.min(1 << 20));
        Read::take(self.by_ref(), length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            let mut parts = [IoSliceMut::new(bytes)];
            rustix::net::recvmsg(
                &self.socket,
                &mut parts,
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            )
        })?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.received.extend(descriptors);
            }
        }
        Ok(received.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom};
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn messages_arrive_in_order_with_their_own_descriptors() {
        let (mut one, two) = Wire::pair().unwrap();
        let sender = std::thread::spawn(move || {
            for n in 0..50_usize {
                let files: Vec<_> = (0..n % 7 * 20)
                    .map(|i| {
                        let mut file = tempfile::tempfile().unwrap();
                        writeln!(file, "{n}-{i}").unwrap();
                        file
                    })
                    .collect();
                let descriptors: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
                let raw = vec![n as u8; n * 10_000];
                one.send(&format!("message {n}"), &raw, &descriptors)
                    .unwrap();
            }
        });
        let mut two = Wire::new(two);
        for n in 0..50_usize {
            let mut message = two.receive::<String>().unwrap();
            assert_eq!(message.said, format!("message {n}"));
            assert_eq!(message.raw, vec![n as u8; n * 10_000]);
            assert_eq!(message.descriptors.len(), n % 7 * 20);
            for i in 0..message.descriptors.len() {
                let mut file = std::fs::File::from(message.descriptor().unwrap());
                let mut text = String::new();
                file.seek(SeekFrom::Start(0)).unwrap();
                file.read_to_string(&mut text).unwrap();
                assert_eq!(text, format!("{n}-{i}\n"));
            }
        }
        sender.join().unwrap();
        assert!(two.receive::<String>().is_err(), "the other end has gone");
    }

    #[test]
    fn what_is_torn_foreign_or_too_long_is_an_error() {
        for bytes in [
            &b"\0\0\0\0\x09\0\0\0\0\"to"[..],
            b"\0\0\0\0\x03\0\0\0\0abc",
            b"\x02\0\0\0\x02\0\0\0\0\"\"",
            b"\0\xff\xff\xff\xff\0\0\0\0",
        ] {
            let (mut one, two) = UnixStream::pair().unwrap();
            one.write_all(bytes).unwrap();
            drop(one);
            assert!(Wire::new(two).receive::<String>().is_err(), "{bytes:?}");
        }
        let (one, _two) = Wire::pair().unwrap();
        one.patience(Some(Duration::from_millis(20))).unwrap();
        let mut one = one;
        assert!(one.receive::<String>().is_err(), "nothing comes");
    }
}
