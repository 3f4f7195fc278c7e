//! `serviceaccounts/token`: a service account's token for a pod, a node, a secret, or by itself.
//!
//! The order of the checks decides which error a client sees, and is upstream's: a wrong name in the body beats a
//! missing account, a missing account beats a bad expiry.

mod asked;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use tokenward_issuer::grant::{DEFAULT_EXPIRATION_SECONDS, validate_expiration_seconds};
use tokenward_issuer::{BoundObject, Granted, Issuer, ServiceAccount, SignError, TokenRequestSpec};
use tokenward_jose::ObjectRef;
use tokenward_kube_rules::FieldError;
use tokenward_tokens::Token;

use crate::admission::node_restriction::{self, BoundTo, TokenDemand};
use crate::authentication::User;
use crate::cluster_view::ClusterView;
use crate::content::Content;
use crate::object::format_time;
use crate::registry::Written;
use crate::status::{ApiError, Subject};

pub(crate) use self::asked::Asked;
use self::asked::BoundObjectRef;

/// What tokens are issued with, and to whom.
pub(crate) struct Granting<'a> {
    pub(crate) cluster: &'a ClusterView,
    pub(crate) issuer: &'a Issuer,
    pub(crate) user: &'a User,
    pub(crate) now: Timestamp,
}

impl Granting<'_> {
    /// Issues a token for the account that the path names.
    pub(crate) fn create(
        &self,
        namespace: &str,
        account: &str,
        asked: Asked,
        warnings: &mut Vec<String>,
    ) -> Result<Written, ApiError> {
        let &Self { cluster, issuer, user, now } = self;
        if !asked.namespace.is_empty() && asked.namespace != namespace {
            let text =
                "the namespace of the provided object does not match the namespace sent on the request";
            return Err(ApiError::bad_request(text));
        }
        let Asked { audiences, bound, .. } = asked;
        if let Some(node) = user.node() {
            let demand = TokenDemand {
                namespace,
                service_account: account,
                audiences: &audiences,
                bound: bound.as_ref().map(|bound| BoundTo {
                    api_version: &bound.api_version,
                    kind: &bound.kind,
                    name: &bound.name,
                    uid: &bound.uid,
                }),
            };
            node_restriction::admit_token(node, demand, cluster)?;
        }

        let request = Subject { group: "authentication.k8s.io", kind: "TokenRequest", name: account };
        let name = asked.name;
        if !name.is_empty() && name != account {
            let detail = "must match the service account name if specified";
            return Err(ApiError::invalid(request, &[FieldError::invalid("metadata.name", name, detail)]));
        }
        let entry = cluster.entry("serviceaccounts", Some(namespace), account).ok_or_else(|| {
            ApiError::not_found(Subject { group: "", kind: "serviceaccounts", name: account })
        })?;
        let (uid, found) = (asked.uid, entry.index.uid.as_str());
        if !uid.is_empty() && uid != found {
            let why = format!(
                "the UID in the token request ({uid}) does not match the UID of the service account ({found})"
            );
            return Err(ApiError::conflict(request, &why));
        }
        let seconds = asked.expiration_seconds.unwrap_or(DEFAULT_EXPIRATION_SECONDS);
        if let Err(error) = validate_expiration_seconds(seconds) {
            let error = FieldError::invalid("spec.expirationSeconds", seconds, &error.to_string());
            return Err(ApiError::invalid(Subject { name: "", ..request }, &[error]));
        }
        let bound_object =
            bound.as_ref().map(|bound| resolve(cluster, namespace, account, bound)).transpose()?;

        let spec = TokenRequestSpec { audiences, expiration_seconds: Some(seconds) };
        let service_account = ServiceAccount {
            namespace: namespace.to_owned(),
            name: account.to_owned(),
            uid: found.to_owned(),
        };
        let granted = issuer.grant(&spec, &service_account, bound_object.as_ref(), now);
        let token = issuer.sign(&granted.claims).map_err(|error| match error {
            SignError::NotReady => ApiError::too_many_requests(1),
            other => ApiError::internal(&format!("failed to generate token: {other}")),
        })?;
        warnings.extend(granted.warnings.iter().cloned());
        let issued = Issued { account: service_account, bound, granted, token, now };
        Ok(Written { code: StatusCode::CREATED, content: Content::Token(Box::new(issued)) })
    }
}

/// Finds what the token shall be bound to. Only the group of `apiVersion` counts.
fn resolve(
    cluster: &ClusterView,
    namespace: &str,
    account: &str,
    bound: &BoundObjectRef,
) -> Result<BoundObject, ApiError> {
    let (group, version) = bound.api_version.split_once('/').unwrap_or(("", &bound.api_version));
    let (collection, namespace) = match (group, bound.kind.as_str()) {
        ("", "Pod") => ("pods", Some(namespace)),
        ("", "Secret") => ("secrets", Some(namespace)),
        ("", "Node") => ("nodes", None),
        (_, kind) => {
            let text = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
            return Err(ApiError::bad_request(text));
        }
    };
    let missing = || ApiError::not_found(Subject { group: "", kind: collection, name: &bound.name });
    let entry = cluster.entry(collection, namespace, &bound.name).ok_or_else(missing)?;
    let reference = ObjectRef::new(&bound.name, &entry.index.uid);
    let pod = entry.index.pod();
    if let Some(pod) = pod
        && pod.service_account != account
    {
        return Err(ApiError::bad_request(format!(
            "cannot bind token for serviceaccount \"{account}\" to pod running with different serviceaccount name."
        )));
    }
    if !bound.uid.is_empty() && bound.uid != entry.index.uid {
        let why = format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been deleted and then recreated",
            bound.uid
        );
        let subject = Subject { group: "", kind: &bound.kind, name: &bound.name };
        return Err(ApiError::conflict(subject, &why));
    }
    Ok(match (collection, pod) {
        ("pods", pod) => {
            let node = pod.map(|pod| pod.node.as_str()).filter(|node| !node.is_empty());
            let node = node.map(|name| {
                // A node that is gone still gives the token its name.
                let uid = cluster.entry("nodes", None, name).map(|node| node.index.uid.clone());
                ObjectRef::new(name, uid.unwrap_or_default())
            });
            BoundObject::Pod { pod: reference, node }
        }
        ("nodes", _) => BoundObject::Node(reference),
        _ => BoundObject::Secret(reference),
    })
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
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseSpec<'a> {
    audiences: &'a [String],
    expiration_seconds: i64,
    bound_object_ref: Option<&'a BoundObjectRef>,
}

/// A token with the request as it was granted.
pub(crate) struct Issued {
    account: ServiceAccount,
    bound: Option<BoundObjectRef>,
    granted: Granted,
    token: Token,
    now: Timestamp,
}

impl Issued {
    /// The answer as JSON.
    pub(crate) fn to_json(&self) -> Bytes {
        let Self { account, bound, granted, token, now } = self;
        let response = Response {
            kind: "TokenRequest",
            api_version: "authentication.k8s.io/v1",
            metadata: ResponseMetadata {
                name: &account.name,
                namespace: &account.namespace,
                uid: &account.uid,
                creation_timestamp: &format_time(*now),
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
}
