//! Requests: how many, how long, how large the answers.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokenward_kube_schema::{Kind, Verb, find_resource};

use super::Metrics;
use super::labels::{AnswerLabels, LaneLabels, ReadingLabels, RequestLabels};
use crate::body::Body;
use crate::query::Query;
use crate::request::{ResourcePath, Route};

/// Upstream's buckets of request durations.
const SECONDS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
    20.0, 30.0, 45.0, 60.0,
];
/// Upstream's buckets of the durations that the server itself answers for.
const OWN_SECONDS: [f64; 21] = [
    0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
];
/// Upstream's buckets of answers' sizes.
const BYTES: [f64; 7] = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// The codes that a server answers with.
const CODES: [u16; 18] =
    [200, 201, 301, 304, 400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 422, 429, 500, 504];

type Durations = Family<RequestLabels, Histogram, fn() -> Histogram>;
type Readings = Family<ReadingLabels, Histogram, fn() -> Histogram>;

/// All series of requests.
pub(super) struct Requests {
    totals: Family<AnswerLabels, Counter>,
    durations: Durations,
    own_durations: Readings,
    sizes: Readings,
    reading: Gauge,
    changing: Gauge,
    known: RwLock<HashMap<RequestLabels, Arc<Series>>>,
}

/// The series of requests of one sort.
struct Series {
    labels: RequestLabels,
    /// By the place of the code in [`CODES`].
    totals: [OnceLock<Counter>; CODES.len()],
    /// Of all but watches.
    duration: Option<Histogram>,
    /// The same without the time that it waited for a seat and for webhooks.
    own_duration: Option<Histogram>,
    /// Of answers to reading requests.
    size: Option<Histogram>,
}

impl Requests {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let totals = Family::default();
        registry.register("apiserver_request", "Requests that were answered", totals.clone());
        let durations: Durations = Family::new_with_constructor(|| Histogram::new(SECONDS));
        let help = "Seconds from the arrival of a request to its answer; watches are left out";
        registry.register("apiserver_request_duration_seconds", help, durations.clone());
        let own_durations: Readings = Family::new_with_constructor(|| Histogram::new(OWN_SECONDS));
        let help = "Seconds from the arrival of a request to its answer, without those that it waited for its turn and for webhooks";
        registry.register("apiserver_request_sli_duration_seconds", help, own_durations.clone());
        let sizes: Readings = Family::new_with_constructor(|| Histogram::new(BYTES));
        registry.register("apiserver_response_sizes", "Bytes of answers to reading requests", sizes.clone());
        let in_flight = Family::<LaneLabels, Gauge>::default();
        let help = "Requests that are under way; watches are left out";
        registry.register("apiserver_current_inflight_requests", help, in_flight.clone());
        Self {
            totals,
            durations,
            own_durations,
            sizes,
            reading: in_flight.get_or_create_owned(&LaneLabels { request_kind: "readOnly" }),
            changing: in_flight.get_or_create_owned(&LaneLabels { request_kind: "mutating" }),
            known: RwLock::default(),
        }
    }

    fn series(&self, labels: RequestLabels) -> Arc<Series> {
        if let Some(series) = self.known.read().get(&labels) {
            return series.clone();
        }
        let make = || {
            let is_reading = matches!(labels.verb, "GET" | "LIST");
            Arc::new(Series {
                labels,
                totals: [const { OnceLock::new() }; CODES.len()],
                duration: (labels.verb != "WATCH").then(|| self.durations.get_or_create_owned(&labels)),
                own_duration: (labels.verb != "WATCH")
                    .then(|| self.own_durations.get_or_create_owned(&labels.into())),
                size: is_reading.then(|| self.sizes.get_or_create_owned(&labels.into())),
            })
        };
        self.known.write().entry(labels).or_insert_with(make).clone()
    }

    fn count(&self, series: &Series, code: u16) {
        let make = || self.totals.get_or_create_owned(&AnswerLabels { request: series.labels, code });
        match CODES.iter().position(|known| *known == code) {
            Some(place) => series.totals[place].get_or_init(make).inc(),
            None => make().inc(),
        };
    }

    fn lane(&self, labels: &RequestLabels) -> Option<&Gauge> {
        match labels.verb {
            "WATCH" => None,
            "GET" | "LIST" => Some(&self.reading),
            _ => Some(&self.changing),
        }
    }
}

/// One request, from its arrival to its answer. Dropped before that, as when a client goes away, it is not counted.
pub(crate) struct Observed<'m> {
    metrics: &'m Metrics,
    arrived: Instant,
    /// How long it took to know the user.
    authentication: Duration,
    /// When it was asked whether the user may do it.
    asked: Option<Instant>,
    /// How long it took to allow it.
    authorization: Duration,
    /// For a seat and for webhooks.
    waited: Duration,
    labels: RequestLabels,
    stage: Stage,
    has_token: bool,
    is_apply: bool,
    in_flight: Option<&'m Gauge>,
}

/// How far a request has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody knows yet who asks.
    Arrived,
    /// The user is known.
    Authenticated,
    /// The user may do it.
    Authorized,
}

impl Metrics {
    /// A request has arrived.
    pub(crate) fn arrived(&self, parts: &Parts) -> Observed<'_> {
        Observed {
            metrics: self,
            arrived: Instant::now(),
            authentication: Duration::ZERO,
            asked: None,
            authorization: Duration::ZERO,
            waited: Duration::ZERO,
            labels: RequestLabels { verb: method(&parts.method), ..NOTHING },
            stage: Stage::Arrived,
            has_token: parts.headers.contains_key(header::AUTHORIZATION),
            is_apply: parts.headers.get(header::CONTENT_TYPE).is_some_and(is_apply),
            in_flight: None,
        }
    }
}

impl Observed<'_> {
    /// Its user is known.
    pub(crate) fn is_authenticated(&mut self) {
        self.stage = Stage::Authenticated;
        self.authentication = self.arrived.elapsed();
    }

    /// It has waited for something that is not the server's own work.
    pub(crate) fn has_waited(&mut self, time: Duration) {
        self.waited += time;
    }

    /// It is asked whether its user may do it.
    pub(crate) fn is_asked_about(&mut self) {
        self.asked = Some(Instant::now());
    }

    /// It is about objects.
    pub(crate) fn is_about(&mut self, path: &ResourcePath, verb: Verb, query: &Query) {
        let kind = find_resource(&path.group, &path.version, &path.resource);
        self.labels = labels(kind, path, verb, query);
        if verb == Verb::Patch && self.is_apply {
            self.labels.verb = "APPLY";
        }
        self.started();
    }

    /// It is passed on to a node.
    pub(crate) fn is_passed_on(&mut self) {
        let (verb, version) = ("CONNECT", "v1");
        let (resource, subresource, scope) = ("nodes", "proxy", "resource");
        self.labels = RequestLabels { verb, version, resource, subresource, scope, ..NOTHING };
        self.started();
    }

    /// It is about something else.
    pub(crate) fn is_for(&mut self, route: &Route) {
        self.labels.subresource = place(route);
        self.started();
    }

    fn started(&mut self) {
        let lane = self.metrics.requests.lane(&self.labels);
        if let Some(lane) = lane {
            lane.inc();
        }
        self.in_flight = lane;
    }

    /// Its user may do it.
    pub(crate) fn is_authorized(&mut self) {
        self.stage = Stage::Authorized;
        self.authorization = self.asked.map_or(Duration::ZERO, |asked| asked.elapsed());
    }

    /// It has its answer.
    pub(crate) fn answered(self, response: &Response<Body>) {
        let metrics = self.metrics;
        let code = response.status();
        let identity = match self.stage {
            Stage::Arrived if self.has_token => &metrics.identities.error,
            Stage::Arrived => &metrics.identities.failure,
            Stage::Authenticated | Stage::Authorized => &metrics.identities.success,
        };
        identity.count(match self.stage {
            Stage::Arrived => self.arrived.elapsed(),
            Stage::Authenticated | Stage::Authorized => self.authentication,
        });
        let permission = match self.stage {
            Stage::Authorized => Some((&metrics.permissions.allowed, self.authorization)),
            Stage::Authenticated if code == StatusCode::FORBIDDEN => {
                let took = self.asked.map_or(Duration::ZERO, |asked| asked.elapsed());
                Some((&metrics.permissions.no_opinion, took))
            }
            // Sent away before anybody asked.
            Stage::Authenticated | Stage::Arrived => None,
        };
        if let Some((permission, took)) = permission {
            permission.count(took);
        }
        let series = metrics.requests.series(self.labels);
        metrics.requests.count(&series, code.as_u16());
        if let Some(duration) = &series.duration {
            let took = self.arrived.elapsed();
            duration.observe(took.as_secs_f64());
            if let Some(own_duration) = &series.own_duration {
                own_duration.observe(took.saturating_sub(self.waited).as_secs_f64());
            }
        }
        if let (Some(size), Some(bytes)) = (&series.size, http_body::Body::size_hint(response.body()).exact())
        {
            size.observe(bytes as f64);
        }
    }
}

impl Drop for Observed<'_> {
    fn drop(&mut self) {
        if let Some(lane) = self.in_flight {
            lane.dec();
        }
    }
}

/// What a request is about that nothing is known of.
const NOTHING: RequestLabels = RequestLabels {
    verb: "",
    dry_run: "",
    group: "",
    version: "",
    resource: "",
    subresource: "",
    scope: "",
    component: "apiserver",
};

/// The labels of a request for objects. A resource that is not served is one word, whatever it is called.
pub(super) fn labels(
    kind: Option<&'static Kind>,
    path: &ResourcePath,
    verb: Verb,
    query: &Query,
) -> RequestLabels {
    const OTHER: &str = "other";
    let below = path.subresource.as_deref();
    let subresource =
        below.map(|name| kind.and_then(|kind| kind.subresource(name)).map_or(OTHER, |s| s.name));
    RequestLabels {
        verb: reported(verb),
        dry_run: if query.text("dryRun") == Some("All") { "All" } else { "" },
        group: kind.map_or("", |kind| kind.group),
        version: kind.map_or("", |kind| kind.version),
        resource: kind.map_or(OTHER, |kind| kind.plural),
        subresource: subresource.unwrap_or(""),
        scope: match (path.name.is_some() || verb == Verb::Create, path.namespace.is_some()) {
            (true, _) => "resource",
            (false, true) => "namespace",
            (false, false) => "cluster",
        },
        component: "apiserver",
    }
}

fn reported(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "POST",
        Verb::Delete => "DELETE",
        Verb::DeleteCollection => "DELETECOLLECTION",
        Verb::Get => "GET",
        Verb::List => "LIST",
        Verb::Patch => "PATCH",
        Verb::Update => "PUT",
        Verb::Watch => "WATCH",
    }
}

/// A patch of this type is a verb of its own.
fn is_apply(content_type: &HeaderValue) -> bool {
    content_type.as_bytes().starts_with(b"application/apply-patch+")
}

fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" | "HEAD" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// Paths that are no objects stand where a subresource's name does.
fn place(route: &Route) -> &'static str {
    match route {
        Route::Root => "/",
        Route::Health(endpoint, _) => match endpoint.as_str() {
            "healthz" => "/healthz",
            "livez" => "/livez",
            _ => "/readyz",
        },
        Route::Version => "/version",
        Route::Metrics => "/metrics",
        Route::Swagger => "/openapi/v2",
        Route::OpenApiIndex | Route::OpenApiDocument(_) => "/openapi/v3",
        Route::OpenIdConfiguration => "/.well-known/openid-configuration",
        Route::JsonWebKeySet => "/openid/v1/jwks",
        Route::CoreVersions => "/api",
        Route::Groups | Route::Group(_) | Route::Resources(_) => "/apis",
        Route::Resource(_) | Route::NodeProxy { .. } | Route::Unknown => "",
    }
}
