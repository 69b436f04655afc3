//! What is told of addresses that are wrong.

use super::{refusal, serve, with};

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
