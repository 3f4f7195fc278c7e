//! What is no error of a pod's spec but will hardly do what its author wants: told with the answer.

use std::collections::BTreeMap;

use tokenward_kube_rules::quantity::Quantity;

use super::super::field::Field;
use super::app_armor;
use super::resources::is_whole;
use crate::status::go_quote;

/// Labels of nodes that have others in their place.
const DEPRECATED_NODE_LABELS: [(&str, &str); 8] = [
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    (
        "failure-domain.beta.kubernetes.io/zone",
        "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead",
    ),
    (
        "beta.kubernetes.io/instance-type",
        "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead",
    ),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    (
        "scheduler.alpha.kubernetes.io/preferAvoidPods",
        "deprecated since v1.22; use Taints and Tolerations instead",
    ),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

/// Volumes that nothing mounts any more.
const DEAD_VOLUMES: [(&str, &str); 9] = [
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Annotations that no longer do anything.
const DEAD_ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        "non-functional in v1.16+; use the \"priorityClassName\" field instead",
    ),
    ("security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead"),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        "non-functional in v1.11+; use the \"sysctls\" field instead",
    ),
];

/// The warnings of a pod, in upstream's order.
pub(in crate::strategy) fn warnings(metadata: &Field<'_>, spec: &Field<'_>) -> Vec<String> {
    of_pod_or_template(metadata, spec, false)
}

/// The warnings of a template, in upstream's order.
pub(in crate::strategy) fn template_warnings(metadata: &Field<'_>, spec: &Field<'_>) -> Vec<String> {
    of_pod_or_template(metadata, spec, true)
}

fn of_pod_or_template(metadata: &Field<'_>, spec: &Field<'_>, is_template: bool) -> Vec<String> {
    let annotations = metadata.child("annotations");
    let mut warnings = of_placement(spec);
    for (key, why) in DEAD_ANNOTATIONS {
        warnings.extend(annotated(&annotations, key, why));
    }
    for volume in spec.child("volumes").items() {
        for (kind, why) in DEAD_VOLUMES {
            // Errors and warnings write this one otherwise than objects do.
            let source = match kind {
                "storageOS" => volume.child_shown_as("storageos", kind),
                _ => volume.child(kind),
            };
            if source.is_set() {
                warnings.push(format!("{}: {why}", source.path()));
            }
        }
        let template = volume.child("ephemeral").child("volumeClaimTemplate");
        warnings.extend(fractions(&template.child("spec").child("resources"), &["storage"], BY_REQUEST));
    }
    warnings.extend(spec.child("volumes").items().flat_map(|volume| overlaps(&volume)));
    warnings.extend(repeated(&spec.child("hostAliases"), "ip"));
    let secrets = spec.child("imagePullSecrets");
    warnings.extend(repeated(&secrets, "name"));
    for name in secrets.items().map(|secret| secret.child("name")).filter(|name| name.text().is_empty()) {
        warnings.push(format!("{}: invalid empty name \"\"", name.path()));
    }
    if !spec.child("securityContext").child("seccompProfile").is_set() {
        warnings.extend(annotated(&annotations, "seccomp.security.alpha.kubernetes.io/pod", NO_SECCOMP));
    }
    let is_confined = spec.child("securityContext").child("appArmorProfile").is_set();
    for container in containers(spec) {
        let (name, security) = (container.child("name").text(), container.child("securityContext"));
        if !security.child("seccompProfile").is_set() {
            let key = format!("container.seccomp.security.alpha.kubernetes.io/{name}");
            warnings.extend(annotated(&annotations, &key, NO_SECCOMP));
        }
        if is_template && !is_confined && !security.child("appArmorProfile").is_set() {
            let key = format!("{}{name}", app_armor::ANNOTATION);
            let why = "deprecated since v1.30; use the \"appArmorProfile\" field instead";
            warnings.extend(annotated(&annotations, &key, why));
        }
        let amounts = ["memory", "ephemeral-storage"];
        warnings.extend(fractions(&container.child("resources"), &amounts, BY_LIMIT));
        warnings.extend(hidden_variables(&container.child("env")));
    }
    warnings.extend(port_clashes(spec));
    warnings.extend(port_names(spec));
    let grace = spec.child("terminationGracePeriodSeconds");
    if grace.number().is_some_and(|seconds| seconds < 0) {
        let why = "must be >= 0; negative values are invalid and will be treated as 1";
        warnings.push(format!("{}: {why}", grace.path()));
    }
    warnings.extend(terms_that_match_nothing(&spec.child("affinity")));
    warnings
}

fn containers<'a>(spec: &Field<'a>) -> impl Iterator<Item = Field<'a>> {
    let lists = ["initContainers", "containers", "ephemeralContainers"].map(|member| spec.child(member));
    lists.into_iter().flat_map(|list| list.items())
}

/// Why a label of nodes is not to be selected by any more.
pub(in crate::strategy) fn deprecated_label(label: &str) -> Option<&'static str> {
    DEPRECATED_NODE_LABELS.iter().find(|(old, _)| *old == label).map(|(_, why)| *why)
}

fn of_placement(spec: &Field<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let selector = spec.child("nodeSelector");
    for key in selector.keys() {
        let why = deprecated_label(key);
        warnings.extend(why.map(|why| format!("{}: {why}", selector.key(key).path())));
    }
    for constraint in spec.child("topologySpreadConstraints").items() {
        let (key, selector) = (constraint.child("topologyKey"), constraint.child("labelSelector"));
        let why = deprecated_label(key.text());
        warnings.extend(why.map(|why| format!("{}: {} is {why}", key.path(), key.text())));
        if !selector.is_set() {
            warnings.push(format!("{}: {MATCHES_NOTHING}", selector.path()));
        }
    }
    warnings
}

const MATCHES_NOTHING: &str = "a null labelSelector results in matching no pod";

fn terms_that_match_nothing(affinity: &Field<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    for member in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.child(member);
        let required = pods.child("requiredDuringSchedulingIgnoredDuringExecution");
        let preferred = pods.child("preferredDuringSchedulingIgnoredDuringExecution");
        let preferred = preferred.items().map(|term| term.child("podAffinityTerm"));
        let selectors = required.items().chain(preferred).map(|term| term.child("labelSelector"));
        let missing = selectors.filter(|selector| !selector.is_set());
        warnings.extend(missing.map(|selector| format!("{}: {MATCHES_NOTHING}", selector.path())));
    }
    warnings
}

fn repeated(list: &Field<'_>, member: &'static str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut warnings = Vec::new();
    for field in list.items().map(|item| item.child(member)) {
        if seen.contains(&field.text()) {
            warnings.push(format!("{}: duplicate {member} {}", field.path(), go_quote(field.text())));
        }
        seen.push(field.text());
    }
    warnings
}

const NO_SECCOMP: &str = "non-functional in v1.27+; use the \"seccompProfile\" field instead";

/// The warning of an annotation, if it is there.
pub(in crate::strategy) fn annotated(annotations: &Field<'_>, key: &str, why: &str) -> Option<String> {
    let annotation = annotations.key(key);
    annotation.is_set().then(|| format!("{}: {why}", annotation.path()))
}

/// The two lists of amounts, in the order in which they are looked at.
const BY_LIMIT: [&str; 2] = ["limits", "requests"];
pub(in crate::strategy) const BY_REQUEST: [&str; 2] = ["requests", "limits"];

/// The warnings of amounts of bytes that are not whole.
pub(in crate::strategy) fn fractions(
    resources: &Field<'_>,
    names: &[&'static str],
    lists: [&'static str; 2],
) -> Vec<String> {
    let mut warnings = Vec::new();
    for resource in names {
        for list in lists {
            let amount = resources.child(list).key(resource);
            if Quantity::parse(amount.text()).is_ok_and(|amount| !is_whole(amount)) {
                let value = go_quote(amount.text());
                warnings.push(format!(
                    "{}: fractional byte value {value} is invalid, must be an integer",
                    amount.path()
                ));
            }
        }
    }
    warnings
}

/// A variable that comes again is good only if it builds upon the earlier one.
fn hidden_variables(variables: &Field<'_>) -> Vec<String> {
    let mut seen = Vec::new();
    let mut warnings = Vec::new();
    for variable in variables.items() {
        let (name, value) = (variable.child("name").text(), variable.child("value").text());
        let earlier = format!("$({name})");
        let builds_upon =
            value.contains(&earlier) && value != earlier && !variable.child("valueFrom").is_set();
        if seen.contains(&name) && !builds_upon {
            warnings.push(format!(
                "{}: hides previous definition of {}, which may be dropped when using apply",
                variable.path(),
                go_quote(name)
            ));
        }
        seen.push(name);
    }
    warnings
}

/// Where a port is, as the node would give it to the host.
struct Port<'a> {
    field: Field<'a>,
    host: i64,
    address: &'a str,
}

fn port_clashes(spec: &Field<'_>) -> Vec<String> {
    let mut known: BTreeMap<(i64, &str), Vec<Port<'_>>> = BTreeMap::new();
    let mut warnings = Vec::new();
    for port in containers(spec).flat_map(|container| container.child("ports").items()) {
        let number = |member: &'static str| port.child(member).number().unwrap_or_default();
        let (container, host) = (number("containerPort"), number("hostPort"));
        let (address, protocol) = (port.child("hostIP").text(), port.child("protocol").text());
        if !address.is_empty() && host == 0 {
            warnings.push(format!(
                "{}: hostIP set without hostPort: {{Name:{} HostPort:0 ContainerPort:{container} \
                 Protocol:{protocol} HostIP:{address}}}",
                port.path(),
                port.child("name").text()
            ));
        }
        let others = known.entry((container, protocol)).or_default();
        for other in &*others {
            let what = if (address, host) == (other.address, other.host) {
                "duplicate"
            } else if host == 0 || other.host == 0 {
                "overlapping"
            } else if host == other.host && address.is_empty() != other.address.is_empty() {
                "dangerously ambiguous"
            } else {
                continue;
            };
            warnings.push(format!("{}: {what} port definition with {}", port.path(), other.field.path()));
        }
        others.push(Port { field: port.clone(), host, address });
    }
    warnings
}

fn port_names(spec: &Field<'_>) -> Vec<String> {
    let mut known: Vec<Field<'_>> = Vec::new();
    let mut warnings = Vec::new();
    for port in containers(spec).flat_map(|container| container.child("ports").items()) {
        let name = port.child("name").text();
        match known.iter().find(|known| known.child("name").text() == name) {
            _ if name.is_empty() => {}
            Some(first) => warnings.push(format!(
                "{}: duplicate port name {} with {first}, services and probes that select ports by name will use \
                 {first}",
                port.path(),
                go_quote(name),
                first = first.path()
            )),
            None => known.push(port),
        }
    }
    warnings
}

/// A file in a volume, and what it comes from if the volume has several sources.
#[derive(Clone, PartialEq, Eq)]
struct File<'a> {
    path: &'a str,
    source: String,
}

impl File<'_> {
    fn text(&self) -> String {
        let path = go_quote(self.path);
        if self.source.is_empty() { path } else { format!("{path} ({})", self.source) }
    }

    fn is_within(&self, other: &Self) -> bool {
        self.path == other.path
            || self.path.strip_prefix(other.path).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Files of a volume that cannot both be there.
fn overlaps(volume: &Field<'_>) -> Vec<String> {
    let name = go_quote(volume.child("name").text());
    let told = |of: &str, clashes: Vec<String>| -> Vec<String> {
        clashes.iter().map(|clash| format!("volume {name} ({of}): overlapping paths: {clash}")).collect()
    };
    let mut warnings = Vec::new();
    for (kind, title, label) in [
        ("configMap", "ConfigMap", "name"),
        ("secret", "Secret", "secretName"),
        ("downwardAPI", "DownwardAPI", ""),
    ] {
        let source = volume.child(kind);
        if source.is_set() {
            let of = titled(title, &source, label);
            warnings.extend(told(&of, clashes(files(&source, ""))));
        }
    }
    let projected = volume.child("projected");
    if projected.is_set() {
        let mut all = Vec::new();
        for source in projected.child("sources").items() {
            if !source.keys().any(|key| source.child(key).is_set()) {
                warnings.push(format!("volume {name} (Projected) has no sources provided"));
            }
            all.extend(projected_files(&source));
        }
        warnings.extend(told("Projected", clashes(all)));
    }
    warnings
}

fn titled(title: &str, source: &Field<'_>, label: &'static str) -> String {
    if label.is_empty() {
        title.to_owned()
    } else {
        format!("{title} {}", go_quote(source.child(label).text()))
    }
}

fn projected_files<'a>(source: &Field<'a>) -> Vec<File<'a>> {
    for (kind, title, label) in
        [("configMap", "ConfigMap", "name"), ("secret", "Secret", "name"), ("downwardAPI", "DownwardAPI", "")]
    {
        let inner = source.child(kind);
        if inner.child("items").is_set() {
            return files(&inner, &titled(title, &inner, label));
        }
    }
    let token = source.child("serviceAccountToken");
    let token = token.is_set().then(|| file(token.child("path").text(), "ServiceAccountToken"));
    token.into_iter().collect()
}

fn files<'a>(source: &Field<'a>, of: &str) -> Vec<File<'a>> {
    source.child("items").items().map(|item| file(item.child("path").text(), of)).collect()
}

fn file<'a>(path: &'a str, source: &str) -> File<'a> {
    File { path: path.trim_end_matches('/'), source: source.to_owned() }
}

fn clashes(files: Vec<File<'_>>) -> Vec<String> {
    let mut known: Vec<File<'_>> = Vec::new();
    let mut clashes = Vec::new();
    for file in files {
        let others = known.iter().filter(|other| !other.path.is_empty() && !file.path.is_empty());
        let others = others.filter(|other| file.is_within(other) || other.is_within(&file));
        clashes.extend(others.map(|other| format!("{} with {}", file.text(), other.text())));
        known.push(file);
    }
    clashes
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(spec: &Value) -> Vec<String> {
        let object = json!({"spec": spec});
        let object = object.as_object().unwrap();
        warnings(&Field::of(object, "metadata"), &Field::of(object, "spec"))
    }

    fn container(member: &str, value: &Value) -> Value {
        json!({"containers": [{"name": "c", member: value}]})
    }

    #[test]
    fn what_is_warned_of() {
        let port = |container: i64, host: i64, address: &str| json!({"containerPort": container, "hostPort": host, "hostIP": address, "protocol": "TCP"});
        let table = [
            (
                json!({"nodeSelector": {"beta.kubernetes.io/os": "linux", "a": "b"}}),
                "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            ),
            (
                json!({"topologySpreadConstraints": [{"topologyKey": "a"}]}),
                "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching no pod",
            ),
            (
                json!({"volumes": [{"name": "v", "rbd": {}}]}),
                "spec.volumes[0].rbd: deprecated in v1.28, non-functional in v1.31+",
            ),
            (
                json!({"volumes": [{"name": "v", "storageos": {}}]}),
                "spec.volumes[0].storageOS: deprecated in v1.22, non-functional in v1.25+",
            ),
            (
                json!({"volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "1500m"}}}}}}]}),
                "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources.requests[storage]: fractional byte value \"1500m\" is invalid, must be an integer",
            ),
            (
                json!({"volumes": [{"name": "v", "projected": {"sources": [{}]}}]}),
                "volume \"v\" (Projected) has no sources provided",
            ),
            (
                json!({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}, {"secret": {"name": "s", "items": [{"key": "k", "path": "t/"}]}}]}}]}),
                "volume \"v\" (Projected): overlapping paths: \"t\" (Secret \"s\") with \"t\" (ServiceAccountToken)",
            ),
            (
                json!({"volumes": [{"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "a/b"}, {"key": "l", "path": "a"}]}}]}),
                "volume \"v\" (ConfigMap \"m\"): overlapping paths: \"a\" with \"a/b\"",
            ),
            (
                json!({"hostAliases": [{"ip": "1.2.3.4"}, {"ip": "1.2.3.4"}]}),
                "spec.hostAliases[1].ip: duplicate ip \"1.2.3.4\"",
            ),
            (
                json!({"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}),
                "spec.imagePullSecrets[1].name: duplicate name \"a\"",
            ),
            (json!({"imagePullSecrets": [{}]}), "spec.imagePullSecrets[0].name: invalid empty name \"\""),
            (
                container("resources", &json!({"limits": {"memory": "1500m"}})),
                "spec.containers[0].resources.limits[memory]: fractional byte value \"1500m\" is invalid, must be an integer",
            ),
            (
                container("env", &json!([{"name": "A"}, {"name": "A", "value": "$(A)"}])),
                "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
            ),
            (
                container("ports", &json!([port(80, 0, "10.0.0.1")])),
                "spec.containers[0].ports[0]: hostIP set without hostPort: {Name: HostPort:0 ContainerPort:80 Protocol:TCP HostIP:10.0.0.1}",
            ),
            (
                container("ports", &json!([port(80, 0, ""), port(80, 0, "")])),
                "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]",
            ),
            (
                container("ports", &json!([port(80, 0, ""), port(80, 8080, "")])),
                "spec.containers[0].ports[1]: overlapping port definition with spec.containers[0].ports[0]",
            ),
            (
                container("ports", &json!([port(80, 8080, "10.0.0.1"), port(80, 8080, "")])),
                "spec.containers[0].ports[1]: dangerously ambiguous port definition with spec.containers[0].ports[0]",
            ),
            (
                json!({"initContainers": [{"ports": [{"containerPort": 1, "name": "p"}]}], "containers": [{"ports": [{"containerPort": 2, "name": "p"}]}]}),
                "spec.containers[0].ports[0]: duplicate port name \"p\" with spec.initContainers[0].ports[0], services and probes that select ports by name will use spec.initContainers[0].ports[0]",
            ),
            (
                json!({"terminationGracePeriodSeconds": -1}),
                "spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
            ),
            (
                json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": {}}]}}}),
                "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod",
            ),
        ];
        for (spec, wanted) in table {
            assert_eq!(of(&spec), [wanted], "{spec}");
        }
    }

    #[test]
    fn what_annotations_are_warned_of() {
        let annotated = |key: &str, spec: Value| {
            let object = json!({"metadata": {"annotations": {key: "x"}}, "spec": spec});
            let object = object.as_object().unwrap().clone();
            let (metadata, spec) = (Field::of(&object, "metadata"), Field::of(&object, "spec"));
            [warnings(&metadata, &spec), template_warnings(&metadata, &spec)]
        };
        let plain = || json!({"containers": [{"name": "c"}]});
        let with = |member: &str| json!({"containers": [{"name": "c", "securityContext": {member: {"type": "Unconfined"}}}]});
        let (critical, sysctls) =
            ("scheduler.alpha.kubernetes.io/critical-pod", "security.alpha.kubernetes.io/sysctls");
        let (pod, container) =
            ("seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/c");
        let confined = "container.apparmor.security.beta.kubernetes.io/c";
        let own = json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}, "containers": [{"name": "c"}]});
        let rows: [(&str, Value, [usize; 2]); 9] = [
            (critical, plain(), [1, 1]),
            (sysctls, plain(), [1, 1]),
            (pod, plain(), [1, 1]),
            (container, plain(), [1, 1]),
            (container, with("seccompProfile"), [0, 0]),
            (confined, plain(), [0, 1]),
            (confined, with("appArmorProfile"), [0, 0]),
            (confined, own, [0, 0]),
            ("example.com/a", plain(), [0, 0]),
        ];
        for (key, spec, count) in rows {
            let found = annotated(key, spec.clone());
            assert_eq!(found.each_ref().map(Vec::len), count, "{key} {spec} {found:?}");
            for warning in found.iter().flatten() {
                assert!(warning.starts_with(&format!("metadata.annotations[{key}]: ")), "{warning}");
            }
        }
    }

    #[test]
    fn what_is_not() {
        for spec in [
            json!({"nodeSelector": {"kubernetes.io/os": "linux"}, "imagePullSecrets": [{"name": "a"}]}),
            container("env", &json!([{"name": "A", "value": "x"}, {"name": "A", "value": "$(A):y"}])),
            container("resources", &json!({"limits": {"memory": "1.5Gi", "cpu": "1500m"}})),
            json!({"volumes": [{"name": "v", "secret": {"secretName": "s", "items": [{"key": "k", "path": "a"}, {"key": "l", "path": "ab"}]}}]}),
            json!({"containers": [{"ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "UDP"}]}]}),
        ] {
            assert_eq!(of(&spec), [""; 0], "{spec}");
        }
    }
}
