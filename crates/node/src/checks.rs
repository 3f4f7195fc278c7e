//! What the node looks at now and then because nothing tells it of changes: the service accounts whose tokens are in
//! volumes, and (where volumes are published on change only) the Secrets that are handed over with them. Pure: when to look,
//! and what an answer means.
//!
//! A kubelet looks at no account: a token of one that was deleted and made anew under the same name, refused everywhere, is
//! served for most of its life.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::dice::Dice;
use crate::planner::Due;
use crate::volume::VolumeKey;

/// After a refusal it is not asked again for this long: rights seldom change.
const REFUSED_PERIOD: Duration = Duration::from_secs(3600);

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A ServiceAccount.
    Account {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A Secret.
    Secret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// What is to be looked at, and when.
#[derive(Debug)]
pub struct Checks {
    period: Duration,
    jitter: f64,
    dice: Dice,
    subjects: BTreeMap<Subject, Check>,
}

#[derive(Debug)]
struct Check {
    due: Due,
    is_running: bool,
    /// Who depends on it, and which version each was given; empty where versions do not matter.
    volumes: BTreeMap<VolumeKey, String>,
}

impl Checks {
    /// Looks at each subject once in a period, stretched by up to this fraction of it.
    pub fn new(period: Duration, jitter: f64, dice: Dice) -> Self {
        Self { period, jitter, dice, subjects: BTreeMap::new() }
    }

    /// The volume depends on these subjects, in these versions, and on no others.
    pub fn depend(&mut self, volume: &VolumeKey, on: Vec<(Subject, String)>, now: Timestamp) {
        let wanted: BTreeSet<&Subject> = on.iter().map(|(subject, _)| subject).collect();
        self.subjects.retain(|subject, check| {
            if !wanted.contains(subject) {
                check.volumes.remove(volume);
            }
            !check.volumes.is_empty()
        });
        for (subject, version) in on {
            if !self.subjects.contains_key(&subject) {
                let due = Due::after(now, self.next_wait());
                let check = Check { due, is_running: false, volumes: BTreeMap::new() };
                self.subjects.insert(subject.clone(), check);
            }
            if let Some(check) = self.subjects.get_mut(&subject) {
                check.volumes.insert(volume.clone(), version);
            }
        }
    }

    /// The volume is gone.
    pub fn forget(&mut self, volume: &VolumeKey) {
        self.subjects.retain(|_, check| {
            check.volumes.remove(volume);
            !check.volumes.is_empty()
        });
    }

    /// The pod is gone.
    pub fn forget_pod(&mut self, pod_uid: &str) {
        self.subjects.retain(|_, check| {
            check.volumes.retain(|volume, _| volume.pod_uid != pod_uid);
            !check.volumes.is_empty()
        });
    }

    /// What to look at now. `is_republished` says of a volume whether an answer could still be acted upon.
    pub fn due(&mut self, now: Timestamp, is_republished: impl Fn(&VolumeKey) -> bool) -> Vec<Subject> {
        let mut due = Vec::new();
        self.subjects.retain(|subject, check| {
            if check.is_running || check.due.waits_until(now).is_some() {
                return true;
            }
            check.volumes.retain(|volume, _| is_republished(volume));
            if check.volumes.is_empty() {
                return false;
            }
            check.is_running = true;
            due.push(subject.clone());
            true
        });
        due
    }

    /// When something may be due, if nothing happens before.
    pub fn wake(&self) -> Option<Timestamp> {
        self.subjects.values().filter(|check| !check.is_running).map(|check| check.due.at()).min()
    }

    /// It was looked at and has this version: gives the volumes that were given another.
    pub fn seen(&mut self, subject: &Subject, version: &str, now: Timestamp) -> Vec<VolumeKey> {
        let wait = self.next_wait();
        let Some(check) = self.looked_at(subject, wait, now) else { return Vec::new() };
        let outdated = check.volumes.iter().filter(|(_, given)| !given.is_empty() && *given != version);
        outdated.map(|(volume, _)| volume.clone()).collect()
    }

    /// It could not be looked at; `is_refused` when the node may not.
    pub fn failed(&mut self, subject: &Subject, is_refused: bool, now: Timestamp) {
        let wait = if is_refused { REFUSED_PERIOD } else { self.next_wait() };
        self.looked_at(subject, wait, now);
    }

    fn looked_at(&mut self, subject: &Subject, wait: Duration, now: Timestamp) -> Option<&Check> {
        let check = self.subjects.get_mut(subject)?;
        check.is_running = false;
        check.due = Due::after(now, wait);
        Some(check)
    }

    fn next_wait(&mut self) -> Duration {
        self.period.mul_f64(1.0 + self.jitter * self.dice.fraction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn volume(pod: &str) -> VolumeKey {
        VolumeKey { pod_uid: pod.into(), volume: "data".into() }
    }

    fn account() -> Subject {
        Subject::Account { namespace: "ns".into(), name: "web".into() }
    }

    fn secret() -> Subject {
        Subject::Secret { namespace: "ns".into(), name: "creds".into() }
    }

    fn checks() -> Checks {
        Checks::new(Duration::from_secs(60), 0.5, Dice::seeded(1))
    }

    #[test]
    fn each_subject_is_looked_at_once_a_period_for_all_who_depend_on_it() {
        let mut checks = checks();
        for pod in ["u", "v"] {
            checks.depend(&volume(pod), vec![(account(), String::new()), (secret(), "1".into())], at(0));
        }
        assert!(checks.due(at(59), |_| true).is_empty());
        assert!(checks.wake().is_some_and(|wake| wake >= at(60) && wake <= at(90)));
        assert_eq!(checks.due(at(90), |_| true), [account(), secret()]);
        assert!(checks.due(at(300), |_| true).is_empty() && checks.wake().is_none(), "they are running");
        assert_eq!(checks.seen(&secret(), "1", at(90)), []);
        // One was given the newer one meanwhile.
        checks.depend(&volume("v"), vec![(account(), String::new()), (secret(), "2".into())], at(100));
        assert_eq!(checks.due(at(180), |_| true), [secret()]);
        assert_eq!(checks.seen(&secret(), "2", at(180)), [volume("u")]);
        assert_eq!(checks.seen(&account(), "uid", at(180)), [], "of an account, the tokens say it");
    }

    #[test]
    fn nobody_looks_for_volumes_that_are_gone_or_not_republished() {
        let mut checks = checks();
        let both = || vec![(account(), String::new()), (secret(), "1".into())];
        checks.depend(&volume("u"), both(), at(0));
        checks.depend(&volume("v"), both(), at(0));
        checks.depend(&volume("u"), vec![(account(), String::new())], at(0));
        checks.forget(&volume("v"));
        assert_eq!(checks.due(at(90), |_| true), [account()]);
        assert_eq!(checks.seen(&secret(), "2", at(90)), []);
        checks.forget_pod("u");
        assert!(checks.subjects.is_empty());
        checks.depend(&volume("u"), both(), at(0));
        assert!(checks.due(at(90), |_| false).is_empty() && checks.subjects.is_empty());
    }

    #[test]
    fn a_refusal_is_heeded_for_an_hour_and_another_failure_for_a_period() {
        for (is_refused, first) in [(true, 3600), (false, 60)] {
            let mut checks = checks();
            checks.depend(&volume("u"), vec![(account(), String::new())], at(0));
            assert_eq!(checks.due(at(90), |_| true).len(), 1);
            checks.failed(&account(), is_refused, at(90));
            assert!(checks.due(at(90 + first - 1), |_| true).is_empty());
            assert_eq!(checks.due(at(90 + first + 30), |_| true).len(), 1);
        }
    }
}
