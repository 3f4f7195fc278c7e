//! The prost types, the tonic services, and the `Debug` implementations that take the place of prost's own.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use prost_reflect::MessageDescriptor;

#[test]
fn types_and_services_are_what_the_proto_generates() {
    let directory = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .out_dir(directory.path())
        .build_transport(false)
        .btree_map(".")
        .skip_debug(["."])
        // A plugin offers few of the methods: what its author leaves out is refused.
        .generate_default_stubs(true)
        .emit_rerun_if_changed(false)
        .compile_fds(crate::compiler().file_descriptor_set())
        .unwrap();
    let file = directory.path().join("csi.v1.rs");
    crate::hold("csi.v1.rs", &fs::read_to_string(file).unwrap());
}

#[test]
fn every_message_and_oneof_has_a_debug_of_the_table() {
    let pool = crate::pool();
    let names = crate::table::message_names(&pool);
    let mut text = String::from(crate::table::HEADER);
    text.push_str("message_debug! {\n");
    for (id, name) in names.iter().enumerate() {
        let message = pool.get_message_by_name(name).unwrap();
        if message.package_name() == "csi.v1" {
            writeln!(text, "    {} = {id};", rust_path(&message)).unwrap();
        }
    }
    text.push_str("}\n\noneof_debug! {\n");
    for (id, name) in names.iter().enumerate() {
        let message = pool.get_message_by_name(name).unwrap();
        let oneofs: BTreeSet<String> = message.oneofs().map(|oneof| camel(oneof.name())).collect();
        for oneof in oneofs {
            writeln!(text, "    {}::{oneof} = {id};", module(&message)).unwrap();
        }
    }
    text.push_str("}\n\nenum_debug! {\n");
    for found in pool.all_enums().filter(|found| found.package_name() == "csi.v1") {
        let name = camel(found.name());
        match found.parent_message() {
            Some(parent) => writeln!(text, "    {}::{name};", module(&parent)).unwrap(),
            None => writeln!(text, "    {name};").unwrap(),
        }
    }
    text.push_str("}\n");
    crate::hold("debug.rs", &text);
}

/// `ListVolumesResponse.Entry` is `list_volumes_response::Entry`.
fn rust_path(message: &MessageDescriptor) -> String {
    let name = camel(message.name());
    match message.parent_message() {
        Some(parent) => format!("{}::{name}", module(&parent)),
        None => name,
    }
}

fn module(message: &MessageDescriptor) -> String {
    let name = snake(&camel(message.name()));
    match message.parent_message() {
        Some(parent) => format!("{}::{name}", module(&parent)),
        None => name,
    }
}

/// As prost names types: `access_type` is `AccessType`, `RPC` is `Rpc`.
fn camel(name: &str) -> String {
    if name.chars().all(char::is_uppercase) {
        return name[..1].to_owned() + &name[1..].to_lowercase();
    }
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}
