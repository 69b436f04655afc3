//! The simulated Gladia, and what it tells of itself.

use gladia_gateway::dev_tools::simulator::{Script, Simulator, SimulatorSettings};
use reqwest::Client;
use serde_json::{Value, json};

use super::{Answer, eventually};

/// The account's key. It must never be seen anywhere but in requests to the simulator.
pub const GLADIA_KEY: &str = "gladia-key-of-the-tests";

/// Seconds of audio in a second: a recording of one second takes ten milliseconds, and `endless` ones outlast any test.
const SPEED: f64 = 100.0;

/// Settings for tests.
pub fn settings() -> SimulatorSettings {
    let script = json!({ "entries": [
        { "match": "https://audio.example/endless*", "duration": 8000.0 },
        { "match": "https://audio.example/lengthy*", "duration": 20.0 },
        { "match": "https://audio.example/failing*", "duration": 1.0,
          "error": { "code": 422, "message": "The audio holds nothing that can be heard" } },
        { "match": "https://audio.example/spoken*", "duration": 2.0,
          "utterances": [{ "text": "Good morning from the harbour" }] },
        { "match": "https://audio.example/*", "duration": 1.0 },
        { "match": "spoken.wav", "utterances": [{ "text": "Good evening from the lighthouse" }] },
    ]});
    SimulatorSettings {
        api_keys: vec![GLADIA_KEY.to_owned()],
        speed: SPEED,
        script: Some(
            script
                .to_string()
                .parse::<Script>()
                .expect("a valid script"),
        ),
        callback_backoff: std::time::Duration::from_millis(50),
        ..SimulatorSettings::default()
    }
}

/// A simulator with its control side.
#[derive(Debug)]
pub struct Upstream {
    pub simulator: Simulator,
    http: Client,
}

impl Upstream {
    pub async fn start(settings: SimulatorSettings, http: Client) -> Self {
        let simulator = Simulator::start(settings)
            .await
            .expect("the simulator starts");
        Self { simulator, http }
    }

    fn control(&self, path: &str) -> String {
        format!("{}_simulator/{path}", self.simulator.url())
    }

    /// Everything that it received and did.
    pub async fn ledger(&self) -> Value {
        let request = self.http.get(self.control("ledger"));
        Answer::to(request).await.expect(200)
    }

    /// One of its sums.
    pub async fn count(&self, name: &str) -> u64 {
        let request = self.http.get(self.control("ledger?counts=true"));
        let ledger: Value = request.send().await.unwrap().json().await.unwrap();
        ledger["counts"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("there is no sum {name}"))
    }

    /// Waits until a sum has reached a number.
    pub async fn wait_for(&self, name: &str, at_least: u64) {
        eventually(&format!("{at_least} {name}"), async || {
            (self.count(name).await >= at_least).then_some(())
        })
        .await;
    }

    /// The jobs that it accepted, oldest first.
    pub async fn jobs(&self) -> Vec<Value> {
        match self.ledger().await["jobs"].take() {
            Value::Array(jobs) => jobs,
            other => panic!("no jobs but {other}"),
        }
    }

    /// Makes something go wrong, in place of whatever went wrong before.
    pub async fn fault(&self, fault: &Value) {
        let request = self.http.put(self.control("faults")).json(fault);
        let status = request.send().await.unwrap().status();
        assert_eq!(status, 204, "{fault}");
    }

    pub async fn clear_faults(&self) {
        let request = self.http.delete(self.control("faults"));
        assert_eq!(request.send().await.unwrap().status(), 204);
    }

    /// Sends a job's callback again. Gives the gateway's answer.
    pub async fn resend_callback(&self, gladia_id: &str) -> u64 {
        let path = format!("jobs/{gladia_id}/callback");
        let request = self.http.post(self.control(&path));
        let record: Value = request.send().await.unwrap().json().await.unwrap();
        record["status"]
            .as_u64()
            .unwrap_or_else(|| panic!("no answer to the callback: {record}"))
    }
}
