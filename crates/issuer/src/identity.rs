//! Who a service account is to the API server.

use std::collections::BTreeMap;

/// The user that a good token stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub username: String,
    /// The uid of the service account.
    pub uid: String,
    /// `system:serviceaccounts` and `system:serviceaccounts:NAMESPACE`. Whoever answers requests adds
    /// `system:authenticated`.
    pub groups: Vec<String>,
    /// Pod, node and credential id of the token.
    pub extra: BTreeMap<String, Vec<String>>,
    /// The audiences that the token has and that were asked for.
    pub audiences: Vec<String>,
}

const PREFIX: &str = "system:serviceaccount:";

/// The username of a service account, which is also the `sub` of its tokens.
pub fn username(namespace: &str, name: &str) -> String {
    format!("{PREFIX}{namespace}:{name}")
}

/// Namespace and name out of a service account's username; `None` for any other user.
pub fn parse_username(username: &str) -> Option<(&str, &str)> {
    let (namespace, name) = username.strip_prefix(PREFIX)?.split_once(':')?;
    let subdomain = name.len() <= 253 && name.split('.').all(is_label);
    (namespace.len() <= 63 && is_label(namespace) && subdomain).then_some((namespace, name))
}

/// RFC 1123, the length aside: lower case alphanumerics and inner dashes.
fn is_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usernames_parse_back_only_when_they_are_well_formed() {
        assert_eq!(parse_username(&username("apps", "web.v1")), Some(("apps", "web.v1")));
        for bad in [
            "system:serviceaccount:apps",
            "system:serviceaccount:apps:",
            "system:serviceaccount::web",
            "system:serviceaccount:apps:web:x",
            "system:serviceaccount:a.b:web",
            "system:serviceaccount:Apps:web",
            "system:serviceaccount:apps:-web",
            "system:serviceaccount:apps:web..v1",
            "system:serviceaccounts:apps:web",
            "system:node:n",
        ] {
            assert_eq!(parse_username(bad), None, "{bad}");
        }
        assert_eq!(parse_username(&username(&"a".repeat(64), "web")), None);
        assert_eq!(parse_username(&username("apps", &"a".repeat(254))), None);
    }
}
