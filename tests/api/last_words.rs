//! What a command says at its end, as whoever gathers the log reads it.

use std::fs;

use serde_json::{Map, Value};

use crate::support::{
    TestApp, command::run_with, eventually, process::Process, spool::SpoolDirectory,
};

/// The message of a line of the log, which has to be a whole object.
fn message(line: &str) -> String {
    let line = serde_json::from_str::<Map<String, Value>>(line).expect(line);
    assert!(line["timestamp"].is_string(), "{line:?}");
    line["message"].as_str().expect("a message").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_log_lines_are_json_the_reason_of_a_failure_is_too() {
    let app = TestApp::start().await;
    let busy = app.replicas[0].address.to_string();
    let nobody = "postgres://gateway@127.0.0.1:9/gateway";
    for (name, value, told) in [
        ("LISTEN_ADDR", busy.as_str(), "LISTEN_ADDR"),
        ("DATABASE_URL", nobody, "127.0.0.1:9"),
    ] {
        let settings = [("LOG_FORMAT", "json"), (name, value)];
        let log = Process::serve(&app, &settings).failure().await;
        let said: Vec<String> = log.iter().map(|line| message(line)).collect();
        let last = said.last().unwrap();
        assert!(last.contains(told) && !last.starts_with("error:"), "{last}");
        assert!(
            log.last().unwrap().contains(r#""level":"ERROR""#),
            "{log:?}"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_log_lines_are_json_what_is_wrong_with_settings_is_one_line_too() {
    let app = TestApp::start().await;
    let json = [("LOG_FORMAT", "json"), ("MAX_IN_FLIGHT", "many")];
    for (arguments, settings, told) in [
        (&["serve"][..], &json[..], "GLADIA_API_KEY"),
        (&["serve", "--nonsense"], &json, "--nonsense"),
        (
            &["serve", "--log-format", "json"],
            &json[1..],
            "MAX_IN_FLIGHT",
        ),
    ] {
        let (succeeded, stdout, stderr) = run_with(&app, arguments, settings).await;
        assert!(!succeeded && stdout.is_empty(), "{stdout}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        let said = message(stderr.trim_end());
        assert!(said.contains(told) && !said.starts_with("error:"), "{said}");
    }
    let (_, _, help) = run_with(&app, &["serve"], &json[1..]).await;
    assert!(
        help.starts_with("error: ") && help.contains("--help"),
        "{help}"
    );
    let (succeeded, help, _) = run_with(&app, &["serve", "--help"], &json).await;
    assert!(succeeded && help.contains("Usage:"), "{help}");
    app.finish().await;
}

/// Whether a line of this level has this text.
fn says(log: &[String], level: &str, text: &str) -> bool {
    let mut lines = log.iter().filter(|line| line.contains(text));
    lines.any(|line| line.split_whitespace().nth(1) == Some(level))
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_that_are_left_on_the_disk_alone_are_an_error_and_so_is_a_disk_that_does_not_say()
{
    let app = TestApp::start().await;
    let left = "Callbacks are left in CALLBACK_SPOOL_DIR and nowhere else: 1";
    let unknown = "CALLBACK_SPOOL_DIR cannot be read";
    for is_gone in [true, false] {
        let directory = SpoolDirectory::new();
        // Listed before the other, and no file that anybody could read.
        fs::create_dir_all(directory.path().join("0.callback")).unwrap();
        fs::write(directory.path().join("1.callback"), "nothing").unwrap();
        let setting = [("CALLBACK_SPOOL_DIR", directory.setting())];
        let mut process = Process::serve(&app, &setting);
        process.address().await;
        eventually("look at both", async || {
            (directory.files("broken").len() == 1).then_some(())
        })
        .await;
        if is_gone {
            fs::remove_dir_all(directory.path()).unwrap();
        }
        process.terminate();
        let log = process.log().await;
        let said = ["cannot read 0.callback; trying again", left, unknown]
            .map(|text| says(&log, "ERROR", text));
        assert_eq!(said, [true, !is_gone, is_gone], "{log:#?}");
    }
    app.finish().await;
}
