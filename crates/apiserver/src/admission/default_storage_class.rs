//! DefaultStorageClass: a claim that names no class gets the cluster's default one, if there is one.

use crate::cluster_view::ClusterView;
use crate::object::{Metadata, Object, at, child_mut, text_at};

const IS_DEFAULT: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
/// How claims named their class before there was a field.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Names the default class in a claim. An empty name is one: it means no class at all.
pub(super) fn admit_claim(claim: &mut Object, cluster: &ClusterView) {
    let named = at(claim, &["spec", "storageClassName"]).is_some_and(|class| !class.is_null());
    if named || at(claim, &["metadata", "annotations", CLASS_ANNOTATION]).is_some() {
        return;
    }
    let classes = cluster.entries("storage.k8s.io/storageclasses");
    let classes = classes.iter().filter_map(|entry| tokenward_kube_schema::parse(&entry.value).ok());
    if let Some(class) = default_of(classes) {
        child_mut(claim, "spec").insert("storageClassName".to_owned(), class.into());
    }
}

/// Of several defaults the youngest; of equally young ones the first by name.
fn default_of(classes: impl Iterator<Item = Object>) -> Option<String> {
    let marked = classes.filter(|class| {
        IS_DEFAULT.iter().any(|mark| text_at(class, &["metadata", "annotations", mark]) == "true")
    });
    let youngest = marked.min_by_key(|class| {
        // RFC 3339 in UTC and whole seconds: ordered as text.
        (std::cmp::Reverse(class.metadata_text("creationTimestamp").to_owned()), class.name().to_owned())
    });
    youngest.map(|class| class.name().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_youngest_default_counts() {
        let class = |name: &str, created: &str, mark: &str| {
            let metadata =
                json!({"name": name, "creationTimestamp": created, "annotations": {IS_DEFAULT[0]: mark}});
            json!({"metadata": metadata}).as_object().unwrap().clone()
        };
        let (old, young) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
        let table = [
            (vec![], None),
            (vec![class("a", old, "false")], None),
            (vec![class("a", old, "true"), class("b", young, "true"), class("c", young, "true")], Some("b")),
            (vec![class("a", old, "true"), class("b", young, "no")], Some("a")),
        ];
        for (classes, wanted) in table {
            assert_eq!(default_of(classes.into_iter()).as_deref(), wanted);
        }
    }
}
