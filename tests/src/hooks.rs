//! The server that Icecast's URL authentication asks: who may listen, and who has gone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::wait::wait_for;

/// One POST of Icecast.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it came.
    pub at: Instant,
    /// Its form: `action`, `mount`, `client`, `user`, `pass`, `ip`, `agent`, `duration`, …
    pub form: BTreeMap<String, String>,
}

impl Call {
    /// A field of the form; empty if it is missing.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }

    /// What `listener_remove` says.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.get("duration").parse().ok()?))
    }
}

/// By user: the password, and for how many seconds one may listen.
type Rules = BTreeMap<String, (String, Option<u64>)>;

#[derive(Debug, Default)]
struct State {
    rules: Mutex<Rules>,
    calls: Mutex<Vec<Call>>,
}

/// A hook server on a port of its own. It ends when dropped.
#[derive(Debug)]
pub struct Hooks {
    addr: SocketAddr,
    state: Arc<State>,
    accepts: JoinHandle<()>,
}

impl Hooks {
    /// One that admits `user` with `password`, and nobody else.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(user: &str, password: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let accepts = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    // Whoever does not talk sense gets no answer.
                    let _ = answer(socket, &state).await;
                });
            }
        });
        let hooks = Self {
            addr,
            state,
            accepts,
        };
        hooks.admit(user, password);
        Ok(hooks)
    }

    /// `<authentication type="url">` for a mount.
    #[must_use]
    pub fn authentication(&self) -> String {
        let addr = self.addr;
        format!(
            "<authentication type=\"url\"><option name=\"listener_add\" value=\"http://{addr}/add\"/>\
             <option name=\"listener_remove\" value=\"http://{addr}/remove\"/>\
             <option name=\"auth_header\" value=\"icecast-auth-user: 1\"/>\
             <option name=\"timelimit_header\" value=\"icecast-auth-timelimit:\"/></authentication>"
        )
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn rules(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.state.rules.lock().expect("no panic while held"));
    }

    /// Admits a user from now on.
    pub fn admit(&self, user: &str, password: &str) {
        self.rules(|rules| {
            rules.insert(user.to_owned(), (password.to_owned(), None));
        });
    }

    /// Refuses a user from now on.
    pub fn withdraw(&self, user: &str) {
        self.rules(|rules| {
            rules.remove(user);
        });
    }

    /// Admits a user from now on, for so many seconds each time.
    pub fn admit_for(&self, user: &str, password: &str, seconds: u64) {
        self.rules(|rules| {
            rules.insert(user.to_owned(), (password.to_owned(), Some(seconds)));
        });
    }

    /// Every call so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state
            .calls
            .lock()
            .expect("no panic while held")
            .clone()
    }

    /// The calls with this action that name this user agent.
    #[must_use]
    pub fn of(&self, action: &str, agent: &str) -> Vec<Call> {
        let mut calls = self.calls();
        calls.retain(|call| call.get("action") == action && call.get("agent") == agent);
        calls
    }

    /// Waits for the `listener_remove` of the `n`th (from 1) listener with this user agent.
    ///
    /// # Panics
    /// If it does not come within 10 s.
    pub async fn removed(&self, agent: &str, n: usize) -> Call {
        let removed = || self.of("listener_remove", agent);
        let what = format!("listener_remove {n} of {agent}");
        wait_for(&what, Duration::from_secs(10), || removed().len() >= n).await;
        removed()[n - 1].clone()
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

async fn answer(mut socket: TcpStream, state: &State) -> Result<()> {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            break (head, bytes.split_off(end + 4));
        }
        anyhow::ensure!(socket.read_buf(&mut bytes).await? > 0, "no head");
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("Content-Length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.context("no Content-Length")?;
    let mut body = body;
    while body.len() < length {
        anyhow::ensure!(socket.read_buf(&mut body).await? > 0, "no body");
    }
    let call = Call {
        at: Instant::now(),
        form: url::form_urlencoded::parse(&body).into_owned().collect(),
    };
    let rules = state.rules.lock().expect("no panic while held").clone();
    let mut fields = String::new();
    let rule = rules.get(call.get("user"));
    if let Some((_, timelimit)) = rule.filter(|(password, _)| password == call.get("pass")) {
        fields.push_str("icecast-auth-user: 1\r\n");
        if let Some(seconds) = timelimit {
            fields.push_str(&format!("icecast-auth-timelimit: {seconds}\r\n"));
        }
    } else {
        fields.push_str("icecast-auth-message: not you\r\n");
    }
    state.calls.lock().expect("no panic while held").push(call);
    let answer =
        format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\nConnection: close\r\n\r\n");
    socket.write_all(answer.as_bytes()).await?;
    socket.shutdown().await?;
    Ok(())
}
