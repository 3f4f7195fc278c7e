//! Whoever writes a driver learns the libraries from their examples: each public item has one, or says at which other item it
//! is shown, and is. Without this, the next function that is added has none, and nobody notices. A test of each of these
//! libraries, `tests/documentation.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// An item and what is written about it.
#[derive(Default)]
struct Item {
    name: String,
    documentation: String,
}

/// The public items of a file by what links call them: `Type`, `function`, `Type::method`.
fn items(text: &str) -> BTreeMap<String, Item> {
    let mut items = BTreeMap::new();
    let (mut documentation, mut owner, mut is_trait) = (String::new(), String::new(), false);
    let mut is_in_attribute = false;
    for line in text.lines().take_while(|line| *line != "#[cfg(test)]") {
        let code = line.trim();
        if let Some(said) = code.strip_prefix("///") {
            documentation.push_str(said.trim_start());
            documentation.push('\n');
            continue;
        }
        if is_in_attribute || code.starts_with("#[") {
            is_in_attribute = !code.ends_with(']');
            continue;
        }
        if line.starts_with("impl") {
            (owner, is_trait) = (implemented(line), false);
        } else if line.starts_with("pub trait ") {
            (owner, is_trait) = (word_behind(line, "trait "), true);
        } else if line == "}" {
            (owner, is_trait) = (String::new(), false);
        }
        let declared = match code.strip_prefix("pub ") {
            Some(declared) => declared,
            None if is_trait && code.starts_with("fn ") => code,
            None => "",
        };
        if let Some(name) = declared_name(declared) {
            let is_inner = line.starts_with(' ') && !owner.is_empty();
            let link = if is_inner { format!("{owner}::{name}") } else { name.clone() };
            items.insert(link, Item { name, documentation: std::mem::take(&mut documentation) });
        }
        documentation.clear();
    }
    items
}

/// The type that an `impl` is of.
fn implemented(line: &str) -> String {
    let mut rest = line.trim_start_matches("impl");
    if rest.starts_with('<') {
        rest = rest.split_once("> ").map_or("", |(_, rest)| rest);
    }
    word_behind(rest.trim_start(), "")
}

fn word_behind(text: &str, start: &str) -> String {
    let rest = text.split_once(start).map_or("", |(_, rest)| rest);
    rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// The name of a type, function or constant that is declared in this line.
fn declared_name(declared: &str) -> Option<String> {
    let declared = declared.trim_start_matches("async ");
    let kinds = ["const fn ", "fn ", "struct ", "enum ", "trait ", "const ", "static ", "type "];
    let kind = kinds.iter().find(|kind| declared.starts_with(**kind))?;
    Some(word_behind(declared, kind))
}

/// The code of the examples.
fn examples(documentation: &str) -> String {
    documentation.split("```").skip(1).step_by(2).collect()
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|found| found == word)
}

/// What is wrong with the examples of a library.
fn missing(items: &BTreeMap<String, Item>) -> Vec<String> {
    let mut missing = Vec::new();
    for (link, Item { name, documentation }) in items {
        if !examples(documentation).is_empty() {
            continue;
        }
        let shown_at = documentation.split_once("Shown at [`").and_then(|(_, rest)| rest.split_once("`]"));
        match shown_at.map(|(other, _)| (other, items.get(other))) {
            None => missing.push(format!("{link} has no example")),
            Some((other, Some(item))) if has_word(&examples(&item.documentation), name) => {
                assert_ne!(other, link.as_str());
            }
            Some((other, _)) => missing.push(format!("{link} is not shown at {other}")),
        }
    }
    missing
}

/// The public items of all files in a directory.
fn items_below(directory: &Path) -> BTreeMap<String, Item> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_tests = path.file_stem().is_some_and(|name| name == "tests");
        if is_tests {
            continue;
        }
        if path.is_dir() {
            all.append(&mut items_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.append(&mut items(&fs::read_to_string(&path).unwrap()));
        }
    }
    all
}

/// Checks the library in this directory, which has so many public items at least.
pub(crate) fn check(library: &str, least: usize) {
    let items = items_below(&Path::new(library).join("src"));
    assert!(items.len() >= least, "only {} items found in {library}", items.len());
    assert_eq!(missing(&items), Vec::<String>::new(), "in {library}: write one, or `Shown at [`Type`].`");
}

#[test]
fn the_scan_sees_what_it_is_for() {
    let text = "\
        /// A door.\n///\n/// ```\n/// Door::new(1).open();\n/// ```\n#[derive(Debug)]\npub struct Door<T>(T);\n\n\
        impl<T: Lock<T>> Door<T> {\n    /// Shown at [`Door`].\n    pub const fn new(key: T) -> Self {\n    }\n\n\
        \x20   /// Opens it. Shown at [`Door`].\n    #[must_use]\n    pub fn open(&self) {}\n\n\
        \x20   /// Shown at [`Door`].\n    pub async fn close(&self) {}\n\n    fn hidden(&self) {}\n    pub(crate) fn inner(&self) {}\n}\n\n\
        /// Nothing.\n#[expect(\n    dead_code,\n    reason = \"none\"\n)]\npub const KEY: u8 = 1;\n\n/// ```\n/// x\n/// ```\n#[error(\n    \"{}\",\n)]\npub struct Error;\n\n/// Shown at [`Gate`].\npub trait Lock<T> {\n    /// A lock.\n    fn lock(&self);\n}\n\n\
        #[cfg(test)]\nmod tests {\n    pub fn not_public() {}\n}\n";
    let items = items(text);
    assert_eq!(
        items.keys().map(String::as_str).collect::<Vec<_>>(),
        ["Door", "Door::close", "Door::new", "Door::open", "Error", "KEY", "Lock", "Lock::lock"]
    );
    let wanted = [
        "Door::close is not shown at Door",
        "KEY has no example",
        "Lock is not shown at Gate",
        "Lock::lock has no example",
    ];
    assert_eq!(missing(&items), wanted);
}
