use http::{Request, Response, StatusCode};
use tokenward_kube_rules::Release;
use tokenward_kube_schema::Verb;

use super::*;
use crate::body::Body;
use crate::query::Query;
use crate::request::{Route, verb_of};

fn metrics(gates: &FeatureGates) -> Metrics {
    Metrics::new(gates, &crate::face::version(gates.release()))
}

/// Lets one request through, as far as it comes, and answers it.
fn request(metrics: &Metrics, method: &str, path: &str, authorized: bool, code: u16) {
    let request = Request::builder().method(method).uri(path).body(()).expect("a request");
    let (parts, ()) = request.into_parts();
    let mut observed = metrics.arrived(&parts);
    observed.is_authenticated();
    let query = Query::parse(parts.uri.query().unwrap_or(""));
    match Route::parse(parts.uri.path()) {
        Route::Resource(path) => {
            let verb = verb_of(&parts.method, &path, query.watch()).expect("a verb");
            observed.is_about(&path, verb, &query);
        }
        other => observed.is_for(&other),
    }
    if authorized {
        observed.is_authorized();
    }
    let mut response = Response::new(Body::whole("an answer"));
    *response.status_mut() = StatusCode::from_u16(code).expect("a code");
    observed.answered(&response);
}

fn lines(metrics: &Metrics, start: &str) -> Vec<String> {
    let text = metrics.render(std::iter::empty());
    text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
}

#[test]
fn requests_are_counted_by_what_they_are_about() {
    let metrics = metrics(&FeatureGates::default());
    let rows = [
        (
            "GET",
            "/api/v1/namespaces/apps/pods/a",
            200,
            r#"verb="GET",dry_run="",group="",version="v1",resource="pods",subresource="",scope="resource""#,
        ),
        (
            "GET",
            "/api/v1/namespaces/apps/pods",
            200,
            r#"verb="LIST",dry_run="",group="",version="v1",resource="pods",subresource="",scope="namespace""#,
        ),
        (
            "GET",
            "/apis/storage.k8s.io/v1/csidrivers?watch=1",
            200,
            r#"verb="WATCH",dry_run="",group="storage.k8s.io",version="v1",resource="csidrivers",subresource="",scope="cluster""#,
        ),
        (
            "POST",
            "/api/v1/namespaces/apps/serviceaccounts/web/token",
            201,
            r#"verb="POST",dry_run="",group="",version="v1",resource="serviceaccounts",subresource="token",scope="resource""#,
        ),
        (
            "DELETE",
            "/apis/storage.k8s.io/v1/csidrivers?dryRun=All",
            200,
            r#"verb="DELETECOLLECTION",dry_run="All",group="storage.k8s.io",version="v1",resource="csidrivers",subresource="",scope="cluster""#,
        ),
        // Whatever clients make up is one word.
        (
            "GET",
            "/apis/made.up/v7/canaries/c/canary",
            404,
            r#"verb="GET",dry_run="",group="",version="",resource="other",subresource="other",scope="resource""#,
        ),
        (
            "GET",
            "/canary",
            404,
            r#"verb="GET",dry_run="",group="",version="",resource="",subresource="",scope="""#,
        ),
        (
            "PROPFIND",
            "/readyz/ping",
            200,
            r#"verb="other",dry_run="",group="",version="",resource="",subresource="/readyz",scope="""#,
        ),
    ];
    for (method, path, code, labels) in rows {
        let wanted = |count: u32| {
            format!("apiserver_request_total{{{labels},component=\"apiserver\",code=\"{code}\"}} {count}")
        };
        for count in [1, 2] {
            request(&metrics, method, path, true, code);
            let found = lines(&metrics, "apiserver_request_total");
            assert!(found.contains(&wanted(count)), "{path}: {found:#?}");
        }
    }
    let text = metrics.render(std::iter::empty());
    assert!(!text.contains("canar") && !text.contains("made.up"), "{text}");
}

#[test]
fn an_applied_configuration_is_no_patch_like_others() {
    let metrics = metrics(&FeatureGates::default());
    for (content_type, verb) in
        [("application/apply-patch+yaml", "APPLY"), ("application/merge-patch+json; charset=utf-8", "PATCH")]
    {
        let request = Request::patch("/api/v1/nodes/n").header("content-type", content_type);
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let Route::Resource(path) = Route::parse(parts.uri.path()) else { panic!("a resource") };
        let mut observed = metrics.arrived(&parts);
        observed.is_authenticated();
        observed.is_about(&path, Verb::Patch, &Query::default());
        observed.answered(&Response::new(Body::whole("")));
        let found = lines(&metrics, &format!("apiserver_request_total{{verb=\"{verb}\""));
        assert_eq!(found.len(), 1, "{content_type}");
    }
}

#[test]
fn durations_and_sizes_leave_watches_out() {
    let metrics = metrics(&FeatureGates::default());
    request(&metrics, "GET", "/api/v1/pods", true, 200);
    request(&metrics, "GET", "/api/v1/pods?watch=1", true, 200);
    request(&metrics, "DELETE", "/api/v1/nodes/n", true, 200);
    let counts = lines(&metrics, "apiserver_request_duration_seconds_count");
    assert_eq!(counts.len(), 2, "{counts:#?}");
    let buckets = lines(&metrics, "apiserver_request_duration_seconds_bucket");
    assert_eq!(buckets.len(), 2 * 24);
    let sizes = lines(&metrics, "apiserver_response_sizes_sum");
    assert_eq!(sizes.len(), 1);
    assert!(sizes[0].contains("verb=\"LIST\"") && sizes[0].ends_with(" 9.0"), "{sizes:?}");
}

#[test]
fn who_asked_and_whether_they_might() {
    let metrics = metrics(&FeatureGates::default());
    request(&metrics, "GET", "/api/v1/pods", true, 200);
    // Refused by admission, not by the authorizer.
    request(&metrics, "POST", "/api/v1/nodes", true, 403);
    request(&metrics, "GET", "/api/v1/secrets", false, 403);
    request(&metrics, "GET", "/api/v1/secrets", false, 429);
    for (token, result) in [(false, "failure"), (true, "error")] {
        let mut request = Request::get("/api/v1/pods");
        if token {
            request = request.header("authorization", "Bearer canary");
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let mut refused = Response::new(Body::whole(""));
        *refused.status_mut() = StatusCode::UNAUTHORIZED;
        metrics.arrived(&parts).answered(&refused);
        let wanted = format!("authentication_attempts{{result=\"{result}\"}} 1");
        assert!(lines(&metrics, "authentication_attempts").contains(&wanted));
    }
    assert!(
        lines(&metrics, "authentication_attempts")
            .contains(&"authentication_attempts{result=\"success\"} 4".to_owned())
    );
    let mut found = lines(&metrics, "authorization_attempts");
    found.sort();
    assert_eq!(
        found,
        [
            "authorization_attempts_total{result=\"allowed\"} 2",
            "authorization_attempts_total{result=\"no-opinion\"} 1",
        ]
    );
}

#[test]
fn what_is_under_way_is_given_back_however_it_ends() {
    let metrics = metrics(&FeatureGates::default());
    let under_way = || {
        let mut found = lines(&metrics, "apiserver_current_inflight_requests");
        found.extend(lines(&metrics, "apiserver_longrunning_requests"));
        found.iter().filter_map(|line| line.rsplit(' ').next()?.parse::<i64>().ok()).sum::<i64>()
    };
    let (parts, ()) = Request::post("/api/v1/nodes").body(()).expect("a request").into_parts();
    let Route::Resource(path) = Route::parse("/api/v1/nodes") else { panic!("a resource") };
    let mut observed = metrics.arrived(&parts);
    observed.is_about(&path, Verb::Create, &Query::default());
    let kind = tokenward_kube_schema::find_resource("", "v1", "nodes").expect("served");
    let watch = metrics.watch(kind, &path);
    watch.event(3_000);
    assert_eq!(under_way(), 2);
    // The client has gone away.
    drop(observed);
    drop(watch);
    assert_eq!(under_way(), 0);
    assert!(lines(&metrics, "apiserver_request_total").is_empty());
    assert_eq!(
        lines(&metrics, "apiserver_watch_events_total"),
        ["apiserver_watch_events_total{group=\"\",version=\"v1\",kind=\"Node\"} 1",]
    );
}

#[test]
fn sizes_of_events_go_into_doubling_buckets() {
    let metrics = metrics(&FeatureGates::default());
    let Route::Resource(path) = Route::parse("/api/v1/nodes") else { panic!("a resource") };
    let kind = tokenward_kube_schema::find_resource("", "v1", "nodes").expect("served");
    let watch = metrics.watch(kind, &path);
    for bytes in [0, 1_024, 1_025, 2_048, 131_072, 131_073] {
        watch.event(bytes);
    }
    let found = lines(&metrics, "apiserver_watch_events_sizes_bucket");
    let bounds = ["1024", "2048", "4096", "8192", "16384", "32768", "65536", "131072", "+Inf"];
    let counts = [2, 4, 4, 4, 4, 4, 4, 5, 6];
    let wanted: Vec<String> = bounds
        .iter()
        .zip(counts)
        .map(|(bound, count)| {
            format!("apiserver_watch_events_sizes_bucket{{group=\"\",version=\"v1\",kind=\"Node\",le=\"{bound}\"}} {count}")
        })
        .collect();
    assert_eq!(found, wanted);
    let sum = lines(&metrics, "apiserver_watch_events_sizes_sum");
    assert!(sum[0].ends_with(" 266242.0"), "{sum:?}");
}

#[test]
fn what_a_request_waits_for_is_not_the_server_s_own_time() {
    let metrics = metrics(&FeatureGates::default());
    let (parts, ()) = Request::get("/api/v1/nodes").body(()).expect("a request").into_parts();
    let Route::Resource(path) = Route::parse("/api/v1/nodes") else { panic!("a resource") };
    let mut observed = metrics.arrived(&parts);
    observed.is_authenticated();
    observed.is_about(&path, Verb::List, &Query::default());
    // More than there was: nothing is left.
    observed.has_waited(Duration::from_secs(3600));
    observed.is_asked_about();
    observed.is_authorized();
    observed.answered(&Response::new(Body::whole("")));
    let of = "verb=\"LIST\",group=\"\",version=\"v1\",resource=\"nodes\",subresource=\"\",scope=\"cluster\",component=\"apiserver\"";
    let sum = lines(&metrics, "apiserver_request_sli_duration_seconds_sum");
    assert_eq!(sum, [format!("apiserver_request_sli_duration_seconds_sum{{{of}}} 0.0")]);
    for name in ["authentication_duration_seconds_count", "authorization_duration_seconds_count"] {
        assert!(lines(&metrics, name).iter().any(|line| line.ends_with(" 1")), "{name}");
    }
}

#[test]
fn gates_and_build_are_those_of_the_release() {
    let off =
        FeatureGates::parse(Release::V1_35, "CSIServiceAccountTokenSecrets=false").expect("a beta gate");
    let rows = [
        (FeatureGates::for_release(Release::V1_34), None),
        (FeatureGates::for_release(Release::V1_35), Some(("BETA", 1))),
        (off, Some(("BETA", 0))),
        (FeatureGates::for_release(Release::V1_36), Some(("", 1))),
    ];
    for (gates, wanted) in rows {
        let metrics = metrics(&gates);
        let wanted: Vec<String> = wanted
            .map(|(stage, on)| {
                format!("kubernetes_feature_enabled{{name=\"CSIServiceAccountTokenSecrets\",stage=\"{stage}\"}} {on}")
            })
            .into_iter()
            .collect();
        let found = lines(&metrics, "kubernetes_feature_enabled{name=\"CSIServiceAccountTokenSecrets\"");
        assert_eq!(found, wanted);
        let build = lines(&metrics, "kubernetes_build_info");
        let minor = format!("minor=\"{}\"", gates.release().minor());
        assert!(build.len() == 1 && build[0].contains(&minor), "{build:?}");
    }
}
