//! A node is emptied, as before its repair. Without these, `kubectl drain` finds no evictions and deletes pods at once, or waits for
//! ever; and a driver's DaemonSet, which names a class of the system, does not come up.

use super::clusters::has_line;
use super::{Kubectl, each_with_cluster, each_with_server};

/// A driver's DaemonSet as drivers have it, two bare pods, and a budget that keeps one of them.
const MANIFESTS: &str = "\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: driver, namespace: default}
spec:
  selector: {matchLabels: {app: driver}}
  template:
    metadata: {labels: {app: driver}}
    spec:
      priorityClassName: system-node-critical
      containers: [{name: main, image: image.example/driver:1}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: default}
---
apiVersion: v1
kind: Pod
metadata: {name: kept, namespace: default, labels: {app: web}}
spec:
  serviceAccountName: web
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: image.example/main:1}]
---
apiVersion: v1
kind: Pod
metadata: {name: free, namespace: default, labels: {app: job}}
spec:
  serviceAccountName: web
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: image.example/main:1}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: default}
spec:
  minAvailable: 1
  selector: {matchLabels: {app: web}}
";

fn names_of_pods(kubectl: &Kubectl) -> String {
    kubectl.ok("get pods -l app!=driver -o name")
}

#[test]
fn a_node_is_drained_as_far_as_budgets_allow() {
    each_with_cluster(MANIFESTS, |kubectl| {
        kubectl.ok("wait --for=condition=Ready pod/kept pod/free --timeout=30s");
        kubectl.ok("rollout status daemonset/driver --timeout=30s");
        kubectl.says(
            "get pods -l app=driver -o jsonpath={.items[*].spec.priority}:{.items[*].spec.preemptionPolicy}",
            "2000001000:PreemptLowerPriority",
        );
        kubectl
            .says("wait --for=jsonpath={.status.currentHealthy}=1 pdb/web --timeout=30s", &condition_met());
        kubectl.shows(
            "get poddisruptionbudgets",
            &[
                "NAME | MIN AVAILABLE | MAX UNAVAILABLE | ALLOWED DISRUPTIONS | AGE",
                "web | 1 | N/A | 0 | <age>",
            ],
        );

        // The one is let go, the other one kept.
        let drain = "drain node-1 --ignore-daemonsets --force --timeout=2s";
        let ended = kubectl.command(drain).run();
        assert_eq!(ended.code, Some(1), "{}\n{}", ended.stdout, ended.stderr);
        let refusal = "Cannot evict pod as it would violate the pod's disruption budget.";
        assert!(ended.stderr.contains("error when evicting pods/\"kept\""), "{}", ended.stderr);
        assert!(ended.stderr.contains(refusal), "{}", ended.stderr);
        kubectl.ok("wait --for=delete pod/free --timeout=30s");
        assert_eq!(names_of_pods(kubectl).trim_end(), "pod/kept");
        kubectl.says("get node node-1 -o jsonpath={.spec.unschedulable}", "true");
        let described = kubectl.ok("describe pdb web");
        has_line(&described, "Min available:  1");
        has_line(&described, "Current:  1");
        has_line(&described, "Allowed disruptions:  0");

        kubectl.ok("patch pdb web --type=merge -p {\"spec\":{\"minAvailable\":0}}");
        kubectl.says(
            "wait --for=jsonpath={.status.disruptionsAllowed}=1 pdb/web --timeout=30s",
            &condition_met(),
        );
        let (tried, _) = kubectl.both("drain node-1 --ignore-daemonsets --force --dry-run=server");
        has_line(&tried, "evicting pod default/kept (server dry run)");
        has_line(&tried, "node/node-1 drained (server dry run)");
        assert_eq!(names_of_pods(kubectl).trim_end(), "pod/kept");
        let (drained, _) = kubectl.both("drain node-1 --ignore-daemonsets --force --timeout=30s");
        has_line(&drained, "evicting pod default/kept");
        has_line(&drained, "pod/kept evicted");
        has_line(&drained, "node/node-1 drained");
        assert_eq!(names_of_pods(kubectl), "");
        // What a DaemonSet keeps there stays.
        kubectl.says("get pods -l app=driver -o jsonpath={.items[*].status.phase}", "Running");
        kubectl.says("uncordon node-1", "node/node-1 uncordoned");
    });
}

fn condition_met() -> String {
    "poddisruptionbudget.policy/web condition met".to_owned()
}

#[test]
fn classes_are_looked_at() {
    each_with_server(|kubectl| {
        kubectl.says(
            "create priorityclass gold --value=1000 --description=paid",
            "priorityclass.scheduling.k8s.io/gold created",
        );
        kubectl.shows(
            "get priorityclasses",
            &[
                "NAME | VALUE | GLOBAL-DEFAULT | AGE | PREEMPTIONPOLICY",
                "gold | 1000 | false | <age> | PreemptLowerPriority",
                "system-cluster-critical | 2000000000 | false | <age> | PreemptLowerPriority",
                "system-node-critical | 2000001000 | false | <age> | PreemptLowerPriority",
            ],
        );
        has_line(&kubectl.ok("describe pc gold"), "Value: 1000");
        has_line(&kubectl.ok("explain pc"), "value <integer> -required-");
    });
}
