//! Go's protosanitizer of kubernetes-csi beside ours, over every message of CSI with contents of all kinds: byte for byte the
//! same. Without it, "the same JSON as upstream" would be our reading of upstream, and log pipelines would find out.
//! `tests/peers/setup` builds the program in `protosanitizer/`; without it, the test is left out.
#![expect(clippy::unwrap_used, reason = "a test world that breaks is a failed test")]

#[path = "../../crates/sanitize/tests/oracle/generate.rs"]
mod generate;
mod peer;

use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use peer::Peer;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use prost_reflect::DescriptorPool;
use tokenward_csi::TABLE;
use tokenward_sanitize::Sanitizer;

/// How many contents of each message are compared.
const CONTENTS: usize = 60;

/// Messages of our CSI version that the Go module does not know yet, by their full names.
const UNKNOWN_TO_GO: &[&str] = &[];

/// Full names and wire bytes; the same ones in each run.
fn messages() -> Vec<(String, Vec<u8>)> {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let mut compiler = protox::Compiler::new([proto]).unwrap();
    compiler.include_imports(true).open_file("csi.proto").unwrap();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    let mut runner = TestRunner::deterministic();
    let mut messages = Vec::new();
    for message in pool.all_messages() {
        if message.package_name() != "csi.v1" || message.is_map_entry() {
            continue;
        }
        let wire = generate::wire(&message);
        messages.extend(
            (0..CONTENTS)
                .map(|_| (message.full_name().to_owned(), wire.new_tree(&mut runner).unwrap().current())),
        );
    }
    messages
}

/// What the Go program makes of them.
fn sanitized_by_go(program: &Path, messages: &[(String, Vec<u8>)]) -> Vec<String> {
    // A file, since a program that is given all before it is read from would wait for us, and we for it.
    let mut input = tempfile::tempfile().unwrap();
    for frame in messages.iter().flat_map(|(name, wire)| [name.as_bytes(), wire]) {
        input.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).unwrap();
        input.write_all(frame).unwrap();
    }
    input.rewind().unwrap();
    let ended = Command::new(program).stdin(input).stderr(Stdio::inherit()).output().unwrap();
    assert!(ended.status.success(), "{}", ended.status);
    let mut output = ended.stdout.as_slice();
    let mut texts = Vec::new();
    while !output.is_empty() {
        let mut length = [0; 4];
        output.read_exact(&mut length).unwrap();
        let (text, rest) = output.split_at(u32::from_be_bytes(length) as usize);
        texts.push(String::from_utf8(text.to_vec()).unwrap());
        output = rest;
    }
    texts
}

#[test]
fn every_message_is_shown_as_go_shows_it() {
    let Some(program) = Peer::Protosanitizer.find() else { return };
    let messages = messages();
    let by_go = sanitized_by_go(&program, &messages);
    assert_eq!(by_go.len(), messages.len());
    let (mut marked_only, mut all) = (Sanitizer::marked_only(), Sanitizer::new());
    let mut unknown: Vec<&str> = Vec::new();
    let mut stripped = 0;
    for ((name, wire), by_go) in messages.iter().zip(&by_go) {
        if by_go.is_empty() {
            unknown.push(name);
            continue;
        }
        let id = TABLE.find(name).unwrap();
        assert_eq!(marked_only.json(&TABLE, id, wire), by_go, "{name} {wire:x?}");
        // Where there is no token, what we strip besides makes no difference.
        assert_eq!(all.json(&TABLE, id, wire), by_go, "{name} {wire:x?}");
        stripped += by_go.matches("***stripped***").count();
    }
    unknown.dedup();
    assert_eq!(unknown, UNKNOWN_TO_GO);
    assert!(
        messages.len() > 90 * CONTENTS && stripped > 100,
        "{} messages, {stripped} secrets",
        messages.len()
    );
}
