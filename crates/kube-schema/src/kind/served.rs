//! The served kinds, row by row, by group and name.

use super::Verb::{Create, Delete, DeleteCollection, Get, List, Patch, Update, Watch};
use super::{Connection, Kind, Subresource, Verb};

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

pub(super) static KINDS: &[Kind] = &[
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
            Subresource {
                name: "eviction",
                group: "policy",
                version: "v1",
                kind: "Eviction",
                verbs: CREATE_ONLY,
            },
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
        group: "policy",
        kind: "Eviction",
        list_kind: "EvictionList",
        verbs: &[],
        message: "policy/v1.Eviction",
        ..USUAL
    },
    Kind {
        group: "policy",
        kind: "PodDisruptionBudget",
        list_kind: "PodDisruptionBudgetList",
        plural: "poddisruptionbudgets",
        singular: "poddisruptionbudget",
        short_names: &["pdb"],
        subresources: &[status("policy", "PodDisruptionBudget")],
        message: "policy/v1.PodDisruptionBudget",
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
        group: "scheduling.k8s.io",
        kind: "PriorityClass",
        list_kind: "PriorityClassList",
        plural: "priorityclasses",
        singular: "priorityclass",
        namespaced: false,
        short_names: &["pc"],
        message: "scheduling/v1.PriorityClass",
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
