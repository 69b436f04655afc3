//! Roles that may do no more than they have to.

use serde_json::json;
use sqlx::{Connection, PgConnection};
use url::Url;
use uuid::Uuid;

use crate::support::{TestApp, command::run_with, process::Process};

/// What `docs/operations.md` grants, for a schema and roles of these names.
fn grants(schema: &str, owner: &str, role: &str) -> String {
    let guide = std::fs::read_to_string("docs/operations.md").unwrap();
    let (_, section) = guide.split_once("## Rights in the database").unwrap();
    let (_, sql) = section.split_once("```sql\n").unwrap();
    let (sql, _) = sql.split_once("```").unwrap();
    sql.replace("SCHEMA public", &format!("SCHEMA {schema}"))
        .replace("gateway_owner", owner)
        .replace("TO gateway;", &format!("TO {role};"))
}

/// Carries out several statements.
async fn execute(app: &TestApp, sql: &str) {
    let mut conn = PgConnection::connect(app.database_url()).await.unwrap();
    let sql = sqlx::AssertSqlSafe(sql);
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_migrates_and_another_serves_with_the_rights_that_the_guide_names() {
    let app = TestApp::start().await;
    let unique = Uuid::new_v4().simple();
    let (owner, role) = (format!("owner_{unique}"), format!("serves_{unique}"));
    let url = |role: &str| {
        let url = format!("{}&options=-csearch_path%3Dnarrow", app.database_url());
        let mut url: Url = url.parse().unwrap();
        url.set_username(role).unwrap();
        url.set_password(Some("narrow")).unwrap();
        url.to_string()
    };
    let (owners, roles) = (url(&owner), url(&role));
    let as_owner = [("DATABASE_URL", owners.as_str())];
    let as_role = [("DATABASE_URL", roles.as_str())];
    execute(
        &app,
        &format!(
            "CREATE SCHEMA narrow;
             GRANT USAGE ON SCHEMA narrow TO PUBLIC;
             CREATE ROLE {owner} LOGIN PASSWORD 'narrow';
             CREATE ROLE {role} LOGIN PASSWORD 'narrow'"
        ),
    )
    .await;

    let (migrated, _, error) = run_with(&app, &["migrate"], &as_owner).await;
    assert!(!migrated && error.contains("permission denied"), "{error}");
    assert!(
        error.contains("be allowed to CREATE in their schema"),
        "{error}"
    );

    execute(&app, &grants("narrow", &owner, &role)).await;
    let (migrated, _, error) = run_with(&app, &["migrate"], &as_owner).await;
    assert!(migrated, "{error}");

    let create = [
        "keys", "create", "--tenant", "acme", "--name", "ci", "--scope", "write",
    ];
    let (created, key, error) = run_with(&app, &create, &as_role).await;
    assert!(created, "{error}");
    let variables = [as_role[0], ("COMPLETION", "poll")];
    let mut process = Process::serve_with(&app, &["--no-migrate"], &variables);
    let base = format!("http://{}", process.address().await);
    let caller = app.acme.at(&base).with_key(Some(key.trim()));
    let body = json!({ "audio_url": "https://audio.example/spoken.mp3" });
    let job = caller.transcribe(&body).await.expect(202);
    let id = job["id"].as_str().unwrap();
    caller.wait_until_done(id).await;
    assert_eq!(caller.delete(id).await.status, 204);
    process.terminate();
    let log = process.log().await;
    assert!(
        !log.iter().any(|line| line.contains("permission denied")),
        "{log:#?}"
    );
    execute(
        &app,
        &format!(
            "DROP SCHEMA narrow CASCADE; DROP OWNED BY {owner}, {role}; DROP ROLE {owner}, {role}"
        ),
    )
    .await;
    app.stop_beside_another().await;
}
