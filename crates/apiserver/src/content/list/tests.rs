use bytes::Bytes;
use serde_json::{Value, json};
use tokenward_kube_schema::find_resource;
use tokenward_kube_schema::protobuf::{self, Unknown};
use tokenward_store::{Key, Store, Unstamped};

use super::pieces::{ListPieces, PIECE, Part};
use super::*;
use crate::index::Index;
use crate::media::MetaVersion;

/// Pods of about `size` bytes each; every third is not an entry's.
async fn pods(number: usize, size: usize) -> List {
    let kind = find_resource("", "v1", "pods").expect("served");
    let store = Store::memory(Index::of);
    let mut items = Vec::new();
    for position in 0..number {
        let name = format!("pod-{position}");
        let object = json!({"kind": "Pod", "apiVersion": "v1",
            "metadata": {"name": name, "namespace": "ns", "annotations": {"ballast": "x".repeat(size)}}});
        let object = object.as_object().expect("an object");
        if position % 3 == 2 {
            items.push(Shown::of_tree(kind, object));
            continue;
        }
        let encoded = tokenward_kube_schema::encode(object);
        let key = Key::new("pods", Some("ns"), &name).expect("a key");
        let value = Unstamped::new(encoded.bytes, encoded.stamp_at);
        items.push(Shown::of_entry(kind, store.create(key, value).await.expect("new")));
    }
    let revision = store.current_revision();
    List { kind, items, extent: Extent::Whole, revision, continue_token: None, remaining: Some(7) }
}

/// Says what is wrong with the pieces of a list of items of about `size` bytes, which `list` makes.
fn check<P: Part>(size: usize, list: impl Fn() -> ListPieces<P>) {
    let (whole, pieces) = (list().whole(), list());
    let promised = pieces.rest;
    let pieces: Vec<Bytes> = pieces.collect();
    assert_eq!((promised, pieces.concat() == whole), (whole.len(), true));
    assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE.max(size + 1_000)));
    let fewest = whole.len() / PIECE;
    assert!(size > 1_000 || pieces.len() <= 4 + 2 * fewest, "{} pieces", pieces.len());
}

#[tokio::test]
async fn pieces_are_bounded_and_make_the_whole_of_the_promised_length() {
    for (number, size) in [(0, 0), (1, 10), (3, 10), (100, 3_000), (3, 200_000), (400, 300)] {
        for extent in [Extent::Whole, Extent::Page, Extent::Selection] {
            let pods = List { extent, ..pods(number, size).await };
            let list = || List { items: pods.items.clone(), continue_token: None, ..pods };
            check(size, || list().into_json());
            check(size, || list().into_protobuf().expect("pods"));
            check(size, || list().into_protobuf_metadata(MetaVersion::V1).expect("pods"));
        }
    }
}

#[tokio::test]
async fn a_list_that_was_given_before_is_not_copied() {
    let pods = pods(400, 300).await;
    let entries = pods.items.iter().filter(|item| matches!(item.source, Source::Entry(_)));
    let pods = List { items: entries.cloned().collect(), ..pods };
    let places = || {
        let list = List { items: pods.items.clone(), continue_token: None, ..pods };
        let pieces = list.into_protobuf().expect("pods");
        pieces.filter(|piece| piece.len() > 1_000).map(|piece| piece.as_ptr()).collect::<Vec<_>>()
    };
    assert_eq!(places(), places());
}

#[tokio::test]
async fn both_encodings_hold_every_item() {
    let json: Value = serde_json::from_slice(&pods(5, 9).await.into_json().whole()).expect("JSON");
    assert_eq!((&json["kind"], &json["metadata"]["remainingItemCount"]), (&json!("PodList"), &json!(7)));
    let names = json["items"].as_array().expect("a list").iter().map(|item| &item["metadata"]["name"]);
    assert!(names.eq(["pod-0", "pod-1", "pod-2", "pod-3", "pod-4"]));
    assert!(json["items"].as_array().expect("a list").iter().all(|item| item.get("kind").is_none()));
    let list = pods(5, 9).await;
    let items = list.items.clone();
    let whole = list.into_protobuf().expect("pods").whole();
    let unknown = Unknown::of(&whole).expect("an envelope");
    assert_eq!(unknown.kind, "PodList");
    let mut reader = protobuf::Reader::new(unknown.message, "PodList");
    assert!(matches!(reader.field(), Ok(Some((1, _)))));
    for item in items {
        let message = item.protobuf().expect("a pod");
        let message = protobuf::message_of_item(message.bytes());
        assert!(!message.is_empty() && reader.field() == Ok(Some((2, protobuf::Wire::Bytes(message)))));
    }
    assert!(reader.field() == Ok(None));
}
