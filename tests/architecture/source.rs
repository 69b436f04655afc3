//! A source file, read as tokens.

use std::{collections::BTreeSet, fs, path::Path};

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
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let (c, next) = (chars[at], chars.get(at + 1).copied().unwrap_or(' '));
        at = match c {
            '/' if next == '/' => end_of_line(&chars, at),
            '/' if next == '*' => end_of_comment(&chars, at),
            '"' => end_of_text(&chars, at),
            'r' | 'b' | 'c' if starts_raw(&chars, at) => end_of_raw(&chars, at),
            '\'' => end_of_character(&chars, at),
            ':' if next == ':' => {
                found.push("::".to_owned());
                at + 2
            }
            c if c.is_alphanumeric() || c == '_' => {
                let end = chars[at..]
                    .iter()
                    .position(|c| !c.is_alphanumeric() && *c != '_')
                    .map_or(chars.len(), |length| at + length);
                found.push(chars[at..end].iter().collect());
                end
            }
            c => {
                if !c.is_whitespace() {
                    found.push(c.to_string());
                }
                at + 1
            }
        };
    }
    found
}

fn end_of_line(chars: &[char], at: usize) -> usize {
    let length = chars[at..].iter().position(|c| *c == '\n');
    length.map_or(chars.len(), |length| at + length)
}

/// Comments may stand within comments.
fn end_of_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn end_of_text(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Whether `r"`, `r#"`, `br"` and the like begin here, rather than a name.
fn starts_raw(chars: &[char], at: usize) -> bool {
    let in_name = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    let rest: String = chars[at..].iter().take(20).collect();
    let rest = rest.trim_start_matches(['b', 'c']);
    !in_name
        && rest
            .strip_prefix('r')
            .is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
}

fn end_of_raw(chars: &[char], at: usize) -> usize {
    let quote = at
        + chars[at..]
            .iter()
            .position(|c| *c == '"')
            .unwrap_or_default();
    let hashes = chars[at..quote].iter().filter(|c| **c == '#').count();
    let mut end = quote + 1;
    while end < chars.len() {
        let closes = chars[end] == '"'
            && chars.len() > end + hashes
            && chars[end + 1..=end + hashes].iter().all(|c| *c == '#');
        if closes {
            return end + hashes + 1;
        }
        end += 1;
    }
    end
}

/// A character, or a lifetime, of which only the mark is passed over.
fn end_of_character(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            let end = chars[at + 3..].iter().position(|c| *c == '\'');
            end.map_or(chars.len(), |length| at + 3 + length + 1)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}
