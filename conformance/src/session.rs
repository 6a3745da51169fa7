//! What a case may do: ask the server, feed it, and wait for what it needs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};
use tokio::time::Instant;

use crate::case::Stop;
use crate::connection::{Answer, Connection, Recorded};
use crate::content::Format;
use crate::exchange::{self, Exchange, Record};
use crate::field::{Position, StreamWindow};
use crate::http::{Request, percent};
use crate::stage::{Fed, Stage};
use crate::target::Target;

/// How often a case looks whether what it waits for is so.
pub const LOOK: Duration = Duration::from_millis(50);
/// How long a proxy may take to see that a mount is there.
const SEEN: Duration = Duration::from_secs(4);
/// How long a new mount may take to be heard.
const HEARD: Duration = Duration::from_secs(10);

/// A case's view of the run. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Session {
    stage: Arc<Stage>,
    records: Arc<Mutex<Vec<Arc<Mutex<Exchange>>>>>,
    together: Arc<Mutex<Option<OwnedRwLockReadGuard<()>>>>,
}

impl Session {
    /// One that begins as soon as nobody wants to be alone.
    pub async fn begin(stage: Arc<Stage>) -> Self {
        let guard = Arc::clone(&stage.together).read_owned().await;
        Self {
            stage,
            records: Arc::default(),
            together: Arc::new(Mutex::new(Some(guard))),
        }
    }

    /// Waits until no other case runs, and keeps them out while the guard lives.
    pub async fn alone(&self) -> OwnedRwLockWriteGuard<()> {
        self.together
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Arc::clone(&self.stage.together).write_owned().await
    }

    /// What is judged.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.stage.target
    }

    /// What all cases share.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// What was said, the latest connections.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let record = |one: &Arc<Mutex<Exchange>>| {
            one.lock().unwrap_or_else(PoisonError::into_inner).record()
        };
        let skip = records.len().saturating_sub(exchange::MOST);
        records.iter().skip(skip).map(record).collect()
    }

    /// A new connection to the server that is judged.
    ///
    /// # Errors
    /// [`Stop::Error`] if it is not there.
    pub async fn connect(&self) -> Result<Connection, Stop> {
        self.connect_to(&self.target().url.authority, None).await
    }

    /// A new connection to any server, with a bounded receive buffer if a case wants to be slow.
    ///
    /// # Errors
    /// [`Stop::Error`] if it is not there.
    pub async fn connect_to(
        &self,
        authority: &str,
        receive: Option<u32>,
    ) -> Result<Connection, Stop> {
        let record = Arc::new(Mutex::new(Exchange::new(authority.to_owned())));
        let answer = self.target().answer;
        self.note(&record);
        Connection::open(authority, record, answer, receive).await
    }

    /// A new connection to the server that is judged, which is given more time for its head: 30 seconds.
    ///
    /// # Errors
    /// [`Stop::Error`] if it is not there.
    pub async fn connect_slow(&self) -> Result<Connection, Stop> {
        let mut connection = self.connect().await?;
        connection.wait_for(Duration::from_secs(30));
        Ok(connection)
    }

    fn note(&self, record: &Recorded) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.push(Arc::clone(record));
        // Whoever polls makes many; only the latest are shown.
        if records.len() > 4 * exchange::MOST {
            records.drain(..2 * exchange::MOST);
        }
    }

    /// Asks the server that is judged.
    ///
    /// # Errors
    /// If it is not there or sends no head.
    pub async fn ask(&self, request: Request) -> Result<Answer, Stop> {
        self.connect().await?.ask(&request).await
    }

    /// Asks any server.
    ///
    /// # Errors
    /// If it is not there or sends no head.
    pub async fn ask_at(&self, authority: &str, request: Request) -> Result<Answer, Stop> {
        self.connect_to(authority, None).await?.ask(&request).await
    }

    /// Asks for a mount that has just got its source, until it is there.
    ///
    /// # Errors
    /// [`Stop::Skip`] if it does not come.
    pub async fn ask_new(&self, request: Request) -> Result<Answer, Stop> {
        self.ask_new_at(&self.target().url.authority.clone(), request)
            .await
    }

    /// The same at any server.
    ///
    /// # Errors
    /// [`Stop::Skip`] if it does not come.
    pub async fn ask_new_at(&self, authority: &str, request: Request) -> Result<Answer, Stop> {
        let end = Instant::now() + HEARD;
        loop {
            let answer = self.ask_at(authority, request.clone()).await?;
            if !matches!(answer.status(), 404 | 503) {
                return Ok(answer);
            }
            if Instant::now() > end {
                return Err(Stop::Skip(format!(
                    "the mount is not there: status {}",
                    answer.status()
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The mount that is judged, fed if the suite may do that.
    ///
    /// # Errors
    /// If it cannot be fed.
    pub async fn mount(&self) -> Result<String, Stop> {
        match self.target().source {
            Some(_) => Ok(self.shared(Format::Mpeg).await?.mount.clone()),
            None => Ok(self.target().url.target.clone()),
        }
    }

    /// The mount of a format that all cases listen to.
    ///
    /// # Errors
    /// [`Stop::Skip`] if the suite may not be the source.
    pub async fn shared(&self, format: Format) -> Result<Arc<Fed>, Stop> {
        self.stage.shared(format).await
    }

    /// A mount of this case's own.
    ///
    /// # Errors
    /// [`Stop::Skip`] if the suite may not be the source.
    pub async fn own(&self, format: Format) -> Result<Fed, Stop> {
        self.stage.own(format).await
    }

    /// An aware join at the mount that is judged.
    ///
    /// # Errors
    /// If there is no answer; [`Stop::Skip`] if it is not 200.
    pub async fn join(&self) -> Result<Answer, Stop> {
        let mount = self.mount().await?;
        self.join_at(&mount).await
    }

    /// An aware join at a mount.
    ///
    /// # Errors
    /// If there is no answer; [`Stop::Skip`] if it is not 200.
    pub async fn join_at(&self, mount: &str) -> Result<Answer, Stop> {
        let end = Instant::now() + SEEN;
        loop {
            let answer = self.ask_new(Request::get(mount).resume("live")).await?;
            let answer = answer.only_if(200, "R-FIELD-1")?;
            // A proxy may send through what it does not know yet.
            if answer.field("Stream-Offset").is_some() || Instant::now() > end {
                return Ok(answer);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Resumes at a position of a mount.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn resume(&self, mount: &str, at: &Position) -> Result<Answer, Stop> {
        self.ask(Request::get(mount).resume(at.ask())).await
    }

    /// A position of a mount that is held for a while yet, at least 30,000 bytes before the edge.
    ///
    /// # Errors
    /// [`Stop::Skip`] if so much is not held in time.
    pub async fn held(&self, mount: &str) -> Result<Position, Stop> {
        let window = self.holding(mount, 60_000).await?;
        Ok(window.at(window.next - 40_000))
    }

    /// The window of a mount, once it holds so many bytes.
    ///
    /// # Errors
    /// [`Stop::Skip`] if it does not in time.
    pub async fn holding(&self, mount: &str, bytes: u64) -> Result<StreamWindow, Stop> {
        self.window_when(mount, "hold so much", |window| {
            window.next - window.first >= bytes
        })
        .await
    }

    /// The window of a mount, once bytes have left it.
    ///
    /// # Errors
    /// [`Stop::Skip`] if they do not in time.
    pub async fn evicting(&self, mount: &str) -> Result<StreamWindow, Stop> {
        let what =
            "lose bytes: start the server with a window of some seconds, or raise --patience";
        self.window_when(mount, what, |window| window.first > 4000)
            .await
    }

    /// The window of a mount, once something is so.
    ///
    /// # Errors
    /// [`Stop::Skip`] if it is not in time.
    pub async fn window_when(
        &self,
        mount: &str,
        what: &str,
        so: impl Fn(&StreamWindow) -> bool,
    ) -> Result<StreamWindow, Stop> {
        let end = Instant::now() + self.target().patience;
        loop {
            let window = self.join_at(mount).await?.window()?;
            if window.first <= window.next && so(&window) {
                return Ok(window);
            }
            if Instant::now() > end {
                return Err(Stop::Skip(format!(
                    "the window [{}, {}) does not {what}",
                    window.first, window.next
                )));
            }
            tokio::time::sleep(4 * LOOK).await;
        }
    }

    /// Sets the title of a mount, as encoders do.
    ///
    /// # Errors
    /// [`Stop::Skip`] if the server does not take titles.
    pub async fn title(&self, mount: &str, title: &str) -> Result<(), Stop> {
        let target = self.target();
        let who = target.admin.as_ref().or(target.source.as_ref());
        let path = format!(
            "/admin/metadata?mode=updinfo&mount={}&charset=UTF-8&song={}",
            percent(mount),
            percent(title)
        );
        let request = Request::get(&path).auth(who.map(String::as_str));
        let mut answer = self.ask(request).await?;
        let (body, _) = answer.read_for(Duration::from_secs(2), 4096).await;
        match answer.status() {
            200 => Ok(()),
            status => {
                let said = crate::http::latin(&body);
                Err(Stop::Skip(format!(
                    "the server takes no title: {status} {said}"
                )))
            }
        }
    }
}
