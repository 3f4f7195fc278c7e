//! A small API server for the tests of plans: objects, requests carried out on them, and what a watch would tell.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::{ApiError, Request, Resource, Target, Verb, WatchEvent};
use crate::runner::{Controller, Refusal};

#[derive(Default)]
pub(crate) struct World {
    objects: BTreeMap<Target, Value>,
    revision: u64,
    log: Vec<(Resource, WatchEvent)>,
}

impl World {
    /// Puts an object there, with the uid that it has or a fresh one.
    pub(crate) fn put(&mut self, resource: Resource, mut object: Value) -> Value {
        self.revision += 1;
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(self.revision.to_string());
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("uid-{}", self.revision));
        }
        if metadata["creationTimestamp"].is_null() {
            let time = Timestamp::from_second(i64::try_from(self.revision).unwrap()).unwrap();
            metadata["creationTimestamp"] = json!(time.to_string());
        }
        self.log.push((resource, WatchEvent::applied(object.clone())));
        self.objects.insert(target(resource, &object), object.clone());
        object
    }

    pub(crate) fn get(&self, resource: Resource, namespace: &str, name: &str) -> Option<&Value> {
        let metadata = json!({"metadata": {"namespace": namespace, "name": name}});
        self.objects.get(&target(resource, &metadata))
    }

    pub(crate) fn all(&self, resource: Resource) -> Vec<Value> {
        let of = self.objects.iter().filter(|(target, _)| target.resource == resource);
        of.map(|(_, object)| object.clone()).collect()
    }

    pub(crate) fn remove(&mut self, resource: Resource, object: &Value) {
        self.revision += 1;
        if let Some(mut gone) = self.objects.remove(&target(resource, object)) {
            gone["metadata"]["resourceVersion"] = json!(self.revision.to_string());
            self.log.push((resource, WatchEvent::deleted(gone)));
        }
    }

    /// Lets a controller hear of all that has happened since the last time.
    pub(crate) fn tell(&mut self, controller: &mut impl Controller, now: Timestamp) {
        self.tell_some(controller, usize::MAX, now);
    }

    /// Lets a controller hear of what has happened first since the last time: a watch that lags behind.
    pub(crate) fn tell_some(&mut self, controller: &mut impl Controller, most: usize, now: Timestamp) {
        let watched = controller.watches();
        for (resource, event) in self.log.drain(..most.min(self.log.len())) {
            if watched.contains(&resource) {
                controller.observe_at(resource, event, now);
            }
        }
    }

    /// Begins a controller's watches anew: it hears of everything as it is now, when it is told.
    pub(crate) fn list_anew(&mut self, controller: &impl Controller) {
        let revision = self.revision;
        let lists = controller.watches().into_iter();
        self.log = lists.map(|of| (of, WatchEvent::listed_at(revision, self.all(of)))).collect();
    }

    /// Lets a controller list everything anew.
    pub(crate) fn tell_all(&mut self, controller: &mut impl Controller, now: Timestamp) {
        self.log.clear();
        for resource in controller.watches() {
            controller.observe_at(resource, WatchEvent::listed(self.all(resource)), now);
        }
        assert!(controller.is_ready());
    }

    /// Carries out a request, and lets the controller hear the answer.
    pub(crate) fn carry_out(&mut self, controller: &mut impl Controller, request: &Request) -> bool {
        match self.apply(request) {
            Ok(answer) => {
                controller.accepted(request, &answer.into());
                true
            }
            Err(ApiError::NotFound) => {
                controller.refused(request, Refusal::NotFound);
                false
            }
            Err(ApiError::AlreadyExists) => {
                controller.refused(request, Refusal::AlreadyExists);
                false
            }
            Err(_) => false,
        }
    }

    /// Carries out plans until one is empty. `between` is what happens elsewhere after each.
    pub(crate) fn settle(
        &mut self,
        controller: &mut impl Controller,
        mut now: impl FnMut() -> Timestamp,
        mut between: impl FnMut(&mut Self),
    ) {
        for _ in 0..300 {
            between(self);
            let time = now();
            self.tell(controller, time);
            controller.take_note(time);
            let requests = controller.plan(time).requests;
            if requests.is_empty() {
                return;
            }
            for request in requests {
                self.carry_out(controller, &request);
            }
        }
        let left = controller.plan(now()).requests;
        panic!("does not settle: {left:#?}");
    }

    fn apply(&mut self, request: &Request) -> Result<Value, ApiError> {
        let target = Target { subresource: None, ..request.target.clone() };
        let resource = target.resource;
        if request.verb == Verb::List {
            let listed = self.all(resource).into_iter();
            let of = |object: &Value| {
                target.namespace.as_deref().is_none_or(|own| object["metadata"]["namespace"] == own)
            };
            let items: Vec<Value> = listed.filter(of).collect();
            return Ok(json!({"metadata": {"resourceVersion": self.revision.to_string()}, "items": items}));
        }
        if request.verb == Verb::DeleteCollection {
            for object in self.all(resource) {
                let metadata = &object["metadata"];
                if target.namespace.as_deref().is_none_or(|own| metadata["namespace"] == own) {
                    let name = metadata["name"].as_str().unwrap().to_owned();
                    let target = Target { name, ..target.clone() };
                    self.apply(&Request { verb: Verb::Delete, target, body: request.body.clone() })?;
                }
            }
            return Ok(json!({}));
        }
        if request.verb == Verb::Create && request.target.subresource.is_none() {
            if self.objects.contains_key(&target) {
                return Err(ApiError::AlreadyExists);
            }
            return Ok(self.put(resource, request.body.clone()));
        }
        let mut object = self.objects.get(&target).cloned().ok_or(ApiError::NotFound)?;
        let metadata = request.body.get("metadata");
        let preconditions = request.body.get("preconditions").or(metadata);
        for member in ["uid", "resourceVersion"] {
            let wanted = preconditions.and_then(|wanted| wanted.get(member));
            if wanted.is_some_and(|wanted| *wanted != object["metadata"][member]) {
                return Err(ApiError::Conflict);
            }
        }
        match request.verb {
            Verb::Get => return Ok(object),
            Verb::Create => {
                object["spec"]["nodeName"] = request.body["target"]["name"].clone();
            }
            Verb::Delete => {
                let policy = request.body["propagationPolicy"].as_str();
                let finalizer = match policy {
                    Some("Foreground") => Some("foregroundDeletion"),
                    Some("Orphan") => Some("orphan"),
                    _ => None,
                };
                mark_deleted(&mut object, finalizer);
                if resource == Resource::NAMESPACES {
                    object["status"]["phase"] = json!("Terminating");
                }
            }
            Verb::Update => object["spec"]["finalizers"] = request.body["spec"]["finalizers"].clone(),
            Verb::StrategicMergePatch => {
                let mut patch = request.body.clone();
                let wanted = patch.pointer_mut("/status/conditions").map(Value::take).unwrap_or_default();
                let mut conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
                for condition in wanted.as_array().into_iter().flatten() {
                    conditions.retain(|known| known["type"] != condition["type"]);
                    conditions.push(condition.clone());
                }
                patch["status"]["conditions"] = conditions.into();
                merge(&mut object, patch);
            }
            _ => merge(&mut object, request.body.clone()),
        }
        let object = self.put(resource, object);
        if is_over(resource, &object) {
            self.remove(resource, &object);
        }
        Ok(object)
    }
}

/// What a DELETE does to an object that something holds back.
pub(crate) fn mark_deleted(object: &mut Value, finalizer: Option<&str>) {
    let metadata = &mut object["metadata"];
    metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut finalizers = metadata["finalizers"].as_array().cloned().unwrap_or_default();
    finalizers.extend(finalizer.map(Value::from));
    metadata["finalizers"] = finalizers.into();
}

/// Whether nothing holds a terminating object back. Pods wait for their node to stop them.
fn is_over(resource: Resource, object: &Value) -> bool {
    let is_empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
    !object["metadata"]["deletionTimestamp"].is_null()
        && is_empty(&object["metadata"]["finalizers"])
        && (resource != Resource::NAMESPACES || is_empty(&object["spec"]["finalizers"]))
        && (resource != Resource::PODS || object["spec"]["nodeName"].as_str().is_none_or(str::is_empty))
}

fn target(resource: Resource, object: &Value) -> Target {
    let text = |member: &str| object["metadata"][member].as_str().unwrap_or_default().to_owned();
    let namespace = Some(text("namespace")).filter(|namespace| !namespace.is_empty());
    Target { resource, namespace, name: text("name"), subresource: None }
}

/// A JSON merge patch (RFC 7386).
pub(crate) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(&key);
        } else {
            merge(&mut target[key], value);
        }
    }
}
