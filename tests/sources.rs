//! What reviewers would have to remember, held by machine. Without these, one `#[instrument]` records a request with its tokens,
//! one derived `Debug` prints a token at the next `{:?}`, and one forgotten `println!` mixes with the records on standard output.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::place::files_below;
use crate::support::repository;

/// The types that hold the bytes of a token or key themselves: none may derive `Debug`, most have their own. What only
/// contains such a type may derive it, since the inner one is silent.
const BEARERS: [(&str, &str); 28] = [
    ("crates/apiserver/src/authentication/static_tokens.rs", "StaticTokens"),
    ("crates/apiserver/src/body/gzip.rs", "Gzip"),
    ("crates/apiserver/src/content.rs", "Content"),
    ("crates/apiserver/src/content.rs", "Shown"),
    ("crates/apiserver/src/encodings/stretch.rs", "Stretch"),
    ("crates/cluster/src/kubeconfig.rs", "Kubeconfig"),
    ("crates/cluster/src/manifest.rs", "Manifest"),
    ("crates/cluster/src/pki.rs", "Authority"),
    ("crates/cluster/src/pki.rs", "Identity"),
    ("crates/driver/src/files.rs", "Contents"),
    ("crates/driver/src/scrub.rs", "Scrubber"),
    ("crates/exchange/src/answer.rs", "Answer"),
    ("crates/exchange/src/exchange.rs", "Request"),
    ("crates/exchange/src/secret.rs", "Secret"),
    ("crates/issuer/src/keys.rs", "SigningKey"),
    ("crates/apiserver/src/client.rs", "Reply"),
    ("crates/apiserver/src/client.rs", "WatchEvent"),
    ("crates/apiserver/src/registry.rs", "Written"),
    ("crates/jose/src/compact.rs", "CompactJws"),
    ("crates/kube-schema/src/protobuf/envelope.rs", "Enveloped"),
    ("crates/kube-schema/src/protobuf/envelope.rs", "Unknown"),
    ("crates/kube-schema/src/protobuf/wire.rs", "Wire"),
    ("crates/node-kube/src/token.rs", "Status"),
    ("crates/node/src/scrub.rs", "Scrubber"),
    ("crates/tokens/src/placement.rs", "Found"),
    ("crates/tokens/src/token.rs", "Token"),
    ("crates/tokens/src/value.rs", "TokensValue"),
    ("crates/apiserver/src/token_review.rs", "Spec"),
];

/// Names of fields that hold a credential, wherever they stand.
const CREDENTIAL_FIELDS: [&str; 7] =
    ["bearer", "id_token", "jwt", "password", "private_key", "token", "tokens"];

/// Types in which a credential lies bare: their `Debug` prints it.
const BARE: [&str; 8] =
    ["&'a str", "&'static str", "Arc<str>", "Box<str>", "String", "Vec<u8>", "Vec<String>", "Zeroizing<"];

const LONGEST: usize = 600;
/// Longer files, each with its reason.
const LONG_FILES: [(&str, &str); 0] = [];

/// The source files of the workspace with their paths in it.
fn sources() -> Vec<(String, String)> {
    let root = repository("");
    let mut sources = Vec::new();
    for room in ["benches", "crates", "drivers", "tests", "tokenward"] {
        for path in files_below(&root.join(room)) {
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push((name(&root, &path), text));
            }
        }
    }
    assert!(sources.len() > 200, "only {} source files found", sources.len());
    sources
}

fn name(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()
}

fn is_generated(path: &str) -> bool {
    PathBuf::from(path).components().any(|component| component.as_os_str() == "generated")
}

/// The code of a file, line by line with numbers from 1; comments are empty.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| {
        let line = line.trim();
        (index + 1, if line.starts_with("//") { "" } else { line })
    })
}

/// A struct or enum: its name, what it derives, and its body.
struct Definition<'a> {
    name: &'a str,
    derives: String,
    body: Vec<&'a str>,
}

fn definitions(text: &str) -> Vec<Definition<'_>> {
    let mut found: Vec<Definition<'_>> = Vec::new();
    let mut attributes = String::new();
    let mut is_open = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if is_open {
            found.last_mut().unwrap().body.push(trimmed);
            is_open = trimmed != "}" && trimmed != "};";
            continue;
        }
        let words: Vec<&str> = trimmed
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .collect();
        let keyword = words.iter().take(3).position(|word| matches!(*word, "struct" | "enum"));
        if trimmed.starts_with("#[")
            || (!attributes.is_empty() && attributes.matches('[').count() > attributes.matches(']').count())
        {
            attributes.push_str(trimmed);
        } else if let Some(name) = keyword.and_then(|position| words.get(position + 1)) {
            let derives = std::mem::take(&mut attributes);
            let body = if trimmed.ends_with('{') { Vec::new() } else { vec![trimmed] };
            is_open = body.is_empty();
            found.push(Definition { name, derives, body });
        } else if !trimmed.starts_with("//") {
            attributes.clear();
        }
    }
    found
}

fn derives_debug(definition: &Definition<'_>) -> bool {
    definition.derives.split(|c: char| !c.is_alphanumeric()).any(|word| word == "Debug")
}

/// Fields of a definition that would print a credential.
fn bare_credentials(definition: &Definition<'_>) -> Vec<String> {
    let fields = definition.body.iter().filter_map(|line| {
        let (name, kind) = line.split_once(": ")?;
        let name = name.rsplit(' ').next()?;
        let kind = kind.trim_end_matches(',');
        let kind = kind.strip_prefix("Option<").unwrap_or(kind);
        let is_bare = BARE.iter().any(|bare| kind.starts_with(bare));
        (CREDENTIAL_FIELDS.contains(&name) && is_bare).then(|| format!("{}.{name}", definition.name))
    });
    fields.collect()
}

#[test]
fn instrumented_functions_record_no_arguments() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        for (number, line) in code(&text) {
            let attribute = line.starts_with("#[") && line.contains("instrument");
            if attribute && !line.contains("skip_all") && !line.starts_with("#[instrumented") {
                found.push(format!("{path}:{number}: {line}"));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new(), "write #[instrument(skip_all, ..)]");
}

#[test]
fn types_that_hold_a_token_do_not_derive_debug() {
    let sources = sources();
    let mut wrong = Vec::new();
    for (path, text) in sources.iter().filter(|(path, _)| !path.contains("/tests/") && !is_generated(path)) {
        for definition in definitions(text).iter().filter(|definition| derives_debug(definition)) {
            wrong.extend(bare_credentials(definition).into_iter().map(|field| format!("{path}: {field}")));
        }
    }
    assert_eq!(
        wrong,
        Vec::<String>::new(),
        "keep it in tokenward_tokens::Token, or write a Debug that is silent"
    );

    for (path, name) in BEARERS {
        let text = sources.iter().find(|(source, _)| source == path).map(|(_, text)| text);
        let text = text.unwrap_or_else(|| panic!("{path} is gone: where does {name} live now?"));
        let definitions = definitions(text);
        let definition = definitions.iter().find(|definition| definition.name == name);
        let definition =
            definition.unwrap_or_else(|| panic!("{path} has no {name}: where does it live now?"));
        assert!(!derives_debug(definition), "{path}: {name} derives Debug");
    }
}

#[test]
fn only_the_command_and_the_benchmarks_print() {
    let macros = ["println!", "eprintln!", "print!", "eprint!", "dbg!"];
    let mut found = Vec::new();
    for (path, text) in sources() {
        let is_test = path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs");
        if is_test || path.starts_with("tokenward/src/") || path.starts_with("benches/src/bin/") {
            continue;
        }
        for (number, line) in code(&text) {
            let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '!'));
            if words.any(|word| macros.contains(&word)) {
                found.push(format!("{path}:{number}: {line}"));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new(), "libraries log; they do not print");
}

#[test]
fn long_files_have_a_reason() {
    let mut long = Vec::new();
    for (path, text) in sources() {
        let has_reason = is_generated(&path) || LONG_FILES.iter().any(|(known, _)| *known == path);
        if text.lines().count() > LONGEST && !has_reason {
            long.push(format!("{path}: {} lines", text.lines().count()));
        }
    }
    assert_eq!(long, Vec::<String>::new(), "take them apart, or give a reason");
}

#[test]
fn the_scan_sees_what_it_is_for() {
    let text = "\
        /// A leak.\n#[derive(Clone,\n    Debug)]\npub(crate) struct Leak {\n    /// Doc.\n    pub token: Option<String>,\n}\n\
        #[derive(Clone)]\nstruct Quiet {\n    token: String,\n}\n\
        #[derive(Debug)]\nstruct Fine {\n    token: Token,\n    token_count: String,\n}\n\
        #[derive(Debug)]\nstruct Tuple(String);\nenum Last {\n    A { password: String },\n}\n";
    let found = definitions(text);
    let names: Vec<&str> = found.iter().map(|definition| definition.name).collect();
    assert_eq!(names, ["Leak", "Quiet", "Fine", "Tuple", "Last"]);
    let leaks: Vec<String> =
        found.iter().filter(|definition| derives_debug(definition)).flat_map(bare_credentials).collect();
    assert_eq!(leaks, ["Leak.token"]);
}
