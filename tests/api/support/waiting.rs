//! Requests that wait, at a gateway where one may (`MAX_WAITING_REQUESTS=1`): so others learn that it does.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use tokio::{task::JoinHandle, time::timeout};

use super::{Answer, BOUND, Caller, eventually};

/// Sends a request, and once more for as long as it was answered without a wait because there was no place.
pub fn wait_in_place(
    request: RequestBuilder,
    had_no_place: impl Fn(&Answer) -> bool + Send + Sync + 'static,
) -> JoinHandle<Answer> {
    tokio::spawn(async move {
        let asking = async {
            loop {
                let again = request.try_clone().expect("a body in memory");
                let answer = Answer::to(again).await;
                if !had_no_place(&answer) {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(BOUND * 2, asking)
            .await
            .expect("a place to wait in")
    })
}

/// A look that waits.
pub fn look_in_place(caller: &Caller, path: &str) -> JoinHandle<Answer> {
    match path.split_once("?wait=") {
        // A transcription is shown as it is where there is no place. Whether there was one stands in the answer to a preference.
        Some((of_transcription, seconds)) if path.starts_with("/v1/transcriptions/") => {
            let request = caller.request(Method::GET, of_transcription);
            let request = request.header("Prefer", format!("wait={seconds}"));
            wait_in_place(request, |answer| {
                answer.header("preference-applied").is_none()
            })
        }
        _ => {
            let request = caller.request(Method::GET, path);
            wait_in_place(request, |answer| answer.status == 503)
        }
    }
}

/// Waits until the only place is free.
pub async fn until_nobody_waits(caller: &Caller) {
    eventually("free place", async || {
        let answer = caller.get("/v1/events?after=latest&wait=1").await;
        (answer.status == 200).then_some(())
    })
    .await;
}

/// Waits until the only place is taken by somebody else.
pub async fn until_somebody_waits(caller: &Caller) {
    eventually("request that waits", async || {
        let answer = caller.get("/v1/events?after=latest&wait=1").await;
        (answer.status == 503).then_some(())
    })
    .await;
}
