use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Vec<Manifest>, ManifestError> {
    parse(Path::new("m.yaml"), text)
}

fn shown(manifests: &[Manifest]) -> Vec<String> {
    manifests.iter().map(|manifest| format!("{manifest:?}")).collect()
}

#[test]
fn documents_lists_and_empty_documents() {
    let text = "\
# comment
---
apiVersion: v1
kind: Namespace
metadata: {name: quick}
---
# nothing here
---
---
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: a, namespace: quick}
- apiVersion: storage.k8s.io/v1
  kind: CSIDriver
  metadata: {name: d.example}
---
apiVersion: v1
kind: ServiceAccountList
items:
- metadata: {name: reader}
";
    assert_eq!(
        shown(&read(text).unwrap()),
        [
            "namespace quick (m.yaml:3)",
            "pod quick/a (m.yaml:10)",
            "csidriver d.example (m.yaml:10)",
            "serviceaccount default/reader (m.yaml:20)",
        ]
    );
}

#[test]
fn a_cluster_scoped_object_has_no_namespace() {
    let text = "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: v, namespace: x}\n";
    assert_eq!(read(text).unwrap()[0].namespace, None);
}

#[test]
fn json_is_yaml_and_old_yaml_is_read_as_kubectl_reads_it() {
    let text = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}"#;
    assert_eq!(shown(&read(text).unwrap()), ["pod default/a (m.yaml:1)"]);
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {mode: 0644, on: yes, text: 'yes'}\n";
    let spec = &read(text).unwrap()[0].object["spec"];
    assert_eq!(spec, &serde_json::json!({"mode": 420, "on": true, "text": "yes"}));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, expected) in [
        ("", "`m.yaml` holds no Kubernetes object"),
        ("---\n# nothing\n---\n", "`m.yaml` holds no Kubernetes object"),
        (
            "kind: Pod\n",
            "the object at `m.yaml:1` has no `apiVersion`; every object needs apiVersion, kind and metadata.name",
        ),
        (
            "apiVersion: v1\n",
            "the object at `m.yaml:1` has no `kind`; every object needs apiVersion, kind and metadata.name",
        ),
        (
            "\n\napiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n",
            "the object at `m.yaml:3` has no `metadata.name`; every object needs apiVersion, kind and metadata.name",
        ),
        ("- a\n", "`m.yaml:1` is a sequence, not a Kubernetes object"),
        ("just words\n", "`m.yaml:1` is a text, not a Kubernetes object"),
        (
            "apiVersion: storage.k8s.io/v1\nkind: CSIDrvier\nmetadata: {name: a}\n",
            "`m.yaml:1` is of the kind CSIDrvier in storage.k8s.io/v1, which this server does not serve; \
             is CSIDriver in storage.k8s.io/v1 meant?",
        ),
        (
            "apiVersion: authentication.k8s.io/v1\nkind: TokenRequest\nmetadata: {name: a}\n",
            "`m.yaml:1` is of the kind TokenRequest in authentication.k8s.io/v1, which this server does not serve; \
             check its apiVersion and kind",
        ),
        (
            "apiVersion: apps/v1\nkind: Pod\nmetadata: {name: a}\n",
            "`m.yaml:1` is of the kind Pod in apps/v1, which this server does not serve; \
             is Pod in v1 meant?",
        ),
    ] {
        assert_eq!(read(text).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn broken_yaml_is_said_with_line_and_column_and_no_content() {
    for (text, line) in [
        ("apiVersion: v1\nkind: Secret\nstringData:\n  key: \"hunter2\n", 4),
        ("apiVersion: v1\nkind: Secret\nstringData: [hunter2\n", 3),
        ("apiVersion: v1\nstringData: {hunter2: hunter2}}\n", 2),
        ("apiVersion: v1\n  kind: hunter2\n", 2),
        ("a: *hunter2\n", 1),
    ] {
        let error = read(text).unwrap_err();
        let ManifestError::Yaml { line: found, column, reason, .. } = &error else { panic!("{error:?}") };
        assert!(*column > 0, "{text}: {error}");
        assert_eq!(*found, line, "{text}: {error}");
        assert!(!reason.is_empty());
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn a_key_given_twice_is_an_error() {
    let error = read("apiVersion: v1\nkind: Pod\nkind: Pod\nmetadata: {name: a}\n").unwrap_err();
    assert!(error.to_string().starts_with("`m.yaml:3:1` is not valid YAML: "), "{error}");
}

#[test]
fn what_is_needed_comes_first_and_the_rest_keeps_its_order() {
    let object = |api_version: &str, kind: &str, name: &str| {
        format!("---\napiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: {name}}}\n")
    };
    let text = [
        object("v1", "Pod", "b"),
        object("v1", "Pod", "a"),
        object("v1", "PersistentVolumeClaim", "claim"),
        object("storage.k8s.io/v1", "CSIDriver", "driver"),
        object("v1", "PersistentVolume", "volume"),
        object("v1", "ServiceAccount", "account"),
        object("v1", "Namespace", "space"),
    ]
    .concat();
    let names: Vec<_> =
        in_apply_order(read(&text).unwrap()).unwrap().into_iter().map(|manifest| manifest.name).collect();
    assert_eq!(names, ["space", "account", "driver", "volume", "claim", "b", "a"]);
}

#[test]
fn an_object_given_twice_is_refused_with_both_places() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n\
                apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: default}\n";
    let error = in_apply_order(read(text).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "pod default/a stands at `m.yaml:5` and at `m.yaml:1`; keep one of them");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.yaml");
    let error = load(std::slice::from_ref(&missing)).unwrap_err();
    assert_eq!(error.to_string(), format!("could not read the manifest `{}`", missing.display()));
    let binary = directory.path().join("binary.yaml");
    std::fs::write(&binary, b"kind: \xff").unwrap();
    let error = load(std::slice::from_ref(&binary)).unwrap_err();
    let text = format!("`{}` is not a manifest: it is not UTF-8 from byte 6 on", binary.display());
    assert_eq!(error.to_string(), text);
}

#[test]
fn the_quickstart_is_read() {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/quickstart.yaml"));
    let manifests = load(&[file.to_owned()]).unwrap();
    let labels: Vec<String> = manifests.iter().map(Manifest::label).collect();
    assert_eq!(
        labels,
        [
            "namespace quickstart",
            "serviceaccount quickstart/shop",
            "serviceaccount quickstart/backup",
            "csidriver opted-in.csi.example",
            "csidriver not-opted-in.csi.example",
            "persistentvolume backup-tokens",
            "persistentvolume backup-old-tokens",
            "persistentvolumeclaim quickstart/tokens",
            "persistentvolumeclaim quickstart/old-tokens",
            "pod quickstart/shop",
            "pod quickstart/backup",
        ]
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([a-z]{1,4}: ?|- |---\n|\n|[{}\\[\\]&*!|>'\"#%]|[ \t]{1,3}|v1|List|items|é){0,40}") {
        let _ = read(&text);
    }
}
