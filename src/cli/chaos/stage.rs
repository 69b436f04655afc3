//! Everything that a run needs: Postgres with fsync and perhaps a standby, the simulator, three replicas, the balancer before
//! them, tenants.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sqlx::{Connection, PgConnection};
use tokio::{sync::Mutex, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Plan,
    balancer::{Addresses, Balancer},
    consumers::{Clock, Tenant},
    database::Database,
    facts::Still,
    progress::Progress,
    replicas::Replica,
    upstream::{GLADIA_KEY, Upstream},
};
use crate::{
    db::{self, api_keys::NewApiKey},
    domain::{
        access::{ApiKey, Scope, TenantName},
        ids::Ids,
    },
};

/// How many replicas there are.
pub const REPLICAS: usize = 3;

/// The account's limit.
pub const MAX_IN_FLIGHT: u64 = 25;

/// The teams that submit.
pub const TENANTS: [&str; 3] = ["acme", "globex", "initech"];

/// What makes recovery quick, so that a run takes minutes.
const QUICK: [(&str, &str); 10] = [
    ("SETTLING_SECONDS", "3"),
    ("SEND_WINDOW_SECONDS", "3"),
    ("GLADIA_CREATE_TIMEOUT_SECONDS", "3"),
    ("RECONCILE_AFTER_SECONDS", "5"),
    ("SHUTDOWN_TIMEOUT_SECONDS", "20"),
    ("DATABASE_POOL_SIZE", "20"),
    ("LISTEN_ADDR", "127.0.0.1:0"),
    ("GLADIA_API_KEY", GLADIA_KEY),
    ("LOG_LEVEL", "info,gladia_gateway=debug"),
    // Where the receivers of webhooks are.
    ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8"),
];

/// How files of callbacks end that wait in a spool, or that cannot be read there.
const SPOOLED: [&str; 2] = ["callback", "broken"];

/// What runs.
pub struct Stage {
    pub database: Database,
    pub upstream: Upstream,
    pub replicas: Vec<Arc<Replica>>,
    pub addresses: Addresses,
    pub progress: Progress,
    pub clock: Clock,
    /// Where each replica keeps callbacks while Postgres is away.
    spools: Vec<PathBuf>,
    keepers: Mutex<JoinSet<anyhow::Result<()>>>,
    stop: CancellationToken,
    _balancer: Balancer,
}

impl Stage {
    /// Starts everything; logs go to `directory`. Also the tenants.
    pub async fn set(
        directory: &Path,
        plan: &Plan,
        progress: Progress,
    ) -> anyhow::Result<(Self, Vec<Tenant>)> {
        let database = Database::start(plan.has_standby, directory).await?;
        db::migrate(&db::parse_url(database.url())?).await?;
        let mut conn = PgConnection::connect(database.url()).await?;
        let tenants = make_tenants(&mut conn).await?;
        let said = db::clock::now(&mut conn).await?;
        // After the answer: read before the question, all that it dates would seem later than it was.
        let clock = (Instant::now(), said);
        conn.close().await?;
        let upstream = Upstream::start(directory, plan.seed).await?;

        let addresses = Addresses::of(REPLICAS);
        let balancer = Balancer::start(addresses.clone()).await?;
        let callback_key = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let mut shared: Vec<(&'static str, String)> = QUICK
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        shared.extend([
            ("DATABASE_URL", database.url().to_owned()),
            ("GLADIA_API_URL", upstream.url.to_string()),
            ("PUBLIC_URL", format!("http://{}/", balancer.address())),
            ("CALLBACK_KEYS", format!("chaos:{callback_key}")),
            ("MAX_IN_FLIGHT", MAX_IN_FLIGHT.to_string()),
        ]);
        let stop = CancellationToken::new();
        let (mut replicas, mut spools, mut keepers) = (Vec::new(), Vec::new(), JoinSet::new());
        for number in 0..REPLICAS {
            let name = format!("serve-{}", number + 1);
            let mut settings = shared.clone();
            let spool = directory.join(format!("{name}-spool"));
            std::fs::create_dir(&spool)?;
            let path = spool.to_str().context("TMPDIR has no plain name")?;
            settings.push(("CALLBACK_SPOOL_DIR", path.to_owned()));
            spools.push(spool);
            let log = directory.join(format!("{name}.log"));
            let replica = Replica::new(number, settings, log, addresses.clone(), progress);
            let replica = Arc::new(replica);
            keepers.spawn(Arc::clone(&replica).keep(stop.clone()));
            replicas.push(replica);
        }
        let stage = Self {
            database,
            upstream,
            replicas,
            addresses,
            progress,
            clock,
            spools,
            keepers: Mutex::new(keepers),
            stop,
            _balancer: balancer,
        };
        Ok((stage, tenants))
    }

    /// A connection of one's own to the gateway's database.
    pub async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(self.database.url()).await
    }

    /// Ends the replicas as a service manager does. What is wrong with how they ended, or had ended before.
    pub async fn end_replicas(&self) -> Vec<String> {
        self.stop.cancel();
        let mut wrong = Vec::new();
        let mut keepers = self.keepers.lock().await;
        while let Some(ended) = keepers.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => wrong.push(format!("{error:#}")),
                Err(error) => wrong.push(error.to_string()),
            }
        }
        for replica in &self.replicas {
            let crashes = replica.crashes().into_iter();
            // A replica that starts while Postgres is away ends with an error, and is started again: so it should be.
            wrong.extend(
                crashes
                    .filter(|crash| !crash.contains("DATABASE_URL: cannot reach the database"))
                    .map(|crash| format!("{} ended by itself: {crash}", replica.name)),
            );
        }
        wrong
    }

    /// When which process stood still, by the gateway's clock.
    pub fn stills(&self) -> Vec<Still> {
        let (instant, said) = self.clock;
        let by_clock = |at: Instant| said + at.duration_since(instant);
        let freezes = self.replicas.iter().flat_map(|replica| replica.freezes());
        freezes
            .map(|freeze| Still {
                pid: freeze.pid.as_raw(),
                from: by_clock(freeze.from),
                to: by_clock(freeze.to),
            })
            .collect()
    }

    /// Callbacks that were kept while Postgres was away, and are not carried out.
    pub fn spooled(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for spool in &self.spools {
            for file in std::fs::read_dir(spool)? {
                let path = file?.path();
                let extension = path.extension().and_then(OsStr::to_str);
                if SPOOLED.contains(&extension.unwrap_or_default()) {
                    found.push(path);
                }
            }
        }
        Ok(found)
    }

    /// Ends what else there is.
    pub async fn strike_down(self) -> anyhow::Result<()> {
        self.upstream.stop().await?;
        self.database.stop().await
    }
}

/// Makes the tenants, with an API key each.
async fn make_tenants(conn: &mut PgConnection) -> anyhow::Result<Vec<Tenant>> {
    let ids = Ids::random();
    let mut tenants = Vec::new();
    for name in TENANTS {
        let tenant: TenantName = name.parse().map_err(|error: &str| anyhow!(error))?;
        let tenant_id = db::api_keys::find_or_insert_tenant(conn, ids.next(), &tenant).await?;
        let key = ApiKey::from_random(rand::random());
        let new = NewApiKey {
            id: ids.next(),
            tenant_id,
            name: "chaos",
            scope: Scope::Write,
            hash: key.hash(),
        };
        db::api_keys::insert(conn, new).await?;
        tenants.push(Tenant {
            id: tenant_id,
            name,
            key: key.expose().into(),
        });
    }
    Ok(tenants)
}
