//! What the server says of itself: health and version.

use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokenward_kube_rules::Release;

use crate::body::Body;
use crate::query::Query;

/// One of the checks behind `/healthz`, `/livez` and `/readyz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    name: &'static str,
    is_good: bool,
}

/// The checks of a server: `etcd_answers` says how it is with etcd, if the objects are kept there.
pub(crate) fn checks(endpoint: &str, etcd_answers: Option<bool>) -> Vec<Check> {
    let good = |name| Check { name, is_good: true };
    let Some(is_good) = etcd_answers else { return vec![good("ping"), good("store")] };
    let mut checks = vec![good("ping"), Check { name: "etcd", is_good }];
    if endpoint == "readyz" {
        checks.push(Check { name: "etcd-readiness", is_good });
    }
    checks
}

/// Answers a health path.
pub(crate) fn health(endpoint: &str, check: Option<&str>, query: &Query, checks: &[Check]) -> Response<Body> {
    if let Some(name) = check {
        return match checks.iter().find(|check| check.name == name) {
            None => text(StatusCode::NOT_FOUND, "404 page not found\n"),
            Some(check) if check.is_good => text(StatusCode::OK, "ok"),
            Some(_) => {
                text(StatusCode::INTERNAL_SERVER_ERROR, "internal server error: etcd does not answer\n")
            }
        };
    }
    let excluded = |name: &str| query.all_of("exclude").any(|excluded| excluded == name);
    let fails = checks.iter().any(|check| !check.is_good && !excluded(check.name));
    if !fails && !query.has("verbose") {
        return text(StatusCode::OK, "ok");
    }
    let mut lines = String::new();
    for Check { name, is_good } in checks {
        lines.push_str(&match (excluded(name), is_good) {
            (true, _) => format!("[+]{name} excluded: ok\n"),
            (false, true) => format!("[+]{name} ok\n"),
            (false, false) => format!("[-]{name} failed: reason withheld\n"),
        });
    }
    lines.push_str(endpoint);
    if fails {
        lines.push_str(" check failed\n");
        return text(StatusCode::INTERNAL_SERVER_ERROR, &lines);
    }
    lines.push_str(" check passed\n");
    text(StatusCode::OK, &lines)
}

/// A plain-text answer.
pub(crate) fn text(code: StatusCode, text: &str) -> Response<Body> {
    Response::builder()
        .status(code)
        .header(http::header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .header("X-Content-Type-Options", "nosniff")
        .body(Body::whole(text.to_owned()))
        .expect("constant headers")
}

/// `/version`. Clients read `gitVersion` as a semantic version.
pub(crate) fn version(release: Release) -> Value {
    let minor = release.minor().to_string();
    json!({
        "major": "1",
        "minor": minor,
        "emulationMajor": "1",
        "emulationMinor": minor,
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": (release.minor() - 1).to_string(),
        "gitVersion": release.git_version(),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": platform(),
    })
}

fn platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}/{architecture}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn ask(endpoint: &str, check: Option<&str>, query: &str, etcd: Option<bool>) -> (u16, String) {
        let checks = checks(endpoint, etcd);
        let response = health(endpoint, check, &Query::parse(query), &checks);
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_server_whose_etcd_is_away_is_not_ready_and_says_why() {
        for (endpoint, check, query, etcd, status, body) in [
            ("readyz", None, "", None, 200, "ok"),
            ("readyz", None, "verbose", None, 200, "[+]ping ok\n[+]store ok\nreadyz check passed\n"),
            ("readyz", None, "", Some(true), 200, "ok"),
            (
                "readyz",
                None,
                "",
                Some(false),
                500,
                "[+]ping ok\n[-]etcd failed: reason withheld\n[-]etcd-readiness failed: reason withheld\nreadyz check failed\n",
            ),
            ("readyz", None, "exclude=etcd&exclude=etcd-readiness", Some(false), 200, "ok"),
            ("livez", None, "verbose", Some(true), 200, "[+]ping ok\n[+]etcd ok\nlivez check passed\n"),
            ("livez", Some("ping"), "", Some(false), 200, "ok"),
            ("livez", Some("etcd"), "", Some(false), 500, "internal server error: etcd does not answer\n"),
            ("livez", Some("etcd"), "", None, 404, "404 page not found\n"),
            ("livez", Some("etcd-readiness"), "", Some(true), 404, "404 page not found\n"),
        ] {
            let found = ask(endpoint, check, query, etcd).await;
            assert_eq!(found, (status, body.to_owned()), "{endpoint} {check:?} {query} {etcd:?}");
        }
    }
}
