//! Where an object lives, and which objects a list or a watch is about.

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use crate::KeyError;

/// A collection, a namespace in it unless the collection has none, and a name. Cheap to clone.
///
/// Ordered as etcd orders `/registry/<collection>/<namespace>/<name>`, that is by the bytes of the path: namespace `a-b` comes
/// before namespace `a`, because `-` comes before `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    collection: Arc<str>,
    /// `namespace/name`, or `name`.
    path: Arc<str>,
}

impl Key {
    /// The key of the object `name`; `namespace` is `None` in collections of the whole cluster.
    ///
    /// # Errors
    /// An empty part, or a `/` or NUL in namespace or name, which would make the key ambiguous.
    pub fn new(
        collection: impl Into<Arc<str>>,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Self, KeyError> {
        let collection = collection.into();
        if collection.is_empty() {
            return Err(KeyError::Empty { part: "collection" });
        }
        check("name", name)?;
        let path = match namespace {
            None => Arc::from(name),
            Some(namespace) => {
                check("namespace", namespace)?;
                Arc::from([namespace, "/", name].concat())
            }
        };
        Ok(Self { collection, path })
    }

    /// The collection, for instance `storage.k8s.io/csidrivers`.
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// The namespace, if the key has one.
    pub fn namespace(&self) -> Option<&str> {
        self.path.split_once('/').map(|(namespace, _)| namespace)
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.path.split_once('/').map_or(&*self.path, |(_, name)| name)
    }

    /// Whether a text can be the namespace or the name of a key.
    pub(crate) fn is_name(text: &str) -> bool {
        check("name", text).is_ok()
    }

    /// `namespace/name`, or `name`: what orders the keys of one collection.
    pub(crate) fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// The key whose collection and path another key has shown.
    pub(crate) fn from_path(collection: &Arc<str>, path: &str) -> Result<Self, KeyError> {
        match path.split_once('/') {
            Some((namespace, name)) => Self::new(collection.clone(), Some(namespace), name),
            None => Self::new(collection.clone(), None, path),
        }
    }

    pub(crate) fn shared_collection(&self) -> &Arc<str> {
        &self.collection
    }
}

fn check(part: &'static str, text: &str) -> Result<(), KeyError> {
    if text.is_empty() {
        return Err(KeyError::Empty { part });
    }
    match text.bytes().position(|byte| byte == b'/' || byte == 0) {
        Some(at) => Err(KeyError::Separator { part, at }),
        None => Ok(()),
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.collection, self.path)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Which keys a list or a watch is about: always of one collection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All of a collection.
    Collection(Arc<str>),
    /// One namespace of a collection.
    Namespace {
        /// The collection.
        collection: Arc<str>,
        /// The namespace.
        namespace: Arc<str>,
    },
    /// One key, whether something is there or not.
    Key(Key),
}

impl Scope {
    /// All of a collection.
    pub fn collection(collection: impl Into<Arc<str>>) -> Self {
        Self::Collection(collection.into())
    }

    /// One namespace of a collection.
    pub fn namespace(collection: impl Into<Arc<str>>, namespace: impl Into<Arc<str>>) -> Self {
        Self::Namespace { collection: collection.into(), namespace: namespace.into() }
    }

    /// Whether `key` is in the scope.
    pub fn contains(&self, key: &Key) -> bool {
        &**self.of_collection() == key.collection() && self.contains_path(key.path())
    }

    pub(crate) fn of_collection(&self) -> &Arc<str> {
        match self {
            Self::Collection(collection) | Self::Namespace { collection, .. } => collection,
            Self::Key(key) => key.shared_collection(),
        }
    }

    /// Whether the path of a key of the scope's own collection is in the scope.
    pub(crate) fn contains_path(&self, path: &str) -> bool {
        match self {
            Self::Collection(_) => true,
            Self::Namespace { namespace, .. } => {
                path.strip_prefix(&**namespace).is_some_and(|rest| rest.starts_with('/'))
            }
            Self::Key(key) => **key.path() == *path,
        }
    }

    /// The paths of the scope that come after `after`, as bounds.
    pub(crate) fn bounds(&self, after: Option<&Key>) -> Bounds {
        let (first, end) = match self {
            Self::Collection(_) => (Bound::Unbounded, Bound::Unbounded),
            // `0` is the character after `/`.
            Self::Namespace { namespace, .. } => {
                (Bound::Included([namespace, "/"].concat()), Bound::Excluded([namespace, "0"].concat()))
            }
            Self::Key(key) => {
                (Bound::Included(key.path().to_string()), Bound::Included(key.path().to_string()))
            }
        };
        let first = match (first, after) {
            (first, None) => first,
            (Bound::Included(first), Some(after)) if **after.path() < *first => Bound::Included(first),
            (_, Some(after)) => Bound::Excluded(after.path().to_string()),
        };
        Bounds { first, end }
    }
}

/// A stretch of the paths of one collection.
pub(crate) struct Bounds {
    first: Bound<String>,
    end: Bound<String>,
}

impl Bounds {
    /// The bounds for a range query; `None` when nothing can be inside, for which `BTreeMap::range` would panic.
    pub(crate) fn range(&self) -> Option<(Bound<&str>, Bound<&str>)> {
        let range = (self.first.as_ref().map(String::as_str), self.end.as_ref().map(String::as_str));
        match range {
            (
                Bound::Included(first) | Bound::Excluded(first),
                Bound::Included(end) | Bound::Excluded(end),
            ) if first > end => None,
            (Bound::Excluded(first), Bound::Included(end) | Bound::Excluded(end)) if first == end => None,
            range => Some(range),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn key(namespace: Option<&str>, name: &str) -> Key {
        Key::new("pods", namespace, name).unwrap()
    }

    #[test]
    fn refuses_parts_that_would_be_ambiguous() {
        for (collection, namespace, name, error) in [
            ("", None, "a", KeyError::Empty { part: "collection" }),
            ("pods", None, "", KeyError::Empty { part: "name" }),
            ("pods", Some(""), "a", KeyError::Empty { part: "namespace" }),
            ("pods", None, "a/b", KeyError::Separator { part: "name", at: 1 }),
            ("pods", Some("ns/"), "a", KeyError::Separator { part: "namespace", at: 2 }),
            ("pods", Some("ns"), "\0", KeyError::Separator { part: "name", at: 0 }),
        ] {
            assert_eq!(Key::new(collection, namespace, name), Err(error));
        }
    }

    #[test]
    fn gives_its_parts_back() {
        let key = Key::new("storage.k8s.io/csidrivers", None, "x.example.com").unwrap();
        assert_eq!(
            (key.collection(), key.namespace(), key.name()),
            ("storage.k8s.io/csidrivers", None, "x.example.com")
        );
        assert_eq!(key.to_string(), "storage.k8s.io/csidrivers/x.example.com");
        let key = Key::new("pods", Some("ns"), "x").unwrap();
        assert_eq!((key.collection(), key.namespace(), key.name()), ("pods", Some("ns"), "x"));
        assert_eq!(key.to_string(), "pods/ns/x");
        assert_eq!(Key::from_path(&"pods".into(), key.path()), Ok(key));
        for path in ["", "/", "ns/", "/x", "a/b/c", "a\0"] {
            assert!(Key::from_path(&"pods".into(), path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn orders_by_path_bytes_and_ranges_agree_with_contains() {
        let keys: BTreeSet<Key> =
            [("a", "x"), ("a", "y"), ("a-b", "x"), ("a.b", "x"), ("a0", "x"), ("b", "a")]
                .into_iter()
                .map(|(namespace, name)| key(Some(namespace), name))
                .collect();
        let ordered: Vec<String> = keys.iter().map(Key::to_string).collect();
        assert_eq!(ordered, ["pods/a-b/x", "pods/a.b/x", "pods/a/x", "pods/a/y", "pods/a0/x", "pods/b/a"]);

        let scopes = [
            Scope::collection("pods"),
            Scope::namespace("pods", "a"),
            Scope::namespace("pods", "a-b"),
            Scope::namespace("pods", "missing"),
            Scope::Key(key(Some("a"), "x")),
            Scope::Key(key(Some("a"), "missing")),
        ];
        let paths: BTreeSet<Arc<str>> = keys.iter().map(|key| key.path().clone()).collect();
        for scope in &scopes {
            for after in std::iter::once(None).chain(keys.iter().map(Some)) {
                let bounds = scope.bounds(after);
                let ranged: Vec<&Arc<str>> =
                    bounds.range().map(|range| paths.range::<str, _>(range)).into_iter().flatten().collect();
                let filtered: Vec<&Arc<str>> = keys
                    .iter()
                    .filter(|key| scope.contains(key) && after.is_none_or(|after| *key > after))
                    .map(Key::path)
                    .collect();
                assert_eq!(ranged, filtered, "{scope:?} after {after:?}");
            }
        }
        assert!(!Scope::collection("nodes").contains(&key(Some("a"), "x")));
    }
}
