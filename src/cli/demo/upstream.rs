//! Who transcribes in the demo.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::dev_tools::simulator::{Simulator, SimulatorSettings};

/// The simulator's account key. It guards nothing: both ends are ours and on loopback.
const SIMULATOR_KEY: &str = "demo-gladia-key";

/// How fast the simulator works: a minute of audio takes three seconds.
const SPEED: f64 = 20.0;

/// Who transcribes.
pub enum Upstream {
    /// A simulator of the demo's own.
    Simulated(Simulator),
    /// Gladia, with somebody's account.
    Real {
        /// The account's key.
        key: SecretString,
        /// The base of its API.
        url: Url,
    },
}

impl Upstream {
    /// Starts a simulator.
    pub async fn simulated() -> anyhow::Result<Self> {
        let settings = SimulatorSettings {
            api_keys: vec![SIMULATOR_KEY.to_owned()],
            speed: SPEED,
            ..SimulatorSettings::default()
        };
        Ok(Self::Simulated(Simulator::start(settings).await?))
    }

    /// Gladia itself.
    pub fn real(key: SecretString, url: Url) -> Self {
        Self::Real { key, url }
    }

    /// The place of the demo's tables in somebody else's database. What was left in line for the simulator is never sent
    /// to Gladia.
    pub fn schema(is_real: bool) -> &'static str {
        if is_real {
            "gladia_gateway_demo_with_gladia"
        } else {
            "gladia_gateway_demo"
        }
    }

    /// Its key.
    pub fn key(&self) -> &str {
        match self {
            Self::Simulated(_) => SIMULATOR_KEY,
            Self::Real { key, .. } => key.expose_secret(),
        }
    }

    /// Its address.
    pub fn url(&self) -> Url {
        match self {
            Self::Simulated(simulator) => simulator.url(),
            Self::Real { url, .. } => url.clone(),
        }
    }

    /// How results come from it: only the simulator reaches this machine.
    pub fn completion(&self) -> &'static str {
        match self {
            Self::Simulated(_) => "callback",
            Self::Real { .. } => "poll",
        }
    }

    /// What it is, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Simulated(simulator) => format!("a simulated Gladia at {}", simulator.url()),
            Self::Real { url, .. } => format!(
                "Gladia at {url}, which is asked for results every few seconds and bills the account of GLADIA_API_KEY"
            ),
        }
    }

    /// Ends what the demo has started of it.
    pub async fn shutdown(self) {
        if let Self::Simulated(simulator) = self {
            simulator.shutdown().await;
        }
    }
}
