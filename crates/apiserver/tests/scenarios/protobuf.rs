//! A client that speaks nothing but protobuf, as kubelets and client-go do, has the same server as one that speaks JSON.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use tokenward_apiserver::{ApiServer, Body, PeerIdentity};
use tokenward_kube_rules::Release;
use tokenward_kube_schema::protobuf::{Reader, Unknown, Wire, envelop};
use tokenward_kube_schema::{Kind, find_kind, find_resource, normalize, protobuf};

use crate::testbed::{Answer, DRIVERS, PODS, REVIEWS, Testbed, admin, driver, pod, send};

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const BOTH: [(&str, &str); 2] = [("content-type", PROTOBUF), ("accept", PROTOBUF)];

/// An object as a Go client would send it.
fn encoded(kind: &Kind, object: &Value) -> Vec<u8> {
    let printed = normalize(kind, Release::V1_35, object.as_object().unwrap()).unwrap().object;
    protobuf::encode(kind, &printed).unwrap().bytes().clone()
}

/// An object that came, as JSON would print it.
fn decoded(kind: &Kind, body: &[u8]) -> Value {
    let tree = protobuf::decode(kind, Release::V1_35, body).unwrap();
    Value::Object(normalize(kind, Release::V1_35, &tree).unwrap().object)
}

fn assert_protobuf(answer: &Answer) {
    assert_eq!(answer.response.headers()["content-type"], PROTOBUF);
}

fn kind(path: &str) -> &'static Kind {
    match path {
        DRIVERS => find_resource("storage.k8s.io", "v1", "csidrivers").unwrap(),
        PODS => find_resource("", "v1", "pods").unwrap(),
        other => find_resource("", "v1", other.rsplit('/').next().unwrap()).unwrap(),
    }
}

/// The fields of a message that are texts or messages.
fn fields(message: &[u8]) -> Vec<(u32, &[u8])> {
    let mut reader = Reader::new(message, "a message");
    let mut fields = Vec::new();
    while let Some((number, value)) = reader.field().unwrap() {
        if let Wire::Bytes(bytes) = value {
            fields.push((number, bytes));
        }
    }
    fields
}

/// The message and the reason of a Status.
fn refusal(answer: &Answer) -> (String, String) {
    assert_protobuf(answer);
    let unknown = Unknown::of(&answer.body).unwrap();
    assert_eq!((unknown.api_version, unknown.kind), ("v1", "Status"));
    let text = |wanted| {
        let bytes = fields(unknown.message).into_iter().find(|(number, _)| *number == wanted).unwrap().1;
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    (text(3), text(4))
}

#[tokio::test]
async fn an_object_is_made_read_changed_and_deleted() {
    let server = Testbed::new().server(Release::V1_35);
    let kind = kind(DRIVERS);
    let path = format!("{DRIVERS}/d");
    let created = send(&server, Method::POST, DRIVERS, &BOTH, encoded(kind, &driver("d"))).await;
    assert_eq!(created.code(), StatusCode::CREATED);
    assert_protobuf(&created);
    let warning = created.response.headers()["warning"].to_str().unwrap();
    assert!(warning.contains("serviceAccountTokenInSecrets is unset"), "{warning}");
    let mut object = decoded(kind, &created.body);
    assert_eq!(object["spec"]["attachRequired"], true, "defaults are filled in");
    assert_eq!(object, send(&server, Method::GET, &path, &[], "").await.json(), "JSON says the same");
    let read = send(&server, Method::GET, &path, &BOTH, "").await;
    assert_eq!(decoded(kind, &read.body), object);

    object["spec"]["serviceAccountTokenInSecrets"] = json!(true);
    let stale = encoded(kind, &object);
    let updated = send(&server, Method::PUT, &path, &BOTH, stale.clone()).await;
    assert_eq!(updated.code(), StatusCode::OK);
    let newest = decoded(kind, &updated.body);
    assert_eq!(newest["spec"]["serviceAccountTokenInSecrets"], true);
    let refused = send(&server, Method::PUT, &path, &BOTH, stale).await;
    assert_eq!(refused.code(), StatusCode::CONFLICT);
    let (message, reason) = refusal(&refused);
    assert!(
        message.starts_with("Operation cannot be fulfilled on csidrivers.storage.k8s.io \"d\""),
        "{message}"
    );
    assert_eq!(reason, "Conflict");

    // client-go sends the options of a deletion in protobuf, in the version of the object's group.
    let options = |uid: &str| {
        let uid = uid.as_bytes();
        let preconditions = [&[0x0a, uid.len() as u8], uid].concat();
        let message = [&[0x12, preconditions.len() as u8], &preconditions[..]].concat();
        envelop("storage.k8s.io/v1", "DeleteOptions", &message).bytes().clone()
    };
    let refused = send(&server, Method::DELETE, &path, &BOTH, options("another")).await;
    assert_eq!(refused.code(), StatusCode::CONFLICT);
    let uid = newest["metadata"]["uid"].as_str().unwrap();
    let deleted = send(&server, Method::DELETE, &path, &BOTH, options(uid)).await;
    assert_eq!(deleted.code(), StatusCode::OK);
    assert_eq!(decoded(kind, &deleted.body)["metadata"]["uid"], uid);
    let gone = send(&server, Method::GET, &path, &BOTH, "").await;
    assert_eq!(gone.code(), StatusCode::NOT_FOUND);
    assert_eq!(
        refusal(&gone),
        ("csidrivers.storage.k8s.io \"d\" not found".to_owned(), "NotFound".to_owned())
    );
}

#[tokio::test]
async fn lists_say_the_same_in_both_encodings() {
    let testbed = Testbed::new();
    let (server, client) = testbed.furnished().await;
    for name in ["p1", "p2", "p3"] {
        client.create(PODS, &pod(name)).await.unwrap();
    }
    client.create(DRIVERS, &driver("d")).await.unwrap();
    let secret = json!({"metadata": {"name": "s"}, "data": {"empty": "", "bytes": "/+8="}});
    client.create("/api/v1/namespaces/apps/secrets", &secret).await.unwrap();
    let paths = [
        PODS,
        DRIVERS,
        "/api/v1/nodes",
        "/api/v1/namespaces",
        "/api/v1/namespaces/apps/secrets",
        "/api/v1/namespaces/apps/serviceaccounts",
        "/api/v1/events",
    ];
    for path in paths {
        let kind = kind(path);
        let json = send(&server, Method::GET, path, &[], "").await.json();
        // The second one comes from what the first has left in the store.
        for _ in 0..2 {
            let list = send(&server, Method::GET, path, &BOTH, "").await;
            assert_protobuf(&list);
            let unknown = Unknown::of(&list.body).unwrap();
            assert_eq!((unknown.kind, unknown.api_version), (kind.list_kind, &*kind.api_version()));
            let parts = fields(unknown.message);
            let metadata = fields(parts[0].1);
            let version = json["metadata"]["resourceVersion"].as_str().unwrap();
            assert_eq!(metadata, [(1, &b""[..]), (2, version.as_bytes()), (3, b"")]);
            let items: Vec<Value> = parts[1..]
                .iter()
                .map(|(_, item)| {
                    let mut item = decoded(kind, envelop(&kind.api_version(), kind.kind, item).bytes());
                    item.as_object_mut().unwrap().retain(|name, _| name != "kind" && name != "apiVersion");
                    item
                })
                .collect();
            assert_eq!(json["items"], json!(items), "{path}");
        }
    }
    let part = send(&server, Method::GET, &format!("{PODS}?limit=1"), &BOTH, "").await;
    let parts = Unknown::of(&part.body).unwrap();
    let metadata = fields(fields(parts.message)[0].1);
    let token = String::from_utf8(metadata[2].1.to_vec()).unwrap();
    let rest = send(&server, Method::GET, &format!("{PODS}?continue={token}"), &BOTH, "").await;
    assert_eq!(fields(Unknown::of(&rest.body).unwrap().message).len(), 3, "metadata and two items");
}

/// Frames of a watch: type, and the enveloped object.
struct Frames {
    body: Body,
    buffer: BytesMut,
}

impl Frames {
    async fn of(server: &ApiServer, path: &str) -> Self {
        let mut request = http::Request::get(path)
            .header(
                "accept",
                "application/vnd.kubernetes.protobuf;stream=watch,application/vnd.kubernetes.protobuf",
            )
            .body(String::new())
            .unwrap();
        request.extensions_mut().insert(PeerIdentity(std::sync::Arc::new(admin())));
        let response = server.handle(request).await;
        assert_eq!(response.headers()["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
        Self { body: response.into_body(), buffer: BytesMut::new() }
    }

    async fn next(&mut self) -> Option<(String, Bytes)> {
        loop {
            if let Some((length, rest)) = self.buffer.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if rest.len() >= length {
                    self.buffer.advance(4);
                    let frame = self.buffer.split_to(length);
                    let parts = fields(&frame);
                    assert_eq!(parts.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2]);
                    let object = fields(parts[1].1);
                    assert_eq!(object.len(), 1, "only the raw object");
                    let event_type = String::from_utf8(parts[0].1.to_vec()).unwrap();
                    return Some((event_type, Bytes::copy_from_slice(object[0].1)));
                }
            }
            match self.body.frame().await? {
                Ok(frame) => self.buffer.extend_from_slice(&frame.into_data().unwrap()),
                Err(never) => match never {},
            }
        }
    }

    async fn object(&mut self, kind: &Kind) -> (String, Value) {
        let (event_type, object) = self.next().await.unwrap();
        (event_type, decoded(kind, &object))
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_a_stream_of_frames() {
    let testbed = Testbed::new();
    let server = testbed.server(Release::V1_35);
    let client = server.client(admin());
    let kind = kind(DRIVERS);
    client.create(DRIVERS, &driver("a")).await.unwrap();
    let path = format!(
        "{DRIVERS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut frames = Frames::of(&server, &path).await;
    let (event_type, first) = frames.object(kind).await;
    assert_eq!((event_type.as_str(), &first["metadata"]["name"]), ("ADDED", &json!("a")));
    let (event_type, end) = frames.object(kind).await;
    assert_eq!(event_type, "BOOKMARK");
    assert_eq!(end["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    assert_eq!(end["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);

    client.merge_patch(&format!("{DRIVERS}/a"), &json!({"metadata": {"labels": {"x": "y"}}})).await.unwrap();
    let (event_type, changed) = frames.object(kind).await;
    assert_eq!((event_type.as_str(), &changed["metadata"]["labels"]["x"]), ("MODIFIED", &json!("y")));
    assert_eq!(changed, client.get(&format!("{DRIVERS}/a")).await.unwrap());
    client.delete(&format!("{DRIVERS}/a"), None).await.unwrap();
    let (event_type, gone) = frames.object(kind).await;
    assert_eq!(event_type, "DELETED");
    assert_ne!(gone["metadata"]["resourceVersion"], changed["metadata"]["resourceVersion"]);
}

/// All read on one thread, which keeps what it wrote last for the next watcher.
#[tokio::test(start_paused = true)]
async fn watchers_of_one_change_get_it_as_each_has_asked() {
    let testbed = Testbed::new();
    let server = testbed.server(Release::V1_35);
    let client = server.client(admin());
    let kind = kind(DRIVERS);
    client.create(DRIVERS, &driver("d")).await.unwrap();
    let newest = client.get(DRIVERS).await.unwrap()["metadata"]["resourceVersion"].clone();
    let all = format!("{DRIVERS}?watch=1&resourceVersion={}", newest.as_str().unwrap());
    let some = format!("{all}&labelSelector=team%3Dstorage");
    let mut frames = [Frames::of(&server, &all).await, Frames::of(&server, &some).await];
    let mut lines = Vec::new();
    for path in [&all, &some, &all, &some] {
        lines.push(Box::pin(client.watch(path).await.unwrap()));
    }
    for (team, kinds) in [
        (json!("storage"), ["MODIFIED", "ADDED"]),
        (json!("storage"), ["MODIFIED", "MODIFIED"]),
        (json!(null), ["MODIFIED", "DELETED"]),
    ] {
        let annotation = format!("{team}{kinds:?}");
        let patch = json!({"metadata": {"labels": {"team": team}, "annotations": {"change": annotation}}});
        client.merge_patch(&format!("{DRIVERS}/d"), &patch).await.unwrap();
        let newest = client.get(&format!("{DRIVERS}/d")).await.unwrap();
        let mut told = Vec::new();
        for (place, events) in lines.iter_mut().enumerate() {
            let event = events.next().await.unwrap().unwrap();
            told.push((place % 2, event.kind, event.object));
            if let Some(frames) = frames.get_mut(place) {
                let (event_type, object) = frames.object(kind).await;
                told.push((place, event_type, object));
            }
        }
        for (asked, event_type, object) in told {
            assert_eq!(event_type, kinds[asked]);
            assert_eq!(object["metadata"]["resourceVersion"], newest["metadata"]["resourceVersion"]);
            assert_eq!(object == newest, event_type != "DELETED", "a deletion is of what was selected");
        }
    }
}

#[tokio::test]
async fn a_token_is_asked_for_and_reviewed() {
    let testbed = Testbed::new();
    let (server, client) = testbed.furnished().await;
    client.create(PODS, &pod("p")).await.unwrap();
    let request = find_kind("authentication.k8s.io/v1", "TokenRequest").unwrap();
    let spec = json!({
        "audiences": ["vault"], "expirationSeconds": 1200,
        "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"},
    });
    let path = "/api/v1/namespaces/apps/serviceaccounts/web/token";
    let body = encoded(request, &json!({"metadata": {}, "spec": spec}));
    let answer = send(&server, Method::POST, path, &BOTH, body).await;
    assert_eq!(answer.code(), StatusCode::CREATED);
    assert_protobuf(&answer);
    let granted = decoded(request, &answer.body);
    assert_eq!(granted["spec"], spec);
    assert_eq!(granted["metadata"]["namespace"], "apps");
    assert_eq!(granted["status"]["expirationTimestamp"], "2026-03-01T12:20:00Z");

    let review = find_kind("authentication.k8s.io/v1", "TokenReview").unwrap();
    let body = json!({"spec": {"token": granted["status"]["token"], "audiences": ["vault"]}});
    let answer = send(&server, Method::POST, REVIEWS, &BOTH, encoded(review, &body)).await;
    let status = &decoded(review, &answer.body)["status"];
    assert_eq!(status["authenticated"], true);
    assert_eq!(status["user"]["username"], "system:serviceaccount:apps:web");
    assert_eq!(status["user"]["extra"]["authentication.kubernetes.io/pod-name"], json!(["p"]));

    // What JSON would be refused for, protobuf is refused for.
    let brief = encoded(request, &json!({"spec": {"expirationSeconds": 10}}));
    let refused = send(&server, Method::POST, path, &BOTH, brief).await;
    assert_eq!(refused.code(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refusal(&refused).0.contains("may not specify a duration less than 10 minutes"));
}

#[tokio::test]
async fn unknown_fields_are_skipped_however_strict_the_client_is() {
    let server = Testbed::new().server(Release::V1_35);
    let kind = kind(DRIVERS);
    // Field 1000, which nobody has.
    let mut message = Unknown::of(&encoded(kind, &driver("d"))).unwrap().message.to_vec();
    message.extend_from_slice(&[0xc0, 0x3e, 7]);
    let body = envelop("storage.k8s.io/v1", "CSIDriver", &message).bytes().clone();
    let path = format!("{DRIVERS}?fieldValidation=Strict");
    let created = send(&server, Method::POST, &path, &BOTH, body).await;
    assert_eq!(created.code(), StatusCode::CREATED, "{}", created.text());
}

#[tokio::test]
async fn broken_bodies_are_bad_requests_in_upstream_s_words() {
    let server = Testbed::new().server(Release::V1_35);
    let whole = encoded(kind(DRIVERS), &driver("d"));
    let broken = envelop("storage.k8s.io/v1", "CSIDriver", &[0x0a, 5, 1]).bytes().clone();
    let rows: [(&[u8], &str); 4] = [
        (b"", "the object provided is unrecognized (must be of type CSIDriver): empty data (<empty>)"),
        (
            b"{\"kind\":\"CSIDriver\"}",
            "the object provided is unrecognized (must be of type CSIDriver): provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] ({\"kind\":\"CSIDriver\"})",
        ),
        (&broken, "CSIDriver in version \"v1\" cannot be handled as a CSIDriver: unexpected EOF"),
        (
            &whole[..20],
            "the object provided is unrecognized (must be of type CSIDriver): unexpected EOF (6b3873000a1e0a1173746f726167652e6b38732e)",
        ),
    ];
    for (body, wanted) in rows {
        let refused = send(&server, Method::POST, DRIVERS, &BOTH, body.to_vec()).await;
        assert_eq!(refused.code(), StatusCode::BAD_REQUEST);
        assert_eq!(refusal(&refused).0, wanted);
    }
    let large = vec![0; 3 * 1024 * 1024 + 1];
    let refused = send(&server, Method::POST, DRIVERS, &BOTH, large).await;
    assert_eq!(refused.code(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn what_cannot_be_had_in_protobuf_is_not_acceptable() {
    let server = Testbed::new().server(Release::V1_35);
    let table = format!("{PROTOBUF};as=Table;v=v1;g=meta.k8s.io");
    let refused = send(&server, Method::GET, DRIVERS, &[("accept", &table)], "").await;
    assert_eq!(refused.code(), StatusCode::NOT_ACCEPTABLE);
    assert_eq!(refused.json()["reason"], "NotAcceptable", "told in JSON, which every client reads");
    let yaml = [("accept", "application/yaml")];
    let refused = send(&server, Method::GET, &format!("{DRIVERS}?watch=1"), &yaml, "").await;
    assert_eq!(refused.code(), StatusCode::NOT_ACCEPTABLE);
    let patch = [("content-type", PROTOBUF)];
    let refused = send(&server, Method::PATCH, &format!("{DRIVERS}/d"), &patch, "").await;
    assert_eq!(refused.code(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

/// Servers of two releases over one store: each encodes what it shows itself.
#[tokio::test]
async fn a_release_encodes_what_it_knows() {
    let testbed = Testbed::new();
    let newer = testbed.server(Release::V1_35);
    let mut object = driver("d");
    object["spec"]["serviceAccountTokenInSecrets"] = json!(true);
    newer.client(admin()).create(DRIVERS, &object).await.unwrap();
    let path = format!("{DRIVERS}/d");
    for release in [Release::V1_35, Release::V1_34, Release::V1_36, Release::V1_34, Release::V1_35] {
        let answer = send(&testbed.server(release), Method::GET, &path, &BOTH, "").await;
        let tree: Map<String, Value> = protobuf::decode(kind(DRIVERS), Release::V1_36, &answer.body).unwrap();
        let shown = tree["spec"].get("serviceAccountTokenInSecrets").is_some();
        assert_eq!(shown, release != Release::V1_34, "{release:?}");
    }
}

/// What is made up for the answer, and stored nowhere, is of its kind too.
#[tokio::test]
async fn reviews_say_the_same_in_both_encodings() {
    let testbed = Testbed::new();
    let (server, _) = testbed.furnished().await;
    let access = json!({"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "apps"}});
    let mut of_user = access.clone();
    of_user["user"] = json!("alice");
    of_user["extra"] = json!({"scopes": ["a", "b"]});
    let (authentication, authorization) = ("authentication.k8s.io/v1", "authorization.k8s.io/v1");
    let rows = [
        (REVIEWS.to_owned(), authentication, "TokenReview", json!({"spec": {"token": "nobody's"}})),
        (
            format!("/apis/{authentication}/selfsubjectreviews"),
            authentication,
            "SelfSubjectReview",
            json!({}),
        ),
        (
            format!("/apis/{authorization}/selfsubjectaccessreviews"),
            authorization,
            "SelfSubjectAccessReview",
            json!({"spec": access}),
        ),
        (
            format!("/apis/{authorization}/subjectaccessreviews"),
            authorization,
            "SubjectAccessReview",
            json!({"spec": of_user}),
        ),
    ];
    for (path, api_version, name, body) in rows {
        let kind = find_kind(api_version, name).unwrap();
        let json = send(&server, Method::POST, &path, &[], body.to_string()).await;
        assert_eq!(json.code(), StatusCode::CREATED, "{name}: {}", json.text());
        let answer = send(&server, Method::POST, &path, &BOTH, encoded(kind, &body)).await;
        assert_eq!(answer.code(), StatusCode::CREATED, "{name}");
        let json = normalize(kind, Release::V1_35, json.json().as_object().unwrap()).unwrap().object;
        assert_eq!(decoded(kind, &answer.body), Value::Object(json), "{name}");
    }
}

/// client-go patches in JSON, binds and deletes collections in protobuf, and wants protobuf of all of it.
#[tokio::test]
async fn every_verb_answers_in_protobuf() {
    let testbed = Testbed::new();
    let (server, client) = testbed.furnished().await;
    client.create(PODS, &pod("p")).await.unwrap();
    let kind = kind(PODS);
    let path = format!("{PODS}/p");
    let binding = find_kind("v1", "Binding").unwrap();
    let body = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    let bound = send(&server, Method::POST, &format!("{path}/binding"), &BOTH, encoded(binding, &body)).await;
    assert_eq!(bound.code(), StatusCode::CREATED);
    let status = Unknown::of(&bound.body).unwrap();
    assert_eq!((status.kind, fields(status.message)[1]), ("Status", (2, &b"Success"[..])));

    let patch = [("content-type", "application/merge-patch+json"), ("accept", PROTOBUF)];
    let patched = send(&server, Method::PATCH, &path, &patch, r#"{"metadata":{"labels":{"a":"b"}}}"#).await;
    let patched = decoded(kind, &patched.body);
    assert_eq!(
        (&patched["metadata"]["labels"]["a"], &patched["spec"]["nodeName"]),
        (&json!("b"), &json!("n1"))
    );
    let mut running = patched;
    running["status"]["phase"] = json!("Running");
    let body = encoded(kind, &running);
    let updated = send(&server, Method::PUT, &format!("{path}/status?dryRun=All"), &BOTH, body).await;
    assert_eq!(decoded(kind, &updated.body)["status"]["phase"], "Running");

    // gracePeriodSeconds 0
    let options = envelop("v1", "DeleteOptions", &[0x08, 0]).bytes().clone();
    let deleted = send(&server, Method::DELETE, &format!("{PODS}?labelSelector=a%3Db"), &BOTH, options).await;
    assert_eq!(deleted.code(), StatusCode::OK);
    assert_eq!(Unknown::of(&deleted.body).unwrap().kind, "PodList");
    assert_eq!(send(&server, Method::GET, &path, &BOTH, "").await.code(), StatusCode::NOT_FOUND);
}
