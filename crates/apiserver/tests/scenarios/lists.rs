//! Lists: chunks, resource versions, selectors. What breaks here breaks every client that lists more than it asks for at once.

use std::num::NonZeroUsize;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokenward_apiserver::{Client, Index};
use tokenward_kube_rules::Release;
use tokenward_store::{HistoryLimits, Store};

use crate::testbed::{Answer, DRIVERS, Testbed, admin, driver, send};

async fn filled(testbed: &Testbed, count: usize) -> (tokenward_apiserver::ApiServer, Client) {
    let server = testbed.server(Release::V1_35);
    let client = server.client(admin());
    for number in 0..count {
        let mut driver = driver(&format!("d{number}"));
        driver["metadata"]["labels"] =
            json!({"half": if number < count / 2 { "first" } else { "second" }, "n": number.to_string()});
        client.create(DRIVERS, &driver).await.unwrap();
    }
    (server, client)
}

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

async fn get(server: &tokenward_apiserver::ApiServer, query: &str) -> Answer {
    send(server, Method::GET, &format!("{DRIVERS}?{query}"), &[], "").await
}

#[tokio::test]
async fn chunks_are_of_one_moment_and_count_what_remains() {
    let testbed = Testbed::new();
    let (_, client) = filled(&testbed, 5).await;
    let first = client.get(&format!("{DRIVERS}?limit=2")).await.unwrap();
    assert_eq!(names(&first), ["d0", "d1"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    client.create(DRIVERS, &driver("d1x")).await.unwrap();
    client.delete(&format!("{DRIVERS}/d3"), None).await.unwrap();
    let mut found = Vec::new();
    let mut token = first["metadata"]["continue"].clone();
    while let Some(text) = token.as_str() {
        let next = client.get(&format!("{DRIVERS}?limit=2&continue={text}")).await.unwrap();
        assert_eq!(next["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        found.extend(names(&next).into_iter().map(str::to_owned));
        token = next["metadata"]["continue"].clone();
    }
    assert_eq!(found, ["d2", "d3", "d4"], "as it was when the list began");
    let selected = client.get(&format!("{DRIVERS}?limit=1&labelSelector=half%3Dfirst")).await.unwrap();
    assert!(selected["metadata"].get("remainingItemCount").is_none(), "nobody has counted with a selector");
    assert!(selected["metadata"]["continue"].is_string());
}

#[tokio::test]
async fn a_list_that_took_too_long_may_go_on_inconsistently() {
    let limits = HistoryLimits { events: NonZeroUsize::new(4).unwrap(), bytes: 1 << 20 };
    let testbed = Testbed::over(Store::memory_with_limits(limits, Index::of));
    let (server, client) = filled(&testbed, 4).await;
    let first = client.get(&format!("{DRIVERS}?limit=2")).await.unwrap();
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    for number in 0..10 {
        client.create(DRIVERS, &driver(&format!("e{number}"))).await.unwrap();
    }
    let expired = get(&server, &format!("limit=2&continue={token}")).await;
    assert_eq!(expired.code(), StatusCode::GONE);
    let status = expired.json();
    assert_eq!(status["reason"], "Expired");
    let message = status["message"].as_str().unwrap();
    assert!(
        message.starts_with("The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response"),
        "{message}"
    );
    let fresh = status["metadata"]["continue"].as_str().unwrap();
    let rest = client.get(&format!("{DRIVERS}?limit=3&continue={fresh}")).await.unwrap();
    assert_eq!(names(&rest), ["d2", "d3", "e0"], "what there is now, behind the last one seen");
    let then = rest["metadata"]["continue"].as_str().unwrap();
    let last = client.get(&format!("{DRIVERS}?continue={then}")).await.unwrap();
    assert_eq!(last["metadata"]["resourceVersion"], rest["metadata"]["resourceVersion"], "consistent again");
}

/// A query, and how many are listed or what is refused.
type Row = (String, Result<usize, (u16, String)>);

#[tokio::test]
async fn resource_versions_say_how_old_a_list_may_be() {
    let testbed = Testbed::new();
    let (server, client) = filled(&testbed, 3).await;
    let then = client.get(DRIVERS).await.unwrap()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    client.create(DRIVERS, &driver("late")).await.unwrap();
    let forbidden = |why: &str| {
        format!("ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: {why}")
    };
    let rows: Vec<Row> = vec![
        (String::new(), Ok(4)),
        ("resourceVersion=0".into(), Ok(4)),
        (format!("resourceVersion={then}"), Ok(4)),
        (format!("resourceVersion={then}&resourceVersionMatch=NotOlderThan"), Ok(4)),
        (format!("resourceVersion={then}&resourceVersionMatch=Exact"), Ok(3)),
        // The rule from before there was a match parameter.
        (format!("resourceVersion={then}&limit=10"), Ok(3)),
        ("resourceVersion=0&limit=10".into(), Ok(4)),
        (format!("resourceVersion={then}&resourceVersionMatch=NotOlderThan&limit=10"), Ok(4)),
        ("resourceVersion=0&resourceVersionMatch=NotOlderThan".into(), Ok(4)),
        ("resourceVersionMatch=Exact".into(), Err((422, forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided")))),
        ("resourceVersion=0&resourceVersionMatch=Exact".into(), Err((422, forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")))),
        ("resourceVersion=1&resourceVersionMatch=Exact&continue=x".into(), Err((422, forbidden("resourceVersionMatch is forbidden when continue is provided")))),
        ("resourceVersion=-1".into(), Err((400, "invalid resource version: resourceVersion: Invalid value: \"-1\": strconv.ParseUint: parsing \"-1\": invalid syntax".into()))),
        ("limit=x".into(), Err((400, "strconv.ParseInt: parsing \"x\": invalid syntax".into()))),
        ("timeoutSeconds=".into(), Err((400, "strconv.ParseInt: parsing \"\": invalid syntax".into()))),
        ("limit=99999999999999999999".into(), Err((400, "strconv.ParseInt: parsing \"99999999999999999999\": value out of range".into()))),
        ("limit=-1".into(), Ok(4)),
        ("limit=0".into(), Ok(4)),
        ("pretty=true&unknown=1".into(), Ok(4)),
    ];
    for (query, wanted) in rows {
        let answer = get(&server, &query).await;
        match wanted {
            Ok(count) => assert_eq!(names(&answer.json()).len(), count, "{query}: {}", answer.text()),
            Err((code, message)) => {
                assert_eq!(answer.code().as_u16(), code, "{query}: {}", answer.text());
                assert_eq!(answer.json()["message"], message.as_str(), "{query}");
            }
        }
    }
    for query in ["resourceVersion=99999", "resourceVersion=99999&resourceVersionMatch=Exact"] {
        let answer = get(&server, query).await;
        assert_eq!(answer.code(), StatusCode::GATEWAY_TIMEOUT, "{query}");
        assert_eq!(answer.json()["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
        assert_eq!(answer.response.headers()["retry-after"], "1");
    }
}

#[tokio::test]
async fn continue_tokens_that_are_none() {
    use base64::Engine as _;
    let testbed = Testbed::new();
    let (server, _) = filled(&testbed, 1).await;
    let token = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    for (token, why) in [
        (token(r#"{"v":"v9","rv":1,"start":"a"}"#), "server does not recognize this encoded version v9"),
        (
            token(r#"{"v":"meta.k8s.io/v1","start":"a"}"#),
            "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
        ),
        (token(r#"{"v":"meta.k8s.io/v1","rv":1}"#), "encoded start key empty (version meta.k8s.io/v1)"),
        (token(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../../secrets/a"}"#), "../../secrets/a"),
    ] {
        let answer = get(&server, &format!("continue={token}")).await;
        assert_eq!(answer.code(), StatusCode::BAD_REQUEST, "{}", answer.text());
        assert_eq!(
            answer.json()["message"],
            format!("invalid continue token: continue key is not valid: {why}")
        );
    }
}

#[tokio::test]
async fn selectors_of_every_form() {
    let testbed = Testbed::new();
    let (server, client) = filled(&testbed, 4).await;
    let rows: [(&str, &[&str]); 14] = [
        ("labelSelector=half", &["d0", "d1", "d2", "d3"]),
        ("labelSelector=!half", &[]),
        ("labelSelector=half%3Dfirst", &["d0", "d1"]),
        ("labelSelector=half%3D%3Dsecond", &["d2", "d3"]),
        ("labelSelector=half!%3Dfirst", &["d2", "d3"]),
        ("labelSelector=n+in+(0,3)", &["d0", "d3"]),
        ("labelSelector=n+notin+(0,3)", &["d1", "d2"]),
        ("labelSelector=n%3E1", &["d2", "d3"]),
        ("labelSelector=n%3C1,half", &["d0"]),
        ("fieldSelector=metadata.name%3Dd2", &["d2"]),
        ("fieldSelector=metadata.name!%3Dd2", &["d0", "d1", "d3"]),
        ("fieldSelector=metadata.name%3Dd2&labelSelector=half%3Dfirst", &[]),
        ("fieldSelector=metadata.name%3Dnobody", &[]),
        ("fieldSelector=&labelSelector=", &["d0", "d1", "d2", "d3"]),
    ];
    for (query, wanted) in rows {
        assert_eq!(names(&client.get(&format!("{DRIVERS}?{query}")).await.unwrap()), wanted, "{query}");
    }
    for (query, why) in [
        (
            "labelSelector=a+b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        ("labelSelector=a%3Db,", "found '', expected: identifier after ','"),
        (
            "labelSelector=-a",
            "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of alphanumeric characters",
        ),
        (
            "labelSelector=a%3D-b",
            "unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid label must be an empty string",
        ),
        (
            "labelSelector=a%3Eb",
            "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
        (
            "fieldSelector=spec.attachRequired%3Dtrue",
            "\"spec.attachRequired\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
        ("fieldSelector=name", "invalid selector: 'name'; can't understand 'name'"),
    ] {
        let answer = get(&server, query).await;
        assert_eq!(answer.code(), StatusCode::BAD_REQUEST, "{query}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(why), "{query}: {message}");
    }
}

#[tokio::test]
async fn a_read_may_ask_for_a_state_that_is_not_there_yet() {
    let testbed = Testbed::new();
    let (server, _) = filled(&testbed, 1).await;
    for (version, code) in [("", 200), ("0", 200), ("1", 200), ("99999", 504), ("x", 500)] {
        let answer =
            send(&server, Method::GET, &format!("{DRIVERS}/d0?resourceVersion={version}"), &[], "").await;
        assert_eq!(answer.code().as_u16(), code, "{version}");
    }
}
