//! Keeps a VolumeAttachment for each CSI volume that pods on a node use and whose driver attaches (upstream's
//! `pkg/controller/volume/attachdetach`), and says in the Node what is attached.
//!
//! Attaching itself is the work of the driver's attacher beside it. A volume is detached when no pod on the node wants it and
//! the node does not say that it is in use: first it leaves the Node's list, by which a kubelet decides whether it may mount,
//! then its VolumeAttachment is deleted. A node that is gone says nothing any more: what it said last counts, and what it never
//! said counts as in use. From a node that is not well a volume is detached by force after a while; from one that somebody
//! has taken out of service, at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api::{Document, Request, Resource, Target, WatchEvent};
use crate::conditions;
use crate::mirror::Mirror;
use crate::objects::{Claim, Metadata, NodeSpec, Volume, has_metadata};
use crate::runner::{Controller, Plan};
use crate::volume_user::VolumeUser;

/// How long a node that is not well has to unmount a volume.
const PATIENCE: Duration = Duration::from_secs(6 * 60);

pub(crate) struct Attachments {
    pods: Mirror<VolumeUser>,
    claims: Mirror<Claim>,
    volumes: Mirror<Volume>,
    drivers: Mirror<Driver>,
    nodes: Mirror<Node>,
    attachments: Mirror<Attachment>,
    /// The attachments that nobody wants any more, by name: since when.
    unwanted: BTreeMap<String, Timestamp>,
    /// What the nodes that are gone said last to be in use.
    last_words: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Driver {
    metadata: Metadata,
    #[serde(default)]
    spec: DriverSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DriverSpec {
    attach_required: Option<bool>,
}

/// A node without what it tells of itself all the time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "WholeNode")]
struct Node {
    metadata: Metadata,
    is_ready: bool,
    is_out_of_service: bool,
    in_use: Vec<String>,
    attached: Vec<Attached>,
}

#[derive(Deserialize)]
struct WholeNode {
    metadata: Metadata,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeStatus {
    conditions: Vec<Value>,
    volumes_in_use: Vec<String>,
    volumes_attached: Vec<Attached>,
}

impl From<WholeNode> for Node {
    fn from(WholeNode { metadata, spec, status }: WholeNode) -> Self {
        Self {
            metadata,
            is_ready: conditions::status(&status.conditions, "Ready") == "True",
            is_out_of_service: spec.is_out_of_service(),
            in_use: status.volumes_in_use,
            attached: status.volumes_attached,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Attached {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Attachment {
    metadata: Metadata,
    spec: AttachmentSpec,
    #[serde(default)]
    status: AttachmentStatus,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AttachmentSpec {
    attacher: String,
    node_name: String,
    #[serde(default)]
    source: Source,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Source {
    persistent_volume_name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct AttachmentStatus {
    attached: bool,
}

has_metadata!(Attachment, Driver, Node);

impl Attachments {
    pub(crate) fn new() -> Self {
        Self {
            pods: Mirror::new(Resource::PODS),
            claims: Mirror::new(Resource::PERSISTENT_VOLUME_CLAIMS),
            volumes: Mirror::new(Resource::PERSISTENT_VOLUMES),
            drivers: Mirror::new(Resource::CSI_DRIVERS),
            nodes: Mirror::new(Resource::NODES),
            attachments: Mirror::new(Resource::VOLUME_ATTACHMENTS),
            unwanted: BTreeMap::new(),
            last_words: BTreeMap::new(),
        }
    }
}

impl Controller for Attachments {
    const NAME: &'static str = "attachments";
    const WATCHES: &'static [Resource] = &[
        Resource::PODS,
        Resource::PERSISTENT_VOLUME_CLAIMS,
        Resource::PERSISTENT_VOLUMES,
        Resource::CSI_DRIVERS,
        Resource::NODES,
        Resource::VOLUME_ATTACHMENTS,
    ];

    fn observe(&mut self, resource: Resource, event: WatchEvent) -> bool {
        if resource == Resource::PODS {
            let mut uses_any = !self.pods.is_listed();
            self.pods.observe_each(event, |old, new| {
                uses_any |= [old, new].into_iter().flatten().any(|pod| !pod.claims.is_empty());
            });
            uses_any
        } else if resource == Resource::PERSISTENT_VOLUME_CLAIMS {
            self.claims.observe(event)
        } else if resource == Resource::PERSISTENT_VOLUMES {
            self.volumes.observe(event)
        } else if resource == Resource::CSI_DRIVERS {
            self.drivers.observe(event)
        } else if resource == Resource::NODES {
            let last_words = &mut self.last_words;
            self.nodes.observe_each(event, |old, new| {
                if let Some(there) = new {
                    last_words.remove(&there.metadata.name);
                } else if let Some(gone) = old {
                    last_words.insert(gone.metadata.name.clone(), gone.in_use.clone());
                }
            })
        } else {
            self.attachments.observe(event)
        }
    }

    fn is_ready(&self) -> bool {
        self.pods.is_listed()
            && self.claims.is_listed()
            && self.volumes.is_listed()
            && self.drivers.is_listed()
            && self.nodes.is_listed()
            && self.attachments.is_listed()
    }

    fn take_note(&mut self, now: Timestamp) {
        let wanted = self.wanted();
        let candidates = self.attachments.iter().filter(|attachment| {
            let metadata = &attachment.metadata;
            is_ours(attachment) && !metadata.is_deleting() && !wanted.contains_key(&*metadata.name)
        });
        let since = |name: &String| self.unwanted.get(name).copied().unwrap_or(now);
        let names = candidates.map(|attachment| &attachment.metadata.name);
        let unwanted = names.map(|name| (name.clone(), since(name))).collect();
        self.unwanted = unwanted;
        // Of the nodes that are gone only those matter where something is attached.
        let nodes: BTreeSet<&str> =
            self.attachments.iter().map(|attachment| &*attachment.spec.node_name).collect();
        self.last_words.retain(|name, _| nodes.contains(&**name));
    }

    fn plan(&self, now: Timestamp) -> Plan {
        let wanted = self.wanted();
        let mut plan = Plan::default();
        // The volumes that are somewhere, or on their way.
        let mut taken: BTreeSet<&str> =
            self.attachments.iter().map(|of| &*of.spec.source.persistent_volume_name).collect();
        for (name, place) in &wanted {
            if self.attachments.get("", name).is_none() && self.nodes.get("", place.node).is_some() {
                let volume = &*place.volume.metadata.name;
                // One that may be in one place only waits until it has left the other, or never gets there.
                if taken.insert(volume) || may_be_in_many_places(place.volume) {
                    plan.requests.push(attach(name, place));
                }
            }
        }
        let mut attached: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for attachment in self.attachments.iter().filter(|attachment| !attachment.metadata.is_deleting()) {
            let node = self.nodes.get("", &attachment.spec.node_name);
            let volume = self.volumes.get("", &attachment.spec.source.persistent_volume_name);
            let shown = volume.and_then(shown_name);
            let is_shown =
                |node: &Node, shown: &String| node.attached.iter().any(|attached| attached.name == *shown);
            let stays = if wanted.contains_key(&*attachment.metadata.name) || !is_ours(attachment) {
                true
            } else {
                let patience = shown.as_ref().and_then(|shown| self.patience(attachment, node, shown));
                match patience {
                    Some(Patience::Until(end)) if end > now => {
                        plan.again_at(end);
                        true
                    }
                    Some(Patience::Endless) => true,
                    // By force.
                    Some(Patience::Until(_)) => false,
                    None => false,
                }
            };
            if stays {
                if let (true, Some(shown)) = (attachment.status.attached, shown) {
                    attached.entry(&attachment.spec.node_name).or_default().insert(shown);
                }
            } else if node.zip(shown.as_ref()).is_none_or(|(node, shown)| !is_shown(node, shown)) {
                let target = Target::of(Resource::VOLUME_ATTACHMENTS, &attachment.metadata);
                plan.requests.push(Request::delete(target, &attachment.metadata.uid));
            }
        }
        plan.requests.extend(self.nodes.iter().filter_map(|node| {
            let attached = attached.remove(&*node.metadata.name).unwrap_or_default();
            report(node, &attached)
        }));
        plan
    }

    fn accepted(&mut self, request: &Request, answer: &Document) {
        if request.target.resource == Resource::NODES {
            request.expect(&mut self.nodes, answer);
        } else {
            request.expect(&mut self.attachments, answer);
        }
    }
}

/// How long a node may keep a volume that it has mounted and that nobody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// It is well and will unmount it.
    Endless,
    /// It is not well.
    Until(Timestamp),
}

/// A volume on a node where pods use it.
struct Place<'a> {
    volume: &'a Volume,
    driver: &'a str,
    node: &'a str,
}

impl Attachments {
    /// How long an attachment that nobody wants stays; none when nothing holds it.
    fn patience(&self, attachment: &Attachment, node: Option<&Node>, shown: &String) -> Option<Patience> {
        let in_use = match node {
            Some(node) => node.in_use.contains(shown),
            None => self.last_words.get(&attachment.spec.node_name).is_none_or(|said| said.contains(shown)),
        };
        if !in_use || node.is_some_and(|node| node.is_out_of_service) {
            return None;
        }
        if node.is_some_and(|node| node.is_ready) {
            return Some(Patience::Endless);
        }
        let since = self.unwanted.get(&attachment.metadata.name).copied().unwrap_or(Timestamp::MAX);
        Some(Patience::Until(since.checked_add(PATIENCE).unwrap_or(Timestamp::MAX)))
    }

    /// What is to be attached where, by the name of the VolumeAttachment.
    fn wanted(&self) -> BTreeMap<String, Place<'_>> {
        let mut wanted = BTreeMap::new();
        // A pod that has run its course has its volumes unmounted.
        for pod in self.pods.iter().filter(|pod| !pod.node.is_empty() && !pod.is_finished) {
            for claim in &pod.claims {
                let Some(claim) =
                    self.claims.get(&pod.metadata.namespace, claim).filter(|claim| claim.is_bound())
                else {
                    continue;
                };
                let volume = self.volumes.get("", &claim.spec.volume_name);
                let Some((volume, csi)) = volume.and_then(|volume| Some((volume, volume.spec.csi.as_ref()?)))
                else {
                    continue;
                };
                let is_its = volume.spec.claim_ref.as_ref().is_some_and(|of| of.uid == claim.metadata.uid);
                let driver = self.drivers.get("", &csi.driver);
                // Without a CSIDriver nobody says that nothing has to be attached.
                let attaches = driver.and_then(|driver| driver.spec.attach_required) != Some(false);
                if is_its && attaches {
                    let name = name(&csi.volume_handle, &csi.driver, &pod.node);
                    wanted.insert(name, Place { volume, driver: &csi.driver, node: &pod.node });
                }
            }
        }
        wanted
    }
}

/// The name by which a node looks for the attachment.
fn name(handle: &str, driver: &str, node: &str) -> String {
    let mut hasher = Sha256::new();
    for part in [handle, driver, node] {
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    digest.iter().fold("csi-".to_owned(), |mut name, byte| {
        let hex = |digit: u8| char::from(b"0123456789abcdef"[usize::from(digit)]);
        name.extend([hex(byte >> 4), hex(byte & 15)]);
        name
    })
}

/// Whether the attachment is named as those that are made here.
fn is_ours(attachment: &Attachment) -> bool {
    let hash = attachment.metadata.name.strip_prefix("csi-");
    hash.is_some_and(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// How the Node calls the volume.
fn shown_name(volume: &Volume) -> Option<String> {
    let csi = volume.spec.csi.as_ref()?;
    Some(["kubernetes.io/csi/", &csi.driver, "^", &csi.volume_handle].concat())
}

fn may_be_in_many_places(volume: &Volume) -> bool {
    volume.spec.access_modes.iter().any(|mode| matches!(&**mode, "ReadWriteMany" | "ReadOnlyMany"))
}

fn attach(name: &str, place: &Place<'_>) -> Request {
    let body = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "VolumeAttachment",
        "metadata": {"name": name},
        "spec": {
            "attacher": place.driver,
            "nodeName": place.node,
            "source": {"persistentVolumeName": place.volume.metadata.name},
        },
    });
    Request::create(Target::cluster(Resource::VOLUME_ATTACHMENTS, name), body)
}

/// The Node's list of what is attached, unless it says that already.
fn report(node: &Node, attached: &BTreeSet<String>) -> Option<Request> {
    let said: BTreeSet<&String> = node.attached.iter().map(|attached| &attached.name).collect();
    if said.len() == node.attached.len() && said.into_iter().eq(attached) {
        return None;
    }
    let list: Vec<Value> = attached.iter().map(|name| json!({"name": name, "devicePath": ""})).collect();
    let body = json!({
        "metadata": {"resourceVersion": node.metadata.resource_version},
        "status": {"volumesAttached": list},
    });
    Some(Request::merge_patch(Target::of(Resource::NODES, &node.metadata).subresource("status"), body))
}

#[cfg(test)]
mod tests;
