//! What the cases of a run share: mounts that the suite feeds, names for new ones, and the server that it plays above others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell, RwLock};

use crate::case::Stop;
use crate::content::{Content, Format};
use crate::reference::{self, Server};
use crate::source::Source;
use crate::target::Target;

/// A mount that the suite feeds.
#[derive(Debug)]
pub struct Fed {
    /// Its path.
    pub mount: String,
    /// Who feeds it.
    pub source: Source,
}

impl Fed {
    /// What it has to be.
    #[must_use]
    pub fn content(&self) -> Content {
        self.source.content()
    }
}

/// What a run has set up.
#[derive(Debug)]
pub struct Stage {
    /// What is judged.
    pub target: Target,
    shared: Mutex<HashMap<Format, Arc<Fed>>>,
    named: AtomicU16,
    upstream: OnceCell<Server>,
    /// Cases hold it to read; who needs the server alone, to write.
    pub(crate) together: Arc<RwLock<()>>,
}

impl Stage {
    /// For a target.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            shared: Mutex::default(),
            named: AtomicU16::new(0),
            upstream: OnceCell::new(),
            together: Arc::default(),
        }
    }

    /// A number that no other mount of this run has.
    pub fn number(&self) -> u16 {
        self.named.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn who(&self) -> Result<&str, Stop> {
        self.target.source.as_deref().ok_or_else(|| {
            Stop::Skip("needs to be the source: give --source USER:PASSWORD".to_owned())
        })
    }

    /// The mount of a format that all cases listen to and none disturbs. That of MPEG audio is the one of the target.
    ///
    /// # Errors
    /// [`Stop::Skip`] if the suite may not be the source.
    pub async fn shared(&self, format: Format) -> Result<Arc<Fed>, Stop> {
        let mut shared = self.shared.lock().await;
        if let Some(fed) = shared
            .get(&format)
            .filter(|fed| fed.source.ended().is_none())
        {
            return Ok(Arc::clone(fed));
        }
        let mount = match format {
            Format::Mpeg => self.target.url.target.clone(),
            _ => self.target.beside(format.extension(), format.extension()),
        };
        let fed = Arc::new(
            self.feed(mount, Content::new(format, self.number()))
                .await?,
        );
        shared.insert(format, Arc::clone(&fed));
        Ok(fed)
    }

    /// A mount of a case's own, with a new name.
    ///
    /// # Errors
    /// [`Stop::Skip`] if the suite may not be the source.
    pub async fn own(&self, format: Format) -> Result<Fed, Stop> {
        let number = self.number();
        let mount = self.target.beside(&number.to_string(), format.extension());
        self.feed(mount, Content::new(format, number)).await
    }

    /// Feeds a mount with a stream. A server may need a moment to see that its last source is gone.
    ///
    /// # Errors
    /// [`Stop::Skip`] if the suite may not be the source, or the server does not want another.
    pub async fn feed(&self, mount: String, content: Content) -> Result<Fed, Stop> {
        self.feed_from(mount, content, 0, false).await
    }

    /// The same from another byte on; quiet, without a byte before the source is told to go on.
    ///
    /// # Errors
    /// The same.
    pub async fn feed_from(
        &self,
        mount: String,
        content: Content,
        from: u64,
        quiet: bool,
    ) -> Result<Fed, Stop> {
        let who = self.who()?;
        let authority = &self.target.url.authority;
        let mut refused = None;
        for _ in 0..40 {
            match Source::start_at(authority, &mount, who, content, from, quiet).await {
                Ok(source) => return Ok(Fed { mount, source }),
                Err(Stop::Skip(why)) if why.ends_with("with 403") || why.ends_with("with 409") => {
                    refused = Some(Stop::Skip(why));
                }
                Err(stop) => return Err(stop),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(refused.unwrap_or_else(|| Stop::Skip("refused".to_owned())))
    }

    /// The server that the suite plays, as the upstream of [`Target::below`].
    ///
    /// # Errors
    /// [`Stop::Skip`] if there is nobody below, [`Stop::Error`] if its address is taken.
    pub async fn upstream(&self) -> Result<&Server, Stop> {
        let Some(listen) = self.target.upstream else {
            return Err(Stop::Skip(
                "needs a server below the suite: give --below URL and --upstream ADDRESS:PORT"
                    .to_owned(),
            ));
        };
        let start = || reference::start(reference::Config::above(listen));
        let server = self.upstream.get_or_try_init(start).await;
        server.map_err(|error| Stop::Error(format!("cannot listen at {listen}: {error}")))
    }
}
