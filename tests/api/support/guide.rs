//! A guide whose examples run: blocks of shell commands on a page of Markdown, each with the answer that it shows.
//!
//! A block marked `sh` is run by bash, in the order of the page and in one shell, so that what one sets the next one has. The
//! first block of another kind below it, if it comes before the next heading, is the answer: `json`, `csv`, `text`, or `http`
//! for what `curl -i` prints. `…` stands for anything: in a text for the rest of a line or for whole lines, in JSON for a
//! value, for part of a string, for further fields and for further items. JSON has to hold what is shown, and may hold more.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};
use uuid::Uuid;

use super::{BOUND, receiver::Receiver};

const ANYTHING: &str = "…";

/// The kinds of blocks that show an answer.
const ANSWERS: [&str; 4] = ["json", "csv", "text", "http"];

/// Commands, and what they print.
#[derive(Debug)]
pub struct Example {
    /// Where the commands begin.
    pub line: usize,
    pub commands: String,
    /// The kind of the answer, and the answer.
    pub shown: Option<(String, String)>,
}

/// The examples of a page, in their order.
pub fn examples(page: &str) -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    // Whether an answer that comes now belongs to the last commands.
    let mut awaits_answer = false;
    let mut lines = page.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line.starts_with('#') {
            awaits_answer = false;
        }
        let Some(kind) = line.strip_prefix("```") else {
            continue;
        };
        let block: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .collect();
        let block = block.join("\n");
        if kind == "sh" {
            found.push(Example {
                line: index + 2,
                commands: block,
                shown: None,
            });
            awaits_answer = true;
        } else {
            assert!(
                ANSWERS.contains(&kind),
                "line {}: blocks are sh or one of {ANSWERS:?}, not {kind:?}",
                index + 1
            );
            if std::mem::take(&mut awaits_answer)
                && let Some(example) = found.last_mut()
            {
                example.shown = Some((kind.to_owned(), block));
            }
        }
    }
    found
}

/// The rows of the first table below a heading, without its head, cell by cell and without the backticks.
pub fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let rows: Vec<Vec<String>> = page
        .lines()
        .skip_while(|line| line.trim_start_matches('#').trim() != heading || !line.starts_with('#'))
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells
                .map(|cell| cell.trim().trim_matches('`').to_owned())
                .collect()
        })
        .collect();
    assert!(!rows.is_empty(), "there is no table below {heading:?}");
    rows
}

/// Compares what was printed with what is shown.
///
/// # Errors
/// Says where they differ.
pub fn compare(kind: &str, shown: &str, printed: &str) -> Result<(), String> {
    match kind {
        "json" => compare_json(shown, printed),
        "http" => compare_http(shown, printed),
        _ => compare_lines(shown, printed),
    }
}

fn compare_lines(shown: &str, printed: &str) -> Result<(), String> {
    let shown: Vec<&str> = shown.lines().collect();
    let printed: Vec<&str> = printed.lines().collect();
    if lines_match(&shown, &printed) {
        Ok(())
    } else {
        Err("the lines differ".to_owned())
    }
}

fn lines_match(shown: &[&str], printed: &[&str]) -> bool {
    match shown {
        [] => printed.is_empty(),
        [line, rest @ ..] if line.trim() == ANYTHING => {
            (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..]))
        }
        [line, rest @ ..] => match printed {
            [found, others @ ..] => text_matches(line, found) && lines_match(rest, others),
            [] => false,
        },
    }
}

/// Whether a text is what is shown, `…` being anything.
fn text_matches(shown: &str, text: &str) -> bool {
    match shown.split_once(ANYTHING) {
        None => shown == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            text.char_indices()
                .map(|(index, _)| index)
                .chain([text.len()])
                .any(|index| text_matches(rest, &text[index..]))
        }),
    }
}

/// Status line and headers in any order, then the body.
fn compare_http(shown: &str, printed: &str) -> Result<(), String> {
    let printed = printed.replace("\r\n", "\n");
    let mut printed = printed.as_str();
    // Leave to go on, which curl asks for before it sends a file.
    while printed.starts_with("HTTP/1.1 100") {
        printed = printed.split_once("\n\n").map_or("", |(_, rest)| rest);
    }
    let (head, body) = printed.split_once("\n\n").unwrap_or((printed, ""));
    let (shown_head, shown_body) = shown.split_once("\n\n").unwrap_or((shown, ""));
    for (index, line) in shown_head.lines().enumerate() {
        let found = if index == 0 {
            head.lines()
                .next()
                .is_some_and(|found| text_matches(line, found))
        } else {
            head.lines().skip(1).any(|found| text_matches(line, found))
        };
        if !found && line.trim() != ANYTHING {
            return Err(format!("there is no {line:?} in its head"));
        }
    }
    match shown_body.trim_start().chars().next() {
        None => Ok(()),
        Some('{' | '[') => compare_json(shown_body, body),
        Some(_) => compare_lines(shown_body, body),
    }
}

fn compare_json(shown: &str, printed: &str) -> Result<(), String> {
    let shown: Value = serde_json::from_str(&with_anything_quoted(shown))
        .map_err(|error| format!("what is shown is no JSON: {error}"))?;
    let printed: Value =
        serde_json::from_str(printed).map_err(|error| format!("no JSON: {error}"))?;
    value_matches(&shown, &printed, "")
}

/// JSON in which each `…` outside of a string has become a field or a value.
fn with_anything_quoted(text: &str) -> String {
    let mut written = String::new();
    let (mut in_string, mut is_escaped) = (false, false);
    let mut open = Vec::new();
    let mut before = ' ';
    for c in text.chars() {
        if in_string {
            written.push(c);
            in_string = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            continue;
        }
        match c {
            '…' if open.last() == Some(&'{') && before != ':' => written.push_str("\"…\":\"…\""),
            '…' => written.push_str("\"…\""),
            _ => written.push(c),
        }
        match c {
            '"' => in_string = true,
            '{' | '[' => open.push(c),
            '}' | ']' => drop(open.pop()),
            _ => {}
        }
        if !c.is_whitespace() {
            before = c;
        }
    }
    written
}

fn value_matches(shown: &Value, found: &Value, pointer: &str) -> Result<(), String> {
    let differs = || Err(format!("{pointer}: {shown} is shown, {found} came"));
    match (shown, found) {
        (Value::String(text), _) if text == ANYTHING => Ok(()),
        (Value::String(text), Value::String(found)) if text_matches(text, found) => Ok(()),
        (Value::Object(fields), Value::Object(others)) => {
            for (name, value) in fields.iter().filter(|(name, _)| *name != ANYTHING) {
                let pointer = format!("{pointer}/{name}");
                match others.get(name) {
                    Some(found) => value_matches(value, found, &pointer)?,
                    None => return Err(format!("{pointer} is shown and did not come")),
                }
            }
            Ok(())
        }
        (Value::Array(items), Value::Array(others)) => {
            let (items, may_go_on) = match items.split_last() {
                Some((Value::String(last), rest)) if last == ANYTHING => (rest, true),
                _ => (items.as_slice(), false),
            };
            if items.len() > others.len() || (items.len() < others.len() && !may_go_on) {
                return differs();
            }
            for (index, (item, other)) in items.iter().zip(others).enumerate() {
                value_matches(item, other, &format!("{pointer}/{index}"))?;
            }
            Ok(())
        }
        _ if shown == found => Ok(()),
        _ => differs(),
    }
}

/// Keeps what a receiver is sent, for the examples to look at: the headers of each request, in the order of their names, and its
/// body, in files that are called after its `webhook-id`.
pub async fn keep_what_comes(receiver: Receiver, folder: PathBuf) {
    fs::create_dir_all(&folder).unwrap();
    let mut kept = 0;
    loop {
        for request in receiver.received().into_iter().skip(kept) {
            let mut headers: Vec<String> = request
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
                .collect();
            headers.sort();
            let file = |kind: &str| folder.join(format!("{}.{kind}", request.id()));
            fs::write(file("headers"), headers.concat()).unwrap();
            // Whoever waits for this one finds the other, and never half of it.
            fs::write(file("part"), &request.body).unwrap();
            fs::rename(file("part"), file("json")).unwrap();
            kept += 1;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A bash that keeps what its commands set.
pub struct Shell {
    /// Ends with the test.
    _child: Child,
    commands: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    /// Starts it in a directory, with these variables alone.
    pub fn start(directory: &Path, variables: &[(&str, &str)]) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(directory)
            .env_clear()
            .env("PATH", path)
            // curl takes its settings from there.
            .env("CURL_HOME", directory)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("bash is there");
        Self {
            commands: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            _child: child,
        }
    }

    /// Runs commands, and gives what they print.
    ///
    /// # Errors
    /// Where the last of them fails, or the shell ends or hangs.
    pub async fn run(&mut self, commands: &str) -> Result<String, String> {
        let mark = Uuid::now_v7();
        let script = format!(
            "block=$(cat <<'{mark}'\n{commands}\n{mark}\n)\neval \"$block\" </dev/null 2>&1\nprintf '\\n%s %s\\n' '{mark}' \"$?\"\n"
        );
        let reading = async {
            self.commands.write_all(script.as_bytes()).await?;
            let mut printed = Vec::new();
            loop {
                let mut line = Vec::new();
                if self.output.read_until(b'\n', &mut line).await? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                if line.starts_with(mark.to_string().as_bytes()) {
                    return Ok((printed, line));
                }
                printed.extend(line);
            }
        };
        let (mut printed, last) = tokio::time::timeout(BOUND, reading)
            .await
            .map_err(|_| format!("no end within {BOUND:?}"))?
            .map_err(|error: std::io::Error| format!("the shell is gone: {error}"))?;
        // The line break before the mark.
        printed.pop();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        // What a test shows of it is for terminals.
        let printed = printed.replace(|c: char| c.is_control() && !"\r\n\t".contains(c), "�");
        if last.ends_with(b" 0\n") {
            Ok(printed)
        } else {
            Err(format!("the last command failed\n{printed}"))
        }
    }
}
