//! Conditions in a status: read one, change one, keep the others as they are. A merge patch can only replace the list.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// The fields that every kind's conditions have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) last_transition_time: Option<String>,
    /// Nodes' conditions alone have it.
    pub(crate) last_heartbeat_time: Option<String>,
}

impl Condition {
    /// A condition to be set by [`set`].
    pub(crate) fn new(kind: &str, status: &str, reason: &str, message: &str) -> Self {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: text(reason),
            message: text(message),
            ..Self::default()
        }
    }
}

/// The condition of that type.
pub(crate) fn find(conditions: &[Value], kind: &str) -> Option<Condition> {
    let found = conditions.iter().find(|condition| is_of(condition, kind))?;
    Condition::deserialize(found).ok()
}

/// The status of the condition of that type, empty without one.
pub(crate) fn status<'a>(conditions: &'a [Value], kind: &str) -> &'a str {
    let found = conditions.iter().find(|condition| is_of(condition, kind));
    found.and_then(|found| found.get("status")).and_then(Value::as_str).unwrap_or_default()
}

/// The conditions with this one set: at the end, with the time of its last change of status; none when all of it is there
/// already.
pub(crate) fn set(conditions: &[Value], wanted: &Condition, now: Timestamp) -> Option<Vec<Value>> {
    let known = find(conditions, &wanted.kind);
    let keeps_status = known.as_ref().is_some_and(|known| known.status == wanted.status);
    if let Some(known) = known.as_ref().filter(|_| keeps_status)
        && (&known.reason, &known.message) == (&wanted.reason, &wanted.message)
    {
        return None;
    }
    let since = known.and_then(|known| known.last_transition_time).filter(|_| keeps_status);
    let old = conditions.iter().find(|condition| is_of(condition, &wanted.kind));
    // What this does not know of, such as the time of a heartbeat, stays.
    let mut condition = old.and_then(Value::as_object).cloned().unwrap_or_default();
    let mut put = |member: &str, value: Option<&String>| match value {
        Some(value) => drop(condition.insert(member.to_owned(), Value::from(value.as_str()))),
        None => drop(condition.remove(member)),
    };
    put("type", Some(&wanted.kind));
    put("status", Some(&wanted.status));
    put("reason", wanted.reason.as_ref());
    put("message", wanted.message.as_ref());
    put("lastTransitionTime", Some(&since.unwrap_or_else(|| whole_seconds(now))));
    let others = conditions.iter().filter(|condition| !is_of(condition, &wanted.kind)).cloned();
    Some(others.chain([Value::Object(condition)]).collect())
}

/// A time as `metav1.Time` is written.
pub(crate) fn whole_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn is_of(condition: &Value, kind: &str) -> bool {
    condition.get("type").and_then(Value::as_str) == Some(kind)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn others_stay_and_the_time_is_that_of_the_last_change_of_status() {
        let other = json!({"type": "Other", "status": "True", "odd": 1});
        let old = json!({
            "type": "Ready", "status": "True", "reason": "R", "lastTransitionTime": "2026-01-01T00:00:00Z",
            "lastHeartbeatTime": "2026-01-01T00:05:00Z",
        });
        let noon: Timestamp = "2026-01-01T12:00:00.5Z".parse().unwrap();
        let ready = [old, other.clone()];
        assert_eq!(status(&ready, "Ready"), "True");
        assert_eq!(status(&ready, "Absent"), "");
        assert_eq!(set(&ready, &Condition::new("Ready", "True", "R", ""), noon), None);
        assert_eq!(
            set(&ready, &Condition::new("Ready", "True", "S", "m"), noon).unwrap(),
            [
                other.clone(),
                json!({
                    "type": "Ready", "status": "True", "reason": "S", "message": "m",
                    "lastTransitionTime": "2026-01-01T00:00:00Z", "lastHeartbeatTime": "2026-01-01T00:05:00Z",
                }),
            ]
        );
        assert_eq!(
            set(&ready, &Condition::new("Ready", "Unknown", "", ""), noon).unwrap()[1],
            json!({
                "type": "Ready", "status": "Unknown",
                "lastTransitionTime": "2026-01-01T12:00:00Z", "lastHeartbeatTime": "2026-01-01T00:05:00Z",
            })
        );
        assert_eq!(set(&[other], &Condition::new("Ready", "False", "", ""), noon).unwrap().len(), 2);
    }
}
