//! What is checked in under `src/etcd/generated` is what `proto/etcd.proto` says.
//! `TOKENWARD_REGENERATE=1 cargo test -p tokenward-store --test generated` writes it anew.

use std::fs;
use std::path::Path;

#[test]
fn the_calls_to_etcd_are_what_the_proto_generates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([root.join("proto")]).unwrap();
    compiler.include_imports(true).include_source_info(true).open_file("etcd.proto").unwrap();
    let made = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .out_dir(made.path())
        .build_server(false)
        .build_transport(false)
        // Objects are in them, which may be Secrets: `src/etcd.rs` has a `Debug` for them.
        .skip_debug(["KeyValue", "PutRequest"])
        .emit_rerun_if_changed(false)
        .compile_fds(compiler.file_descriptor_set())
        .unwrap();
    let generated = fs::read_to_string(made.path().join("etcdserverpb.rs")).unwrap();
    let path = root.join("src/etcd/generated/etcdserverpb.rs");
    if std::env::var_os("TOKENWARD_REGENERATE").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == generated,
        "{} differs from what proto/etcd.proto generates; run \
         `TOKENWARD_REGENERATE=1 cargo test -p tokenward-store --test generated` and review the difference",
        path.display()
    );
}
