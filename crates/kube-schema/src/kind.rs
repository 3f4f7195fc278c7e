//! The registry of served kinds: what discovery lists and what a path can name.

use Verb::{Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch};

use crate::table::{Message, find_message};

/// A served kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The API group; empty for core.
    pub group: &'static str,
    /// The version within the group.
    pub version: &'static str,
    /// The kind, `CSIDriver` for instance.
    pub kind: &'static str,
    /// The kind of its lists.
    pub list_kind: &'static str,
    /// The resource, as it stands in a path: `csidrivers`. Empty if the kind is served only below another.
    pub plural: &'static str,
    /// The resource in the singular, which clients take in commands.
    pub singular: &'static str,
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
    /// What clients may type instead, `sa` for instance.
    pub short_names: &'static [&'static str],
    /// The groups that clients may ask for, `all` for instance.
    pub categories: &'static [&'static str],
    /// What can be done, in discovery's order.
    pub verbs: &'static [Verb],
    /// What is served below one object.
    pub subresources: &'static [Subresource],
    /// Where requests below one object are passed on to.
    pub connections: &'static [Connection],
    /// The message in the table.
    message: &'static str,
}

/// What is served below an object, `status` for instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// The last part of the path.
    pub name: &'static str,
    /// The group of the kind that it takes and gives.
    pub group: &'static str,
    /// The version of that kind.
    pub version: &'static str,
    /// That kind.
    pub kind: &'static str,
    /// What can be done, in discovery's order.
    pub verbs: &'static [Verb],
}

/// A place below an object that leads out of the API, `nodes/proxy` for instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The part of the path.
    pub name: &'static str,
    /// The kind of the options that discovery names, in the object's own group and version. They stand in the path and the query.
    pub kind: &'static str,
    /// What can be done, in discovery's order.
    pub verbs: &'static [Verb],
}

/// What can be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// POST.
    Create,
    /// DELETE of one.
    Delete,
    /// DELETE of many.
    DeleteCollection,
    /// GET of one.
    Get,
    /// GET of many.
    List,
    /// PATCH.
    Patch,
    /// PUT.
    Update,
    /// GET of many with `watch`.
    Watch,
}

impl Verb {
    /// The verb as discovery and RBAC write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Create => "create",
            Delete => "delete",
            DeleteCollection => "deletecollection",
            Get => "get",
            List => "list",
            Patch => "patch",
            Update => "update",
            Watch => "watch",
        }
    }
}

impl Kind {
    /// `v1` or `storage.k8s.io/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        group_version(self.group, self.version)
    }

    /// The kind's fields.
    #[must_use]
    pub fn message(&self) -> &'static Message {
        find_message(self.message).expect("a test finds the message of every kind")
    }

    /// Whether a verb is served.
    #[must_use]
    pub fn allows(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }

    /// The subresource of that name.
    #[must_use]
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// `csidrivers.storage.k8s.io`, or `pods` in core: how messages name the resource.
    #[must_use]
    pub fn qualified_resource(&self) -> String {
        qualified(self.plural, self.group)
    }

    /// `CSIDriver.storage.k8s.io`, or `Pod` in core: how messages about validation name the kind.
    #[must_use]
    pub fn qualified_kind(&self) -> String {
        qualified(self.kind, self.group)
    }

    /// The group as upstream's Go packages call it: `storage`, `core`.
    pub(crate) fn package(&self) -> &'static str {
        self.message.split('/').next().expect("splitting gives at least one part")
    }
}

impl Subresource {
    /// `v1` or `authentication.k8s.io/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        group_version(self.group, self.version)
    }

    /// The kind that the subresource takes and gives.
    #[must_use]
    pub fn body_kind(&self) -> &'static Kind {
        kinds()
            .iter()
            .find(|kind| (kind.group, kind.version, kind.kind) == (self.group, self.version, self.kind))
            .expect("a test finds the kind of every subresource")
    }
}

/// Every served kind, by group and name.
#[must_use]
pub fn kinds() -> &'static [Kind] {
    KINDS
}

/// The kind whose objects are served at `/apis/GROUP/VERSION/.../PLURAL`.
#[must_use]
pub fn find_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| {
        !kind.plural.is_empty() && kind.plural == plural && kind.group == group && kind.version == version
    })
}

/// The kind that a body with this `apiVersion` and `kind` is.
#[must_use]
pub fn find_kind(api_version: &str, kind: &str) -> Option<&'static Kind> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    KINDS.iter().find(|known| (known.group, known.version, known.kind) == (group, version, kind))
}

fn group_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

const ALL_VERBS: &[Verb] = &[Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch];

const CREATE_ONLY: &[Verb] = &[Create];

/// A kind with the usual verbs and nothing below it; rows below say what is special about each.
const USUAL: Kind = Kind {
    group: "",
    version: "v1",
    kind: "",
    list_kind: "",
    plural: "",
    singular: "",
    namespaced: true,
    short_names: &[],
    categories: &[],
    verbs: ALL_VERBS,
    subresources: &[],
    connections: &[],
    message: "",
};

const fn status(group: &'static str, kind: &'static str) -> Subresource {
    Subresource { name: "status", group, version: "v1", kind, verbs: &[Get, Patch, Update] }
}

static KINDS: &[Kind] = &[
    Kind {
        kind: "Binding",
        list_kind: "BindingList",
        plural: "bindings",
        singular: "binding",
        verbs: CREATE_ONLY,
        message: "core/v1.Binding",
        ..USUAL
    },
    Kind {
        kind: "ConfigMap",
        list_kind: "ConfigMapList",
        plural: "configmaps",
        singular: "configmap",
        short_names: &["cm"],
        message: "core/v1.ConfigMap",
        ..USUAL
    },
    Kind {
        kind: "Event",
        list_kind: "EventList",
        plural: "events",
        singular: "event",
        short_names: &["ev"],
        message: "core/v1.Event",
        ..USUAL
    },
    Kind {
        kind: "Namespace",
        list_kind: "NamespaceList",
        plural: "namespaces",
        singular: "namespace",
        namespaced: false,
        short_names: &["ns"],
        verbs: &[Create, Delete, Get, List, Patch, Update, Watch],
        subresources: &[
            Subresource { name: "finalize", group: "", version: "v1", kind: "Namespace", verbs: &[Update] },
            status("", "Namespace"),
        ],
        message: "core/v1.Namespace",
        ..USUAL
    },
    Kind {
        kind: "Node",
        list_kind: "NodeList",
        plural: "nodes",
        singular: "node",
        namespaced: false,
        short_names: &["no"],
        subresources: &[status("", "Node")],
        connections: &[Connection {
            name: "proxy",
            kind: "NodeProxyOptions",
            verbs: &[Create, Delete, Get, Patch, Update],
        }],
        message: "core/v1.Node",
        ..USUAL
    },
    Kind {
        kind: "PersistentVolume",
        list_kind: "PersistentVolumeList",
        plural: "persistentvolumes",
        singular: "persistentvolume",
        namespaced: false,
        short_names: &["pv"],
        subresources: &[status("", "PersistentVolume")],
        message: "core/v1.PersistentVolume",
        ..USUAL
    },
    Kind {
        kind: "PersistentVolumeClaim",
        list_kind: "PersistentVolumeClaimList",
        plural: "persistentvolumeclaims",
        singular: "persistentvolumeclaim",
        short_names: &["pvc"],
        subresources: &[status("", "PersistentVolumeClaim")],
        message: "core/v1.PersistentVolumeClaim",
        ..USUAL
    },
    Kind {
        kind: "Pod",
        list_kind: "PodList",
        plural: "pods",
        singular: "pod",
        short_names: &["po"],
        categories: &["all"],
        subresources: &[
            Subresource { name: "binding", group: "", version: "v1", kind: "Binding", verbs: CREATE_ONLY },
            status("", "Pod"),
        ],
        message: "core/v1.Pod",
        ..USUAL
    },
    Kind {
        kind: "Secret",
        list_kind: "SecretList",
        plural: "secrets",
        singular: "secret",
        message: "core/v1.Secret",
        ..USUAL
    },
    Kind {
        kind: "ServiceAccount",
        list_kind: "ServiceAccountList",
        plural: "serviceaccounts",
        singular: "serviceaccount",
        short_names: &["sa"],
        subresources: &[Subresource {
            name: "token",
            group: "authentication.k8s.io",
            version: "v1",
            kind: "TokenRequest",
            verbs: CREATE_ONLY,
        }],
        message: "core/v1.ServiceAccount",
        ..USUAL
    },
    Kind {
        group: "admissionregistration.k8s.io",
        kind: "ValidatingWebhookConfiguration",
        list_kind: "ValidatingWebhookConfigurationList",
        plural: "validatingwebhookconfigurations",
        singular: "validatingwebhookconfiguration",
        namespaced: false,
        categories: &["api-extensions"],
        message: "admissionregistration/v1.ValidatingWebhookConfiguration",
        ..USUAL
    },
    Kind {
        group: "apps",
        kind: "ControllerRevision",
        list_kind: "ControllerRevisionList",
        plural: "controllerrevisions",
        singular: "controllerrevision",
        message: "apps/v1.ControllerRevision",
        ..USUAL
    },
    Kind {
        group: "apps",
        kind: "DaemonSet",
        list_kind: "DaemonSetList",
        plural: "daemonsets",
        singular: "daemonset",
        short_names: &["ds"],
        categories: &["all"],
        subresources: &[status("apps", "DaemonSet")],
        message: "apps/v1.DaemonSet",
        ..USUAL
    },
    Kind {
        group: "authentication.k8s.io",
        kind: "SelfSubjectReview",
        list_kind: "SelfSubjectReviewList",
        plural: "selfsubjectreviews",
        singular: "selfsubjectreview",
        namespaced: false,
        verbs: CREATE_ONLY,
        message: "authentication/v1.SelfSubjectReview",
        ..USUAL
    },
    Kind {
        group: "authentication.k8s.io",
        kind: "TokenRequest",
        list_kind: "TokenRequestList",
        verbs: &[],
        message: "authentication/v1.TokenRequest",
        ..USUAL
    },
    Kind {
        group: "authentication.k8s.io",
        kind: "TokenReview",
        list_kind: "TokenReviewList",
        plural: "tokenreviews",
        singular: "tokenreview",
        namespaced: false,
        verbs: CREATE_ONLY,
        message: "authentication/v1.TokenReview",
        ..USUAL
    },
    Kind {
        group: "authorization.k8s.io",
        kind: "LocalSubjectAccessReview",
        list_kind: "LocalSubjectAccessReviewList",
        plural: "localsubjectaccessreviews",
        singular: "localsubjectaccessreview",
        verbs: CREATE_ONLY,
        message: "authorization/v1.LocalSubjectAccessReview",
        ..USUAL
    },
    Kind {
        group: "authorization.k8s.io",
        kind: "SelfSubjectAccessReview",
        list_kind: "SelfSubjectAccessReviewList",
        plural: "selfsubjectaccessreviews",
        singular: "selfsubjectaccessreview",
        namespaced: false,
        verbs: CREATE_ONLY,
        message: "authorization/v1.SelfSubjectAccessReview",
        ..USUAL
    },
    Kind {
        group: "authorization.k8s.io",
        kind: "SelfSubjectRulesReview",
        list_kind: "SelfSubjectRulesReviewList",
        plural: "selfsubjectrulesreviews",
        singular: "selfsubjectrulesreview",
        namespaced: false,
        verbs: CREATE_ONLY,
        message: "authorization/v1.SelfSubjectRulesReview",
        ..USUAL
    },
    Kind {
        group: "authorization.k8s.io",
        kind: "SubjectAccessReview",
        list_kind: "SubjectAccessReviewList",
        plural: "subjectaccessreviews",
        singular: "subjectaccessreview",
        namespaced: false,
        verbs: CREATE_ONLY,
        message: "authorization/v1.SubjectAccessReview",
        ..USUAL
    },
    Kind {
        group: "coordination.k8s.io",
        kind: "Lease",
        list_kind: "LeaseList",
        plural: "leases",
        singular: "lease",
        message: "coordination/v1.Lease",
        ..USUAL
    },
    Kind {
        group: "discovery.k8s.io",
        kind: "EndpointSlice",
        list_kind: "EndpointSliceList",
        plural: "endpointslices",
        singular: "endpointslice",
        message: "discovery/v1.EndpointSlice",
        ..USUAL
    },
    Kind {
        group: "rbac.authorization.k8s.io",
        kind: "ClusterRole",
        list_kind: "ClusterRoleList",
        plural: "clusterroles",
        singular: "clusterrole",
        namespaced: false,
        message: "rbac/v1.ClusterRole",
        ..USUAL
    },
    Kind {
        group: "rbac.authorization.k8s.io",
        kind: "ClusterRoleBinding",
        list_kind: "ClusterRoleBindingList",
        plural: "clusterrolebindings",
        singular: "clusterrolebinding",
        namespaced: false,
        message: "rbac/v1.ClusterRoleBinding",
        ..USUAL
    },
    Kind {
        group: "rbac.authorization.k8s.io",
        kind: "Role",
        list_kind: "RoleList",
        plural: "roles",
        singular: "role",
        message: "rbac/v1.Role",
        ..USUAL
    },
    Kind {
        group: "rbac.authorization.k8s.io",
        kind: "RoleBinding",
        list_kind: "RoleBindingList",
        plural: "rolebindings",
        singular: "rolebinding",
        message: "rbac/v1.RoleBinding",
        ..USUAL
    },
    Kind {
        group: "storage.k8s.io",
        kind: "CSIDriver",
        list_kind: "CSIDriverList",
        plural: "csidrivers",
        singular: "csidriver",
        namespaced: false,
        message: "storage/v1.CSIDriver",
        ..USUAL
    },
    Kind {
        group: "storage.k8s.io",
        kind: "CSINode",
        list_kind: "CSINodeList",
        plural: "csinodes",
        singular: "csinode",
        namespaced: false,
        message: "storage/v1.CSINode",
        ..USUAL
    },
    Kind {
        group: "storage.k8s.io",
        kind: "StorageClass",
        list_kind: "StorageClassList",
        plural: "storageclasses",
        singular: "storageclass",
        namespaced: false,
        short_names: &["sc"],
        message: "storage/v1.StorageClass",
        ..USUAL
    },
    Kind {
        group: "storage.k8s.io",
        kind: "VolumeAttachment",
        list_kind: "VolumeAttachmentList",
        plural: "volumeattachments",
        singular: "volumeattachment",
        namespaced: false,
        subresources: &[status("storage.k8s.io", "VolumeAttachment")],
        message: "storage/v1.VolumeAttachment",
        ..USUAL
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_subresource_leads_to_a_message() {
        for kind in kinds() {
            assert!(kind.message().field("metadata").is_some(), "{}", kind.kind);
            assert_eq!(kind.list_kind, format!("{}List", kind.kind));
            assert_eq!(kind.singular.is_empty(), kind.plural.is_empty());
            assert_eq!(find_kind(&kind.api_version(), kind.kind), Some(kind));
            for subresource in kind.subresources {
                assert_eq!(subresource.body_kind().kind, subresource.kind);
            }
        }
        let mut sorted = kinds().to_vec();
        sorted.sort_by_key(|kind| (kind.group, kind.kind));
        assert_eq!(sorted, kinds());
    }

    #[test]
    fn resources_are_found_by_path_and_kinds_by_body() {
        let rows = [
            ("", "v1", "pods", Some("Pod")),
            ("storage.k8s.io", "v1", "csidrivers", Some("CSIDriver")),
            ("storage.k8s.io", "v1beta1", "csidrivers", None),
            ("storage.k8s.io", "v1", "pods", None),
            ("authentication.k8s.io", "v1", "", None),
            ("authentication.k8s.io", "v1", "tokenrequests", None),
        ];
        for (group, version, plural, wanted) in rows {
            assert_eq!(
                find_resource(group, version, plural).map(|kind| kind.kind),
                wanted,
                "{group} {plural}"
            );
        }
        assert_eq!(
            find_kind("authentication.k8s.io/v1", "TokenRequest").map(Kind::api_version).as_deref(),
            Some("authentication.k8s.io/v1")
        );
        assert_eq!(find_kind("v1", "CSIDriver"), None);
    }

    #[test]
    fn discovery_lists_what_upstream_lists() {
        let pods = find_resource("", "v1", "pods").expect("served");
        assert_eq!((pods.short_names, pods.categories), (&["po"][..], &["all"][..]));
        assert_eq!(pods.subresource("binding").map(|binding| binding.verbs), Some(&[Create][..]));
        let drivers = find_resource("storage.k8s.io", "v1", "csidrivers").expect("served");
        let verbs: Vec<_> = drivers.verbs.iter().map(|verb| verb.as_str()).collect();
        assert_eq!(
            verbs,
            ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        );
        assert_eq!((drivers.namespaced, drivers.subresources.len()), (false, 0));
        assert_eq!(drivers.qualified_resource(), "csidrivers.storage.k8s.io");
        assert_eq!(drivers.qualified_kind(), "CSIDriver.storage.k8s.io");
        let namespaces = find_resource("", "v1", "namespaces").expect("served");
        assert!(!namespaces.allows(DeleteCollection));
        let accounts = find_resource("", "v1", "serviceaccounts").expect("served");
        let token = accounts.subresource("token").expect("served");
        assert_eq!((token.api_version().as_str(), token.kind), ("authentication.k8s.io/v1", "TokenRequest"));
    }
}
