//! Looking at objects in every form that kubectl has. Without these, tables, watches or discovery are such that kubectl shows
//! less than it does beside a kube-apiserver, or nothing.

use serde_json::{Value, json};

use super::writing::{DRIVER, POD, WARNING};
use super::{Kubectl, each_with_server};
use crate::support::run::Signal;

fn furnish(kubectl: &Kubectl) {
    let driver = kubectl.file("driver.yaml", DRIVER);
    let (_, stderr) = kubectl.both(&format!("create -f {driver}"));
    assert_eq!(stderr, WARNING);
    kubectl.ok("create serviceaccount default");
    kubectl.ok(&format!("create -f {}", kubectl.file("pod.yaml", POD)));
}

#[test]
fn tables() {
    each_with_server(|kubectl| {
        furnish(kubectl);
        kubectl.shows(
            "get csidrivers",
            &[
                "NAME | ATTACHREQUIRED | PODINFOONMOUNT | STORAGECAPACITY | TOKENREQUESTS | REQUIRESREPUBLISH | MODES | AGE",
                "tokens.csi.example | false | true | false | vault | true | Ephemeral | <age>",
            ],
        );
        kubectl.shows(
            "get pods",
            &["NAME | READY | STATUS | RESTARTS | AGE", "web | 0/1 | Pending | 0 | <age>"],
        );
        kubectl.shows(
            "get pods -o wide",
            &[
                "NAME | READY | STATUS | RESTARTS | AGE | IP | NODE | NOMINATED NODE | READINESS GATES",
                "web | 0/1 | Pending | 0 | <age> | <none> | <none> | <none> | <none>",
            ],
        );
        kubectl.shows(
            "get pods -A --show-labels",
            &[
                "NAMESPACE | NAME | READY | STATUS | RESTARTS | AGE | LABELS",
                "default | web | 0/1 | Pending | 0 | <age> | app=web",
            ],
        );
        kubectl.shows(
            "get pods -L app --no-headers=false",
            &["NAME | READY | STATUS | RESTARTS | AGE | APP", "web | 0/1 | Pending | 0 | <age> | web"],
        );
        kubectl.shows(
            "get namespaces",
            &[
                "NAME | STATUS | AGE",
                "default | Active | <age>",
                "kube-node-lease | Active | <age>",
                "kube-public | Active | <age>",
                "kube-system | Active | <age>",
            ],
        );
    });
}

#[test]
fn other_forms() {
    each_with_server(|kubectl| {
        furnish(kubectl);
        kubectl.says("get csidriver -o name", "csidriver.storage.k8s.io/tokens.csi.example");
        kubectl
            .says("get csidriver tokens.csi.example -o jsonpath={.spec.tokenRequests[0].audience}", "vault");
        kubectl.shows(
            "get csidriver -o custom-columns=DRIVER:.metadata.name,REPUBLISH:.spec.requiresRepublish",
            &["DRIVER | REPUBLISH", "tokens.csi.example | true"],
        );
        let read = kubectl.json("get csidriver tokens.csi.example -o json");
        assert_eq!(
            read["spec"],
            json!({
                "attachRequired": false,
                "fsGroupPolicy": "ReadWriteOnceWithFSType",
                "podInfoOnMount": true,
                "requiresRepublish": true,
                "seLinuxMount": false,
                "storageCapacity": false,
                "tokenRequests": [{"audience": "vault", "expirationSeconds": 3600}],
                "volumeLifecycleModes": ["Ephemeral"],
            })
        );
        let list = kubectl.json("get csidrivers,pods -o json");
        let kinds: Vec<&str> =
            list["items"].as_array().unwrap().iter().map(|item| item["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["CSIDriver", "Pod"]);
        let yaml = kubectl.ok("get csidriver tokens.csi.example -o yaml");
        assert!(yaml.starts_with("apiVersion: storage.k8s.io/v1\nkind: CSIDriver\nmetadata:\n"), "{yaml}");
        assert!(yaml.ends_with("  volumeLifecycleModes:\n  - Ephemeral\n"), "{yaml}");
        kubectl.says("get pods --field-selector=status.phase=Pending -o name", "pod/web");
        kubectl.says("get pods --field-selector=spec.nodeName=elsewhere -o name", "");
        let raw = kubectl.json("get --raw /apis/storage.k8s.io/v1/csidrivers/tokens.csi.example");
        assert_eq!(raw["kind"], "CSIDriver");
        kubectl.says("get --raw /healthz", "ok");
        kubectl.says("get --raw /readyz", "ok");
    });
}

#[test]
fn what_is_not_there() {
    each_with_server(|kubectl| {
        kubectl.fails(
            "get csidriver ghost",
            "Error from server (NotFound): csidrivers.storage.k8s.io \"ghost\" not found",
        );
        kubectl.fails("get pod ghost", "Error from server (NotFound): pods \"ghost\" not found");
        kubectl.fails("get gadgets", "error: the server doesn't have a resource type \"gadgets\"");
        assert_eq!(kubectl.both("get pods").1, "No resources found in default namespace.\n");
        assert_eq!(kubectl.both("get csidrivers").1, "No resources found\n");
    });
}

#[test]
fn long_lists_come_in_pieces() {
    each_with_server(|kubectl| {
        let objects: Vec<String> = (0..12)
            .map(|number| {
                format!(
                    "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number:02}, namespace: default}}\n"
                )
            })
            .collect();
        let file = kubectl.file("many.yaml", &objects.join("---\n"));
        assert_eq!(kubectl.ok(&format!("create -f {file}")).lines().count(), 12);
        let names = kubectl.ok("get configmaps --chunk-size=5 -o name");
        let wanted: String = (0..12).map(|number| format!("configmap/c{number:02}\n")).collect();
        assert_eq!(names, wanted);
        let table = kubectl.ok("get configmaps --chunk-size=5");
        assert_eq!(table.lines().count(), 13, "{table}");
        let reversed = kubectl.ok("get configmaps --sort-by={.metadata.resourceVersion} --no-headers");
        assert!(reversed.starts_with("c00 "), "{reversed}");
    });
}

#[test]
fn watching() {
    each_with_server(|kubectl| {
        kubectl.ok("create configmap first --from-literal=a=b");
        let watch = kubectl.start("get configmaps -w --output-watch-events");
        watch.stdout_line(|line| line.starts_with("ADDED") && line.contains("first"));
        kubectl.ok("create configmap second");
        watch.stdout_line(|line| line.starts_with("ADDED") && line.contains("second   0"));
        kubectl.ok(r#"patch configmap second --type=merge -p {"data":{"a":"b","c":"d"}}"#);
        watch.stdout_line(|line| line.starts_with("MODIFIED") && line.contains("second   2"));
        kubectl.ok("delete configmap second");
        watch.stdout_line(|line| line.starts_with("DELETED") && line.contains("second"));
        watch.signal(Signal::INT);
        let text = watch.wait().stdout;
        assert_eq!(text.lines().count(), 5, "{text}");

        let watch = kubectl.start("get configmaps --watch-only -o name -v=6");
        watch.stderr_line(|line| line.contains("watch=true") && line.contains("200 OK"));
        kubectl.ok("create configmap third");
        watch.stdout_line(|line| line == "configmap/third");
        watch.signal(Signal::INT);
        assert_eq!(watch.wait().stdout, "configmap/third\n");
    });
}

#[test]
fn discovery() {
    each_with_server(|kubectl| {
        let resources = kubectl.ok("api-resources");
        for wanted in [
            "csidrivers  storage.k8s.io/v1 false CSIDriver",
            "serviceaccounts sa v1 true ServiceAccount",
            "pods po v1 true Pod",
            "daemonsets ds apps/v1 true DaemonSet",
        ] {
            let wanted: Vec<&str> = wanted.split_whitespace().collect();
            assert!(
                resources.lines().any(|line| line.split_whitespace().eq(wanted.iter().copied())),
                "{wanted:?} in\n{resources}"
            );
        }
        let names = kubectl.ok("api-resources --namespaced=false --api-group=storage.k8s.io -o name");
        let names: Vec<&str> = names.lines().collect();
        assert_eq!(
            names,
            [
                "csidrivers.storage.k8s.io",
                "csinodes.storage.k8s.io",
                "storageclasses.storage.k8s.io",
                "volumeattachments.storage.k8s.io"
            ]
        );
        let versions = kubectl.ok("api-versions");
        assert!(versions.lines().any(|line| line == "storage.k8s.io/v1"), "{versions}");
        // It complains of releases that are far apart.
        let version = kubectl.both("version -o json").0;
        let version: Value = serde_json::from_str(&version).unwrap();
        assert_eq!(version["serverVersion"]["major"], "1");
        assert_eq!(version["serverVersion"]["minor"], "35");
    });
}
