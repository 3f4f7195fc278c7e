//! What keeps deliveries fresh: tokens refreshed ahead of need, accounts and Secrets looked at, and the volumes published
//! anew that something has changed for.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinError;
use tracing::{debug, info};

use super::{Engine, Finished};
use crate::checks::{Checks, Subject};
use crate::cluster::{Cluster, ClusterError, ErrorReason, TokenRequest};
use crate::config::Config;
use crate::mounter::fetch_tokens::token_requests;
use crate::planner::{Action, Pace, Republish};
use crate::volume::VolumeKey;

/// Most pods whose tokens are refreshed ahead of need at one time.
const MOST_REFRESHES: usize = 8;

/// A piece of upkeep that has ended.
pub(super) enum Upkeep {
    /// New tokens came.
    Refreshed(Vec<TokenRequest>),
    /// A subject was looked at; its uid (of an account) or version (of a Secret).
    Looked(Subject, Result<String, ClusterError>),
}

/// The checks at the pace of republishing.
pub(super) fn checks(config: &Config) -> Checks {
    let Pace { republish_period, republish_jitter, .. } = config.pace;
    Checks::new(republish_period, republish_jitter, config.dice.clone())
}

impl<C: Cluster> Engine<C> {
    /// Starts what is due; says when to look again.
    pub(super) fn keep_fresh(&mut self, now: Timestamp) -> Option<Timestamp> {
        let room = MOST_REFRESHES.saturating_sub(self.refreshing);
        let planner = &self.planner;
        let is_republished = |key: &VolumeKey| planner.is_republished(key);
        let due = if room == 0 {
            Vec::new()
        } else {
            self.mounter.tokens.due(room, |pod_uid, volume| {
                is_republished(&VolumeKey { pod_uid: pod_uid.to_owned(), volume: volume.to_owned() })
            })
        };
        for due in due {
            self.refreshing += 1;
            let mounter = Arc::clone(&self.mounter);
            self.upkeep.spawn(async move { Upkeep::Refreshed(mounter.tokens.refresh(due).await) });
        }
        for subject in self.checks.due(now, is_republished) {
            let cluster = Arc::clone(&self.mounter.cluster);
            self.upkeep.spawn(async move {
                let found = match &subject {
                    Subject::Account { namespace, name } => {
                        cluster.service_account_uid(namespace, name).await
                    }
                    Subject::Secret { namespace, name } => {
                        let secret = cluster.secret(namespace, name).await;
                        secret.map(|secret| secret.metadata.resource_version)
                    }
                };
                Upkeep::Looked(subject, found)
            });
        }
        // With no room, the next that ends wakes.
        let refresh = self.mounter.tokens.next_refresh().filter(|_| self.refreshing < MOST_REFRESHES);
        refresh.into_iter().chain(self.checks.wake()).min()
    }

    pub(super) fn kept_fresh(&mut self, ended: Result<Upkeep, JoinError>) {
        let now = self.config.clock.now();
        match ended {
            Ok(Upkeep::Refreshed(requests)) => {
                self.refreshing -= 1;
                self.tokens_came(&requests, now);
            }
            Ok(Upkeep::Looked(subject, found)) => self.looked(&subject, found, now),
            // A panic is a bug, and what was refreshed would never be again.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// The volumes whose CSIDriver wants one of these tokens have something to be told.
    fn tokens_came(&mut self, requests: &[TokenRequest], now: Timestamp) {
        let Some(first) = requests.first() else { return };
        let wants_one = |key: &VolumeKey| {
            let Some(spec) = self.planner.spec_of(key) else { return false };
            let Ok(Some(csi_driver)) = self.mounter.csi_drivers.get(spec.driver()) else { return false };
            token_requests(&spec, &csi_driver).any(|wanted| requests.contains(&wanted))
        };
        let volumes = self.planner.keys_of(&first.pod.uid).into_iter().filter(wants_one);
        for key in volumes.collect::<Vec<_>>() {
            self.planner.content_changed(&key, now);
        }
    }

    fn looked(&mut self, subject: &Subject, found: Result<String, ClusterError>, now: Timestamp) {
        let refused = |error: &ClusterError| error.reason() == ErrorReason::Forbidden;
        match (subject, found) {
            (Subject::Account { namespace, name }, Ok(uid)) => {
                self.account_is(namespace, name, Some(&uid), now);
                self.checks.seen(subject, &uid, now);
            }
            (Subject::Account { namespace, name }, Err(error)) if error.is_not_found() => {
                self.account_is(namespace, name, None, now);
                self.checks.failed(subject, false, now);
            }
            (Subject::Secret { .. }, Ok(version)) => {
                for key in self.checks.seen(subject, &version, now) {
                    self.planner.content_changed(&key, now);
                }
            }
            (_, Err(error)) => {
                debug!(?subject, %error, "could not be looked at");
                self.checks.failed(subject, refused(&error), now);
            }
        }
    }

    fn account_is(&mut self, namespace: &str, name: &str, uid: Option<&str>, now: Timestamp) {
        for (pod_uid, volume) in self.mounter.tokens.account_seen(namespace, name, uid) {
            info!(%namespace, service_account = %name, %pod_uid, %volume, exists = uid.is_some(),
                "the service account is not the one of the volume's tokens any more");
            self.planner.content_invalid(&VolumeKey { pod_uid, volume }, now);
        }
    }

    /// Keeps tokens and checks in step with what became of a volume.
    pub(super) fn follow_deliveries(&mut self, finished: &Finished, now: Timestamp) {
        match (&finished.action, &finished.result) {
            (Action::Publish { spec, .. }, Ok(_)) => {
                let mut subjects = Vec::new();
                let Some(published) = &finished.published else { return };
                if !published.audiences.is_empty() {
                    let (namespace, name) = (spec.pod.namespace.clone(), spec.service_account.clone());
                    subjects.push((Subject::Account { namespace, name }, String::new()));
                }
                // With each pod sync the Secret is read anyway.
                if let Some(secret) = &published.secret
                    && self.config.pace.republish == Republish::OnChange
                {
                    subjects.push(secret.clone());
                }
                self.checks.depend(&spec.key(), subjects, now);
            }
            (Action::Unpublish { key, .. }, Ok(_)) => {
                self.mounter.tokens.keep_only(&key.pod_uid, &key.volume, &[]);
                self.checks.forget(key);
            }
            (Action::ClosePod { pod, .. }, _) => self.checks.forget_pod(&pod.uid),
            _ => {}
        }
    }
}
