//! The roles and bindings that a cluster has from its first start, as upstream has them, restricted to what is served.
//!
//! Aggregated roles come with their rules filled in: a server without controllers would have nobody to gather them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{GROUP, PolicyRule, aggregated_rules};
use crate::label_selector::{LabelSelector, Labels};

/// The annotation that lets a start put missing rights back; `"false"` keeps an object as it is.
pub const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// A role as a row of the table.
struct Row {
    name: &'static str,
    /// The aggregated role that gathers this one.
    gathered_by: Option<&'static str>,
    rules: &'static [Rule],
}

/// A rule as a row of the table.
enum Rule {
    /// Verbs, API groups, resources.
    On(&'static [&'static str], &'static [&'static str], &'static [&'static str]),
    /// Verbs, one group, one resource, names.
    Named(&'static [&'static str], &'static str, &'static str, &'static [&'static str]),
    /// Paths to be read.
    Paths(&'static [&'static str]),
    /// Every verb on every path.
    AllPaths,
}

use Rule::{AllPaths, Named, On, Paths};

const ALL: &[&str] = &["*"];
const CORE: &[&str] = &[""];
const APPS: &[&str] = &["apps"];
const POLICY: &[&str] = &["policy"];
const STORAGE: &[&str] = &["storage.k8s.io"];
const LEASES: &[&str] = &["coordination.k8s.io"];
const RBAC: &[&str] = &[GROUP];
const AUTHENTICATION: &[&str] = &["authentication.k8s.io"];
const AUTHORIZATION: &[&str] = &["authorization.k8s.io"];
const CREATE: &[&str] = &["create"];
const UPDATE: &[&str] = &["update"];
const CHANGE: &[&str] = &["patch", "update"];
const READ: &[&str] = &["get", "list", "watch"];
const FOLLOW: &[&str] = &["list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];
const READ_WRITE: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const OWN: &[&str] = &["create", "delete", "get", "patch", "update"];
const REVIEWS: [Rule; 2] =
    [On(CREATE, AUTHENTICATION, &["tokenreviews"]), On(CREATE, AUTHORIZATION, &["subjectaccessreviews"])];
const EVENTS: Rule = On(&["create", "patch", "update"], &["", "events.k8s.io"], &["events"]);

const fn role(name: &'static str, rules: &'static [Rule]) -> Row {
    Row { name, gathered_by: None, rules }
}

/// The roles whose rules are gathered, and what is put into each. The order lets each find those it gathers.
const AGGREGATED: [(&str, Option<&str>); 3] =
    [("view", Some("edit")), ("edit", Some("admin")), ("admin", None)];

/// What the node authorizer allows every node beyond what it relates to the node's pods; and what `system:node` holds
/// for whoever binds it.
static NODE: &[Rule] = &[
    On(CREATE, AUTHENTICATION, &["tokenreviews"]),
    On(CREATE, AUTHORIZATION, &["localsubjectaccessreviews", "subjectaccessreviews"]),
    On(READ, CORE, &["services"]),
    On(CREATE, CORE, &["nodes"]),
    On(CHANGE, CORE, &["nodes/status"]),
    On(CHANGE, CORE, &["nodes"]),
    On(&["create", "patch", "update"], CORE, &["events"]),
    On(&["create", "delete"], CORE, &["pods"]),
    On(CHANGE, CORE, &["pods/status"]),
    On(CREATE, CORE, &["pods/eviction"]),
    On(READ, CORE, &["configmaps", "secrets"]),
    On(&["get"], CORE, &["persistentvolumeclaims", "persistentvolumes"]),
    On(&["get"], CORE, &["endpoints"]),
    On(&["create", "get", "list", "watch"], &["certificates.k8s.io"], &["certificatesigningrequests"]),
    On(OWN, LEASES, &["leases"]),
    On(&["get"], STORAGE, &["volumeattachments"]),
    On(CREATE, CORE, &["serviceaccounts/token"]),
    On(&["get", "patch", "update"], CORE, &["persistentvolumeclaims/status"]),
    On(READ, STORAGE, &["csidrivers"]),
    On(OWN, STORAGE, &["csinodes"]),
    On(READ, &["node.k8s.io"], &["runtimeclasses"]),
];

static CLUSTER_ROLES: &[Row] = &[
    role("cluster-admin", &[On(ALL, ALL, ALL), AllPaths]),
    role(
        "system:discovery",
        &[Paths(&[
            "/api",
            "/api/*",
            "/apis",
            "/apis/*",
            "/healthz",
            "/livez",
            "/openapi",
            "/openapi/*",
            "/readyz",
            "/version",
            "/version/",
        ])],
    ),
    role("system:public-info-viewer", &[Paths(&["/healthz", "/livez", "/readyz", "/version", "/version/"])]),
    role(
        "system:monitoring",
        &[Paths(&[
            "/healthz",
            "/healthz/*",
            "/livez",
            "/livez/*",
            "/metrics",
            "/metrics/slis",
            "/readyz",
            "/readyz/*",
        ])],
    ),
    role(
        "system:basic-user",
        &[
            On(CREATE, AUTHORIZATION, &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
            On(CREATE, AUTHENTICATION, &["selfsubjectreviews"]),
        ],
    ),
    role(
        "system:service-account-issuer-discovery",
        &[Paths(&["/.well-known/openid-configuration", "/openid/v1/jwks"])],
    ),
    role("system:auth-delegator", &REVIEWS),
    role(
        "system:kubelet-api-admin",
        &[
            On(READ, CORE, &["nodes"]),
            On(&["proxy"], CORE, &["nodes"]),
            On(
                ALL,
                CORE,
                &[
                    "nodes/configz",
                    "nodes/healthz",
                    "nodes/log",
                    "nodes/metrics",
                    "nodes/pods",
                    "nodes/proxy",
                    "nodes/stats",
                ],
            ),
        ],
    ),
    role("system:node", NODE),
    Row {
        name: "system:aggregate-to-admin",
        gathered_by: Some("admin"),
        rules: &[
            On(CREATE, AUTHORIZATION, &["localsubjectaccessreviews"]),
            On(READ_WRITE, RBAC, &["rolebindings", "roles"]),
        ],
    },
    Row {
        name: "system:aggregate-to-edit",
        gathered_by: Some("edit"),
        rules: &[
            On(READ, CORE, &["secrets"]),
            On(&["impersonate"], CORE, &["serviceaccounts"]),
            On(WRITE, CORE, &["pods"]),
            On(CREATE, CORE, &["pods/eviction"]),
            On(
                WRITE,
                CORE,
                &["configmaps", "events", "persistentvolumeclaims", "secrets", "serviceaccounts"],
            ),
            On(CREATE, CORE, &["serviceaccounts/token"]),
            On(WRITE, APPS, &["daemonsets"]),
            On(WRITE, POLICY, &["poddisruptionbudgets"]),
            On(READ_WRITE, LEASES, &["leases"]),
        ],
    },
    Row {
        name: "system:aggregate-to-view",
        gathered_by: Some("view"),
        rules: &[
            On(
                READ,
                CORE,
                &[
                    "configmaps",
                    "persistentvolumeclaims",
                    "persistentvolumeclaims/status",
                    "pods",
                    "serviceaccounts",
                ],
            ),
            On(READ, CORE, &["bindings", "events", "namespaces/status", "pods/log", "pods/status"]),
            On(READ, CORE, &["namespaces"]),
            On(READ, &["discovery.k8s.io"], &["endpointslices"]),
            On(READ, APPS, &["controllerrevisions", "daemonsets", "daemonsets/status"]),
            On(READ, POLICY, &["poddisruptionbudgets", "poddisruptionbudgets/status"]),
        ],
    },
    role(
        "system:persistent-volume-provisioner",
        &[
            On(&["create", "delete", "get", "list", "watch"], CORE, &["persistentvolumes"]),
            On(&["get", "list", "update", "watch"], CORE, &["persistentvolumeclaims"]),
            On(READ, STORAGE, &["storageclasses"]),
            On(&["watch"], CORE, &["events"]),
            EVENTS,
        ],
    ),
    role(
        "system:kube-controller-manager",
        &[
            EVENTS,
            On(CREATE, LEASES, &["leases"]),
            Named(&["get", "update"], "coordination.k8s.io", "leases", &["kube-controller-manager"]),
            On(CREATE, CORE, &["secrets", "serviceaccounts"]),
            On(&["delete"], CORE, &["secrets"]),
            On(&["get"], CORE, &["configmaps", "namespaces", "secrets", "serviceaccounts"]),
            On(UPDATE, CORE, &["secrets", "serviceaccounts"]),
            On(CREATE, AUTHENTICATION, &["tokenreviews"]),
            On(CREATE, AUTHORIZATION, &["subjectaccessreviews"]),
            On(FOLLOW, ALL, ALL),
            On(CREATE, CORE, &["serviceaccounts/token"]),
        ],
    ),
    role(
        "system:kube-scheduler",
        &[
            EVENTS,
            On(CREATE, LEASES, &["leases"]),
            Named(&["get", "list", "update", "watch"], "coordination.k8s.io", "leases", &["kube-scheduler"]),
            On(READ, CORE, &["nodes"]),
            On(&["delete", "get", "list", "watch"], CORE, &["pods"]),
            On(CREATE, CORE, &["bindings", "pods/binding"]),
            On(CHANGE, CORE, &["pods/status"]),
            On(READ, CORE, &["persistentvolumeclaims", "persistentvolumes"]),
            On(CREATE, AUTHENTICATION, &["tokenreviews"]),
            On(CREATE, AUTHORIZATION, &["subjectaccessreviews"]),
            On(READ, POLICY, &["poddisruptionbudgets"]),
            On(READ, STORAGE, &["csinodes"]),
            On(READ, CORE, &["namespaces"]),
            On(READ, STORAGE, &["csidrivers"]),
        ],
    ),
    role(
        "system:volume-scheduler",
        &[
            On(&["get", "list", "patch", "update", "watch"], CORE, &["persistentvolumes"]),
            On(READ, STORAGE, &["storageclasses"]),
            On(&["get", "list", "patch", "update", "watch"], CORE, &["persistentvolumeclaims"]),
        ],
    ),
];

/// The roles of controllers: each is bound to the service account of its name in `kube-system`.
static CONTROLLERS: &[(&str, &[Rule])] = &[
    (
        "attachdetach-controller",
        &[
            On(FOLLOW, CORE, &["persistentvolumeclaims", "persistentvolumes"]),
            On(READ, CORE, &["nodes"]),
            On(CHANGE, CORE, &["nodes/status"]),
            On(FOLLOW, CORE, &["pods"]),
            EVENTS,
            On(&["create", "delete", "get", "list", "watch"], STORAGE, &["volumeattachments"]),
            On(READ, STORAGE, &["csidrivers"]),
            On(READ, STORAGE, &["csinodes"]),
        ],
    ),
    (
        "clusterrole-aggregation-controller",
        &[On(&["escalate", "get", "list", "patch", "update", "watch"], RBAC, &["clusterroles"])],
    ),
    (
        "daemon-set-controller",
        &[
            On(READ, APPS, &["daemonsets"]),
            On(UPDATE, APPS, &["daemonsets/status"]),
            On(UPDATE, APPS, &["daemonsets/finalizers"]),
            On(FOLLOW, CORE, &["nodes"]),
            On(&["create", "delete", "list", "patch", "watch"], CORE, &["pods"]),
            On(CREATE, CORE, &["pods/binding"]),
            On(
                &["create", "delete", "get", "list", "patch", "update", "watch"],
                APPS,
                &["controllerrevisions"],
            ),
            EVENTS,
        ],
    ),
    (
        "disruption-controller",
        &[
            On(READ, POLICY, &["poddisruptionbudgets"]),
            On(UPDATE, POLICY, &["poddisruptionbudgets/status"]),
            On(CHANGE, CORE, &["pods/status"]),
            EVENTS,
        ],
    ),
    (
        "ephemeral-volume-controller",
        &[
            On(READ, CORE, &["pods"]),
            On(UPDATE, CORE, &["pods/finalizers"]),
            On(&["create", "get", "list", "watch"], CORE, &["persistentvolumeclaims"]),
            EVENTS,
        ],
    ),
    (
        "generic-garbage-collector",
        &[On(&["delete", "get", "list", "patch", "update", "watch"], ALL, ALL), EVENTS],
    ),
    (
        "namespace-controller",
        &[
            On(&["delete", "get", "list", "watch"], CORE, &["namespaces"]),
            On(UPDATE, CORE, &["namespaces/finalize", "namespaces/status"]),
            On(&["delete", "deletecollection", "get", "list", "watch"], ALL, ALL),
        ],
    ),
    (
        "persistent-volume-binder",
        &[
            On(&["create", "delete", "get", "list", "update", "watch"], CORE, &["persistentvolumes"]),
            On(UPDATE, CORE, &["persistentvolumes/status"]),
            On(&["get", "list", "update", "watch"], CORE, &["persistentvolumeclaims"]),
            On(UPDATE, CORE, &["persistentvolumeclaims/status"]),
            On(&["create", "delete", "get", "list", "watch"], CORE, &["pods"]),
            On(READ, STORAGE, &["storageclasses"]),
            On(&["get", "list"], CORE, &["nodes"]),
            EVENTS,
        ],
    ),
    (
        "pv-protection-controller",
        &[On(&["get", "list", "update", "watch"], CORE, &["persistentvolumes"]), EVENTS],
    ),
    (
        "pvc-protection-controller",
        &[
            On(&["get", "list", "update", "watch"], CORE, &["persistentvolumeclaims"]),
            On(READ, CORE, &["pods"]),
            EVENTS,
        ],
    ),
    ("root-ca-cert-publisher", &[On(&["create", "update"], CORE, &["configmaps"]), EVENTS]),
    ("service-account-controller", &[On(CREATE, CORE, &["serviceaccounts"]), EVENTS]),
];

/// Bindings of the same name as their role, and their subjects' kind and names.
static CLUSTER_ROLE_BINDINGS: &[(&str, &str, &[&str])] = &[
    ("cluster-admin", "Group", &[super::MASTERS]),
    ("system:basic-user", "Group", &["system:authenticated"]),
    ("system:discovery", "Group", &["system:authenticated"]),
    ("system:kube-controller-manager", "User", &["system:kube-controller-manager"]),
    ("system:kube-scheduler", "User", &["system:kube-scheduler"]),
    ("system:monitoring", "Group", &["system:monitoring"]),
    // The node authorizer gives nodes what they need; whoever turns that off binds them here.
    ("system:node", "Group", &[]),
    ("system:public-info-viewer", "Group", &["system:authenticated", "system:unauthenticated"]),
    ("system:service-account-issuer-discovery", "Group", &["system:serviceaccounts"]),
    ("system:volume-scheduler", "User", &["system:kube-scheduler"]),
];

/// What every node may do beyond what the node authorizer looks at closely.
#[must_use]
pub fn node_rules() -> Vec<PolicyRule> {
    NODE.iter().map(Rule::to_policy_rule).collect()
}

/// The ClusterRoles, complete but for what a server adds to every object.
#[must_use]
pub fn cluster_roles() -> Vec<Map<String, Value>> {
    let mut gathered: BTreeMap<String, (Labels, Vec<PolicyRule>)> = BTreeMap::new();
    let mut objects = Vec::new();
    let controllers = CONTROLLERS.iter().map(|(name, rules)| (controller(name), None, *rules));
    let rows = CLUSTER_ROLES.iter().map(|row| (row.name.to_owned(), row.gathered_by, row.rules));
    for (name, gathered_by, rules) in rows.chain(controllers) {
        let rules: Vec<PolicyRule> = rules.iter().map(Rule::to_policy_rule).collect();
        let labels = labels(gathered_by);
        objects.push(object("ClusterRole", &name, &labels, json!({"rules": rules})));
        gathered.insert(name, (labels, rules));
    }
    for (name, gathered_by) in AGGREGATED {
        let selector = json!({"matchLabels": {aggregation_label(name): "true"}});
        let parsed: LabelSelector =
            serde_json::from_value(selector.clone()).expect("a selector of one label");
        let rules = aggregated_rules(name, &[parsed], &gathered);
        let labels = labels(gathered_by);
        let members = json!({"aggregationRule": {"clusterRoleSelectors": [selector]}, "rules": rules});
        objects.push(object("ClusterRole", name, &labels, members));
        gathered.insert(name.to_owned(), (labels, rules));
    }
    objects
}

/// The ClusterRoleBindings, complete but for what a server adds to every object.
#[must_use]
pub fn cluster_role_bindings() -> Vec<Map<String, Value>> {
    let binding = |name: &str, subjects: Vec<Value>| {
        let mut members = json!({"roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}});
        if !subjects.is_empty() {
            members["subjects"] = subjects.into();
        }
        object("ClusterRoleBinding", name, &labels(None), members)
    };
    let subject = |kind: &str, name: &&str| json!({"apiGroup": GROUP, "kind": kind, "name": name});
    let plain = CLUSTER_ROLE_BINDINGS.iter().map(|(name, kind, subjects)| {
        binding(name, subjects.iter().map(|name| subject(kind, name)).collect())
    });
    let controllers = CONTROLLERS.iter().map(|(name, _)| {
        let account = json!({"kind": "ServiceAccount", "name": name, "namespace": "kube-system"});
        binding(&controller(name), vec![account])
    });
    plain.chain(controllers).collect()
}

fn controller(name: &str) -> String {
    format!("system:controller:{name}")
}

fn aggregation_label(role: &str) -> String {
    format!("rbac.authorization.k8s.io/aggregate-to-{role}")
}

fn labels(gathered_by: Option<&str>) -> Labels {
    let mut labels = BTreeMap::from([("kubernetes.io/bootstrapping".to_owned(), "rbac-defaults".to_owned())]);
    labels.extend(gathered_by.map(|role| (aggregation_label(role), "true".to_owned())));
    labels
}

fn object(kind: &str, name: &str, labels: &Labels, members: Value) -> Map<String, Value> {
    let mut object = Map::from_iter([
        ("apiVersion".to_owned(), format!("{GROUP}/v1").into()),
        ("kind".to_owned(), kind.into()),
        (
            "metadata".to_owned(),
            json!({"name": name, "labels": labels, "annotations": {AUTO_UPDATE: "true"}}),
        ),
    ]);
    if let Value::Object(members) = members {
        object.extend(members);
    }
    object
}

impl Rule {
    fn to_policy_rule(&self) -> PolicyRule {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        match self {
            AllPaths => {
                PolicyRule { verbs: owned(ALL), non_resource_urls: owned(ALL), ..PolicyRule::default() }
            }
            On(verbs, groups, resources) => PolicyRule {
                verbs: owned(verbs),
                api_groups: owned(groups),
                resources: owned(resources),
                ..PolicyRule::default()
            },
            Named(verbs, group, resource, names) => PolicyRule {
                verbs: owned(verbs),
                api_groups: owned(&[group]),
                resources: owned(&[resource]),
                resource_names: owned(names),
                ..PolicyRule::default()
            },
            Paths(paths) => PolicyRule {
                verbs: owned(&["get"]),
                non_resource_urls: owned(paths),
                ..PolicyRule::default()
            },
        }
    }
}

#[cfg(test)]
mod tests;
