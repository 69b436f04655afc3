//! What is told of addresses that are wrong.

use super::{refusal, serve, with};
use crate::config::DatabaseUrl;

#[test]
fn addresses_to_listen_at_are_different_ones() {
    let check = |settings: &[(&'static str, &'static str)]| {
        let checked = serve(&with(settings), &[]).unwrap().check();
        checked.map_err(|error| error.to_string())
    };
    let main = ("LISTEN_ADDR", "0.0.0.0:8080");
    for named in [
        vec!["OPS_LISTEN_ADDR"],
        vec!["CALLBACK_LISTEN_ADDR"],
        vec!["OPS_LISTEN_ADDR", "CALLBACK_LISTEN_ADDR"],
    ] {
        let others = named.iter().map(|name| (*name, main.1));
        let settings: Vec<_> = others.chain([main]).collect();
        let refused = check(&settings).unwrap_err();
        for name in named {
            let rule = format!("{name} is the same address as LISTEN_ADDR, 0.0.0.0:8080.");
            assert!(refused.contains(&rule), "{refused}");
        }
    }
    let beside = [
        ("CALLBACK_LISTEN_ADDR", "0.0.0.0:9090"),
        ("OPS_LISTEN_ADDR", "0.0.0.0:9090"),
    ];
    let refused = check(&beside).unwrap_err();
    assert!(
        refused.contains("OPS_LISTEN_ADDR is the same address as CALLBACK_LISTEN_ADDR"),
        "{refused}"
    );
    for others in [
        [main, ("OPS_LISTEN_ADDR", "0.0.0.0:9090")],
        [main, ("OPS_LISTEN_ADDR", "127.0.0.1:8080")],
        [
            ("LISTEN_ADDR", "127.0.0.1:0"),
            ("OPS_LISTEN_ADDR", "127.0.0.1:0"),
        ],
    ] {
        check(&others).unwrap();
    }
}

#[test]
fn of_a_wrong_address_nothing_is_shown_that_may_be_a_secret() {
    for (name, value, shown) in [
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "https://token:hunter2@otlp.example",
            None,
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "token:hunter2@otlp.example",
            None,
        ),
        ("PUBLIC_URL", "ftp://us/er:hunter2@a.example", None),
        ("API_URL", "hunter2", None),
        (
            "API_URL",
            "https://a.example:8443/x?key=hunter2#hunter2",
            Some("https://a.example:8443"),
        ),
        (
            "GLADIA_API_URL",
            "http://a.example/hunter2/v2",
            Some("http://a.example"),
        ),
        (
            "GLADIA_API_URL",
            "ftp://a.example/hunter2",
            Some("ftp://a.example"),
        ),
    ] {
        let message = refusal(&with(&[(name, value)]), &[]);
        assert!(message.contains(&format!("{name} (or --")), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
        let place = shown.map(|place| format!(", but is at `{place}`\n"));
        let is_shown = place
            .as_deref()
            .is_some_and(|place| message.contains(place));
        assert_eq!(is_shown, message.contains("but is"), "{message}");
        assert_eq!(is_shown, shown.is_some(), "{message}");
        let flag = format!("--{}={value}", name.to_lowercase().replace('_', "-"));
        assert_eq!(refusal(&with(&[]), &[&flag]), message);
    }
}

#[test]
fn a_public_address_that_gladia_may_refuse_is_doubted_where_it_is_gladias_to_judge() {
    let doubt = |settings: &[(&'static str, &'static str)]| {
        serve(&with(settings), &[]).unwrap().doubt_of_public_url()
    };
    let bare = ("PUBLIC_URL", "http://gateway:8080");
    assert_eq!(doubt(&[]), None);
    assert!(doubt(&[bare]).is_some());
    assert_eq!(doubt(&[bare, ("COMPLETION", "poll")]), None);
    let simulator = ("GLADIA_API_URL", "http://simulator:8090");
    assert_eq!(doubt(&[bare, simulator]), None);
}

#[test]
fn a_file_of_the_database_that_cannot_be_read_is_named_with_its_parameter() {
    let refused = |query: &str| {
        let url = format!("postgres://app:hunter2@db/gateway?{query}");
        let message = refusal(&with(&[("DATABASE_URL", &url)]), &[]);
        assert!(!message.contains("hunter2"), "{message}");
        message
    };
    let message = refused("sslmode=verify-full&sslrootcert=/nowhere/ca.pem");
    assert!(
        message.contains(r#"sslrootcert="/nowhere/ca.pem": No such file"#),
        "{message}"
    );
    let message = refused("sslcert=/nowhere/client.pem&sslkey=hunter2");
    assert!(
        message.contains("sslcert=\"/nowhere/client.pem\""),
        "{message}"
    );
    let message = refused("ssl-key=hunter2");
    assert!(message.contains("with ssl-key: No such file"), "{message}");
    let message = refused("sslmode=verify-full&sslrootcert=system");
    assert!(message.contains("without it the well-known"), "{message}");

    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for good in [
        format!("sslmode=verify-full&sslrootcert={here}"),
        "sslmode=disable&sslcert=/nowhere/client.pem".to_owned(),
        "sslmode=require&sslrootcert=/nowhere/ca.pem".to_owned(),
        "sslmode=verify-ca&sslrootcert=-----BEGIN%20CERTIFICATE-----".to_owned(),
    ] {
        let url = format!("postgres://app@db/gateway?{good}");
        assert!(url.parse::<DatabaseUrl>().is_ok(), "{url}");
    }
}

#[test]
fn parameters_of_the_database_that_have_no_effect_are_known_by_name_alone() {
    let ignored = |query: &str| {
        let url = format!("postgres://app@db/gateway?{query}");
        url.parse::<DatabaseUrl>().unwrap().ignored().join(", ")
    };
    assert_eq!(
        ignored("target_session_attrs=hunter2&connect_timeout=3&connect_timeout=4"),
        "connect_timeout, target_session_attrs"
    );
    let known = "sslmode=require&application_name=a&options=-c%20jit%3Doff&options[jit]=off";
    assert_eq!(ignored(known), "");
    // The end of a password whose & is not encoded.
    assert_eq!(ignored("password=a&hunter2"), "one that is no name=value");
}

#[test]
fn an_sslmode_that_there_is_not_is_named() {
    for (query, is_named) in [
        ("sslmode=maybe", true),
        ("application_name=a&ssl-mode=", true),
        ("sslmode=require&statement-cache-capacity=hunter2", false),
    ] {
        let url = format!("postgres://app:hunter2@db/gateway?{query}");
        let message = refusal(&with(&[("DATABASE_URL", &url)]), &[]);
        let names = message.contains("must have an sslmode that there is: disable, ");
        assert_eq!(names, is_named, "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}
