//! The least that could empty an outbox: a batch is leased in one commit, sent, and recorded in one commit; while one batch
//! is sent, the next is leased.
//!
//! Leases and `SKIP LOCKED` as anything needs that may run twice. No signature, no history of tries, no judgement of
//! receivers, no fairness among them.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Client, header::CONTENT_TYPE};
use sqlx::PgPool;
use uuid::Uuid;

/// How many in one commit.
const BATCH: i64 = 200;

/// How many requests at once, as the gateway has to one receiver.
const AT_ONCE: usize = 8;

/// How long until it looks again where it found nothing.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is killed.
pub async fn serve(database_url: &str, receiver: String) -> anyhow::Result<()> {
    let pool = super::connect(database_url).await?;
    sqlx::query(
        "CREATE TABLE IF NOT EXISTS outbox (
            id           uuid PRIMARY KEY,
            body         text NOT NULL,
            status       text NOT NULL DEFAULT 'pending',
            next_try_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
            http_status  integer,
            finished_at  timestamptz
        )",
    )
    .execute(&pool)
    .await?;
    sqlx::query(
        "CREATE INDEX IF NOT EXISTS outbox_due ON outbox (next_try_at) WHERE status = 'pending'",
    )
    .execute(&pool)
    .await?;
    let http = Client::builder().no_proxy().http1_only().build()?;
    eprintln!("Listening on nothing");
    let mut leased = Vec::new();
    loop {
        let sent = send(&http, &receiver, leased);
        let (next, sent) = tokio::join!(lease(&pool), sent);
        record(&pool, &sent).await?;
        leased = next?;
        if leased.is_empty() && sent.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn lease(pool: &PgPool) -> sqlx::Result<Vec<(Uuid, String)>> {
    sqlx::query_as(
        "UPDATE outbox SET next_try_at = clock_timestamp() + interval '45 seconds'
         WHERE id = ANY (ARRAY(
             SELECT id FROM outbox WHERE status = 'pending' AND next_try_at <= clock_timestamp()
             ORDER BY next_try_at LIMIT $1 FOR UPDATE SKIP LOCKED))
         RETURNING id, body",
    )
    .bind(BATCH)
    .fetch_all(pool)
    .await
}

/// Those that got through, with the answers' statuses.
async fn send(http: &Client, receiver: &str, leased: Vec<(Uuid, String)>) -> Vec<(Uuid, i32)> {
    let sending = leased.into_iter().map(|(id, body)| async move {
        let request = http
            .post(receiver)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id.to_string())
            .body(body);
        let answer = request.send().await.ok()?;
        let status = answer.status();
        answer.bytes().await.ok()?;
        status
            .is_success()
            .then(|| (id, i32::from(status.as_u16())))
    });
    let sent = futures_util::stream::iter(sending).buffer_unordered(AT_ONCE);
    sent.filter_map(std::future::ready).collect().await
}

async fn record(pool: &PgPool, sent: &[(Uuid, i32)]) -> sqlx::Result<()> {
    if sent.is_empty() {
        return Ok(());
    }
    let (ids, statuses): (Vec<Uuid>, Vec<i32>) = sent.iter().copied().unzip();
    sqlx::query(
        "UPDATE outbox o SET status = 'delivered', http_status = s.http_status, finished_at = clock_timestamp()
         FROM unnest($1::uuid[], $2::integer[]) AS s (id, http_status)
         WHERE o.id = s.id AND o.id = ANY ($1)",
    )
    .bind(ids)
    .bind(statuses)
    .execute(pool)
    .await?;
    Ok(())
}
