//! What the server says of itself: health and version.

use http::{Response, StatusCode};
use serde_json::{Value, json};
use tokenward_kube_rules::Release;

use crate::body::Body;
use crate::query::Query;

/// The checks behind `/healthz`, `/livez` and `/readyz`.
const CHECKS: [&str; 2] = ["ping", "store"];

/// Answers a health path. Every check is good while the server answers at all: the store is in this process.
pub(crate) fn health(endpoint: &str, check: Option<&str>, query: &Query) -> Response<Body> {
    if check.is_some_and(|check| !CHECKS.contains(&check)) {
        return text(StatusCode::NOT_FOUND, "404 page not found\n");
    }
    if check.is_some() || !query.has("verbose") {
        return text(StatusCode::OK, "ok");
    }
    let excluded = |name: &str| query.all_of("exclude").any(|excluded| excluded == name);
    let mut lines = String::new();
    for name in CHECKS {
        let line =
            if excluded(name) { format!("[+]{name} excluded: ok\n") } else { format!("[+]{name} ok\n") };
        lines.push_str(&line);
    }
    lines.push_str(endpoint);
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
