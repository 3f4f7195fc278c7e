//! A client that writes and reads YAML by hand.

use http::{Method, StatusCode};
use tokenward_kube_rules::Release;

use crate::testbed::{DRIVERS, Testbed, send};

const YAML: [(&str, &str); 2] = [("content-type", "application/yaml"), ("accept", "application/yaml")];

const DRIVER: &str = "
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata:
  name: d
  annotations:
    empty: \"\"
    truth: \"yes\"
spec:
  podInfoOnMount: yes
  podInfoOnMount: no
  tokenRequests:
  - audience: vault
    expirationSeconds: 3600
  colour: blue
  serviceAccountTokenInSecrets: true
";

#[tokio::test]
async fn yaml_is_written_and_read() {
    let server = Testbed::new().server(Release::V1_35);
    let created = send(&server, Method::POST, DRIVERS, &YAML, DRIVER).await;
    assert_eq!(created.code(), StatusCode::CREATED, "{}", created.text());
    assert_eq!(created.response.headers()["content-type"], "application/yaml");
    let warnings: Vec<_> = created.response.headers().get_all("warning").iter().collect();
    assert_eq!(
        warnings,
        [
            // The line breaks of the text cannot be in a header.
            "299 - \"yaml: unmarshal errors:   line 11: key \\\"podInfoOnMount\\\" already set in map\"",
            "299 - \"unknown field \\\"spec.colour\\\"\"",
        ]
    );
    let read = send(&server, Method::GET, &format!("{DRIVERS}/d"), &[], "").await.json();
    assert_eq!(read["spec"]["podInfoOnMount"], false, "the last one counts");
    assert_eq!(read["metadata"]["annotations"]["truth"], "yes");
    let text = created.text();
    assert!(text.contains("name: d\n") && text.contains("truth: \"yes\"\n"), "{text}");

    // What came is sent back, changed.
    let changed = text.replace("podInfoOnMount: false", "podInfoOnMount: true");
    let updated = send(&server, Method::PUT, &format!("{DRIVERS}/d"), &YAML, changed).await;
    assert_eq!(updated.code(), StatusCode::OK, "{}", updated.text());
    assert!(updated.text().contains("podInfoOnMount: true"));
    let options = "propagationPolicy: Sideways\n";
    let refused = send(&server, Method::DELETE, &format!("{DRIVERS}/d"), &YAML, options).await;
    assert_eq!(refused.code(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text().contains("reason: Invalid\n"), "{}", refused.text());
    let options = "propagationPolicy: Background\n";
    let deleted = send(&server, Method::DELETE, &format!("{DRIVERS}/d"), &YAML, options).await;
    assert_eq!(deleted.code(), StatusCode::OK);
}

#[tokio::test]
async fn strictness_looks_at_yaml_itself_too() {
    let server = Testbed::new().server(Release::V1_35);
    let strict = format!("{DRIVERS}?fieldValidation=Strict");
    let refused = send(&server, Method::POST, &strict, &YAML[..1], DRIVER).await;
    assert_eq!(
        refused.json()["message"],
        "CSIDriver in version \"v1\" cannot be handled as a CSIDriver: strict decoding error: yaml: unmarshal errors:\n  \
         line 11: key \"podInfoOnMount\" already set in map, unknown field \"spec.colour\""
    );
    let ignoring = format!("{DRIVERS}?fieldValidation=Ignore");
    let created = send(&server, Method::POST, &ignoring, &YAML[..1], DRIVER).await;
    assert_eq!(created.code(), StatusCode::CREATED);
    assert!(!created.response.headers().contains_key("warning"));
    let mut large = DRIVER.to_owned();
    large.push_str(&"# a comment\n".repeat(300_000));
    let refused = send(&server, Method::POST, DRIVERS, &YAML[..1], large).await;
    assert_eq!(refused.code(), StatusCode::PAYLOAD_TOO_LARGE);
}
