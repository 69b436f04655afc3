//! What deliveries are signed with: shown once, kept encrypted, rotated.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::support::{Answer, TestApp, builder::CALLBACK_KEYS, command::run};

/// Another operator's key.
const NEW: &str = "new:fedcba9876543210fedcba9876543210";

/// Everything that stands in the tables, as text.
async fn all_rows(app: &TestApp) -> String {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.tables
         WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    let mut text = String::new();
    for table in tables {
        let rows: Option<String> = app
            .scalar(&format!(
                "SELECT string_agg(t::text, ' ') FROM \"{table}\" t"
            ))
            .await;
        text.push_str(&rows.unwrap_or_default());
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    format!("{bytes:02x?}").replace(['[', ']', ',', ' '], "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_once_and_stands_nowhere_as_it_is() {
    let app = TestApp::start().await;
    let (id, first) = app.acme.endpoint().await;
    let second = app.acme.rotate_secret(Some(&id), &json!({})).await;
    let own = app.acme.rotate_secret(None, &json!({})).await;
    let rows = all_rows(&app).await;
    for secret in [&first, &second, &own] {
        let encoded = secret.strip_prefix("whsec_").unwrap();
        let bytes = BASE64_STANDARD.decode(encoded).unwrap();
        assert_eq!(bytes.len(), 32);
        for shape in [
            encoded,
            &hex(&bytes),
            &hex(secret.as_bytes()),
            &hex(encoded.as_bytes()),
        ] {
            assert!(!rows.contains(shape), "{shape}");
        }
    }
    // The positive control: these are the rows, and they hold what was shown.
    for stored in app.stored_secrets(&app.acme, Some(&id)).await {
        assert!(rows.contains(&hex(&stored.sealed)));
    }
    let usable = app.usable_secrets(&app.acme, Some(&id)).await;
    assert_eq!(usable, [second.clone(), first.clone()]);
    assert_eq!(app.usable_secrets(&app.acme, None).await, [own]);
    for path in [
        "/v1/webhook-endpoints",
        &format!("/v1/webhook-endpoints/{id}"),
    ] {
        let shown = app.acme.get(path).await.text();
        assert!(
            !shown.contains("whsec_") && !shown.contains("secret"),
            "{shown}"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_secret_signs_along_until_its_time_is_over() {
    let app = TestApp::start().await;
    let (id, first) = app.acme.endpoint().await;
    let (other, untouched) = app.acme.endpoint().await;
    // A day, where nothing is said.
    let answer = app.acme.tell_endpoint(&id, "rotate-secret").await;
    let second = answer.expect(200)["secret"].as_str().unwrap().to_owned();
    assert_eq!(
        app.usable_secrets(&app.acme, Some(&id)).await,
        [second.clone(), first.clone()]
    );
    app.set_clock_ahead("23 hours 59 minutes").await;
    assert_eq!(
        app.usable_secrets(&app.acme, Some(&id)).await,
        [second.clone(), first]
    );
    app.set_clock_ahead("24 hours 1 minute").await;
    assert_eq!(
        app.usable_secrets(&app.acme, Some(&id)).await,
        [second.as_str()]
    );

    let hour = json!({ "overlap_seconds": 3600.0 });
    let third = app.acme.rotate_secret(Some(&id), &hour).await;
    assert_eq!(
        app.usable_secrets(&app.acme, Some(&id)).await,
        [third.clone(), second.clone()]
    );
    // What has expired is deleted by the way.
    assert_eq!(app.rows("signing_secrets").await, 3);
    // Without an overlap the new one signs alone at once.
    let none = json!({ "overlap_seconds": 0 });
    let fourth = app.acme.rotate_secret(Some(&id), &none).await;
    assert_eq!(app.usable_secrets(&app.acme, Some(&id)).await, [fourth]);
    assert_eq!(
        app.usable_secrets(&app.acme, Some(&other)).await,
        [untouched]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_secrets_sign_at_most_and_the_latest_are_among_them() {
    let app = TestApp::start().await;
    let (id, first) = app.acme.endpoint().await;
    let mut secrets = vec![first];
    for _ in 0..6 {
        let week = json!({ "overlap_seconds": 604_800 });
        secrets.insert(0, app.acme.rotate_secret(Some(&id), &week).await);
    }
    assert_eq!(app.usable_secrets(&app.acme, Some(&id)).await, secrets[..5]);
    assert_eq!(app.rows("signing_secrets").await, 5);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overlap_has_its_rules() {
    let app = TestApp::start().await;
    let (id, secret) = app.acme.endpoint().await;
    let paths = [
        format!("/v1/webhook-endpoints/{id}/rotate-secret"),
        "/v1/callback-secret/rotate".to_owned(),
    ];
    for path in &paths {
        for wrong in [
            json!(-1),
            json!(604_801),
            json!(1.5),
            json!("60"),
            json!(true),
        ] {
            let body = json!({ "overlap_seconds": wrong });
            let answer = app.acme.post(path, &body).await;
            let rule = answer.violation(422, "invalid-request", "/overlap_seconds");
            assert!(rule.contains("from 0 to 604800"), "{rule}");
        }
        let both = json!({ "overlap_seconds": "long", "secret": "whsec_mine" });
        let problem = app.acme.post(path, &both).await;
        let problem = problem.problem(422, "invalid-request");
        assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");
        let text = Answer::to(app.acme.raw(path, "text/plain", "{}")).await;
        text.problem(415, "unsupported-media-type");
    }
    assert_eq!(app.usable_secrets(&app.acme, Some(&id)).await, [secret]);
    assert!(app.usable_secrets(&app.acme, None).await.is_empty());
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tenant_has_a_callback_secret_of_its_own() {
    let app = TestApp::start().await;
    let (id, of_endpoint) = app.acme.endpoint().await;
    let first = app.acme.rotate_secret(None, &json!({})).await;
    let theirs = app.globex.rotate_secret(None, &json!({})).await;
    let second = app
        .acme
        .rotate_secret(None, &json!({ "overlap_seconds": null }))
        .await;
    assert_eq!(app.usable_secrets(&app.acme, None).await, [second, first]);
    assert_eq!(app.usable_secrets(&app.globex, None).await, [theirs]);
    assert_eq!(
        app.usable_secrets(&app.acme, Some(&id)).await,
        [of_endpoint]
    );
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_at_the_same_time_leave_one_current_secret() {
    let app = TestApp::builder().replicas(2).start().await;
    let (id, _) = app.acme.endpoint().await;
    let callers = [app.acme.clone(), app.acme.at(&app.replicas[1].base)];
    for endpoint in [Some(id.as_str()), None] {
        let body = json!({});
        let rotating = (0..8).map(|number| callers[number % 2].rotate_secret(endpoint, &body));
        let made = futures_util::future::join_all(rotating).await;
        let usable = app.usable_secrets(&app.acme, endpoint).await;
        assert_eq!(usable.len(), 5);
        assert!(usable.iter().all(|secret| made.contains(secret)));
    }
    let current: i64 = app
        .scalar("SELECT count(*) FROM signing_secrets WHERE expires_at IS NULL")
        .await;
    assert_eq!(current, 2);
    app.finish().await;
}

/// Which of the operator's keys secrets are encrypted with.
async fn key_ids(app: &TestApp) -> Vec<String> {
    sqlx::query_scalar("SELECT key_id FROM signing_secrets ORDER BY id")
        .fetch_all(&app.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_the_key_of_a_secret_does_not_start() {
    let mut app = TestApp::start().await;
    app.acme.endpoint().await;
    let refused = app.try_replica(&[("CALLBACK_KEYS", NEW)]).await;
    let refused = format!("{:#}", refused.unwrap_err());
    assert!(
        refused.contains("CALLBACK_KEYS") && refused.contains("test"),
        "{refused}"
    );
    // Neither does one whose key of that name is another.
    let replaced = "test:fedcba9876543210fedcba9876543210";
    let refused = app.try_replica(&[("CALLBACK_KEYS", replaced)]).await;
    let refused = format!("{:#}", refused.unwrap_err());
    assert!(
        refused.contains("CALLBACK_KEYS") && refused.contains("`test`"),
        "{refused}"
    );
    let behind = format!("{NEW},{replaced}");
    let refused = app.try_replica(&[("CALLBACK_KEYS", &behind)]).await;
    let refused = format!("{:#}", refused.unwrap_err());
    assert!(refused.contains("`test`"), "{refused}");
    assert_eq!(key_ids(&app).await, ["test"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_encrypts_secrets_anew_with_the_first_key_so_that_the_older_one_can_go() {
    let mut app = TestApp::start().await;
    let (id, first) = app.acme.endpoint().await;
    let second = app.acme.rotate_secret(Some(&id), &json!({})).await;
    let own = app.acme.rotate_secret(None, &json!({})).await;
    let (_, table) = run(&app, &["callbacks", "keys"]).await;
    let words: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words, ["test", "0", "-", "3"], "{table}");

    // Behind the first one a new key changes nothing yet.
    let behind = format!("{CALLBACK_KEYS},{NEW}");
    app.add_replica(&[("CALLBACK_KEYS", &behind)]).await;
    assert_eq!(key_ids(&app).await, ["test"; 3]);
    let both = format!("{NEW},{CALLBACK_KEYS}");
    app.add_replica(&[("CALLBACK_KEYS", &both)]).await;
    assert_eq!(key_ids(&app).await, ["new"; 3]);
    app.add_replica(&[("CALLBACK_KEYS", NEW)]).await;
    app.callback_keys = NEW.parse().unwrap();
    let usable = app.usable_secrets(&app.acme, Some(&id)).await;
    assert_eq!(usable, [second, first]);
    assert_eq!(app.usable_secrets(&app.acme, None).await, [own]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_whose_time_is_over_needs_no_key() {
    let mut app = TestApp::start().await;
    let (id, _) = app.acme.endpoint().await;
    let both = format!("{NEW},{CALLBACK_KEYS}");
    app.add_replica(&[("CALLBACK_KEYS", &both)]).await;
    // A replica that is not restarted yet still encrypts with the older key.
    app.acme.rotate_secret(Some(&id), &json!({})).await;
    let newer = app.acme.at(&app.replicas[1].base);
    newer.rotate_secret(Some(&id), &json!({})).await;
    assert_eq!(key_ids(&app).await, ["new", "test", "new"]);
    assert!(app.try_replica(&[("CALLBACK_KEYS", NEW)]).await.is_err());
    app.set_clock_ahead("25 hours").await;
    app.add_replica(&[("CALLBACK_KEYS", NEW)]).await;
    assert_eq!(key_ids(&app).await, ["new"]);
    app.finish().await;
}
