//! The links of the documents: each leads to a file, and to a heading where it names one.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, what cannot be unwrapped is a failure"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The lines of a page that are no code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Where the links of a page lead, but for those to other sites.
fn links(page: &str) -> Vec<&str> {
    let targets = prose(page).flat_map(|line| line.split("](").skip(1));
    targets
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://"))
        .collect()
}

/// What links call the headings of a page: in lower case, with hyphens for spaces and without other marks.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// The links of the page in this file that lead nowhere.
fn broken(file: &Path, page: &str) -> Vec<String> {
    let folder = file.parent().unwrap();
    let is_broken = |link: &str| {
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() {
            file.to_owned()
        } else {
            folder.join(path)
        };
        let has_anchor = || {
            let page = fs::read_to_string(&target).unwrap_or_default();
            anchor.is_empty() || anchors(&page).contains(anchor)
        };
        !(target.exists() && has_anchor())
    };
    let links = links(page).into_iter().filter(|link| is_broken(link));
    links
        .map(|link| format!("{}: {link}", file.display()))
        .collect()
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = vec![
        root.join("README.md"),
        root.join("migrations/README.md"),
        root.join("docs/examples/README.md"),
    ];
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            documents.push(path);
        }
    }
    documents
}

#[test]
fn every_link_leads_somewhere() {
    let mut found = Vec::new();
    for file in documents() {
        found.extend(broken(&file, &fs::read_to_string(&file).unwrap()));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn links_that_lead_nowhere_are_found() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    for bad in [
        "[a](src/no_such.rs)",
        "[a](README.md) and [b](docs/no_such.md)",
        "[a](docs/api.md#no-such-heading)",
        "[a](#no-such-heading)",
    ] {
        assert_eq!(broken(&readme, bad).len(), 1, "{bad}");
    }
    for good in [
        "[a](src/lib.rs), [b](docs), [c](https://no.such.example/)",
        "[a](docs/api.md#errors-of-transcriptions)",
        "```\n[a](src/no_such.rs)\n```",
    ] {
        assert!(broken(&readme, good).is_empty(), "{good}");
    }
}
