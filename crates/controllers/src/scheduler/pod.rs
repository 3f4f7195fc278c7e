//! What the scheduler keeps of a pod: all of those that wait, of the others what they take and what they say of others.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::ports::HostPort;
use super::terms::Terms;
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
    pub(super) needs: Needs,
    pub(super) place: Place,
}

/// What a pod takes of a node and says of other pods, both where it is and on its way there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Needs {
    pub(super) requests: Requests,
    pub(super) claims: Vec<String>,
    pub(super) ports: Vec<HostPort>,
    pub(super) terms: Option<Box<Terms>>,
    pub(super) priority: i32,
    /// Since when it runs, RFC 3339 in UTC and whole seconds.
    pub(super) started: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// It waits for this scheduler.
    Waiting(Box<Waiting>),
    /// It is on this node.
    On(String),
    /// It has run its course, or is another's.
    Nowhere,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Waiting {
    pub(super) spec: PodSpec,
    pub(super) conditions: Vec<Value>,
    /// The node where others are being ended to make room for it; empty if there is none.
    pub(super) nominated: String,
}

/// A pod that waits, while a place is looked for.
#[derive(Clone, Copy)]
pub(super) struct Newcomer<'a> {
    pub(super) metadata: &'a Metadata,
    pub(super) needs: &'a Needs,
    pub(super) waiting: &'a Waiting,
}

impl From<Pod> for SchedulerPod {
    fn from(mut pod: Pod) -> Self {
        let is_ours = matches!(&*pod.spec.scheduler_name, "" | NAME) && pod.spec.scheduling_gates.is_empty();
        let is_somewhere = !pod.is_finished() && (is_ours || !pod.spec.node_name.is_empty());
        let needs = if is_somewhere { Needs::of(&pod) } else { Needs::default() };
        let place = if !is_somewhere {
            Place::Nowhere
        } else if pod.spec.node_name.is_empty() {
            Place::Waiting(Box::new(Waiting {
                spec: pod.spec,
                conditions: pod.status.conditions,
                nominated: pod.status.nominated_node_name,
            }))
        } else {
            Place::On(pod.spec.node_name)
        };
        if !is_somewhere {
            pod.metadata.labels.clear();
        }
        pod.metadata.annotations.clear();
        Self { metadata: pod.metadata, needs, place }
    }
}

impl SchedulerPod {
    /// Takes a pod that waits for bound to that node.
    pub(super) fn assign(&mut self, node: &str) {
        if let Place::Waiting(_) = &self.place {
            self.place = Place::On(node.to_owned());
        }
    }
}

impl Needs {
    fn of(pod: &Pod) -> Self {
        Self {
            requests: requests(&pod.spec),
            claims: pod.claims().map(Cow::into_owned).collect(),
            ports: HostPort::of(&pod.spec),
            terms: Terms::of(&pod.metadata, &pod.spec),
            priority: pod.spec.priority.unwrap_or(0),
            started: pod.status.start_time.clone(),
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

    /// A pod that has been bound stays where it is, though the answer to a binding tells no revision.
    fn keep_final(&mut self, known: &Self) {
        if known.metadata.is_deleting() {
            self.metadata.set_deleting();
        }
        if let Place::On(node) = &known.place {
            self.assign(node);
        }
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
