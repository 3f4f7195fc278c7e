//! Where the objects may be kept, with the index that an API server needs.

use std::collections::HashSet;
use std::path::Path;

use tokenward_kube_rules::Release;
use tokenward_kube_schema::{self as schema, Kind};
use tokenward_store::{
    EtcdEndpoint, EtcdError, EtcdOptions, EtcdTls, Key, Layout, LogOptions, OpenError, Recovery, Store,
    Unavailable, Unstamped, WriteError,
};

use crate::index::Index;
use crate::registry::collection;
use crate::status::ApiError;

/// Under which key kube-apiserver keeps everything.
const ROOT: &str = "/registry";
/// What comes before the revision in the JSON that is stored.
const STAMP: &[u8] = br#""metadata":{"resourceVersion":""#;
/// What a protobuf object begins with.
const PROTOBUF: &[u8] = b"k8s\0";

/// An empty store in memory, with the index that an API server keeps.
///
/// The handle outlives any server: several servers, of different releases too, may stand over the same data.
pub fn new_store() -> Store<Index> {
    Store::memory(Index::of).setting_apart(set_apart)
}

/// The store in a directory of this machine, and what was found there.
///
/// # Errors
/// As [`Store::open`].
pub fn open_store(directory: &Path) -> Result<(Store<Index>, Recovery), OpenError> {
    let (store, recovery) = Store::open(directory, LogOptions::default(), Index::of)?;
    Ok((store.setting_apart(set_apart), recovery))
}

/// The store in etcd. Objects are where kube-apiserver has them, as JSON; those that it has written in protobuf are read too.
///
/// # Errors
/// When no server answers.
pub async fn etcd_store(
    endpoints: Vec<EtcdEndpoint>,
    tls: Option<EtcdTls>,
) -> Result<Store<Index>, EtcdError> {
    let options = EtcdOptions { tls, ..EtcdOptions::new(endpoints, layout(), read_stored) };
    Ok(Store::etcd(options, Index::of).await?.setting_apart(set_apart))
}

/// History may keep an object's earlier revision for long, and must not keep its neighbours for its sake.
fn set_apart(past: &Index) {
    past.encodings.set_apart();
}

impl ApiError {
    /// 504 when nobody knows whether the write has happened, 500 when it has not: the store could not keep it.
    pub(crate) fn not_kept(error: &WriteError<Index>) -> Self {
        match error {
            WriteError::Unavailable(Unavailable::TimedOut) => {
                Self::timeout("request did not complete within requested timeout - context deadline exceeded")
            }
            error => Self::internal(&error.to_string()),
        }
    }
}

/// kube-apiserver's prefixes: mostly the plural, without the group.
fn layout() -> Layout {
    let mut taken = HashSet::new();
    let kinds = schema::kinds().iter().filter(|kind| !kind.plural.is_empty());
    // Of two groups with one plural the first has it; the other lies under its full name.
    let own = kinds.filter(|kind| taken.insert(prefix(kind)));
    let prefixes: Vec<_> = own.map(|kind| (collection(kind), prefix(kind))).collect();
    Layout::new(ROOT, prefixes.iter().map(|(collection, prefix)| (&**collection, *prefix)))
}

fn prefix(kind: &Kind) -> &'static str {
    match (kind.group, kind.plural) {
        ("", "nodes") => "minions",
        ("", "services") => "services/specs",
        ("", "endpoints") => "services/endpoints",
        ("", "replicationcontrollers") => "controllers",
        (_, plural) => plural,
    }
}

/// Finds where the revision goes in what etcd holds; `None` when it is no object.
fn read_stored(key: &Key, bytes: &[u8]) -> Option<Unstamped> {
    // The common case: a server of ours has written it.
    let place = bytes.windows(STAMP.len()).position(|window| window == STAMP);
    if let Some(place) = place
        && bytes.first() == Some(&b'{')
        && !bytes[1..place].contains(&b'{')
    {
        let stamp_at = place + STAMP.len();
        if bytes.get(stamp_at) == Some(&b'"') && bytes.last() == Some(&b'}') {
            return Some(Unstamped::new(bytes.to_vec(), stamp_at));
        }
    }
    let object = if bytes.starts_with(PROTOBUF) {
        let kind = schema::kinds().iter().find(|kind| *collection(kind) == *key.collection())?;
        // The newest release knows every field that any of them has written.
        schema::protobuf::decode(kind, Release::V1_36, bytes).ok()?
    } else {
        schema::parse(bytes).ok()?
    };
    let encoded = schema::encode(&object);
    Some(Unstamped::new(encoded.bytes, encoded.stamp_at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stamped(key: &Key, bytes: &[u8]) -> Option<serde_json::Value> {
        let unstamped = read_stored(key, bytes)?;
        let encoded = schema::Encoded { bytes: unstamped.bytes().to_vec(), stamp_at: unstamped.stamp_at() };
        Some(serde_json::from_slice(&encoded.stamped(42)).unwrap())
    }

    #[test]
    fn every_kind_has_a_place_of_its_own() {
        let layout = layout();
        let mut seen = HashSet::new();
        for kind in schema::kinds().iter().filter(|kind| !kind.plural.is_empty()) {
            let namespace = kind.namespaced.then_some("ns");
            let key = Key::new(collection(kind), namespace, "a").unwrap();
            let text = layout.to_etcd(&key);
            assert_eq!(layout.from_etcd(&text).as_ref(), Some(&key), "{text}");
            assert!(seen.insert(text));
        }
        for text in [
            "/registry/pods/ns/a",
            "/registry/minions/a",
            "/registry/csidrivers/a",
            "/registry/leases/ns/a",
            "/registry/serviceaccounts/ns/a",
        ] {
            assert!(seen.contains(text), "{text}");
        }
    }

    #[test]
    fn what_is_stored_is_read_in_every_encoding_and_the_revision_put_in_its_place() {
        let key = Key::new("storage.k8s.io/csidrivers", None, "d").unwrap();
        let object = json!({
            "kind": "CSIDriver", "apiVersion": "storage.k8s.io/v1",
            "metadata": {"name": "d", "annotations": {"a": "\"metadata\":{\"resourceVersion\":\""}},
            "spec": {"attachRequired": true},
        });
        let tree = object.as_object().unwrap();
        let mut expected = object.clone();
        expected["metadata"]["resourceVersion"] = "42".into();
        let kind = schema::find_kind("storage.k8s.io/v1", "CSIDriver").unwrap();
        let ours = schema::encode(tree).bytes;
        let theirs = serde_json::to_vec(&object).unwrap();
        let protobuf = schema::protobuf::encode(kind, tree).unwrap().bytes().clone();
        for bytes in [&ours[..], &theirs, &protobuf] {
            let mut found = stamped(&key, bytes).unwrap();
            // Protobuf always has it.
            found["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
            assert_eq!(found, expected);
        }
        for bytes in [&b""[..], b"null", b"k8s\0", b"{", br#"{"metadata":{"resourceVersion":""#] {
            assert!(stamped(&key, bytes).is_none(), "{bytes:?}");
        }
    }
}
