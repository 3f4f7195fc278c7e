//! `serviceaccounts/token`: what keeps a node from minting tokens of pods that it does not run, or for audiences that
//! none of the pod's volumes asks for.

use std::borrow::Cow;

use serde_json::{Value, json};
use tokenward_store::Entry;

use crate::authentication::User;
use crate::authorization::{Attributes, Decision, ResourceAttributes, decide};
use crate::cluster_view::ClusterView;
use crate::index::{Index, VolumeUse};
use crate::status::{ApiError, Subject, go_quote};

/// What a node asks a token for, before the server fills in defaults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenDemand<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) service_account: &'a str,
    pub(crate) audiences: &'a [String],
    pub(crate) bound: Option<BoundTo<'a>>,
}

/// The bound object reference of a token request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BoundTo<'a> {
    pub(crate) api_version: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: &'a str,
}

/// Whether a node may have this token.
///
/// # Errors
/// 403 with the reason, 404 for a pod that does not exist. A refused audience says in its details which volumes,
/// claims and drivers were looked at.
pub(crate) fn admit(
    user: &User,
    node: &str,
    demand: TokenDemand<'_>,
    cluster: &ClusterView,
) -> Result<(), ApiError> {
    let subject = Subject { group: "", kind: "serviceaccounts", name: demand.service_account };
    let refuse = |why: &str| Err(ApiError::forbidden(subject, why));
    if node.is_empty() {
        return refuse(&format!("could not determine node from user {}", go_quote(&user.username)));
    }
    let Some(bound) = demand
        .bound
        .filter(|bound| bound.api_version == "v1" && bound.kind == "Pod" && !bound.name.is_empty())
    else {
        return refuse("node requested token not bound to a pod");
    };
    if bound.uid.is_empty() {
        return refuse("node requested token with a pod binding without a uid");
    }
    let Some(entry) = cluster.entry("pods", Some(demand.namespace), bound.name) else {
        // From the lister, hence the singular.
        return Err(ApiError::not_found(Subject { group: "", kind: "pod", name: bound.name }));
    };
    if entry.index.uid != bound.uid {
        let uid = bound.uid;
        return refuse(&format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        ));
    }
    let on_node = entry.index.pod().is_some_and(|pod| pod.node == node);
    if !on_node {
        return refuse("node requested token bound to a pod scheduled on a different node");
    }
    let audience = match demand.audiences {
        [] => "",
        [one] => one,
        _ => return refuse("node may only request 0 or 1 audiences"),
    };
    let search = Search { audience, namespace: demand.namespace, cluster };
    let looked_at = match search.among_volumes(&entry) {
        Found::Wanted => return Ok(()),
        Found::Nothing(looked_at) => looked_at,
    };
    let quoted = go_quote(audience);
    let failures: Vec<&str> = looked_at.iter().filter_map(|volume| volume.failure.as_deref()).collect();
    let why = match failures.as_slice() {
        // The authorizer is asked only where the cluster could be seen whole.
        [] if is_trusted_with(user, audience, demand, cluster) => return Ok(()),
        [] => format!(
            "audience {quoted} not found in pod spec volume, system:node:{node} is not authorized to request tokens for this audience"
        ),
        [one] => format!("error validating audience {quoted}: {one}"),
        many => format!("error validating audience {quoted}: [{}]", many.join(", ")),
    };
    let causes = looked_at.iter().map(LookedAt::to_cause).collect();
    Err(ApiError::forbidden(subject, &why).because_of(causes))
}

/// The verb that lets a node have tokens for an audience whatever its pods' volumes say: the audience is the resource.
fn is_trusted_with(user: &User, audience: &str, demand: TokenDemand<'_>, cluster: &ClusterView) -> bool {
    let asked = ResourceAttributes {
        verb: "request-serviceaccounts-token-audience",
        group: "",
        resource: audience,
        subresource: "",
        namespace: demand.namespace,
        name: demand.service_account,
    };
    matches!(decide(user, &Attributes::Resource(asked).into(), cluster), Decision::Allowed(_))
}

/// A search of a pod's volumes for one that asks for an audience.
struct Search<'a> {
    audience: &'a str,
    namespace: &'a str,
    cluster: &'a ClusterView,
}

enum Found {
    /// A volume asks for it.
    Wanted,
    /// None does; these were looked at.
    Nothing(Vec<LookedAt>),
}

/// A volume that does not ask for the audience, and what it led to.
struct LookedAt {
    /// The volume's own name in the pod.
    volume: String,
    /// What it is, in words.
    what: String,
    /// What could not be looked up, as the lister words it.
    failure: Option<String>,
}

impl LookedAt {
    fn to_cause(&self) -> Value {
        json!({
            "reason": "AudienceNotFound",
            "field": format!("spec.volumes[{}]", self.volume),
            "message": format!("volume {} {}", go_quote(&self.volume), self.what),
        })
    }
}

impl Search<'_> {
    /// Walks the pod's volumes until one asks for the audience. Failed lookups are told only when none did.
    fn among_volumes(&self, pod: &Entry<Index>) -> Found {
        let mut looked_at = Vec::new();
        let Some(pod) = pod.index.pod() else { return Found::Nothing(looked_at) };
        for (name, volume) in pod.volume_names.iter().zip(&pod.volumes) {
            let (what, driver) = match volume {
                VolumeUse::Token(wanted) if wanted == self.audience => return Found::Wanted,
                VolumeUse::Token(wanted) => {
                    let what = format!("projects a token for the audience {}", go_quote(wanted));
                    looked_at.push(LookedAt { volume: name.clone(), what, failure: None });
                    continue;
                }
                VolumeUse::Csi { driver, .. } => (Cow::Borrowed("is inline"), Cow::Borrowed(driver.as_str())),
                VolumeUse::Claim(claim) => match self.driver_of_claim(claim) {
                    Ok((what, driver)) => (what.into(), driver.into()),
                    Err((what, failure)) => {
                        looked_at.push(LookedAt { volume: name.clone(), what, failure: Some(failure) });
                        continue;
                    }
                },
                _ => continue,
            };
            if driver.is_empty() {
                let what = format!("{what}: it is of no CSI driver");
                looked_at.push(LookedAt { volume: name.clone(), what, failure: None });
                continue;
            }
            // What it asks for in words; none if that is the audience.
            let asks = self.cluster.with_audiences_of(&driver, |audiences| {
                if audiences.iter().any(|wanted| wanted == self.audience) {
                    return None;
                }
                let quoted: Vec<String> = audiences.iter().map(|audience| go_quote(audience)).collect();
                Some(match quoted.as_slice() {
                    [] => "asks for no tokens".to_owned(),
                    several => format!("asks for {}", several.join(", ")),
                })
            });
            if asks == Some(None) {
                return Found::Wanted;
            }
            let quoted = go_quote(&driver);
            let (asks, failure) = match asks.flatten() {
                Some(asks) => (asks, None),
                None => {
                    let failure = format!("csidriver.storage.k8s.io {quoted} not found");
                    ("does not exist".to_owned(), Some(failure))
                }
            };
            let what = format!("{what}: its CSI driver {quoted} {asks}");
            looked_at.push(LookedAt { volume: name.clone(), what, failure });
        }
        Found::Nothing(looked_at)
    }

    /// What a claim is in words, and its volume's driver, empty for a volume of another kind; or what is missing.
    fn driver_of_claim(&self, claim: &str) -> Result<(String, String), (String, String)> {
        let quoted = go_quote(claim);
        let Some(volume) = self.cluster.claimed_volume(self.namespace, claim) else {
            let what = format!("uses the claim {quoted}, which does not exist");
            return Err((what, format!("persistentvolumeclaim {quoted} not found")));
        };
        let Some(driver) = self.cluster.volume_driver(&volume) else {
            let what = if volume.is_empty() {
                format!("uses the claim {quoted}, which is not bound")
            } else {
                format!("uses the claim {quoted}, whose volume {} does not exist", go_quote(&volume))
            };
            return Err((what, format!("persistentvolume {} not found", go_quote(&volume))));
        };
        Ok((format!("uses the claim {quoted} of the volume {}", go_quote(&volume)), driver))
    }
}

#[cfg(test)]
mod tests;
