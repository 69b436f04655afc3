//! Settings that exclude each other, which the type of one cannot say.

use std::{net::SocketAddr, path::PathBuf};

use clap::ArgMatches;

use super::{
    ServeSettings, callbacks::VerifyCallbacks, completion::CompletionMode, resolve::Settings,
};

/// What the rules are about. What is not known, since it is wrong by itself, contradicts nothing.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact by itself, and a rule joins two"
)]
pub(super) struct Known {
    keeps_nothing: bool,
    lacks_spool: bool,
    polls: bool,
    fetches: bool,
    listens: Vec<(&'static str, SocketAddr)>,
}

impl Known {
    pub(super) fn of(settings: &ServeSettings) -> Self {
        let addresses = &settings.addresses;
        let listens = [
            ("LISTEN_ADDR", Some(addresses.listen_addr)),
            ("CALLBACK_LISTEN_ADDR", addresses.callback_listen_addr),
            ("OPS_LISTEN_ADDR", addresses.ops_listen_addr),
        ];
        Self {
            keeps_nothing: settings.gladia.gladia_zero_data_retention,
            lacks_spool: settings.callbacks.callback_spool_dir.is_none(),
            polls: settings.completion.completion == CompletionMode::Poll,
            fetches: settings.callbacks.verify_callbacks == VerifyCallbacks::Fetch,
            listens: given(listens),
        }
    }

    /// The same where others are missing or wrong. `seen`: what the command line and the environment give.
    pub(super) fn of_seen(seen: &ArgMatches, settings: &Settings) -> Self {
        if let Some((_, seen)) = seen.subcommand() {
            return Self::of_seen(seen, settings);
        }
        let is_wrong = |flag: &str| settings.get(flag).is_some_and(|it| it.problem.is_some());
        let found = |flag, is: bool| is && !is_wrong(flag);
        let keeps = seen.try_get_one::<bool>("gladia_zero_data_retention");
        // No other command has one, and none of them lacks it.
        let spool = seen.try_get_one::<PathBuf>("callback_spool_dir");
        let completion = seen.try_get_one::<CompletionMode>("completion");
        let proof = seen.try_get_one::<VerifyCallbacks>("verify_callbacks");
        let listens = [
            ("LISTEN_ADDR", "--listen-addr", "listen_addr"),
            (
                "CALLBACK_LISTEN_ADDR",
                "--callback-listen-addr",
                "callback_listen_addr",
            ),
            ("OPS_LISTEN_ADDR", "--ops-listen-addr", "ops_listen_addr"),
        ];
        let listens = listens.map(|(name, flag, id)| {
            let place = seen.try_get_one::<SocketAddr>(id).ok().flatten();
            (name, place.copied().filter(|_| !is_wrong(flag)))
        });
        Self {
            keeps_nothing: found(
                "--gladia-zero-data-retention",
                matches!(keeps, Ok(Some(true))),
            ),
            lacks_spool: found("--callback-spool-dir", matches!(spool, Ok(None))),
            polls: found(
                "--completion",
                matches!(completion, Ok(Some(CompletionMode::Poll))),
            ),
            fetches: found(
                "--verify-callbacks",
                matches!(proof, Ok(Some(VerifyCallbacks::Fetch))),
            ),
            listens: given(listens),
        }
    }

    /// What is to be told of them.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let rules = [
            (
                self.lacks_spool,
                "GLADIA_ZERO_DATA_RETENTION is set without CALLBACK_SPOOL_DIR: Gladia keeps no result, so one that arrives \
                 while Postgres is away must be kept on disk. Set CALLBACK_SPOOL_DIR, too.",
            ),
            (
                self.polls,
                "COMPLETION=poll asks Gladia for results, which it does not keep with GLADIA_ZERO_DATA_RETENTION. Set \
                 COMPLETION=callback and PUBLIC_URL.",
            ),
            (
                self.fetches,
                "VERIFY_CALLBACKS=fetch asks Gladia for results, which it does not keep with GLADIA_ZERO_DATA_RETENTION. Set \
                 VERIFY_CALLBACKS=address.",
            ),
        ];
        let broken = rules
            .into_iter()
            .filter(|(is_broken, _)| self.keeps_nothing && *is_broken)
            .map(|(_, problem)| problem.to_owned());
        broken.chain(self.doubled()).collect()
    }

    /// What is wrong where two listeners are to have the same place.
    fn doubled(&self) -> impl Iterator<Item = String> {
        let listens = self.listens.iter().enumerate();
        listens.filter_map(|(nth, (name, place))| {
            let mut before = self.listens[..nth].iter();
            let (first, _) = before.find(|(_, other)| other == place)?;
            Some(format!(
                "{name} is the same address as {first}, {place}. Give it one of its own, or leave it out: LISTEN_ADDR then serves \
                 what it would."
            ))
        })
    }
}

/// Those listeners whose place is given. Of port 0 each gets another.
fn given<const N: usize>(
    listens: [(&'static str, Option<SocketAddr>); N],
) -> Vec<(&'static str, SocketAddr)> {
    listens
        .into_iter()
        .filter_map(|(name, place)| Some((name, place.filter(|place| place.port() != 0)?)))
        .collect()
}
