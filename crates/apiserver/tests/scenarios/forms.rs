//! Objects as tables and as metadata alone, where clients ask for them: kubectl, and informers that need no more.

use futures_util::StreamExt as _;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokenward_apiserver::ApiServer;
use tokenward_kube_rules::{FeatureGates, Release};

use crate::testbed::{DRIVERS, PODS, Testbed, admin, driver, pod, send};

/// As kubectl asks.
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                     application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

async fn get(server: &ApiServer, path: &str, accept: &str) -> Value {
    let answer = send(server, Method::GET, path, &[("accept", accept)], "").await;
    assert_eq!(answer.code(), StatusCode::OK, "{path}: {}", answer.text());
    answer.json()
}

/// The column's cell in every row.
fn column(table: &Value, name: &str) -> Vec<Value> {
    let columns = table["columnDefinitions"].as_array().unwrap();
    let index = columns.iter().position(|column| column["name"] == name).unwrap();
    table["rows"].as_array().unwrap().iter().map(|row| row["cells"][index].clone()).collect()
}

#[tokio::test]
async fn lists_come_as_tables_with_ages_by_the_servers_clock() {
    let bed = Testbed::new();
    let (server, admin) = bed.furnished().await;
    for name in ["a", "b", "c"] {
        admin.create(PODS, &pod(name)).await.unwrap();
    }
    bed.clock.advance(std::time::Duration::from_secs(3 * 3600 + 600));
    let table = get(&server, &format!("{PODS}?limit=2"), TABLE).await;
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    assert_eq!(column(&table, "Name"), ["a", "b"]);
    assert_eq!(column(&table, "Age"), ["3h10m", "3h10m"]);
    assert_eq!(table["metadata"]["remainingItemCount"], 1);
    let rest = table["metadata"]["continue"].as_str().unwrap();
    let rest = get(&server, &format!("{PODS}?limit=2&continue={rest}"), TABLE).await;
    assert_eq!(column(&rest, "Name"), ["c"]);
    assert_eq!(rest["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(rest["rows"][0]["object"]["metadata"]["namespace"], "apps");
    let whole = get(&server, &format!("{PODS}/a?includeObject=Object"), TABLE).await;
    assert_eq!(whole["rows"][0]["object"]["kind"], "Pod");
    assert_eq!(
        whole["metadata"]["resourceVersion"],
        whole["rows"][0]["object"]["metadata"]["resourceVersion"]
    );
    let bare = get(&server, &format!("{PODS}/a?includeObject=None"), TABLE).await;
    assert_eq!(bare["rows"][0]["object"], Value::Null);
    let older = get(&server, PODS, "application/json;as=Table;v=v1beta1;g=meta.k8s.io").await;
    assert_eq!(older["apiVersion"], "meta.k8s.io/v1beta1");
}

#[tokio::test]
async fn a_table_says_where_tokens_really_go() {
    let bed = Testbed::new();
    let mut opted_in = driver("opted-in");
    opted_in["spec"]["serviceAccountTokenInSecrets"] = true.into();
    let on = bed.server(Release::V1_35);
    let client = on.client(admin());
    for driver in [opted_in, driver("plain")] {
        client.create(DRIVERS, &driver).await.unwrap();
    }
    let off = FeatureGates::parse(Release::V1_35, "CSIServiceAccountTokenSecrets=false").unwrap();
    let table = [
        (on, ["secrets", "volume context"]),
        (bed.server_with(off, ""), ["volume context", "volume context"]),
        (bed.server(Release::V1_34), ["volume context", "volume context"]),
        (bed.server(Release::V1_36), ["secrets", "volume context"]),
    ];
    for (server, wanted) in table {
        assert_eq!(column(&get(&server, DRIVERS, TABLE).await, "TokenPlacement"), wanted);
    }
}

#[tokio::test]
async fn metadata_alone_has_nothing_of_the_object() {
    let bed = Testbed::new();
    let (server, admin) = bed.furnished().await;
    admin.create(DRIVERS, &driver("d")).await.unwrap();
    let one = get(&server, &format!("{DRIVERS}/d"), METADATA).await;
    assert_eq!(
        (&one["kind"], &one["apiVersion"]),
        (&json!("PartialObjectMetadata"), &json!("meta.k8s.io/v1"))
    );
    assert_eq!(one["metadata"]["name"], "d");
    assert_eq!(one.as_object().unwrap().len(), 3);
    let many = get(&server, DRIVERS, METADATA_LIST).await;
    assert_eq!(many["kind"], "PartialObjectMetadataList");
    assert_eq!(many["items"], json!([one]));
    // A write is answered in the form that was asked for, too.
    let patch = send(
        &server,
        Method::PATCH,
        &format!("{DRIVERS}/d"),
        &[("accept", METADATA), ("content-type", "application/merge-patch+json")],
        r#"{"metadata":{"labels":{"a":"1"}}}"#,
    )
    .await;
    assert_eq!(patch.json()["metadata"]["labels"]["a"], "1");
    assert_eq!(patch.json()["kind"], "PartialObjectMetadata");
}

#[tokio::test]
async fn what_has_no_such_form_is_refused_with_a_reason() {
    let bed = Testbed::new();
    let (server, admin) = bed.furnished().await;
    admin.create(DRIVERS, &driver("d")).await.unwrap();
    let one = format!("{DRIVERS}/d");
    let table = [
        (
            DRIVERS.to_owned(),
            METADATA,
            StatusCode::NOT_ACCEPTABLE,
            "you requested PartialObjectMetadata, but the requested object is a list (*storage.CSIDriverList)",
        ),
        (
            one.clone(),
            METADATA_LIST,
            StatusCode::NOT_ACCEPTABLE,
            "you requested PartialObjectMetadataList, but the requested object is not a list (*storage.CSIDriver)",
        ),
        (
            format!("{one}?includeObject=Some"),
            TABLE,
            StatusCode::BAD_REQUEST,
            "Unable to convert to Table as requested: includeObject: Invalid value: \"Some\": \
             must be 'Metadata', 'Object', 'None', or empty",
        ),
        // Whatever was asked for: what went wrong is a Status.
        (
            format!("{DRIVERS}/none"),
            TABLE,
            StatusCode::NOT_FOUND,
            "csidrivers.storage.k8s.io \"none\" not found",
        ),
    ];
    for (path, accept, code, message) in table {
        let answer = send(&server, Method::GET, &path, &[("accept", accept)], "").await;
        assert_eq!((answer.code(), answer.json()["message"].as_str()), (code, Some(message)), "{path}");
        assert_eq!(answer.json()["kind"], "Status");
    }
    // Where nobody asks for a table, the parameter means nothing.
    assert_eq!(
        get(&server, &format!("{one}?includeObject=Some"), "application/json").await["kind"],
        "CSIDriver"
    );
    // A table can be written as YAML, too.
    let yaml =
        send(&server, Method::GET, &one, &[("accept", "application/yaml;as=Table;v=v1;g=meta.k8s.io")], "")
            .await;
    assert!(yaml.text().contains("kind: Table"), "{}", yaml.text());
}

/// The objects of a watch's first events.
async fn events(server: &ApiServer, path: &str, accept: &str, count: usize) -> Vec<Value> {
    let mut request = http::Request::get(path).header("accept", accept);
    request.extensions_mut().unwrap().insert(tokenward_apiserver::PeerIdentity(std::sync::Arc::new(admin())));
    let response = server.handle(request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body().into_data_stream();
    let (mut text, mut objects) = (String::new(), Vec::new());
    while objects.len() < count {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
        objects = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect();
    }
    objects
}

#[tokio::test]
async fn a_watch_of_tables_tells_its_columns_once() {
    let bed = Testbed::new();
    let (server, client) = bed.furnished().await;
    for name in ["a", "b"] {
        client.create(DRIVERS, &driver(name)).await.unwrap();
    }
    let path = format!("{DRIVERS}?watch=1&timeoutSeconds=3");
    let watching = {
        let server = server.clone();
        tokio::spawn(async move { events(&server, &path, TABLE, 3).await })
    };
    // The third comes once it watches, or is there from the beginning: it is seen either way.
    client.create(DRIVERS, &driver("c")).await.unwrap();
    let events = watching.await.unwrap();
    let tables: Vec<&Value> = events.iter().map(|event| &event["object"]).collect();
    assert!(events.iter().all(|event| event["type"] == "ADDED"));
    assert!(tables[0]["columnDefinitions"].is_array());
    assert!(tables[1..].iter().all(|table| table["columnDefinitions"].is_null()), "{tables:?}");
    let names: Vec<&Value> = tables.iter().map(|table| &table["rows"][0]["cells"][0]).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert!(tables[2]["metadata"]["resourceVersion"].is_string());
}

#[tokio::test]
async fn a_watch_of_metadata_ends_its_beginning_with_a_bookmark() {
    let bed = Testbed::new();
    let (server, client) = bed.furnished().await;
    client.create(DRIVERS, &driver("a")).await.unwrap();
    let path = format!(
        "{DRIVERS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=3"
    );
    let events = events(&server, &path, METADATA, 2).await;
    assert!(events.iter().all(|event| event["object"]["kind"] == "PartialObjectMetadata"), "{events:?}");
    assert!(events[0]["object"].get("spec").is_none());
    let annotations = &events[1]["object"]["metadata"]["annotations"];
    assert_eq!(
        (&events[1]["type"], &annotations["k8s.io/initial-events-end"]),
        (&json!("BOOKMARK"), &json!("true"))
    );
    let listing = send(&server, Method::GET, &path, &[("accept", METADATA_LIST)], "").await;
    assert_eq!(listing.code(), StatusCode::NOT_ACCEPTABLE, "an event is not a list");
}

#[tokio::test]
async fn metadata_comes_as_protobuf_tables_do_not() {
    let bed = Testbed::new();
    let (server, client) = bed.furnished().await;
    client.create(DRIVERS, &driver("d")).await.unwrap();
    let protobuf = |accept: &str| accept.replace("application/json", "application/vnd.kubernetes.protobuf");
    for (path, accept) in [(format!("{DRIVERS}/d"), METADATA), (DRIVERS.to_owned(), METADATA_LIST)] {
        let answer = send(&server, Method::GET, &path, &[("accept", &protobuf(accept))], "").await;
        assert_eq!(answer.response.headers()["content-type"], "application/vnd.kubernetes.protobuf");
        let kind = accept.split(['=', ';']).nth(2).unwrap();
        let text = answer.text();
        assert!(
            answer.body.starts_with(b"k8s\0") && text.contains(kind) && text.contains("meta.k8s.io/v1"),
            "{text}"
        );
        assert!(!text.contains("vault"), "nothing of the spec: {text}");
    }
    let table = "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io";
    let refused = send(&server, Method::GET, DRIVERS, &[("accept", table)], "").await;
    assert_eq!(refused.code(), StatusCode::NOT_ACCEPTABLE);
    let mixed = format!("{table},application/json");
    let plain = send(&server, Method::GET, DRIVERS, &[("accept", &mixed)], "").await;
    assert_eq!(plain.json()["kind"], "CSIDriverList");
}

/// What `kubectl describe` and `kubectl events --for` ask for.
#[tokio::test]
async fn the_events_of_one_object_are_found_by_what_they_are_about() {
    let bed = Testbed::new();
    let (server, client) = bed.furnished().await;
    let event = |name: &str, kind: &str, about: &str, uid: &str, reason: &str| {
        json!({
            "metadata": {"name": name, "namespace": "apps"}, "reason": reason, "type": "Warning", "message": "m",
            "involvedObject": {"kind": kind, "name": about, "namespace": "apps", "uid": uid},
        })
    };
    let path = "/api/v1/namespaces/apps/events";
    for event in [
        event("e1", "Pod", "p", "u1", "FailedMount"),
        event("e2", "Pod", "p", "u2", "Scheduled"),
        event("e3", "DaemonSet", "p", "u3", "Made"),
        event("e4", "Pod", "q", "u4", "FailedMount"),
    ] {
        client.create(path, &event).await.unwrap();
    }
    let rows: [(&str, &[&str]); 5] = [
        ("involvedObject.kind=Pod,involvedObject.name=p,involvedObject.namespace=apps", &["e1", "e2"]),
        ("involvedObject.uid=u2,involvedObject.name=p", &["e2"]),
        ("involvedObject.name=p,type!=Normal,reason=FailedMount", &["e1"]),
        ("involvedObject.name!=p", &["e4"]),
        ("type=Normal", &[]),
    ];
    for (selector, wanted) in rows {
        let selector = selector.replace('!', "%21").replace(',', "%2C");
        let table = get(&server, &format!("{path}?fieldSelector={selector}"), TABLE).await;
        assert_eq!(column(&table, "Name"), wanted, "{selector}");
    }
    let watch = format!("{path}?watch=1&timeoutSeconds=3&fieldSelector=involvedObject.uid%3Du3");
    let seen = events(&server, &watch, TABLE, 1).await;
    assert_eq!(seen[0]["object"]["rows"][0]["cells"][3], "daemonset/p");
}

#[tokio::test]
async fn json_is_a_line_for_programs_and_indented_for_people() {
    let bed = Testbed::new();
    let (server, admin) = bed.furnished().await;
    admin.create(PODS, &pod("a")).await.unwrap();
    let one = format!("{PODS}/a");
    for path in [PODS, &*one, &format!("{PODS}/missing"), "/apis/storage.k8s.io/v1", "/api/v1/pods?limit=x"] {
        let ask = async |agent: &str| send(&server, Method::GET, path, &[("user-agent", agent)], "").await;
        let (line, indented) = (ask("kubectl/v1.35.0").await.text(), ask("curl/8.5.0").await.text());
        assert_eq!((line.matches('\n').count(), line.ends_with('\n')), (1, true), "{line}");
        assert!(indented.starts_with("{\n  \"") && indented.ends_with("\n}"), "{indented}");
        let [line, indented]: [Value; 2] = [line, indented].map(|text| serde_json::from_str(&text).unwrap());
        assert_eq!(line, indented);
    }
    let asked = send(&server, Method::GET, &format!("{one}?pretty=true"), &[], "").await.text();
    assert!(asked.starts_with("{\n  \"kind\": \"Pod\""), "{asked}");
    let version = send(&server, Method::GET, "/version", &[], "").await.text();
    assert!(version.contains("\n  \"major\": \"1\","), "{version}");
    let headers = [("user-agent", "curl/8.5.0")];
    let events = send(&server, Method::GET, &format!("{PODS}?watch=1&timeoutSeconds=1"), &headers, "").await;
    assert_eq!(events.text().lines().count(), 1, "an event is a line for everybody");
}
