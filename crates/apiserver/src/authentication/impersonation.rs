//! `Impersonate-User` and its companions (`kubectl --as`): acting as somebody else, part by part, as far as one may.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;
use tokenward_issuer::parse_username;

use super::User;
use crate::authorization::{Attributes, ResourceAttributes};

const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA: &str = "impersonate-extra-";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Whom a request wants to act as, and each of the rights that this takes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Impersonated {
    pub(crate) user: User,
    parts: Vec<Part>,
}

/// One thing that is taken on: the verb `impersonate` on this resource of this name.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    group: &'static str,
    resource: &'static str,
    subresource: String,
    namespace: String,
    name: String,
}

/// Why nobody knows whom to act as. The request is refused then: as itself it would do more than was meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unclear {
    /// A header is not UTF-8.
    #[error("the header {0} is not UTF-8")]
    NotText(String),
    /// Companions without a user to act as.
    #[error("requested [{0}] without impersonating a user name")]
    WithoutUser(String),
}

/// Reads the headers; none when nobody is to be acted as.
///
/// # Errors
/// When a header cannot be read, or a group, uid or extra key comes without a user.
pub(crate) fn impersonated(headers: &HeaderMap) -> Result<Option<Impersonated>, Unclear> {
    if !headers.keys().any(|name| name.as_str().starts_with("impersonate-")) {
        return Ok(None);
    }
    for (name, value) in headers {
        if name.as_str().starts_with("impersonate-") && text(value).is_none() {
            return Err(Unclear::NotText(name.to_string()));
        }
    }
    let texts = |name: &str| headers.get_all(name).iter().filter_map(text);
    let username = texts(USER).next().unwrap_or_default().to_owned();
    let mut parts = Vec::new();
    let mut groups: Vec<String> = Vec::new();
    if !username.is_empty() {
        match parse_username(&username) {
            Some((namespace, name)) => {
                if texts(GROUP).next().is_none() {
                    groups.push("system:serviceaccounts".to_owned());
                    groups.push(format!("system:serviceaccounts:{namespace}"));
                }
                parts.push(Part::core("serviceaccounts", namespace, name));
            }
            None => parts.push(Part::core("users", "", &username)),
        }
    }
    for group in texts(GROUP) {
        parts.push(Part::core("groups", "", group));
        groups.push(group.to_owned());
    }
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (header, value) in headers {
        let Some(key) = header.as_str().strip_prefix(EXTRA) else { continue };
        let key = percent_decode_str(key).decode_utf8().map_or_else(|_| key.to_owned(), Into::into);
        let value = text(value).unwrap_or_default().to_owned();
        parts.push(Part::of_authentication("userextras", &key, &value));
        extra.entry(key).or_default().push(value);
    }
    let uid = texts(UID).next().unwrap_or_default().to_owned();
    if !uid.is_empty() {
        parts.push(Part::of_authentication("uids", "", &uid));
    }
    if username.is_empty() {
        let shown: Vec<String> = parts.iter().map(Part::to_reference).collect();
        return if shown.is_empty() { Ok(None) } else { Err(Unclear::WithoutUser(shown.join(" "))) };
    }
    add_implied_group(&username, &mut groups);
    Ok(Some(Impersonated { user: User { username, uid, groups, extra }, parts }))
}

/// Names may be in any script; `HeaderValue::to_str` takes ASCII only.
fn text(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
}

/// Everybody is in one of two groups; whoever names neither is in the one that fits the user.
fn add_implied_group(username: &str, groups: &mut Vec<String>) {
    let (authenticated, unauthenticated) = ("system:authenticated", "system:unauthenticated");
    let named = |group: &str, groups: &[String]| groups.iter().any(|own| own == group);
    if username == "system:anonymous" {
        if !named(unauthenticated, groups) {
            groups.push(unauthenticated.to_owned());
        }
    } else if !named(authenticated, groups) && !named(unauthenticated, groups) {
        groups.push(authenticated.to_owned());
    }
}

impl Impersonated {
    /// The rights that it takes.
    pub(crate) fn rights(&self) -> impl Iterator<Item = Attributes<'_>> {
        self.parts.iter().map(|part| {
            Attributes::Resource(ResourceAttributes {
                verb: "impersonate",
                group: part.group,
                resource: part.resource,
                subresource: &part.subresource,
                namespace: &part.namespace,
                name: &part.name,
            })
        })
    }
}

impl Part {
    fn core(resource: &'static str, namespace: &str, name: &str) -> Self {
        let subresource = String::new();
        Self { group: "", resource, subresource, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn of_authentication(resource: &'static str, subresource: &str, name: &str) -> Self {
        let (subresource, name) = (subresource.to_owned(), name.to_owned());
        Self { group: AUTHENTICATION, resource, subresource, namespace: String::new(), name }
    }

    /// As Go prints an object reference: kind, namespace, name, uid, version, resource version and field path.
    fn to_reference(&self) -> String {
        let (kind, version) = match self.resource {
            "groups" => ("Group", ""),
            "uids" => ("UID", "authentication.k8s.io/v1"),
            _ => ("UserExtra", "authentication.k8s.io/v1"),
        };
        format!("{{{kind}  {}  {version}  {}}}", self.name, self.subresource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<Impersonated>, Unclear> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: http::HeaderName = name.parse().expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        impersonated(&headers)
    }

    /// Rights as `group/resource/subresource namespace/name`, and groups.
    fn told(pairs: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let found = read(pairs).expect("well-formed").expect("somebody");
        let rights = found.rights().map(|right| match right {
            Attributes::Resource(asked) => {
                assert_eq!(asked.verb, "impersonate");
                let (group, resource, sub) = (asked.group, asked.resource, asked.subresource);
                format!("{group}/{resource}/{sub} {}/{}", asked.namespace, asked.name)
            }
            Attributes::NonResource { .. } => panic!("a resource"),
        });
        (rights.collect(), found.user.groups.clone())
    }

    #[test]
    fn each_part_takes_a_right_of_its_own() {
        let alice = ("Impersonate-User", "alice");
        let account = ("Impersonate-User", "system:serviceaccount:apps:web");
        let group = |name| ("Impersonate-Group", name);
        // Headers; rights; groups.
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a [&'a str]);
        let table: [Row<'_>; 7] = [
            (&[alice], &["/users/ /alice"], &["system:authenticated"]),
            (
                &[alice, group("devs"), group("ops")],
                &["/users/ /alice", "/groups/ /devs", "/groups/ /ops"],
                &["devs", "ops", "system:authenticated"],
            ),
            (
                &[alice, group("system:unauthenticated")],
                &["/users/ /alice", "/groups/ /system:unauthenticated"],
                &["system:unauthenticated"],
            ),
            (
                &[account],
                &["/serviceaccounts/ apps/web"],
                &["system:serviceaccounts", "system:serviceaccounts:apps", "system:authenticated"],
            ),
            (
                &[account, group("g")],
                &["/serviceaccounts/ apps/web", "/groups/ /g"],
                &["g", "system:authenticated"],
            ),
            (
                &[("Impersonate-User", "system:anonymous")],
                &["/users/ /system:anonymous"],
                &["system:unauthenticated"],
            ),
            (
                &[alice, ("Impersonate-Uid", "u1"), ("Impersonate-Extra-Example.com%2fScope", "a")],
                &[
                    "/users/ /alice",
                    "authentication.k8s.io/userextras/example.com/scope /a",
                    "authentication.k8s.io/uids/ /u1",
                ],
                &["system:authenticated"],
            ),
        ];
        for (headers, rights, groups) in table {
            let (found_rights, found_groups) = told(headers);
            assert_eq!(found_rights, rights, "{headers:?}");
            assert_eq!(found_groups, groups, "{headers:?}");
        }
        let found = read(&[
            alice,
            ("Impersonate-Uid", "u1"),
            ("Impersonate-Extra-A", "1"),
            ("Impersonate-Extra-A", "2"),
        ]);
        let user = found.expect("well-formed").expect("somebody").user;
        assert_eq!((user.uid.as_str(), &user.extra["a"]), ("u1", &vec!["1".to_owned(), "2".to_owned()]));
    }

    #[test]
    fn nobody_is_acted_as_without_a_name() {
        assert_eq!(read(&[("accept", "*/*")]), Ok(None));
        assert_eq!(read(&[("Impersonate-User", "")]), Ok(None));
        let refused = read(&[("Impersonate-Group", "devs")]).unwrap_err();
        assert_eq!(refused.to_string(), "requested [{Group  devs    }] without impersonating a user name");
        assert!(read(&[("Impersonate-Uid", "u")]).is_err());
        assert!(read(&[("Impersonate-Extra-K", "v")]).is_err());
    }

    #[test]
    fn a_name_in_another_script_is_a_name_and_nonsense_is_refused() {
        let mut headers = HeaderMap::new();
        let name = HeaderValue::from_bytes("jürgen".as_bytes()).expect("a value");
        headers.insert("impersonate-user", name);
        let found = impersonated(&headers).expect("well-formed").expect("somebody");
        assert_eq!(found.user.username, "jürgen");
        for header in ["impersonate-user", "impersonate-group", "impersonate-uid", "impersonate-extra-a"] {
            let mut headers = headers.clone();
            headers.insert(header, HeaderValue::from_bytes(b"j\xfcrgen").expect("a value"));
            assert_eq!(impersonated(&headers), Err(Unclear::NotText(header.to_owned())));
        }
    }
}
