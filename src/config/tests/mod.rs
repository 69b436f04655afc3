//! What operators read when settings are missing or wrong, and which of two settings counts.

mod addresses;
mod files;
mod log;
mod secrets;

use std::{collections::HashMap, time::Duration};

use clap::{Args, Command, FromArgMatches};

use super::{environment::parse_dotenv, *};
use crate::telemetry::LogFormat;

const KEYS: &str = "k1:0123456789abcdef0123456789abcdef";
const REQUIRED: [(&str, &str); 4] = [
    ("DATABASE_URL", "postgres://app:hunter2@db.internal/gateway"),
    ("GLADIA_API_KEY", "gladia-key"),
    ("PUBLIC_URL", "https://gateway.example.com/base"),
    ("CALLBACK_KEYS", KEYS),
];

/// The required settings, with these in their place or beside them.
fn with<'a>(others: &[(&'a str, &'a str)]) -> Environment {
    let mut values = HashMap::from(REQUIRED);
    values.extend(others.iter().copied());
    Environment::from_values(values)
}

fn serve(environment: &Environment, args: &[&str]) -> Result<ServeSettings, Stop> {
    let command = ServeSettings::augment_args(Command::new("serve")).no_binary_name(true);
    let matches = parse(command, args, environment)?;
    Ok(ServeSettings::from_arg_matches(&matches)?)
}

fn refusal(environment: &Environment, args: &[&str]) -> String {
    match serve(environment, args) {
        Err(Stop::Settings(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn gladias_address_goes_without_what_is_added_to_it() {
    for wrong in [
        "https://api.gladia.io/v2",
        "https://proxy.internal/gladia/V2/",
    ] {
        let refusal = refusal(&with(&[("GLADIA_API_URL", wrong)]), &[]);
        let rule = "GLADIA_API_URL (or --gladia-api-url) must be the address without /v2, which is added to it";
        assert!(refusal.contains(rule), "{refusal}");
    }
    for right in ["https://api.gladia.io/", "https://proxy.internal/v2/gladia"] {
        serve(&with(&[("GLADIA_API_URL", right)]), &[]).unwrap();
    }
}

#[test]
fn spaces_around_the_keys_of_a_list_do_not_count() {
    let environment = with(&[("USAGE_METADATA_KEYS", "team, project")]);
    let settings = serve(&environment, &[]).unwrap();
    assert_eq!(settings.requests.usage_metadata_keys, ["team", "project"]);
}

#[test]
fn what_is_required_suffices() {
    let settings = ServeSettings::from_values(REQUIRED).unwrap();
    assert_eq!(settings.database.database_pool_size, 20);
    assert_eq!(
        settings.database.database_url.to_string(),
        "db.internal:5432/gateway"
    );
    let gladia = settings.gladia.settings();
    assert_eq!(gladia.api_url.as_str(), "https://api.gladia.io/");
    assert_eq!(gladia.create_timeout, Duration::from_secs(30));
    assert_eq!(gladia.upload_timeout, Duration::from_hours(1));
    assert_eq!(settings.addresses.listen_addr.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.addresses.api_url, None);
    assert_eq!(settings.callbacks.max_callback_bytes, 64_000_000);
    assert_eq!(settings.max_in_flight(), 25);
    assert_eq!(settings.requests.max_upload_bytes, 1_000_000_000);
    assert_eq!(settings.requests.max_request_bytes, 1_000_000);
    assert_eq!(settings.requests.max_batch_bytes, 10_000_000);
    assert!(!settings.requests.accept_code_switching_without_languages);
    assert!(settings.requests.usage_metadata_keys.is_empty());
    assert_eq!(settings.requests.shutdown_timeout, Duration::from_secs(45));
    assert_eq!(settings.streams.max_streams, 10_000);
    assert_eq!(
        settings.streams.stream_send_timeout,
        Duration::from_secs(30)
    );
    assert!(settings.access.bootstrap_api_key.is_none() && !settings.no_migrate);
}

#[test]
fn the_plan_decides_how_many_are_in_flight_unless_a_number_is_set() {
    for (plan, number, cap) in [
        ("free", "", 3),
        ("paid", "", 25),
        ("enterprise", "", 25),
        ("enterprise", "400", 400),
    ] {
        let environment = with(&[("GLADIA_PLAN", plan), ("MAX_IN_FLIGHT", number)]);
        assert_eq!(serve(&environment, &[]).unwrap().max_in_flight(), cap);
    }
}

#[test]
fn metadata_keys_are_separated_by_commas() {
    let settings = serve(&with(&[("USAGE_METADATA_KEYS", "team,cost centre")]), &[]).unwrap();
    let keys = settings.requests.usage_metadata_keys;
    assert_eq!(keys, ["team", "cost centre"]);
}

#[test]
fn webhooks_reach_nothing_private_unless_a_network_is_named() {
    let unset = serve(&with(&[]), &[]).unwrap().webhooks;
    assert!(unset.webhook_allowed_networks.is_empty());
    assert_eq!(unset.webhook_allowed_ports, [80, 443, 8080, 8443]);

    let environment = with(&[
        (
            "WEBHOOK_ALLOWED_NETWORKS",
            "10.1.0.0/16, 127.0.0.1,fd00::/8",
        ),
        ("WEBHOOK_ALLOWED_PORTS", "443"),
    ]);
    let set = serve(&environment, &[]).unwrap().webhooks;
    let networks = set.webhook_allowed_networks.iter().map(ToString::to_string);
    let networks: Vec<_> = networks.collect();
    assert_eq!(networks, ["10.1.0.0/16", "127.0.0.1/32", "fd00::/8"]);
    assert_eq!(set.webhook_allowed_ports, [443]);

    let message = refusal(&with(&[("WEBHOOK_ALLOWED_NETWORKS", "10.1.2.3/16")]), &[]);
    let told = "must be networks: 10.1.2.3/16 is an address in 10.1.0.0/16";
    assert!(message.contains(told), "{message}");
}

#[test]
fn everything_missing_is_told_at_once_with_examples() {
    let message = ServeSettings::from_values([]).unwrap_err().to_string();
    assert!(
        message.starts_with("4 settings are missing or wrong"),
        "{message}"
    );
    for (name, _) in REQUIRED {
        let flag = name.to_lowercase().replace('_', "-");
        let problem = format!("\n  {name} (or --{flag}) is missing\n    Example: {name}=");
        assert!(message.contains(&problem), "{problem} in {message}");
    }
}

#[test]
fn the_public_address_is_needed_only_where_gladia_calls_back() {
    let without = |others: &[(&'static str, &'static str)], args: &[&str]| {
        let others: Vec<_> = others.iter().copied().chain([("PUBLIC_URL", "")]).collect();
        serve(&with(&others), args)
    };
    let poll = [("COMPLETION", "poll")];
    for settings in [without(&poll, &[]), without(&[], &["--completion", "poll"])] {
        let settings = settings.unwrap();
        assert_eq!(settings.addresses.public_url, None);
        assert_eq!(settings.callback_base(), None);
    }
    // The address may be there all the same; callbacks are not asked for.
    assert_eq!(serve(&with(&poll), &[]).unwrap().callback_base(), None);
    assert!(serve(&with(&[]), &[]).unwrap().callback_base().is_some());

    let missing = without(&poll, &["--completion=callback"]).unwrap_err();
    assert!(
        missing
            .to_string()
            .contains("PUBLIC_URL (or --public-url) is missing"),
        "{missing}"
    );
    let wrong = refusal(
        &with(&[("COMPLETION", "poll"), ("PUBLIC_URL", "ftp://x")]),
        &[],
    );
    assert!(
        wrong.contains("PUBLIC_URL (or --public-url) must begin with"),
        "{wrong}"
    );
    let message = refusal(&Environment::from_values(poll), &[]);
    assert!(message.starts_with("3 settings are missing"), "{message}");
}

#[test]
fn a_wrong_value_is_shown_with_what_would_be_right() {
    let message = refusal(&with(&[("MAX_IN_FLIGHT", "many")]), &[]);
    assert_eq!(
        message,
        "a setting is missing or wrong\n\n  MAX_IN_FLIGHT (or --max-in-flight) must be a whole number from 1 to 10000, \
         but is `many`\n    Example: MAX_IN_FLIGHT=25"
    );
    assert_eq!(message, refusal(&with(&[]), &["--max-in-flight=many"]));
}

#[test]
fn wrong_and_missing_ones_share_a_message() {
    let environment = Environment::from_values([
        ("LISTEN_ADDR", "localhost"),
        ("PUBLIC_URL", "gateway.example.com"),
    ]);
    let message = refusal(&environment, &[]);
    for part in [
        "5 settings",
        "LISTEN_ADDR (or --listen-addr) cannot be used: invalid socket address syntax, but is `localhost`",
        "PUBLIC_URL (or --public-url) must be an http:// or https:// address (relative URL without a base)\n",
        "DATABASE_URL (or --database-url) is missing",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[test]
fn every_setting_has_an_example_that_is_accepted_unless_it_is_a_secret() {
    let command = ServeSettings::augment_args(Command::new("serve"));
    let command = LogSettings::augment_args(command);
    let mut examples = HashMap::new();
    for arg in command
        .get_arguments()
        .filter(|arg| arg.get_env().is_some())
    {
        let help = arg.get_long_help().unwrap().to_string();
        let (_, example) = help.rsplit_once("\nExample: ").expect(&help);
        let (name, value) = example.split_once('=').unwrap();
        assert_eq!(arg.get_env().unwrap(), name);
        examples.insert(name.to_owned(), value.to_owned());
    }
    for (name, own) in secrets::SECRETS {
        let example = examples.insert(name.to_owned(), own.to_owned());
        refusal(&with(&[(name, &example.unwrap())]), &[]);
    }
    let values = examples
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let environment = Environment::from_values(values);
    parse(command, ["serve"], &environment).unwrap();
}

#[test]
fn wrong_values_of_every_kind_are_refused() {
    for (name, value) in [
        ("DATABASE_URL", "mysql://db/gateway"),
        ("DATABASE_URL", "postgres://db:port/gateway"),
        ("DATABASE_POOL_SIZE", "1"),
        ("GLADIA_API_KEY", "a key"),
        ("GLADIA_API_URL", "ftp://api.gladia.io"),
        ("GLADIA_CREATE_TIMEOUT_SECONDS", "61"),
        ("GLADIA_UPLOAD_TIMEOUT_SECONDS", "1h"),
        ("PUBLIC_URL", "https://gateway.example.com/?a=b"),
        ("PUBLIC_URL", "https://gateway.example.com/#a"),
        ("API_URL", "https://user:password@gateway.example.com"),
        ("CALLBACK_LISTEN_ADDR", "8081"),
        ("OPS_LISTEN_ADDR", ":9090"),
        ("CALLBACK_KEYS", "k1:short"),
        ("MAX_CALLBACK_BYTES", "-1"),
        ("MAX_IN_FLIGHT", "10001"),
        ("MAX_UPLOAD_BYTES", "1000000001"),
        ("GLADIA_PLAN", "gold"),
        ("MAX_REQUEST_BYTES", "1 MB"),
        ("MAX_BATCH_BYTES", "999"),
        ("MAX_STREAMS", "0"),
        ("ACCEPT_CODE_SWITCHING_WITHOUT_LANGUAGES", "perhaps"),
        ("USAGE_METADATA_KEYS", "team,,project"),
        ("REQUEST_TIMEOUT_SECONDS", "0"),
        ("UPLOAD_IDLE_TIMEOUT_SECONDS", "0.5"),
        ("ANSWER_IDLE_TIMEOUT_SECONDS", "9"),
        ("KEEP_ALIVE_SECONDS", "0"),
        ("MAX_ANSWER_MEMORY_BYTES", "999"),
        ("SHUTDOWN_TIMEOUT_SECONDS", "forever"),
        ("BOOTSTRAP_API_KEY", "tooshort"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.1.0.0/33"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.1.2.3/16"),
        ("WEBHOOK_ALLOWED_NETWORKS", "internal"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.1.0.0/16,,::1"),
        ("WEBHOOK_ALLOWED_PORTS", "443,0"),
        ("WEBHOOK_ALLOWED_PORTS", "65536"),
    ] {
        let message = refusal(&with(&[(name, value)]), &[]);
        assert!(message.contains(&format!("{name} (or --")), "{message}");
        assert!(message.contains(&format!("Example: {name}=")), "{message}");
    }
}

#[test]
fn secrets_are_never_printed() {
    let secrets = [
        ("DATABASE_URL", "postgres://app:hunter2@db:hunter2/gateway"),
        ("GLADIA_API_KEY", "hunter2 hunter2"),
        ("CALLBACK_KEYS", "k1:hunter2"),
        ("BOOTSTRAP_API_KEY", "hunter2"),
    ];
    let message = refusal(&with(&secrets), &[]);
    assert!(
        message.contains("4 settings") && !message.contains("hunter2"),
        "{message}"
    );
    for (name, value) in secrets {
        let flag = format!("--{}={value}", name.to_lowercase().replace('_', "-"));
        let message = refusal(&with(&[]), &[&flag]);
        assert!(
            message.contains(name) && !message.contains("hunter2"),
            "{message}"
        );
    }
    let bootstrap = ("BOOTSTRAP_API_KEY", "hunter2-hunter2-hunter2-hunter2");
    let settings = serve(&with(&[("GLADIA_API_KEY", "hunter2"), bootstrap]), &[]).unwrap();
    let debug = format!("{settings:?}");
    assert!(
        !debug.contains("hunter2") && !debug.contains("0123456789abcdef"),
        "{debug}"
    );
}

#[test]
fn a_flag_beats_the_environment_which_beats_dotenv_which_beats_the_default() {
    let dotenv = HashMap::from([
        ("MAX_IN_FLIGHT".to_owned(), "3".to_owned()),
        ("DATABASE_POOL_SIZE".to_owned(), "30".to_owned()),
    ]);
    let environment = with(&[("MAX_IN_FLIGHT", "2")]).then(dotenv);
    let cap = |args: &[&str]| serve(&environment, args).unwrap().max_in_flight();
    assert_eq!(cap(&[]), 2);
    assert_eq!(cap(&["--max-in-flight", "1"]), 1);
    let settings = serve(&environment, &[]).unwrap();
    assert_eq!(settings.database.database_pool_size, 30);
}

#[test]
fn a_flag_stands_in_for_a_wrong_variable() {
    let environment = with(&[("MAX_IN_FLIGHT", "many"), ("API_URL", "nowhere")]);
    let args = ["--max-in-flight=7", "--api-url=https://api.example.com"];
    assert_eq!(serve(&environment, &args).unwrap().max_in_flight(), 7);
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let environment = with(&[("MAX_IN_FLIGHT", ""), ("API_URL", ""), ("API_URL_FILE", "")]);
    let settings = serve(&environment, &[]).unwrap();
    assert_eq!(settings.max_in_flight(), 25);
    assert_eq!(settings.addresses.api_url, None);
    let message = refusal(&with(&[("PUBLIC_URL", "")]), &[]);
    assert!(
        message.contains("PUBLIC_URL (or --public-url) is missing"),
        "{message}"
    );
}

#[test]
fn dotenv_is_read_and_a_broken_line_is_named_but_not_quoted() {
    let good = "# settings\nexport A=1\nB='two $words'\n\nA=2\n";
    let values = parse_dotenv(good).unwrap();
    assert_eq!(
        (values["A"].as_str(), values["B"].as_str()),
        ("1", "two $words")
    );

    for broken in [
        "A=1\n\nB=hunter2 hunter2\nC=3\n",
        "A=1\n\nB='hunter2\n",
        "\u{feff}\n\nhunter2\n",
    ] {
        let message = parse_dotenv(broken).unwrap_err().to_string();
        assert!(message.contains("in line 3"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn help_names_the_variable_and_the_default_but_no_value() {
    let command = ServeSettings::augment_args(Command::new("serve")).no_binary_name(true);
    let environment = with(&[
        ("DATABASE_POOL_SIZE", "7"),
        ("BOOTSTRAP_API_KEY", "hunter2"),
    ]);
    let Err(Stop::CommandLine(help)) = parse(command, ["--help"], &environment) else {
        panic!("no help");
    };
    let help = help.to_string();
    assert!(
        help.contains("[env: DATABASE_POOL_SIZE] [default: 20]"),
        "{help}"
    );
    assert!(help.contains("[env: DATABASE_URL]"), "{help}");
    assert!(!help.contains("hunter2"), "{help}");
}
