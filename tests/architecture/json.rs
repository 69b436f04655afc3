//! JSON of others is read as any value by `domain::plain_json` alone, which says why.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

use super::{assert_none, source};

/// Where types hold any values without it, and why.
const ELSEWHERE: [(&str, &str); 3] = [
    (
        "domain/transcript/",
        "only tests read anything into these types",
    ),
    (
        "cli/chaos/",
        "a run reads what it has made up itself, and nobody else's",
    ),
    (
        "dev_tools/simulator/script.rs",
        "whoever starts a simulator writes its script",
    ),
];

/// The reads of a file that do not say what they read, or read any value.
fn wrong_reads(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, _) in text.match_indices("serde_json::from_") {
        let call = &text[at..text.len().min(at + 120)];
        let call = call.split('(').next().unwrap_or_default();
        match call.split_once("::<") {
            Some((_, read)) if !words(read).any(|word| ["Value", "Map"].contains(&word)) => {}
            Some(_) => wrong.push(format!("{path}: `{call}`: read it by `plain_json`")),
            None => wrong.push(format!("{path}: `{call}`: say what is read, as `::<T>`")),
        }
    }
    let imports = text
        .lines()
        .filter(|line| line.starts_with("use serde_json"));
    let imports = imports.filter(|line| line.contains("from_"));
    wrong.extend(imports.map(|line| format!("{path}: `{line}`: call it with its path")));
    wrong
}

/// The fields of types that are read which hold any value, and do not read it by `plain_json`.
fn wrong_fields(path: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    // Those that stand above a line.
    let mut attributes = String::new();
    // How deep it is within a type that is read.
    let mut depth = 0;
    for line in text.lines().map(str::trim) {
        let is_open = attributes.matches('[').count() > attributes.matches(']').count();
        if is_open || line.starts_with("#[") {
            attributes.push_str(line);
            continue;
        }
        if line.is_empty() || line.starts_with("//") {
            continue;
        }
        let begins = words(line).any(|word| ["struct", "enum"].contains(&word))
            && attributes.contains("Deserialize");
        let is_plain = attributes.contains("deserialize_with = \"plain_json::");
        if (begins || depth > 0) && words(line).any(|word| word == "Value") && !is_plain {
            wrong.push(format!("{path}: `{line}`: read it by `plain_json`"));
        }
        if begins || depth > 0 {
            depth += line.matches('{').count();
            depth -= line.matches('}').count().min(depth);
        }
        attributes.clear();
    }
    wrong
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

/// The files of `src` without their tests.
fn without_tests() -> Vec<(String, String)> {
    const TESTS: &str = "#[cfg(test)]\n";
    let mut texts = source::texts();
    let mut modules = Vec::new();
    for (path, text) in &texts {
        let module = path.strip_suffix(".rs").unwrap_or(path);
        let module = module.strip_suffix("/mod").unwrap_or(module);
        for (at, _) in text.match_indices(TESTS) {
            let declared = text[at + TESTS.len()..].lines().next().unwrap_or_default();
            let name = declared.split_once("mod ").map(|(_, name)| name);
            if let Some(name) = name.and_then(|name| name.strip_suffix(';')) {
                modules.push(format!("{module}/{name}"));
            }
        }
    }
    texts.retain(|(path, _)| {
        let of_tests = |name: &String| path.strip_prefix(name.as_str());
        let mut rests = modules.iter().filter_map(of_tests);
        !rests.any(|rest| rest == ".rs" || rest.starts_with('/'))
    });
    for (_, text) in &mut texts {
        if let Some(at) = text.find(&format!("{TESTS}mod tests {{")) {
            text.truncate(at);
        }
    }
    texts
}

#[test]
fn any_value_is_read_as_it_stands_there() {
    let texts = without_tests();
    assert!(texts.len() > 100, "only {} files were found", texts.len());
    let reads = texts
        .iter()
        .flat_map(|(path, text)| wrong_reads(path, text));
    assert_none(&reads.collect::<Vec<_>>());
    let (mut wrong, mut elsewhere) = (Vec::new(), BTreeSet::new());
    for (path, text) in &texts {
        let mut exceptions = ELSEWHERE.iter().map(|(place, _)| *place);
        let exception = exceptions.find(|place| path.starts_with(place));
        let found = wrong_fields(path, text);
        match exception {
            None => wrong.extend(found),
            Some(place) if !found.is_empty() => {
                elsewhere.insert(place);
            }
            Some(_) => {}
        }
    }
    assert_none(&wrong);
    assert_eq!(
        elsewhere.len(),
        ELSEWHERE.len(),
        "only {elsewhere:?} need it"
    );
}

/// As text, what cannot be read is one row's matter. As JSON, `sqlx` would read it as any value, and all rows fail with it.
#[test]
fn json_comes_out_of_the_database_as_text() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let mut found = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let query = serde_json::from_slice::<Value>(&fs::read(&path).unwrap()).unwrap();
        for column in query["describe"]["columns"].as_array().unwrap() {
            found += 1;
            if ["Json", "Jsonb"]
                .map(Value::from)
                .contains(&column["type_info"])
            {
                wrong.push(format!("{}: {}", column["name"], query["query"]));
            }
        }
    }
    assert!(found > 100, "only {found} columns were found");
    assert_none(&wrong);
}

// What follows shows that the checks can fail.

#[test]
fn a_read_of_any_value_is_found() {
    for wrong in [
        "let a: Value = serde_json::from_str(text)?;",
        "serde_json::from_slice::<Value>(bytes)",
        "serde_json::from_reader::<_, Map<String, Value>>(reader)",
        "serde_json::from_value::<Option<Value>>(value)",
        "use serde_json::{Value, from_str};",
    ] {
        assert_eq!(wrong_reads("a.rs", wrong).len(), 1, "{wrong}");
    }
    for right in [
        "serde_json::from_str::<Wire<'_>>(text)",
        "serde_json::from_slice::<BTreeMap<String, &RawValue>>(bytes)",
        "plain_json::from_str(text)",
        "use serde_json::{Map, Value};",
    ] {
        assert_none(&wrong_reads("a.rs", right));
    }
}

#[test]
fn a_field_of_any_value_is_found() {
    let holder = |derived: &str, above: &str, field: &str| {
        format!(
            "#[derive(Debug, {derived})]\npub struct A {{\n    a: u8,\n    {above}\n    {field}\n}}\n"
        )
    };
    let plain = "#[serde(\n    default,\n    deserialize_with = \"plain_json::value\"\n)]";
    for field in [
        "pub a: Value,",
        "a: Option<Map<String, Value>>,",
        "B { a: Value },",
    ] {
        let wrong = wrong_fields("a.rs", &holder("Deserialize", "#[serde(default)]", field));
        assert_eq!(wrong.len(), 1, "{field}: {wrong:?}");
        assert_none(&wrong_fields("a.rs", &holder("Serialize", "", field)));
        assert_none(&wrong_fields("a.rs", &holder("Deserialize", plain, field)));
    }
    assert_none(&wrong_fields(
        "a.rs",
        &holder(
            "Deserialize",
            "#[schema(value_type = Value)]",
            "a: Box<RawValue>,",
        ),
    ));
    let tuple = "#[derive(Deserialize)]\nstruct A(Value);\nfn f(value: Value) {}";
    assert_eq!(wrong_fields("a.rs", tuple).len(), 1);
}
