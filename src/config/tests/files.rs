//! Settings that stand in files of their own.

use std::{collections::HashMap, fs, io::Write};

use clap::{Args, Command};
use secrecy::ExposeSecret;

use super::{ServeSettings, refusal, serve, with};

/// A file in the system's temporary directory that goes with the value.
struct SecretFile(std::path::PathBuf);

impl SecretFile {
    fn holding(name: &str, content: &str) -> Self {
        let name = format!("gladia-gateway-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::File::create(&path)
            .unwrap()
            .write_all(content.as_bytes())
            .unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

#[test]
fn a_secret_may_stand_in_a_file() {
    let file = SecretFile::holding("key", "from-a-file\n");
    let environment = with(&[("GLADIA_API_KEY", ""), ("GLADIA_API_KEY_FILE", file.path())]);
    let settings = serve(&environment, &[]).unwrap();
    assert_eq!(
        settings.gladia.gladia_api_key.expose_secret(),
        "from-a-file"
    );

    // The environment's file beats the value in `.env`.
    let dotenv = HashMap::from([("GLADIA_API_KEY".to_owned(), "from-dotenv".to_owned())]);
    let settings = serve(&environment.then(dotenv), &[]).unwrap();
    assert_eq!(
        settings.gladia.gladia_api_key.expose_secret(),
        "from-a-file"
    );
}

#[test]
fn a_file_that_does_not_help_is_named() {
    let missing = refusal(
        &with(&[
            ("CALLBACK_KEYS", ""),
            ("CALLBACK_KEYS_FILE", "/nowhere/keys"),
        ]),
        &[],
    );
    let told = "CALLBACK_KEYS (or --callback-keys) cannot be read from CALLBACK_KEYS_FILE=/nowhere/keys: No such file";
    assert!(missing.contains(told), "{missing}");

    let file = SecretFile::holding("empty", "\n");
    let empty = refusal(
        &with(&[("PUBLIC_URL", ""), ("PUBLIC_URL_FILE", file.path())]),
        &[],
    );
    assert!(empty.contains("the file is empty"), "{empty}");

    let wrong = SecretFile::holding("wrong", "hunter2 hunter2");
    let environment = with(&[
        ("GLADIA_API_KEY", ""),
        ("GLADIA_API_KEY_FILE", wrong.path()),
    ]);
    let message = refusal(&environment, &[]);
    assert!(
        message.contains("GLADIA_API_KEY") && !message.contains("hunter2"),
        "{message}"
    );
}

#[test]
fn a_value_and_a_file_together_are_refused() {
    let message = refusal(&with(&[("GLADIA_API_KEY_FILE", "/run/secrets/key")]), &[]);
    let told = "GLADIA_API_KEY (or --gladia-api-key) is given twice, by GLADIA_API_KEY and by GLADIA_API_KEY_FILE: \
                remove one of them";
    assert!(message.contains(told), "{message}");
}

#[test]
fn the_example_and_the_documentation_list_every_setting() {
    let command = ServeSettings::augment_args(Command::new("serve"));
    let names = command
        .get_arguments()
        .filter_map(|argument| argument.get_env());
    let names: Vec<_> = names
        .map(|name| name.to_str().unwrap().to_owned())
        .collect();
    assert!(names.len() > 40, "{names:?}");
    let example = fs::read_to_string(".env.example").unwrap();
    let documented = fs::read_to_string("docs/settings.md").unwrap();
    let readme = fs::read_to_string("README.md").unwrap();
    let stands_in_example = |name: &str| {
        let lines = example.lines().map(|line| line.trim_start_matches("# "));
        lines
            .clone()
            .any(|line| line.starts_with(&format!("{name}=")))
    };
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !stands_in_example(name) || !documented.contains(&format!("| `{name}` |")))
        .collect();
    assert_eq!(missing, Vec::<&String>::new());
    // What the README shows of them is the same.
    let shown: Vec<_> = readme
        .lines()
        .filter(|line| {
            names
                .iter()
                .any(|name| line.starts_with(&format!("| `{name}` |")))
        })
        .collect();
    assert!(shown.len() > 8, "{shown:?}");
    for line in shown {
        let same = line.replace("](docs/", "](");
        assert!(documented.lines().any(|row| row == same), "{line}");
    }
}

#[test]
fn what_the_example_leaves_out_shows_its_default() {
    let command = ServeSettings::augment_args(Command::new("serve"));
    let example = fs::read_to_string(".env.example").unwrap();
    let mut compared = 0;
    for argument in command.get_arguments() {
        let defaults: Vec<_> = argument
            .get_default_values()
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        let (Some(name), false) = (argument.get_env(), defaults.is_empty()) else {
            continue;
        };
        let line = format!("# {}={}", name.to_str().unwrap(), defaults.join(","));
        assert!(example.lines().any(|shown| shown == line), "no {line}");
        compared += 1;
    }
    assert!(compared > 30, "{compared}");
}
