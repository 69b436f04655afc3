//! Lists: order, links, filters.

use axum::http::Method;
use serde_json::{Value, json};

use super::support::{Api, quick, slow};

async fn ids(api: &Api, query: &str) -> Vec<String> {
    let page = api.get(&format!("/v2/pre-recorded{query}")).await;
    let items = page["items"].as_array().unwrap_or_else(|| panic!("{page}"));
    let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
    items.iter().map(id).collect()
}

#[tokio::test]
async fn the_newest_come_first_and_the_links_walk_through_all() {
    let api = Api::start(quick()).await;
    let mut created = Vec::new();
    for _ in 0..5 {
        created.insert(0, api.create_synthetic(&json!({})).await);
    }
    for id in &created {
        api.wait_until_ended(id).await;
    }
    let first = api
        .get("/v2/transcription?status=done&status=error&limit=2")
        .await;
    assert_eq!(
        first["next"],
        api.url("/v2/transcription?status=done&status=error&offset=2&limit=2")
    );
    assert_eq!(
        first["first"],
        api.url("/v2/transcription?status=done&status=error&offset=0&limit=2")
    );
    assert!(first["items"][0]["result"]["metadata"].is_object());
    let mut walked = Vec::new();
    let mut page = first;
    loop {
        for item in page["items"].as_array().unwrap() {
            walked.push(item["id"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        page = api.get(next.strip_prefix(&api.url("")).unwrap()).await;
    }
    assert_eq!(walked, created);
}

#[tokio::test]
async fn filters_by_status_date_and_metadata_in_both_encodings() {
    let api = Api::start(slow()).await;
    let a = api
        .create_synthetic(
            &json!({"custom_metadata": {"user": "John Doe", "n": 1, "in": {"a": "x"}}}),
        )
        .await;
    let b = api
        .create_synthetic(&json!({"custom_metadata": {"user": "Jane"}}))
        .await;
    for (query, expected) in [
        ("?custom_metadata[user]=John+Doe", vec![&a]),
        ("?custom_metadata%5Buser%5D=Jane", vec![&b]),
        ("?custom_metadata=%7B%22n%22%3A%221%22%7D", vec![&a]),
        (
            "?custom_metadata=%7B%22in%22%3A%7B%22a%22%3A%22x%22%7D%7D",
            vec![&a],
        ),
        ("?custom_metadata[user]=Nobody", vec![]),
        ("?status=processing", vec![&b, &a]),
        ("?status=done,processing", vec![&b, &a]),
        ("?status[]=processing", vec![&b, &a]),
        ("?status=done&status=error", vec![]),
        ("?after_date=2020-01-01T00:00:00Z", vec![&b, &a]),
        ("?before_date=2020-01-01T00:00:00.000Z", vec![]),
        ("?date=2020-01-01", vec![]),
        ("?offset=1", vec![&a]),
    ] {
        let found = ids(&api, query).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
}

#[tokio::test]
async fn a_job_is_neither_before_nor_after_the_instant_at_which_it_is_shown() {
    let api = Api::start(slow()).await;
    // Whatever is left of a millisecond.
    for _ in 0..5 {
        let id = api.create_synthetic(&json!({})).await;
        let job = api.get(&format!("/v2/pre-recorded/{id}")).await;
        let at = job["created_at"].as_str().unwrap();
        for query in ["?after_date=", "?before_date="] {
            let found = ids(&api, &format!("{query}{at}")).await;
            assert!(!found.contains(&id), "{query}{at}");
        }
    }
}

#[tokio::test]
async fn filters_that_make_no_sense_are_refused() {
    let api = Api::start(quick()).await;
    for (query, error) in [
        ("limit=0", "limit must not be less than 1"),
        ("offset=-1", "offset must not be less than 0"),
        ("offset=x", "offset must be an integer number"),
        (
            "date=yesterday",
            "date must be a valid ISO 8601 date string",
        ),
        ("custom_metadata=x", "custom_metadata must be an object"),
    ] {
        let path = format!("/v2/pre-recorded?{query}");
        let response = api.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(response.status(), 400);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["validation_errors"], json!([error]));
    }
}
