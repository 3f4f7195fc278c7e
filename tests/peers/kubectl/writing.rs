//! Making, changing and deleting objects. Without these, what kubectl sends (JSON by one release, protobuf by another) or
//! what it expects back is not what the server reads and writes.

use serde_json::json;

use super::each_with_server;

/// What kubectl prints when a driver asks for tokens and does not say where it wants them.
pub(super) const WARNING: &str = "Warning: spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, \
                                  set to true to prevent possible logging of tokens in volume attributes\n";

pub(super) const DRIVER: &str = "\
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata:
  name: tokens.csi.example
spec:
  attachRequired: false
  podInfoOnMount: true
  tokenRequests:
  - audience: vault
    expirationSeconds: 3600
  requiresRepublish: true
  volumeLifecycleModes: [Ephemeral]
";

pub(super) const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: web
  labels: {app: web}
spec:
  automountServiceAccountToken: false
  containers:
  - name: main
    image: image.example/main:1
";

#[test]
fn a_driver_is_created_with_its_warning() {
    each_with_server(|kubectl| {
        let file = kubectl.file("driver.yaml", DRIVER);
        let (stdout, stderr) = kubectl.both(&format!("create -f {file}"));
        assert_eq!(stdout, "csidriver.storage.k8s.io/tokens.csi.example created\n");
        assert_eq!(stderr, WARNING);
        let again = kubectl.command(&format!("create -f {file}")).run();
        let wanted = format!(
            "Error from server (AlreadyExists): error when creating \"{file}\": \
             csidrivers.storage.k8s.io \"tokens.csi.example\" already exists\n"
        );
        assert!(again.stderr.ends_with(&wanted), "{}", again.stderr);
        assert_eq!(again.code, Some(1));

        let opted_in = DRIVER.replace("  requires", "  serviceAccountTokenInSecrets: true\n  requires");
        let file = kubectl.file("opted-in.yaml", &opted_in.replace("tokens.csi", "opted-in.csi"));
        kubectl.says(&format!("create -f {file}"), "csidriver.storage.k8s.io/opted-in.csi.example created");
    });
}

#[test]
fn what_is_made_without_a_file() {
    each_with_server(|kubectl| {
        kubectl.says("create namespace apps", "namespace/apps created");
        kubectl.says("create serviceaccount web -n apps", "serviceaccount/web created");
        kubectl.says("create configmap settings --from-literal=a=b", "configmap/settings created");
        kubectl.says("create secret generic key --from-literal=a=b", "secret/key created");
        kubectl.says(
            "create clusterrole reader --verb=get,list --resource=pods,csidrivers.storage.k8s.io",
            "clusterrole.rbac.authorization.k8s.io/reader created",
        );
        kubectl.says(
            "create clusterrolebinding readers --clusterrole=reader --serviceaccount=apps:web",
            "clusterrolebinding.rbac.authorization.k8s.io/readers created",
        );
        kubectl.says(
            "create role writer --verb=create --resource=pods",
            "role.rbac.authorization.k8s.io/writer created",
        );
        kubectl.says(
            "create rolebinding writers --role=writer --user=alice",
            "rolebinding.rbac.authorization.k8s.io/writers created",
        );
        assert_eq!(kubectl.json("get secret key -o json")["data"], json!({"a": "Yg=="}));
        assert_eq!(kubectl.json("get configmap settings -o json")["data"], json!({"a": "b"}));
        assert_eq!(
            kubectl.json("get clusterrole reader -o json")["rules"],
            json!([
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
                {"apiGroups": ["storage.k8s.io"], "resources": ["csidrivers"], "verbs": ["get", "list"]},
            ])
        );
        assert_eq!(
            kubectl.json("get clusterrolebinding readers -o json")["subjects"],
            json!([{"kind": "ServiceAccount", "name": "web", "namespace": "apps"}])
        );
        kubectl.says(
            "create serviceaccount dry --dry-run=server",
            "serviceaccount/dry created (server dry run)",
        );
        kubectl.fails(
            "create serviceaccount web -n apps",
            "error: failed to create serviceaccount: serviceaccounts \"web\" already exists",
        );
        kubectl.fails(
            "get serviceaccount dry",
            "Error from server (NotFound): serviceaccounts \"dry\" not found",
        );
    });
}

#[test]
fn labels_and_annotations() {
    each_with_server(|kubectl| {
        kubectl.ok("create serviceaccount web");
        kubectl.says("label serviceaccount web team=storage tier=back", "serviceaccount/web labeled");
        kubectl.fails(
            "label serviceaccount web team=other",
            "error: 'team' already has a value (storage), and --overwrite is false",
        );
        kubectl.says("label serviceaccount web team=other --overwrite", "serviceaccount/web labeled");
        kubectl.says("label serviceaccount web tier-", "serviceaccount/web unlabeled");
        kubectl.says("annotate serviceaccount web example/note=1", "serviceaccount/web annotated");
        let read = kubectl.json("get serviceaccount web -o json");
        assert_eq!(read["metadata"]["labels"], json!({"team": "other"}));
        assert_eq!(read["metadata"]["annotations"], json!({"example/note": "1"}));
        kubectl.says("annotate serviceaccount web example/note-", "serviceaccount/web annotated");
        assert_eq!(
            kubectl.json("get serviceaccount web -o json")["metadata"]["annotations"],
            serde_json::Value::Null
        );
        kubectl.shows("get serviceaccount -l team=other -o name", &["serviceaccount/web"]);
        assert_eq!(
            kubectl.both("get serviceaccount -l team=storage").1,
            "No resources found in default namespace.\n"
        );
    });
}

#[test]
fn patches_of_three_kinds() {
    each_with_server(|kubectl| {
        let file = kubectl.file("driver.yaml", DRIVER);
        kubectl.both(&format!("create -f {file}"));
        let driver = "csidriver tokens.csi.example";
        kubectl.says(
            &format!(r#"patch {driver} --type=merge -p {{"spec":{{"serviceAccountTokenInSecrets":true}}}}"#),
            "csidriver.storage.k8s.io/tokens.csi.example patched",
        );
        kubectl.says(
            &format!(r#"patch {driver} --type=merge -p {{"spec":{{"serviceAccountTokenInSecrets":true}}}}"#),
            "csidriver.storage.k8s.io/tokens.csi.example patched (no change)",
        );
        kubectl.says(
            &format!(
                r#"patch {driver} --type=json -p [{{"op":"add","path":"/metadata/labels","value":{{"a":"b"}}}}]"#
            ),
            "csidriver.storage.k8s.io/tokens.csi.example patched",
        );
        let read = kubectl.json(&format!("get {driver} -o json"));
        assert_eq!(read["spec"]["serviceAccountTokenInSecrets"], json!(true));
        assert_eq!(read["metadata"]["labels"], json!({"a": "b"}));
        kubectl.fails(
            &format!(r#"patch {driver} --type=merge -p {{"spec":{{"attachRequired":true}}}}"#),
            "The CSIDriver \"tokens.csi.example\" is invalid: spec.attachedRequired: Invalid value: true: field is immutable",
        );
        // Strategic merge is what kubectl does when nothing is said.
        kubectl.says(
            &format!(r#"patch {driver} -p {{"metadata":{{"labels":{{"c":"d"}}}}}}"#),
            "csidriver.storage.k8s.io/tokens.csi.example patched",
        );
        let read = kubectl.json(&format!("get {driver} -o json"));
        assert_eq!(read["metadata"]["labels"], json!({"a": "b", "c": "d"}));
    });
}

#[test]
fn a_strategic_merge_finds_the_container_by_its_name() {
    each_with_server(|kubectl| {
        kubectl.ok("create serviceaccount default");
        let two =
            POD.replace("  - name: main", "  - name: side\n    image: image.example/side:1\n  - name: main");
        kubectl.says(&format!("create -f {}", kubectl.file("pod.yaml", &two)), "pod/web created");
        kubectl.says(
            r#"patch pod web -p {"spec":{"containers":[{"name":"main","image":"image.example/main:2"}]}}"#,
            "pod/web patched",
        );
        kubectl.says(
            "get pod web -o jsonpath={.spec.containers[*].image}",
            "image.example/side:1 image.example/main:2",
        );
        kubectl.says("set image pod/web main=image.example/main:3", "pod/web image updated");
        kubectl.says(
            "get pod web -o jsonpath={.spec.containers[*].image}",
            "image.example/side:1 image.example/main:3",
        );
    });
}

#[test]
fn deleting() {
    each_with_server(|kubectl| {
        for name in ["a", "b", "c"] {
            kubectl.ok(&format!("create configmap {name}"));
        }
        kubectl.ok("label configmap a b set=x");
        let deleted = |name| kubectl.deleted("configmap", name, Some("default"));
        kubectl.says("delete configmap c", &deleted("c"));
        kubectl.says("delete configmap -l set=x", &[deleted("a"), deleted("b")].join("\n"));
        kubectl.fails("delete configmap c", "Error from server (NotFound): configmaps \"c\" not found");
        kubectl.says("delete configmap c --ignore-not-found", "");

        // With a finalizer it stays until somebody takes that away; kubectl waits for this.
        kubectl.ok("create configmap held");
        kubectl
            .ok(r#"patch configmap held --type=merge -p {"metadata":{"finalizers":["example.com/hold"]}}"#);
        kubectl.ok("delete configmap held --wait=false");
        let waits = kubectl.start("delete configmap held");
        waits.stdout_line(|line| line.starts_with("configmap \"held\" deleted"));
        assert_ne!(kubectl.json("get configmap held -o json")["metadata"]["deletionTimestamp"], json!(null));
        assert!(waits.is_running());
        kubectl.ok(r#"patch configmap held --type=merge -p {"metadata":{"finalizers":null}}"#);
        assert_eq!(waits.wait().code, Some(0));
        kubectl.fails("get configmap held", "Error from server (NotFound): configmaps \"held\" not found");
    });
}

#[test]
fn replacing_minds_the_resource_version() {
    each_with_server(|kubectl| {
        kubectl.ok("create configmap settings --from-literal=a=b");
        let read = kubectl.ok("get configmap settings -o json");
        let file = kubectl.file("settings.json", &read);
        kubectl.ok("label configmap settings since=then");
        kubectl.fails(
            &format!("replace -f {file}"),
            &format!(
                "Error from server (Conflict): error when replacing \"{file}\": Operation cannot be fulfilled on \
                 configmaps \"settings\": the object has been modified; please apply your changes to the latest \
                 version and try again"
            ),
        );
        let mut latest = kubectl.json("get configmap settings -o json");
        latest["data"] = json!({"c": "d"});
        let file = kubectl.file("settings.json", &latest.to_string());
        kubectl.says(&format!("replace -f {file}"), "configmap/settings replaced");
        assert_eq!(kubectl.json("get configmap settings -o json")["data"], json!({"c": "d"}));
    });
}
