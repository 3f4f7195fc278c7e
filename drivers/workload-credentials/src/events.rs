//! What the owner of a pod is told beside the pod itself. Whether and how it becomes an Event of Kubernetes is for whoever starts the
//! driver: the driver itself needs no right to talk to an API server.

use std::collections::HashMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

use crate::pod::Pod;

/// The same thing is said again after this time at the earliest.
const REPEAT: SignedDuration = SignedDuration::from_mins(5);
/// Longest message of an Event.
const LONGEST: usize = 1024;

/// Something that happened to the credentials of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Uid of the pod.
    pub uid: String,
    /// What it is.
    pub kind: EventKind,
    /// What happened, at most 1024 bytes, without tokens and credentials.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// What a pod's owner may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The exchange failed, and the last good credentials stay.
    CredentialsKept,
    /// The exchange works again.
    CredentialsRenewed,
    /// The exchange failed, and the last good credentials are over.
    CredentialsExpired,
}

impl EventKind {
    /// The CamelCase word of an Event's `reason`.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::CredentialsKept => "CredentialsKept",
            Self::CredentialsRenewed => "CredentialsRenewed",
            Self::CredentialsExpired => "CredentialsExpired",
        }
    }

    /// `Warning` or `Normal`, an Event's `type`.
    #[must_use]
    pub fn severity(self) -> &'static str {
        match self {
            Self::CredentialsKept | Self::CredentialsExpired => "Warning",
            Self::CredentialsRenewed => "Normal",
        }
    }
}

/// Somebody who tells pods' owners. Called from within a publish: it must not wait.
pub trait Events: fmt::Debug + Send + Sync {
    /// Takes an event on.
    fn tell(&self, event: Event);
}

/// Tells nobody.
#[derive(Debug)]
pub(crate) struct NoEvents;

impl Events for NoEvents {
    fn tell(&self, _: Event) {}
}

/// Remembers what was said last about each volume, so that a republish each minute does not say it each minute.
#[derive(Debug, Default)]
pub(crate) struct Said(Mutex<HashMap<String, (EventKind, Timestamp)>>);

impl Said {
    /// The event to tell, if it is time for it.
    pub(crate) fn next(
        &self,
        volume: &str,
        pod: &Pod,
        kind: EventKind,
        message: &str,
        now: Timestamp,
    ) -> Option<Event> {
        let mut said = self.0.lock();
        let last = said.get(volume).copied();
        if kind == EventKind::CredentialsRenewed {
            // Good news is news only after bad news.
            said.remove(volume)?;
        } else {
            let is_repeated =
                last.is_some_and(|(last, at)| last == kind && at <= now && now.duration_since(at) < REPEAT);
            if is_repeated {
                return None;
            }
            said.insert(volume.to_owned(), (kind, now));
        }
        let mut message = message.to_owned();
        message.truncate(message.floor_char_boundary(LONGEST));
        let Pod { namespace, name, uid, .. } = pod.clone();
        Some(Event { namespace, pod: name, uid, kind, message, at: now })
    }

    pub(crate) fn forget(&self, volume: &str) {
        self.0.lock().remove(volume);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_news_is_repeated_slowly_and_good_news_follows_it() {
        use EventKind::{CredentialsExpired, CredentialsKept, CredentialsRenewed};
        let said = Said::default();
        let pod = Pod {
            namespace: "apps".to_owned(),
            name: "shop".to_owned(),
            uid: "u".to_owned(),
            service_account: "default".to_owned(),
        };
        let start = "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap();
        let table = [
            (0, CredentialsRenewed, false),
            (0, CredentialsKept, true),
            (299, CredentialsKept, false),
            (300, CredentialsKept, true),
            (301, CredentialsExpired, true),
            (302, CredentialsExpired, false),
            (303, CredentialsRenewed, true),
            (304, CredentialsRenewed, false),
            (305, CredentialsKept, true),
            (-9, CredentialsKept, true),
        ];
        for (seconds, kind, is_told) in table {
            let now = start + SignedDuration::from_secs(seconds);
            let event = said.next("volume", &pod, kind, &"ü".repeat(600), now);
            assert_eq!(event.is_some(), is_told, "{seconds} {kind:?}");
            assert!(event.is_none_or(|event| event.message.len() <= LONGEST));
        }
        assert!(said.next("other", &pod, CredentialsKept, "", start).is_some());
        said.forget("other");
        assert!(said.next("other", &pod, CredentialsKept, "", start).is_some());
    }
}
