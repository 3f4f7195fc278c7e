//! Paths that nobody should ask for: without the rules here a name could lead to another object's place, and clients would
//! mistake what is missing.

use http::{Method, StatusCode};
use tokenward_kube_rules::Release;

use crate::testbed::{Testbed, send};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn a_name_that_cannot_stand_in_a_path_is_refused_whatever_is_asked() {
    let server = Testbed::new().server(Release::V1_35);
    for (name, why) in [
        ("..", "Name parameter invalid: \"..\": may not be '..'"),
        ("%2e", "Name parameter invalid: \".\": may not be '.'"),
        ("a%25b", "Name parameter invalid: \"a%b\": may not contain '%'"),
    ] {
        for (method, content_type, body) in [
            (Method::GET, "application/json", ""),
            (Method::DELETE, "application/json", ""),
            (Method::PATCH, "application/merge-patch+json", "{}"),
        ] {
            let path = format!("{CONFIG_MAPS}/{name}");
            let answer = send(&server, method.clone(), &path, &[("content-type", content_type)], body).await;
            assert_eq!(answer.code(), StatusCode::BAD_REQUEST, "{method} {path}");
            assert_eq!(answer.json()["message"], why, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn what_is_missing_in_a_known_group_is_said_as_of_objects() {
    let server = Testbed::new().server(Release::V1_35);
    let table = [
        ("/apis/apps/v2", true),
        ("/apis/apps/v2/daemonsets", true),
        ("/apis/apps/v1/deployments", true),
        ("/api/v2", true),
        ("/api/v1beta1/pods", true),
        // An encoded slash divides, as any other.
        ("/api/v1/namespaces/default/configmaps/a%2Fb", true),
        ("/apis/batch/v1/jobs", false),
        ("/apis/batch", false),
        ("/nothing", false),
    ];
    for (path, is_known) in table {
        let answer = send(&server, Method::GET, path, &[], "").await;
        assert_eq!(answer.code(), StatusCode::NOT_FOUND, "{path}");
        let content_type = answer.response.headers()["content-type"].to_str().unwrap().to_owned();
        let wanted = if is_known { "application/json" } else { "text/plain; charset=utf-8" };
        assert_eq!(content_type, wanted, "{path}");
        if is_known {
            let message = "the server could not find the requested resource";
            assert_eq!(answer.json()["message"], message, "{path}");
        }
    }
}
