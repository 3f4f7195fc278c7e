//! AppArmor profiles as pods said them before there was a field: an annotation for each container.

use serde_json::{Value, json};

use super::defaults::containers;
use crate::object::{Object, at, child_mut, text_at};

/// Before the name of a container.
pub(super) const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Gives a new pod's containers the profiles that only its annotations name.
pub(in crate::strategy) fn take_annotated_profiles(pod: &mut Object) {
    if text_at(pod, &["spec", "os", "name"]) == "windows" {
        return;
    }
    let Some(annotations) = at(pod, &["metadata", "annotations"]).and_then(Value::as_object).cloned() else {
        return;
    };
    let of_pod = at(pod, &["spec", "securityContext", "appArmorProfile"]).cloned();
    for container in containers(child_mut(pod, "spec")) {
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        let annotation = annotations.get(&format!("{ANNOTATION}{name}")).and_then(Value::as_str);
        let Some(profile) = annotation.and_then(profile).filter(|profile| of_pod.as_ref() != Some(profile))
        else {
            continue;
        };
        let has_own =
            at(container, &["securityContext", "appArmorProfile"]).is_some_and(|own| !own.is_null());
        if !has_own {
            child_mut(container, "securityContext").insert("appArmorProfile".to_owned(), profile);
        }
    }
}

/// What an annotation means; nothing when it is not understood.
fn profile(annotation: &str) -> Option<Value> {
    match annotation {
        "unconfined" => Some(json!({"type": "Unconfined"})),
        "runtime/default" => Some(json!({"type": "RuntimeDefault"})),
        _ => {
            let name = annotation.strip_prefix("localhost/")?;
            let is_good = !name.is_empty() && name.trim() == name && name.len() <= LONGEST_NAME;
            is_good.then(|| json!({"type": "Localhost", "localhostProfile": name}))
        }
    }
}

/// The most bytes in the name of a profile.
const LONGEST_NAME: usize = 4095;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_becomes_a_field() {
        let rows = [
            ("unconfined", json!({}), Some(json!({"type": "Unconfined"}))),
            ("runtime/default", json!({}), Some(json!({"type": "RuntimeDefault"}))),
            ("localhost/a", json!({}), Some(json!({"type": "Localhost", "localhostProfile": "a"}))),
            ("localhost/", json!({}), None),
            ("localhost/ a", json!({}), None),
            ("else", json!({}), None),
            // What the pod says of all its containers need not be said of one.
            ("unconfined", json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}), None),
            (
                "unconfined",
                json!({"containers": [{"name": "c", "securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}]}),
                Some(json!({"type": "RuntimeDefault"})),
            ),
            ("unconfined", json!({"os": {"name": "windows"}}), None),
        ];
        for (annotation, changes, wanted) in rows {
            let mut pod = json!({"metadata": {"annotations": {"container.apparmor.security.beta.kubernetes.io/c": annotation}},
                "spec": {"containers": [{"name": "c"}, {"name": "d"}]}});
            json_patch::merge(&mut pod["spec"], &changes);
            take_annotated_profiles(pod.as_object_mut().unwrap());
            let found = pod["spec"]["containers"][0]["securityContext"].get("appArmorProfile");
            assert_eq!(found, wanted.as_ref(), "{annotation} {changes}");
            let other = pod["spec"]["containers"].get(1);
            assert!(other.is_none_or(|other| *other == json!({"name": "d"})), "{annotation} {changes}");
        }
    }
}
