//! `kubectl apply`, by the client and by the server, and `diff`. Without these, the way in which nearly everybody brings
//! manifests to a cluster merges wrongly, forgets who owns a field, or does not find the server's types.

use serde_json::json;

use super::each_with_server;
use super::writing::{DRIVER, WARNING};

const SETTINGS: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: default
data:
  a: \"1\"
  b: \"1\"
";

#[test]
fn by_the_client() {
    each_with_server(|kubectl| {
        let file = kubectl.file("driver.yaml", DRIVER);
        let (stdout, stderr) = kubectl.both(&format!("apply -f {file}"));
        assert_eq!(stdout, "csidriver.storage.k8s.io/tokens.csi.example created\n");
        assert_eq!(stderr, WARNING);
        kubectl.says(&format!("apply -f {file}"), "csidriver.storage.k8s.io/tokens.csi.example unchanged");
        let changed = DRIVER
            .replace("  requiresRepublish: true\n", "  serviceAccountTokenInSecrets: true\n")
            .replace("3600", "7200");
        let file = kubectl.file("driver.yaml", &changed);
        kubectl.says(&format!("apply -f {file}"), "csidriver.storage.k8s.io/tokens.csi.example configured");
        let spec = kubectl.json("get csidriver tokens.csi.example -o json")["spec"].take();
        assert_eq!(spec["serviceAccountTokenInSecrets"], json!(true));
        // What the manifest no longer says is taken away, and has its default again.
        assert_eq!(spec["requiresRepublish"], json!(false));
        assert_eq!(spec["tokenRequests"], json!([{"audience": "vault", "expirationSeconds": 7200}]));
        let last = kubectl.ok("apply view-last-applied csidriver tokens.csi.example -o json");
        assert!(last.contains("\"serviceAccountTokenInSecrets\": true"), "{last}");

        kubectl.ok("label csidriver tokens.csi.example by=hand");
        kubectl.says(&format!("apply -f {file}"), "csidriver.storage.k8s.io/tokens.csi.example unchanged");
        kubectl.says("get csidriver -l by=hand -o name", "csidriver.storage.k8s.io/tokens.csi.example");
        kubectl.says(
            &format!("apply -f {file} --dry-run=server"),
            "csidriver.storage.k8s.io/tokens.csi.example unchanged (server dry run)",
        );
        kubectl.says(
            &format!("delete -f {file}"),
            &kubectl.deleted("csidriver.storage.k8s.io", "tokens.csi.example", None),
        );
    });
}

#[test]
fn by_the_server() {
    each_with_server(|kubectl| {
        let file = kubectl.file("settings.yaml", SETTINGS);
        kubectl.says(&format!("apply --server-side -f {file}"), "configmap/settings serverside-applied");
        kubectl.says(
            &format!("apply --server-side -f {file} --dry-run=server"),
            "configmap/settings serverside-applied (server dry run)",
        );
        let other = kubectl.file("other.yaml", &SETTINGS.replace("a: \"1\"", "a: \"2\""));
        let refused = kubectl.command(&format!("apply --server-side --field-manager=other -f {other}")).run();
        assert_eq!(refused.code, Some(1));
        assert_eq!(
            refused.stderr,
            "error: Apply failed with 1 conflict: conflict with \"kubectl\": .data.a\n\
             Please review the fields above--they currently have other managers. Here\n\
             are the ways you can resolve this warning:\n\
             * If you intend to manage all of these fields, please re-run the apply\n\
             \x20 command with the `--force-conflicts` flag.\n\
             * If you do not intend to manage all of the fields, please edit your\n\
             \x20 manifest to remove references to the fields that should keep their\n\
             \x20 current managers.\n\
             * You may co-own fields by updating your manifest to match the existing\n\
             \x20 value; in this case, you'll become the manager if the other manager(s)\n\
             \x20 stop managing the field (remove it from their configuration).\n\
             See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts\n"
        );
        kubectl.says(
            &format!("apply --server-side --force-conflicts --field-manager=other -f {other}"),
            "configmap/settings serverside-applied",
        );
        let read = kubectl.json("get configmap settings -o json --show-managed-fields");
        assert_eq!(read["data"], json!({"a": "2", "b": "1"}));
        let fields = read["metadata"]["managedFields"].as_array().unwrap();
        let fields: Vec<_> = fields
            .iter()
            .map(|entry| json!([entry["manager"], entry["operation"], entry["fieldsV1"]["f:data"]]))
            .collect();
        assert_eq!(
            fields,
            [
                json!(["kubectl", "Apply", {"f:b": {}}]),
                json!(["other", "Apply", {".": null, "f:a": {}, "f:b": {}}]),
            ]
            .map(|mut entry| {
                entry[2].as_object_mut().unwrap().remove(".");
                entry
            })
        );
        // What the first one leaves out now stays: the other one has it too.
        let less = kubectl
            .file("settings.yaml", &SETTINGS.replace("  a: \"1\"\n", "").replace("b: \"1\"", "c: \"1\""));
        kubectl.says(&format!("apply --server-side -f {less}"), "configmap/settings serverside-applied");
        assert_eq!(
            kubectl.json("get configmap settings -o json")["data"],
            json!({"a": "2", "b": "1", "c": "1"})
        );
    });
}

#[test]
fn who_applied_by_the_client_goes_over_to_the_server() {
    each_with_server(|kubectl| {
        let file = kubectl.file("settings.yaml", SETTINGS);
        kubectl.says(&format!("apply -f {file}"), "configmap/settings created");
        kubectl.says(&format!("apply --server-side -f {file}"), "configmap/settings serverside-applied");
        let less = kubectl.file("settings.yaml", &SETTINGS.replace("  b: \"1\"\n", ""));
        kubectl.says(&format!("apply --server-side -f {less}"), "configmap/settings serverside-applied");
        assert_eq!(kubectl.json("get configmap settings -o json")["data"], json!({"a": "1"}));
    });
}

#[test]
fn diff() {
    each_with_server(|kubectl| {
        let file = kubectl.file("settings.yaml", SETTINGS);
        let absent = kubectl.command(&format!("diff -f {file}")).run();
        assert_eq!(absent.code, Some(1), "{}", absent.stderr);
        assert!(absent.stdout.contains("\n+  name: settings\n"), "{}", absent.stdout);
        kubectl.ok(&format!("apply -f {file}"));
        kubectl.says(&format!("diff -f {file}"), "");
        let changed = kubectl.file("settings.yaml", &SETTINGS.replace("b: \"1\"", "b: \"2\""));
        for how in ["", " --server-side --force-conflicts"] {
            let found = kubectl.command(&format!("diff{how} -f {changed}")).run();
            assert_eq!((found.code, found.stderr.as_str()), (Some(1), ""), "{}", found.stdout);
            assert!(found.stdout.contains("\n-  b: \"1\"\n+  b: \"2\"\n"), "{}", found.stdout);
        }
        // Nothing was changed by looking.
        assert_eq!(kubectl.json("get configmap settings -o json")["data"], json!({"a": "1", "b": "1"}));
    });
}

#[test]
fn fields_that_are_not_there() {
    each_with_server(|kubectl| {
        let wrong = DRIVER.replace("attachRequired", "attachRequirred");
        let file = kubectl.file("driver.yaml", &wrong);
        kubectl.fails(
            &format!("apply -f {file}"),
            &format!(
                "Error from server (BadRequest): error when creating \"{file}\": CSIDriver in version \"v1\" cannot \
                 be handled as a CSIDriver: strict decoding error: unknown field \"spec.attachRequirred\""
            ),
        );
        let (stdout, stderr) = kubectl.both(&format!("apply -f {file} --validate=warn"));
        assert_eq!(stdout, "csidriver.storage.k8s.io/tokens.csi.example created\n");
        assert!(stderr.contains("Warning: unknown field \"spec.attachRequirred\"\n"), "{stderr}");
    });
}
