//! What is told of volumes and pods: Events, pod statuses, the observer, the log. All of it ids, paths and scrubbed text.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use crate::cluster::{Cluster, ErrorReason, PodEvent, PodReference};
use crate::config::{Config, Delivery, MountFailure, Observation, PodReporting};
use crate::failure::Failure;
use crate::mounter::Published;
use crate::objects::Pod;
use crate::planner::{Action, ClaimLookup, Done, Due, VolumeView};
use crate::pods;
use crate::scrub::truncate;
use crate::unmounted::{self, Rejection};
use crate::volume::{VolumeKey, VolumeMode, VolumeSpec};

/// Longest message of an Event, in bytes.
const LONGEST_EVENT: usize = 1024;

/// Most Events on their way; more are dropped, they are said again.
const MOST_EVENTS: usize = 64;

/// Writes Events and pod statuses in the background, one status per pod at a time.
pub(super) struct Reporter<C> {
    cluster: Arc<C>,
    node_name: String,
    reporting: PodReporting,
    repeat_event: Duration,
    observer: Option<mpsc::UnboundedSender<Observation>>,
    /// What was last said of a volume in an Event, and until when it is not repeated.
    said: HashMap<VolumeKey, (String, Due)>,
    /// Pods whose status is being written; true once there is news to write after that.
    writing: HashMap<String, bool>,
    statuses: JoinSet<(String, StatusWritten)>,
    events: JoinSet<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StatusWritten {
    Done,
    /// It failed, and is still due.
    Again,
}

impl<C: Cluster> Reporter<C> {
    pub(super) fn new(cluster: Arc<C>, config: &Config) -> Self {
        Self {
            cluster,
            node_name: config.node_name.clone(),
            reporting: config.pods,
            repeat_event: config.intervals.repeat_event,
            observer: config.observer.clone(),
            said: HashMap::new(),
            writing: HashMap::new(),
            statuses: JoinSet::new(),
            events: JoinSet::new(),
        }
    }

    pub(super) fn observe(&self, observation: Observation) {
        if let Some(observer) = &self.observer {
            // Nobody listens any more: not the node's concern.
            let _ = observer.send(observation);
        }
    }

    /// Waits for a status that must be written again; gives the pod's uid. `None`: nothing is on its way.
    pub(super) async fn next(&mut self) -> Option<String> {
        while let Some(written) = self.statuses.join_next().await {
            let Ok((uid, written)) = written else { continue };
            let news = self.writing.remove(&uid) == Some(true);
            if news || written == StatusWritten::Again {
                return Some(uid);
            }
        }
        None
    }

    /// Writes the pod's status if it differs from what its volumes say.
    pub(super) fn report_pod(&mut self, pod: &Pod, volumes: &[VolumeView], now: Timestamp) {
        if let Some(patch) = pods::status_patch(pod, volumes, self.reporting, now) {
            self.write_status(pods::reference(pod), patch);
        }
    }

    fn write_status(&mut self, reference: PodReference, patch: Value) {
        if let Some(news) = self.writing.get_mut(&reference.uid) {
            *news = true;
            return;
        }
        self.writing.insert(reference.uid.clone(), false);
        let cluster = Arc::clone(&self.cluster);
        self.statuses.spawn(async move {
            let written = match cluster.patch_pod_status(&reference, &patch).await {
                Ok(()) => StatusWritten::Done,
                Err(error) if error.is_not_found() => StatusWritten::Done,
                // The watch brings the newer pod, and with it the next attempt.
                Err(error) if error.reason() == ErrorReason::Conflict => StatusWritten::Done,
                Err(error) => {
                    debug!(pod = %reference, %error, "the pod's status could not be written");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    StatusWritten::Again
                }
            };
            (reference.uid, written)
        });
    }

    pub(super) fn report_action(
        &mut self,
        action: &Action,
        result: &Result<Done, Failure>,
        published: Option<Published>,
        took: Duration,
        since_seen: Option<Duration>,
        now: Timestamp,
    ) {
        match (action, result) {
            (Action::Publish { spec, remount }, Ok(_)) => {
                let latency = since_seen.filter(|_| !remount).unwrap_or(took);
                self.delivered(spec, published.unwrap_or_default(), latency, *remount);
            }
            (Action::Publish { spec, .. }, Err(failure)) => {
                let step = match spec.mode() {
                    VolumeMode::Filesystem => "MountVolume.SetUp",
                    VolumeMode::Block => "MapVolume.MapPodDevice",
                };
                let text = format!("{step} failed for volume {:?} : {failure}", spec.spec_name);
                self.failed(&spec.pod, &spec.volume, spec.driver(), &text, failure, now);
            }
            // Told with how the pod's other volumes stand.
            (Action::Resolve(_), Err(_)) => {}
            (Action::Unpublish { key, published }, Ok(_)) => {
                info!(volume = %published.spec_name, uid = %key.pod_uid, driver = %published.driver, "volume unpublished");
                self.said.remove(key);
                self.observe(Observation::Unpublished {
                    pod_uid: key.pod_uid.clone(),
                    volume: key.volume.clone(),
                });
            }
            (_, Err(failure)) => {
                warn!(subject = ?action.subject(), error = %failure, "operation failed");
            }
            (_, Ok(_)) => debug!(subject = ?action.subject(), "operation succeeded"),
        }
        if let Action::ClosePod { pod, .. } = action {
            self.said.retain(|key, _| key.pod_uid != pod.uid);
        }
    }

    /// A claim cannot be followed, while the pod's volumes stand like this.
    pub(super) fn report_unresolved(
        &mut self,
        lookup: &ClaimLookup,
        volumes: &[VolumeView],
        failure: &Failure,
        now: Timestamp,
    ) {
        let text = unmounted::processing_failed(volumes, &failure.message);
        self.failed(&lookup.pod, &lookup.volume, "", &text, failure, now);
    }

    /// Ends a pod that this node cannot take, and says so in an Event.
    pub(super) fn reject_pod(&mut self, pod: &Pod, rejection: &Rejection, now: Timestamp) {
        let reference = pods::reference(pod);
        warn!(pod = %reference, uid = %reference.uid, reason = rejection.reason, "pod rejected");
        self.send_event(&reference, rejection.reason, &rejection.message, now);
        self.write_status(reference, pods::rejection_patch(pod, rejection));
    }

    pub(super) fn report_stage_failure(&mut self, spec: &VolumeSpec, failure: &Failure, now: Timestamp) {
        let step = match spec.mode() {
            VolumeMode::Filesystem => "MountVolume.MountDevice",
            VolumeMode::Block => "MapVolume.SetUpDevice",
        };
        let text = format!("{step} failed for volume {:?} : {failure}", spec.spec_name);
        self.failed(&spec.pod, &spec.volume, spec.driver(), &text, failure, now);
    }

    fn delivered(&mut self, spec: &VolumeSpec, published: Published, latency: Duration, republish: bool) {
        self.said.remove(&spec.key());
        let pod = &spec.pod;
        if republish {
            debug!(%pod, volume = %spec.spec_name, driver = %spec.driver(), "volume republished");
        } else {
            info!(%pod, volume = %spec.spec_name, driver = %spec.driver(), "volume published");
        }
        self.observe(Observation::Delivered(Delivery {
            node: self.node_name.clone(),
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            volume: spec.volume.clone(),
            driver: spec.driver().to_owned(),
            placement: published.placement,
            audiences: published.audiences,
            expires: published.expires,
            latency,
            republish,
        }));
    }

    fn failed(
        &mut self,
        pod: &PodReference,
        volume: &str,
        driver: &str,
        text: &str,
        failure: &Failure,
        now: Timestamp,
    ) {
        warn!(%pod, uid = %pod.uid, %volume, error = %text, "volume not mounted");
        self.observe(Observation::Failed(MountFailure {
            node: self.node_name.clone(),
            namespace: pod.namespace.clone(),
            pod: pod.name.clone(),
            volume: volume.to_owned(),
            driver: driver.to_owned(),
            message: failure.message.clone(),
        }));
        let key = VolumeKey { pod_uid: pod.uid.clone(), volume: volume.to_owned() };
        let quiet =
            self.said.get(&key).is_some_and(|(said, until)| said == text && until.waits_until(now).is_some());
        if quiet {
            return;
        }
        if self.send_event(pod, "FailedMount", text, now) {
            self.said.insert(key, (text.to_owned(), Due::after(now, self.repeat_event)));
        }
    }

    /// Sends a warning about a pod; not when too many are on their way.
    fn send_event(&mut self, pod: &PodReference, reason: &'static str, text: &str, now: Timestamp) -> bool {
        // Those that have been sent make room first.
        while self.events.try_join_next().is_some() {}
        if self.events.len() >= MOST_EVENTS {
            return false;
        }
        let event = PodEvent {
            pod: pod.clone(),
            node_name: self.node_name.clone(),
            kind: "Warning",
            reason,
            message: truncate(text.to_owned(), LONGEST_EVENT),
            at: now,
        };
        let cluster = Arc::clone(&self.cluster);
        self.events.spawn(async move {
            if let Err(error) = cluster.create_event(&event).await {
                debug!(pod = %event.pod, %error, "the Event could not be created");
            }
        });
        true
    }
}
