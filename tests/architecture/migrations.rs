//! Migrations that let the gateway go on while they run (`migrations/README.md`). The first ones were made before anything ran.

use std::{collections::BTreeSet, fs};

/// The first one that is applied to a gateway at work.
const FIRST: &str = "0015";

/// The name and the statements of each migration that is applied to a gateway at work.
fn migrations() -> Vec<(String, Vec<String>)> {
    let mut found = all_migrations();
    found.retain(|(name, _)| name.as_str() >= FIRST);
    found
}

/// Each migration's name and its statements, without comments.
fn all_migrations() -> Vec<(String, Vec<String>)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"))
            .collect::<Vec<_>>()
            .join(" ");
        let statements = code.split(';').map(|one| one.trim().to_owned()).collect();
        found.push((name, statements));
    }
    assert!(!found.is_empty());
    found
}

/// The table that a statement changes under a lock that keeps everybody else out. Settings keep nobody out but a vacuum,
/// which gives way.
fn altered(statement: &str) -> Option<&str> {
    let table = statement.strip_prefix("ALTER TABLE ")?.split(' ').next();
    table.filter(|_| !statement.contains("VALIDATE CONSTRAINT") && !statement.contains(" SET ("))
}

/// The names of foreign keys that a statement gives them. The others' end in `_fkey`.
fn named_foreign_keys(statement: &str) -> Vec<String> {
    let named = statement.split("CONSTRAINT ").skip(1);
    named
        .filter_map(|one| one.trim().split_once(" FOREIGN KEY"))
        .map(|(name, _)| name.to_owned())
        .filter(|name| !name.contains(' '))
        .collect()
}

#[test]
fn a_migration_holds_one_table_at_a_time() {
    for (name, statements) in migrations() {
        let tables: BTreeSet<&str> = statements.iter().filter_map(|one| altered(one)).collect();
        assert!(tables.len() <= 1, "{name} alters {tables:?}");
    }
}

#[test]
fn a_migration_does_not_wait_for_a_lock_while_everybody_waits_for_it() {
    for (name, statements) in migrations() {
        let locks = statements.iter().any(|one| {
            altered(one).is_some()
                || one.contains("REFERENCES ")
                || one.starts_with("CREATE TRIGGER ")
        });
        let bounded = statements[0].starts_with("SET LOCAL lock_timeout = ");
        assert!(bounded || !locks, "{name} sets no lock_timeout");
    }
}

#[test]
fn a_migration_that_drops_a_foreign_key_gives_way_before_anybody_else_has_to() {
    let foreign_keys: Vec<String> = all_migrations()
        .into_iter()
        .flat_map(|(_, statements)| statements)
        .flat_map(|statement| named_foreign_keys(&statement))
        .collect();
    for (name, statements) in migrations() {
        let drops = statements.iter().any(|one| {
            let dropped = one.split("DROP CONSTRAINT ").nth(1).map(str::trim);
            dropped.is_some_and(|key| {
                key.ends_with("_fkey") || foreign_keys.iter().any(|named| named == key)
            })
        });
        // Postgres looks for a deadlock after a second.
        let gives_way = statements[0].starts_with("SET LOCAL lock_timeout = '300ms'");
        assert!(gives_way || !drops, "{name} holds two tables for too long");
    }
}
