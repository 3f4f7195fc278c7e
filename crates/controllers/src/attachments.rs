//! Keeps a VolumeAttachment for each CSI volume that pods on a node use and whose driver attaches (upstream's
//! `pkg/controller/volume/attachdetach`), and says in the Node what is attached.
//!
//! Attaching itself is the work of the driver's attacher beside it. A volume is detached when no pod on the node wants it and
//! the node does not say that it is in use: first it leaves the Node's list, by which a kubelet decides whether it may mount,
//! then its VolumeAttachment is deleted.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api::{Document, Request, Resource, Target, WatchEvent};
use crate::mirror::Mirror;
use crate::objects::{Claim, Metadata, Volume, has_metadata};
use crate::runner::{Controller, Plan};
use crate::volume_user::VolumeUser;

pub(crate) struct Attachments {
    pods: Mirror<VolumeUser>,
    claims: Mirror<Claim>,
    volumes: Mirror<Volume>,
    drivers: Mirror<Driver>,
    nodes: Mirror<Node>,
    attachments: Mirror<Attachment>,
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

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Node {
    metadata: Metadata,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeStatus {
    volumes_in_use: Vec<String>,
    volumes_attached: Vec<Attached>,
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
            self.nodes.observe(event)
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

    fn plan(&self, _now: Timestamp) -> Plan {
        let wanted = self.wanted();
        let mut requests = Vec::new();
        let mut places: BTreeMap<&str, Vec<&Attachment>> = BTreeMap::new();
        for attachment in self.attachments.iter() {
            places.entry(&attachment.spec.source.persistent_volume_name).or_default().push(attachment);
        }
        for (name, place) in &wanted {
            if self.attachments.get("", name).is_none() {
                let elsewhere = places.get(&*place.volume.metadata.name).map_or(&[][..], Vec::as_slice);
                // One that may be in one place only waits until it has left the other.
                if elsewhere.is_empty() || may_be_in_many_places(place.volume) {
                    requests.push(attach(name, place));
                }
            }
        }
        let mut attached: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for attachment in self.attachments.iter().filter(|attachment| !attachment.metadata.is_deleting()) {
            let node = self.nodes.get("", &attachment.spec.node_name);
            let volume = self.volumes.get("", &attachment.spec.source.persistent_volume_name);
            let shown = volume.and_then(shown_name);
            let is_shown = |node: &Node, shown: &String| {
                node.status.volumes_attached.iter().any(|one| one.name == *shown)
            };
            let stays = wanted.contains_key(&*attachment.metadata.name)
                || !is_ours(attachment)
                || node
                    .zip(shown.as_ref())
                    .is_some_and(|(node, shown)| node.status.volumes_in_use.contains(shown));
            if stays {
                if let (true, Some(shown)) = (attachment.status.attached, shown) {
                    attached.entry(&attachment.spec.node_name).or_default().insert(shown);
                }
            } else if node.zip(shown.as_ref()).is_none_or(|(node, shown)| !is_shown(node, shown)) {
                let target = Target::of(Resource::VOLUME_ATTACHMENTS, &attachment.metadata);
                requests.push(Request::delete(target, &attachment.metadata.uid));
            }
        }
        requests.extend(self.nodes.iter().filter_map(|node| {
            let attached = attached.remove(&*node.metadata.name).unwrap_or_default();
            report(node, &attached)
        }));
        requests.into()
    }

    fn accepted(&mut self, request: &Request, answer: &Document) {
        if request.target.resource == Resource::NODES {
            request.expect(&mut self.nodes, answer);
        } else {
            request.expect(&mut self.attachments, answer);
        }
    }
}

/// A volume on a node where pods use it.
struct Place<'a> {
    volume: &'a Volume,
    driver: &'a str,
    node: &'a str,
}

impl Attachments {
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
                if is_its && attaches && self.nodes.get("", &pod.node).is_some() {
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
    let said: BTreeSet<&String> =
        node.status.volumes_attached.iter().map(|attached| &attached.name).collect();
    if said.len() == node.status.volumes_attached.len() && said.into_iter().eq(attached) {
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
mod tests {
    use super::*;
    use crate::world::{World, merge};

    fn at() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn pod(name: &str, node: &str) -> Value {
        json!({
            "metadata": {"name": name, "namespace": "ns"},
            "spec": {"nodeName": node, "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]},
        })
    }

    fn scene(modes: &[&str], driver: Option<Value>, pods: &[Value]) -> (World, Attachments) {
        let mut world = World::default();
        for node in ["n", "m"] {
            world.put(Resource::NODES, json!({"metadata": {"name": node}}));
        }
        world.put(
            Resource::PERSISTENT_VOLUME_CLAIMS,
            json!({
                "metadata": {
                    "name": "data", "namespace": "ns", "uid": "uid-data",
                    "annotations": {"pv.kubernetes.io/bind-completed": "yes"},
                },
                "spec": {"volumeName": "pv"},
            }),
        );
        world.put(
            Resource::PERSISTENT_VOLUMES,
            json!({
                "metadata": {"name": "pv"},
                "spec": {
                    "accessModes": modes, "claimRef": {"namespace": "ns", "name": "data", "uid": "uid-data"},
                    "csi": {"driver": "d.example", "volumeHandle": "h"},
                },
            }),
        );
        if let Some(spec) = driver {
            world.put(Resource::CSI_DRIVERS, json!({"metadata": {"name": "d.example"}, "spec": spec}));
        }
        for pod in pods {
            world.put(Resource::PODS, pod.clone());
        }
        let mut controller = Attachments::new();
        world.tell_all(&mut controller, at());
        (world, controller)
    }

    fn settled(modes: &[&str], driver: Option<Value>, pods: &[Value]) -> World {
        let (mut world, mut controller) = scene(modes, driver, pods);
        world.settle(&mut controller, at, |_| {});
        world
    }

    /// The driver's attacher does its part.
    fn attach_all(world: &mut World) {
        for mut attachment in world.all(Resource::VOLUME_ATTACHMENTS) {
            merge(&mut attachment, json!({"status": {"attached": true}}));
            world.put(Resource::VOLUME_ATTACHMENTS, attachment);
        }
    }

    fn nodes_of(world: &World) -> Vec<String> {
        let all = world.all(Resource::VOLUME_ATTACHMENTS).into_iter();
        let mut nodes: Vec<String> =
            all.map(|attachment| attachment["spec"]["nodeName"].as_str().unwrap().to_owned()).collect();
        nodes.sort();
        nodes
    }

    fn shown(world: &World) -> Value {
        world.get(Resource::NODES, "", "n").unwrap()["status"]["volumesAttached"].clone()
    }

    #[test]
    fn what_is_attached_where() {
        let mut finished = pod("p", "n");
        finished["status"] = json!({"phase": "Succeeded"});
        let many = &["ReadWriteMany"][..];
        let one = &["ReadWriteOnce"][..];
        let both = [pod("p", "n"), pod("q", "m")];
        for (why, modes, driver, pods, wanted) in [
            ("a pod", one, Some(json!({})), &[pod("p", "n")][..], &["n"][..]),
            ("two on a node", one, Some(json!({})), &[pod("p", "n"), pod("q", "n")], &["n"]),
            ("no driver", one, None, &[pod("p", "n")], &["n"]),
            ("nothing to attach", one, Some(json!({"attachRequired": false})), &[pod("p", "n")], &[]),
            ("not scheduled", one, Some(json!({})), &[pod("p", "")], &[]),
            ("no such node", one, Some(json!({})), &[pod("p", "gone")], &[]),
            ("done", one, Some(json!({})), &[finished], &[]),
            ("many places", many, Some(json!({})), &both, &["m", "n"]),
        ] {
            assert_eq!(nodes_of(&settled(modes, driver, pods)), wanted, "{why}");
        }
        let world = settled(one, None, &[pod("p", "n")]);
        let attachment = world.all(Resource::VOLUME_ATTACHMENTS).remove(0);
        // As the node names it: SHA-256 of handle, driver and node.
        assert_eq!(attachment["metadata"]["name"], name("h", "d.example", "n"));
        assert_eq!(
            attachment["spec"],
            json!({"attacher": "d.example", "nodeName": "n", "source": {"persistentVolumeName": "pv"}})
        );
    }

    #[test]
    fn the_name_is_upstreams() {
        // `echo -n handle-1test-driverfakeNode | sha256sum`
        assert_eq!(
            name("handle-1", "test-driver", "fakeNode"),
            "csi-8743f954982b7138c084abb068c8cae56610b986179f681faf04c824e235c41b"
        );
    }

    #[test]
    fn a_volume_for_one_place_moves_when_it_has_left_the_other() {
        let (mut world, mut controller) = scene(&["ReadWriteOnce"], None, &[pod("p", "n")]);
        world.settle(&mut controller, at, |_| {});
        attach_all(&mut world);
        world.settle(&mut controller, at, |_| {});
        let in_use = json!([{"name": "kubernetes.io/csi/d.example^h", "devicePath": ""}]);
        assert_eq!(shown(&world), in_use);

        let node = world.get(Resource::NODES, "", "n").unwrap().clone();
        let mut busy = node.clone();
        merge(&mut busy, json!({"status": {"volumesInUse": ["kubernetes.io/csi/d.example^h"]}}));
        world.put(Resource::NODES, busy);
        world.put(Resource::PODS, pod("q", "m"));
        world.remove(Resource::PODS, &pod("p", "n"));
        world.settle(&mut controller, at, |_| {});
        assert_eq!((nodes_of(&world), shown(&world)), (vec!["n".to_owned()], in_use), "still mounted");

        world.put(Resource::NODES, node);
        world.tell(&mut controller, at());
        let plan = controller.plan(at()).requests;
        assert_eq!(
            (plan.len(), &*plan[0].target.to_string()),
            (1, "nodes/n/status"),
            "first it leaves the list"
        );
        world.settle(&mut controller, at, |_| {});
        assert_eq!((nodes_of(&world), shown(&world)), (vec!["m".to_owned()], json!([])));
    }

    #[test]
    fn attachments_that_others_made_are_theirs() {
        let (mut world, mut controller) = scene(&["ReadWriteOnce"], None, &[]);
        world.put(
            Resource::VOLUME_ATTACHMENTS,
            json!({
                "metadata": {"name": "mine"},
                "spec": {"attacher": "d.example", "nodeName": "n", "source": {"persistentVolumeName": "pv"}},
            }),
        );
        world.settle(&mut controller, at, |_| {});
        assert_eq!(nodes_of(&world), ["n"]);
    }
}
