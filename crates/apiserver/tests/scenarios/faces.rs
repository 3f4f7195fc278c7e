//! What clients read before they ask for an object: discovery in both forms, OpenAPI documents, the list of paths.

use http::{Method, StatusCode};
use tokenward_kube_rules::Release;

use crate::testbed::{Testbed, send};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const BETA: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

#[tokio::test]
async fn discovery_comes_in_the_form_that_the_client_names_first() {
    let server = Testbed::new().server(Release::V1_35);
    let peerless = format!("{AGGREGATED};profile=nopeer");
    let table = [
        ("/apis", AGGREGATED.to_owned(), Some("APIGroupDiscoveryList")),
        ("/api", AGGREGATED.to_owned(), Some("APIGroupDiscoveryList")),
        ("/apis", format!("{peerless},{AGGREGATED},application/json"), Some("APIGroupDiscoveryList")),
        ("/apis", format!("{BETA},{AGGREGATED}"), Some("APIGroupDiscoveryList")),
        ("/apis", format!("{BETA},application/json"), Some("APIGroupList")),
        ("/api", format!("{BETA},application/json"), Some("APIVersions")),
        ("/apis", format!("application/json,{AGGREGATED}"), Some("APIGroupList")),
        ("/apis", BETA.to_owned(), None),
        // One group alone has only the older form.
        ("/apis/apps", format!("{AGGREGATED},application/json"), Some("APIGroup")),
    ];
    for (path, accept, kind) in table {
        let answer = send(&server, Method::GET, path, &[("accept", &accept)], "").await;
        match kind {
            Some(kind) => {
                assert_eq!(answer.json()["kind"], kind, "{path} {accept}");
                let content_type =
                    if kind == "APIGroupDiscoveryList" { AGGREGATED } else { "application/json" };
                assert_eq!(answer.response.headers()["content-type"], content_type, "{path} {accept}");
            }
            None => assert_eq!(answer.code(), StatusCode::NOT_ACCEPTABLE, "{path} {accept}"),
        }
    }
}

#[tokio::test]
async fn a_client_that_knows_the_document_is_told_so_and_nothing_else() {
    let server = Testbed::new().server(Release::V1_35);
    let first = send(&server, Method::GET, "/apis", &[("accept", AGGREGATED)], "").await;
    let tag = first.response.headers()["etag"].to_str().unwrap().to_owned();
    let table = [
        (tag.clone(), StatusCode::NOT_MODIFIED),
        (format!("\"OTHER\", W/{tag}"), StatusCode::NOT_MODIFIED),
        ("\"OTHER\"".to_owned(), StatusCode::OK),
        (tag.replace('"', ""), StatusCode::OK),
    ];
    for (known, code) in table {
        let headers = [("accept", AGGREGATED), ("if-none-match", known.as_str())];
        let answer = send(&server, Method::GET, "/apis", &headers, "").await;
        assert_eq!(answer.code(), code, "{known}");
        assert_eq!(answer.body.is_empty(), code == StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(answer.response.headers()["etag"], tag.as_str());
        assert_eq!(answer.response.headers()["vary"], "Accept");
        assert_eq!(answer.response.headers()["cache-control"], "public");
    }
}

#[tokio::test]
async fn every_path_that_the_root_lists_is_there() {
    let server = Testbed::new().server(Release::V1_35);
    let root = send(&server, Method::GET, "/", &[], "").await.json();
    let paths = root["paths"].as_array().unwrap();
    assert!(paths.iter().any(|path| path == "/apis/storage.k8s.io/v1"), "{root}");
    for path in paths {
        let answer = send(&server, Method::GET, path.as_str().unwrap(), &[("accept", "*/*")], "").await;
        assert_eq!(answer.code(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn openapi_documents_are_found_by_the_list_and_kept_by_their_hash() {
    let server = Testbed::new().server(Release::V1_35);
    let index = send(&server, Method::GET, "/openapi/v3", &[], "").await;
    let paths = index.json()["paths"].clone();
    let address = |path: &str| paths[path]["serverRelativeURL"].as_str().unwrap().to_owned();
    let storage = address("apis/storage.k8s.io/v1");
    assert!(storage.starts_with("/openapi/v3/apis/storage.k8s.io/v1?hash="), "{storage}");
    let found = send(&server, Method::GET, &storage, &[("accept", "application/json")], "").await;
    assert_eq!(found.json()["openapi"], "3.0.0");
    assert_eq!(found.response.headers()["cache-control"], "public, immutable");
    assert_eq!(found.response.headers()["expires"], "Mon, 01 Mar 2027 12:00:00 GMT");
    let tag = found.response.headers()["etag"].to_str().unwrap().to_owned();
    let known = send(&server, Method::GET, &storage, &[("if-none-match", &tag)], "").await;
    assert_eq!(known.code(), StatusCode::NOT_MODIFIED);

    // Without a hash it is the same document, but nobody may keep it; with another, the way to it.
    let bare = send(&server, Method::GET, "/openapi/v3/apis/storage.k8s.io/v1", &[], "").await;
    assert_eq!((bare.code(), &bare.body), (StatusCode::OK, &found.body));
    assert_eq!(bare.response.headers()["cache-control"], "no-cache, private");
    let stale = "/openapi/v3/apis/storage.k8s.io/v1?hash=0";
    let moved = send(&server, Method::GET, stale, &[], "").await;
    assert_eq!(moved.code(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(moved.response.headers()["location"], storage.as_str());

    let protobuf = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";
    let table = [
        ("/openapi/v3/apis/nothing.example/v1", "*/*", StatusCode::NOT_FOUND),
        ("/openapi/v3/api/v1", protobuf, StatusCode::NOT_ACCEPTABLE),
        ("/openapi/v3", protobuf, StatusCode::NOT_ACCEPTABLE),
        ("/openapi/v3/api/v1", &format!("{protobuf},application/json"), StatusCode::OK),
    ];
    for (path, accept, code) in table {
        assert_eq!(send(&server, Method::GET, path, &[("accept", accept)], "").await.code(), code, "{path}");
    }
}

#[tokio::test]
async fn each_release_documents_its_own_fields() {
    let bed = Testbed::new();
    let mut documents = Vec::new();
    for release in Release::ALL {
        let server = bed.server(release);
        let document = send(&server, Method::GET, "/openapi/v3/apis/storage.k8s.io/v1", &[], "").await.json();
        let spec = &document["components"]["schemas"]["io.k8s.api.storage.v1.CSIDriverSpec"]["properties"];
        documents.push(spec.get("serviceAccountTokenInSecrets").is_some());
    }
    assert_eq!(documents, [false, true, true]);
}
