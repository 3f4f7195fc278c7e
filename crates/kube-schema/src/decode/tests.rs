//! Go's decoding row by row, and what holds for any input.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{find_kind, kinds, summarize_body};

fn kind(name: &str) -> &'static Kind {
    kinds().iter().find(|kind| kind.kind == name).expect("a served kind")
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("an object")
}

fn decoded(name: &str, body: &Value) -> Decoded {
    decode(kind(name), Release::V1_35, body.to_string().as_bytes()).expect("a good body")
}

fn printed(name: &str, body: &Value) -> Value {
    let decoded = decoded(name, body);
    Value::Object(normalize(kind(name), Release::V1_35, &decoded.object).expect("a good tree").object)
}

fn refused(name: &str, body: &str) -> String {
    decode(kind(name), Release::V1_35, body.as_bytes()).expect_err(body).to_string()
}

#[test]
fn type_errors_are_gos() {
    let rows = [
        (
            "CSIDriver",
            r#"{"spec":{"serviceAccountTokenInSecrets":"yes"}}"#,
            "json: cannot unmarshal string into Go struct field CSIDriverSpec.spec.serviceAccountTokenInSecrets of type bool",
        ),
        (
            "CSIDriver",
            r#"{"spec":{"tokenRequests":[{"audience":"a"},{"audience":7}]}}"#,
            "json: cannot unmarshal number into Go struct field TokenRequest.spec.tokenRequests.audience of type string",
        ),
        (
            "CSIDriver",
            r#"{"spec":{"tokenRequests":{}}}"#,
            "json: cannot unmarshal object into Go struct field CSIDriverSpec.spec.tokenRequests of type []v1.TokenRequest",
        ),
        (
            "CSIDriver",
            r#"{"spec":[]}"#,
            "json: cannot unmarshal array into Go struct field CSIDriver.spec of type v1.CSIDriverSpec",
        ),
        (
            "CSIDriver",
            r#"{"metadata":{"labels":{"a":1}}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            "CSIDriver",
            r#"{"metadata":{"labels":true}}"#,
            "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            "CSIDriver",
            r#"{"spec":{"nodeAllocatableUpdatePeriodSeconds":1.5}}"#,
            "json: cannot unmarshal number 1.5 into Go struct field CSIDriverSpec.spec.nodeAllocatableUpdatePeriodSeconds of type int64",
        ),
        (
            "CSIDriver",
            r#"{"spec":{"nodeAllocatableUpdatePeriodSeconds":9223372036854775808}}"#,
            "json: cannot unmarshal number 9223372036854775808 into Go struct field CSIDriverSpec.spec.nodeAllocatableUpdatePeriodSeconds of type int64",
        ),
        (
            "Event",
            r#"{"count":2147483648}"#,
            "json: cannot unmarshal number 2147483648 into Go struct field Event.count of type int32",
        ),
        (
            "Pod",
            r#"{"spec":{"volumes":[{"csi":{"driver":1}}]}}"#,
            "json: cannot unmarshal number into Go struct field CSIVolumeSource.spec.volumes.csi.driver of type string",
        ),
        (
            "Pod",
            r#"{"spec":{"volumes":[{"csi":7}]}}"#,
            "json: cannot unmarshal number into Go struct field Volume.spec.volumes.csi of type v1.CSIVolumeSource",
        ),
        (
            "CSIDriver",
            r#"{"metadata":{"creationTimestamp":7}}"#,
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.creationTimestamp of type string",
        ),
        (
            "CSIDriver",
            r#"{"metadata":{"creationTimestamp":"canary"}}"#,
            "metadata.creationTimestamp: parsing time: the value is not RFC 3339 (2006-01-02T15:04:05Z07:00)",
        ),
        ("Secret", r#"{"data":{"a":"can?ry"}}"#, "illegal base64 data at input byte 3"),
        // Of several type errors the first is told; one that a type's own decoder makes ends the walk and wins.
        (
            "CSIDriver",
            r#"{"spec":{"attachRequired":1,"podInfoOnMount":"x"}}"#,
            "json: cannot unmarshal number into Go struct field CSIDriverSpec.spec.attachRequired of type bool",
        ),
        (
            "CSIDriver",
            r#"{"spec":{"attachRequired":1},"metadata":{"creationTimestamp":"canary"}}"#,
            "metadata.creationTimestamp: parsing time: the value is not RFC 3339 (2006-01-02T15:04:05Z07:00)",
        ),
    ];
    for (name, body, wanted) in rows {
        assert_eq!(refused(name, body), wanted);
    }
}

#[test]
fn bodies_of_another_kind_are_refused_in_upstreams_words() {
    let rows = [
        (
            "{\"apiVersion\":",
            "the object provided is unrecognized (must be of type CSIDriver): couldn't get version/kind; json parse error: unexpected end of JSON input",
        ),
        (
            "[1,2]",
            "the object provided is unrecognized (must be of type CSIDriver): couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }",
        ),
        (
            r#"{"kind":5}"#,
            "the object provided is unrecognized (must be of type CSIDriver): couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind of type string",
        ),
        (
            r#"{"apiVersion":"storage.k8s.io/v1","kind":"CSINode"}"#,
            "CSINode in version \"v1\" cannot be handled as a CSIDriver: converting (v1.CSINode) to (storage.CSIDriver): unknown conversion",
        ),
        (
            r#"{"apiVersion":"storage.k8s.io/v1beta1","kind":"CSIDriver"}"#,
            "the API version in the data (storage.k8s.io/v1beta1) does not match the expected API version (storage.k8s.io/v1)",
        ),
        (
            r#"{"apiVersion":"storage.k8s.io/v1","kind":"Nope"}"#,
            "Nope in version \"v1\" cannot be handled as a CSIDriver: no kind \"Nope\" is registered for version \"storage.k8s.io/v1\" in scheme \"pkg/runtime/scheme.go:111\"",
        ),
        (
            r#"{"spec":{"serviceAccountTokenInSecrets":"yes"}}"#,
            "CSIDriver in version \"v1\" cannot be handled as a CSIDriver: json: cannot unmarshal string into Go struct field CSIDriverSpec.spec.serviceAccountTokenInSecrets of type bool",
        ),
    ];
    for (body, wanted) in rows {
        let error = decode(kind("CSIDriver"), Release::V1_35, body.as_bytes()).expect_err(body);
        assert_eq!(error.status_message(kind("CSIDriver")), wanted);
    }
    assert_eq!(summarize_body(b"[1,2]"), "5b312c325d");
    assert_eq!(summarize_body(b"{\"apiVersion\":"), "{\"apiVersion\":");
    assert_eq!(summarize_body(&[b'{'; 31]), format!("{} ...", "{".repeat(30)));
    assert_eq!(summarize_body(b""), "<empty>");
}

#[test]
fn unknown_and_repeated_members_are_named() {
    let body = br#"{"Kind":"x","metadata":{"labels":{"a":"1","a":"2"}},"foo":{"bar":1},
        "spec":{"attachRequired":true,"attachRequired":false,"x":1,"x":2,"AttachRequired":true,
            "tokenRequests":[{"audience":"a"},{"bar":{"baz":1},"expirationSeconds":600}]}}"#;
    let found = decode(kind("CSIDriver"), Release::V1_35, body).expect("lenient");
    assert_eq!(found.unknown, ["Kind", "foo", "spec.x", "spec.AttachRequired", "spec.tokenRequests[1].bar"]);
    assert_eq!(found.duplicate, ["metadata.labels.a", "spec.attachRequired"]);
    assert_eq!(
        found.strict,
        [
            "unknown field \"Kind\"",
            "duplicate field \"metadata.labels.a\"",
            "unknown field \"foo\"",
            "duplicate field \"spec.attachRequired\"",
            "unknown field \"spec.x\"",
            "unknown field \"spec.AttachRequired\"",
            "unknown field \"spec.tokenRequests[1].bar\"",
        ]
    );
    assert_eq!(
        Value::Object(found.object),
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"labels": {"a": "2"}},
            "spec": {"attachRequired": false, "tokenRequests": [{"audience": "a"}, {"expirationSeconds": 600}]}})
    );
}

#[test]
fn strict_faults_are_bounded() {
    let fields: Map<String, Value> = (0..500).map(|number| (format!("x{number}"), json!(1))).collect();
    assert_eq!(decoded("Pod", &Value::Object(fields)).strict.len(), 100);
}

#[test]
fn null_is_absent_and_in_lists_and_maps_zero() {
    let body = json!({"metadata": null, "spec": {"attachRequired": null, "tokenRequests": [null], "volumeLifecycleModes": [null]}});
    assert_eq!(
        printed("CSIDriver", &body)["spec"],
        json!({"tokenRequests": [{"audience": ""}], "volumeLifecycleModes": [""]})
    );
    let node =
        json!({"metadata": {"labels": {"a": null}}, "status": {"capacity": {"cpu": null, "memory": 5}}});
    let node = printed("Node", &node);
    assert_eq!(node["metadata"]["labels"], json!({"a": ""}));
    assert_eq!(node["status"]["capacity"], json!({"cpu": "0", "memory": "5"}));
}

#[test]
fn each_release_knows_its_fields() {
    let body = json!({"spec": {"serviceAccountTokenInSecrets": true, "preventPodSchedulingIfMissing": true}});
    let rows = [
        (Release::V1_34, vec!["spec.preventPodSchedulingIfMissing", "spec.serviceAccountTokenInSecrets"]),
        (Release::V1_35, vec!["spec.preventPodSchedulingIfMissing"]),
        (Release::V1_36, vec![]),
    ];
    for (release, wanted) in rows {
        let found = decode(kind("CSIDriver"), release, body.to_string().as_bytes()).expect("a good body");
        assert_eq!(found.unknown, wanted, "{release}");
        // A stored object read by an older release loses the field in the same way.
        let printed = normalize(kind("CSIDriver"), release, object(&body)).expect("a good tree");
        assert_eq!(object(&printed.object["spec"]).len(), 2 - wanted.len(), "{release}");
    }
}

#[test]
fn trees_are_printed_as_go_prints_them() {
    let rows = [
        ("CSIDriver", json!({}), json!({"metadata": {}, "spec": {}})),
        (
            "CSIDriver",
            json!({"metadata": {"creationTimestamp": null, "generation": 0, "labels": {}, "name": "", "deletionTimestamp": "0001-01-01T00:00:00Z"},
                "spec": {"tokenRequests": [{}], "volumeLifecycleModes": [], "attachRequired": false}}),
            json!({"metadata": {}, "spec": {"tokenRequests": [{"audience": ""}], "attachRequired": false}}),
        ),
        ("Pod", json!({}), json!({"metadata": {}, "spec": {"containers": null}, "status": {}})),
        (
            "Pod",
            json!({"spec": {"containers": [{"name": "c"}], "priority": 0, "hostNetwork": false, "volumes": [{"name": "v", "csi": {"driver": "d", "readOnly": false}}]},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
            json!({"metadata": {}, "spec": {"containers": [{"name": "c", "resources": {}}], "priority": 0,
                    "volumes": [{"name": "v", "csi": {"driver": "d", "readOnly": false}}]},
                "status": {"conditions": [{"type": "Ready", "status": "True", "lastProbeTime": null, "lastTransitionTime": null}]}}),
        ),
        (
            "TokenRequest",
            json!({"spec": {}}),
            json!({"metadata": {}, "spec": {"audiences": null, "expirationSeconds": null, "boundObjectRef": null},
                "status": {"token": "", "expirationTimestamp": null}}),
        ),
        ("TokenReview", json!({}), json!({"metadata": {}, "spec": {}, "status": {"user": {}}})),
        ("CSINode", json!({"spec": {"drivers": []}}), json!({"metadata": {}, "spec": {"drivers": null}})),
        (
            "Event",
            json!({"eventTime": "2026-01-02T03:04:05.500000Z", "firstTimestamp": "2026-01-02T05:04:05.9+02:00"}),
            json!({"metadata": {}, "involvedObject": {}, "source": {}, "firstTimestamp": "2026-01-02T03:04:05Z", "lastTimestamp": null,
                "eventTime": "2026-01-02T03:04:05.500000Z", "reportingComponent": "", "reportingInstance": ""}),
        ),
        (
            "Secret",
            json!({"data": {"a": "YR==", "b": ""}}),
            json!({"metadata": {}, "data": {"a": "YQ==", "b": ""}}),
        ),
    ];
    for (name, body, mut wanted) in rows {
        wanted["kind"] = json!(name);
        wanted["apiVersion"] = json!(kind(name).api_version());
        assert_eq!(printed(name, &body), wanted, "{body}");
    }
}

#[test]
fn odd_scalars_are_read_as_their_types_read_them() {
    let pod = |port: Value, divisor: Value| {
        json!({"spec": {"containers": [{"name": "c", "livenessProbe": {"httpGet": {"port": port}},
            "env": [{"name": "e", "valueFrom": {"resourceFieldRef": {"resource": "cpu", "divisor": divisor}}}]}]}})
    };
    let good = printed("Pod", &pod(json!("http"), json!("1.5Gi")));
    let container = &good["spec"]["containers"][0];
    assert_eq!(container["livenessProbe"]["httpGet"]["port"], "http");
    assert_eq!(container["env"][0]["valueFrom"]["resourceFieldRef"]["divisor"], "1536Mi");
    let good = printed("Pod", &pod(json!(80), json!(2)));
    assert_eq!(good["spec"]["containers"][0]["livenessProbe"]["httpGet"]["port"], 80);
    for (quantity, good) in [
        ("1e3", true),
        ("-0.5m", true),
        ("+1.", true),
        ("", false),
        (".", false),
        ("1x", false),
        ("1e", false),
        ("1.2.3", false),
    ] {
        let body = pod(json!(1), json!(quantity)).to_string();
        assert_eq!(decode(kind("Pod"), Release::V1_35, body.as_bytes()).is_ok(), good, "{quantity}");
    }
    assert_eq!(
        refused("Pod", &pod(json!(true), json!(1)).to_string()),
        "json: cannot unmarshal bool into Go struct field HTTPGetAction.spec.containers.livenessProbe.httpGet.port of type int32"
    );
    // Whatever a client's managed fields hold is kept as it is.
    let raw =
        json!({"metadata": {"managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {"x": [1, null]}}}]}});
    assert_eq!(printed("Pod", &raw)["metadata"], raw["metadata"]);
}

/// JSON whose names are often those of real fields.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("metadata"),
        Just("spec"),
        Just("status"),
        Just("labels"),
        Just("tokenRequests"),
        Just("audience"),
        Just("data"),
        Just("creationTimestamp"),
        Just("containers"),
        Just("volumes"),
        Just("csi"),
        Just("capacity"),
        Just("resources"),
        Just("name"),
        Just("attachRequired"),
        Just("generation"),
        Just("extra"),
        Just("user"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(json!("2026-01-02T03:04:05Z")),
        "[a-zA-Z0-9=]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        let members = prop::collection::vec((name.clone(), inner.clone()), 0..6);
        let object = members.prop_map(|members| {
            Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        });
        prop_oneof![1 => prop::collection::vec(inner, 0..4).prop_map(Value::from), 3 => object]
    })
}

proptest! {
    #[test]
    fn nothing_panics_and_printing_twice_changes_nothing(body in any_json(), index in 0..kinds().len()) {
        let kind = &kinds()[index];
        for release in Release::ALL {
            if let Ok(found) = decode(kind, release, body.to_string().as_bytes()) {
                let once = normalize(kind, release, &found.object).expect("decoded trees are well typed");
                prop_assert!(once.unknown.is_empty(), "{:?}", once.unknown);
                let twice = normalize(kind, release, &once.object).expect("printed trees are well typed");
                prop_assert_eq!(&once.object, &twice.object);
                let again = decode(kind, release, &crate::to_json(&once.object)).expect("what is printed is read");
                prop_assert!(again.strict.is_empty(), "{:?}", again.strict);
                prop_assert_eq!(find_kind(&kind.api_version(), kind.kind), Some(kind));
            }
        }
    }

    #[test]
    fn a_tree_is_printed_where_it_is_as_it_is_printed_anew(tree in any_json(), index in 0..kinds().len()) {
        let kind = &kinds()[index];
        if let Value::Object(tree) = &tree {
            for release in Release::ALL {
                let anew = normalize(kind, release, tree).map(|decoded| decoded.object);
                prop_assert_eq!(print(kind, release, tree.clone()), anew.clone());
                if let Ok(printed) = anew {
                    prop_assert_eq!(print(kind, release, printed.clone()), Ok(printed));
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_an_object(body in prop::collection::vec(any::<u8>(), 0..64)) {
        let found = decode(kind("Pod"), Release::V1_35, &body);
        let object_like = body.contains(&b'{');
        prop_assert!(found.is_err() || object_like);
    }

    #[test]
    fn errors_never_quote_a_string(canary in "canary[a-z]{8}", at in 0..4_usize) {
        let body = [
            json!({"spec": {"tokenRequests": canary}}),
            json!({"metadata": {"creationTimestamp": canary}}),
            json!({"spec": {"volumes": [{"csi": {"volumeAttributes": [canary]}}]}}),
            json!({"data": {"a": canary}, "spec": canary}),
        ][at].to_string();
        for kind in kinds() {
            if let Err(error) = decode(kind, Release::V1_35, body.as_bytes()) {
                let texts = format!("{error} {error:?} {}", error.status_message(kind));
                prop_assert!(!texts.contains("canary"));
            }
        }
    }
}

#[test]
fn options_inside_of_an_object_may_say_what_they_are() {
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 3, "odd": 1});
    let body = json!({"metadata": {"name": "p", "kind": "Pod"}, "deleteOptions": options}).to_string();
    let kind = find_kind("policy/v1", "Eviction").expect("a served kind");
    let decoded = decode(kind, Release::V1_35, body.as_bytes()).expect("an eviction");
    assert_eq!(decoded.unknown, ["deleteOptions.odd", "metadata.kind"]);
    assert_eq!(decoded.object["deleteOptions"], json!({"gracePeriodSeconds": 3}));
}

#[test]
fn options_of_a_delete_are_told_in_gos_words() {
    let read = |body: &str| decode_delete_options(body.as_bytes()).map_err(|error| error.to_string());
    for body in ["{}", "null", r#"{"kind":"DeleteOptions","apiVersion":"zork/v1"}"#, r#"{"unknown":1}"#] {
        assert_eq!(read(body), Ok(Map::new()), "{body}");
    }
    let options = read(r#"{"gracePeriodSeconds":5,"preconditions":{"uid":"u"},"dryRun":["All"]}"#);
    assert_eq!(
        options.map(Value::Object),
        Ok(json!({"gracePeriodSeconds": 5, "preconditions": {"uid": "u"}, "dryRun": ["All"]}))
    );
    for (body, wanted) in [
        (
            r#"{"gracePeriodSeconds":"x"}"#,
            "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64",
        ),
        (
            r#"{"kind":"Foo","apiVersion":"v1"}"#,
            "no kind \"Foo\" is registered for version \"v1\" in scheme \"pkg/runtime/scheme.go:111\"",
        ),
        (
            "x",
            "couldn't get version/kind; json parse error: invalid character 'x' looking for beginning of value",
        ),
    ] {
        assert_eq!(read(body).expect_err("refused"), wanted);
    }
    assert!(
        read("[]")
            .expect_err("no object")
            .starts_with("couldn't get version/kind; json parse error: json: cannot")
    );
}

#[test]
fn a_body_of_null_is_one_without_members() {
    let kind = find_kind("v1", "ConfigMap").expect("served");
    let decoded = decode(kind, Release::V1_35, b"null").expect("an object");
    assert_eq!(Value::Object(decoded.object), json!({"kind": "ConfigMap", "apiVersion": "v1"}));
}

#[test]
fn a_version_is_wrong_only_of_a_kind_that_it_has() {
    let driver = find_kind("storage.k8s.io/v1", "CSIDriver").expect("served");
    for (version, wanted) in [
        (
            "storage.k8s.io/v1beta1",
            "the API version in the data (storage.k8s.io/v1beta1) does not match the expected API version (storage.k8s.io/v1)",
        ),
        (
            "v1",
            "CSIDriver in version \"v1\" cannot be handled as a CSIDriver: no kind \"CSIDriver\" is registered for version \
             \"v1\" in scheme \"pkg/runtime/scheme.go:111\"",
        ),
        (
            "storage.k8s.io/v9",
            "CSIDriver in version \"v9\" cannot be handled as a CSIDriver: no kind \"CSIDriver\" is registered for version \
             \"storage.k8s.io/v9\" in scheme \"pkg/runtime/scheme.go:111\"",
        ),
        (
            "a/b/c",
            "the object provided is unrecognized (must be of type CSIDriver): unexpected GroupVersion string: a/b/c",
        ),
    ] {
        let body = format!(r#"{{"apiVersion":"{version}","kind":"CSIDriver"}}"#);
        let error = decode(driver, Release::V1_35, body.as_bytes()).expect_err("another version");
        assert_eq!(error.status_message(driver), wanted);
    }
}

#[test]
fn quantities_come_out_as_go_prints_them() {
    let claim = find_kind("v1", "PersistentVolumeClaim").expect("served");
    for (sent, printed) in
        [(r#""1.5Gi""#, "1536Mi"), (r#""1024Mi""#, "1Gi"), ("1000", "1k"), (r#"" 5 ""#, "5")]
    {
        let body = format!(r#"{{"spec":{{"resources":{{"requests":{{"storage":{sent}}}}}}}}}"#);
        let decoded = decode(claim, Release::V1_35, body.as_bytes()).expect("a claim").object;
        let read = |object: &Map<String, Value>| object["spec"]["resources"]["requests"]["storage"].clone();
        assert_eq!(read(&decoded), json!(printed));
        let mut tree: Map<String, Value> = serde_json::from_str(&body).expect("JSON");
        tree = print(claim, Release::V1_35, tree).expect("a claim");
        assert_eq!(read(&tree), json!(printed), "in place too");
    }
}

#[test]
fn a_changed_tree_is_of_the_kind_that_it_was() {
    let driver = find_kind("storage.k8s.io/v1", "CSIDriver").expect("served");
    let registered = |kind: &str, version: &str| {
        Some(format!(
            "no kind \"{kind}\" is registered for version \"{version}\" in scheme \"pkg/runtime/scheme.go:111\""
        ))
    };
    for (types, wanted) in [
        (json!({"kind": "CSIDriver", "apiVersion": "storage.k8s.io/v1"}), None),
        (json!({"kind": "", "apiVersion": null}), None),
        (json!({"apiVersion": "storage.k8s.io/v1beta1"}), None),
        (json!({"apiVersion": "v1"}), registered("CSIDriver", "v1")),
        (json!({"kind": "Pod"}), registered("Pod", "storage.k8s.io/v1")),
        (
            json!({"apiVersion": "v1", "kind": "Pod"}),
            Some("converting (v1.Pod) to (storage.CSIDriver): unknown conversion".to_owned()),
        ),
        (json!({"apiVersion": "a/b/c"}), Some("unexpected GroupVersion string: a/b/c".to_owned())),
    ] {
        let checked = check_type(driver, types.as_object().expect("an object"));
        assert_eq!(checked.map_err(|error| error.to_string()).err(), wanted, "{types}");
    }
}
