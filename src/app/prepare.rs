//! Bringing the database to where this binary needs it, before anything that needs it is served.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use sqlx::{Connection, PgConnection};

use crate::{
    config::ServeSettings,
    db::{
        self,
        api_keys::NewApiKey,
        pool::{Pool, in_long_time, in_time, within},
    },
    domain::{
        access::{ApiKey, Scope, TenantName},
        ids::{Ids, TenantId},
    },
    gladia::callback_keys::CallbackKeys,
    notify::sealing::Sealer,
};

/// How long a database may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How many signing secrets are encrypted anew at once.
const SECRETS_BATCH: i64 = 500;

/// Proves that the database answers, brings it to where this binary needs it, and checks that the settings fit what is in
/// it. May be repeated.
///
/// # Errors
/// Where the database is away or refuses, or a setting does not fit.
pub(super) async fn bring_up(
    pool: &Pool,
    settings: &ServeSettings,
    sealer: &Sealer,
    ids: &Ids,
) -> anyhow::Result<()> {
    let database_url = &settings.database.database_url;
    let options = database_url.options();
    let opened = within(CONNECT_TIMEOUT, PgConnection::connect_with(&options)).await;
    let mut conn = opened
        .with_context(|| format!("DATABASE_URL: cannot reach the database at {database_url}"))?;
    in_time(check_encoding(&mut conn)).await?;
    let migrated = async {
        if settings.no_migrate {
            in_time(check_migrations(&mut conn)).await?;
            return Ok(conn.close().await?);
        }
        let migrated = db::migrate_through(conn, &options, None).await;
        migrated
            .map(|_| ())
            .context("the migrations were not all applied")
    };
    // Opened meanwhile, and at hand afterwards. Without it the migrations go on all the same, and then the pool tries again.
    let first = async {
        if let Ok(conn) = pool.acquire().await {
            conn.put_back();
        }
    };
    let (migrated, ()) = tokio::join!(migrated, first);
    migrated?;
    in_long_time(prepare_database(pool, settings, sealer, ids)).await
}

/// In another encoding the database refuses what is written in most languages: one word at a time, and long after the start. One
/// that keeps bytes as they come (`SQL_ASCII`) keeps all of them: no statement asks it where a character ends.
///
/// # Errors
/// Where it has another one, or does not answer.
pub async fn check_encoding(conn: &mut PgConnection) -> anyhow::Result<()> {
    let encoding = db::find_encoding(conn).await?;
    ensure!(
        ["UTF8", "SQL_ASCII"].contains(&encoding.as_str()),
        "DATABASE_URL: the database keeps text as {encoding}, and the gateway needs UTF8: make one with \
         `CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0`"
    );
    Ok(())
}

/// Tables of an older version would take jobs in that nobody could send.
async fn check_migrations(conn: &mut PgConnection) -> anyhow::Result<()> {
    let missing = db::find_missing_migration(conn).await;
    let missing = missing.context("the migrations of the database could not be read")?;
    if let Some(missing) = missing {
        bail!(
            "the database lacks a migration of this version, {missing}: run `gladia-gateway migrate` first, or serve without \
             --no-migrate"
        );
    }
    Ok(())
}

/// Whether the database was away, so that the same may succeed later. One that does not let the gateway in is there: whoever has
/// just set its address is to be told. So is one in which a migration gave way to others again and again: those who roll an update
/// out are to keep what is up.
pub(super) fn is_away(error: &anyhow::Error) -> bool {
    let is_away = |error| {
        db::is_unavailable(error) && !db::is_login_refused(error) && !db::has_given_way(error)
    };
    error
        .chain()
        .any(|cause| cause.downcast_ref().is_some_and(is_away))
}

async fn prepare_database(
    pool: &Pool,
    settings: &ServeSettings,
    sealer: &Sealer,
    ids: &Ids,
) -> anyhow::Result<()> {
    let mut conn = pool.acquire().await?;
    db::dispatch::seed(&mut conn, settings.max_in_flight()).await?;
    check_callback_keys(&mut conn, &settings.callbacks.callback_keys).await?;
    reseal_secrets(&mut conn, sealer).await?;
    if let Some(key) = &settings.access.bootstrap_api_key {
        bootstrap(&mut conn, key, ids).await?;
    }
    conn.put_back();
    Ok(())
}

/// An attempt whose key is gone could never be completed.
async fn check_callback_keys(conn: &mut PgConnection, keys: &CallbackKeys) -> anyhow::Result<()> {
    let missing: Vec<String> = db::callback_keys::list_ids_of_open_attempts(conn)
        .await?
        .into_iter()
        .filter(|id| !keys.contains(id))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "CALLBACK_KEYS: transcriptions in flight need the key(s) {}; add them behind the first one until those have ended. Where \
         one is lost, any secret will do in its place: callbacks are refused then, and Gladia is asked for the results (not with \
         zero data retention, where nobody can have them any more)",
        missing.join(", ")
    )
}

/// Secrets that nothing opens would never sign again, and those of an older key would keep it needed: these are encrypted anew
/// with the first one.
async fn reseal_secrets(conn: &mut PgConnection, sealer: &Sealer) -> anyhow::Result<()> {
    db::signing_secrets::delete_expired(conn).await?;
    let missing: Vec<String> = db::callback_keys::list_ids_of_signing_secrets(conn)
        .await?
        .into_iter()
        .filter(|id| !sealer.contains(id))
        .collect();
    if !missing.is_empty() {
        bail!(
            "CALLBACK_KEYS: the secrets that sign webhooks are encrypted with the key(s) {}; add them behind the first one \
             until a gateway has started with both. Where one is lost, so are these secrets: delete the rows of signing_secrets with \
             that key_id; new ones are made, which receivers have to be told",
            missing.join(", ")
        );
    }
    let first = sealer.first_key_id();
    if let Some(secret) = db::signing_secrets::find_sealed_with(conn, first).await? {
        sealer.open(&secret).context("CALLBACK_KEYS")?;
    }
    let (mut resealed, mut after) = (0_usize, None);
    loop {
        let secrets =
            db::signing_secrets::list_sealed_otherwise(conn, first, after, SECRETS_BATCH).await?;
        let Some(last) = secrets.last() else { break };
        after = Some(last.id);
        for old in &secrets {
            let secret = sealer.open(old).context("CALLBACK_KEYS")?;
            let new = sealer.seal(old.id, old.tenant_id, old.endpoint_id, &secret)?;
            db::signing_secrets::reseal(conn, &new, &old.key_id).await?;
        }
        resealed += secrets.len();
    }
    if resealed > 0 {
        tracing::info!(
            callback_key.id = first,
            "Encrypted {resealed} signing secrets anew with the callback key {first}"
        );
    }
    Ok(())
}

/// Makes sure that `BOOTSTRAP_API_KEY` opens the tenant `default`.
async fn bootstrap(conn: &mut PgConnection, key: &ApiKey, ids: &Ids) -> anyhow::Result<()> {
    let tenant_id = db::api_keys::find_or_insert_tenant(
        conn,
        ids.next::<TenantId>(),
        &TenantName::default_tenant(),
    )
    .await?;
    let new = NewApiKey {
        id: ids.next(),
        tenant_id,
        name: "bootstrap",
        scope: Scope::Admin,
        hash: key.hash(),
    };
    if db::api_keys::insert(conn, new).await? {
        tracing::info!("Stored BOOTSTRAP_API_KEY as the first admin key of tenant default");
    }
    Ok(())
}
