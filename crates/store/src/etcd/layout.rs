//! Where etcd keeps which object: the keys of kube-apiserver.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Key, KeyError};

/// Which collection lies under which prefix. A collection that is not named here lies under its own name, as custom resources do.
///
/// ```
/// use tokenward_store::{Key, Layout};
///
/// let layout = Layout::new("/registry", [("storage.k8s.io/csidrivers", "csidrivers"), ("nodes", "minions")]);
/// let key = Key::new("storage.k8s.io/csidrivers", None, "d.example.com")?;
/// assert_eq!(layout.to_etcd(&key), "/registry/csidrivers/d.example.com");
/// assert_eq!(layout.from_etcd("/registry/csidrivers/d.example.com"), Some(key));
/// # Ok::<(), tokenward_store::KeyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Layout {
    /// `/registry/`.
    root: String,
    by_collection: HashMap<Arc<str>, Arc<str>>,
    by_prefix: HashMap<Arc<str>, Arc<str>>,
}

impl Layout {
    /// Everything below `root`; each pair is a collection and its prefix, both without slashes at their ends.
    pub fn new<'a>(root: &str, prefixes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut layout =
            Self { root: format!("{root}/"), by_collection: HashMap::new(), by_prefix: HashMap::new() };
        for (collection, prefix) in prefixes {
            layout.by_collection.insert(collection.into(), prefix.into());
            layout.by_prefix.insert(prefix.into(), collection.into());
        }
        layout
    }

    /// What all keys begin with.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// The key as etcd has it.
    pub fn to_etcd(&self, key: &Key) -> String {
        let prefix = self.by_collection.get(key.collection()).map_or(key.collection(), |prefix| prefix);
        [&self.root, prefix, "/", key.path()].concat()
    }

    /// The key that etcd has as `text`; `None` when it is none of a collection.
    pub fn from_etcd(&self, text: &str) -> Option<Key> {
        let below = text.strip_prefix(&self.root)?;
        // `services/specs` has a slash and `pods` has none: the longest that is known, from the end.
        let mut end = below.len();
        while let Some(slash) = below[..end].rfind('/') {
            if let Some(collection) = self.by_prefix.get(&below[..slash]) {
                return Key::from_path(collection, &below[slash + 1..]).ok();
            }
            end = slash;
        }
        self.unnamed(below).ok().flatten()
    }

    /// A key of a collection that lies under its own name, `group/resource`.
    fn unnamed(&self, below: &str) -> Result<Option<Key>, KeyError> {
        let mut slashes = below.match_indices('/').map(|(at, _)| at);
        let (Some(_), Some(second)) = (slashes.next(), slashes.next()) else { return Ok(None) };
        let collection = &below[..second];
        if self.by_collection.contains_key(collection) {
            // It would be written elsewhere.
            return Ok(None);
        }
        Key::from_path(&collection.into(), &below[second + 1..]).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout::new(
            "/registry",
            [
                ("pods", "pods"),
                ("nodes", "minions"),
                ("services", "services/specs"),
                ("endpoints", "services/endpoints"),
                ("storage.k8s.io/csidrivers", "csidrivers"),
            ],
        )
    }

    #[test]
    fn keys_lie_where_kube_apiserver_has_them_and_are_found_again() {
        for (collection, namespace, text) in [
            ("pods", Some("ns"), "/registry/pods/ns/a"),
            ("nodes", None, "/registry/minions/a"),
            ("services", Some("ns"), "/registry/services/specs/ns/a"),
            ("endpoints", Some("ns"), "/registry/services/endpoints/ns/a"),
            ("storage.k8s.io/csidrivers", None, "/registry/csidrivers/a"),
            ("example.com/widgets", Some("ns"), "/registry/example.com/widgets/ns/a"),
            ("example.com/widgets", None, "/registry/example.com/widgets/a"),
        ] {
            let key = Key::new(collection, namespace, "a").unwrap();
            assert_eq!(layout().to_etcd(&key), text);
            assert_eq!(layout().from_etcd(text), Some(key), "{text}");
        }
    }

    #[test]
    fn other_keys_are_nobody_s() {
        for text in [
            "",
            "/registry/",
            "/registry/pods",
            "/registry/pods/",
            "/registry/pods/a/b/c",
            "/registry/other/a",
            "/registry/storage.k8s.io/csidrivers/a",
            "/elsewhere/pods/ns/a",
            "compact_rev_key",
        ] {
            assert_eq!(layout().from_etcd(text), None, "{text}");
        }
    }
}
