//! PodDisruptionBudgets: what the API server, which grants evictions, and the controller, which counts pods, write alike
//! into a budget's status (upstream's `component-helpers/apps/poddisruptionbudget`).

use serde_json::{Map, Value, json};

/// The condition of a budget: whether a pod may be evicted now.
pub const ALLOWED: &str = "DisruptionAllowed";
/// So many seconds after its eviction was granted a pod that is still there counts again.
pub const EVICTION_SECONDS: i64 = 120;

/// Why evictions are allowed or not: the reason of the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'a> {
    /// There are more pods than there must be.
    SufficientPods,
    /// There are no more pods than there must be.
    InsufficientPods,
    /// The controller does not know how many there must be; this is what it found.
    SyncFailed(&'a str),
}

impl Reason<'_> {
    /// The reason that follows from how many evictions are allowed.
    #[must_use]
    pub fn of(disruptions_allowed: i64) -> Self {
        if disruptions_allowed > 0 { Self::SufficientPods } else { Self::InsufficientPods }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::SufficientPods => "SufficientPods",
            Self::InsufficientPods => "InsufficientPods",
            Self::SyncFailed(_) => "SyncFailed",
        }
    }

    const fn status(self) -> &'static str {
        match self {
            Self::SufficientPods => "True",
            Self::InsufficientPods | Self::SyncFailed(_) => "False",
        }
    }
}

/// Sets the condition in a budget's status, where it stands or at the end, and nothing else of the list. `now` is the time
/// that is written if the condition changes, in RFC 3339 with whole seconds.
pub fn set_condition(status: &mut Map<String, Value>, reason: Reason<'_>, now: &str) {
    let observed = status.get("observedGeneration").cloned().filter(|generation| *generation != 0);
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(conditions) = conditions.as_array_mut() else { return };
    let place = conditions.iter().position(|condition| condition["type"] == ALLOWED).unwrap_or_else(|| {
        conditions.push(json!({"type": ALLOWED}));
        conditions.len() - 1
    });
    let condition = &mut conditions[place];
    if condition["status"] != reason.status() {
        condition["status"] = reason.status().into();
        condition["lastTransitionTime"] = now.into();
    }
    condition["reason"] = reason.as_str().into();
    condition["message"] = match reason {
        Reason::SyncFailed(why) => why.into(),
        Reason::SufficientPods | Reason::InsufficientPods => "".into(),
    };
    match (observed, condition.as_object_mut()) {
        (Some(generation), _) => condition["observedGeneration"] = generation,
        (None, Some(condition)) => drop(condition.remove("observedGeneration")),
        (None, None) => {}
    }
}

/// Whether the condition says what follows from how many evictions the status allows.
#[must_use]
pub fn is_condition_current(status: &Map<String, Value>) -> bool {
    let allowed = status.get("disruptionsAllowed").and_then(Value::as_i64).unwrap_or_default();
    let wanted = Reason::of(allowed);
    let conditions = status.get("conditions").and_then(Value::as_array).into_iter().flatten();
    conditions
        .filter(|condition| condition["type"] == ALLOWED)
        .any(|condition| condition["status"] == wanted.status() && condition["reason"] == wanted.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn the_condition_stays_in_its_place_and_keeps_its_time_while_its_status_stays() {
        let other = json!({"type": "Other", "status": "True"});
        let mut status = status(&json!({"observedGeneration": 3, "conditions": [
            {"type": ALLOWED, "status": "True", "reason": "SufficientPods", "message": "", "lastTransitionTime": "then",
             "observedGeneration": 2},
            other,
        ]}));
        set_condition(&mut status, Reason::SufficientPods, "now");
        let kept = json!({"type": ALLOWED, "status": "True", "reason": "SufficientPods", "message": "",
            "lastTransitionTime": "then", "observedGeneration": 3});
        assert_eq!(status["conditions"], json!([kept, other]));
        set_condition(&mut status, Reason::SyncFailed("no idea"), "now");
        let failed = json!({"type": ALLOWED, "status": "False", "reason": "SyncFailed", "message": "no idea",
            "lastTransitionTime": "now", "observedGeneration": 3});
        assert_eq!(status["conditions"], json!([failed, other]));
        set_condition(&mut status, Reason::InsufficientPods, "later");
        assert_eq!(status["conditions"][0]["lastTransitionTime"], "now");
        assert_eq!(status["conditions"][0]["message"], "");
    }

    #[test]
    fn it_is_made_where_there_is_none() {
        for before in [json!({}), json!({"conditions": null}), json!({"conditions": []})] {
            let mut status = status(&before);
            set_condition(&mut status, Reason::of(0), "now");
            assert_eq!(
                status["conditions"],
                json!([{"type": ALLOWED, "status": "False", "reason": "InsufficientPods", "message": "",
                    "lastTransitionTime": "now"}])
            );
        }
    }

    #[test]
    fn it_is_current_when_it_says_what_the_number_says() {
        let with = |allowed: i64, state: &str, reason: &str| {
            status(&json!({"disruptionsAllowed": allowed,
                "conditions": [{"type": ALLOWED, "status": state, "reason": reason}]}))
        };
        assert!(is_condition_current(&with(1, "True", "SufficientPods")));
        assert!(is_condition_current(&with(0, "False", "InsufficientPods")));
        assert!(!is_condition_current(&with(1, "False", "InsufficientPods")));
        assert!(!is_condition_current(&with(0, "False", "SyncFailed")));
        assert!(!is_condition_current(&status(&json!({"disruptionsAllowed": 1}))));
    }
}
