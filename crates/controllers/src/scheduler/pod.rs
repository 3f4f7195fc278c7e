//! What the scheduler keeps of a pod: all of those that wait, of the others only what they take.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::objects::{Metadata, Object, Pod, PodSpec};
use crate::quantity::Quantity;

/// The pods of other schedulers are left alone.
pub(super) const NAME: &str = "default-scheduler";

/// Amounts by the names of the resources.
pub(super) type Requests = BTreeMap<String, Quantity>;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Pod")]
pub(super) struct SchedulerPod {
    pub(super) metadata: Metadata,
    pub(super) place: Place,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// It waits for this scheduler.
    Waiting(Box<Waiting>),
    /// It is on a node and takes this.
    On { node: String, requests: Requests, claims: Vec<String> },
    /// It has run its course, or is another's.
    Nowhere,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Waiting {
    pub(super) spec: PodSpec,
    pub(super) requests: Requests,
    pub(super) claims: Vec<String>,
    pub(super) conditions: Vec<Value>,
}

impl From<Pod> for SchedulerPod {
    fn from(mut pod: Pod) -> Self {
        let claims = pod.claims().map(Cow::into_owned).collect();
        let requests = requests(&pod.spec);
        let is_ours = matches!(&*pod.spec.scheduler_name, "" | NAME) && pod.spec.scheduling_gates.is_empty();
        let place = if pod.is_finished() {
            Place::Nowhere
        } else if !pod.spec.node_name.is_empty() {
            Place::On { node: std::mem::take(&mut pod.spec.node_name), requests, claims }
        } else if is_ours {
            let (spec, conditions) = (pod.spec, pod.status.conditions);
            Place::Waiting(Box::new(Waiting { spec, requests, claims, conditions }))
        } else {
            Place::Nowhere
        };
        pod.metadata.labels.clear();
        pod.metadata.annotations.clear();
        Self { metadata: pod.metadata, place }
    }
}

impl SchedulerPod {
    pub(super) fn assign(&mut self, node: &str) {
        if let Place::Waiting(waiting) = &mut self.place {
            let (requests, claims) =
                (std::mem::take(&mut waiting.requests), std::mem::take(&mut waiting.claims));
            self.place = Place::On { node: node.to_owned(), requests, claims };
        }
    }
}

impl Object for SchedulerPod {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}

/// What a pod takes: its containers together, or more while one of its init containers runs, with those that stay beside
/// (upstream's `resource.PodRequests`).
fn requests(spec: &PodSpec) -> Requests {
    let mut running = Requests::new();
    for container in &spec.containers {
        add(&mut running, &container.resources.requests);
    }
    let (mut beside, mut most) = (Requests::new(), Requests::new());
    for container in &spec.init_containers {
        let requests = &container.resources.requests;
        if container.restart_policy == "Always" {
            add(&mut running, requests);
            add(&mut beside, requests);
            raise(&mut most, &beside);
        } else {
            let mut meanwhile = beside.clone();
            add(&mut meanwhile, requests);
            raise(&mut most, &meanwhile);
        }
    }
    raise(&mut running, &most);
    add(&mut running, &spec.overhead);
    running
}

pub(super) fn add(total: &mut Requests, more: &Requests) {
    for (name, amount) in more {
        let sum = total.get(name).copied().unwrap_or_default().saturating_add(*amount);
        total.insert(name.clone(), sum);
    }
}

fn raise(total: &mut Requests, least: &Requests) {
    for (name, amount) in least {
        let raised = total.get(name).copied().unwrap_or_default().max(*amount);
        total.insert(name.clone(), raised);
    }
}
