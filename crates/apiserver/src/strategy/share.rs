//! A count, or a share of all in percent, as several kinds have it.

use tokenward_kube_rules::{FieldError, names};

use super::field::Field;

/// What is wrong with one: negative, or text that is no percentage.
pub(super) fn validate(field: &Field<'_>) -> Vec<FieldError> {
    if field.value().is_string() {
        field.faults(names::percent)
    } else {
        field.not_negative().into_iter().collect()
    }
}

/// A share of more than all.
pub(super) fn at_most_all(field: &Field<'_>) -> Option<FieldError> {
    let is_more = percentage(field).is_some_and(|share| share > 100);
    is_more.then(|| field.invalid("must not be greater than 100%"))
}

/// The percentage, of a share.
pub(super) fn percentage(field: &Field<'_>) -> Option<i64> {
    let text = field.text();
    if names::percent(text).is_empty() { text.trim_end_matches('%').parse().ok() } else { None }
}
