//! What registration writes into the cluster: the Node's annotation and topology labels, and the CSINode's entry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokenward_csi::v1::NodeGetInfoResponse;
use tokio::sync::Mutex;
use tracing::warn;

use crate::cluster::{Cluster, ClusterError};
use crate::node_objects::csi_node_body;
use crate::objects::{CsiNode, NodeObject};

const NODE_ID_ANNOTATION: &str = "csi.volume.kubernetes.io/nodeid";

/// Tries of one update, and the waits between them.
const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(10);
const WAIT_FACTOR: u32 = 5;

/// What a driver says about the node, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Name of the driver.
    pub driver: String,
    /// The driver's name of the node; not empty.
    pub node_id: String,
    /// Topology segments.
    pub topology: BTreeMap<String, String>,
    /// How many volumes fit, if limited.
    pub volume_limit: Option<i32>,
}

impl NodeInfo {
    /// Checks a driver's answer to NodeGetInfo.
    ///
    /// # Errors
    /// The node id is empty.
    pub fn new(driver: &str, response: NodeGetInfoResponse) -> Result<Self, String> {
        if response.node_id.is_empty() {
            return Err("error adding CSI driver node info: driverNodeID must not be empty".to_owned());
        }
        let limit = response.max_volumes_per_node;
        if limit < 0 {
            warn!(%driver, limit, "a negative volume limit is ignored");
        }
        Ok(Self {
            driver: driver.to_owned(),
            node_id: response.node_id,
            topology: response.accessible_topology.map(|topology| topology.segments).unwrap_or_default(),
            volume_limit: (limit > 0).then(|| i32::try_from(limit).unwrap_or(i32::MAX)),
        })
    }

    /// The driver's entry in the CSINode.
    pub fn csi_node_driver(&self) -> Value {
        let mut entry = json!({ "name": self.driver, "nodeID": self.node_id });
        // A BTreeMap's keys are sorted, as they must be.
        let keys: Vec<&String> = self.topology.keys().collect();
        if !keys.is_empty() {
            entry["topologyKeys"] = json!(keys);
        }
        if let Some(count) = self.volume_limit {
            entry["allocatable"] = json!({ "count": count });
        }
        entry
    }
}

/// The patch that adds a driver to the Node, or `None` when there is nothing to change.
///
/// # Errors
/// A topology label is there with another value.
pub fn node_patch(node: &NodeObject, info: &NodeInfo) -> Result<Option<Value>, String> {
    let mut labels = BTreeMap::new();
    for (key, value) in &info.topology {
        match node.metadata.labels.get(key) {
            Some(found) if found == value => {}
            Some(found) => {
                return Err(format!(
                    "detected topology value collision: driver reported {key:?}:{value:?} but existing label is {key:?}:{found:?}"
                ));
            }
            None => {
                labels.insert(key, value);
            }
        }
    }
    let mut ids = node_ids(node);
    let known = ids.insert(info.driver.clone(), info.node_id.clone()).as_ref() == Some(&info.node_id);
    if known && labels.is_empty() {
        return Ok(None);
    }
    let annotations = json!({ NODE_ID_ANNOTATION: json!(ids).to_string() });
    let version = &node.metadata.resource_version;
    Ok(Some(
        json!({ "metadata": { "resourceVersion": version, "annotations": annotations, "labels": labels } }),
    ))
}

/// The patch that takes a driver out of the Node's annotation; the labels stay.
pub fn node_removal_patch(node: &NodeObject, driver: &str) -> Option<Value> {
    let mut ids = node_ids(node);
    ids.remove(driver)?;
    let value = if ids.is_empty() { Value::Null } else { json!(json!(ids).to_string()) };
    let version = &node.metadata.resource_version;
    Some(json!({ "metadata": { "resourceVersion": version, "annotations": { NODE_ID_ANNOTATION: value } } }))
}

fn node_ids(node: &NodeObject) -> BTreeMap<String, String> {
    let text = node.metadata.annotations.get(NODE_ID_ANNOTATION).map_or("{}", String::as_str);
    serde_json::from_str(text).unwrap_or_default()
}

/// The patch that puts a driver's entry into the CSINode, or takes it out (`None`); `None` when nothing changes.
pub fn csi_node_patch(csi_node: &CsiNode, driver: &str, entry: Option<Value>) -> Option<Value> {
    let mut drivers: Vec<Value> = csi_node.spec.drivers.clone();
    drivers.retain(|found| found.get("name").and_then(Value::as_str) != Some(driver));
    drivers.extend(entry);
    let same = drivers.len() == csi_node.spec.drivers.len()
        && drivers
            .iter()
            .all(|driver| csi_node.spec.drivers.iter().any(|found| present(found) == present(driver)));
    let version = &csi_node.metadata.resource_version;
    (!same).then(|| json!({ "metadata": { "resourceVersion": version }, "spec": { "drivers": drivers } }))
}

/// The fields that are there: a server shows absent ones of some as null.
fn present(entry: &Value) -> Vec<(&String, &Value)> {
    entry.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()).collect()
}

/// The patch that brings a driver's entry in line with how many volumes fit now, and changes nothing else of it; `None` when
/// it is, or when there is no entry.
pub fn allocatable_patch(csi_node: &CsiNode, info: &NodeInfo) -> Option<Value> {
    let is_drivers = |entry: &&Value| entry.get("name").and_then(Value::as_str) == Some(&info.driver);
    let mut entry = csi_node.spec.drivers.iter().find(is_drivers)?.as_object()?.clone();
    match info.volume_limit {
        Some(count) => entry.insert("allocatable".to_owned(), json!({ "count": count })),
        None => entry.remove("allocatable"),
    };
    csi_node_patch(csi_node, &info.driver, Some(Value::Object(entry)))
}

/// Writes what registrations change, one at a time.
pub struct NodeInfoWriter<C> {
    cluster: Arc<C>,
    node_name: String,
    turn: Mutex<()>,
}

impl<C: Cluster> NodeInfoWriter<C> {
    /// A writer for one node.
    pub fn new(cluster: Arc<C>, node_name: String) -> Self {
        Self { cluster, node_name, turn: Mutex::new(()) }
    }

    /// Adds a driver to Node and CSINode.
    ///
    /// # Errors
    /// After four tries, or when topology labels collide.
    pub async fn add(&self, info: &NodeInfo) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        self.retried("Node", || async {
            let node = self.cluster.node(&self.node_name).await?;
            match node_patch(&node, info) {
                Ok(Some(patch)) => self.cluster.patch_node(&self.node_name, &patch).await.map(|_| Ok(())),
                Ok(None) => Ok(Ok(())),
                Err(collision) => Ok(Err(collision)),
            }
        })
        .await??;
        self.retried("CSINode", || async {
            let csi_node = match self.cluster.csi_node(&self.node_name).await {
                Err(error) if error.is_not_found() => {
                    let node = self.cluster.node(&self.node_name).await?;
                    let body = csi_node_body(&self.node_name, &node.metadata.uid);
                    self.cluster.create_csi_node(&body).await?
                }
                found => found?,
            };
            match csi_node_patch(&csi_node, &info.driver, Some(info.csi_node_driver())) {
                Some(patch) => self.cluster.patch_csi_node(&self.node_name, &patch).await.map(drop),
                None => Ok(()),
            }
        })
        .await
    }

    /// Brings the CSINode in line with how many volumes of a driver fit now.
    ///
    /// # Errors
    /// After four tries.
    pub async fn update_allocatable(&self, info: &NodeInfo) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        self.retried("CSINode", || async {
            let csi_node = self.cluster.csi_node(&self.node_name).await?;
            match allocatable_patch(&csi_node, info) {
                Some(patch) => self.cluster.patch_csi_node(&self.node_name, &patch).await.map(drop),
                None => Ok(()),
            }
        })
        .await
    }

    /// Takes a driver out of CSINode and Node. The CSINode itself stays.
    ///
    /// # Errors
    /// After four tries.
    pub async fn remove(&self, driver: &str) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        self.retried("CSINode", || async {
            let csi_node = match self.cluster.csi_node(&self.node_name).await {
                Err(error) if error.is_not_found() => return Ok(()),
                found => found?,
            };
            match csi_node_patch(&csi_node, driver, None) {
                Some(patch) => self.cluster.patch_csi_node(&self.node_name, &patch).await.map(drop),
                None => Ok(()),
            }
        })
        .await?;
        self.retried("Node", || async {
            let node = match self.cluster.node(&self.node_name).await {
                Err(error) if error.is_not_found() => return Ok(()),
                found => found?,
            };
            match node_removal_patch(&node, driver) {
                Some(patch) => self.cluster.patch_node(&self.node_name, &patch).await.map(drop),
                None => Ok(()),
            }
        })
        .await
    }

    async fn retried<T, F>(&self, kind: &str, mut attempt: impl FnMut() -> F) -> Result<T, String>
    where
        F: Future<Output = Result<T, ClusterError>>,
    {
        let mut wait = FIRST_WAIT;
        for tries in 1.. {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) if tries == TRIES => {
                    return Err(format!("error updating {kind} {:?}: {error}", self.node_name));
                }
                Err(_) => {
                    tokio::time::sleep(wait).await;
                    wait *= WAIT_FACTOR;
                }
            }
        }
        unreachable!("the loop ends with its last try")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenward_csi::v1::Topology;

    fn info(driver: &str, segments: &[(&str, &str)], limit: i64) -> NodeInfo {
        let segments = segments.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let response = NodeGetInfoResponse {
            node_id: "id-1".to_owned(),
            max_volumes_per_node: limit,
            accessible_topology: Some(Topology { segments }),
        };
        NodeInfo::new(driver, response).unwrap()
    }

    #[test]
    fn a_driver_without_node_id_is_refused() {
        let error = NodeInfo::new("d", NodeGetInfoResponse::default()).unwrap_err();
        assert_eq!(error, "error adding CSI driver node info: driverNodeID must not be empty");
    }

    #[test]
    fn the_entry_has_sorted_keys_and_a_sane_limit() {
        assert_eq!(
            info("d", &[("z", "1"), ("a", "2")], 5_000_000_000).csi_node_driver(),
            json!({ "name": "d", "nodeID": "id-1", "topologyKeys": ["a", "z"], "allocatable": { "count": 2_147_483_647 } })
        );
        for limit in [0, -4] {
            assert_eq!(info("d", &[], limit).csi_node_driver(), json!({ "name": "d", "nodeID": "id-1" }));
        }
    }

    #[test]
    fn the_annotation_is_a_map_that_goes_when_empty() {
        let mut node = NodeObject::default();
        node.metadata.resource_version = "7".to_owned();
        let patch = node_patch(&node, &info("d", &[("zone", "a")], 0)).unwrap().unwrap();
        assert_eq!(
            patch,
            json!({ "metadata": { "resourceVersion": "7", "labels": { "zone": "a" },
                "annotations": { NODE_ID_ANNOTATION: "{\"d\":\"id-1\"}" } } })
        );
        node.metadata.annotations.insert(NODE_ID_ANNOTATION.to_owned(), "{\"d\":\"id-1\"}".to_owned());
        node.metadata.labels.insert("zone".to_owned(), "a".to_owned());
        assert_eq!(node_patch(&node, &info("d", &[("zone", "a")], 0)), Ok(None));
        let collision = node_patch(&node, &info("d", &[("zone", "b")], 0)).unwrap_err();
        assert!(collision.contains("detected topology value collision"), "{collision}");
        let patch = node_removal_patch(&node, "d").unwrap();
        assert_eq!(patch["metadata"]["annotations"][NODE_ID_ANNOTATION], Value::Null);
        assert_eq!(node_removal_patch(&node, "other"), None);
    }

    #[test]
    fn entries_of_other_drivers_stay_as_they_are() {
        let foreign = json!({ "name": "other", "nodeID": "x", "unknown": [1] });
        let mut csi_node = CsiNode::default();
        csi_node.spec.drivers = vec![foreign.clone()];
        let entry = info("d", &[], 0).csi_node_driver();
        let patch = csi_node_patch(&csi_node, "d", Some(entry.clone())).unwrap();
        assert_eq!(patch["spec"]["drivers"], json!([foreign, entry]));
        let mut shown = entry.clone();
        shown["topologyKeys"] = Value::Null;
        csi_node.spec.drivers = vec![shown, foreign.clone()];
        assert_eq!(csi_node_patch(&csi_node, "d", Some(entry)), None);
        let patch = csi_node_patch(&csi_node, "d", None).unwrap();
        assert_eq!(patch["spec"]["drivers"], json!([foreign]));
        assert_eq!(csi_node_patch(&csi_node, "absent", None), None);
    }

    #[test]
    fn only_the_number_of_volumes_is_brought_up_to_date() {
        let entry = json!({ "name": "d", "nodeID": "other", "unknown": 1, "allocatable": { "count": 3 } });
        let mut csi_node = CsiNode::default();
        csi_node.spec.drivers = vec![entry];
        let patch = allocatable_patch(&csi_node, &info("d", &[], 5)).unwrap();
        let wanted = json!({ "name": "d", "nodeID": "other", "unknown": 1, "allocatable": { "count": 5 } });
        assert_eq!(patch["spec"]["drivers"], json!([wanted]));
        let patch = allocatable_patch(&csi_node, &info("d", &[], 0)).unwrap();
        assert_eq!(patch["spec"]["drivers"][0].get("allocatable"), None);
        assert_eq!(allocatable_patch(&csi_node, &info("d", &[], 3)), None);
        assert_eq!(allocatable_patch(&csi_node, &info("absent", &[], 3)), None);
    }
}
