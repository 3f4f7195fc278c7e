use super::*;
use crate::rbac::{Attributes, Policy, ResourceAttributes, Who, validation};

fn policy() -> Policy {
    let mut policy = Policy::default();
    let name = |object: &Map<String, Value>| object["metadata"]["name"].as_str().expect("named").to_owned();
    for role in cluster_roles() {
        let rules: Vec<PolicyRule> = serde_json::from_value(role["rules"].clone()).expect("rules");
        policy.put_cluster_role(&name(&role), rules.into());
    }
    for binding in cluster_role_bindings() {
        let parsed: crate::rbac::Binding =
            serde_json::from_value(Value::Object(binding.clone())).expect("a binding");
        policy.put_cluster_role_binding(&name(&binding), parsed.into());
    }
    policy
}

#[test]
fn all_of_it_is_valid_and_every_binding_finds_its_role() {
    let roles = cluster_roles();
    for role in &roles {
        assert!(validation::validate_role(role, false).is_empty(), "{role:?}");
        assert_eq!(role["metadata"]["labels"]["kubernetes.io/bootstrapping"], "rbac-defaults");
        assert_eq!(role["metadata"]["annotations"][AUTO_UPDATE], "true");
    }
    for binding in cluster_role_bindings() {
        assert!(validation::validate_binding(&binding, false).is_empty(), "{binding:?}");
        let mut defaulted = binding.clone();
        validation::set_binding_defaults(&mut defaulted);
        assert_eq!(defaulted, binding);
        let bound = &binding["roleRef"]["name"];
        assert!(roles.iter().any(|role| role["metadata"]["name"] == *bound), "{bound}");
    }
    let names: std::collections::BTreeSet<&str> =
        roles.iter().filter_map(|role| role["metadata"]["name"].as_str()).collect();
    assert_eq!(names.len(), roles.len(), "each name once");
}

#[test]
fn what_everybody_may() {
    let policy = policy();
    let everybody = ["system:authenticated".to_owned()];
    let anonymous = ["system:unauthenticated".to_owned()];
    let account = ["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()];
    let masters = [super::super::MASTERS.to_owned()];
    // Path, and whether anonymous, alice, a service account and an administrator may read it.
    let table = [
        ("/version", [true, true, true, true]),
        ("/readyz", [true, true, true, true]),
        ("/readyz/ping", [false, false, false, true]),
        ("/apis/storage.k8s.io/v1", [false, true, true, true]),
        ("/apisx", [false, false, false, true]),
        ("/openid/v1/jwks", [false, false, true, true]),
        ("/metrics", [false, false, false, true]),
    ];
    for (path, expected) in table {
        for (groups, expected) in [&anonymous[..], &everybody, &account, &masters].iter().zip(expected) {
            let asked = Attributes::NonResource { path, verb: "get" };
            let allowed = policy.decide(Who { name: "somebody", groups }, &asked).is_ok();
            assert_eq!(allowed, expected, "{groups:?} {path}");
        }
    }
    let review = Attributes::Resource(ResourceAttributes {
        verb: "create",
        group: "authorization.k8s.io",
        resource: "selfsubjectaccessreviews",
        subresource: "",
        namespace: "",
        name: "",
    });
    assert!(policy.decide(Who { name: "alice", groups: &everybody }, &review).is_ok());
    assert!(policy.decide(Who { name: "nobody", groups: &anonymous }, &review).is_err());
}

#[test]
fn view_is_in_edit_and_edit_in_admin() {
    let rules = |name: &str| -> Vec<PolicyRule> {
        let roles = cluster_roles();
        let role = roles.iter().find(|role| role["metadata"]["name"] == name).expect("a default role");
        serde_json::from_value(role["rules"].clone()).expect("rules")
    };
    let (view, edit, admin) = (rules("view"), rules("edit"), rules("admin"));
    assert!(!view.is_empty() && view.len() < edit.len() && edit.len() < admin.len());
    assert!(view.iter().all(|rule| edit.contains(rule)));
    assert!(edit.iter().all(|rule| admin.contains(rule)));
    let secrets = |verb| {
        Attributes::Resource(ResourceAttributes {
            verb,
            group: "",
            resource: "secrets",
            subresource: "",
            namespace: "a",
            name: "s",
        })
    };
    assert!(!view.iter().any(|rule| rule.allows(&secrets("get"))));
    assert!(edit.iter().any(|rule| rule.allows(&secrets("get"))));
}

#[test]
fn a_controller_holds_its_role() {
    let policy = policy();
    let account = Who { name: "system:serviceaccount:kube-system:daemon-set-controller", groups: &[] };
    let pods = |verb| {
        Attributes::Resource(ResourceAttributes {
            verb,
            group: "",
            resource: "pods",
            subresource: "",
            namespace: "a",
            name: "",
        })
    };
    assert!(policy.decide(account, &pods("create")).is_ok());
    assert!(policy.decide(account, &pods("deletecollection")).is_err());
}
