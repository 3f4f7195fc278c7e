//! Decisions held against a plain reading of all objects, and the texts that they are told with.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::rbac::ResourceAttributes;

fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    PolicyRule {
        verbs: owned(verbs),
        api_groups: owned(groups),
        resources: owned(resources),
        resource_names: owned(names),
        non_resource_urls: Vec::new(),
    }
}

fn subject(kind: &str, name: &str, namespace: &str) -> Subject {
    Subject { kind: kind.to_owned(), name: name.to_owned(), namespace: namespace.to_owned() }
}

fn binding(kind: &str, role: &str, subjects: &[Subject]) -> Arc<Binding> {
    let role_ref = RoleRef { kind: kind.to_owned(), name: role.to_owned() };
    Arc::new(Binding { subjects: subjects.to_vec(), role_ref })
}

fn get(resource: &'static str, namespace: &'static str) -> Attributes<'static> {
    let name = "x";
    Attributes::Resource(ResourceAttributes {
        verb: "get",
        group: "",
        resource,
        subresource: "",
        namespace,
        name,
    })
}

#[test]
fn grants_and_faults_read_as_upstream_writes_them() {
    let mut policy = Policy::default();
    policy.put_cluster_role("reader", [rule(&["get"], &[""], &["pods"], &[])].into());
    policy.put_role("a", "local", [rule(&["get"], &[""], &["secrets"], &[])].into());
    policy.put_cluster_role_binding("all", binding("ClusterRole", "reader", &[subject("Group", "g", "")]));
    policy.put_role_binding("a", "local", binding("Role", "local", &[subject("ServiceAccount", "web", "")]));
    policy.put_role_binding(
        "a",
        "from-b",
        binding("Role", "local", &[subject("ServiceAccount", "web", "b")]),
    );
    policy.put_role_binding("a", "broken", binding("Role", "gone", &[subject("User", "u", "")]));
    policy.put_role_binding("a", "broken-too", binding("ClusterRole", "gone", &[subject("User", "u", "")]));
    policy.put_cluster_role_binding(
        "nobody",
        binding("ClusterRole", "reader", &[subject("ServiceAccount", "web", "")]),
    );
    let told = |name: &str, groups: &[&str], attributes: Attributes<'_>| {
        let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        match policy.decide(Who { name, groups: &groups }, &attributes) {
            Ok(grant) => format!("by {grant}"),
            Err(faults) if faults.is_empty() => "no".to_owned(),
            Err(faults) => format!("no: {faults}"),
        }
    };
    let table = [
        (
            told("x", &["g"], get("pods", "any")),
            "by ClusterRoleBinding \"all\" of ClusterRole \"reader\" to Group \"g\"",
        ),
        (told("x", &["g"], get("secrets", "a")), "no"),
        (
            told("system:serviceaccount:a:web", &[], get("secrets", "a")),
            "by RoleBinding \"local/a\" of Role \"local\" to ServiceAccount \"web/a\"",
        ),
        (told("system:serviceaccount:a:web", &[], get("secrets", "b")), "no"),
        (told("system:serviceaccount:a:web", &[], get("pods", "")), "no"),
        (
            told("system:serviceaccount:b:web", &[], get("secrets", "a")),
            "by RoleBinding \"from-b/a\" of Role \"local\" to ServiceAccount \"web/b\"",
        ),
        (
            told("u", &[], get("secrets", "a")),
            "no: [role.rbac.authorization.k8s.io \"gone\" not found, clusterrole.rbac.authorization.k8s.io \"gone\" not found]",
        ),
        (told("u", &[], get("secrets", "b")), "no"),
    ];
    for (found, expected) in table {
        assert_eq!(found, expected);
    }
}

#[test]
fn what_is_taken_away_grants_nothing_any_more() {
    let mut policy = Policy::default();
    let u = Who { name: "u", groups: &[] };
    let rules: Arc<[PolicyRule]> = [rule(&["get"], &[""], &["pods"], &[])].into();
    policy.put_cluster_role("r", rules.clone());
    policy.put_role_binding("a", "b", binding("ClusterRole", "r", &[subject("User", "u", "")]));
    assert!(policy.decide(u, &get("pods", "a")).is_ok());
    policy.put_cluster_role("r", Arc::from([]));
    assert!(policy.decide(u, &get("pods", "a")).is_err());
    policy.put_cluster_role("r", rules);
    policy.put_role_binding("a", "b", binding("ClusterRole", "r", &[subject("User", "v", "")]));
    assert!(policy.decide(u, &get("pods", "a")).is_err());
    policy.remove_role_binding("a", "b");
    policy.remove_cluster_role("r");
    assert!(policy.role_bindings.is_empty() && policy.cluster_roles.is_empty());
}

/// A role or binding that comes or goes.
#[derive(Clone, Debug)]
enum Change {
    Role { namespace: &'static str, name: &'static str, rules: Option<Vec<PolicyRule>> },
    Binding { namespace: &'static str, name: &'static str, binding: Option<Binding> },
}

/// The same objects in plain lists, read from one end to the other for every question.
#[derive(Default)]
struct Plain {
    roles: BTreeMap<(&'static str, &'static str), Vec<PolicyRule>>,
    bindings: BTreeMap<(&'static str, &'static str), Binding>,
}

impl Plain {
    fn allows(&self, who: Who<'_>, attributes: &Attributes<'_>) -> bool {
        let asked_in = match attributes {
            Attributes::Resource(resource) => resource.namespace,
            Attributes::NonResource { .. } => "",
        };
        self.bindings.iter().any(|((namespace, _), binding)| {
            let holds_here = namespace.is_empty() || *namespace == asked_in;
            let concerns = binding.subjects.iter().any(|subject| match subject.kind.as_str() {
                "User" => subject.name == who.name,
                "Group" => who.groups.contains(&subject.name),
                "ServiceAccount" => {
                    let own = &subject.namespace;
                    let of = if own.is_empty() { (*namespace).to_owned() } else { own.clone() };
                    !of.is_empty() && who.name == format!("system:serviceaccount:{of}:{}", subject.name)
                }
                _ => false,
            });
            let role_namespace = if binding.role_ref.kind == "Role" { *namespace } else { "" };
            // A Role without a namespace is none.
            let is_possible = binding.role_ref.kind != "Role" || !namespace.is_empty();
            let rules = self.roles.get(&(role_namespace, binding.role_ref.name.as_str()));
            let allows = rules.is_some_and(|rules| rules.iter().any(|rule| plainly_allows(rule, attributes)));
            holds_here && concerns && is_possible && allows
        })
    }
}

/// The matching rules written down once more, in words of their own.
fn plainly_allows(rule: &PolicyRule, attributes: &Attributes<'_>) -> bool {
    let among = |list: &Vec<String>, value: &str| list.iter().any(|one| one == "*" || one == value);
    match attributes {
        Attributes::NonResource { path, verb } => {
            among(&rule.verbs, verb)
                && rule.non_resource_urls.iter().any(|url| {
                    let open = url.ends_with('*');
                    let stem = url.trim_end_matches('*');
                    if open { path.get(..stem.len()) == Some(stem) } else { url == path }
                })
        }
        Attributes::Resource(asked) => {
            let whole = match asked.subresource {
                "" => asked.resource.to_owned(),
                sub => format!("{}/{sub}", asked.resource),
            };
            let starred = format!("*/{}", asked.subresource);
            let resource = rule
                .resources
                .iter()
                .any(|one| one == "*" || *one == whole || (!asked.subresource.is_empty() && *one == starred));
            let name =
                rule.resource_names.is_empty() || rule.resource_names.iter().any(|one| one == asked.name);
            among(&rule.verbs, asked.verb) && among(&rule.api_groups, asked.group) && resource && name
        }
    }
}

const NAMESPACES: [&str; 3] = ["", "a", "b"];
const NAMES: [&str; 3] = ["x", "y", "z"];

fn texts(from: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    vec(select(from).prop_map(str::to_owned), 0..=most)
}

fn rules() -> impl Strategy<Value = PolicyRule> {
    (
        texts(&["get", "list", "create", "*"], 2),
        texts(&["", "apps", "*"], 2),
        texts(&["pods", "pods/status", "*/status", "secrets", "*", "pods/*"], 3),
        texts(&["x", "y"], 1),
        texts(&["/api", "/api/*", "*", "/healthz*"], 2),
    )
        .prop_map(|(verbs, api_groups, resources, resource_names, non_resource_urls)| PolicyRule {
            verbs,
            api_groups,
            resources,
            resource_names,
            non_resource_urls,
        })
}

fn bindings() -> impl Strategy<Value = Binding> {
    let subjects = (
        select(&["User", "Group", "ServiceAccount", "Other"][..]),
        select(&["u", "g", "x"][..]),
        select(&NAMESPACES[..]),
    )
        .prop_map(|(kind, name, namespace)| subject(kind, name, namespace));
    (vec(subjects, 0..3), select(&["Role", "ClusterRole"][..]), select(&NAMES[..])).prop_map(
        |(subjects, kind, name)| Binding {
            subjects,
            role_ref: RoleRef { kind: kind.to_owned(), name: name.to_owned() },
        },
    )
}

fn changes() -> impl Strategy<Value = Change> {
    let place = (select(&NAMESPACES[..]), select(&NAMES[..]));
    prop_oneof![
        (place.clone(), proptest::option::weighted(0.8, vec(rules(), 0..3)))
            .prop_map(|((namespace, name), rules)| Change::Role { namespace, name, rules }),
        (place, proptest::option::weighted(0.8, bindings()))
            .prop_map(|((namespace, name), binding)| Change::Binding { namespace, name, binding }),
    ]
}

fn apply(policy: &mut Policy, plain: &mut Plain, change: Change) {
    match change {
        Change::Role { namespace: "", name, rules: Some(rules) } => {
            policy.put_cluster_role(name, rules.clone().into());
            plain.roles.insert(("", name), rules);
        }
        Change::Role { namespace: "", name, rules: None } => {
            policy.remove_cluster_role(name);
            plain.roles.remove(&("", name));
        }
        Change::Role { namespace, name, rules: Some(rules) } => {
            policy.put_role(namespace, name, rules.clone().into());
            plain.roles.insert((namespace, name), rules);
        }
        Change::Role { namespace, name, rules: None } => {
            policy.remove_role(namespace, name);
            plain.roles.remove(&(namespace, name));
        }
        Change::Binding { namespace: "", name, binding: Some(binding) } => {
            policy.put_cluster_role_binding(name, binding.clone().into());
            plain.bindings.insert(("", name), binding);
        }
        Change::Binding { namespace: "", name, binding: None } => {
            policy.remove_cluster_role_binding(name);
            plain.bindings.remove(&("", name));
        }
        Change::Binding { namespace, name, binding: Some(binding) } => {
            policy.put_role_binding(namespace, name, binding.clone().into());
            plain.bindings.insert((namespace, name), binding);
        }
        Change::Binding { namespace, name, binding: None } => {
            policy.remove_role_binding(namespace, name);
            plain.bindings.remove(&(namespace, name));
        }
    }
}

/// Every question that the generated rules can tell apart.
fn questions() -> Vec<Attributes<'static>> {
    let mut all = Vec::new();
    for verb in ["get", "list", "create", "delete"] {
        for path in ["/api", "/api/", "/api/v1", "/healthz/ping", "/"] {
            all.push(Attributes::NonResource { path, verb });
        }
        for group in ["", "apps"] {
            for (resource, subresource) in
                [("pods", ""), ("pods", "status"), ("secrets", ""), ("secrets", "status")]
            {
                for namespace in NAMESPACES {
                    for name in ["", "x", "z"] {
                        let asked =
                            ResourceAttributes { verb, group, resource, subresource, namespace, name };
                        all.push(Attributes::Resource(asked));
                    }
                }
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn decisions_are_those_of_a_plain_reading(changes in vec(changes(), 0..24)) {
        let (mut policy, mut plain) = (Policy::default(), Plain::default());
        for change in changes {
            apply(&mut policy, &mut plain, change);
        }
        let questions = questions();
        for (name, groups) in [
            ("u", vec![]),
            ("x", vec!["g".to_owned()]),
            ("system:serviceaccount:a:x", vec!["x".to_owned(), "g".to_owned()]),
            ("system:serviceaccount:b:u", vec![]),
        ] {
            let who = Who { name, groups: &groups };
            for question in &questions {
                let allowed = policy.decide(who, question).is_ok();
                prop_assert_eq!(allowed, plain.allows(who, question), "{} {:?}", name, question);
                if let Attributes::Resource(resource) = question {
                    let (rules, _) = policy.rules_for(who, resource.namespace);
                    prop_assert_eq!(allowed, rules.iter().any(|rule| rule.allows(question)));
                }
            }
        }
    }
}
