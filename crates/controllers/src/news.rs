//! What people are told of what controllers do: Events, as `kubectl describe` shows them, with upstream's reasons and
//! sentences.
//!
//! They are told on the side, one after the other: nobody waits for them, and some are lost when there are too many.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::api::{Api, Request, Resource, Target};

/// So many wait to be told; more are not told.
pub(crate) const MOST_WAITING: usize = 1024;
/// The longest sentence, in bytes: what the API takes of the newer sort.
const LONGEST: usize = 1024;

/// Something that has happened to an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct News {
    /// Who tells it: a component of the control plane.
    pub(crate) component: &'static str,
    /// What the component did, for those that tell Events of the newer sort, which have a time but no count.
    pub(crate) action: Option<&'static str>,
    /// The reference to the object.
    pub(crate) about: Value,
    pub(crate) is_warning: bool,
    /// In one word.
    pub(crate) reason: &'static str,
    /// In a sentence.
    pub(crate) message: String,
}

impl News {
    /// The creation of its Event. `number` tells what happens in one instant apart.
    fn to_request(&self, number: u64, now: Timestamp) -> Request {
        let text = |member: &str| self.about[member].as_str().unwrap_or_default();
        let (namespace, about) = (text("namespace"), text("name"));
        let namespace = if namespace.is_empty() { "default" } else { namespace };
        let moment = u128::try_from(now.as_nanosecond()).unwrap_or_default() + u128::from(number);
        let name = format!("{about}.{moment:x}");
        let mut end = self.message.len().min(LONGEST);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        let mut body = json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": self.about,
            "type": if self.is_warning { "Warning" } else { "Normal" },
            "reason": self.reason,
            "message": &self.message[..end],
            "reportingComponent": self.component,
        });
        match self.action {
            Some(action) => {
                body["action"] = action.into();
                body["eventTime"] = now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string().into();
                body["reportingInstance"] = self.component.into();
            }
            None => {
                let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                body["source"] = json!({"component": self.component});
                body["count"] = 1.into();
                body["firstTimestamp"] = time.as_str().into();
                body["lastTimestamp"] = time.into();
            }
        }
        Request::create(Target::namespaced(Resource::EVENTS, namespace, &name), body)
    }
}

/// Where one controller leaves its news.
pub(crate) struct Recorder {
    waiting: mpsc::Sender<Request>,
    number: u64,
}

impl Recorder {
    /// One that leaves the creations of Events there.
    pub(crate) fn new(waiting: mpsc::Sender<Request>) -> Self {
        Self { waiting, number: 0 }
    }

    /// Leaves it to be told.
    pub(crate) fn record(&mut self, news: &News, now: Timestamp) {
        self.number += 1;
        if self.waiting.try_send(news.to_request(self.number, now)).is_err() {
            tracing::debug!(reason = news.reason, "too much to tell at once");
        }
    }
}

/// Tells what is left there, until nobody leaves anything any more.
pub(crate) async fn tell<A: Api>(api: Arc<A>, mut waiting: mpsc::Receiver<Request>) {
    while let Some(request) = waiting.recv().await {
        if let Ok(Err(error)) = timeout(crate::runner::ANSWER_LIMIT, api.send(&request)).await {
            tracing::debug!(event = %request.target, %error, "the Event could not be created");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-01T12:00:00.123456789Z".parse().unwrap()
    }

    fn news() -> News {
        News {
            component: "daemonset-controller",
            action: None,
            about: json!({"kind": "DaemonSet", "namespace": "ns", "name": "agent"}),
            is_warning: false,
            reason: "SuccessfulCreate",
            message: "Created pod: agent-x".to_owned(),
        }
    }

    #[test]
    fn an_event_is_as_upstream_writes_it() {
        let request = news().to_request(0, now());
        assert_eq!(request.path(), "/api/v1/namespaces/ns/events");
        assert_eq!(
            request.body,
            json!({
                "apiVersion": "v1", "kind": "Event",
                "metadata": {"name": "agent.1898b5d9bb324d15", "namespace": "ns"},
                "involvedObject": {"kind": "DaemonSet", "namespace": "ns", "name": "agent"},
                "type": "Normal", "reason": "SuccessfulCreate", "message": "Created pod: agent-x",
                "source": {"component": "daemonset-controller"}, "reportingComponent": "daemonset-controller",
                "firstTimestamp": "2026-03-01T12:00:00Z", "lastTimestamp": "2026-03-01T12:00:00Z", "count": 1,
            })
        );
        let newer =
            News { component: "default-scheduler", action: Some("Binding"), is_warning: true, ..news() };
        let newer = newer.to_request(0, now()).body;
        assert_eq!(
            (&newer["eventTime"], &newer["action"], &newer["type"]),
            (&json!("2026-03-01T12:00:00.123456Z"), &json!("Binding"), &json!("Warning"))
        );
        assert!(newer["count"].is_null() && newer["source"].is_null() && newer["firstTimestamp"].is_null());
    }

    #[tokio::test]
    async fn what_happens_in_one_instant_has_different_names_and_too_much_is_lost() {
        let (sender, mut receiver) = mpsc::channel(2);
        let mut recorder = Recorder::new(sender);
        let long = News { message: "é".repeat(LONGEST), ..news() };
        for _ in 0..3 {
            recorder.record(&long, now());
        }
        drop(recorder);
        let (one, two) = (receiver.recv().await.unwrap(), receiver.recv().await.unwrap());
        assert_ne!(one.target, two.target);
        assert_eq!(one.body["message"].as_str().map(str::len), Some(LONGEST));
        assert!(receiver.recv().await.is_none());
    }
}
