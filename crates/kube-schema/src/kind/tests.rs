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
        assert_eq!(find_resource(group, version, plural).map(|kind| kind.kind), wanted, "{group} {plural}");
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
    assert_eq!(verbs, ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]);
    assert_eq!((drivers.namespaced, drivers.subresources.len()), (false, 0));
    assert_eq!(drivers.qualified_resource(), "csidrivers.storage.k8s.io");
    assert_eq!(drivers.qualified_kind(), "CSIDriver.storage.k8s.io");
    let namespaces = find_resource("", "v1", "namespaces").expect("served");
    assert!(!namespaces.allows(DeleteCollection));
    let accounts = find_resource("", "v1", "serviceaccounts").expect("served");
    let token = accounts.subresource("token").expect("served");
    assert_eq!((token.api_version().as_str(), token.kind), ("authentication.k8s.io/v1", "TokenRequest"));
}
