//! The service as a test sees it: replicas before a simulated Gladia, on a database of the test's own.

use std::collections::{BTreeMap, HashMap, HashSet};

use gladia_gateway::{
    db::{self, api_keys::NewApiKey, far_ahead},
    domain::{
        access::{ApiKey, Scope},
        ids::Ids,
    },
    gladia::callback_keys::CallbackKeys,
};
use reqwest::Client;
use serde_json::Value;
use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Caller,
    builder::{self, Builder, Tuning},
    database,
    relay::Relay,
    replica::Replica,
    spool::SpoolDirectory,
    upstream::Upstream,
};

/// What the builder made.
pub struct Parts {
    pub database: String,
    pub pool: PgPool,
    pub http: Client,
    pub upstream: Upstream,
    pub front: Relay,
    pub gladia: Option<Relay>,
    pub database_relay: Option<Relay>,
    pub callback_keys: CallbackKeys,
    pub values: BTreeMap<String, String>,
    pub tuning: Tuning,
    pub doubles: bool,
    pub replicas: Vec<Replica>,
    pub own_spool: Option<SpoolDirectory>,
}

/// Everything that runs for one test.
pub struct TestApp {
    /// A connection of the test's own to the database.
    pub pool: PgPool,
    /// The simulated Gladia.
    pub upstream: Upstream,
    /// Where Gladia's callbacks go: in turn to the replicas.
    pub front: Relay,
    /// The gateways.
    pub replicas: Vec<Replica>,
    /// A program of the tenant `acme` that may write.
    pub acme: Caller,
    /// A program of another tenant that may write.
    pub globex: Caller,
    pub callback_keys: CallbackKeys,
    pub http: Client,
    gladia: Option<Relay>,
    database_relay: Option<Relay>,
    values: BTreeMap<String, String>,
    tuning: Tuning,
    doubles: bool,
    database: String,
    /// Gone with the test.
    _own_spool: Option<SpoolDirectory>,
}

impl TestApp {
    /// One gateway with nothing special.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    pub fn builder() -> Builder {
        Builder::default()
    }

    pub async fn new(parts: Parts) -> Self {
        let base = parts.replicas[0].base.clone();
        let acme = make_caller(&parts.pool, &parts.http, &base, "acme", Scope::Write).await;
        let globex = make_caller(&parts.pool, &parts.http, &base, "globex", Scope::Write).await;
        Self {
            pool: parts.pool,
            upstream: parts.upstream,
            front: parts.front,
            replicas: parts.replicas,
            acme,
            globex,
            callback_keys: parts.callback_keys,
            http: parts.http,
            gladia: parts.gladia,
            database_relay: parts.database_relay,
            values: parts.values,
            tuning: parts.tuning,
            doubles: parts.doubles,
            database: parts.database,
            _own_spool: parts.own_spool,
        }
    }

    /// A program with a new key.
    pub async fn caller(&self, tenant: &str, scope: Scope) -> Caller {
        let base = &self.replicas[0].base;
        make_caller(&self.pool, &self.http, base, tenant, scope).await
    }

    /// The database, for other programs.
    pub fn database_url(&self) -> &str {
        &self.values["DATABASE_URL"]
    }

    /// The settings of its gateways, by their environment variables.
    pub fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// The line to Gladia.
    pub fn gladia(&self) -> &Relay {
        self.gladia.as_ref().expect("built with_gladia_relay")
    }

    /// The line to the database.
    pub fn database_relay(&self) -> &Relay {
        self.database_relay
            .as_ref()
            .expect("built with_database_relay")
    }

    /// Starts one more gateway, with these settings on top.
    pub async fn add_replica(&mut self, settings: &[(&str, &str)]) {
        self.try_replica(settings)
            .await
            .expect("a further gateway starts");
    }

    /// The same, where it may refuse to start.
    pub async fn try_replica(&mut self, settings: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut values = self.values.clone();
        for (name, value) in settings {
            values.insert((*name).to_owned(), (*value).to_owned());
        }
        let replica = Replica::start(builder::settings(&values, self.tuning)).await?;
        self.replicas.push(replica);
        self.point_front_at_replicas();
        Ok(())
    }

    /// Sends callbacks to the replicas that run.
    pub fn point_front_at_replicas(&self) {
        let running = self
            .replicas
            .iter()
            .filter(|replica| !replica.shutdown.soft.is_cancelled());
        self.front
            .set_targets(running.map(|replica| replica.callback_address).collect());
    }

    /// Ends the test: nothing is left to do, no slot is held, and nothing was sent twice (unless the test `doubles_a_job`) or beyond
    /// the cap.
    pub async fn finish(self) {
        super::eventually("moment at which nothing is under way", async || {
            let open: i64 = self
                .scalar(
                    "SELECT (SELECT count(*) FROM jobs WHERE finished_at IS NULL)
                          + (SELECT count(*) FROM attempts WHERE finished_at IS NULL)
                          + (SELECT count(*) FROM slots WHERE attempt_id IS NOT NULL)",
                )
                .await;
            (open == 0).then_some(())
        })
        .await;
        self.stop().await;
    }

    /// Ends a test in which nothing must have come of anything: no rows here, no file and no job at Gladia.
    pub async fn finish_with_nothing_kept(self) {
        for table in ["jobs", "uploads", "idempotency_keys"] {
            assert_eq!(self.rows(table).await, 0, "{table}");
        }
        assert_eq!(self.upstream.count("uploads_accepted").await, 0);
        assert_eq!(self.upstream.count("creates_received").await, 0);
        self.finish().await;
    }

    /// Sends bytes that no client library would send, and gives what comes until the connection ends.
    pub async fn send_bytes(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.replicas[0].address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is reset after its answer is as good as one that is closed.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Ends a test that leaves work under way. What holds at every instant is looked at all the same.
    pub async fn stop(self) {
        for replica in &self.replicas {
            replica.stop(builder::DRAIN).await;
        }
        self.check_invariants().await;
        self.check_references().await;
        self.check_nothing_is_far_ahead().await;
        self.take_down().await;
    }

    /// Stops without a look at what Gladia has: jobs of another schema are there, too.
    pub async fn stop_beside_another(self) {
        for replica in &self.replicas {
            replica.stop(builder::DRAIN).await;
        }
        self.take_down().await;
    }

    async fn take_down(self) {
        self.pool.close().await;
        let Self {
            upstream, database, ..
        } = self;
        upstream.simulator.shutdown().await;
        let server = database::server().await;
        server.drop_database(&database).await.unwrap();
    }

    /// What no constraint says, since it would be asked at each write.
    async fn check_references(&self) {
        let stray: Vec<String> = sqlx::query_scalar(
            "SELECT 'a try without its delivery' FROM delivery_attempts a
             WHERE NOT EXISTS (SELECT FROM deliveries d WHERE d.id = a.delivery_id)
             UNION ALL
             SELECT 'an event of another tenant' FROM events e JOIN jobs j ON j.id = e.job_id
             WHERE e.tenant_id <> j.tenant_id
             UNION ALL
             SELECT 'a delivery of another tenant' FROM deliveries d JOIN jobs j ON j.id = d.job_id
             WHERE d.tenant_id <> j.tenant_id
             UNION ALL
             SELECT 'metadata of another tenant' FROM job_metadata m JOIN jobs j ON j.id = m.job_id
             WHERE m.tenant_id <> j.tenant_id
             UNION ALL
             SELECT 'an idempotency key of another tenant' FROM idempotency_keys k JOIN jobs j ON j.id = k.job_id
             WHERE k.tenant_id <> j.tenant_id",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        assert_eq!(stray, [""; 0]);
    }

    /// What the service wrote is nothing that the sweep takes for the trace of a clock that was ahead: whatever a test is about,
    /// its rows stand for those of a database that is well.
    async fn check_nothing_is_far_ahead(&self) {
        // That one is the test's own.
        self.execute(
            "UPDATE dispatch SET paused_until = NULL, pause_reason = NULL WHERE paused_until > gateway_now() + interval '5 hours'",
        )
        .await;
        let settings = builder::settings(&self.values, self.tuning);
        let mut conn = self.pool.acquire().await.unwrap();
        let pulled = far_ahead::pull_back(&mut conn, settings.settling.settling_time).await;
        assert_eq!(pulled.unwrap().0, 0, "rows that were pulled back");
    }

    async fn check_invariants(&self) {
        let ledger = self.upstream.ledger().await;
        let counts = &ledger["counts"];
        assert_eq!(counts["keys_leaked"], 0, "the key reached another origin");
        // A job that the test ended in Gladia's place, or its deadline, holds no slot and still runs at the simulator.
        let ended: HashSet<String> =
            sqlx::query_scalar("SELECT id::text FROM attempts WHERE finished_at IS NOT NULL")
                .fetch_all(&self.pool)
                .await
                .unwrap()
                .into_iter()
                .collect();
        // A test may have sent jobs that are no gateway's.
        let (foreign, jobs): (Vec<&Value>, Vec<&Value>) = ledger["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .partition(|job| job["custom_metadata"]["foreign"] == true);
        let ended_without_gladia = jobs
            .iter()
            .filter(|job| job["finished_at"].is_null() && ended.contains(attempt_of(job)))
            .count();
        let slots = usize::try_from(self.rows("slots").await).unwrap();
        let most = usize::try_from(counts["max_in_flight_seen"].as_u64().unwrap()).unwrap();
        assert!(
            most <= slots + ended_without_gladia,
            "{most} in flight with {slots} slots"
        );

        // Every accepted create names an attempt of its own, and no job has two but by its caller's wish, or the test's.
        let attempts: HashMap<String, String> =
            sqlx::query_as("SELECT id::text, job_id::text FROM attempts")
                .fetch_all(&self.pool)
                .await
                .unwrap()
                .into_iter()
                .collect();
        let mut accepted: HashMap<&str, u32> = HashMap::new();
        for job in jobs {
            let attempt = attempt_of(job);
            let job = attempts
                .get(attempt)
                .unwrap_or_else(|| panic!("no row was committed for attempt {attempt}"));
            *accepted.entry(job).or_default() += 1;
        }
        let surplus: HashMap<String, i64> = sqlx::query_as(
            "SELECT job_id::text, count(*) FROM upstream_deletions WHERE reason = 'surplus' GROUP BY job_id",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
        .into_iter()
        .collect();
        let retries: HashMap<String, i32> = sqlx::query_as("SELECT id::text, retries FROM jobs")
            .fetch_all(&self.pool)
            .await
            .unwrap()
            .into_iter()
            .collect();
        let mut doubled = Vec::new();
        for (job, times) in accepted {
            let noted = surplus.get(job).copied().unwrap_or_default();
            // Each retry that a caller asks for is one more that is wanted.
            let wanted = 1 + i64::from(retries.get(job).copied().unwrap_or_default());
            let found = format!(
                "job {job} was accepted by Gladia {times} times, {wanted} wanted, {noted} noted as surplus"
            );
            assert!(i64::from(times) <= wanted + noted, "{found}");
            if i64::from(times) > wanted || noted >= wanted {
                doubled.push(found);
            }
        }
        // That the gateway knows of one excuses it only where the test means to have it.
        assert_eq!(!doubled.is_empty(), self.doubles, "{doubled:#?}");
        let creates = counts["creates_received"].as_u64().unwrap() - foreign.len() as u64;
        assert!(
            creates <= attempts.len() as u64,
            "{creates} creates of {} attempts",
            attempts.len()
        );
        let moves: Vec<(String, Vec<String>)> = sqlx::query_as(
            "SELECT job_id::text, array_agg(type ORDER BY position) FROM events e
             WHERE job_id IS NOT NULL
               -- Of some that are old, the first events are gone.
               AND NOT EXISTS (SELECT FROM event_horizons h WHERE h.tenant_id = e.tenant_id)
             GROUP BY job_id",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        for (job, events) in moves {
            assert_eq!(events[0], "transcription.queued", "{job}: {events:?}");
            let done = events.iter().filter(|event| *event == "transcription.done");
            assert!(done.count() <= 1, "{job}: {events:?}");
        }
    }
}

async fn make_caller(
    pool: &PgPool,
    http: &Client,
    base: &str,
    tenant: &str,
    scope: Scope,
) -> Caller {
    let ids = Ids::random();
    let key = ApiKey::from_random(rand::random());
    let mut conn = pool.acquire().await.unwrap();
    let tenant = tenant.parse().unwrap();
    let tenant_id = db::api_keys::find_or_insert_tenant(&mut conn, ids.next(), &tenant)
        .await
        .unwrap();
    let new = NewApiKey {
        id: ids.next(),
        tenant_id,
        name: "test",
        scope,
        hash: key.hash(),
    };
    let api_key_id = new.id.0;
    db::api_keys::insert(&mut conn, new).await.unwrap();
    Caller {
        http: http.clone(),
        base: base.to_owned(),
        key: Some(key.expose().to_owned()),
        tenant_id: tenant_id.0,
        api_key_id,
    }
}

/// The attempt that sent a job of the simulator's ledger.
pub fn attempt_of(job: &Value) -> &str {
    job["custom_metadata"]["gladia_gateway_attempt"]
        .as_str()
        .unwrap_or_else(|| panic!("Gladia has a job that no attempt sent: {job}"))
}
