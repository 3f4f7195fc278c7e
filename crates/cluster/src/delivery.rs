//! What was delivered, what should have been, and why something is still missing.
//!
//! All of it is functions of values: objects as the API server gives them on one side, the nodes' records on the other.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokenward_tokens::{Audience, Placement};

/// One CSI volume of a pod, mounted: the record that `tokenward up` prints. It never holds a token.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Delivery {
    /// The node.
    pub node: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The volume's name in the pod.
    pub volume: String,
    /// The CSI driver.
    pub driver: String,
    /// Where the tokens travelled; none when the driver asks for no tokens.
    pub placement: Option<Placement>,
    /// Whom the tokens are for.
    pub audiences: Vec<Audience>,
    /// When the first of the tokens expires; none when there is no token.
    #[serde(serialize_with = "rfc3339")]
    pub expires: Option<Timestamp>,
    /// From the pod's arrival at the node to the driver's answer to NodePublishVolume.
    #[serde(rename = "latency_ms", serialize_with = "milliseconds")]
    pub latency: Duration,
}

impl Delivery {
    /// Which volume this is.
    #[must_use]
    pub fn volume(&self) -> PodVolume {
        PodVolume { namespace: self.namespace.clone(), pod: self.pod.clone(), volume: self.volume.clone() }
    }
}

/// A volume of a pod, printed as `NAMESPACE/POD volume NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodVolume {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The volume's name in the pod.
    pub volume: String,
}

impl fmt::Display for PodVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} volume {}", self.namespace, self.pod, self.volume)
    }
}

/// What the decisions here look at: objects as the API server gives them.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// The Pods.
    pub pods: Vec<Value>,
    /// The PersistentVolumeClaims.
    pub claims: Vec<Value>,
    /// The PersistentVolumes.
    pub volumes: Vec<Value>,
    /// The CSINodes: which drivers are registered where.
    pub csi_nodes: Vec<Value>,
    /// The Events.
    pub events: Vec<Value>,
}

/// A volume that is not mounted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The volume.
    pub volume: PodVolume,
    /// What it waits for, as a sentence without a full stop.
    pub reason: String,
}

/// The volumes of `pods` (namespace and name) that must be mounted and are not in `delivered`, each with what it waits for.
///
/// A claim counts as long as it is not known to be bound to a volume that is no CSI volume.
#[must_use]
pub fn missing<'a>(
    pods: impl IntoIterator<Item = (&'a str, &'a str)>,
    delivered: &[Delivery],
    objects: &Objects,
) -> Vec<Missing> {
    let mut found = Vec::new();
    for (namespace, name) in pods {
        let Some(pod) = objects.pods.iter().find(|pod| is(pod, namespace, name)) else { continue };
        for volume in array(pod, "/spec/volumes") {
            let key = PodVolume {
                namespace: namespace.to_owned(),
                pod: name.to_owned(),
                volume: text(volume, "/name").to_owned(),
            };
            if delivered.iter().any(|delivery| delivery.volume() == key) {
                continue;
            }
            let reason = match source(volume, namespace, name, objects) {
                Source::Other => continue,
                Source::Waiting(reason) => reason,
                Source::Csi(driver) => reason(pod, &key, driver, objects),
            };
            found.push(Missing { volume: key, reason });
        }
    }
    found
}

enum Source<'a> {
    /// The driver that has to mount it.
    Csi(&'a str),
    /// No CSI volume: a config map, an empty directory, a claim on another kind of volume.
    Other,
    /// A claim that does not lead to a volume yet, with the reason.
    Waiting(String),
}

fn source<'a>(volume: &'a Value, namespace: &str, pod: &str, objects: &'a Objects) -> Source<'a> {
    if let Some(driver) = volume.pointer("/csi/driver").and_then(Value::as_str) {
        return Source::Csi(driver);
    }
    let claim_name = if let Some(name) = volume.pointer("/persistentVolumeClaim/claimName") {
        name.as_str().unwrap_or_default().to_owned()
    } else if volume.get("ephemeral").is_some() {
        // The claim of a generic ephemeral volume is called after both.
        format!("{pod}-{}", text(volume, "/name"))
    } else {
        return Source::Other;
    };
    let Some(claim) = objects.claims.iter().find(|claim| is(claim, namespace, &claim_name)) else {
        return Source::Waiting(format!("the claim {namespace}/{claim_name} does not exist"));
    };
    let volume_name = text(claim, "/spec/volumeName");
    if volume_name.is_empty() || text(claim, "/status/phase") != "Bound" {
        return Source::Waiting(format!("the claim {namespace}/{claim_name} is not bound to a volume yet"));
    }
    let Some(bound) = objects.volumes.iter().find(|volume| text(volume, "/metadata/name") == volume_name)
    else {
        let reason =
            format!("the claim {namespace}/{claim_name} is bound to {volume_name}, which does not exist");
        return Source::Waiting(reason);
    };
    bound.pointer("/spec/csi/driver").and_then(Value::as_str).map_or(Source::Other, Source::Csi)
}

fn reason(pod: &Value, key: &PodVolume, driver: &str, objects: &Objects) -> String {
    let node = text(pod, "/spec/nodeName");
    if node.is_empty() {
        let why = array(pod, "/status/conditions")
            .iter()
            .find(|condition| {
                text(condition, "/type") == "PodScheduled" && text(condition, "/status") == "False"
            })
            .map_or("", |condition| text(condition, "/message"));
        return match why {
            "" => "the pod is not scheduled to a node yet".to_owned(),
            why => format!("the pod is not scheduled to a node yet: {why}"),
        };
    }
    if let Some(failure) = last_failure(pod, &key.volume, objects) {
        return failure.to_owned();
    }
    let registered =
        objects.csi_nodes.iter().find(|csi_node| text(csi_node, "/metadata/name") == node).is_some_and(
            |csi_node| array(csi_node, "/spec/drivers").iter().any(|entry| text(entry, "/name") == driver),
        );
    if registered {
        format!("the driver {driver} has not mounted it on the node {node} yet")
    } else {
        format!("the driver {driver} is not registered on the node {node}")
    }
}

/// The message of the latest FailedMount event of this pod that names the volume.
fn last_failure<'a>(pod: &Value, volume: &str, objects: &'a Objects) -> Option<&'a str> {
    let uid = text(pod, "/metadata/uid");
    let quoted = format!("\"{volume}\"");
    objects
        .events
        .iter()
        .filter(|event| text(event, "/involvedObject/uid") == uid && text(event, "/reason") == "FailedMount")
        .filter(|event| text(event, "/message").contains(&quoted))
        .max_by_key(|event| text(event, "/lastTimestamp"))
        .map(|event| text(event, "/message"))
}

fn is(object: &Value, namespace: &str, name: &str) -> bool {
    text(object, "/metadata/name") == name && text(object, "/metadata/namespace") == namespace
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn array<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn rfc3339<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    // Whole microseconds: more digits would be noise.
    let microseconds = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    serializer.serialize_f64(f64::from(microseconds) / 1000.0)
}

#[cfg(test)]
mod tests;
