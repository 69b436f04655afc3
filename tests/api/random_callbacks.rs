//! Thousands of requests that nobody has thought of, at the one address that the whole internet can reach.

use futures_util::{StreamExt, stream};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use reqwest::{Method, StatusCode};
use uuid::Uuid;

use crate::support::{TestApp, callbacks::processing, rows::success};

const REQUESTS: usize = 3000;
const WITH_THE_TOKEN: usize = 500;

/// A request, as far as it differs.
#[derive(Debug, Clone)]
struct Request {
    method: &'static str,
    path: String,
    body: Vec<u8>,
}

/// What is done to the right path, which ends in an attempt's id, a slash, and a token.
#[derive(Debug, Clone)]
enum Change {
    Character(Index, char),
    Cut(Index),
    Insert(Index, String),
    Attempt(u128),
    Key(String),
    Tag(String),
    Behind(String),
    Whole(String),
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<Index>(), "[A-Za-z0-9_.%/-]").prop_map(|(at, text)| {
            Change::Character(at, text.chars().next().unwrap())
        }),
        2 => any::<Index>().prop_map(Change::Cut),
        2 => (any::<Index>(), "[A-Za-z0-9_./-]{1,3}|%00|%ff|%2f|\\PC{1,3}")
            .prop_map(|(at, text)| Change::Insert(at, text)),
        1 => any::<u128>().prop_map(Change::Attempt),
        1 => "[a-z0-9-]{0,8}".prop_map(Change::Key),
        1 => "[A-Za-z0-9_-]{43}".prop_map(Change::Tag),
        1 => "/[a-z]{0,5}".prop_map(Change::Behind),
        1 => "(/[a-z0-9.%]{0,8}){0,5}".prop_map(Change::Whole),
    ]
}

fn change(path: &str, change: &Change) -> String {
    // The beginning of the path leads to other routes; what is behind it is looked at here.
    let start = "/callbacks/gladia/".len();
    let (address, token) = path.rsplit_once('/').unwrap();
    let (key, tag) = token.split_once('.').unwrap();
    let place = |index: &Index| start + index.index(path.len() - start);
    match change {
        Change::Character(at, to) => {
            let at = place(at);
            format!("{}{to}{}", &path[..at], &path[at + 1..])
        }
        Change::Cut(at) => path[..place(at)].to_owned(),
        Change::Insert(at, text) => {
            let at = place(at);
            format!("{}{text}{}", &path[..at], &path[at..])
        }
        Change::Attempt(id) => format!("/callbacks/gladia/{}/{token}", Uuid::from_u128(*id)),
        Change::Key(key) => format!("{address}/{key}.{tag}"),
        Change::Tag(tag) => format!("{address}/{key}.{tag}"),
        Change::Behind(text) => format!("{path}{text}"),
        Change::Whole(text) => text.clone(),
    }
}

/// Bytes of any kind, and callbacks that are fine but for a word.
fn any_body(gladia_id: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let fine = success(gladia_id, "words").into_bytes();
    let damaged = (any::<Index>(), any::<u8>()).prop_map(move |(at, byte)| {
        let mut body = fine.clone();
        let at = at.index(body.len());
        if body[at] == byte {
            body.truncate(at);
        } else {
            body[at] = byte;
        }
        body
    });
    prop_oneof![vec(any::<u8>(), 0..300), damaged]
}

/// What must not change.
async fn contents(app: &TestApp, tables: &[&str]) -> Vec<String> {
    let mut contents = Vec::new();
    for table in tables {
        let rows = format!(
            "SELECT coalesce(string_agg(t::text, ' ' ORDER BY t::text), '') FROM {table} t"
        );
        contents.push(app.scalar(&rows).await);
    }
    contents
}

/// Sends them, several at a time, and gives the answers' statuses.
async fn send(app: &TestApp, requests: Vec<Request>) -> Vec<(Request, StatusCode)> {
    let base: url::Url = app.replicas[0].base.parse().unwrap();
    stream::iter(requests)
        .map(|request| {
            let mut url = base.clone();
            url.set_path(&request.path);
            let method = Method::from_bytes(request.method.as_bytes()).unwrap();
            let sent = app.http.request(method, url).body(request.body.clone());
            async move { (request, sent.send().await.unwrap().status()) }
        })
        .buffer_unordered(16)
        .collect()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_and_nothing_fails_without_the_token() {
    let app = TestApp::start().await;
    let (id, attempt, gladia_id) = processing(&app).await;
    let url: url::Url = app.callback_url(0, attempt.id).parse().unwrap();
    let right = url.path().to_owned();
    let mut runner = TestRunner::default();
    let any_request = (
        select(vec!["POST", "POST", "PUT", "PUT", "GET", "DELETE", "HEAD"]),
        vec(any_change(), 1..3),
        any_body(&gladia_id),
    )
        .prop_map({
            let right = right.clone();
            move |(method, changes, body)| {
                // The second change may undo the first, or have nothing left to change.
                let path = match &changes[..] {
                    [one, Change::Behind(text)] => format!("{}{text}", change(&right, one)),
                    [one, ..] => change(&right, one),
                    [] => String::new(),
                };
                Request { method, path, body }
            }
        });
    let mut requests = Vec::new();
    while requests.len() < REQUESTS {
        let request: Request = any_request.new_tree(&mut runner).unwrap().current();
        if request.path != right {
            requests.push(request);
        }
    }
    let tables = [
        "jobs",
        "attempts",
        "callbacks",
        "slots",
        "events",
        "uploads",
    ];
    let before = contents(&app, &tables).await;
    for (request, status) in send(&app, requests).await {
        assert!(!status.is_server_error(), "{status} for {request:?}");
        let is_callback = matches!(request.method, "POST" | "PUT");
        assert!(
            !is_callback || !status.is_success(),
            "{status} for {request:?}"
        );
    }
    assert_eq!(contents(&app, &tables).await, before);

    // With the token everything is kept, and what is no callback of the job's changes nothing else.
    let other_id = Uuid::new_v4().to_string();
    let any_request =
        (select(vec!["POST", "PUT"]), any_body(&other_id)).prop_map(move |(method, body)| {
            let path = right.clone();
            Request { method, path, body }
        });
    let requests: Vec<Request> = (0..WITH_THE_TOKEN)
        .map(|_| any_request.new_tree(&mut runner).unwrap().current())
        .collect();
    let bodies: std::collections::HashSet<Vec<u8>> = requests
        .iter()
        .map(|request| request.body.clone())
        .collect();
    for (request, status) in send(&app, requests).await {
        assert_eq!(status, StatusCode::OK, "{request:?}");
    }
    let tables = ["jobs", "attempts", "slots", "events", "uploads"];
    let unchanged = [&before[..2], &before[3..]].concat();
    assert_eq!(contents(&app, &tables).await, unchanged);
    let kept: i64 = app
        .scalar("SELECT count(*) FROM callbacks WHERE outcome = 'quarantined' AND body IS NOT NULL")
        .await;
    assert_eq!(usize::try_from(kept).unwrap(), bodies.len());
    app.call_back(attempt.id, success(&gladia_id, "words"))
        .await;
    app.acme.wait_until_done(&id).await;
    app.finish().await;
}
