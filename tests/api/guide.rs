//! The guide for callers, `docs/api.md`: its examples run, and its tables are complete.

use std::{collections::BTreeSet, fs, path::Path};

use gladia_gateway::{
    dev_tools::simulator::{BUNDLED_RECORDING, BUNDLED_RECORDING_NAME, Script},
    domain::access::Scope,
    http::{openapi, problem::ProblemType},
    notify::message::SendErrorCode,
};
use serde_json::json;

use crate::support::{
    TestApp,
    guide::{self, Shell, compare, keep_what_comes},
    receiver::Receiver,
    retries::given_up,
};

/// When the examples are run, so that the dates that they show are always the same.
const NOW: &str = "2026-11-24 09:00:00Z";

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md")).unwrap()
}

/// What the harness needs beside the recordings of the guide, which every simulator knows: one that does not end.
fn script() -> Script {
    let endless = json!({ "match": "https://audio.example/endless*", "duration": 8000.0 });
    json!({ "entries": [endless] }).to_string().parse().unwrap()
}

/// What there is when the guide begins: a transcription that an operator has given up, a callback that could not be
/// understood, and an attempt of which nobody knows whether it reached Gladia.
async fn leave_work(app: &TestApp) {
    given_up(app, "endless.mp3").await;
    app.resume_dispatch().await;
    let kept = app.globex.start("endless.mp3").await;
    app.globex.wait_until(&kept, "processing").await;
    let attempt = app.attempt(&kept).await;
    app.call_back(attempt.id, "not what Gladia sends").await;
    let fault = json!({ "operation": "create", "kind": "drop_before", "times": 1 });
    app.upstream.fault(&fault).await;
    let lost = app.globex.start("endless.mp3").await;
    app.wait_for_attempt(&lost, "unknown").await;
    app.resume_dispatch().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_gives_the_answer_that_it_shows() {
    let app = TestApp::builder()
        .simulator(|simulator| simulator.script = Some(script()))
        .start()
        .await;
    let ahead: String = app
        .scalar(&format!(
            "SELECT (timestamptz '{NOW}' - clock_timestamp())::text"
        ))
        .await;
    app.set_clock_ahead(&ahead).await;
    leave_work(&app).await;
    let admin = app.caller("operators", Scope::Admin).await;

    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guide");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(BUNDLED_RECORDING_NAME), BUNDLED_RECORDING).unwrap();
    // As at a terminal, curl shows no progress.
    fs::write(
        directory.join(".curlrc"),
        "silent\nshow-error\nnoproxy = *\n",
    )
    .unwrap();
    let receiver = Receiver::start().await;
    let receiver_url = receiver.url();
    let mut shell = Shell::start(
        &directory,
        &[
            ("GATEWAY", app.acme.base.as_str()),
            ("KEY", app.acme.key.as_deref().unwrap()),
            ("ADMIN_KEY", admin.key.as_deref().unwrap()),
            ("RECEIVER", receiver_url.as_str()),
        ],
    );
    let keeping = tokio::spawn(keep_what_comes(receiver, directory.join("received")));
    let curl = shell.run("curl --version").await;
    curl.expect("curl is there; ./dev test installs it");

    let examples = guide::examples(&page());
    assert!(examples.len() > 20, "only {} examples", examples.len());
    let mut wrong = Vec::new();
    for example in examples {
        let place = format!("docs/api.md:{}", example.line);
        let printed = match shell.run(&example.commands).await {
            Ok(printed) => printed,
            Err(error) => {
                wrong.push(format!("{place}: {error}"));
                break;
            }
        };
        let compared = match &example.shown {
            Some((kind, shown)) => compare(kind, shown, &printed),
            None if printed.trim().is_empty() => Ok(()),
            None => Err("prints something, and no answer is shown".to_owned()),
        };
        if let Err(difference) = compared {
            let start: String = printed.chars().take(2000).collect();
            wrong.push(format!("{place}: {difference}\n{start}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
    drop(shell);
    keeping.abort();
    fs::remove_dir_all(&directory).unwrap();
    app.stop().await;
}

#[test]
fn every_problem_stands_in_the_guide_with_its_status() {
    let told: BTreeSet<(String, String)> = guide::table(&page(), "Problems")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let expected: BTreeSet<(String, String)> = ProblemType::ALL
        .iter()
        .map(|kind| (kind.slug().to_owned(), kind.status().as_u16().to_string()))
        .collect();
    assert_eq!(told, expected);
    assert_eq!(expected.len(), ProblemType::ALL.len());
}

#[test]
fn every_code_stands_in_the_guide() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let page = page();
    for (heading, schema, column) in [
        ("Status", "TranscriptionStatus", 0),
        ("Status", "StatusReason", 1),
        ("Errors of transcriptions", "TranscriptionErrorType", 0),
        ("Warnings", "WarningCode", 0),
        ("Steps of a timeline", "StepCode", 0),
        ("Steps of a timeline", "StepReason", 1),
        ("Types of events", "EventType", 0),
        ("Reasons for a disabled endpoint", "DisabledReason", 0),
        ("Statuses of deliveries", "DeliveryStatus", 0),
        ("Statuses of deliveries", "DeadReason", 1),
    ] {
        let told: BTreeSet<String> = guide::table(&page, heading)
            .into_iter()
            .map(|mut row| row.swap_remove(column))
            .filter(|cell| cell.chars().any(char::is_alphabetic))
            .collect();
        let codes = &document["components"]["schemas"][schema]["enum"];
        let expected: BTreeSet<String> = serde_json::from_value(codes.clone()).unwrap();
        assert_eq!(told, expected, "{heading}");
    }
}

#[test]
fn every_error_of_a_try_stands_in_the_guide() {
    let told: BTreeSet<String> = guide::table(&page(), "Errors of tries")
        .into_iter()
        .map(|mut row| row.swap_remove(0))
        .collect();
    let codes = SendErrorCode::ALL.map(|code| code.as_str().to_owned());
    assert_eq!(told, BTreeSet::from(codes));
}

#[test]
fn every_operation_stands_in_the_guide() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let told: BTreeSet<String> = guide::table(&page(), "Operations")
        .into_iter()
        .map(|mut row| row.swap_remove(0))
        .collect();
    let mut expected = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            expected.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    assert_eq!(told, expected);
}

#[test]
fn every_filter_and_everything_that_an_export_takes_stands_in_the_guide() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let page = page();
    let told = |heading: &str| -> BTreeSet<String> {
        guide::table(&page, heading)
            .into_iter()
            // The key of `metadata[KEY]` is the caller's.
            .map(|row| row[0].split('[').next().unwrap_or_default().to_owned())
            .collect()
    };
    let parameters = |path: &str| {
        let parameters = document["paths"][path]["get"]["parameters"].as_array();
        parameters.unwrap().clone()
    };
    let export = parameters("/v1/transcriptions/{id}/export/{format}");
    let list = parameters("/v1/transcriptions");
    for (heading, parameters) in [
        ("Filters", &list),
        ("Parameters of an export", &export),
        ("Parameters of the change list", &parameters("/v1/events")),
        ("Filters of deliveries", &parameters("/v1/deliveries")),
    ] {
        let expected: BTreeSet<String> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(told(heading), expected, "{heading}");
    }
    let formats = &document["components"]["schemas"]["ExportFormat"]["enum"];
    let mut formats: BTreeSet<String> = serde_json::from_value(formats.clone()).unwrap();
    // It is an operation of its own.
    assert!(formats.insert("json".to_owned()));
    assert_eq!(told("Exporting"), formats);
}

#[test]
fn an_answer_that_is_not_the_one_shown_is_found() {
    for (kind, shown, printed) in [
        ("json", r#"{ "a": 1 }"#, r#"{ "a": 2 }"#),
        ("json", r#"{ "a": 1, … }"#, r#"{ "b": 1 }"#),
        ("json", r#"{ "a": null }"#, "{}"),
        (
            "json",
            r#"{ "a": { "b": "x…z" } }"#,
            r#"{ "a": { "b": "xy" } }"#,
        ),
        ("json", "[1]", "[1, 2]"),
        ("json", "[1, 2, …]", "[1]"),
        ("json", "{}", "[]"),
        ("json", "{}", "{} and more"),
        ("text", "one\n…\nthree", "one\ntwo"),
        ("text", "one", "one\ntwo"),
        ("csv", "a,…,c", "a,b,d"),
        ("http", "HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found\r\n\r\n"),
        (
            "http",
            "HTTP/1.1 200 OK\nage: 1",
            "HTTP/1.1 200 OK\r\nage: 2\r\n\r\nage: 1",
        ),
        (
            "http",
            "HTTP/1.1 200 OK\n\n[1]",
            "HTTP/1.1 200 OK\r\n\r\n[2]",
        ),
    ] {
        let compared = compare(kind, shown, printed);
        assert!(compared.is_err(), "{shown} is not {printed}");
    }
    for (kind, shown, printed) in [
        ("json", r#"{ "a": "…", … }"#, r#"{ "a": [1], "b": 2 }"#),
        ("json", r#"{ …, "a": … }"#, r#"{ "b": 2, "a": {} }"#),
        (
            "json",
            r#"[{ "a": "x…z\"…" }, …]"#,
            r#"[{ "a": "xyz\"" }, 3, 4]"#,
        ),
        ("json", "[…]", "[]"),
        ("text", "one\n…\nfour", "one\ntwo\nthree\nfour"),
        ("text", "…", ""),
        ("csv", "a,…,c", "a,b,c"),
        (
            "http",
            "HTTP/1.1 200 OK\nlocation: /v1/…\n…\n\n{ \"a\": 1 }",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nx: y\r\nlocation: /v1/7\r\n\r\n{ \"a\": 1, \"b\": 2 }",
        ),
    ] {
        assert_eq!(
            compare(kind, shown, printed),
            Ok(()),
            "{shown} is {printed}"
        );
    }
}

#[tokio::test]
async fn commands_that_fail_or_print_something_unexpected_are_found() {
    let mut shell = Shell::start(Path::new("."), &[("A", "1")]);
    assert_eq!(shell.run("B=$A; echo $B").await, Ok("1\n".to_owned()));
    assert_eq!(shell.run("printf %s $((A + B))").await, Ok("2".to_owned()));
    assert!(shell.run("echo before; false").await.is_err());
    assert!(shell.run("if then").await.is_err());
    assert_eq!(shell.run("cat").await, Ok(String::new()));
    assert!(shell.run("exit 0").await.is_err());
}
