//! Who is asking: client certificates, bearer tokens (service accounts' and static ones), or nobody; and as whom, since
//! some may act as others.
//!
//! As upstream asks them: a good certificate decides, then a good token. Bad credentials are refused (401), even where
//! anonymous clients are let in; only a request without any is anonymous.

mod bearer;
mod certificate;
mod impersonation;
mod static_tokens;

pub(crate) use bearer::bearer_token;
pub use certificate::ClientCertificate;
pub(crate) use impersonation::impersonated;
pub use static_tokens::{StaticTokenError, StaticTokens};

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

/// An authenticated (or anonymous) client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `system:serviceaccount:NS:NAME`, `system:node:NAME`, a person.
    pub username: String,
    /// The identity's own id, where it has one.
    pub uid: String,
    /// The groups, `system:authenticated` or `system:unauthenticated` among them.
    pub groups: Vec<String>,
    /// What else the authenticator knows, such as the pod that a token is bound to.
    pub extra: BTreeMap<String, Vec<String>>,
}

const AUTHENTICATED: &str = "system:authenticated";

impl User {
    /// A client without credentials.
    pub fn anonymous() -> Self {
        Self {
            username: "system:anonymous".to_owned(),
            uid: String::new(),
            groups: vec!["system:unauthenticated".to_owned()],
            extra: BTreeMap::new(),
        }
    }

    /// A client whose name and groups were proven.
    pub fn authenticated(username: impl Into<String>, groups: impl IntoIterator<Item = String>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().collect();
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Self { username: username.into(), uid: String::new(), groups, extra: BTreeMap::new() }
    }

    /// Whether the user is in a group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// As reviews show the user.
    pub(crate) fn to_info(&self) -> Value {
        let mut info = json!({"username": self.username});
        if !self.uid.is_empty() {
            info["uid"] = self.uid.as_str().into();
        }
        if !self.groups.is_empty() {
            info["groups"] = self.groups.clone().into();
        }
        if !self.extra.is_empty() {
            info["extra"] = json!(self.extra);
        }
        info
    }

    /// The node's name, of a node: `system:node:NAME` in the group `system:nodes`. Empty for a node without a name,
    /// which is to be refused: it must not be taken for somebody who is no node.
    pub fn node(&self) -> Option<&str> {
        let name = self.username.strip_prefix("system:node:")?;
        self.is_in("system:nodes").then_some(name)
    }
}

/// Who a request of this process's own clients is from, put into its extensions: believed without further proof.
#[derive(Clone, Debug)]
pub struct PeerIdentity(pub Arc<User>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_members_of_the_group_are_nodes() {
        assert_eq!(User::authenticated("system:node:n", []).node(), None);
        assert_eq!(User::authenticated("system:node:", ["system:nodes".to_owned()]).node(), Some(""));
    }
}
