//! Programs over client-go, the library of every controller, kubelet and Go driver: what goes over the wire is protobuf, and
//! lists come as watches. Without these, a server that JSON clients like breaks the clients that real clusters consist of.

use serde_json::{Value, json};

use crate::peer::Peer;
use crate::support::admin::Admin;
use crate::support::run::{Run, Signal};
use crate::world::{World, lines, with_event};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

/// Waits for a line with this event about the object of this name.
fn wait_for(run: &Run, event: &str, name: &str) -> Value {
    let line = run.stdout_line(|line| {
        let told: Value = serde_json::from_str(line).unwrap();
        told["event"] == event && told.get("name").is_none_or(|found| found == name)
    });
    serde_json::from_str(&line).unwrap()
}

/// One life of an object, seen by an informer in the order in which it happened.
fn follow(informer: Run, admin: &Admin) -> Vec<Value> {
    wait_for(&informer, "synchronized", "");
    admin.create(MAPS, &map("later"));
    wait_for(&informer, "added", "later");
    admin.merge_patch(&format!("{MAPS}/later"), &json!({"data": {"a": "b"}}));
    let changed = wait_for(&informer, "changed", "later");
    assert_eq!(changed["object"]["data"], json!({"a": "b"}));
    admin.request(http::Request::delete(format!("{MAPS}/later")));
    wait_for(&informer, "deleted", "later");
    informer.signal(Signal::TERM);
    let ended = informer.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let told = lines(&ended);
    let seen: Vec<(&str, &str)> = told
        .iter()
        .filter(|line| line["event"] != "request")
        .map(|line| (line["event"].as_str().unwrap(), line["name"].as_str().unwrap_or_default()))
        .collect();
    let wanted = [("added", "later"), ("changed", "later"), ("deleted", "later")];
    assert!(seen.ends_with(&wanted), "{seen:?}");
    let mut before: Vec<(&str, &str)> = seen[..seen.len() - wanted.len()].to_vec();
    // An informer may tell that it has synchronized before it tells what it has.
    before.sort_unstable();
    assert_eq!(before, [("added", "first"), ("added", "second"), ("synchronized", "")]);
    told
}

/// The queries of the requests, with the form of their answers.
fn requests(told: &[Value]) -> Vec<(&str, &str)> {
    with_event(told, "request")
        .into_iter()
        .map(|request| (request["query"].as_str().unwrap(), request["came"].as_str().unwrap()))
        .collect()
}

#[test]
fn an_informer_gets_its_list_as_a_watch_over_protobuf() {
    let Some(world) = World::server(Peer::ClientGo, &[]) else { return };
    let admin = world.admin();
    admin.create(MAPS, &map("first"));
    admin.create(MAPS, &map("second"));
    let told = follow(world.client(["inform", "--namespace=default"]).start(), &admin);
    let [(query, came)] = requests(&told)[..] else { panic!("wanted one request: {:?}", requests(&told)) };
    assert!(query.contains("sendInitialEvents=true"), "{query}");
    assert_eq!(came, format!("{PROTOBUF};stream=watch"));
}

#[test]
fn an_informer_lists_then_watches() {
    let Some(world) = World::server(Peer::ClientGo, &[]) else { return };
    let admin = world.admin();
    admin.create(MAPS, &map("first"));
    admin.create(MAPS, &map("second"));
    for (form, came) in [("--json=false", PROTOBUF), ("--json", "application/json")] {
        let informer = world.client(["inform", "--namespace=default", "--list-then-watch", form]).start();
        let told = follow(informer, &admin);
        let [(list, first), (watch, second)] = requests(&told)[..] else { panic!("{:?}", requests(&told)) };
        assert!(!list.contains("watch="), "{list}");
        assert_eq!(first, came);
        assert!(watch.contains("watch=true"), "{watch}");
        assert!(second == came || second == format!("{came};stream=watch"), "{second}");
    }
}

#[test]
fn an_informer_outlives_the_server() {
    for how in ["--list-then-watch=false", "--list-then-watch"] {
        let Some(mut world) = World::durable_server(Peer::ClientGo) else { return };
        world.admin().create(MAPS, &map("before"));
        let informer = world.client(["inform", "--namespace=default", how]).start();
        wait_for(&informer, "synchronized", "");
        wait_for(&informer, "added", "before");
        world.kill_and_resume();
        let admin = world.admin();
        admin.create(MAPS, &map("after"));
        wait_for(&informer, "added", "after");
        admin.request(http::Request::delete(format!("{MAPS}/before")));
        wait_for(&informer, "deleted", "before");
        informer.signal(Signal::TERM);
        let told = lines(&informer.wait());
        // What it had seen before, it was not told again.
        let seen: Vec<(&str, &str)> =
            told.iter().filter_map(|line| Some((line["event"].as_str()?, line["name"].as_str()?))).collect();
        assert_eq!(seen, [("added", "before"), ("added", "after"), ("deleted", "before")]);
    }
}

#[test]
fn objects_live_over_protobuf() {
    let Some(world) = World::server(Peer::ClientGo, &[]) else { return };
    world.admin().create(
        "/api/v1/namespaces/default/serviceaccounts",
        &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}),
    );
    let told = world.told(["write"]);
    for request in with_event(&told, "request") {
        // Deletions send their options as JSON.
        assert!(request["came"] == PROTOBUF, "{request}");
    }
    let [driver, account, pod] = with_event(&told, "created")[..] else { panic!("{told:?}") };
    assert_eq!(driver["object"]["spec"]["fsGroupPolicy"], "ReadWriteOnceWithFSType");
    assert_eq!(driver["object"]["spec"]["serviceAccountTokenInSecrets"], json!(true));
    assert_eq!(driver["object"]["metadata"]["managedFields"][0]["manager"], "written");
    assert_eq!(account["object"]["metadata"]["name"], "written");
    assert_eq!(pod["object"]["status"], json!({"phase": "Pending", "qosClass": "BestEffort"}));
    assert_eq!(pod["object"]["spec"]["tolerations"].as_array().unwrap().len(), 2);
    for (event, field, wanted) in [
        ("updated", "/object/metadata/annotations", json!({"example/by": "update"})),
        ("refused", "/error/reason", json!("Conflict")),
        ("patched", "/object/metadata/labels", json!({"example/by": "patch"})),
        ("listed", "/object/items/0/metadata/labels", json!({"example/by": "patch"})),
        ("gone", "/error/reason", json!("NotFound")),
    ] {
        let found = with_event(&told, event);
        assert_eq!(found.len(), 3, "{event}: {told:?}");
        for line in found {
            assert_eq!(line.pointer(field), Some(&wanted), "{line}");
        }
    }
}

#[test]
fn a_token_over_protobuf() {
    let Some(world) = World::server(Peer::ClientGo, &[]) else { return };
    let admin = world.admin();
    admin.create(
        "/api/v1/namespaces/default/serviceaccounts",
        &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}}),
    );
    let pod = admin.create_pod(&json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-0"},
        "spec": {"serviceAccountName": "web", "containers": [{"name": "main", "image": "image.example/main"}]},
    }));
    let told = world.told(["token", "--account=web", "--audiences=vault,sts.example", "--pod=web-0"]);
    for request in with_event(&told, "request") {
        assert_eq!(request["came"], PROTOBUF);
        assert!(request["method"] == "GET" || request["sent"] == PROTOBUF, "{request}");
    }
    let granted = &with_event(&told, "granted")[0]["object"];
    assert_eq!(granted["spec"]["audiences"], json!(["vault", "sts.example"]));
    assert_eq!(granted["spec"]["boundObjectRef"]["uid"], pod["metadata"]["uid"]);
    let status = &with_event(&told, "reviewed")[0]["object"]["status"];
    assert_eq!(status["authenticated"], json!(true), "{status}");
    assert_eq!(status["user"]["username"], "system:serviceaccount:default:web");
    assert_eq!(
        status["user"]["extra"]["authentication.kubernetes.io/pod-uid"],
        json!([pod["metadata"]["uid"]])
    );

    let ended = world.client(["token", "--account=nobody"]).run();
    assert_eq!(ended.code, Some(1));
    let told = lines(&ended);
    assert_eq!(with_event(&told, "error")[0]["error"]["message"], "serviceaccounts \"nobody\" not found");
}

#[test]
fn leaders_follow_each_other() {
    let Some(world) = World::server(Peer::ClientGo, &[]) else { return };
    let start = |identity: &str| world.client(["elect", &format!("--identity={identity}")]).start();
    let is = |line: &str, event: Value| serde_json::from_str::<Value>(line).unwrap() == event;
    let leads = |run: &Run| {
        run.stdout_line(|line| is(line, json!({"event": "leads"})));
    };
    let sees = |run: &Run, leader: &str| {
        run.stdout_line(|line| is(line, json!({"event": "leader", "identity": leader})));
    };
    let first = start("first");
    leads(&first);
    let second = start("second");
    sees(&second, "first");

    // Who ends well gives the lease back, and the next one takes it.
    first.signal(Signal::TERM);
    assert!(first.wait().stdout.ends_with("{\"event\":\"leads no more\"}\n"));
    leads(&second);
    let third = start("third");
    sees(&third, "second");

    // Who is killed cannot: the lease has to end.
    second.signal(Signal::KILL);
    leads(&third);
    let lease = world.admin().get("/apis/coordination.k8s.io/v1/namespaces/default/leases/leader");
    assert_eq!(lease["spec"]["holderIdentity"], "third");
    assert_eq!(lease["spec"]["leaseTransitions"], 2);
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 3);
}

#[test]
fn two_appliers_share_a_map() {
    let Some(world) = World::server(Peer::ClientGo, &[]) else { return };
    let object = |data: Value| {
        let mut object = map("shared");
        object["metadata"]["namespace"] = json!("default");
        object["data"] = data;
        format!("--object={object}")
    };
    let applied = |told: &[Value]| with_event(told, "applied")[0]["object"].clone();
    let told = world.told(["apply", "--manager=one", &object(json!({"a": "1", "b": "1"}))]);
    assert_eq!(applied(&told)["data"], json!({"a": "1", "b": "1"}));
    let told = world.told(["apply", "--manager=two", &object(json!({"c": "2"}))]);
    assert_eq!(applied(&told)["data"], json!({"a": "1", "b": "1", "c": "2"}));

    let ended = world.client(["apply", "--manager=two", &object(json!({"a": "2"}))]).run();
    assert_eq!(ended.code, Some(1));
    let told = lines(&ended);
    let error = &with_event(&told, "error")[0]["error"];
    assert_eq!(error["reason"], "Conflict");
    assert_eq!(error["message"], "Apply failed with 1 conflict: conflict with \"one\": .data.a");

    // By force it is taken over; what an applier leaves out now and nobody else has is gone.
    let told = world.told(["apply", "--manager=two", "--force", &object(json!({"a": "2"}))]);
    assert_eq!(applied(&told)["data"], json!({"a": "2", "b": "1"}));
    let managers: Vec<Value> = applied(&told)["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| json!([entry["manager"], entry["operation"], entry["fieldsV1"]]))
        .collect();
    assert_eq!(
        managers,
        [json!(["one", "Apply", {"f:data": {"f:b": {}}}]), json!(["two", "Apply", {"f:data": {"f:a": {}}}]),]
    );
}
