//! A source file, read as tokens.

use std::{collections::BTreeSet, fs, path::Path};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// What the checks look at in a file.
#[derive(Debug, Default)]
pub struct Source {
    /// Below `src`.
    pub path: String,
    pub lines: usize,
    /// Every path into this package, from its root.
    pub paths: Vec<Vec<String>>,
    /// Whether it calls one of sqlx's ways to say SQL.
    pub speaks_sql: bool,
    /// The modules that it declares.
    pub children: BTreeSet<String>,
    /// Every `a::b` of two plain names.
    pub pairs: BTreeSet<(String, String)>,
}

/// Every file of `src`.
pub fn all() -> Vec<Source> {
    let texts = texts();
    let parsed = texts.iter().map(|(path, text)| Source::parse(path, text));
    parsed.collect()
}

/// Every file of `src` as it stands there, by its path below.
pub fn texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &root, &mut found);
    found.sort();
    found
}

fn walk(root: &Path, directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            found.push((name.replace('\\', "/"), text));
        }
    }
}

impl Source {
    /// Reads a file that stands at `path` below `src`.
    pub fn parse(path: &str, text: &str) -> Self {
        let mut reader = Reader {
            tokens: tokens(text),
            at: 0,
            module: module_of(path),
            depth: 0,
            inline: Vec::new(),
            source: Self {
                path: path.to_owned(),
                lines: text.lines().count(),
                ..Self::default()
            },
        };
        reader.read();
        reader.source
    }

    /// The part of the program that the file belongs to: its top-level module, or `main`.
    pub fn top_module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        match first.strip_suffix(".rs").unwrap_or(first) {
            // The root declares the layers and imports none.
            "lib" => "main",
            module => module,
        }
    }
}

/// The module that a file is.
fn module_of(path: &str) -> Vec<String> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|name| name == "mod") || matches!(path, "main" | "lib") {
        module.pop();
    }
    module
}

/// Walks over the tokens of a file, and knows in which module it is.
struct Reader {
    tokens: Vec<String>,
    at: usize,
    module: Vec<String>,
    depth: usize,
    /// Inline modules, with the depth of braces at which each ends.
    inline: Vec<usize>,
    source: Source,
}

impl Reader {
    fn token(&self, offset: usize) -> &str {
        self.tokens.get(self.at + offset).map_or("", String::as_str)
    }

    fn read(&mut self) {
        while self.at < self.tokens.len() {
            match self.token(0) {
                "{" => self.depth += 1,
                "}" => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.inline.last() == Some(&self.depth) {
                        self.inline.pop();
                        self.module.pop();
                    }
                }
                "mod" if self.token(2) == ";" => {
                    self.source.children.insert(self.token(1).to_owned());
                }
                "mod" if self.token(2) == "{" => {
                    self.module.push(self.token(1).to_owned());
                    self.inline.push(self.depth);
                }
                "use" => {
                    self.at += 1;
                    self.read_tree(&[]);
                    continue;
                }
                token if is_name(token) && self.token(1) == "::" => {
                    let mut path = Vec::new();
                    self.read_segments(&mut path);
                    if let [one, two] = path.as_slice() {
                        self.source.pairs.insert((one.clone(), two.clone()));
                    }
                    self.note(&path);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// Reads `a::b::c` as far as it goes.
    fn read_segments(&mut self, path: &mut Vec<String>) {
        while is_name(self.token(0)) {
            path.push(self.token(0).to_owned());
            self.at += 1;
            if self.token(0) != "::" {
                return;
            }
            self.at += 1;
        }
    }

    /// Reads what stands behind `use`, group within group.
    fn read_tree(&mut self, prefix: &[String]) {
        let mut path = prefix.to_vec();
        if self.token(0) == "::" {
            self.at += 1;
        }
        self.read_segments(&mut path);
        if self.token(0) == "{" {
            self.at += 1;
            while !matches!(self.token(0), "}" | "") {
                self.read_tree(&path);
                if self.token(0) == "," {
                    self.at += 1;
                }
            }
            self.at += 1;
        } else {
            if path.last().is_some_and(|name| name == "self") && path.len() > 1 {
                path.pop();
            }
            self.note(&path);
        }
        // A new name, or a star, up to the end of this branch.
        while !matches!(self.token(0), "," | "}" | ";" | "") {
            self.at += 1;
        }
    }

    /// Keeps a path, from the root of the package.
    fn note(&mut self, path: &[String]) {
        let says_sql = |name: &String| name.starts_with("query") || name == "raw_sql";
        if path.first().is_some_and(|name| name == "sqlx") && path.get(1).is_some_and(says_sql) {
            self.source.speaks_sql = true;
        }
        let mut rest = path;
        let mut absolute = match path.first().map(String::as_str) {
            Some("crate" | "gladia_gateway") => {
                rest = &path[1..];
                Vec::new()
            }
            Some("self" | "super") => self.module.clone(),
            _ => return,
        };
        while let Some(step @ ("self" | "super")) = rest.first().map(String::as_str) {
            if step == "super" {
                absolute.pop();
            }
            rest = &rest[1..];
        }
        absolute.extend_from_slice(rest);
        self.source.paths.push(absolute);
    }
}

fn is_name(token: &str) -> bool {
    token
        .chars()
        .next()
        .is_some_and(|c| c.is_alphabetic() || c == '_')
}

/// Names, `::`, and single characters; neither comments nor literals nor spaces.
pub fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    flatten(text.parse().unwrap(), &mut found);
    found
}

fn flatten(stream: TokenStream, found: &mut Vec<String>) {
    let mut is_behind_colon = false;
    for tree in stream {
        match tree {
            TokenTree::Group(group) => {
                let (begin, end) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => unreachable!("no text has it"),
                };
                found.push(begin.to_owned());
                flatten(group.stream(), found);
                found.push(end.to_owned());
            }
            TokenTree::Ident(name) => found.push(name.to_string()),
            TokenTree::Punct(mark) => {
                let is_colon = mark.as_char() == ':';
                match found.last_mut() {
                    Some(colon) if is_colon && is_behind_colon => colon.push(':'),
                    _ => found.push(mark.to_string()),
                }
                is_behind_colon = is_colon && mark.spacing() == Spacing::Joint;
            }
            TokenTree::Literal(_) => {}
        }
    }
}
