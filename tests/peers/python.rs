//! The Python client, which speaks JSON and is strict about what it has models for. Without these, scripts and operators in
//! Python meet an answer that their client cannot read.

use serde_json::{Value, json};

use crate::peer::Peer;
use crate::world::{World, beside, with_event};

#[test]
fn a_watch_goes_on_where_a_list_ended() {
    let Some(world) = World::server(Peer::Python, &[]) else { return };
    let admin = world.admin();
    let maps = "/api/v1/namespaces/default/configmaps";
    let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    admin.create(maps, &map("before"));
    let watch = world.client([beside("python/client.py").as_str(), "watch", "--seconds=60"]).start();
    watch
        .stdout_line(|line| line.contains(r#""event": "listed""#) && line.contains(r#""names": ["before"]"#));
    admin.create(maps, &map("after"));
    admin.merge_patch(&format!("{maps}/after"), &json!({"data": {"a": "b"}}));
    admin.request(http::Request::delete(format!("{maps}/after")));
    let last = watch.stdout_line(|line| line.contains(r#""event": "DELETED""#));
    let last: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(last, json!({"event": "DELETED", "name": "after", "data": {"a": "b"}}));
    watch.stdout_line(|line| line.contains("ADDED") && line.contains("after"));
    watch.stdout_line(|line| line.contains("MODIFIED") && line.contains("after"));
}

#[test]
fn the_server_ends_a_watch_when_it_was_asked_to() {
    let Some(world) = World::server(Peer::Python, &[]) else { return };
    let told = world.told([beside("python/client.py").as_str(), "watch", "--seconds=1"]);
    assert_eq!(told.last().unwrap(), &json!({"event": "ended"}));
}

#[test]
fn objects_and_tokens() {
    let Some(world) = World::server(Peer::Python, &[]) else { return };
    let told = world.told([beside("python/client.py").as_str(), "write"]);
    let [driver, account] = with_event(&told, "created")[..] else { panic!("{told:?}") };
    assert_eq!(driver["object"]["spec"]["requiresRepublish"], json!(true));
    assert_eq!(driver["object"]["spec"]["attachRequired"], json!(true));
    assert_eq!(account["object"]["metadata"]["name"], "python");
    assert_eq!(with_event(&told, "refused")[0]["error"]["reason"], "AlreadyExists");
    assert_eq!(
        with_event(&told, "patched")[0]["object"]["spec"]["serviceAccountTokenInSecrets"],
        json!(true)
    );
    assert_eq!(with_event(&told, "listed")[0]["object"]["items"].as_array().unwrap().len(), 1);
    let status = &with_event(&told, "reviewed")[0]["status"];
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:python");
    assert_eq!(status["audiences"], json!(["vault"]));
    assert_eq!(with_event(&told, "gone")[0]["error"]["reason"], "NotFound");
}
