//! Watches as informers need them: what begins them, keeps them alive and ends them. Time is tokio's, and paused.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokenward_apiserver::{Client, Index, PeerIdentity, WatchEvent};
use tokenward_kube_rules::Release;
use tokenward_store::{HistoryLimits, Key, Store, Unstamped};
use tokio::time::Instant;

use crate::testbed::{DRIVERS, Testbed, admin, driver};

async fn next(
    events: &mut (impl Stream<Item = Result<WatchEvent, tokenward_apiserver::ClientError>> + Unpin),
) -> WatchEvent {
    tokio::time::timeout(Duration::from_secs(3600), events.next()).await.unwrap().unwrap().unwrap()
}

fn brief(event: &WatchEvent) -> (&str, &str) {
    (&event.kind, event.object["metadata"]["name"].as_str().unwrap_or(""))
}

async fn label(client: &Client, name: &str, value: &Value) {
    let patch = json!({"metadata": {"labels": {"team": value}}});
    client.merge_patch(&format!("{DRIVERS}/{name}"), &patch).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_every_minute_and_shortly_before_the_end() {
    let testbed = Testbed::new();
    let client = testbed.server(Release::V1_35).client(admin());
    client.create(DRIVERS, &driver("d")).await.unwrap();
    let start = Instant::now();
    let path = format!("{DRIVERS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=150");
    let mut events = Box::pin(client.watch(&path).await.unwrap());
    assert_eq!(brief(&next(&mut events).await), ("ADDED", "d"));
    // A write elsewhere: the bookmark tells of its revision, so that the watcher does not fall behind.
    client.create("/api/v1/namespaces", &json!({"metadata": {"name": "apps"}})).await.unwrap();
    let newest = client.get(DRIVERS).await.unwrap()["metadata"]["resourceVersion"].clone();
    for after in [60, 120, 148] {
        let event = next(&mut events).await;
        assert_eq!(event.kind, "BOOKMARK");
        assert_eq!(event.object["metadata"]["resourceVersion"], newest);
        assert!(event.object["metadata"].get("annotations").is_none());
        assert_eq!((Instant::now() - start).as_secs(), after);
    }
    assert!(events.next().await.is_none());
    assert_eq!((Instant::now() - start).as_secs(), 150);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_no_bookmarks_gets_none() {
    let testbed = Testbed::new();
    let client = testbed.server(Release::V1_35).client(admin());
    let start = Instant::now();
    let events = client.watch(&format!("{DRIVERS}?watch=1&timeoutSeconds=200")).await.unwrap();
    assert_eq!(events.count().await, 0);
    assert_eq!((Instant::now() - start).as_secs(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_sets_no_time_ends_between_half_an_hour_and_an_hour() {
    let testbed = Testbed::new();
    let client = testbed.server(Release::V1_35).client(admin());
    let start = Instant::now();
    let events = client.watch(&format!("{DRIVERS}?watch=1")).await.unwrap();
    assert_eq!(events.count().await, 0);
    let minutes = (Instant::now() - start).as_secs() / 60;
    assert!((30..=60).contains(&minutes), "{minutes}");
}

#[tokio::test(start_paused = true)]
async fn the_initial_events_end_with_a_bookmark_that_says_so() {
    let testbed = Testbed::new();
    let client = testbed.server(Release::V1_35).client(admin());
    client.create(DRIVERS, &driver("a")).await.unwrap();
    client.create(DRIVERS, &driver("b")).await.unwrap();
    let path = format!(
        "{DRIVERS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut events = Box::pin(client.watch(&path).await.unwrap());
    assert_eq!(brief(&next(&mut events).await), ("ADDED", "a"));
    assert_eq!(brief(&next(&mut events).await), ("ADDED", "b"));
    let end = next(&mut events).await;
    assert_eq!(end.kind, "BOOKMARK");
    assert_eq!(end.object["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    client.create(DRIVERS, &driver("c")).await.unwrap();
    assert_eq!(brief(&next(&mut events).await), ("ADDED", "c"));
}

#[tokio::test(start_paused = true)]
async fn leaving_a_selection_is_a_deletion_and_entering_it_an_addition() {
    let testbed = Testbed::new();
    let client = testbed.server(Release::V1_35).client(admin());
    client.create(DRIVERS, &driver("d")).await.unwrap();
    let path = format!("{DRIVERS}?watch=1&labelSelector=team%3Dstorage");
    let mut events = Box::pin(client.watch(&path).await.unwrap());
    label(&client, "d", &json!("storage")).await;
    assert_eq!(brief(&next(&mut events).await), ("ADDED", "d"));
    label(&client, "d", &json!("other")).await;
    let gone = next(&mut events).await;
    assert_eq!(brief(&gone), ("DELETED", "d"));
    assert_eq!(gone.object["metadata"]["labels"]["team"], "storage", "the last state that was selected");
    let newest = client.get(&format!("{DRIVERS}/d")).await.unwrap();
    assert_eq!(gone.object["metadata"]["resourceVersion"], newest["metadata"]["resourceVersion"]);
    label(&client, "d", &json!("storage")).await;
    assert_eq!(brief(&next(&mut events).await), ("ADDED", "d"));
    client.merge_patch(&format!("{DRIVERS}/d"), &json!({"spec": {"requiresRepublish": true}})).await.unwrap();
    assert_eq!(brief(&next(&mut events).await), ("MODIFIED", "d"));
    client.delete(&format!("{DRIVERS}/d"), None).await.unwrap();
    assert_eq!(brief(&next(&mut events).await), ("DELETED", "d"));
}

/// A store that keeps only a few events of each kind.
fn forgetful() -> Store<Index> {
    let limits = HistoryLimits { events: NonZeroUsize::new(4).unwrap(), bytes: 1 << 20 };
    Store::memory_with_limits(limits, Index::of)
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_too_old_is_told_as_an_event() {
    let testbed = Testbed::over(forgetful());
    let client = testbed.server(Release::V1_35).client(admin());
    client.create(DRIVERS, &driver("first")).await.unwrap();
    let version =
        client.get(DRIVERS).await.unwrap()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    for number in 0..10 {
        client.create(DRIVERS, &driver(&format!("d{number}"))).await.unwrap();
    }
    let path = format!("{DRIVERS}?watch=1&resourceVersion={version}");
    let mut events = Box::pin(client.watch(&path).await.unwrap());
    let error = next(&mut events).await;
    assert_eq!(error.kind, "ERROR");
    assert_eq!((&error.object["code"], &error.object["reason"]), (&json!(410), &json!("Expired")));
    assert!(
        error.object["message"].as_str().unwrap().starts_with("too old resource version: "),
        "{}",
        error.object
    );
    assert!(events.next().await.is_none(), "nothing follows");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_never_reads_holds_no_events() {
    let testbed = Testbed::over(forgetful());
    let server = testbed.server(Release::V1_35);
    let client = server.client(admin());
    client.create(DRIVERS, &driver("d")).await.unwrap();
    let request = http::Request::get(format!("{DRIVERS}?watch=1")).body(String::new()).unwrap();
    let mut request = request;
    request.extensions_mut().insert(PeerIdentity(Arc::new(admin())));
    let mut unread = server.handle(request).await.into_body();
    for number in 0..1_000 {
        label(&client, "d", &number.to_string().into()).await;
    }
    // What it gets in the end: the beginning, as it was when it asked, and the news that it has missed the rest.
    let mut text = String::new();
    while let Some(frame) = unread.frame().await {
        text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
    }
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ADDED", "ERROR"]);
    assert_eq!(lines[1]["object"]["code"], 410);
}

/// Puts bytes into the store that are no object.
async fn store_nonsense(testbed: &Testbed, name: &str) {
    let key = Key::new("storage.k8s.io/csidrivers", None, name).unwrap();
    testbed.store.create(key, Unstamped::new(b"{\"metadata\":".to_vec(), 12)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_after_an_event_that_cannot_be() {
    let testbed = Testbed::new();
    let server = testbed.server(Release::V1_35);
    let client = server.client(admin());
    client.create(DRIVERS, &driver("a")).await.unwrap();
    let revision = client.get(DRIVERS).await.unwrap()["metadata"]["resourceVersion"].clone();
    let headers = [("accept", "application/vnd.kubernetes.protobuf;stream=watch")];
    let watch = async |query: String| {
        let mut request = http::Request::get(format!("{DRIVERS}?watch=1&timeoutSeconds=9&{query}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
        request.extensions_mut().insert(PeerIdentity(Arc::new(admin())));
        server.handle(request).await
    };
    // Begun before, and read once all three are there.
    let unread = watch(format!("resourceVersion={}", revision.as_str().unwrap())).await;
    store_nonsense(&testbed, "broken").await;
    client.create(DRIVERS, &driver("later")).await.unwrap();
    let told = unread.into_body().collect().await.unwrap().to_bytes();
    assert!(!told.windows(5).any(|window| window == b"later"), "of the one before it nobody has heard");

    let streaming = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let told = watch(streaming.to_owned()).await.into_body().collect().await.unwrap().to_bytes();
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("ADDED") && !told.contains("initial-events-end"), "not all has been told: {told}");
}

#[tokio::test(start_paused = true)]
async fn the_deprecated_paths_watch_too() {
    let testbed = Testbed::new();
    let server = testbed.server(Release::V1_35);
    let client = server.client(admin());
    client.create(DRIVERS, &driver("a")).await.unwrap();
    client.create(DRIVERS, &driver("b")).await.unwrap();
    let by_path = "/apis/storage.k8s.io/v1/watch/csidrivers";
    for (path, wanted) in [
        (format!("{by_path}?timeoutSeconds=5"), &["a", "b"][..]),
        (format!("{by_path}/b?timeoutSeconds=5"), &["b"]),
        (format!("{by_path}?timeoutSeconds=5&fieldSelector=metadata.name%3Da"), &["a"]),
    ] {
        let events: Vec<_> = client.watch(&path).await.unwrap().collect().await;
        let events: Vec<WatchEvent> = events.into_iter().map(Result::unwrap).collect();
        let told: Vec<_> = events.iter().map(brief).collect();
        let wanted: Vec<_> = wanted.iter().map(|name| ("ADDED", *name)).collect();
        assert_eq!(told, wanted, "{path}");
    }
    let refused = client.delete(&format!("{by_path}/a"), None).await.unwrap_err();
    assert_eq!(refused.code(), Some(http::StatusCode::METHOD_NOT_ALLOWED));
    assert_eq!(client.get(&format!("{DRIVERS}/a")).await.unwrap()["metadata"]["name"], "a");

    // Who may watch one name by a selector may not do so here.
    server.establish_default_roles().await.unwrap();
    let rule = json!({"verbs": ["watch"], "apiGroups": ["storage.k8s.io"], "resources": ["csidrivers"],
        "resourceNames": ["a"]});
    let roles = "/apis/rbac.authorization.k8s.io/v1";
    let role = json!({"metadata": {"name": "one"}, "rules": [rule]});
    client.create(&format!("{roles}/clusterroles"), &role).await.unwrap();
    let binding = json!({
        "metadata": {"name": "one"}, "subjects": [{"kind": "User", "name": "alice"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "one"},
    });
    client.create(&format!("{roles}/clusterrolebindings"), &binding).await.unwrap();
    let alice = server.client(tokenward_apiserver::User::authenticated("alice", []));
    let selected = "timeoutSeconds=5&fieldSelector=metadata.name%3Da";
    alice.watch(&format!("{DRIVERS}?watch=1&{selected}")).await.map(|_| ()).unwrap();
    alice.watch(&format!("{by_path}/a?timeoutSeconds=5")).await.map(|_| ()).unwrap();
    let refused = alice.watch(&format!("{by_path}?{selected}")).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), Some(http::StatusCode::FORBIDDEN));
}

#[tokio::test(start_paused = true)]
async fn one_object_is_watched_by_its_own_path_too() {
    let testbed = Testbed::new();
    let client = testbed.server(Release::V1_35).client(admin());
    client.create(DRIVERS, &driver("a")).await.unwrap();
    client.create(DRIVERS, &driver("b")).await.unwrap();
    let by_path = "/apis/storage.k8s.io/v1/watch/csidrivers/b".to_owned();
    for path in [by_path, format!("{DRIVERS}?watch=1&fieldSelector=metadata.name%3Db")] {
        let mut events = Box::pin(client.watch(&path).await.unwrap());
        assert_eq!(brief(&next(&mut events).await), ("ADDED", "b"), "{path}");
    }
    // Of one object it means nothing: it is read.
    let read = client.get(&format!("{DRIVERS}/b?watch=1")).await.unwrap();
    assert_eq!(read["metadata"]["name"], "b");
}

#[tokio::test(start_paused = true)]
async fn parameters_that_do_not_go_together_are_refused() {
    let testbed = Testbed::new();
    let client = testbed.server(Release::V1_35).client(admin());
    let invalid = |why: &str| format!("ListOptions.meta.k8s.io \"\" is invalid: {why}");
    let requires = "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
    let only = "resourceVersionMatch: Unsupported value: \"Exact\": supported values: \"NotOlderThan\"";
    let unless = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
    let number = |value: &str| format!("strconv.ParseInt: parsing \"{value}\": invalid syntax");
    for (query, code, message) in [
        ("sendInitialEvents=true", 422, invalid(requires)),
        ("sendInitialEvents=false", 422, invalid(requires)),
        ("sendInitialEvents=true&resourceVersionMatch=Exact", 422, invalid(&format!("[{requires}, {only}]"))),
        ("resourceVersionMatch=NotOlderThan", 422, invalid(unless)),
        ("resourceVersionMatch=Exact", 422, invalid(&format!("[{unless}, {only}]"))),
        ("timeoutSeconds=x", 400, number("x")),
        ("limit=", 400, number("")),
        ("labelSelector=%3D", 400, "found '=', expected: !, identifier, or 'end of string'".to_owned()),
        (
            "fieldSelector=spec.nodeName%3Dn",
            400,
            "\"spec.nodeName\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                .to_owned(),
        ),
        ("resourceVersion=99999", 504, "Timeout: Too large resource version: 99999, current: 1".to_owned()),
    ] {
        let refused = client.watch(&format!("{DRIVERS}?watch=1&{query}")).await.err().unwrap();
        assert_eq!(refused.code().unwrap().as_u16(), code, "{query}: {refused}");
        if code != 504 {
            assert_eq!(refused.to_string(), message, "{query}");
        }
    }
    let start = Instant::now();
    let events = client.watch(&format!("{DRIVERS}?watch=1&timeoutSeconds=-5")).await.unwrap();
    assert_eq!(events.count().await, 0);
    assert_eq!(Instant::now(), start, "a time that is past is over at once");
}

#[tokio::test]
async fn a_watch_may_be_wanted_for_longer_than_clocks_go() {
    let testbed = Testbed::new();
    let (_, admin) = testbed.furnished().await;
    for seconds in [i64::MAX, i64::MAX / 2, 1 << 40] {
        let mut events =
            Box::pin(admin.watch(&format!("{DRIVERS}?watch=1&timeoutSeconds={seconds}")).await.unwrap());
        let name = format!("d{seconds}");
        admin.create(DRIVERS, &driver(&name)).await.unwrap();
        loop {
            let event = events.next().await.unwrap().unwrap();
            if event.object["metadata"]["name"] == name.as_str() {
                break;
            }
        }
    }
}

/// Else whoever starts watches and never reads makes the server hold all objects, once for each watch.
#[tokio::test]
async fn what_exists_is_written_piece_by_piece_as_it_is_read() {
    let testbed = Testbed::new();
    let server = testbed.server(Release::V1_35);
    let client = server.client(admin());
    for number in 0..60 {
        let mut large = driver(&format!("d{number:02}"));
        large["metadata"]["annotations"] = json!({"ballast": "x".repeat(8 * 1024)});
        client.create(DRIVERS, &large).await.unwrap();
    }
    let path = format!(
        "{DRIVERS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    );
    let mut request = http::Request::get(path).body(String::new()).unwrap();
    request.extensions_mut().insert(PeerIdentity(Arc::new(admin())));
    let mut body = server.handle(request).await.into_body();
    let mut text = String::new();
    while !text.contains("k8s.io/initial-events-end") {
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(piece.len() < 100 * 1024, "{} bytes at once", piece.len());
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    assert_eq!(text.matches("\"ADDED\"").count(), 60);
    assert_eq!(text.matches('\n').count(), 61);
}

#[tokio::test(start_paused = true)]
async fn those_who_are_behind_by_the_same_changes_are_told_in_the_same_bytes() {
    let testbed = Testbed::new();
    let server = testbed.server(Release::V1_35);
    let client = server.client(admin());
    client.create(DRIVERS, &driver("d")).await.unwrap();
    let version = client.get(DRIVERS).await.unwrap()["metadata"]["resourceVersion"].clone();
    let watch = async |query: &str| {
        let path = format!("{DRIVERS}?watch=1&resourceVersion={}{query}", version.as_str().unwrap());
        let mut request = http::Request::get(path).body(String::new()).unwrap();
        request.extensions_mut().insert(PeerIdentity(Arc::new(admin())));
        server.handle(request).await.into_body()
    };
    let (mut one, mut other) = (watch("").await, watch("").await);
    let mut selecting = watch("&labelSelector=team%3D7").await;
    let ballast = "x".repeat(3_000);
    for number in 0..60 {
        let metadata = json!({"labels": {"team": number.to_string()}, "annotations": {"ballast": ballast}});
        client.merge_patch(&format!("{DRIVERS}/d"), &json!({"metadata": metadata})).await.unwrap();
    }
    let mut text = String::new();
    while text.matches('\n').count() < 60 {
        let [piece, same] =
            [one.frame().await, other.frame().await].map(|f| f.unwrap().unwrap().into_data().unwrap());
        assert!(std::ptr::eq(&piece[..], &same[..]), "written once");
        assert!(piece.len() < 100 * 1024, "{} bytes at once", piece.len());
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    let teams: Vec<String> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["object"]["metadata"]["labels"]["team"].to_string()
        })
        .collect();
    assert_eq!(teams, (0..60).map(|number| format!("\"{number}\"")).collect::<Vec<_>>());
    let of_selecting = selecting.frame().await.unwrap().unwrap().into_data().unwrap();
    let kinds: Vec<Value> = std::str::from_utf8(&of_selecting)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone())
        .collect();
    assert_eq!(kinds, ["ADDED", "DELETED"]);
}
