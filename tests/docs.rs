//! The docs against the command. Without these, README and docs name commands and flags that are not there any more, or not yet.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use crate::support::repository;

/// Flags of other programs that the docs name: cargo's and kubectl's.
const OF_OTHERS: [&str; 12] = [
    "--as",
    "--features",
    "--git",
    "--list",
    "--package",
    "--path",
    "--raw",
    "--release",
    "--server-side",
    "--test",
    "--validate",
    "--workspace",
];

/// Each command by its path (`driver token-files`), with its long help.
fn commands() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![Vec::<String>::new()];
    while let Some(path) = waiting.pop() {
        let output =
            Command::new(env!("CARGO_BIN_EXE_tokenward")).args(&path).arg("--help").output().unwrap();
        assert!(output.status.success(), "{path:?} has no help");
        let help = String::from_utf8(output.stdout).unwrap();
        let listed =
            help.split_once("\nCommands:\n").map(|(_, rest)| rest.split("\n\n").next().unwrap_or_default());
        for line in listed.unwrap_or_default().lines() {
            // A name stands two spaces in; what is further in continues a description.
            if let Some(line) = line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) {
                let name = line.split_whitespace().next().unwrap().to_owned();
                waiting.push(path.iter().cloned().chain([name]).collect());
            }
        }
        found.insert(path.join(" "), help);
    }
    found
}

/// The pages that are for users.
fn pages() -> Vec<(String, String)> {
    let mut pages = vec![repository("README.md"), repository("CHANGELOG.md")];
    for directory in ["docs", "docs/decisions"] {
        for entry in fs::read_dir(repository(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    assert!(pages.len() > 4);
    pages.into_iter().map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

/// The words of a text that are flags.
fn flags(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.starts_with("--") && word.chars().nth(2).is_some_and(|c| c.is_ascii_lowercase()))
        .collect()
}

/// What stands in code on a page: the spans and the lines of the blocks.
fn code(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (index, part) in page.split("```").enumerate() {
        if index % 2 == 1 {
            found.extend(part.lines());
        } else {
            found.extend(part.split('`').skip(1).step_by(2));
        }
    }
    found
}

#[test]
fn every_flag_in_the_docs_is_one_of_the_command() {
    let commands = commands();
    let known: BTreeSet<&str> = commands.values().flat_map(|help| flags(help)).chain(OF_OTHERS).collect();
    for (page, text) in pages() {
        let unknown: Vec<&str> = flags(&text).difference(&known).copied().collect();
        assert_eq!(unknown, Vec::<&str>::new(), "{page} names flags that no command has");
    }
}

#[test]
fn every_command_in_the_docs_is_there_and_takes_the_flags_beside_it() {
    let commands = commands();
    let mut seen = 0;
    for (page, text) in pages() {
        for line in code(&text) {
            let line = line.trim();
            let Some(arguments) = line.strip_prefix("tokenward ").or_else(|| {
                line.strip_prefix("cargo run ").and_then(|rest| rest.split_once("-- ")).map(|(_, rest)| rest)
            }) else {
                continue;
            };
            let words: Vec<&str> = arguments
                .split_whitespace()
                .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
                .collect();
            // The longest path that is a command; what follows it are arguments.
            let path = (1..=words.len())
                .rev()
                .map(|count| words[..count].join(" "))
                .find(|path| commands.contains_key(path));
            let path = path.unwrap_or_else(|| panic!("{page}: there is no command for `{line}`"));
            let known: BTreeSet<&str> = flags(&commands[&path]);
            let unknown: Vec<&str> = flags(arguments).difference(&known).copied().collect();
            assert_eq!(unknown, Vec::<&str>::new(), "{page}: `{line}`");
            seen += 1;
        }
    }
    assert!(seen > 5, "found only {seen} commands in the docs");
}

/// The tutorial is the example, which is compiled and put through csi-sanity.
#[test]
fn the_tutorials_code_is_the_example() {
    let page = fs::read_to_string(repository("docs/writing-a-driver.md")).unwrap();
    let example = fs::read_to_string(repository("crates/driver/examples/vault-token.rs")).unwrap();
    let code = page.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(code, example, "docs/writing-a-driver.md shows another driver than the example");
    assert!(example.lines().count() < 100);
}

#[test]
fn what_is_not_there_yet_is_not_listed() {
    let commands = commands();
    for planned in ["check", "redact", "rollout", "scan", "shim"] {
        assert!(!commands.contains_key(planned), "{planned} works now: take it from this list");
        for (page, text) in pages() {
            assert!(!text.contains(&format!("tokenward {planned}")), "{page} names {planned}");
        }
        for (path, help) in &commands {
            assert!(!help.contains(&format!("tokenward {planned}")), "the help of `{path}` names {planned}");
        }
    }
}

#[test]
fn crates_and_files_that_the_readme_names_are_there() {
    let readme = fs::read_to_string(repository("README.md")).unwrap();
    let mut seen = 0;
    for span in code(&readme) {
        if let Some(name) = span.strip_prefix("tokenward-").filter(|name| !name.contains(' ')) {
            assert!(repository("crates").join(name).join("Cargo.toml").exists(), "there is no crate {span}");
            seen += 1;
        } else if span.starts_with("crates/") || span.starts_with("drivers/") || span.starts_with("examples/")
        {
            assert!(repository(span).exists(), "there is no {span}");
            seen += 1;
        }
    }
    for target in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        if !target.starts_with("http") {
            assert!(repository(target).exists(), "there is no {target}");
            seen += 1;
        }
    }
    assert!(seen > 15, "found only {seen} names in the README");
    // Every crate has its place in the table.
    for directory in fs::read_dir(repository("crates")).unwrap() {
        let name = format!("`tokenward-{}`", directory.unwrap().file_name().display());
        assert!(readme.contains(&name), "the README does not say what {name} is");
    }
}
