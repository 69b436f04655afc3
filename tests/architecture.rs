//! The shape of `src`: which way imports point, where SQL stands, one verb a file, files that can be read in one go.
//!
//! Sources are read as tokens, not compiled: every path that begins with `crate`, `super`, `self` or the package's name
//! counts, in nested `use` groups, in expressions and in attributes alike.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, what cannot be unwrapped is a failure"
)]

#[path = "architecture/json.rs"]
mod json;
#[path = "architecture/log_fields.rs"]
mod log_fields;
#[path = "architecture/migrations.rs"]
mod migrations;
#[path = "architecture/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};

use source::Source;

/// What each top-level module may import of the others. A path with two segments allows that one item.
///
/// `main → cli → app → {http, workers} → {journal, feed} → {db, gladia, notify} → domain`; each may reach any layer below its own.
/// `config`, `telemetry` and `shutdown` stand beside the layers, for whoever assembles them.
const MAY_IMPORT: [(&str, &[&str]); 19] = [
    ("main", &["cli", "telemetry"]),
    (
        "cli",
        &[
            "app",
            "config",
            "db",
            "dev_tools",
            "domain",
            "feed",
            "gladia",
            "http",
            "journal",
            "notify",
            "shutdown",
            "telemetry",
            "trace",
            "workers",
        ],
    ),
    (
        "app",
        &[
            "config",
            "db",
            "domain",
            "feed",
            "gladia",
            "http",
            "journal",
            "notify",
            "shutdown",
            "telemetry",
            "tls",
            "turns",
            "workers",
        ],
    ),
    (
        "http",
        &[
            "crash_points",
            "db",
            "domain",
            "feed",
            "gladia",
            "journal",
            "notify",
            "trace",
            "turns",
        ],
    ),
    (
        "workers",
        &[
            "crash_points",
            "db",
            "domain",
            "feed",
            "gladia",
            "journal",
            "notify",
            "trace",
        ],
    ),
    (
        "journal",
        &["crash_points", "db", "domain", "gladia", "trace"],
    ),
    ("feed", &["db", "domain"]),
    ("db", &["crash_points", "domain", "turns"]),
    ("gladia", &["crash_points", "domain", "tls"]),
    ("notify", &["domain", "tls", "turns"]),
    ("domain", &[]),
    // Settings are parsed into the types of those whom they are for.
    (
        "config",
        &["domain", "gladia", "telemetry", "db::parse_url"],
    ),
    // Below everything, since a process may die anywhere.
    ("crash_points", &[]),
    ("telemetry", &[]),
    // Beside telemetry, for whoever does a part of a job's way.
    ("trace", &["domain"]),
    // Below those who share something among tenants.
    ("turns", &["domain"]),
    ("shutdown", &[]),
    // Beside them, for whoever makes an HTTP client.
    ("tls", &[]),
    ("dev_tools", &["domain", "gladia"]),
];

/// Where SQL may stand besides `db`, and why.
const SQL_ELSEWHERE: [(&str, &str); 4] = [
    (
        "dev_tools/postgres/mod.rs",
        "creates and drops databases, of which the program itself has no notion",
    ),
    (
        "dev_tools/postgres/faults.rs",
        "cuts off whoever is connected, which no part of the program does",
    ),
    (
        "dev_tools/postgres/standby.rs",
        "lets one server take the place of another, of which the program only sees what follows",
    ),
    ("dev_tools/postgres/tests.rs", "looks into those databases"),
];

/// No file is longer.
const MOST_LINES: usize = 420;

/// What handlers do, as the first word of their names.
const VERBS: [&str; 17] = [
    "create", "get", "list", "cancel", "delete", "update", "receive", "replay", "resolve", "retry",
    "validate", "stream", "enable", "disable", "rotate", "test", "dismiss",
];

/// The imports that the table does not allow.
fn forbidden_imports(source: &Source) -> Vec<String> {
    let own = source.top_module();
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == own) else {
        return vec![format!(
            "{}: `{own}` is in no layer; put it into the table",
            source.path
        )];
    };
    let known = |name: &str| MAY_IMPORT.iter().any(|(module, _)| *module == name);
    let mut found = BTreeSet::new();
    for path in &source.paths {
        let (Some(module), item) = (path.first(), path.get(1)) else {
            continue;
        };
        let full = format!("{module}::{}", item.map_or("", String::as_str));
        let fine = *module == own
            || !known(module)
            || allowed.contains(&module.as_str())
            || allowed.contains(&full.as_str());
        if !fine {
            found.insert(format!(
                "{}: `{own}` must not import `{}`",
                source.path,
                path.join("::")
            ));
        }
    }
    found.into_iter().collect()
}

/// Where a file speaks SQL without being allowed to.
fn forbidden_sql(source: &Source) -> Option<String> {
    let allowed = source.path.starts_with("db/")
        || SQL_ELSEWHERE.iter().any(|(path, _)| *path == source.path);
    (source.speaks_sql && !allowed).then(|| format!("{}: SQL stands in `db` alone", source.path))
}

/// Whether a handler holds a connection by itself and leaves it to the pool, which asks Postgres about it: another way there for
/// each request.
fn unreturned_connections(path: &str, text: &str) -> Option<String> {
    let held = text.matches(".conn().await").count();
    let put_back = text.matches(".put_back").count();
    (path.starts_with("http/") && held > put_back)
        .then(|| format!("{path}: use `with_conn`, which puts the connection back"))
}

/// Whether a file is too long to be read in one go.
fn too_long(source: &Source) -> Option<String> {
    (source.lines > MOST_LINES).then(|| format!("{}: {} lines", source.path, source.lines))
}

/// Files under a resource that serve more than one operation, or another than their name says.
fn wrong_handlers(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    let resources = sources
        .iter()
        .filter(|source| source.path.starts_with("http/") && source.path.matches('/').count() == 2)
        .filter(|source| source.path.ends_with("/mod.rs"));
    for resource in resources {
        let mut handlers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (file, handler) in &resource.pairs {
            if resource.children.contains(file) {
                handlers.entry(file).or_default().insert(handler);
            }
        }
        for (file, handlers) in handlers {
            let place = format!("{} → {file}", resource.path);
            if handlers.len() > 1 {
                wrong.push(format!("{place}: one verb a file, not {handlers:?}"));
            }
            for handler in handlers {
                let words: Vec<&str> = handler.split('_').collect();
                if !VERBS.contains(&words[0]) {
                    wrong.push(format!("{place}: `{handler}` begins with no known verb"));
                }
                // The file's words stand in the handler's name, in their order.
                let mut rest = words.iter();
                if !file.split('_').all(|word| rest.any(|other| *other == word)) {
                    wrong.push(format!("{place}: does not tell that it holds `{handler}`"));
                }
            }
        }
    }
    wrong
}

#[track_caller]
fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn imports_point_down() {
    let sources = source::all();
    assert!(
        sources.len() > 100,
        "only {} files were found",
        sources.len()
    );
    let found: Vec<String> = sources.iter().flat_map(forbidden_imports).collect();
    assert_none(&found);
}

#[test]
fn sql_stands_in_db() {
    let found: Vec<String> = source::all().iter().filter_map(forbidden_sql).collect();
    assert_none(&found);
}

#[test]
fn handlers_put_connections_back() {
    let found: Vec<String> = source::texts()
        .iter()
        .filter_map(|(path, text)| unreturned_connections(path, text))
        .collect();
    assert_none(&found);
}

#[test]
fn files_can_be_read_in_one_go() {
    let found: Vec<String> = source::all().iter().filter_map(too_long).collect();
    assert_none(&found);
}

#[test]
fn the_path_of_a_file_tells_its_operation() {
    assert_none(&wrong_handlers(&source::all()));
}

#[test]
fn every_exception_is_still_one() {
    let sources = source::all();
    let find = |path: &str| sources.iter().find(|source| source.path == path);
    for (path, _) in SQL_ELSEWHERE {
        let speaks = find(path).is_some_and(|source| source.speaks_sql);
        assert!(speaks, "{path} needs no exception: it speaks no SQL");
    }
}

// What follows shows that the checks can fail.

#[test]
fn an_import_that_points_up_or_sideways_is_found() {
    for (path, text) in [
        ("domain/job.rs", "use crate::db::jobs;"),
        (
            "db/jobs.rs",
            "use crate::{domain::ids::JobId, gladia::client};",
        ),
        (
            "db/jobs.rs",
            "use crate::{domain::{self, ids::{JobId}}, http::{problem::{Problem}}};",
        ),
        ("gladia/upload.rs", "fn f() { crate::db::ping(); }"),
        ("http/wait.rs", "use super::super::workers;"),
        ("http/uploads/mod.rs", "use super::super::workers::submit;"),
        (
            "http/uploads/create.rs",
            "fn f() { super::super::super::app::serve(); }",
        ),
        (
            "workers/submit.rs",
            "mod inner { use super::super::super::http; }",
        ),
        ("workers/mod.rs", "use crate::http;"),
        ("config/mod.rs", "use crate::db;"),
        ("config/mod.rs", "use crate::db::{connect};"),
        ("shutdown.rs", "use crate::telemetry;"),
        ("dev_tools/simulator/mod.rs", "use crate::db::MIGRATOR;"),
        (
            "http/mod.rs",
            "#[cfg(test)] mod tests { use crate::dev_tools::postgres; }",
        ),
        ("app.rs", "use crate::dev_tools::simulator::Simulator;"),
        ("main.rs", "use gladia_gateway::db;"),
        ("extra/mod.rs", ""),
    ] {
        let found = forbidden_imports(&Source::parse(path, text));
        assert_eq!(found.len(), 1, "{path}: {text}: {found:?}");
    }
}

#[test]
fn what_is_allowed_or_is_no_import_is_not_found() {
    for (path, text) in [
        (
            "http/uploads/create.rs",
            "use crate::{db::{self, uploads}, domain::ids, gladia::client};",
        ),
        (
            "http/uploads/create.rs",
            "use super::super::{body, problem}; use super::create; use self::x::db;",
        ),
        ("config/values.rs", "fn f() { crate::db::parse_url(text); }"),
        ("cli/demo/mod.rs", "use crate::{app, dev_tools::simulator};"),
        (
            "db/mod.rs",
            "// use crate::http;\n/* crate::http */ const A: &str = \"crate::http\";",
        ),
        (
            "db/mod.rs",
            "const A: &str = r#\"say \"crate::http\" \"#; const B: char = '\"'; fn f<'a>() {}",
        ),
        (
            "domain/mod.rs",
            "pub mod db; use std::http; use db::x; struct A { http: u8 }",
        ),
        (
            "dev_tools/simulator/api/mod.rs",
            "pub(in crate::dev_tools::simulator) fn f() {}",
        ),
    ] {
        assert_none(&forbidden_imports(&Source::parse(path, text)));
    }
}

#[test]
fn sql_in_another_place_is_found() {
    for text in [
        "fn f() { sqlx::query!(\"SELECT 1\"); }",
        "fn f() { sqlx::query_as::<_, Row>(text); }",
        "use sqlx::{PgPool, query_scalar};",
        "fn f() { sqlx::raw_sql(text); }",
    ] {
        assert!(
            forbidden_sql(&Source::parse("http/request/body.rs", text)).is_some(),
            "{text}"
        );
        assert!(
            forbidden_sql(&Source::parse("db/body.rs", text)).is_none(),
            "{text}"
        );
    }
    let innocent = "use sqlx::{PgConnection, PgPool}; // sqlx::query!";
    assert!(forbidden_sql(&Source::parse("http/request/body.rs", innocent)).is_none());
}

#[test]
fn a_connection_that_is_not_put_back_is_found() {
    let held = "let mut conn = state.conn().await?;";
    assert!(unreturned_connections("http/jobs/get.rs", held).is_some());
    let put_back = format!("{held} conn.put_back();");
    assert!(unreturned_connections("http/jobs/get.rs", &put_back).is_none());
    assert!(unreturned_connections("http/jobs/get.rs", "state.with_conn(work).await").is_none());
}

#[test]
fn a_file_that_is_too_long_is_found() {
    let text = "\n".repeat(MOST_LINES);
    assert!(too_long(&Source::parse("db/jobs.rs", &text)).is_none());
    assert!(too_long(&Source::parse("db/jobs.rs", &format!("{text}\n"))).is_some());
}

#[test]
fn a_second_verb_in_a_file_or_a_name_that_does_not_tell_is_found() {
    let resource = |routes: &str| {
        let text = format!("pub mod create; mod get_result; fn router() {{ {routes} }}");
        vec![Source::parse("http/things/mod.rs", &text)]
    };
    let good = "routes!(create::create_thing).route(\"/\", get(get_result::get_thing_result))";
    assert_none(&wrong_handlers(&resource(good)));
    for bad in [
        "routes!(create::create_thing, create::delete_thing)",
        "routes!(create::list_things)",
        "routes!(get_result::get_thing)",
        "routes!(create::thing_create)",
    ] {
        assert!(!wrong_handlers(&resource(bad)).is_empty(), "{bad}");
    }
}

/// The tests that a text names as `module::test`, or a module of them by its name alone.
fn named_tests(text: &str) -> Vec<(&str, &str)> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split_once("::"))
        .filter(|(_, test)| test.len() > 12 && test.contains('_'))
        .collect()
}

#[test]
fn every_test_that_is_named_as_evidence_is_there() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let journal = std::fs::read_to_string("src/journal/mod.rs").unwrap();
    let mut named = named_tests(&readme);
    named.extend(named_tests(&journal));
    assert!(named.len() > 40, "only {} tests are named", named.len());
    let missing: Vec<_> = named
        .into_iter()
        .filter(|(module, test)| {
            let path = format!("tests/api/{module}.rs");
            let source = std::fs::read_to_string(path).unwrap_or_default();
            !source.contains(&format!("fn {test}("))
        })
        .map(|(module, test)| format!("{module}::{test}"))
        .collect();
    assert_none(&missing);
}
