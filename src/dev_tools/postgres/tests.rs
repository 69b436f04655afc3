//! These need the Postgres programs, as most tests of the package do.

use super::*;

/// A server that acknowledges what is on disk.
async fn start_durable() -> anyhow::Result<EmbeddedPostgres> {
    EmbeddedPostgres::start(Options {
        fsync: true,
        ..Options::default()
    })
    .await
}

async fn answer(url: &str, question: &'static str) -> anyhow::Result<i64> {
    let mut connection = PgConnection::connect(url).await?;
    let answer = sqlx::query_scalar(question)
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(answer)
}

#[tokio::test]
async fn a_database_is_copied_from_its_template_and_nothing_stays_after_the_stop()
-> anyhow::Result<()> {
    let server = EmbeddedPostgres::start(Options::default()).await?;
    server.create_database("template", None).await?;
    let mut connection = PgConnection::connect(&server.url("template")).await?;
    sqlx::raw_sql("CREATE TABLE numbers AS SELECT 42::bigint AS number")
        .execute(&mut connection)
        .await?;
    connection.close().await?;

    server
        .create_database("the \"copy\"", Some("template"))
        .await?;
    server.create_database("copy", Some("template")).await?;
    assert_eq!(
        answer(&server.url("copy"), "SELECT number FROM numbers").await?,
        42
    );

    server.drop_database("copy").await?;
    assert!(PgConnection::connect(&server.url("copy")).await.is_err());

    let directory = server.cluster.directory().path().to_owned();
    assert!(directory.join("data/PG_VERSION").exists() || nix::unistd::geteuid().is_root());
    let url = server.url("postgres");
    server.stop().await?;
    assert!(!directory.exists());
    assert!(PgConnection::connect(&url).await.is_err());
    Ok(())
}

#[tokio::test]
async fn two_servers_run_side_by_side_and_dropping_one_leaves_the_other() -> anyhow::Result<()> {
    let (first, second) = tokio::try_join!(
        EmbeddedPostgres::start(Options::default()),
        EmbeddedPostgres::start(Options {
            fsync: true,
            max_connections: 20,
        }),
    )?;
    assert_ne!(first.port, second.port);

    let directory = first.cluster.directory().path().to_owned();
    drop(first);
    assert!(!directory.exists());
    let connections = "SELECT current_setting('max_connections')::bigint";
    assert_eq!(answer(&second.url("postgres"), connections).await?, 20);
    second.stop().await
}

#[tokio::test]
async fn what_was_committed_is_still_there_after_a_restart_of_either_kind() -> anyhow::Result<()> {
    let mut server = start_durable().await?;
    let url = server.url("postgres");
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::raw_sql("CREATE TABLE numbers (number bigint)")
        .execute(&mut connection)
        .await?;
    for (mode, number) in [(ShutdownMode::Fast, 1), (ShutdownMode::Immediate, 2)] {
        sqlx::query("INSERT INTO numbers VALUES ($1)")
            .bind(number)
            .execute(&mut connection)
            .await?;
        server.restart(mode).await?;
        assert!(connection.ping().await.is_err(), "{mode:?} cut nobody off");
        connection = PgConnection::connect(&url).await?;
        let count = "SELECT count(*) FROM numbers";
        assert_eq!(answer(&url, count).await?, i64::from(number));
    }
    server.stop().await
}

#[tokio::test]
async fn what_was_committed_is_still_there_when_a_standby_has_taken_over_time_and_again()
-> anyhow::Result<()> {
    let mut server = start_durable().await?;
    server
        .execute("CREATE TABLE numbers (number bigint)".to_owned())
        .await?;
    for number in 1..=2 {
        let standby = server.start_standby().await?;
        server
            .execute(format!("INSERT INTO numbers VALUES ({number})"))
            .await?;
        server.lose().await?;
        server = standby.take_over().await?;
        let count = "SELECT count(*) FROM numbers";
        assert_eq!(answer(&server.url("postgres"), count).await?, number);
    }
    server.stop().await
}

#[tokio::test]
async fn a_commit_is_acknowledged_when_the_standby_has_it_and_not_before() -> anyhow::Result<()> {
    let server = start_durable().await?;
    server
        .execute("CREATE TABLE numbers (number bigint)".to_owned())
        .await?;
    let standby = server.start_standby().await?;
    let insert = || server.execute("INSERT INTO numbers VALUES (1)".to_owned());
    insert().await?;
    standby.stop().await?;
    // Nobody follows any more.
    let alone = tokio::time::timeout(Duration::from_millis(500), insert()).await;
    assert!(alone.is_err(), "{alone:?}");
    server.stop().await
}

#[tokio::test]
async fn nobody_gets_in_while_all_connections_are_taken() -> anyhow::Result<()> {
    let server = EmbeddedPostgres::start(Options {
        max_connections: 10,
        ..Options::default()
    })
    .await?;
    let url = server.url("postgres");
    let mut other = PgConnection::connect(&url).await?;
    let taken = server.take_connections().await?;
    assert!(other.ping().await.is_err());
    assert!(PgConnection::connect(&url).await.is_err());
    drop(taken);
    server.stop().await
}

#[tokio::test]
async fn nobody_gets_in_without_the_password() -> anyhow::Result<()> {
    let server = EmbeddedPostgres::start(Options::default()).await?;
    let stranger = server
        .url("postgres")
        .replace(server.cluster.password(), "guess");
    assert!(PgConnection::connect(&stranger).await.is_err());
    server.stop().await
}

#[tokio::test]
async fn the_server_ends_when_the_thread_that_started_it_is_long_gone() -> anyhow::Result<()> {
    let started = std::thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(EmbeddedPostgres::start(Options::default()))
    });
    let server = started.join().expect("the start does not panic")?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(
        answer(&server.url("postgres"), "SELECT 1::bigint").await?,
        1
    );
    server.stop().await
}

#[test]
fn identifiers_are_quoted() {
    assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
}
