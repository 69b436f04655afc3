//! How a test is set up.

use std::{
    collections::BTreeMap,
    fmt::Display,
    net::Ipv4Addr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use gladia_gateway::{
    config::ServeSettings,
    db,
    dev_tools::simulator::{SimulatorSettings, WebhookSettings},
    gladia::callback_keys::CallbackKeys,
};
use reqwest::Client;

use super::{
    app::TestApp,
    database,
    relay::Relay,
    replica::Replica,
    spool::SpoolDirectory,
    upstream::{self, Upstream},
};

pub const CALLBACK_KEYS: &str = "test:0123456789abcdef0123456789abcdef";

/// What signs account webhooks.
pub const WEBHOOK_SECRET: &str = "whsec_YW4gYWNjb3VudCB3ZWJob29rIG9mIHRlc3Rz";

/// What differs from one gateway before a simulator on a database of its own.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is chosen by itself, in any combination"
)]
pub struct Builder {
    settings: BTreeMap<String, String>,
    replicas: usize,
    simulator: SimulatorSettings,
    gladia_relay: bool,
    database_relay: bool,
    migrated: bool,
    doubles: bool,
    tuning: Tuning,
}

/// Changes what no environment variable does: times that tests cannot wait for.
pub type Tuning = fn(&mut ServeSettings);

impl Default for Builder {
    fn default() -> Self {
        Self {
            settings: BTreeMap::new(),
            replicas: 1,
            simulator: upstream::settings(),
            gladia_relay: false,
            database_relay: false,
            migrated: true,
            doubles: false,
            tuning: |_| {},
        }
    }
}

impl Builder {
    /// A setting of `serve`, by its environment variable.
    pub fn set(mut self, name: &str, value: impl Display) -> Self {
        self.settings.insert(name.to_owned(), value.to_string());
        self
    }

    /// How many gateways share the database.
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Changes the simulator's settings.
    pub fn simulator(mut self, change: impl FnOnce(&mut SimulatorSettings)) -> Self {
        change(&mut self.simulator);
        self
    }

    /// Lets Gladia tell the gateways of every job of the account.
    pub fn with_webhooks(mut self) -> Self {
        self.simulator.webhook = Some(WebhookSettings {
            // The address of the front is known once it listens.
            url: "http://replaced.below/webhooks/gladia".parse().unwrap(),
            secret: WEBHOOK_SECRET.to_owned(),
        });
        self.set("GLADIA_WEBHOOK_SECRETS", WEBHOOK_SECRET)
    }

    /// Puts a line that can be cut before Gladia.
    pub fn with_gladia_relay(mut self) -> Self {
        self.gladia_relay = true;
        self
    }

    /// Puts a line that can be cut before the database.
    pub fn with_database_relay(mut self) -> Self {
        self.database_relay = true;
        self
    }

    /// Leaves the database empty, so that the replicas bring it up.
    pub fn without_migrations(mut self) -> Self {
        self.migrated = false;
        self
    }

    /// Expects that Gladia gets a job more often than its caller wants it, and that the gateway knows.
    pub fn doubles_a_job(mut self) -> Self {
        self.doubles = true;
        self
    }

    /// Changes settings that have no environment variable.
    pub fn tune(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    /// Starts everything.
    pub async fn start(self) -> TestApp {
        gladia_gateway::telemetry::try_init();
        let http = Client::builder()
            .no_proxy()
            .timeout(super::BOUND)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let name = database::create(self.migrated).await;
        let server = database::server().await;
        let url = server.url(&name);
        let pool = db::connect(db::parse_url(&url).unwrap(), 2).await.unwrap();
        let front = Relay::start(Vec::new());
        let is_zero_retention = self
            .settings
            .get("GLADIA_ZERO_DATA_RETENTION")
            .is_some_and(|is| is == "true");
        let mut simulator = self.simulator;
        // The account is the same one.
        simulator.zero_data_retention |= is_zero_retention;
        if let Some(webhook) = &mut simulator.webhook {
            let port = Some(front.address().port());
            webhook.url.set_host(Some("127.0.0.1")).unwrap();
            webhook.url.set_port(port).unwrap();
        }
        let upstream = Upstream::start(simulator, http.clone()).await;

        let gladia_url = upstream.simulator.url();
        let gladia = if self.gladia_relay {
            let target = (Ipv4Addr::LOCALHOST, gladia_url.port().unwrap());
            Some(Relay::start(vec![target.into()]))
        } else {
            None
        };
        let database_relay = if self.database_relay {
            let port = db::parse_url(&url).unwrap().get_port();
            Some(Relay::start(vec![(Ipv4Addr::LOCALHOST, port).into()]))
        } else {
            None
        };

        let mut values: BTreeMap<String, String> = BTreeMap::new();
        let mut set = |name: &str, value: String| values.insert(name.to_owned(), value);
        set("DATABASE_URL", through(&url, database_relay.as_ref()));
        set("DATABASE_POOL_SIZE", "4".to_owned());
        set("GLADIA_API_KEY", upstream::GLADIA_KEY.to_owned());
        set(
            "GLADIA_API_URL",
            through(gladia_url.as_str(), gladia.as_ref()),
        );
        set("PUBLIC_URL", format!("http://{}/", front.address()));
        set("CALLBACK_KEYS", CALLBACK_KEYS.to_owned());
        // The front leads nowhere until the gateways run, and few tests are about it.
        set("PUBLIC_URL_CHECK", "off".to_owned());
        set("LISTEN_ADDR", "127.0.0.1:0".to_owned());
        // Receivers listen there.
        set("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8".to_owned());
        values.extend(self.settings);
        // It is required then; most tests of it are about something else.
        let own_spool =
            (is_zero_retention && !values.contains_key("CALLBACK_SPOOL_DIR")).then(|| {
                let spool = SpoolDirectory::new();
                values.insert("CALLBACK_SPOOL_DIR".to_owned(), spool.setting().to_owned());
                spool
            });

        let starting = (0..self.replicas).map(|_| Replica::start(settings(&values, self.tuning)));
        let replicas: Vec<Replica> = futures_util::future::try_join_all(starting)
            .await
            .expect("the gateways start");
        let app = TestApp::new(super::app::Parts {
            database: name,
            pool,
            http,
            upstream,
            front,
            gladia,
            database_relay,
            callback_keys: values["CALLBACK_KEYS"].parse::<CallbackKeys>().unwrap(),
            values,
            tuning: self.tuning,
            doubles: self.doubles,
            replicas,
            own_spool,
        })
        .await;
        app.point_front_at_replicas();
        app
    }
}

/// The address that leads through a relay.
fn through(url: &str, relay: Option<&Relay>) -> String {
    let mut url: url::Url = url.parse().unwrap();
    if let Some(relay) = relay {
        url.set_port(Some(relay.address().port())).unwrap();
    }
    url.into()
}

/// Settings from the names of their environment variables.
pub fn settings(values: &BTreeMap<String, String>, tuning: Tuning) -> ServeSettings {
    let pairs = values
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    match ServeSettings::from_values(pairs) {
        Ok(mut settings) => {
            settings.settling.monotonic_now = always_later;
            settings.process_now = || DateTime::<Utc>::MAX_UTC;
            tuning(&mut settings);
            settings
        }
        Err(stop) => panic!("the settings of a test are wrong: {stop:?}"),
    }
}

/// A gateway's own clock that measures time, a day further whenever it is read. Tests move the database's clock where they cannot
/// wait, and it has then moved along; those that are about the difference set the real one.
fn always_later() -> Instant {
    static READINGS: AtomicU64 = AtomicU64::new(0);
    let days = READINGS.fetch_add(1, Ordering::Relaxed);
    Instant::now() + Duration::from_hours(24 * days)
}

/// How long a gateway gets to end what is under way.
pub const DRAIN: Duration = Duration::from_secs(5);
