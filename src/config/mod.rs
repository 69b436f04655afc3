//! Settings from the environment, one struct a concern. A field's doc comment is its text in `--help`.
//!
//! A setting comes from its flag, else its environment variable, else a file that the variable's name with `_FILE` at its
//! end names, else the same two names in `.env`, else its default ([`resolve`] does that). It is parsed into a type that
//! cannot be wrong, so nothing behind this module checks it again. What is missing or wrong is said in one message.

#![expect(
    clippy::doc_markdown,
    reason = "the doc comments are help texts, and backticks around an example would be pasted along with it"
)]

mod access;
mod addresses;
mod ask_gladia;
mod callbacks;
mod check_callback;
mod completion;
mod contradictions;
mod database;
mod database_url;
mod dispatch;
mod environment;
mod gladia;
mod logging;
mod needs;
mod problems;
mod requests;
mod resolve;
mod retention;
mod settling;
mod spans;
mod streams;
#[cfg(test)]
mod tests;
mod values;
mod webhooks;

use std::ffi::OsString;

use chrono::{DateTime, Utc};
use clap::{Args, Command, FromArgMatches};
use url::Url;

use crate::domain::host_doubt::doubt_of_host;

use self::contradictions::Known;
pub use self::{
    access::AccessSettings,
    addresses::AddressSettings,
    ask_gladia::AskGladiaSettings,
    callbacks::{CallbackSettings, PublicUrlCheck, VerifyCallbacks},
    check_callback::CheckCallbackSettings,
    completion::{CompletionMode, CompletionSettings},
    database::DatabaseSettings,
    database_url::DatabaseUrl,
    dispatch::DispatchSettings,
    environment::{DotenvError, Environment},
    gladia::GladiaArgs,
    logging::{LogSettings, log_format},
    problems::SettingsError,
    requests::RequestSettings,
    resolve::{Stop, parse},
    retention::RetentionSettings,
    settling::{ResendUnknown, SettlingSettings},
    spans::SpanSettings,
    streams::StreamSettings,
    values::{base_url, cap, gladia_key},
    webhooks::WebhookSettings,
};

/// Everything that `serve` needs.
#[derive(Args, Debug, Clone)]
pub struct ServeSettings {
    /// Leave the database's migrations to `migrate`. Without this they are applied at start, by one replica at a time.
    #[arg(long)]
    pub no_migrate: bool,
    /// Where everything is kept.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// How Gladia is reached.
    #[command(flatten)]
    pub gladia: GladiaArgs,
    /// Where the gateway listens.
    #[command(flatten)]
    pub addresses: AddressSettings,
    /// How callbacks are recognised.
    #[command(flatten)]
    pub callbacks: CallbackSettings,
    /// How much is sent at once.
    #[command(flatten)]
    pub dispatch: DispatchSettings,
    /// How unknown outcomes are settled.
    #[command(flatten)]
    pub settling: SettlingSettings,
    /// How results are learnt of.
    #[command(flatten)]
    pub completion: CompletionSettings,
    /// Whom outgoing webhooks may reach.
    #[command(flatten)]
    pub webhooks: WebhookSettings,
    /// How long results are kept.
    #[command(flatten)]
    pub retention: RetentionSettings,
    /// What requests may cost.
    #[command(flatten)]
    pub requests: RequestSettings,
    /// How events are streamed.
    #[command(flatten)]
    pub streams: StreamSettings,
    /// Who gets in first.
    #[command(flatten)]
    pub access: AccessSettings,
    /// Who is told of spans.
    #[command(flatten)]
    pub spans: SpanSettings,
    /// The process's wall clock; tests replace it. What the database's clock says is due is erased or given up only if this one says
    /// so, too; and what is late by this one is not sent any more.
    #[arg(skip = Utc::now as fn() -> DateTime<Utc>)]
    pub process_now: fn() -> DateTime<Utc>,
}

impl ServeSettings {
    /// Where Gladia calls back, if it is to do so.
    #[must_use]
    pub fn callback_base(&self) -> Option<&Url> {
        match self.completion.completion {
            CompletionMode::Callback => self.addresses.public_url.as_ref(),
            CompletionMode::Poll => None,
        }
    }

    /// Why Gladia itself, which is reached by https, may refuse the address of its callbacks, and with it every transcription.
    #[must_use]
    pub fn doubt_of_public_url(&self) -> Option<&'static str> {
        // The simulator is reached by http, and calls back names that only its own network knows.
        let is_real = self.gladia.gladia_api_url.scheme() == "https";
        self.callback_base()
            .filter(|_| is_real)
            .and_then(doubt_of_host)
    }

    /// The cap that a new database gets.
    #[must_use]
    pub fn max_in_flight(&self) -> i32 {
        let allowed = self.gladia.gladia_plan.max_in_flight();
        self.dispatch.max_in_flight.unwrap_or(allowed)
    }

    /// Settings by the names of their environment variables, with defaults for the rest. Reads nothing of the real
    /// environment.
    ///
    /// # Errors
    /// Where one is missing or wrong.
    pub fn from_values<'a>(
        values: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Stop> {
        let command = Self::augment_args(Command::new("serve")).no_binary_name(true);
        let environment = Environment::from_values(values);
        let matches = parse(command, std::iter::empty::<OsString>(), &environment)?;
        Ok(Self::from_arg_matches(&matches)?)
    }

    /// Checks settings against each other, which the type of one cannot.
    ///
    /// # Errors
    /// Where two of them contradict each other.
    pub fn check(&self) -> Result<(), SettingsError> {
        let problems = Known::of(self).contradictions();
        SettingsError::of(problems.into_iter()).map_or(Ok(()), Err)
    }
}
