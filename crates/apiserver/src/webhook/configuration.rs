//! What is configured of a webhook, and whether a request concerns it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::Value;
use tokenward_kube_rules::label_selector::{LabelSelector, Labels};

use super::conditions::Conditions;
use crate::cluster_view::ClusterView;
use crate::object::Object;

/// One webhook.
pub(super) struct Hook {
    pub(super) name: String,
    pub(super) client: Client,
    /// Whom the connection trusts; none if the bundle cannot be used.
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
    pub(super) failure_policy: FailurePolicy,
    pub(super) timeout_seconds: u64,
    /// What else must be true for it to be asked.
    pub(super) conditions: Conditions,
    rules: Vec<Rule>,
    namespaces: LabelSelector,
    objects: LabelSelector,
}

/// Where a webhook is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Client {
    /// An `https` URL.
    Url(String),
    /// A service, found by its EndpointSlices.
    Service(Service),
}

/// A service in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Service {
    pub(super) namespace: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) path: String,
    #[serde(default = "https_port")]
    pub(super) port: u16,
}

fn https_port() -> u16 {
    443
}

/// What follows when a webhook cannot be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum FailurePolicy {
    /// The request is refused.
    #[default]
    Fail,
    /// The request goes on.
    Ignore,
}

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Delete,
    Update,
}

/// What a proposal is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) operation: Operation,
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    pub(crate) resource: &'a str,
    /// Empty when the object itself is meant.
    pub(crate) subresource: &'a str,
    /// Of a namespace its own name, as upstream has it.
    pub(crate) namespace: Option<&'a str>,
    /// Empty when the server is still to make one up.
    pub(crate) name: &'a str,
}

impl Operation {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Delete => "DELETE",
            Self::Update => "UPDATE",
        }
    }
}

impl<'a> Subject<'a> {
    /// As refusals name it.
    pub(super) fn named(&self) -> crate::status::Subject<'a> {
        crate::status::Subject { group: self.group, kind: self.resource, name: self.name }
    }

    fn is_namespace(&self) -> bool {
        self.group.is_empty() && self.resource == "namespaces"
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rule {
    operations: Vec<String>,
    api_groups: Vec<String>,
    api_versions: Vec<String>,
    resources: Vec<String>,
    scope: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    name: String,
    client_config: ClientSource,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    failure_policy: FailurePolicy,
    #[serde(default)]
    namespace_selector: LabelSelector,
    #[serde(default)]
    object_selector: LabelSelector,
    #[serde(default = "ten")]
    timeout_seconds: u64,
    #[serde(default)]
    match_conditions: Conditions,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientSource {
    #[serde(flatten)]
    client: Client,
    #[serde(default)]
    ca_bundle: String,
}

fn ten() -> u64 {
    10
}

/// The webhooks of a stored configuration. It has been validated, so that all can be read.
pub(super) fn read(configuration: &Object) -> Vec<Hook> {
    let webhooks = configuration.get("webhooks").and_then(Value::as_array).into_iter().flatten();
    webhooks.filter_map(|webhook| serde_json::from_value(webhook.clone()).ok()).map(Hook::new).collect()
}

impl Hook {
    fn new(source: Source) -> Self {
        Self {
            name: source.name,
            tls: trust(&source.client_config.ca_bundle),
            client: source.client_config.client,
            failure_policy: source.failure_policy,
            timeout_seconds: source.timeout_seconds.clamp(1, 30),
            conditions: source.match_conditions,
            rules: source.rules,
            namespaces: source.namespace_selector,
            objects: source.object_selector,
        }
    }

    /// Whether a proposal concerns this webhook. `namespace` has the labels of the proposal's namespace, if it has one.
    pub(super) fn concerns(
        &self,
        subject: &Subject<'_>,
        object: Option<&Object>,
        old: Option<&Object>,
        namespace: Option<&Labels>,
    ) -> bool {
        // Nobody may lock himself out: the configurations themselves are never asked about.
        let is_exempt = subject.group == "admissionregistration.k8s.io";
        let is_selected =
            |object: Option<&Object>| object.is_some_and(|object| self.objects.matches(&labels(object)));
        !is_exempt
            && self.rules.iter().any(|rule| rule.concerns(subject))
            && namespace.is_none_or(|labels| self.namespaces.matches(labels))
            && (is_selected(object) || is_selected(old))
    }
}

impl Rule {
    fn concerns(&self, subject: &Subject<'_>) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|item| item == "*" || item == wanted);
        let in_scope = match self.scope.as_str() {
            "Namespaced" => subject.namespace.is_some() && !subject.is_namespace(),
            "Cluster" => subject.namespace.is_none() || subject.is_namespace(),
            _ => true,
        };
        let of_resource = |pattern: &String| {
            let (resource, below) = pattern.split_once('/').unwrap_or((pattern, ""));
            (resource == "*" || resource == subject.resource)
                && (below == "*" || below == subject.subresource)
        };
        in_scope
            && has(&self.operations, subject.operation.as_str())
            && has(&self.api_groups, subject.group)
            && has(&self.api_versions, subject.version)
            && self.resources.iter().any(of_resource)
    }
}

fn labels(object: &Object) -> Labels {
    let labels =
        object.get("metadata").and_then(|metadata| metadata.get("labels")).and_then(Value::as_object);
    let texts = labels.into_iter().flatten();
    texts.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The labels of the namespace that a proposal is in; of a namespace its own. None for what is the cluster's, which every
/// webhook is asked about.
pub(super) fn namespace_labels(
    subject: &Subject<'_>,
    object: Option<&Object>,
    cluster: &ClusterView,
) -> Option<Labels> {
    let stored = |name: &str| {
        let entry = cluster.entry("namespaces", None, name);
        Some(entry.map(|entry| entry.index.labels.clone()).unwrap_or_default())
    };
    match (subject.is_namespace(), object) {
        (true, Some(object)) if subject.subresource.is_empty() => Some(labels(object)),
        (true, _) => stored(subject.name),
        (false, _) => stored(subject.namespace?),
    }
}

/// A client that believes the authorities of a bundle, which is base64 of PEM.
fn trust(bundle: &str) -> Option<Arc<rustls::ClientConfig>> {
    let pem = STANDARD.decode(bundle).ok()?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.ok()?).ok()?;
    }
    if roots.is_empty() {
        return None;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    Some(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hook(changes: &Value) -> Hook {
        let mut webhook = json!({
            "name": "a.b.example",
            "clientConfig": {"url": "https://host.example/path", "caBundle": ""},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "scope": "*"}],
            "failurePolicy": "Ignore", "timeoutSeconds": 7, "namespaceSelector": {}, "objectSelector": {},
        });
        json_patch::merge(&mut webhook, changes);
        read(json!({"webhooks": [webhook]}).as_object().unwrap()).remove(0)
    }

    fn pod_creation() -> Subject<'static> {
        Subject {
            operation: Operation::Create,
            group: "",
            version: "v1",
            resource: "pods",
            subresource: "",
            namespace: Some("ns"),
            name: "p",
        }
    }

    #[test]
    fn a_configuration_is_read() {
        let hook = hook(
            &json!({"clientConfig": {"url": null, "service": {"namespace": "n", "name": "s", "path": "/v"}}}),
        );
        let service = Service { namespace: "n".into(), name: "s".into(), path: "/v".into(), port: 443 };
        assert_eq!(hook.client, Client::Service(service));
        assert_eq!((hook.failure_policy, hook.timeout_seconds), (FailurePolicy::Ignore, 7));
        assert!(hook.tls.is_none(), "nobody is believed without a bundle");
    }

    #[test]
    fn rules_choose_by_operation_group_version_resource_and_scope() {
        let pod = pod_creation();
        let status = Subject { subresource: "status", ..pod };
        let deletion = Subject { operation: Operation::Delete, ..pod };
        let node = Subject { resource: "nodes", namespace: None, ..pod };
        let namespace = Subject { resource: "namespaces", namespace: Some("ns"), name: "ns", ..pod };
        let driver = Subject { group: "storage.k8s.io", resource: "csidrivers", namespace: None, ..pod };
        let own = Subject { group: "admissionregistration.k8s.io", ..driver };
        let subjects = [pod, status, deletion, node, namespace, driver, own];
        let rule = |change: Value| {
            let mut rule = json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]});
            json_patch::merge(&mut rule, &change);
            hook(&json!({"rules": [rule]}))
        };
        let all =
            json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*", "*/*"]});
        let scoped = |scope: &str| {
            let mut all = all.clone();
            all["scope"] = scope.into();
            all
        };
        let object = Object::new();
        for (hook, wanted) in [
            (rule(json!({})), "1000000"),
            (rule(json!({"resources": ["pods/status"]})), "0100000"),
            (rule(json!({"resources": ["pods/*"]})), "1100000"),
            (rule(json!({"resources": ["*"]})), "1001100"),
            (rule(json!({"resources": ["*/status"]})), "0100000"),
            (rule(json!({"operations": ["DELETE", "UPDATE"]})), "0010000"),
            (rule(json!({"apiVersions": ["v2"]})), "0000000"),
            (rule(json!({"apiGroups": ["storage.k8s.io"], "resources": ["csidrivers"]})), "0000010"),
            (rule(all.clone()), "1111110"),
            (rule(scoped("Namespaced")), "1110000"),
            (rule(scoped("Cluster")), "0001110"),
        ] {
            let found: String = subjects
                .iter()
                .map(|subject| if hook.concerns(subject, Some(&object), None, None) { '1' } else { '0' })
                .collect();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn selectors_look_at_both_states_and_at_the_namespace() {
        let selector = json!({"matchLabels": {"a": "b"}});
        let labelled = json!({"metadata": {"labels": {"a": "b"}}}).as_object().unwrap().clone();
        let plain = Object::new();
        let pod = pod_creation();
        let by_object = hook(&json!({"objectSelector": selector}));
        for (object, old, wanted) in [
            (Some(&labelled), None, true),
            (Some(&plain), Some(&labelled), true),
            (Some(&plain), Some(&plain), false),
            (None, Some(&plain), false),
        ] {
            assert_eq!(by_object.concerns(&pod, object, old, None), wanted);
        }
        let by_namespace = hook(&json!({"namespaceSelector": selector}));
        for (labels, wanted) in [
            (Some(Labels::from([("a".to_owned(), "b".to_owned())])), true),
            (Some(Labels::new()), false),
            (None, true),
        ] {
            assert_eq!(by_namespace.concerns(&pod, Some(&plain), None, labels.as_ref()), wanted);
        }
    }
}
