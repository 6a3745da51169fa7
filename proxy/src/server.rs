//! What the rooms share: configuration, loops, stations, listeners.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use anyhow::Context as _;
use icecast_ext_delivery::{Ended, Engine, EngineConfig, Journal, Mount, Reason};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accesslog::AccessLog;
use crate::admission::{self, Door};
use crate::audience::Audience;
use crate::bans::Bans;
use crate::config::{Bind, Config};
use crate::figures::Figures;
use crate::handover::{Doors, Gate, Inheritance};
use crate::limits::Limits;
use crate::station::{Station, Supply};
use crate::stations::Stations;
use crate::tls::Certificates;
use crate::upstream::Origin;
use crate::upstreams::Upstreams;
use crate::watch::Watch;
use crate::{descriptors, house, listener, notify, origin, privileges, pull, sockets};

/// All that the rooms share.
#[derive(Debug)]
pub(crate) struct Server {
    config: RwLock<Arc<Config>>,
    pub(crate) engine: Engine,
    pub(crate) journal: Option<Journal>,
    pub(crate) stations: Stations,
    /// `None`: an origin.
    pub(crate) upstream: Option<Arc<Upstreams>>,
    /// Whose names of our bytes are learned.
    pub(crate) peers: Vec<Arc<Origin>>,
    /// For `listen-tls`, if there is any.
    pub(crate) certificates: Option<Arc<Certificates>>,
    /// Our name in `Via`.
    pub(crate) id: String,
    /// Who listens.
    pub(crate) audience: Arc<Audience>,
    pub(crate) figures: Arc<Figures>,
    pub(crate) watch: Watch,
    /// Milliseconds since 1970.
    pub(crate) started_ms: u64,
    /// Who was let in, and for how long.
    pub(crate) door: Arc<Door>,
    /// What one address may take.
    pub(crate) limits: Arc<Limits>,
    /// Who may not connect at all.
    pub(crate) bans: Arc<Bans>,
    /// What is over.
    pub(crate) access_log: Arc<AccessLog>,
    /// Places for listeners that hear what only the upstream holds.
    pub(crate) passages: Semaphore,
    /// Whether another process takes over.
    pub(crate) gate: Gate,
    pub(crate) doors: Doors,
    pub(crate) stop: CancellationToken,
    /// Cancelled before `stop`, or with it: nobody new comes in.
    pub(crate) accepting: CancellationToken,
    /// Requests that are read, answered or tunnelled; all are among `tasks` as well.
    pub(crate) connections: TaskTracker,
    pub(crate) tasks: TaskTracker,
}

impl Server {
    /// Opens the sockets, drops privileges, opens the journal, and starts what was live before.
    pub(crate) async fn start(
        config: Config,
        stop: CancellationToken,
        mut inheritance: Option<Inheritance>,
    ) -> anyhow::Result<(Arc<Self>, Vec<Bind>)> {
        let id = crate::random_id()?;
        let doors = inheritance.as_mut().map(Inheritance::doors);
        let doors = doors.unwrap_or_default();
        let opened = sockets::open(&config, &doors)?;
        let tls = opened.iter().any(|open| open.tls);
        let certificates = tls
            .then(|| Certificates::load(&config.certificates))
            .transpose()?
            .map(Arc::new);
        // What only root may open is open; what is made from here on is the user's.
        privileges::drop(&config)?;
        privileges::check(&config);
        let journal = match (config.state.as_deref(), &mut inheritance) {
            (None, _) => None,
            (Some(dir), Some(inheritance)) => Some(inheritance.journal(dir)?),
            (Some(dir), None) => Some(Journal::open(dir)?),
        };
        let upstream = Upstreams::new(&config.upstreams, &id)?;
        let peers = config.peers.iter();
        let peers = peers.map(|peer| Origin::new(peer.clone(), format!("1.1 {id}")).map(Arc::new));
        let peers = peers.collect::<anyhow::Result<Vec<_>>>()?;
        let door = Arc::new(Door::new()?);
        let figures = Arc::new(Figures::default());
        let access_log = AccessLog::start(config.access_log.as_deref()).with_context(|| {
            let path = config.access_log.clone().unwrap_or_default();
            format!("cannot open access-log {}", path.display())
        })?;
        let access_log = Arc::new(access_log);
        let limits = Limits::new(config.limits, descriptors::pool(), Instant::now());
        let bans = Bans::new(config.deny_ip.as_deref(), config.allow_ip.as_deref());
        let audience = Arc::new(Audience::new(access_log.clone()));
        let ended = {
            let (audience, figures) = (audience.clone(), figures.clone());
            let (upstream, door) = (upstream.clone(), door.clone());
            move |ended: Ended| {
                door.ended(ended.id);
                let Some(visit) = audience.ended(ended) else {
                    return;
                };
                if let (Some(upstream), Reason::Evicted | Reason::Stuck) = (&upstream, ended.reason)
                {
                    upstream.ledger().slow(&visit.asked.mount);
                }
                figures.left(&visit.asked.mount, visit.address, &ended);
            }
        };
        let engine =
            Engine::start(EngineConfig::default(), ended).context("starting the delivery loops")?;
        let config = Arc::new(config);
        let server = Arc::new(Self {
            config: RwLock::new(config.clone()),
            engine,
            journal,
            stations: Stations::new(limits.mounts.clone()),
            upstream,
            peers,
            certificates,
            id,
            audience,
            figures,
            watch: Watch::default(),
            started_ms: icecast_ext_delivery::clock::now_ms(),
            door,
            limits,
            bans: Arc::new(bans),
            access_log,
            passages: Semaphore::new(listener::older::MAX_PASSAGES),
            accepting: stop.child_token(),
            gate: Gate::default(),
            doors,
            stop,
            connections: TaskTracker::new(),
            tasks: TaskTracker::new(),
        });
        crate::admin::start(&server)?;
        let succession = match inheritance {
            Some(inheritance) => Some(tokio::task::block_in_place(|| inheritance.take(&server))?),
            None => None,
        };
        if let Some(succession) = succession {
            succession.begin(&server)?;
        }
        // What is older than this, nobody can want to continue.
        let keep = config.window + config.patience;
        let remembered = server.journal.as_ref().map(|journal| journal.mounts(keep));
        let always = config.always.clone();
        for path in remembered.into_iter().flatten().chain(always) {
            let station = server.station(&path);
            if server.upstream.is_none() && station.supply() == Supply::Starting {
                origin::lost(&server, &station);
            }
        }
        server.tasks.spawn(Watch::run(server.clone()));
        server.tasks.spawn(admission::rounds(server.clone()));
        server.tasks.spawn(house::keep(server.clone()));
        let mut addresses = Vec::new();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for open in opened {
            addresses.push(Bind {
                address: open.listener.local_addr()?,
                tls: open.tls,
            });
            let open = Arc::new(open);
            for _ in 0..cores {
                server.tasks.spawn(server.clone().accept(open.clone()));
            }
        }
        if let Some(certificates) = server.certificates.clone() {
            let stop = server.stop.clone();
            server.tasks.spawn(async move {
                stop.run_until_cancelled(certificates.watch()).await;
            });
        }
        server.tasks.spawn(notify::watch(server.clone()));
        Ok((server, addresses))
    }

    /// As it is now: a reload replaces it.
    pub(crate) fn config(&self) -> Arc<Config> {
        let config = self.config.read();
        config.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As it is from now on.
    pub(crate) fn configure(&self, config: Config) {
        let mut held = self.config.write().unwrap_or_else(PoisonError::into_inner);
        *held = Arc::new(config);
    }

    /// Mounts that are served at once, at most: a path is not a mount, and a stranger must not fill our memory.
    pub(crate) fn max_mounts(&self) -> usize {
        match self.config().limits.mounts {
            0 => usize::MAX,
            mounts => usize::try_from(mounts).unwrap_or(usize::MAX),
        }
    }

    /// Ends what runs: listeners get what they were promised, the journal is written out.
    pub(crate) async fn finish(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.connections.close();
        let ended = async { tokio::join!(self.tasks.wait(), self.connections.wait()) };
        let _ = tokio::time::timeout(std::time::Duration::from_secs(3), ended).await;
        let grace = std::time::Duration::from_secs(1);
        tokio::task::block_in_place(|| {
            self.engine.shutdown(grace);
            if let Some(journal) = &self.journal {
                journal.sync();
            }
            house::lock_up(self);
        });
    }

    /// The station at `path`; a new one begins with what the journal holds and, behind an upstream, with a pull.
    pub(crate) fn station(self: &Arc<Self>, path: &str) -> Arc<Station> {
        let (station, new) = self.stations.get_or_make(path, || {
            let mount = self.new_mount(path);
            if let Some(journal) = &self.journal
                && !self.gate.gone()
            {
                let loaded = mount.attach(journal);
                tracing::info!(mount = path, bytes = loaded.bytes, edge = ?loaded.edge, "from the journal");
            }
            Station::new(path, mount, self.figures.mount(path))
        });
        if new && let Some(upstream) = &self.upstream {
            self.tasks
                .spawn(pull::run(self.clone(), upstream.clone(), station.clone()));
        }
        station
    }

    /// A mount as it is configured, which holds nothing.
    pub(crate) fn new_mount(&self, path: &str) -> Arc<Mount> {
        self.engine.mount(path, self.config().mount_config(path))
    }

    /// A mount that is there, as it is configured now.
    pub(crate) fn mount_as_configured(&self, station: &Station) {
        let config = self.config().mount_config(&station.path);
        if station.mount.config() != config {
            station.mount.reconfigure(config);
        }
    }

    /// The mount has ended: its listeners go when they have been sent what is held.
    pub(crate) fn close(&self, station: &Station) {
        station.mount.close();
    }
}
