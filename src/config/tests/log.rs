//! What is logged, and how: settings of every command.

use clap::{Args, Command, FromArgMatches};

use super::*;

#[test]
fn log_settings_are_checked_like_the_others() {
    let log = |environment: &Environment, args: &[&str]| {
        let command = LogSettings::augment_args(Command::new("any")).no_binary_name(true);
        let matches = parse(command, args, environment)?;
        Ok::<_, Stop>(LogSettings::from_arg_matches(&matches)?)
    };
    let settings = log(&Environment::from_values([("RUST_LOG", "debug")]), &[]).unwrap();
    assert_eq!(settings.log_level.unwrap().to_string(), "debug");
    assert_eq!(settings.log_format, LogFormat::Text);
    let both = Environment::from_values([("RUST_LOG", "debug"), ("LOG_LEVEL", "warn")]);
    assert_eq!(
        log(&both, &[]).unwrap().log_level.unwrap().to_string(),
        "warn"
    );

    // A word that is no level would silence everything else.
    for wrong in [
        "warning",
        "critical",
        "info;debug",
        "hyper",
        "gladia_gateway=loudest",
    ] {
        for name in ["LOG_LEVEL", "RUST_LOG"] {
            let Err(Stop::Settings(error)) = log(&Environment::from_values([(name, wrong)]), &[])
            else {
                panic!("{name}={wrong}");
            };
            let error = error.to_string();
            let rule = format!("{name} (or --log-level) must be a level (");
            assert!(error.contains(&rule) && error.contains(wrong), "{error}");
        }
    }
    for right in [
        "INFO ",
        " info, gladia_gateway::workers=debug",
        "off",
        "gladia_gateway",
        "info,hyper",
        "warn,hyper=off",
    ] {
        log(&Environment::from_values([("LOG_LEVEL", right)]), &[]).unwrap();
    }

    let wrong = Environment::from_values([("LOG_FORMAT", "xml")]);
    let message = log(&wrong, &[]).unwrap_err().to_string();
    let told = "LOG_FORMAT (or --log-format) must be one of text, json, but is `xml`";
    assert!(message.contains(told), "{message}");
    assert!(log(&wrong, &["--log-format=json"]).is_ok());
}

#[test]
fn how_lines_look_is_known_where_the_settings_cannot_be_used() {
    let json = Environment::from_values([("LOG_FORMAT", "json")]);
    let text = Environment::from_values([]);
    for (environment, line, expected) in [
        (&json, "serve --max-in-flight 0", LogFormat::Json),
        (&json, "serve --log-format text", LogFormat::Text),
        (&text, "serve --log-format json --nonsense", LogFormat::Json),
        (&text, "--log-format=json serve", LogFormat::Json),
        (&text, "serve --log-format", LogFormat::Text),
        (&text, "serve", LogFormat::Text),
    ] {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert_eq!(log_format(&words, environment), expected, "{line}");
    }
    let wrong = Environment::from_values([("LOG_FORMAT", "xml")]);
    assert_eq!(log_format(&[], &wrong), LogFormat::Text);
}
