//! What a write does to the revision before it.

use serde_json::json;
use tokenward_kube_rules::Release;
use tokenward_kube_schema::find_resource;
use tokenward_tokens::ManualClock;

use super::*;
use crate::media::{Encoding, Form, Representation};
use crate::query::{ListAt, ListOptions, Selection};
use crate::storage::new_store;

const OBJECTS: usize = 20;

fn config_map(name: &str, value: &str) -> Object {
    let data = json!({"value": value, "filling": "x".repeat(1_000)});
    let object = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, "namespace": "ns"},
        "data": data});
    object.as_object().expect("an object").clone()
}

/// How much memory is kept for an entry's encoding, and how much of that is its own.
fn kept(entry: &Entry<Index>) -> (usize, usize) {
    let kept = entry.index.encodings.protobuf(|| Err(())).expect("it has been listed");
    (kept.block_memory().1, kept.len())
}

#[tokio::test]
async fn past_revisions_keep_none_of_the_block_that_they_were_listed_in() {
    let clock = ManualClock::new("2026-03-01T12:00:00Z".parse().expect("a time")).clock();
    let registry = Registry::new(new_store(), FeatureGates::for_release(Release::V1_36), clock);
    let kind = find_resource("", "v1", "configmaps").expect("a kind");
    let of = Collection { kind, namespace: Some("ns") };
    let list = |at| {
        let options = ListOptions {
            selection: Selection::default(),
            at,
            limit: 0,
            continue_from: None,
            has_version: false,
        };
        let Ok(list) = registry.list(of, &options) else { panic!("the state is there") };
        let representation = Representation { form: Form::Object, encoding: Encoding::Protobuf };
        let Ok(written) = Content::List(list).write(representation) else { panic!("it can be encoded") };
        written
    };
    let newest = ListAt::Newest { not_older_than: Revision::default() };
    let mut entries = Vec::new();
    for number in 0..OBJECTS {
        let name = format!("map-{number:02}");
        let key = Key::new("configmaps", Some("ns"), &name).expect("a key");
        let Ok(created) = registry.put_new(key, &config_map(&name, "before")).await else { panic!("stored") };
        entries.push(created.expect("new"));
    }
    let before = list(newest);
    let at_first = ListAt::Exact(registry.newest_revision());
    let (block, own) = kept(&entries[0]);
    assert!(block > own * (OBJECTS - 1), "they lie side by side: {own} in {block}");

    let same = registry.put_changed(&entries[1], &config_map("map-01", "before")).await;
    assert!(matches!(same, Ok(Ok(entry)) if entry.revision == entries[1].revision));
    assert_eq!(kept(&entries[1]).0, block, "nothing was written");
    let changed = registry.put_changed(&entries[1], &config_map("map-01", "after")).await;
    assert!(matches!(changed, Ok(Ok(_))));
    registry.store.delete(&entries[2].key, None).await.expect("it is there");
    // Another server over the same store.
    let value = encode(&config_map("map-03", "elsewhere")).unwrap_or_else(|_| panic!("it can be encoded"));
    registry.store.update(&entries[3].key, entries[3].revision, value).await.expect("it is there");
    for past in &entries[1..=3] {
        let (block, own) = kept(past);
        assert_eq!(block, own);
    }

    // Nor does a list of an older state put them into another.
    list(newest);
    assert!(list(at_first) == before, "the state of then");
    for past in &entries[1..=3] {
        let (block, own) = kept(past);
        assert_eq!(block, own);
    }
}
