//! What readers of the log share: a tenant's way to the replicas, any of them.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::sleep;

use super::told::Notebook;
use crate::cli::chaos::balancer::Addresses;

/// The pause before another look for a replica that answers.
const PAUSE: Duration = Duration::from_millis(200);

/// The pause after an answer that should not have come, so that there are not thousands of them.
const WRONG_PAUSE: Duration = Duration::from_secs(2);

/// Reads one tenant's events.
pub struct Reader {
    pub client: Client,
    pub addresses: Addresses,
    pub key: SecretString,
    pub rng: StdRng,
    pub notebook: Notebook,
}

impl Reader {
    /// A request to a replica that is up, whichever that is.
    pub async fn get(&mut self, path: &str) -> RequestBuilder {
        loop {
            let replica = self.rng.random_range(0..self.addresses.count());
            if let Some(address) = self.addresses.get(replica) {
                self.notebook.begin_round();
                return self
                    .client
                    .get(format!("http://{address}{path}"))
                    .bearer_auth(self.key.expose_secret());
            }
            sleep(PAUSE).await;
        }
    }

    /// The answer, if it is 200; else there was a pause, and a complaint where it is not one that passes.
    pub async fn accept(&self, answer: reqwest::Result<Response>) -> Option<Response> {
        let Ok(answer) = answer else {
            sleep(PAUSE).await;
            return None;
        };
        match answer.status() {
            StatusCode::OK => Some(answer),
            status if status.is_server_error() => {
                sleep(PAUSE).await;
                None
            }
            status => {
                let text = answer.text().await.unwrap_or_default();
                self.notebook.complain(format!("{status} {text}"));
                sleep(WRONG_PAUSE).await;
                None
            }
        }
    }

    /// So many milliseconds.
    pub fn milliseconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(from..=to))
    }
}
