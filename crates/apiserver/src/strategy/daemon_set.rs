//! DaemonSet: a pod template for every node, and how a change of it is rolled out.

use serde_json::{Value, json};
use tokenward_kube_rules::label_selector::{self, LabelSelector};
use tokenward_kube_rules::{FeatureGates, FieldError, metadata};

use super::field::Field;
use super::{Check, Strategy, pod_spec, share};
use crate::object::{Metadata, Object, at, child_mut, set_default, text_at};

pub(super) struct DaemonSetStrategy;

/// Counts the templates that there have been. Kept by the server; what a client sends is put back.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

impl Strategy for DaemonSetStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::MetadataChange, Check::ContentChange, Check::Content]
    }

    fn set_defaults(&self, object: &mut Object) {
        // Go's own type always has a count, which its JSON shows as this annotation.
        let sent = template_generation(object);
        set_template_generation(object, sent);
        let spec = child_mut(object, "spec");
        set_default(spec, "revisionHistoryLimit", 10);
        let strategy = child_mut(spec, "updateStrategy");
        if strategy.get("type").and_then(Value::as_str).is_none_or(str::is_empty) {
            strategy.insert("type".to_owned(), "RollingUpdate".into());
        }
        if strategy["type"] == "OnDelete"
            && let Some(Value::Object(rolling)) = strategy.get_mut("rollingUpdate")
        {
            // It means nothing there, and is shown as Go's zero values.
            set_default(rolling, "maxUnavailable", 0);
            set_default(rolling, "maxSurge", 0);
        }
        if strategy["type"] == "RollingUpdate" {
            let rolling = child_mut(strategy, "rollingUpdate");
            set_default(rolling, "maxUnavailable", 1);
            set_default(rolling, "maxSurge", 0);
        }
        pod_spec::default_template(child_mut(spec, "template"));
    }

    fn prepare_create(&self, object: &mut Object, _gates: &FeatureGates) {
        pod_spec::drop_disabled(template_spec(object), None);
        object.insert("status".to_owned(), json!({}));
        object.metadata_mut().insert("generation".to_owned(), 1.into());
        let sent = template_generation(object);
        set_template_generation(object, sent.max(1));
    }

    fn prepare_update(&self, new: &mut Object, old: &Object, _gates: &FeatureGates) {
        let old_template = at(old, &["spec", "template", "spec"]).and_then(Value::as_object);
        pod_spec::drop_disabled(template_spec(new), old_template);
        let of_template = template_generation(old);
        let has_new_template = at(new, &["spec", "template"]) != at(old, &["spec", "template"]);
        set_template_generation(
            new,
            if has_new_template { of_template.saturating_add(1) } else { of_template },
        );
        if new.get("spec") != old.get("spec") {
            let generation = old.metadata_number("generation").saturating_add(1);
            new.metadata_mut().insert("generation".to_owned(), generation.into());
        }
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let spec = Field::of(object, "spec");
        let mut errors = selector_faults(&spec);
        errors.extend(template_faults(&spec.child("template")));
        errors.extend(spec.child("minReadySeconds").not_negative());
        errors.extend(strategy_faults(&spec.child("updateStrategy")));
        errors.extend(spec.child("revisionHistoryLimit").not_negative());
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        let selector = |object| Field::of(object, "spec").child("selector");
        selector(new).immutable(&selector(old)).into_iter().collect()
    }

    fn warnings_on_create(&self, object: &Object, _gates: &FeatureGates) -> Vec<String> {
        let template = Field::of(object, "spec").child("template");
        pod_spec::template_warnings(&template.child("metadata"), &template.child("spec"))
    }

    fn warnings_on_update(&self, new: &Object, old: &Object, gates: &FeatureGates) -> Vec<String> {
        let is_other = new.metadata_number("generation") != old.metadata_number("generation");
        if is_other { self.warnings_on_create(new, gates) } else { Vec::new() }
    }

    fn validate_status(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        const COUNTS: [&str; 8] = [
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
        ];
        let status = Field::of(new, "status");
        let mut errors: Vec<FieldError> =
            COUNTS.iter().filter_map(|count| status.child(count).not_negative()).collect();
        let collisions = status.child("collisionCount");
        errors.extend(collisions.not_negative());
        let before = Field::of(old, "status").child("collisionCount").number();
        if before.is_some_and(|before| collisions.number().is_none_or(|now| now < before)) {
            errors.push(collisions.invalid("cannot be decremented"));
        }
        errors
    }
}

/// The spec of the pods.
fn template_spec(object: &mut Object) -> &mut Object {
    child_mut(child_mut(child_mut(object, "spec"), "template"), "spec")
}

fn template_generation(object: &Object) -> i64 {
    text_at(object, &["metadata", "annotations", TEMPLATE_GENERATION]).parse().unwrap_or_default()
}

fn set_template_generation(object: &mut Object, generation: i64) {
    let annotations = child_mut(object.metadata_mut(), "annotations");
    annotations.insert(TEMPLATE_GENERATION.to_owned(), generation.to_string().into());
}

fn selector_faults(spec: &Field<'_>) -> Vec<FieldError> {
    let selector = spec.child("selector");
    let mut errors = label_selector::validate(selector.value(), &selector.path());
    let labels = spec.child("template").child("metadata").child("labels");
    let own = labels.keys().map(|key| (key.to_owned(), labels.child(key).text().to_owned())).collect();
    // A selector that cannot be read has been reported; one that is absent selects nothing.
    let matches = match serde_json::from_value::<Option<LabelSelector>>(selector.value().clone()) {
        Ok(selector) => selector.is_some_and(|selector| selector.matches(&own)),
        Err(_) => true,
    };
    if !matches {
        errors.push(labels.invalid("`selector` does not match template `labels`"));
    }
    let is_empty = ["matchLabels", "matchExpressions"].iter().all(|part| {
        let part = selector.child(part);
        part.keys().next().is_none() && part.items().len() == 0
    });
    if selector.is_set() && is_empty {
        errors.push(selector.invalid("empty selector is invalid for daemonset"));
    }
    errors
}

fn template_faults(template: &Field<'_>) -> Vec<FieldError> {
    let (metadata, spec) = (template.child("metadata"), template.child("spec"));
    // Upstream's paths leave the metadata out.
    let shown = |member| template.child(member).path();
    let mut errors = metadata::validate_labels(metadata.value().get("labels"), &shown("labels"));
    errors.extend(metadata::validate_annotations(metadata.value().get("annotations"), &shown("annotations")));
    errors.extend(pod_spec::validate(&spec, pod_spec::Owner::Template));
    errors.extend(spec.child("restartPolicy").one_of(&["Always"]));
    let ephemeral = spec.child("ephemeralContainers");
    if ephemeral.items().len() > 0 {
        errors.push(ephemeral.forbidden("ephemeral containers not allowed in pod template"));
    }
    let deadline = spec.child("activeDeadlineSeconds");
    if deadline.is_set() {
        errors.push(deadline.forbidden("activeDeadlineSeconds in DaemonSet is not Supported"));
    }
    errors
}

fn strategy_faults(strategy: &Field<'_>) -> Vec<FieldError> {
    match strategy.child("type").text() {
        "OnDelete" => Vec::new(),
        "RollingUpdate" => rolling_faults(&strategy.child("rollingUpdate")),
        _ => {
            let supported = ["RollingUpdate", "OnDelete"];
            vec![FieldError::not_supported(strategy.path(), strategy.value().clone(), &supported)]
        }
    }
}

fn rolling_faults(rolling: &Field<'_>) -> Vec<FieldError> {
    let (unavailable, surge) = (rolling.child("maxUnavailable"), rolling.child("maxSurge"));
    let mut errors = share::validate(&unavailable);
    errors.extend(share::validate(&surge));
    errors.extend([&unavailable, &surge].into_iter().filter_map(share::at_most_all));
    let amount = |field: &Field<'_>| share::percentage(field).or(field.number()).unwrap_or_default();
    match (amount(&unavailable) != 0, amount(&surge) != 0) {
        (true, true) => errors.push(surge.invalid("may not be set when maxUnavailable is non-zero")),
        (false, false) => errors.push(unavailable.required("cannot be 0 when maxSurge is 0")),
        _ => {}
    }
    errors
}

#[cfg(test)]
mod tests {
    use tokenward_kube_rules::Release;

    use super::super::tests::texts;
    use super::*;

    fn daemon_set(changes: &Value) -> Object {
        let mut object = json!({
            "metadata": {"name": "d"},
            "spec": {
                "selector": {"matchLabels": {"app": "d"}},
                "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}},
            },
        });
        json_patch::merge(&mut object, &json!({"spec": changes}));
        let mut object = object.as_object().unwrap().clone();
        DaemonSetStrategy.set_defaults(&mut object);
        object
    }

    #[test]
    fn a_roll_out_moves_by_one() {
        let object = daemon_set(&json!({}));
        assert_eq!(
            object["spec"]["updateStrategy"],
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}})
        );
        assert_eq!(object["spec"]["revisionHistoryLimit"], 10);
        assert_eq!(DaemonSetStrategy.validate(&object), []);
        let on_delete = daemon_set(&json!({"updateStrategy": {"type": "OnDelete"}}));
        assert_eq!(on_delete["spec"]["updateStrategy"], json!({"type": "OnDelete"}));
        assert_eq!(DaemonSetStrategy.validate(&on_delete), []);
    }

    #[test]
    fn what_is_refused() {
        let rolling = |unavailable: Value, surge: Value| json!({"updateStrategy": {"rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}}});
        let table = [
            (
                json!({"selector": null}),
                "spec.template.metadata.labels: Invalid value: {\"app\":\"d\"}: `selector` does not match template `labels`",
            ),
            (
                json!({"selector": {"matchLabels": null}}),
                "spec.selector: Invalid value: {}: empty selector is invalid for daemonset",
            ),
            (
                json!({"template": {"spec": {"restartPolicy": "Never"}}}),
                "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
            ),
            (
                json!({"template": {"spec": {"activeDeadlineSeconds": 5}}}),
                "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in DaemonSet is not Supported",
            ),
            (
                json!({"template": {"spec": {"containers": []}}}),
                "spec.template.spec.containers: Required value",
            ),
            (
                json!({"template": {"metadata": {"labels": {"c d": "e"}}}}),
                "spec.template.labels: Invalid value: \"c d\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            ),
            (
                json!({"template": {"spec": {"ephemeralContainers": [{"name": "e", "image": "i"}]}}}),
                "spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template",
            ),
            (
                json!({"minReadySeconds": -1}),
                "spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                rolling(json!(1), json!(1)),
                "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero",
            ),
            (
                rolling(json!("0%"), json!(0)),
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
            ),
            (
                rolling(json!("101%"), json!(0)),
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%",
            ),
            (
                rolling(json!(-1), json!(0)),
                "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                json!({"updateStrategy": {"type": "Slowly"}}),
                "spec.updateStrategy: Unsupported value: {\"type\":\"Slowly\"}: supported values: \"RollingUpdate\", \"OnDelete\"",
            ),
        ];
        for (changes, wanted) in table {
            assert_eq!(texts(&DaemonSetStrategy.validate(&daemon_set(&changes))), [wanted], "{changes}");
        }
        for good in [
            rolling(json!("10%"), json!(0)),
            rolling(json!(0), json!("10%")),
            rolling(json!("100%"), json!("0%")),
        ] {
            assert_eq!(DaemonSetStrategy.validate(&daemon_set(&good)), []);
        }
    }

    #[test]
    fn generations_follow_the_spec_and_the_template() {
        let gates = FeatureGates::for_release(Release::V1_35);
        let mut old = daemon_set(&json!({}));
        DaemonSetStrategy.prepare_create(&mut old, &gates);
        let count = |object: &Object| (object.metadata_number("generation"), template_generation(object));
        assert_eq!(count(&old), (1, 1));
        for (changes, wanted) in [
            (json!({}), (1, 1)),
            (json!({"minReadySeconds": 5}), (2, 1)),
            (json!({"template": {"metadata": {"labels": {"more": "x"}}}}), (2, 2)),
        ] {
            let mut new = daemon_set(&changes);
            new.metadata_mut().insert("generation".to_owned(), 1.into());
            set_template_generation(&mut new, 77);
            DaemonSetStrategy.prepare_update(&mut new, &old, &gates);
            assert_eq!(count(&new), wanted);
        }
        let moved = daemon_set(&json!({"selector": {"matchLabels": {"app": "e"}}}));
        assert_eq!(
            texts(&DaemonSetStrategy.validate_update(&moved, &old)),
            ["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"e\"}}: field is immutable"]
        );
    }

    #[test]
    fn a_status_counts() {
        let status = |status: Value| json!({"status": status}).as_object().unwrap().clone();
        let old = status(json!({"collisionCount": 2}));
        let errors =
            DaemonSetStrategy.validate_status(&status(json!({"numberReady": -1, "collisionCount": 1})), &old);
        assert_eq!(
            texts(&errors),
            [
                "status.numberReady: Invalid value: -1: must be greater than or equal to 0",
                "status.collisionCount: Invalid value: 1: cannot be decremented"
            ]
        );
        assert_eq!(DaemonSetStrategy.validate_status(&status(json!({"collisionCount": 3})), &old), []);
    }
}
