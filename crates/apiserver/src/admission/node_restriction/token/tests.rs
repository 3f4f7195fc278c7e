//! Which tokens a node gets: every rule, and what a refusal says of the volumes.

use tokenward_store::{Key, Store, Unstamped};

use super::*;

const VERB: &str = "request-serviceaccounts-token-audience";

async fn put(
    store: &Store<Index>,
    collection: &'static str,
    namespace: Option<&str>,
    name: &str,
    object: Value,
) {
    let encoded = tokenward_kube_schema::encode(object.as_object().unwrap());
    let key = Key::new(collection, namespace, name).unwrap();
    store.create(key, Unstamped::new(encoded.bytes, encoded.stamp_at)).await.unwrap();
}

/// The pod `p` on `n1`, with one volume of each kind, and what those lead to.
async fn store() -> Store<Index> {
    let store = Store::memory(Index::of);
    let volumes = json!([
        {"name": "own", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "projected"}}]}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "inline", "csi": {"driver": "inline.csi"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "tmp", "ephemeral": {"volumeClaimTemplate": {}}},
        {"name": "share", "azureFile": {"shareName": "s", "secretName": "x"}},
    ]);
    put(
        &store,
        "pods",
        Some("ns"),
        "p",
        json!({"metadata": {"uid": "u"}, "spec": {"nodeName": "n1", "volumes": volumes}}),
    )
    .await;
    put(&store, "pods", Some("ns"), "away", json!({"metadata": {"uid": "u2"}, "spec": {"nodeName": "n2"}}))
        .await;
    put(
        &store,
        "pods",
        Some("ns"),
        "lost",
        json!({"metadata": {"uid": "u3"}, "spec": {"nodeName": "n1", "volumes": [
            {"name": "gone", "persistentVolumeClaim": {"claimName": "gone"}},
            {"name": "pending", "persistentVolumeClaim": {"claimName": "pending"}},
            {"name": "odd", "csi": {"driver": "unknown.csi"}},
            {"name": "disk", "persistentVolumeClaim": {"claimName": "disk"}},
        ]}}),
    )
    .await;
    put(&store, "persistentvolumeclaims", Some("ns"), "data", json!({"spec": {"volumeName": "pv"}})).await;
    put(&store, "persistentvolumeclaims", Some("ns"), "p-tmp", json!({"spec": {"volumeName": "pv-tmp"}}))
        .await;
    put(&store, "persistentvolumeclaims", Some("ns"), "pending", json!({"spec": {}})).await;
    put(&store, "persistentvolumeclaims", Some("ns"), "disk", json!({"spec": {"volumeName": "pv-disk"}}))
        .await;
    put(&store, "persistentvolumes", None, "pv", json!({"spec": {"csi": {"driver": "claimed.csi"}}})).await;
    put(&store, "persistentvolumes", None, "pv-tmp", json!({"spec": {"csi": {"driver": "ephemeral.csi"}}}))
        .await;
    put(
        &store,
        "persistentvolumes",
        None,
        "pv-disk",
        json!({"spec": {"awsElasticBlockStore": {"volumeID": "v"}}}),
    )
    .await;
    for (driver, audiences) in [
        ("inline.csi", &["vault", ""][..]),
        ("claimed.csi", &["bank"]),
        ("ephemeral.csi", &[]),
        ("file.csi.azure.com", &["azure"]),
        ("ebs.csi.aws.com", &["aws"]),
    ] {
        let requests: Vec<Value> = audiences.iter().map(|audience| json!({"audience": audience})).collect();
        put(&store, "storage.k8s.io/csidrivers", None, driver, json!({"spec": {"tokenRequests": requests}}))
            .await;
    }
    store
}

fn demand<'a>(audiences: &'a [String], name: &'a str, uid: &'a str) -> TokenDemand<'a> {
    let bound = Some(BoundTo { api_version: "v1", kind: "Pod", name, uid });
    TokenDemand { namespace: "ns", service_account: "web", audiences, bound }
}

fn node() -> User {
    User::authenticated("system:node:n1", ["system:nodes".to_owned()])
}

fn told(outcome: Result<(), ApiError>) -> String {
    outcome.map_or_else(|error| error.to_string(), |()| "admitted".to_owned())
}

#[tokio::test]
async fn every_rule() {
    let cluster = ClusterView::new(store().await);
    let not_found = |audience: &str| {
        format!(
            "serviceaccounts \"web\" is forbidden: audience {} not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience",
            go_quote(audience)
        )
    };
    let forbidden = |why: &str| format!("serviceaccounts \"web\" is forbidden: {why}");
    let recreated = "the UID in the bound object reference (x) does not match the UID in record. The object might have been deleted and then recreated";
    let lost = "error validating audience \"other\": [persistentvolumeclaim \"gone\" not found, persistentvolume \"\" not found, csidriver.storage.k8s.io \"unknown.csi\" not found]";
    let table: [(&[&str], &str, &str, String); 15] = [
        (&["projected"], "p", "u", "admitted".to_owned()),
        (&["vault"], "p", "u", "admitted".to_owned()),
        (&[], "p", "u", "admitted".to_owned()),
        (&[""], "p", "u", "admitted".to_owned()),
        (&["bank"], "p", "u", "admitted".to_owned()),
        (&["azure"], "p", "u", "admitted".to_owned()),
        (&["other"], "p", "u", not_found("other")),
        (&["vault", "bank"], "p", "u", forbidden("node may only request 0 or 1 audiences")),
        (&["vault"], "p", "", forbidden("node requested token with a pod binding without a uid")),
        (&["vault"], "p", "x", forbidden(recreated)),
        (&["vault"], "", "u", forbidden("node requested token not bound to a pod")),
        (&["vault"], "none", "u", "pod \"none\" not found".to_owned()),
        (
            &["vault"],
            "away",
            "u2",
            forbidden("node requested token bound to a pod scheduled on a different node"),
        ),
        (&["other"], "lost", "u3", forbidden(lost)),
        // What could not be looked up is not told when something else asks for the audience.
        (&["aws"], "lost", "u3", "admitted".to_owned()),
    ];
    for (audiences, pod, uid, expected) in table {
        let audiences: Vec<String> = audiences.iter().map(|audience| (*audience).to_owned()).collect();
        assert_eq!(
            told(admit(&node(), "n1", demand(&audiences, pod, uid), &cluster)),
            expected,
            "{audiences:?} {pod}"
        );
    }
    let nameless = User::authenticated("system:node:", ["system:nodes".to_owned()]);
    let refused = told(admit(&nameless, "", demand(&[], "p", "u"), &cluster));
    assert_eq!(refused, forbidden("could not determine node from user \"system:node:\""));
}

#[tokio::test]
async fn a_refusal_says_what_it_looked_at() {
    let cluster = ClusterView::new(store().await);
    let other = ["other".to_owned()];
    let causes = |pod, uid| -> Vec<String> {
        let refused = admit(&node(), "n1", demand(&other, pod, uid), &cluster).unwrap_err().to_status();
        let causes = refused["details"]["causes"].as_array().unwrap().clone();
        causes
            .iter()
            .map(|cause| {
                assert_eq!(cause["reason"], "AudienceNotFound");
                format!("{}: {}", cause["field"].as_str().unwrap(), cause["message"].as_str().unwrap())
            })
            .collect()
    };
    assert_eq!(
        causes("p", "u"),
        [
            "spec.volumes[own]: volume \"own\" projects a token for the audience \"projected\"",
            "spec.volumes[inline]: volume \"inline\" is inline: its CSI driver \"inline.csi\" asks for \"vault\", \"\"",
            "spec.volumes[data]: volume \"data\" uses the claim \"data\" of the volume \"pv\": its CSI driver \"claimed.csi\" asks for \"bank\"",
            "spec.volumes[tmp]: volume \"tmp\" uses the claim \"p-tmp\" of the volume \"pv-tmp\": its CSI driver \"ephemeral.csi\" asks for no tokens",
            "spec.volumes[share]: volume \"share\" is inline: its CSI driver \"file.csi.azure.com\" asks for \"azure\"",
        ]
    );
    assert_eq!(
        causes("lost", "u3"),
        [
            "spec.volumes[gone]: volume \"gone\" uses the claim \"gone\", which does not exist",
            "spec.volumes[pending]: volume \"pending\" uses the claim \"pending\", which is not bound",
            "spec.volumes[odd]: volume \"odd\" is inline: its CSI driver \"unknown.csi\" does not exist",
            "spec.volumes[disk]: volume \"disk\" uses the claim \"disk\" of the volume \"pv-disk\": its CSI driver \"ebs.csi.aws.com\" asks for \"aws\"",
        ]
    );
}

#[tokio::test]
async fn a_role_may_trust_nodes_with_an_audience() {
    let store = store().await;
    let cluster = ClusterView::new(store.clone());
    let url = ["https://vault.example".to_owned()];
    let ask =
        |audiences: &[String], pod, uid| told(admit(&node(), "n1", demand(audiences, pod, uid), &cluster));
    assert!(ask(&url, "p", "u").contains("not found in pod spec volume"));
    let role = |names: &[&str], audience: &str| json!({"rules": [{"verbs": [VERB], "apiGroups": [""], "resources": [audience], "resourceNames": names}]});
    let subjects = json!([{"kind": "Group", "name": "system:nodes"}]);
    put(&store, "rbac.authorization.k8s.io/clusterroles", None, "vault", role(&["web"], &url[0])).await;
    put(
        &store,
        "rbac.authorization.k8s.io/rolebindings",
        Some("ns"),
        "vault",
        json!({"subjects": subjects, "roleRef": {"kind": "ClusterRole", "name": "vault"}}),
    )
    .await;
    assert_eq!(ask(&url, "p", "u"), "admitted");
    assert!(ask(&["other".to_owned()], "p", "u").contains("not found in pod spec volume"));
    // Up to 1.36 it is not asked when something could not be looked up.
    assert!(ask(&url, "lost", "u3").contains("error validating audience"));
    let other_account = TokenDemand { service_account: "idle", ..demand(&url, "p", "u") };
    assert!(admit(&node(), "n1", other_account, &cluster).is_err());
}
