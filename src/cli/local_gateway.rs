//! A gateway inside this process, for the commands that show or try it on one machine.

use anyhow::anyhow;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use sqlx::ConnectOptions;
use url::Url;

use crate::{
    app::{Gateway, Listeners},
    config::{DatabaseUrl, ServeSettings},
    db::{self, api_keys::NewApiKey},
    domain::{
        access::{ApiKey, Scope, TenantName},
        ids::Ids,
    },
    shutdown::Shutdown,
};

/// Where it transcribes, and how results come from there.
pub struct Account<'a> {
    /// The key.
    pub key: &'a str,
    /// The base of the API.
    pub url: Url,
    /// As the setting `COMPLETION` has it.
    pub completion: &'a str,
    /// What signs callback addresses and seals secrets; `None`: something random, for a database that goes with the process.
    pub callback_key: Option<[u8; 32]>,
}

/// A key that is the same whenever this database is used: what an earlier process has sealed there is still to be opened. It is
/// as secret as the password of the database.
#[must_use]
pub fn key_of(database_url: &DatabaseUrl) -> [u8; 32] {
    let url = database_url.options().to_url_lossy();
    Sha256::digest(format!("callback key of {url}")).into()
}

/// Starts the service as `serve` would, on a free port.
///
/// # Errors
/// Where it does not start.
pub async fn start(
    database_url: DatabaseUrl,
    account: &Account<'_>,
    more: &[(&str, &str)],
    shutdown: &Shutdown,
) -> anyhow::Result<(Gateway, Url)> {
    let key = account.callback_key.unwrap_or_else(rand::random);
    let callback_keys = format!("local:{}", BASE64_URL_SAFE_NO_PAD.encode(key));
    let settings = [
        ("DATABASE_URL", "postgres://replaced.below/"),
        ("GLADIA_API_KEY", account.key),
        ("GLADIA_API_URL", account.url.as_str()),
        ("COMPLETION", account.completion),
        ("PUBLIC_URL", "http://replaced.below/"),
        ("CALLBACK_KEYS", &callback_keys),
        ("LISTEN_ADDR", "127.0.0.1:0"),
        // Receivers run on the same machine.
        ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8,::1"),
    ];
    let mut settings =
        ServeSettings::from_values(settings.into_iter().chain(more.iter().copied()))?;
    settings.database.database_url = database_url;
    let listeners = Listeners::bind(&settings.addresses).await?;
    let base = Url::parse(&format!("http://{}/", listeners.main_addr()?))?;
    settings.addresses.public_url = Some(base.clone());
    settings.addresses.api_url = Some(base.clone());
    let gateway = Gateway::start(settings, listeners, shutdown.clone()).await?;
    Ok((gateway, base))
}

/// Makes an API key with which a tenant can do everything that a caller can.
///
/// # Errors
/// Where the database is away.
pub async fn make_key(gateway: &Gateway, tenant: &str) -> anyhow::Result<SecretString> {
    let ids = Ids::random();
    let key = ApiKey::from_random(rand::random());
    let name: TenantName = tenant.parse().map_err(|error: &str| anyhow!(error))?;
    let mut conn = gateway.pool.acquire().await?;
    let tenant_id = db::api_keys::find_or_insert_tenant(&mut conn, ids.next(), &name).await?;
    let new = NewApiKey {
        id: ids.next(),
        tenant_id,
        name: tenant,
        scope: Scope::Write,
        hash: key.hash(),
    };
    db::api_keys::insert(&mut conn, new).await?;
    Ok(key.expose().into())
}
