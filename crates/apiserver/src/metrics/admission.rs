//! Admission: how long its plugins and webhooks take, and what they refuse.

use std::convert::Infallible;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::Untyped;
use crate::admission::ADMIT;

/// Upstream's buckets of the durations of plugins, and of webhooks, which may take longer.
const PLUGIN_SECONDS: [f64; 6] = [0.005, 0.025, 0.1, 0.5, 1.0, 2.5];
const WEBHOOK_SECONDS: [f64; 8] = [0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0];
/// Codes beyond are one, so that there are not too many.
const HIGHEST_CODE: u16 = 600;
/// As webhooks of the one sort that there is are called.
const VALIDATING: &str = "validating";

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// All series of admission; a handle.
#[derive(Clone, Debug)]
pub(crate) struct AdmissionMetrics {
    plugins: Durations<PluginLabels>,
    webhooks: Durations<WebhookLabels>,
    calls: Family<CallLabels, Counter>,
    rejections: Family<RejectionLabels, Untyped>,
    passed_over: Family<NameLabels, Untyped>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PluginLabels {
    name: &'static str,
    r#type: &'static str,
    operation: &'static str,
    rejected: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    name: String,
    r#type: &'static str,
    operation: &'static str,
    rejected: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    name: String,
    r#type: &'static str,
    operation: &'static str,
    code: u16,
    rejected: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectionLabels {
    name: String,
    r#type: &'static str,
    operation: &'static str,
    error_type: &'static str,
    rejection_code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabels {
    name: String,
    r#type: &'static str,
}

/// What came of asking a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    Allowed,
    /// With this HTTP status.
    Rejected(u16),
    /// It could not be asked, so the request was refused.
    Failed,
    /// It could not be asked, and need not be.
    PassedOver,
}

impl Default for AdmissionMetrics {
    fn default() -> Self {
        Self {
            plugins: Family::new_with_constructor(|| Histogram::new(PLUGIN_SECONDS)),
            webhooks: Family::new_with_constructor(|| Histogram::new(WEBHOOK_SECONDS)),
            calls: Family::default(),
            rejections: Family::default(),
            passed_over: Family::default(),
        }
    }
}

impl AdmissionMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Seconds that plugins of admission took, by operation and whether they refused";
        registry.register(
            "apiserver_admission_controller_admission_duration_seconds",
            help,
            self.plugins.clone(),
        );
        let help = "Seconds that webhooks took, by operation and whether they refused";
        registry.register(
            "apiserver_admission_webhook_admission_duration_seconds",
            help,
            self.webhooks.clone(),
        );
        registry.register("apiserver_admission_webhook_request", "Calls of webhooks", self.calls.clone());
        let help = "Requests that were refused because of a webhook";
        registry.register("apiserver_admission_webhook_rejection_count", help, self.rejections.clone());
        let help = "Requests that went on although a webhook could not be asked";
        registry.register("apiserver_admission_webhook_fail_open_count", help, self.passed_over.clone());
    }

    /// Lets a plugin do its work, and counts how long it takes. `step` is `admit` or `validate`.
    pub(crate) fn plugin<E>(
        &self,
        name: &'static str,
        step: &'static str,
        operation: &'static str,
        work: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let began = Instant::now();
        let outcome = work();
        let labels = PluginLabels { name, r#type: step, operation, rejected: yes_or_no(outcome.is_err()) };
        self.plugins.get_or_create(&labels).observe(began.elapsed().as_secs_f64());
        outcome
    }

    /// The same for a plugin that fills in and refuses nothing.
    pub(crate) fn filling_plugin(&self, name: &'static str, operation: &'static str, work: impl FnOnce()) {
        let outcome = self.plugin(name, ADMIT, operation, || {
            work();
            Ok::<(), Infallible>(())
        });
        match outcome {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }

    /// Counts one call of a webhook that began then.
    pub(crate) fn called(&self, name: &str, operation: &'static str, began: Instant, outcome: Called) {
        let name = || name.to_owned();
        let (code, is_rejected) = match outcome {
            Called::Allowed => (200, false),
            Called::Rejected(code) => (code.min(HIGHEST_CODE), true),
            Called::Failed | Called::PassedOver => (500, outcome == Called::Failed),
        };
        let rejected = yes_or_no(is_rejected);
        let labels = WebhookLabels { name: name(), r#type: VALIDATING, operation, rejected };
        self.webhooks.get_or_create(&labels).observe(began.elapsed().as_secs_f64());
        let labels = CallLabels { name: name(), r#type: VALIDATING, operation, code, rejected };
        self.calls.get_or_create(&labels).inc();
        let rejection = match outcome {
            Called::Rejected(_) => Some(("no_error", code)),
            Called::Failed | Called::PassedOver => Some(("calling_webhook_error", 0)),
            Called::Allowed => None,
        };
        if let Some((error_type, rejection_code)) = rejection {
            let labels =
                RejectionLabels { name: name(), r#type: VALIDATING, operation, error_type, rejection_code };
            self.rejections.get_or_create(&labels).0.inc();
        }
        if outcome == Called::PassedOver {
            self.passed_over.get_or_create(&NameLabels { name: name(), r#type: VALIDATING }).0.inc();
        }
    }
}

fn yes_or_no(truth: bool) -> &'static str {
    if truth { "true" } else { "false" }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text;

    use super::*;

    #[test]
    fn what_plugins_and_webhooks_do_is_counted() {
        let metrics = AdmissionMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        assert_eq!(metrics.plugin("Priority", "admit", "CREATE", || Err("no")), Err("no"));
        assert_eq!(metrics.plugin::<()>("Priority", "admit", "CREATE", || Ok(())), Ok(()));
        for outcome in [
            Called::Allowed,
            Called::Rejected(403),
            Called::Rejected(999),
            Called::Failed,
            Called::PassedOver,
        ] {
            metrics.called("a.b.c", "UPDATE", Instant::now(), outcome);
        }
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry).unwrap();
        let of_webhook = r#"name="a.b.c",type="validating""#;
        let update = format!("{of_webhook},operation=\"UPDATE\"");
        for line in [
            r#"apiserver_admission_controller_admission_duration_seconds_count{name="Priority",type="admit",operation="CREATE",rejected="true"} 1"#.to_owned(),
            r#"apiserver_admission_controller_admission_duration_seconds_count{name="Priority",type="admit",operation="CREATE",rejected="false"} 1"#.to_owned(),
            format!("apiserver_admission_webhook_admission_duration_seconds_count{{{update},rejected=\"true\"}} 3"),
            format!("apiserver_admission_webhook_request_total{{{update},code=\"200\",rejected=\"false\"}} 1"),
            format!("apiserver_admission_webhook_request_total{{{update},code=\"403\",rejected=\"true\"}} 1"),
            format!("apiserver_admission_webhook_request_total{{{update},code=\"600\",rejected=\"true\"}} 1"),
            format!("apiserver_admission_webhook_rejection_count{{{update},error_type=\"no_error\",rejection_code=\"403\"}} 1"),
            format!("apiserver_admission_webhook_rejection_count{{{update},error_type=\"calling_webhook_error\",rejection_code=\"0\"}} 2"),
            format!("apiserver_admission_webhook_fail_open_count{{{of_webhook}}} 1"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
