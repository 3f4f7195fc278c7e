//! Who may do what, asked by kubectl. Without these, `auth can-i`, `--as` and tokens of accounts give other answers than the
//! roles that kubectl itself made.

use super::{Kubectl, each_with_server};

/// A user who is asked for: the answer of `auth can-i`, which ends with 1 when it is no.
#[track_caller]
fn can(kubectl: &Kubectl, typed: &str, wanted: &str) {
    let ended = kubectl.command(&format!("auth can-i {typed}")).run();
    let code = i32::from(wanted != "yes");
    assert_eq!((ended.stdout.trim_end(), ended.code), (wanted, Some(code)), "{typed}: {}", ended.stderr);
}

#[test]
fn roles_give_what_they_say() {
    each_with_server(|kubectl| {
        can(kubectl, "create pods", "yes");
        can(kubectl, "get pods --as=alice", "no");
        kubectl.ok("create role reader --verb=get,list --resource=pods,serviceaccounts/token");
        kubectl.ok("create rolebinding readers --role=reader --user=alice");
        can(kubectl, "get pods --as=alice", "yes");
        can(kubectl, "list pods --as=alice", "yes");
        can(kubectl, "delete pods --as=alice", "no");
        can(kubectl, "get pods --as=alice -n kube-system", "no");
        can(kubectl, "get serviceaccounts --subresource=token --as=alice", "yes");
        kubectl.ok("create clusterrole drivers --verb=* --resource=csidrivers.storage.k8s.io");
        kubectl.ok("create clusterrolebinding drivers --clusterrole=drivers --group=storage");
        can(kubectl, "delete csidrivers --as=bob --as-group=storage", "yes");
        can(kubectl, "delete csidrivers --as=bob", "no");
        can(kubectl, "get /metrics --as=bob", "no");
        can(kubectl, "get /healthz --as=bob", "yes");
        kubectl.fails(
            "get pods --as=bob",
            "Error from server (Forbidden): pods is forbidden: User \"bob\" cannot list resource \"pods\" in API group \"\" \
             in the namespace \"default\"",
        );
        assert_eq!(kubectl.both("get pods --as=alice").1, "No resources found in default namespace.\n");
        kubectl.fails(
            "create configmap x --as=alice",
            "error: failed to create configmap: configmaps is forbidden: User \"alice\" cannot create resource \
             \"configmaps\" in API group \"\" in the namespace \"default\"",
        );
    });
}

#[test]
fn nobody_gives_more_than_they_have() {
    each_with_server(|kubectl| {
        kubectl.ok("create clusterrole granter --verb=create --resource=roles.rbac.authorization.k8s.io,rolebindings.rbac.authorization.k8s.io");
        kubectl.ok("create clusterrolebinding granters --clusterrole=granter --user=alice");
        let refused = kubectl.command("create role all --verb=get --resource=secrets --as=alice").run();
        assert_eq!(refused.code, Some(1));
        assert!(
            refused.stderr.contains("is attempting to grant RBAC permissions not currently held:"),
            "{}",
            refused.stderr
        );
    });
}

#[test]
fn who_one_is() {
    each_with_server(|kubectl| {
        let me = kubectl.json("auth whoami -o json");
        assert_eq!(me["kind"], "SelfSubjectReview");
        let groups = me["status"]["userInfo"]["groups"].as_array().unwrap();
        assert!(groups.iter().any(|group| group == "system:masters"), "{me}");
        let table = kubectl.ok("auth whoami --as=alice --as-group=team");
        let lines: Vec<Vec<&str>> =
            table.lines().map(|line| line.split("   ").map(str::trim).collect()).collect();
        let has = |name: &str, value: &str| {
            lines.iter().any(|line| line[0] == name && line.last().copied() == Some(value))
        };
        assert!(has("Username", "alice") && has("Groups", "[team system:authenticated]"), "{table}");
    });
}
