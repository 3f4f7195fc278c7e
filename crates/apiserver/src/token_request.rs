//! `serviceaccounts/token`: a service account's token for a pod, a node, a secret, or by itself.
//!
//! The order of the checks decides which error a client sees, and is upstream's: a wrong name in the body beats a
//! missing account, a missing account beats a bad expiry.

mod asked;
mod issued;
mod owned;

use http::StatusCode;
use jiff::Timestamp;
use tokenward_issuer::grant::{DEFAULT_EXPIRATION_SECONDS, validate_expiration_seconds};
use tokenward_issuer::{BoundObject, Issuer, ServiceAccount, SignError, TokenRequestSpec};
use tokenward_jose::ObjectRef;
use tokenward_kube_rules::FieldError;

use crate::admission::node_restriction::token::{self as restriction, BoundTo, TokenDemand};
use crate::authentication::User;
use crate::cluster_view::ClusterView;
use crate::content::Content;
use crate::registry::Written;
use crate::status::{ApiError, Subject};

pub(crate) use self::asked::Asked;
use self::asked::BoundObjectRef;
pub(crate) use self::issued::Issued;

/// What tokens are issued with, and to whom.
pub(crate) struct Granting<'a> {
    pub(crate) cluster: &'a ClusterView,
    pub(crate) issuer: &'a Issuer,
    pub(crate) user: &'a User,
    /// Who owns the request, as `managedFields` has it.
    pub(crate) manager: &'a str,
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
        let &Self { cluster, issuer, user, manager, now } = self;
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
            restriction::admit(user, node, demand, cluster)?;
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

        let has_audiences = !audiences.is_empty();
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
        let manager = manager.to_owned();
        let issued = Issued { account: service_account, bound, granted, token, manager, has_audiences, now };
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
    let (group, version) = match bound.api_version.matches('/').count() {
        0 => ("", bound.api_version.as_str()),
        1 => bound.api_version.split_once('/').unwrap_or_default(),
        // What is no version is passed over.
        _ => ("", ""),
    };
    let (collection, namespace) = match (group, bound.kind.as_str()) {
        ("", "Pod") => ("pods", Some(namespace)),
        ("", "Secret") => ("secrets", Some(namespace)),
        ("", "Node") => ("nodes", None),
        (_, kind) => {
            let text = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
            return Err(ApiError::bad_request(text));
        }
    };
    if bound.name.is_empty() {
        return Err(ApiError::bad_request("Name parameter required."));
    }
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
