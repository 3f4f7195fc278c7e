//! Every public item of the kit has an example, which is compiled and run as a documentation test.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

/// The names that the crate gives out, by module; not those of other crates.
fn public_names(root: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for statement in root.split(';').filter_map(|text| text.trim().strip_prefix("pub use ")) {
        let Some((module, names)) = statement.split_once("::") else { continue };
        if module.starts_with("tokenward_") {
            continue;
        }
        for name in names.trim_matches(['{', '}']).split(',') {
            let name = name.trim().trim_start_matches('{').split(" as ").next().unwrap().trim();
            if !name.is_empty() {
                found.push((module.to_owned(), name.to_owned()));
            }
        }
    }
    found
}

/// What stands in front of an item, from the end of the one before.
fn documentation<'a>(source: &'a str, name: &str) -> &'a str {
    let at = ["struct", "enum", "fn", "async fn", "trait"]
        .into_iter()
        .flat_map(|kind| ['(', ' ', '<', ';', '<'].map(|after| format!("pub {kind} {name}{after}")))
        .find_map(|text| source.find(&text))
        .unwrap_or_else(|| panic!("{name} is not where lib.rs says"));
    let before = &source[..at];
    before.rsplit("\n\n").next().unwrap()
}

#[test]
fn every_public_item_has_an_example() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let root = fs::read_to_string(sources.join("lib.rs")).unwrap();
    let names = public_names(&root);
    assert!(names.len() > 40, "{names:?}");
    let without: Vec<&String> = names
        .iter()
        .filter(|(module, name)| {
            let source = fs::read_to_string(sources.join(format!("{module}.rs"))).unwrap();
            !documentation(&source, name).contains("/// ```")
        })
        .map(|(_, name)| name)
        .collect();
    assert!(without.is_empty(), "without an example: {without:?}");
}
