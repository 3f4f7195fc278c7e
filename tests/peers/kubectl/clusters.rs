//! A whole cluster under kubectl: pods run, DaemonSets roll out, events say what happened. Without these, what controllers and
//! nodes write is not what `describe`, `wait` and `rollout` read.

use serde_json::json;

use super::writing::{DRIVER, POD};
use super::{Kubectl, each_with_cluster};

const AGENT: &str = "\
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: agent
  namespace: default
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers:
      - name: main
        image: image.example/agent:1
";

/// A driver that has opted in, an account, and a pod with a volume of that driver.
fn manifests() -> String {
    let driver = DRIVER.replace("  requires", "  serviceAccountTokenInSecrets: true\n  requires");
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: default}\n";
    let pod = format!(
        "{POD}  serviceAccountName: web\n  volumes:\n  - name: tokens\n    csi: {{driver: tokens.csi.example}}\n"
    );
    [driver.as_str(), account, &pod].join("---\n")
}

/// A line, however its columns are aligned.
#[track_caller]
pub(super) fn has_line(text: &str, line: &str) {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert!(text.lines().any(|found| words(found) == words(line)), "{line:?} in\n{text}");
}

#[test]
fn a_pod_runs_and_ends() {
    each_with_cluster(&manifests(), |kubectl| {
        kubectl.says("wait --for=condition=Ready pod/web --timeout=30s", "pod/web condition met");
        kubectl.says(
            "wait --for=jsonpath={.status.phase}=Running pod/web --timeout=30s",
            "pod/web condition met",
        );
        // The node runs no containers, and says so where a container's state stands.
        kubectl.shows(
            "get pods",
            &["NAME | READY | STATUS | RESTARTS | AGE", "web | 0/1 | VolumesMounted | 0 | <age>"],
        );
        kubectl.shows(
            "get pods -o wide --no-headers=false -l app=web",
            &[
                "NAME | READY | STATUS | RESTARTS | AGE | IP | NODE | NOMINATED NODE | READINESS GATES",
                "web | 0/1 | VolumesMounted | 0 | <age> | <none> | node-1 | <none> | <none>",
            ],
        );
        let described = kubectl.ok("describe pod web");
        for line in [
            "Name: web",
            "Namespace: default",
            "Service Account: web",
            "Labels: app=web",
            "Status: Running",
            "Type: CSI (a Container Storage Interface (CSI) volume source)",
            "Driver: tokens.csi.example",
            "QoS Class: BestEffort",
        ] {
            has_line(&described, line);
        }

        kubectl.says("delete pod web", &kubectl.deleted("pod", "web", Some("default")));
        kubectl.says("wait --for=delete pod/web --timeout=30s", "");
    });
}

#[test]
fn a_mount_that_fails_is_told() {
    each_with_cluster(&manifests(), |kubectl| {
        let pod = POD.replace("name: web", "name: waits")
            + "  volumes:\n  - name: tokens\n    csi: {driver: absent.csi.example}\n";
        let events = kubectl.start("get events -w");
        kubectl.ok(&format!("create -f {}", kubectl.file("waits.yaml", &pod)));
        events.stdout_line(|line| line.contains("FailedMount") && line.contains("pod/waits"));
        let wanted = "MountVolume.SetUp failed for volume \"tokens\"";
        for typed in ["describe pod waits", "events --for pod/waits", "get events"] {
            let text = kubectl.ok(typed);
            assert!(text.contains("FailedMount") && text.contains(wanted), "{typed}:\n{text}");
        }
        kubectl.says(
            "get events --field-selector=involvedObject.name=waits,type=Warning -o jsonpath={.items[0].reason}",
            "FailedMount",
        );
        assert_eq!(kubectl.both("get events --field-selector=involvedObject.name=web,type=Warning").0, "");
    });
}

#[test]
fn a_daemon_set_rolls_out() {
    each_with_cluster(&manifests(), |kubectl| {
        let file = kubectl.file("agent.yaml", AGENT);
        kubectl.says(&format!("create -f {file}"), "daemonset.apps/agent created");
        rolled_out(kubectl);
        kubectl.shows(
            "get daemonsets",
            &[
                "NAME | DESIRED | CURRENT | READY | UP-TO-DATE | AVAILABLE | NODE SELECTOR | AGE",
                "agent | 1 | 1 | 1 | 1 | 1 | <none> | <age>",
            ],
        );
        kubectl.says(
            "set image daemonset/agent main=image.example/agent:2",
            "daemonset.apps/agent image updated",
        );
        rolled_out(kubectl);
        let images = "get pods -l app=agent -o jsonpath={.items[*].spec.containers[*].image}";
        kubectl.says(images, "image.example/agent:2");
        kubectl.says(
            "rollout history daemonset/agent",
            "daemonset.apps/agent \nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>\n",
        );
        kubectl.says("rollout undo daemonset/agent", "daemonset.apps/agent rolled back");
        rolled_out(kubectl);
        kubectl.says(images, "image.example/agent:1");
        kubectl.says("rollout restart daemonset/agent", "daemonset.apps/agent restarted");
        rolled_out(kubectl);
        kubectl.says(
            "rollout history daemonset/agent",
            "daemonset.apps/agent \nREVISION  CHANGE-CAUSE\n2         <none>\n3         <none>\n4         <none>\n",
        );
        let described = kubectl.ok("describe daemonset agent");
        for line in [
            "Name: agent",
            "Desired Number of Nodes Scheduled: 1",
            "Number of Nodes Scheduled with Available Pods: 1",
            "Pods Status:  1 Running / 0 Waiting / 0 Succeeded / 0 Failed",
        ] {
            has_line(&described, line);
        }
        kubectl.says("delete daemonset agent", &kubectl.deleted("daemonset.apps", "agent", Some("default")));
        kubectl.says("wait --for=delete pod -l app=agent --timeout=30s", "");
        assert_eq!(kubectl.json("get controllerrevisions -o json")["items"], json!([]));
    });
}

#[test]
fn a_daemon_set_is_known_by_its_names_and_events() {
    each_with_cluster(&manifests(), |kubectl| {
        let events = kubectl.start("get events --watch --field-selector=involvedObject.kind=DaemonSet");
        kubectl.ok(&format!("create -f {}", kubectl.file("agent.yaml", AGENT)));
        rolled_out(kubectl);
        let pod = "get pods -l app=agent -o jsonpath={.items[*].metadata.name}";
        let hash = "get pods -l app=agent -o jsonpath={.items[*].metadata.labels.controller-revision-hash}";
        let (first, revision) = (kubectl.ok(pod), kubectl.ok(hash));
        let suffix = first.strip_prefix("agent-").unwrap();
        assert!(suffix.len() == 5 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{first}");
        let created = format!("Created pod: {first}");
        events.stdout_line(|line| line.contains("SuccessfulCreate") && line.contains(&created));
        kubectl.says("get controllerrevisions -o name", &format!("controllerrevision.apps/agent-{revision}"));

        kubectl.ok("set image daemonset/agent main=image.example/agent:2");
        rolled_out(kubectl);
        let deleted = format!("Deleted pod: {first}");
        events.stdout_line(|line| line.contains("SuccessfulDelete") && line.contains(&deleted));
        let described = kubectl.ok("describe daemonset agent");
        for message in [created, deleted] {
            assert!(described.contains(&message), "{message} in\n{described}");
        }
        assert_ne!(kubectl.ok(hash), revision);
        for (number, image) in [(1, "image.example/agent:1"), (2, "image.example/agent:2")] {
            let shown = kubectl.ok(&format!("rollout history daemonset/agent --revision={number}"));
            has_line(&shown, &format!("Image: {image}"));
        }
        kubectl.fails(
            "rollout undo daemonset/agent --to-revision=9",
            "error: unable to find specified revision 9 in history",
        );
        kubectl.says("rollout undo daemonset/agent --to-revision=1", "daemonset.apps/agent rolled back");
        rolled_out(kubectl);
        // What was there before has its name again.
        kubectl.says(hash, &revision);
        kubectl.says(
            "get daemonset agent -o jsonpath={.spec.template.spec.containers[0].image}",
            "image.example/agent:1",
        );
    });
}

fn rolled_out(kubectl: &Kubectl) {
    let text = kubectl.ok("rollout status daemonset/agent --timeout=60s");
    assert!(text.ends_with("daemon set \"agent\" successfully rolled out\n"), "{text}");
}

#[test]
fn a_namespace_takes_everything_with_it() {
    each_with_cluster(&manifests(), |kubectl| {
        kubectl.ok("create namespace apps");
        kubectl.says(
            "wait --for=create serviceaccount/default -n apps --timeout=30s",
            "serviceaccount/default condition met",
        );
        kubectl.says(
            "wait --for=create configmap/kube-root-ca.crt -n apps --timeout=30s",
            "configmap/kube-root-ca.crt condition met",
        );
        kubectl.ok("create configmap settings -n apps");
        kubectl.ok(&format!(
            "apply -n apps -f {}",
            kubectl.file("agent.yaml", &AGENT.replace("  namespace: default\n", ""))
        ));
        kubectl.says("delete namespace apps", &kubectl.deleted("namespace", "apps", None));
        kubectl.fails("get namespace apps", "Error from server (NotFound): namespaces \"apps\" not found");
        assert_eq!(kubectl.json("get pods,configmaps,daemonsets -n apps -o json")["items"], json!([]));
    });
}

#[test]
fn nodes() {
    each_with_cluster(&manifests(), |kubectl| {
        let table = kubectl.ok("get nodes");
        assert!(table.starts_with("NAME     STATUS   ROLES    AGE"), "{table}");
        assert!(table.contains("\nnode-1   Ready    <none>"), "{table}");
        kubectl.says("wait --for=condition=Ready node/node-1 --timeout=30s", "node/node-1 condition met");
        kubectl.says("cordon node-1", "node/node-1 cordoned");
        assert_eq!(kubectl.json("get node node-1 -o json")["spec"]["unschedulable"], json!(true));
        kubectl.says("uncordon node-1", "node/node-1 uncordoned");
        kubectl.says("taint node node-1 example.com/key=a:NoSchedule", "node/node-1 tainted");
        kubectl.says("taint node node-1 example.com/key-", "node/node-1 untainted");
        let described = kubectl.ok("describe node node-1");
        assert!(described.contains("Non-terminated Pods:"), "{described}");
        kubectl.shows("get csinodes", &["NAME | DRIVERS | AGE", "node-1 | 1 | <age>"]);
    });
}
