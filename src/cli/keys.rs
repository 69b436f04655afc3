//! `keys`: the API keys of callers.

use std::{
    io::{Write, stderr},
    process::ExitCode,
};

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use rand::{TryRng, rngs::SysRng};
use sqlx::Connection;

use super::{connect::connect, output};
use crate::{
    config::DatabaseSettings,
    db::api_keys::{self, NewApiKey},
    domain::{
        access::{ApiKey, Scope, TenantName},
        ids::{ApiKeyId, Ids},
    },
};

/// The longest name of a key.
const MAX_NAME_CHARACTERS: usize = 100;

/// What to do with keys.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a key and print it. It is stored as a hash, so this is the only time.
    Create(CreateArgs),
    /// List all keys, without the keys themselves.
    List(DatabaseSettings),
    /// Revoke a key. Its next request is refused, and it cannot be brought back.
    Revoke(RevokeArgs),
}

/// A key to be made.
#[derive(Args, Debug)]
#[command(long_about = None)]
pub struct CreateArgs {
    /// The team whose transcriptions it sees: 1 to 63 of a-z, 0-9, `-`, `_` and `.`. A new name makes a new tenant.
    #[arg(long)]
    tenant: TenantName,
    /// What people know it by, 1 to 100 characters.
    #[arg(long, value_parser = key_name)]
    name: String,
    /// What it may do: look; also create, cancel and delete; also operate the gateway.
    #[arg(long, value_parser = scope())]
    scope: Scope,
    #[command(flatten)]
    database: DatabaseSettings,
}

/// A key to be revoked.
#[derive(Args, Debug)]
pub struct RevokeArgs {
    /// Its id, as `keys list` shows it.
    #[arg(value_parser = key_id)]
    id: ApiKeyId,
    #[command(flatten)]
    database: DatabaseSettings,
}

fn scope() -> impl TypedValueParser<Value = Scope> {
    let names = [Scope::Read, Scope::Write, Scope::Admin].map(Scope::as_str);
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Scope>())
}

fn key_id(text: &str) -> Result<ApiKeyId, &'static str> {
    text.parse()
        .map_err(|_| "must be the id of a key, as `keys list` shows it")
}

fn key_name(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    if (1..=MAX_NAME_CHARACTERS).contains(&length) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "must be 1 to {MAX_NAME_CHARACTERS} characters, none of them a control character"
        ))
    }
}

/// Runs the subcommand.
///
/// # Errors
/// Where the database does not answer, or knows no such key.
pub async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Create(args) => create(args).await?,
        Command::List(database) => list(&database).await?,
        Command::Revoke(args) => revoke(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(args: CreateArgs) -> anyhow::Result<()> {
    ensure!(
        !output::leads_nowhere(),
        "nobody could read the key: stdout is closed or leads to /dev/null. No key was made"
    );
    let mut random = [0; 32];
    SysRng
        .try_fill_bytes(&mut random)
        .context("the system gives no random bytes")?;
    let (key, ids) = (ApiKey::from_random(random), Ids::random());
    let id = ids.next();

    let mut conn = connect(&args.database).await?;
    let mut tx = conn.begin().await?;
    let tenant_id = api_keys::find_or_insert_tenant(&mut tx, ids.next(), &args.tenant).await?;
    let new = NewApiKey {
        id,
        tenant_id,
        name: &args.name,
        scope: args.scope,
        hash: key.hash(),
    };
    if !api_keys::insert(&mut tx, new).await? {
        bail!("the system's random bytes repeat themselves: no key was made");
    }
    tx.commit().await?;

    // Whoever closed stderr wants the key alone.
    let _ = writeln!(
        stderr(),
        "Made key {id} of tenant `{}` with scope `{}`. It is shown this once:",
        args.tenant.as_str(),
        args.scope
    );
    output::only_line(key.expose()).with_context(|| {
        format!("key {id} was made and could not be printed, so nobody has it: `keys revoke {id}` ends it")
    })
}

async fn list(database: &DatabaseSettings) -> anyhow::Result<()> {
    let mut conn = connect(database).await?;
    let rows: Vec<[String; 6]> = api_keys::list(&mut conn)
        .await?
        .into_iter()
        .map(|key| {
            let revoked = key.revoked_at.map_or_else(|| "-".to_owned(), time);
            let created = time(key.created_at);
            [
                key.id.to_string(),
                key.tenant,
                key.name,
                key.scope,
                created,
                revoked,
            ]
        })
        .collect();
    let header = ["ID", "TENANT", "NAME", "SCOPE", "CREATED", "REVOKED"];
    output::table(header, &rows)?;
    Ok(())
}

async fn revoke(args: RevokeArgs) -> anyhow::Result<()> {
    let mut conn = connect(&args.database).await?;
    if !api_keys::revoke(&mut conn, args.id).await? {
        bail!(
            "no valid key has the id {}: `keys list` shows them all",
            args.id
        );
    }
    output::line(&format!("Revoked key {}", args.id))?;
    Ok(())
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
