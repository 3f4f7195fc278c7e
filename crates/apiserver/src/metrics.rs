//! What the server counts of itself, under upstream's names, for `/metrics`.
//!
//! Labels are of a bounded number: kinds of the table, verbs, codes, and one word for everything else. Names of objects
//! and users are none. A request looks its series up once; after the first of its sort nothing is allocated.

mod admission;
mod labels;
mod requests;
mod sizes;
mod watches;

use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tokenward_kube_rules::FeatureGates;

pub(crate) use self::admission::{AdmissionMetrics, Called};
use self::labels::{FeatureLabels, ResourceLabels, ResultLabels};
pub(crate) use self::requests::Observed;
use self::requests::Requests;
pub(crate) use self::watches::WatchCounters;
use self::watches::Watches;

/// The text format's Content-Type, as upstream's library writes it.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// Everything that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Requests,
    watches: Watches,
    identities: Identities,
    permissions: Permissions,
    /// Service account tokens that were good.
    pub(crate) tokens: TokenCounters,
    objects: Family<ResourceLabels, Gauge>,
}

/// Requests by whether it is known who sent them.
struct Identities {
    /// It is.
    success: Attempts<Untyped>,
    /// Nothing was said of it.
    failure: Attempts<Untyped>,
    /// What was said of it is not true.
    error: Attempts<Untyped>,
}

/// Requests by whether their users may do what they asked for.
struct Permissions {
    allowed: Attempts<Counter>,
    /// Nobody denies anything: that nobody allows it is enough.
    no_opinion: Attempts<Counter>,
}

/// How often something came out so, and how long it took.
struct Attempts<C> {
    count: C,
    durations: Histogram,
}

impl Attempts<Untyped> {
    fn count(&self, took: Duration) {
        self.count.0.inc();
        self.durations.observe(took.as_secs_f64());
    }
}

impl Attempts<Counter> {
    fn count(&self, took: Duration) {
        self.count.inc();
        self.durations.observe(took.as_secs_f64());
    }
}

type AttemptDurations = Family<ResultLabels, Histogram, fn() -> Histogram>;

/// Durations of attempts in upstream's buckets.
fn attempt_durations(registry: &mut Registry, name: &str, help: &str) -> AttemptDurations {
    let family: AttemptDurations =
        Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 15)));
    registry.register(name, help, family.clone());
    family
}

/// Good service account tokens, by sort.
#[derive(Default)]
pub(crate) struct TokenCounters {
    /// Without audiences, as they once were in Secrets.
    pub(crate) legacy: Counter,
    /// Past the time at which their holder should have fetched another.
    pub(crate) stale: Counter,
    /// All others.
    pub(crate) valid: Counter,
}

impl Identities {
    fn register(registry: &mut Registry) -> Self {
        let family = Family::<ResultLabels, Untyped>::default();
        let help = "Requests by whether it is known who sent them";
        registry.register("authentication_attempts", help, family.clone());
        let help = "Seconds until it was known who sent a request";
        let durations = attempt_durations(registry, "authentication_duration_seconds", help);
        let of = |result| Attempts {
            count: family.get_or_create_owned(&ResultLabels { result }),
            durations: durations.get_or_create_owned(&ResultLabels { result }),
        };
        Self { success: of("success"), failure: of("failure"), error: of("error") }
    }
}

impl Permissions {
    fn register(registry: &mut Registry) -> Self {
        let family = Family::<ResultLabels, Counter>::default();
        let help = "Requests by whether their users may do what they asked for";
        registry.register("authorization_attempts", help, family.clone());
        let help = "Seconds until it was known whether the user of a request may do what it asks for";
        let durations = attempt_durations(registry, "authorization_duration_seconds", help);
        let of = |result| Attempts {
            count: family.get_or_create_owned(&ResultLabels { result }),
            durations: durations.get_or_create_owned(&ResultLabels { result }),
        };
        Self { allowed: of("allowed"), no_opinion: of("no-opinion") }
    }
}

impl Metrics {
    /// All counters at nothing; what the release and its gates are does not change any more. `version` is what
    /// `/version` says.
    pub(crate) fn new(gates: &FeatureGates, version: &serde_json::Value) -> Self {
        let mut registry = Registry::default();
        let requests = Requests::register(&mut registry);
        let watches = Watches::register(&mut registry);

        let identities = Identities::register(&mut registry);
        let permissions = Permissions::register(&mut registry);

        let tokens = TokenCounters::default();
        let help = "Service account tokens without audiences that were used";
        registry.register("serviceaccount_legacy_tokens", help, tokens.legacy.clone());
        let help = "Service account tokens that were used after another should have been fetched";
        registry.register("serviceaccount_stale_tokens", help, tokens.stale.clone());
        let help = "Service account tokens that were used while they were fresh";
        registry.register("serviceaccount_valid_tokens", help, tokens.valid.clone());

        let objects = Family::default();
        let help = "Objects in the store, by resource";
        registry.register("apiserver_storage_objects", help, objects.clone());

        let features = Family::<FeatureLabels, Gauge>::default();
        for state in gates.states() {
            let labels = FeatureLabels { name: state.gate.name(), stage: state.stage.metric_label() };
            features.get_or_create(&labels).set(i64::from(state.enabled));
        }
        let help = "Feature gates of the release, 1 for those that are on";
        registry.register("kubernetes_feature_enabled", help, features);

        let build = Family::<Vec<(String, String)>, Gauge>::default();
        build.get_or_create(&build_labels(version)).set(1);
        registry.register("kubernetes_build_info", "What the server was built from and behaves as", build);

        Self { registry, requests, watches, identities, permissions, tokens, objects }
    }

    /// Shows what admission counts, too.
    pub(crate) fn include(&mut self, admission: &AdmissionMetrics) {
        admission.register(&mut self.registry);
    }

    /// The text. `objects` are those in the store now, by resource.
    pub(crate) fn render(&self, objects: impl Iterator<Item = (String, usize)>) -> String {
        for (resource, count) in objects {
            let gauge = self.objects.get_or_create_owned(&ResourceLabels { resource });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry).expect("writing to a string");
        text
    }
}

fn build_labels(version: &serde_json::Value) -> Vec<(String, String)> {
    const LABELS: [(&str, &str); 9] = [
        ("build_date", "buildDate"),
        ("compiler", "compiler"),
        ("git_commit", "gitCommit"),
        ("git_tree_state", "gitTreeState"),
        ("git_version", "gitVersion"),
        ("go_version", "goVersion"),
        ("major", "major"),
        ("minor", "minor"),
        ("platform", "platform"),
    ];
    let label = |(label, member): (&str, &str)| {
        (label.to_owned(), version[member].as_str().unwrap_or_default().to_owned())
    };
    LABELS.map(label).to_vec()
}

/// A counter whose name upstream does not end with `_total`, as the format wants of counters.
#[derive(Clone, Debug, Default)]
struct Untyped(Counter);

impl EncodeMetric for Untyped {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.encode_gauge(&self.0.get())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Unknown
    }
}

impl prometheus_client::metrics::TypedMetric for Untyped {
    const TYPE: MetricType = MetricType::Unknown;
}

#[cfg(test)]
mod tests;
