//! Paths of the API, from names that strangers chose: a reference in a volume must not lead to another object's path.

use tokenward_node::{ClusterError, ErrorReason};

/// A path of one request.
#[derive(Debug)]
pub(crate) struct Path(String);

/// A collection that a path leads into; the namespace is checked with the name.
pub(crate) struct Collection<'a> {
    root: &'static str,
    namespace: &'a str,
    plural: &'static str,
}

impl Path {
    /// Core kinds; the empty namespace is for those that have none.
    pub(crate) fn core<'a>(namespace: &'a str, plural: &'static str) -> Collection<'a> {
        Collection { root: "/api/v1", namespace, plural }
    }

    /// Cluster-scoped kinds of `storage.k8s.io/v1`.
    pub(crate) fn storage(plural: &'static str) -> Collection<'static> {
        Collection { root: "/apis/storage.k8s.io/v1", namespace: "", plural }
    }

    /// Leases.
    pub(crate) fn leases(namespace: &str) -> Collection<'_> {
        Collection { root: "/apis/coordination.k8s.io/v1", namespace, plural: "leases" }
    }

    /// A collection that objects are only ever created in, to be answered.
    pub(crate) fn group(group_version: &'static str, plural: &'static str) -> Result<Self, ClusterError> {
        Ok(Self(format!("/apis/{group_version}/{plural}")))
    }

    pub(crate) fn subresource(mut self, subresource: &str) -> Self {
        self.0.push('/');
        self.0.push_str(subresource);
        self
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Collection<'_> {
    /// The collection itself.
    pub(crate) fn collection(&self) -> Result<Path, ClusterError> {
        if self.namespace.is_empty() {
            return Ok(Path(format!("{}/{}", self.root, self.plural)));
        }
        check(self.namespace)?;
        Ok(Path(format!("{}/namespaces/{}/{}", self.root, self.namespace, self.plural)))
    }

    /// One object in it.
    pub(crate) fn name(&self, name: &str) -> Result<Path, ClusterError> {
        check(name)?;
        let Path(collection) = self.collection()?;
        Ok(Path(format!("{collection}/{name}")))
    }
}

/// Names of these kinds are DNS subdomains, some with colons. Whatever else could be in a path is refused, not escaped:
/// no object has such a name.
fn check(name: &str) -> Result<(), ClusterError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '_');
    if !name.is_empty() && name.chars().all(plain) && !matches!(name, "." | "..") {
        return Ok(());
    }
    Err(ClusterError::new(ErrorReason::Other, &format!("{name:?} cannot be the name of an object")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_api() {
        let token = Path::core("ns", "serviceaccounts").name("web").unwrap().subresource("token");
        assert_eq!(token.as_str(), "/api/v1/namespaces/ns/serviceaccounts/web/token");
        assert_eq!(Path::core("", "nodes").name("n").unwrap().as_str(), "/api/v1/nodes/n");
        let attachment = Path::storage("volumeattachments").name("csi-1").unwrap();
        assert_eq!(attachment.as_str(), "/apis/storage.k8s.io/v1/volumeattachments/csi-1");
        let leases = Path::leases("kube-node-lease").collection().unwrap();
        assert_eq!(leases.as_str(), "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases");
    }

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["", ".", "..", "../../nodes", "a/b", "a?x=y", "a#b", "a%2fb", "a b", "ä"] {
            assert!(Path::core("ns", "secrets").name(name).is_err(), "{name}");
            assert!(name.is_empty() || Path::core(name, "secrets").name("x").is_err(), "{name}");
        }
    }
}
