//! curl, and somebody who counts.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::task::JoinHandle;
use url::Url;

use super::{Family, HEARD, PLAIN, Wish, words};
use crate::child::{As, Child};
use crate::http::Head;

/// Started again whenever it ends, with the `Range` that follows from what it has written, at the place that
/// `Content-Location` has named.
pub const CURL: Family = Family {
    name: "curl, hand-made Range",
    program: "curl",
    ..PLAIN
};

/// What went wrong.
pub(super) const SAID: &str = "log";

pub(super) fn hands(wish: &Wish<'_>) -> JoinHandle<()> {
    let (url, dir) = (wish.url.to_owned(), wish.dir.to_path_buf());
    tokio::spawn(async move {
        if let Err(error) = listen(&url, &dir).await {
            // Who looks for it finds it; if it cannot be written, the test shows a player that has ended.
            let _ = std::fs::write(dir.join(SAID), format!("{error:#}\n"));
        }
    })
}

async fn listen(url: &str, dir: &Path) -> Result<()> {
    let mut url = Url::parse(url)?;
    let (file, dump) = (dir.join(HEARD), dir.join("head"));
    loop {
        let from = std::fs::metadata(&file).map_or(0, |meta| meta.len());
        once(&url, from, &dump, &file).await?;
        let answer = std::fs::read(&dump).unwrap_or_default();
        // It may have been cut before the head was there.
        if let Some(head) = Head::parse(&answer)? {
            if !matches!((head.status, from), (200, 0) | (206, _)) {
                bail!("{} to bytes={from}-", head.status);
            }
            if let Some(place) = head.get("Content-Location") {
                url = url.join(place)?;
            }
            std::fs::remove_file(&dump)?;
        }
        // If nobody listens, it ends at once.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn once(url: &Url, from: u64, dump: &Path, file: &Path) -> Result<()> {
    let mut args = words(&[CURL.program, "--silent", "--no-buffer", "--dump-header"]);
    args.push(dump.display().to_string());
    args.extend(["--header".to_owned(), format!("Range: bytes={from}-")]);
    args.push(url.to_string());
    let mut curl = Child::start(As::Me, &args, file).context("curl does not start")?;
    while curl.runs() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}
