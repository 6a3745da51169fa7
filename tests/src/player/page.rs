//! A page that plays streams and tells us how that goes.
//!
//! The page and the streams are of different origins, and its elements are as plain as people write them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What an element has told.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The element, in the order of their URLs.
    pub element: usize,
    /// The event's name, or `refused` if it may not play.
    pub event: String,
    /// `currentTime` in seconds.
    pub time: f64,
    /// Anything more, as text.
    pub more: String,
}

/// The server of a page. It ends when dropped.
#[derive(Debug)]
pub struct Page {
    addr: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
    accepts: JoinHandle<()>,
}

impl Drop for Page {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

impl Page {
    /// A page with an `<audio>` for each of these URLs.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn with(urls: &[String]) -> Result<Self> {
        Self::scripted(urls, SCRIPT).await
    }

    /// A page with an `<audio>` for this URL, and once that has played for two seconds, another for the same, and a script
    /// that fetches it as well.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn crowded(url: &str) -> Result<Self> {
        Self::scripted(&[url.to_owned()], &format!("{SCRIPT}{AGAIN}")).await
    }

    async fn scripted(urls: &[String], script: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let elements: Vec<_> = urls
            .iter()
            .map(|url| format!("<audio src=\"{url}\" autoplay></audio>\n"))
            .collect();
        let page = Arc::new(format!(
            "<!doctype html><title>listening</title>\n{}<script>{script}</script>\n",
            elements.concat()
        ));
        let told = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&told);
        let accepts = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(socket, Arc::clone(&page), Arc::clone(&record)));
            }
        });
        Ok(Self {
            addr,
            told,
            accepts,
        })
    }

    /// Where the page is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }

    /// Everything that an element has told.
    #[must_use]
    pub fn told(&self, element: usize) -> Vec<Told> {
        let told = self.told.lock().expect("no panic while held");
        let mine = told.iter().filter(|told| told.element == element);
        mine.cloned().collect()
    }

    /// The last `currentTime` of an element, in seconds.
    #[must_use]
    pub fn time(&self, element: usize) -> f64 {
        let told = self.told.lock().expect("no panic while held");
        let mut last = told.iter().rev();
        last.find(|told| told.element == element)
            .map_or(0.0, |told| told.time)
    }
}

/// In the order that things happen, since each waits for the one before.
const SCRIPT: &str = r"
let last = Promise.resolve();
const listen = (audio, element) => {
  const tell = (event, more = '') => {
    const body = JSON.stringify({element, event, time: audio.currentTime, more});
    last = last.then(() => fetch('/tell', {method: 'POST', body})).catch(() => {});
  };
  for (const event of ['playing', 'timeupdate', 'waiting', 'stalled', 'seeking', 'pause', 'ended', 'emptied'])
    audio.addEventListener(event, () => tell(event));
  audio.addEventListener('error', () => tell('error', `${audio.error.code} ${audio.error.message}`));
  // Where there is no sound card, Firefox plays nowhere else.
  if (audio.mozCaptureStream) audio.mozCaptureStream();
  audio.play().catch(error => tell('refused', String(error)));
};
document.querySelectorAll('audio').forEach(listen);
";

const AGAIN: &str = r"
const first = document.querySelector('audio');
let alone = true;
first.addEventListener('timeupdate', () => {
  if (!alone || first.currentTime < 2) return;
  alone = false;
  const second = document.createElement('audio');
  second.src = first.src;
  document.body.append(second);
  listen(second, 1);
  // What it answers is none of a page's business; that it is read to its end is.
  fetch(first.src, {mode: 'no-cors'}).then(answer => answer.blob()).catch(() => {});
});
";

async fn answer(
    mut socket: TcpStream,
    page: Arc<String>,
    told: Arc<Mutex<Vec<Told>>>,
) -> Option<()> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            break end + 4;
        }
        if bytes.len() > 64 << 10 || socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let named = name.eq_ignore_ascii_case("Content-Length");
        named.then(|| value.trim().parse::<usize>().ok())?
    });
    while bytes.len() < head + length.unwrap_or(0).min(64 << 10) {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let (status, body) = match text.split(' ').nth(1)? {
        "/" => ("200 OK", page.as_str()),
        "/tell" => {
            if let Some(one) = parse(&bytes[head..]) {
                told.lock().ok()?.push(one);
            }
            ("200 OK", "")
        }
        _ => ("404 Not Found", ""),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(answer.as_bytes()).await.ok()?;
    socket.shutdown().await.ok()
}

fn parse(body: &[u8]) -> Option<Told> {
    let value: Value = serde_json::from_slice(body).ok()?;
    Some(Told {
        element: value["element"].as_u64()? as usize,
        event: value["event"].as_str()?.to_owned(),
        time: value["time"].as_f64()?,
        more: value["more"].as_str()?.to_owned(),
    })
}
