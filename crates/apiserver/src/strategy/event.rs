//! Event: it belongs to the namespace of what it tells about.

use tokenward_kube_rules::metadata::NameRule;
use tokenward_kube_rules::{FieldError, names};

use super::field::Field;
use super::{Check, Strategy};
use crate::object::{Metadata, Object};

pub(super) struct EventStrategy;

const LONGEST_WORD: usize = 128;
const LONGEST_MESSAGE: usize = 1024;

impl Strategy for EventStrategy {
    /// Of what is asked of every kind's metadata no more: the older of the two interfaces of events is a lax one.
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::Content]
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn knows_finalizers(&self) -> bool {
        false
    }

    fn owns_others(&self) -> bool {
        false
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let own = object.namespace();
        let involved = Field::of(object, "involvedObject").child("namespace");
        let is_dated = Field::of(object, "eventTime").is_set();
        let fits = match involved.text() {
            "" if is_dated => matches!(own, "default" | "kube-system"),
            "" => matches!(own, "" | "default"),
            namespace => is_dated || namespace == own,
        };
        let mut errors = Vec::new();
        if !fits {
            let why = "does not match event.namespace";
            errors.push(FieldError::invalid(involved.path(), involved.text(), why));
        }
        // With `eventTime` an event is of the newer sort, which has to say more.
        if is_dated {
            errors.extend(dated_faults(object));
        }
        errors
    }
}

fn dated_faults(object: &Object) -> Vec<FieldError> {
    let field = |member: &'static str| Field::of(object, member);
    let word = |member: &'static str| {
        let word = field(member);
        let faults = word.require_text();
        faults.or_else(|| longer(&word, LONGEST_WORD))
    };
    let component = field("reportingComponent");
    let mut errors: Vec<FieldError> = component.require_text().into_iter().collect();
    errors.extend(component.faults(names::qualified_name));
    errors.extend(["reportingInstance", "action", "reason"].into_iter().filter_map(word));
    errors.extend(longer(&field("message"), LONGEST_MESSAGE));
    errors
}

/// Text that is too long is not shown.
fn longer(field: &Field<'_>, most: usize) -> Option<FieldError> {
    let detail = format!("can have at most {most} characters");
    (field.text().len() > most).then(|| FieldError::invalid(field.path(), "", &detail))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_event_is_where_its_object_is() {
        let time = "2026-01-01T00:00:00.000000Z";
        let dated = |namespace: &str, involved: &str| {
            json!({"metadata": {"namespace": namespace}, "involvedObject": {"namespace": involved}, "eventTime": time,
                "reportingComponent": "a.b/c", "reportingInstance": "i", "action": "a", "reason": "r"})
        };
        let old = |namespace: &str, involved: &str| json!({"metadata": {"namespace": namespace}, "involvedObject": {"namespace": involved}});
        let table: [(Value, &[&str]); 10] = [
            (old("a", "a"), &[]),
            (old("default", ""), &[]),
            (old("a", "b"), &["involvedObject.namespace"]),
            (old("a", ""), &["involvedObject.namespace"]),
            (dated("a", "a"), &[]),
            (dated("a", "b"), &[]),
            (dated("kube-system", ""), &[]),
            (dated("a", ""), &["involvedObject.namespace"]),
            (
                json!({"metadata": {"namespace": "a"}, "involvedObject": {"namespace": "a"}, "eventTime": time,
                    "reportingComponent": "a", "reason": "r".repeat(129), "message": "m".repeat(1025)}),
                &["reportingInstance", "action", "reason", "message"],
            ),
            (
                json!({"metadata": {"namespace": "a"}, "involvedObject": {"namespace": "a"}, "message": "m".repeat(1025)}),
                &[],
            ),
        ];
        for (event, wanted) in table {
            let errors = EventStrategy.validate(event.as_object().unwrap());
            let fields: Vec<&str> = errors.iter().map(FieldError::field).collect();
            assert_eq!(fields, wanted, "{event}");
        }
    }
}
