//! Jobs that are done, and where their results can be read.

use reqwest::{Method, RequestBuilder};

use super::{Caller, TestApp, callbacks::processing, rows::success};

/// A job that is done with these words; its id, and the callback that brought them.
pub async fn done_with(app: &TestApp, words: &str) -> (String, String) {
    let (id, attempt, gladia_id) = processing(app).await;
    let body = success(&gladia_id, words);
    assert_eq!(app.call_back(attempt.id, body.clone()).await.status, 200);
    app.acme.wait_until_done(&id).await;
    (id, body)
}

/// Where its result can be read: alone, as a file, as Gladia shows it, and in the job.
pub fn paths(id: &str) -> [String; 4] {
    let job = format!("/v1/transcriptions/{id}");
    [
        format!("{job}/result"),
        format!("{job}/export/json"),
        format!("/v2/pre-recorded/{id}"),
        job,
    ]
}

/// As the API that a path belongs to wants to be asked.
pub fn ask(caller: &Caller, method: Method, path: &str) -> RequestBuilder {
    if path.starts_with("/v2") {
        caller.v2(method, path)
    } else {
        caller.request(method, path)
    }
}
