//! The answer to a token request, written straight into the encoding that was asked for: no tree has ever held the token.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use tokenward_issuer::{Granted, ServiceAccount};
use tokenward_kube_schema::protobuf::{Enveloped, Writer};
use tokenward_tokens::Token;

use super::asked::BoundObjectRef;
use super::owned::Entry;
use crate::object::format_time;

/// A token with the request as it was granted.
pub(crate) struct Issued {
    pub(super) account: ServiceAccount,
    pub(super) bound: Option<BoundObjectRef>,
    pub(super) granted: Granted,
    pub(super) token: Token,
    /// Who asked, as `managedFields` has it.
    pub(super) manager: String,
    /// Whether the request named audiences.
    pub(super) has_audiences: bool,
    pub(super) now: Timestamp,
}

impl Issued {
    /// The answer as JSON.
    pub(crate) fn to_json(&self) -> Bytes {
        let Self { account, bound, granted, token, now, .. } = self;
        let now = format_time(*now);
        let response = Response {
            kind: "TokenRequest",
            api_version: "authentication.k8s.io/v1",
            metadata: ResponseMetadata {
                name: &account.name,
                namespace: &account.namespace,
                uid: &account.uid,
                creation_timestamp: &now,
                managed_fields: [self.entry(&now)],
            },
            spec: ResponseSpec {
                audiences: &granted.audiences,
                expiration_seconds: granted.expiration_seconds,
                bound_object_ref: bound.as_ref(),
            },
        };
        let (token, expires) = (token.expose_token(), format_time(granted.expires));
        let mut json = Vec::with_capacity(token.len() + 1024);
        serde_json::to_writer(&mut json, &response).expect("texts and numbers into memory");
        json.pop();
        // Made room for at once: a growing buffer would leave copies of the token behind.
        json.reserve(token.len() + 128);
        // A token has no character that JSON escapes, and is long: it is not searched for one.
        for part in [r#","status":{"token":""#, token, r#"","expirationTimestamp":""#, &expires, r#""}}"#] {
            json.extend_from_slice(part.as_bytes());
        }
        json.into()
    }

    fn entry<'a>(&'a self, now: &'a str) -> Entry<'a> {
        Entry::new(&self.manager, now, self.has_audiences, self.bound.as_ref())
    }

    /// The answer as protobuf.
    pub(crate) fn to_protobuf(&self) -> Bytes {
        let Self { account, bound, granted, token, now, .. } = self;
        let token = token.expose_token();
        let time = format_time(*now);
        let entry = self.entry(&time);
        let write = |writer: &mut Writer| {
            writer.message(1, |metadata| {
                metadata.string(1, &account.name);
                metadata.string(2, "");
                metadata.string(3, &account.namespace);
                metadata.string(4, "");
                metadata.string(5, &account.uid);
                metadata.string(6, "");
                metadata.int(7, 0);
                metadata.message(8, |time| write_time(time, *now));
                metadata.message(17, |writer| entry.write(writer, |writer| write_time(writer, *now)));
            });
            writer.message(2, |spec| {
                granted.audiences.iter().for_each(|audience| spec.string(1, audience));
                if let Some(bound) = bound {
                    spec.message(3, |writer| {
                        writer.string(1, &bound.kind);
                        writer.string(2, &bound.api_version);
                        writer.string(3, &bound.name);
                        writer.string(4, &bound.uid);
                    });
                }
                spec.int(4, granted.expiration_seconds);
            });
            writer.message(3, |status| {
                status.string(1, token);
                status.message(2, |time| write_time(time, granted.expires));
            });
        };
        // Made room for at once, as above.
        let body = Enveloped::of("authentication.k8s.io/v1", "TokenRequest", token.len() + 1024, write);
        body.map(Bytes::from).bytes().clone()
    }
}

/// Whole seconds: Go writes the nanoseconds too, and they are always zero.
fn write_time(writer: &mut Writer, time: Timestamp) {
    writer.int(1, time.as_second());
    writer.int(2, 0);
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    kind: &'a str,
    api_version: &'a str,
    metadata: ResponseMetadata<'a>,
    spec: ResponseSpec<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseMetadata<'a> {
    name: &'a str,
    namespace: &'a str,
    uid: &'a str,
    creation_timestamp: &'a str,
    managed_fields: [Entry<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseSpec<'a> {
    audiences: &'a [String],
    expiration_seconds: i64,
    bound_object_ref: Option<&'a BoundObjectRef>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};
    use tokenward_issuer::grant::grant;
    use tokenward_issuer::{IssuerConfig, TokenRequestSpec};
    use tokenward_kube_rules::Release;
    use tokenward_kube_schema::{find_kind, normalize, protobuf};

    use super::*;

    fn issued(bound: Option<BoundObjectRef>, audiences: &[&str]) -> Issued {
        let account =
            ServiceAccount { namespace: "ns".to_owned(), name: "web".to_owned(), uid: "u1".to_owned() };
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        let config = IssuerConfig::new(["https://issuer.example"]).unwrap();
        let audiences = audiences.iter().map(|&audience| audience.to_owned()).collect();
        let spec = TokenRequestSpec { audiences, expiration_seconds: Some(7200) };
        let granted = grant(&config, &spec, &account, None, now, "id".to_owned());
        let has_audiences = !spec.audiences.is_empty();
        let (token, manager) = (Token::new("a.b.c".to_owned()), "kubelet".to_owned());
        Issued { account, bound, granted, token, manager, has_audiences, now }
    }

    /// What is written by hand is what the table makes of the same answer.
    #[test]
    fn both_encodings_are_those_of_the_table() {
        let kind = find_kind("authentication.k8s.io/v1", "TokenRequest").unwrap();
        let pod = BoundObjectRef {
            kind: "Pod".to_owned(),
            api_version: "v1".to_owned(),
            name: "web-0".to_owned(),
            uid: String::new(),
        };
        for answer in [issued(None, &[]), issued(Some(pod), &["vault", ""])] {
            let json: Map<String, Value> = serde_json::from_slice(&answer.to_json()).unwrap();
            let printed = normalize(kind, Release::V1_35, &json).unwrap();
            assert!(printed.strict.is_empty() && printed.object == json, "{:?}", printed.strict);
            assert_eq!(json["status"]["token"], "a.b.c");
            let wanted = protobuf::encode(kind, &json).unwrap();
            assert!(answer.to_protobuf() == *wanted.bytes());
        }
    }
}
