//! Makes `src/generated` anew from `kube-wire.tsv` and `releases.tsv` and compares. `TOKENWARD_REGENERATE=1` writes it.
#![expect(clippy::unwrap_used, reason = "a fact that cannot be read must fail the test")]

use std::{
    collections::{BTreeMap, HashMap},
    env,
    fmt::Write as _,
    fs,
    path::Path,
};

const FACTS: &str = include_str!("../kube-wire.tsv");
const RELEASES: &str = include_str!("../releases.tsv");

/// Rows of a message: columns of kube-wire.tsv after the word `field`, and the release that brought the field.
type Rows = Vec<(Vec<String>, Option<String>)>;

#[test]
fn generated_table_is_what_the_facts_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated");
    let wanted = generate();
    if env::var_os("TOKENWARD_REGENERATE").is_some() {
        for (name, text) in &wanted {
            fs::write(directory.join(name), text).unwrap();
        }
    }
    let found: BTreeMap<String, String> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
        })
        .collect();
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        wanted.keys().collect::<Vec<_>>(),
        "TOKENWARD_REGENERATE=1 cargo test -p tokenward-kube-schema --test generated writes them anew"
    );
    for (name, text) in &wanted {
        assert!(
            &found[name] == text,
            "{name} is not what the facts say: TOKENWARD_REGENERATE=1 cargo test -p tokenward-kube-schema --test generated"
        );
    }
}

fn generate() -> BTreeMap<String, String> {
    let messages = read();
    let indices: HashMap<&str, usize> =
        messages.keys().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut list = String::new();
    for (name, rows) in &messages {
        let (package, constant) = place(name);
        writeln!(list, "    Message {{ name: \"{name}\", fields: {package}::{constant} }},").unwrap();
        let file = files.entry(format!("{package}.rs")).or_default();
        writeln!(file, "\n#[rustfmt::skip]\npub(super) const {constant}: &[Field] = &[").unwrap();
        for (columns, since) in rows {
            writeln!(file, "    {},", field(columns, since.as_deref(), &indices)).unwrap();
        }
        writeln!(file, "];").unwrap();
    }
    for (name, text) in &mut files {
        let package = name.trim_end_matches(".rs");
        let mut imports = Vec::new();
        for word in ["Field", "FieldType::", "ListType::", "MapType::", "Release::"] {
            if text.contains(word) {
                imports.push(word.trim_end_matches(':'));
            }
        }
        let release = imports.last() == Some(&"Release");
        if release {
            imports.pop();
        }
        let imports = match imports.as_slice() {
            [single] => (*single).to_owned(),
            several => format!("{{{}}}", several.join(", ")),
        };
        let release = if release { "use tokenward_kube_rules::Release;\n\n" } else { "" };
        *text = format!(
            "//! Types of the package {package}. Made from kube-wire.tsv by tests/generated.rs: do not edit.\n\n{release}use crate::table::{imports};\n{text}"
        );
    }
    let modules: String =
        files.keys().map(|name| format!("mod {};\n", name.trim_end_matches(".rs"))).collect();
    files.insert(
        "mod.rs".to_owned(),
        format!(
            "//! The table of messages, sorted by name. Made from kube-wire.tsv by tests/generated.rs: do not edit.\n\n{modules}\nuse crate::table::Message;\n\n#[rustfmt::skip]\npub(crate) static MESSAGES: &[Message] = &[\n{list}];\n"
        ),
    );
    files
}

fn read() -> BTreeMap<String, Rows> {
    let mut messages: BTreeMap<String, Rows> = BTreeMap::new();
    let mut current = String::new();
    for line in FACTS.lines().filter(|line| !line.starts_with('#')) {
        let mut columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
        match columns.remove(0).as_str() {
            "kind" | "type" => {
                current = columns.remove(0);
                messages.entry(current.clone()).or_default();
            }
            "field" => messages.get_mut(&current).unwrap().push((columns, None)),
            other => panic!("a row is a kind, a type or a field, not {other:?}"),
        }
    }
    for line in RELEASES.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let (message, name, since) = (&columns[0], &columns[1], Some(columns[2].clone()));
        let rows = messages.get_mut(message).unwrap();
        match rows.iter_mut().find(|(row, _)| &row[0] == name) {
            Some(row) => row.1 = since,
            None => {
                let row = std::iter::once(name.clone()).chain(columns[3..].iter().cloned()).collect();
                rows.push((row, since));
            }
        }
    }
    messages
}

/// `storage/v1.CSIDriverSpec` is `CSI_DRIVER_SPEC` in the file of `storage`.
fn place(message: &str) -> (&str, String) {
    let (package, name) = message.rsplit_once('.').unwrap();
    let package = match package {
        "api/resource" => "resource",
        "util/intstr" => "intstr",
        other => other.split('/').next().unwrap(),
    };
    let letters: Vec<char> = name.chars().collect();
    let mut constant = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let after_small = index > 0 && !letters[index - 1].is_ascii_uppercase();
        let before_small = index > 0 && letters.get(index + 1).is_some_and(char::is_ascii_lowercase);
        if letter.is_ascii_uppercase() && (after_small || before_small) {
            constant.push('_');
        }
        constant.push(letter.to_ascii_uppercase());
    }
    (package, constant)
}

fn field(columns: &[String], since: Option<&str>, indices: &HashMap<&str, usize>) -> String {
    let column = |index: usize| columns.get(index).map_or("", String::as_str).trim();
    let (name, number, shape) = (column(0), column(1), column(3));
    let item = column(2).rsplit_once(" -> ").map_or(column(2), |(key, item)| {
        assert_eq!((key, shape), ("string", "map"), "{name}");
        item
    });
    let mut text = format!("Field::{shape}(\"{name}\", {number}, FieldType::{})", field_type(item, indices));
    for flag in column(4).split_whitespace() {
        text.push_str(match flag {
            "omitempty" => ".omit_empty()",
            "pointer" => ".pointer()",
            other => panic!("{name}: unknown flag {other:?}"),
        });
    }
    if name == "(inline)" {
        text.push_str(".inlined()");
    }
    for rule in column(5).split_whitespace() {
        text.push_str(&merge_rule(rule, shape));
    }
    for mark in column(6).split_whitespace() {
        match mark.split_once('=').unwrap() {
            ("gate", gate) => write!(text, ".gated(\"{gate}\")").unwrap(),
            ("default", value) => write!(text, ".defaulted({value:?})").unwrap(),
            other => panic!("{name}: unknown mark {other:?}"),
        }
    }
    if let Some(since) = since {
        write!(text, ".since(Release::V{})", since.replace('.', "_")).unwrap();
    }
    text
}

fn field_type(item: &str, indices: &HashMap<&str, usize>) -> String {
    let plain = match item {
        "string" => "String",
        "bool" => "Bool",
        "int32" => "Int32",
        "int64" => "Int64",
        "bytes" => "Bytes",
        "meta/v1.Time" => "Time",
        "meta/v1.MicroTime" => "MicroTime",
        "api/resource.Quantity" => "Quantity",
        "util/intstr.IntOrString" => "IntOrString",
        "meta/v1.FieldsV1" => "FieldsV1",
        "runtime.RawExtension" => "Raw",
        "authentication/v1.ExtraValue" | "authorization/v1.ExtraValue" => "StringList",
        message => return format!("Message({} /* {message} */)", indices[message]),
    };
    plain.to_owned()
}

fn merge_rule(rule: &str, shape: &str) -> String {
    let keys = |rule: &str| {
        rule.split_once('(').map_or(String::new(), |(_, keys)| keys.trim_end_matches(')').to_owned())
    };
    match rule {
        "atomic" if shape == "list" => ".merged(ListType::Atomic)".to_owned(),
        "atomic" => ".mapped(MapType::Atomic)".to_owned(),
        "granular" => ".mapped(MapType::Granular)".to_owned(),
        "set" => ".merged(ListType::Set)".to_owned(),
        "patch:replace" if shape == "one" => ".replaced()".to_owned(),
        rule if rule.starts_with("map(") => {
            let keys: Vec<String> = keys(rule).split(',').map(|key| format!("\"{key}\"")).collect();
            format!(".merged(ListType::Map(&[{}]))", keys.join(", "))
        }
        rule if rule.starts_with("patch:merge") => {
            format!(".patched(\"{}\", {})", keys(rule), rule.contains("retainKeys"))
        }
        other => panic!("unknown merge rule {other:?}"),
    }
}
