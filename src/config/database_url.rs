//! The address of a Postgres database, and the parameters in it.

use std::{
    fmt::{self, Display},
    fs,
    str::FromStr,
};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// What the driver reads. Of anything else it takes no notice.
const KNOWN: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The address of a Postgres database. Never prints its password.
#[derive(Clone)]
pub struct DatabaseUrl {
    options: PgConnectOptions,
    ignored: Vec<String>,
}

impl DatabaseUrl {
    /// What a pool connects with.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// The names of its parameters that have no effect.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }
}

impl From<PgConnectOptions> for DatabaseUrl {
    fn from(options: PgConnectOptions) -> Self {
        Self {
            options,
            ignored: Vec::new(),
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = String;

    /// Reads the files that it names, too: where one cannot be read, the driver's error is the system's alone.
    fn from_str(text: &str) -> Result<Self, String> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("postgres" | "postgresql")) {
            return Err("must begin with postgres:// or postgresql://".into());
        }
        let parameters = parameters(text);
        match crate::db::parse_url(text) {
            Ok(options) => {
                check_files(&options, &parameters)?;
                Ok(Self {
                    options,
                    ignored: find_ignored(&parameters),
                })
            }
            // The database driver's own errors may quote the address, so only the parser's are repeated.
            Err(sqlx::Error::Configuration(error)) if error.is::<url::ParseError>() => Err(
                format!("must be the address of a Postgres database: {error}"),
            ),
            Err(_) if has_unknown_sslmode(&parameters) => Err(
                "must have an sslmode that there is: disable, allow, prefer, require, verify-ca or verify-full".into(),
            ),
            Err(_) => Err("must be the address of a Postgres database".into()),
        }
    }
}

fn parameters(address: &str) -> Vec<(String, String)> {
    let url = address.parse::<Url>();
    url.map(|url| url.query_pairs().into_owned().collect())
        .unwrap_or_default()
}

fn has_unknown_sslmode(parameters: &[(String, String)]) -> bool {
    parameters.iter().any(|(name, value)| {
        matches!(name.as_str(), "sslmode" | "ssl-mode") && value.parse::<PgSslMode>().is_err()
    })
}

fn check_files(options: &PgConnectOptions, parameters: &[(String, String)]) -> Result<(), String> {
    // As the driver has it: without TLS it reads none, and authorities only where it checks who the server is.
    let (uses_tls, checks_server) = match options.get_ssl_mode() {
        PgSslMode::Disable | PgSslMode::Allow => (false, false),
        PgSslMode::Prefer | PgSslMode::Require => (true, false),
        PgSslMode::VerifyCa | PgSslMode::VerifyFull => (true, true),
    };
    for (name, value) in parameters {
        let is_root = matches!(name.as_str(), "sslrootcert" | "ssl-root-cert" | "ssl-ca");
        let is_key = matches!(name.as_str(), "sslkey" | "ssl-key");
        let is_own = is_key || matches!(name.as_str(), "sslcert" | "ssl-cert");
        let is_read = (is_root && checks_server) || (is_own && uses_tls);
        // What is in a file may stand here itself.
        let text = value.trim();
        let is_content = text.starts_with("-----BEGIN") && text.ends_with("-----");
        if !is_read || is_content {
            continue;
        }
        let Err(error) = fs::read(value) else {
            continue;
        };
        if is_root && value == "system" {
            return Err(format!(
                "must name a file with {name}; without it the well-known authorities are trusted, as with libpq's {name}=system"
            ));
        }
        // Whoever has meant to write the key itself there is not to find it in a log.
        let shown = if is_key {
            String::new()
        } else {
            format!("={value:?}")
        };
        return Err(format!(
            "must name a file that can be read with {name}{shown}: {error}"
        ));
    }
    Ok(())
}

/// The names of those that have no effect. What is no name may be a part of a value that is not encoded, and is not repeated.
fn find_ignored(parameters: &[(String, String)]) -> Vec<String> {
    let is_known =
        |name: &str| KNOWN.contains(&name) || (name.starts_with("options[") && name.ends_with(']'));
    let is_name = |name: &str| {
        let of_names = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte == b'-';
        !name.is_empty() && name.bytes().all(of_names)
    };
    let mut ignored: Vec<String> = parameters
        .iter()
        .filter(|(name, _)| !is_known(name))
        .map(|(name, value)| match name.as_str() {
            name if is_name(name) && !value.is_empty() => name.to_owned(),
            _ => "one that is no name=value".to_owned(),
        })
        .collect();
    ignored.sort();
    ignored.dedup();
    ignored
}

/// The place without its credentials: for messages.
impl Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        match options.get_socket() {
            Some(socket) => write!(f, "{}", socket.display())?,
            None => write!(f, "{}:{}", options.get_host(), options.get_port())?,
        }
        match options.get_database() {
            Some(database) => write!(f, "/{database}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}
