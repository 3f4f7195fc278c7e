//! What is checked in under `src/generated` is what `proto/csi.proto` says, and that file says what `csi-wire.tsv`
//! says. `TOKENWARD_REGENERATE=1 cargo test -p tokenward-csi --test generated` writes the generated files anew.
#![expect(clippy::unwrap_used, reason = "a generator that fails should stop the test")]

mod messages;
mod table;
mod wire;

use std::fs;
use std::path::{Path, PathBuf};

use prost_reflect::DescriptorPool;

/// The compiled proto: as bytes for whoever needs the options, which the typed descriptors lose.
fn compiler() -> protox::Compiler {
    let mut compiler = protox::Compiler::new([Path::new(env!("CARGO_MANIFEST_DIR")).join("proto")]).unwrap();
    compiler.include_imports(true).include_source_info(true).open_file("csi.proto").unwrap();
    compiler
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(compiler().encode_file_descriptor_set().as_slice()).unwrap()
}

/// Compares a generated file with the one checked in, or writes it when asked to.
fn hold(file: &str, generated: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "src/generated", file].iter().collect();
    if std::env::var_os("TOKENWARD_REGENERATE").is_some() {
        fs::write(&path, generated).unwrap();
        return;
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    if let Some(line) = first_difference(&checked_in, generated) {
        panic!(
            "{} differs from what proto/csi.proto generates, first in line {line}; run \
             `TOKENWARD_REGENERATE=1 cargo test -p tokenward-csi --test generated` and review the difference",
            path.display()
        );
    }
}

fn first_difference(a: &str, b: &str) -> Option<usize> {
    if a == b {
        return None;
    }
    let same = a.lines().zip(b.lines()).take_while(|(a, b)| a == b).count();
    Some(same + 1)
}

#[test]
fn a_difference_is_found_and_named_by_line() {
    assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
    assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
    assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
}
