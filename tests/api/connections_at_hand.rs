//! Connections to the database that are given back: what must not be used again, and who must not wait for it.

use std::{collections::HashSet, net::Ipv4Addr, pin::pin, time::Duration};

use futures_util::{FutureExt, future::join_all};
use gladia_gateway::{
    db::{
        self,
        jobs::{self, Slice},
        pool::{CallerPool, Loan, Pool},
    },
    dev_tools::postgres::{EmbeddedPostgres, Options},
    domain::{ids::TenantId, job_filter::JobFilter},
};
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::timeout;
use uuid::Uuid;

use crate::support::{Answer, BOUND, TestApp, audio, eventually, receiver::Receiver, relay::Relay};

/// Longer than a connection is used unasked.
const LONG_REST: Duration = Duration::from_millis(500);

/// How long the pool tries to open a connection that Postgres refuses for now.
const TRIES_FOR: Duration = Duration::from_secs(5);

async fn pool_of(app: &TestApp, max_connections: u32) -> Pool {
    let options = db::parse_url(app.database_url()).unwrap();
    Pool::from(db::connect(options, max_connections).await.unwrap())
}

async fn backend_of(conn: &mut Loan) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut **conn)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_one_gets_what_was_put_back() {
    let app = TestApp::start().await;
    let pool = pool_of(&app, 4).await;
    let mut conn = pool.acquire().await.unwrap();
    let backend = backend_of(&mut conn).await;
    conn.put_back();
    let mut next = pool.acquire().await.unwrap();
    assert_eq!(backend_of(&mut next).await, backend);
    drop(next);
    pool.close().await;
    app.finish().await;
}

#[tokio::test]
async fn work_that_succeeds_leaves_its_connection_at_hand() {
    let app = TestApp::start().await;
    let pool = pool_of(&app, 1).await;
    let conn = CallerPool::new(pool.clone()).acquire(None).await.unwrap();
    conn.put_back_after(async |conn| db::clock::now(conn).await)
        .await
        .unwrap();
    // At once, and without a question to it in between.
    let next = pool.acquire().now_or_never();
    next.unwrap().unwrap().put_back();
    pool.close().await;
    app.finish().await;
}

/// The next one would be told the rest of its answer, or would join its transaction.
#[tokio::test]
async fn work_that_fails_leaves_its_connection_to_be_asked_first() {
    let app = TestApp::start().await;
    let pool = pool_of(&app, 1).await;
    let conn = CallerPool::new(pool.clone()).acquire(None).await.unwrap();
    let begins = async |conn: &mut PgConnection| {
        // On its way, and most times not answered.
        drop(conn.begin().now_or_never());
        Err::<(), _>(sqlx::Error::RowNotFound)
    };
    conn.put_back_after(begins).await.unwrap_err();
    let mut next = Box::pin(pool.acquire());
    assert!(next.as_mut().now_or_never().is_none());
    let next = timeout(BOUND, next).await.unwrap().unwrap();
    next.put_back();
    pool.close().await;
    app.finish().await;
}

/// Else its next user, whoever that is, would have to take the rows that nobody wanted.
#[tokio::test]
async fn a_list_that_is_cut_leaves_its_connection_to_be_asked_first() {
    let app = TestApp::start().await;
    app.pause_dispatch().await;
    for _ in 0..3 {
        app.acme.start("a.mp3").await;
    }
    let pool = pool_of(&app, 1).await;
    let callers = CallerPool::new(pool.clone());
    let tenant = app.scalar("SELECT DISTINCT tenant_id FROM jobs").await;
    for (most_bytes, is_cut) in [(usize::MAX, false), (1, true)] {
        let slice = Slice {
            after: None,
            offset: 0,
            limit: 3,
            most_bytes,
        };
        let conn = callers.acquire(None).await.unwrap();
        let listed = jobs::list(conn, TenantId(tenant), &JobFilter::default(), slice).await;
        assert_eq!(listed.unwrap().is_cut, is_cut);
        let mut next = Box::pin(pool.acquire());
        let at_once = next.as_mut().now_or_never();
        assert_eq!(at_once.is_some(), !is_cut);
        let next = match at_once {
            Some(next) => next,
            None => timeout(BOUND, next).await.unwrap(),
        };
        next.unwrap().put_back();
    }
    pool.close().await;
    app.stop().await;
}

/// Whoever hangs up does so at any moment, also while a transaction begins: what others write then would be rolled back with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_whose_beginning_was_given_up_is_joined_by_nobody() {
    let app = TestApp::start().await;
    let pool = pool_of(&app, 1).await;
    for _ in 0..20 {
        let mut conn = pool.acquire().await.unwrap();
        // On its way, and most times not answered.
        drop(conn.begin().now_or_never());
        drop(conn);
        let mut next = pool.acquire().await.unwrap();
        sqlx::query("INSERT INTO tenants (id, name) VALUES (gen_random_uuid(), $1)")
            .bind(Uuid::new_v4().to_string())
            .execute(&mut *next)
            .await
            .unwrap();
        drop(next);
    }
    let kept = app.rows("tenants WHERE name LIKE '________-____-%'").await;
    assert_eq!(kept, 20);
    pool.close().await;
    app.finish().await;
}

/// A transaction that is dropped is only about to be rolled back, and its connection may not be used again for long.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_transaction_lets_go_of_its_locks_although_nobody_uses_its_connection_again() {
    let app = TestApp::start().await;
    let pool = pool_of(&app, 4).await;
    let mut conn = pool.acquire().await.unwrap();
    let backend = backend_of(&mut conn).await;
    let mut tx = conn.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(42)")
        .execute(&mut *tx)
        .await
        .unwrap();
    drop(tx);
    conn.put_back();
    eventually("lock that is let go", async || {
        let held = "pg_locks WHERE locktype = 'advisory' AND objid = 42";
        (app.rows(held).await == 0).then_some(())
    })
    .await;
    // Not because Postgres has lost patience with it.
    let alive = format!("pg_stat_activity WHERE pid = {backend}");
    assert_eq!(app.rows(&alive).await, 1);
    pool.close().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_was_given_up_is_waited_for_by_nobody_else() {
    let app = TestApp::start().await;
    let pool = pool_of(&app, 4).await;
    let mut conn = pool.acquire().await.unwrap();
    let given_up = backend_of(&mut conn).await;
    let endless = sqlx::query("SELECT pg_sleep(3600)").execute(&mut *conn);
    timeout(Duration::from_millis(100), endless)
        .await
        .unwrap_err();
    drop(conn);
    let mut next = timeout(BOUND, pool.acquire()).await.unwrap().unwrap();
    let backend = timeout(BOUND, backend_of(&mut next)).await.unwrap();
    assert_ne!(backend, given_up);
    drop(next);
    terminate(&app, given_up).await;
    pool.close().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_the_pool_gets_the_next_that_is_put_back() {
    let app = TestApp::start().await;
    let pool = pool_of(&app, 2).await;
    let mut one = pool.acquire().await.unwrap();
    let backend = backend_of(&mut one).await;
    let other = pool.acquire().await.unwrap();
    let mut waits = pin!(pool.acquire());
    assert!(waits.as_mut().now_or_never().is_none());
    one.put_back();
    // At once, and without a question to it in between.
    let mut got = waits.now_or_never().unwrap().unwrap();
    assert_eq!(backend_of(&mut got).await, backend);
    got.put_back();
    other.put_back();
    pool.close().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_the_pool_gets_what_was_given_up_by_somebody_else() {
    let app = TestApp::start().await;
    let pool = pool_of(&app, 1).await;
    let given_up = pool.acquire().await.unwrap();
    let mut waits = pin!(pool.acquire());
    assert!(waits.as_mut().now_or_never().is_none());
    drop(given_up);
    let mut got = timeout(BOUND, waits).await.unwrap().unwrap();
    backend_of(&mut got).await;
    drop(got);
    pool.close().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_to_somebody_who_hung_up_is_there_for_the_next() {
    let app = TestApp::start().await;
    let pool = pool_of(&app, 1).await;
    let conn = pool.acquire().await.unwrap();
    let mut hangs_up = Box::pin(pool.acquire());
    assert!(hangs_up.as_mut().now_or_never().is_none());
    conn.put_back();
    drop(hangs_up);
    let mut next = timeout(BOUND, pool.acquire()).await.unwrap().unwrap();
    backend_of(&mut next).await;
    drop(next);
    pool.close().await;
    app.finish().await;
}

/// Whoever asks Postgres for one more meanwhile, and is put off, keeps nobody from what there is.
#[tokio::test(flavor = "multi_thread")]
async fn where_postgres_gives_fewer_connections_than_there_may_be_those_are_used() {
    let app = TestApp::start().await;
    let options = db::parse_url(app.database_url()).unwrap();
    let role = format!("limited_{}", Uuid::new_v4().simple());
    let limited = format!("CREATE ROLE {role} LOGIN PASSWORD 'limited' CONNECTION LIMIT 2");
    run(&app, limited).await;
    let options = options.username(&role).password("limited");
    let pool = Pool::from(db::lazy_pool(options, 4));
    let asks = async || {
        for nth in 0..20 {
            let asked = timeout(TRIES_FOR / 2, pool.acquire()).await;
            let mut conn = asked
                .expect("nobody waits for what Postgres refuses")
                .unwrap();
            backend_of(&mut conn).await;
            if nth % 4 == 0 {
                // As one who hung up: it goes back to the pool.
                drop(conn);
            } else {
                conn.put_back();
            }
        }
    };
    join_all((0..8).map(|_| asks())).await;
    pool.close().await;
    run(&app, format!("DROP ROLE {role}")).await;
    app.finish().await;
}

/// So it is where another server has taken over, and the one before lets those stay who are connected.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_a_server_that_takes_no_writes_is_not_used_again() {
    let primary = EmbeddedPostgres::start(Options::default()).await.unwrap();
    let standby = primary.start_standby().await.unwrap();
    let at = |port| vec![(Ipv4Addr::LOCALHOST, port).into()];
    let relay = Relay::start(at(standby.port()));
    let url = primary.url_through(relay.address().port(), "postgres");
    let pool = Pool::from(db::lazy_pool(db::parse_url(&url).unwrap(), 1));
    let write = async || {
        let mut conn = pool.acquire().await?;
        let written = sqlx::raw_sql("CREATE TABLE written ()").execute(&mut *conn);
        written.await?;
        conn.put_back();
        Ok::<_, sqlx::Error>(())
    };
    let refused = write().await.unwrap_err();
    assert!(db::is_unavailable(&refused), "{refused}");

    relay.set_targets(at(primary.port()));
    write().await.unwrap();
    pool.close().await;
    standby.stop().await.unwrap();
    primary.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_begin_at_once_open_a_few_connections() {
    let app = TestApp::start().await;
    let pool = pool_of(&app, 16).await;
    let begin = async || {
        let mut conn = pool.acquire().await.unwrap();
        let backend = backend_of(&mut conn).await;
        conn.put_back();
        backend
    };
    let backends = join_all((0..16).map(|_| begin())).await;
    let opened = HashSet::<i32>::from_iter(backends).len();
    assert!(opened <= 12, "{opened} connections for 16 short statements");
    pool.close().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_waits_for_a_database_that_refuses_is_told() {
    let app = TestApp::start().await;
    let options = db::parse_url(app.database_url()).unwrap();
    let pool = Pool::from(db::lazy_pool(options.database("no such database"), 4));
    let refused = join_all((0..8).map(|_| pool.acquire())).await;
    for refused in refused {
        let error = refused.unwrap_err();
        let code = error.as_database_error().unwrap().code();
        assert_eq!(code.as_deref(), Some("3D000"), "{error}");
        assert!(db::is_unavailable(&error), "it may be there later");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_has_died_while_it_rested_fails_nobody_later() {
    let app = TestApp::start().await;
    let pool = pool_of(&app, 4).await;
    let mut conn = pool.acquire().await.unwrap();
    let backend = backend_of(&mut conn).await;
    conn.put_back();
    terminate(&app, backend).await;
    tokio::time::sleep(LONG_REST).await;
    let mut next = pool.acquire().await.unwrap();
    assert_ne!(backend_of(&mut next).await, backend);
    drop(next);
    pool.close().await;
    app.finish().await;
}

async fn terminate(app: &TestApp, backend: i32) {
    sqlx::query("SELECT pg_terminate_backend($1)")
        .bind(backend)
        .execute(&app.pool)
        .await
        .unwrap();
}

async fn run(app: &TestApp, statement: String) {
    let statement = sqlx::raw_sql(AssertSqlSafe(statement));
    statement.execute(&app.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_pool_carries_many_jobs_at_once_to_their_receiver() {
    const JOBS: usize = 24;
    let app = TestApp::builder()
        .set("DATABASE_POOL_SIZE", 2)
        .start()
        .await;
    let receiver = Receiver::start().await;
    let done = &["transcription.done"];
    let endpoint = app.add_endpoint(&app.acme, &receiver.url(), done).await;
    // With a key, as a file, and for a caller who waits: whatever would take a second connection while it has one would wait
    // for itself.
    let sent = join_all((0..JOBS).map(|nth| {
        let caller = &app.acme;
        async move {
            let body = json!({ "audio_url": format!("https://audio.example/{nth}.mp3") });
            match nth % 3 {
                0 => caller.transcribe_once(&format!("key {nth}"), &body).await,
                1 => caller.upload(audio::short(), "a.wav", None).await,
                _ => {
                    let waiting = caller.request(Method::POST, "/v1/transcriptions?wait=15");
                    Answer::to(waiting.json(&body)).await
                }
            }
        }
    }));
    for answer in sent.await {
        assert!(matches!(answer.status, 200 | 202), "{}", answer.status);
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        app.acme.wait_until_done(&id).await;
    }
    app.wait_for_deliveries(&endpoint, &["delivered"; JOBS])
        .await;
    app.finish().await;
}
