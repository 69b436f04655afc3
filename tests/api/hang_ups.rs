//! Callers who do not wait for what they have asked.

use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::support::{TestApp, eventually};

/// Statements that take long.
const SLEEPING: &str =
    "pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_ends_in_the_database_once_its_caller_has_hung_up() {
    let app = TestApp::start().await;
    app.execute(
        "CREATE FUNCTION takes_long() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$",
    )
    .await;
    app.execute(
        "CREATE TRIGGER takes_long BEFORE INSERT ON webhook_endpoints FOR EACH ROW EXECUTE FUNCTION takes_long()",
    )
    .await;
    let body = json!({ "url": "https://receiver.example/" });
    let body = body.to_string();
    let request = format!(
        "POST /v1/webhook-endpoints HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        app.acme.key.as_deref().unwrap(),
        body.len()
    );
    let mut caller = TcpStream::connect(app.replicas[0].address).await.unwrap();
    caller.write_all(request.as_bytes()).await.unwrap();
    eventually("statement that takes long", async || {
        (app.rows(SLEEPING).await == 1).then_some(())
    })
    .await;
    drop(caller);
    eventually("end of it", async || {
        (app.rows(SLEEPING).await == 0).then_some(())
    })
    .await;
    assert_eq!(app.rows("webhook_endpoints").await, 0);
    app.finish().await;
}
