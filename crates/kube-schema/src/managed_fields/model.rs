//! Applies and updates by several managers at random, held against what ownership promises.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tokenward_kube_rules::Release;

use super::*;
use crate::{find_resource, normalize};

/// What managers do to an object, one after the other.
#[derive(Clone, Debug)]
struct Step {
    manager: &'static str,
    configuration: Value,
    action: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Apply,
    Force,
    Update,
}

fn labels() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[a-c]", "[0-2]", 0..3).prop_map(|labels| json!(labels))
}

fn finalizers() -> impl Strategy<Value = Value> {
    proptest::collection::btree_set("x/[a-c]", 0..3).prop_map(|items| json!(items))
}

/// Objects with members only as `parts` has them; null is nothing.
fn with(parts: Vec<(&'static str, Value)>) -> Value {
    let present = parts.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(present.map(|(name, value)| (name.to_owned(), value)).collect())
}

fn maybe(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop_oneof![1 => Just(Value::Null), 3 => value]
}

fn metadata() -> impl Strategy<Value = Value> {
    (maybe(labels()), maybe(finalizers()))
        .prop_map(|(labels, finalizers)| with(vec![("labels", labels), ("finalizers", finalizers)]))
}

fn containers() -> impl Strategy<Value = Value> {
    let ports = proptest::collection::btree_map(1..4_i64, "[p-r]", 0..3).prop_map(|ports| {
        Value::from_iter(ports.iter().map(|(port, name)| json!({"containerPort": port, "name": name})))
    });
    proptest::collection::btree_map("[a-c]", (maybe("[0-2]".prop_map(Value::from)), maybe(ports)), 0..3)
        .prop_map(|items| {
            Value::from_iter(items.into_iter().map(|(name, (image, ports))| {
                with(vec![("name", json!(name)), ("image", image), ("ports", ports)])
            }))
        })
}

fn pod_spec() -> impl Strategy<Value = Value> {
    (maybe(containers()), maybe(labels()), maybe(any::<bool>().prop_map(Value::from))).prop_map(
        |(containers, selector, host)| {
            with(vec![("containers", containers), ("nodeSelector", selector), ("hostIPC", host)])
        },
    )
}

fn configuration(kind: &'static str) -> BoxedStrategy<Value> {
    match kind {
        "pods" => (metadata(), maybe(pod_spec()))
            .prop_map(|(metadata, spec)| with(vec![("metadata", metadata), ("spec", spec)]))
            .boxed(),
        "daemonsets" => (metadata(), labels(), maybe(pod_spec()))
            .prop_map(|(metadata, labels, spec)| {
                let template = with(vec![("metadata", json!({"labels": labels})), ("spec", spec)]);
                with(vec![("metadata", metadata), ("spec", json!({"template": template}))])
            })
            .boxed(),
        "csidrivers" => (
            metadata(),
            maybe(proptest::collection::vec("[a-b]", 0..2).prop_map(|audiences| {
                Value::from_iter(audiences.iter().map(|audience| json!({"audience": audience})))
            })),
            maybe(any::<bool>().prop_map(Value::from)),
            maybe(
                proptest::collection::btree_set("(Persistent|Ephemeral)", 0..3)
                    .prop_map(|modes| json!(modes)),
            ),
        )
            .prop_map(|(metadata, requests, info, modes)| {
                let spec = with(vec![
                    ("tokenRequests", requests),
                    ("podInfoOnMount", info),
                    ("volumeLifecycleModes", modes),
                ]);
                with(vec![("metadata", metadata), ("spec", spec)])
            })
            .boxed(),
        _ => (
            metadata(),
            maybe(proptest::collection::btree_map("[s-u]", "[0-1]", 0..3).prop_map(|secrets| {
                Value::from_iter(secrets.iter().map(|(name, uid)| json!({"name": name, "uid": uid})))
            })),
        )
            .prop_map(|(metadata, secrets)| with(vec![("metadata", metadata), ("secrets", secrets)]))
            .boxed(),
    }
}

fn steps(kind: &'static str) -> impl Strategy<Value = (&'static str, Vec<Step>)> {
    let manager = prop_oneof![Just("one"), Just("two"), Just("three")];
    let action = prop_oneof![Just(Action::Apply), Just(Action::Force), Just(Action::Update)];
    let step = (manager, configuration(kind), action).prop_map(|(manager, configuration, action)| Step {
        manager,
        configuration,
        action,
    });
    (Just(kind), proptest::collection::vec(step, 1..8))
}

fn all_kinds() -> impl Strategy<Value = (&'static str, Vec<Step>)> {
    prop_oneof![steps("pods"), steps("daemonsets"), steps("csidrivers"), steps("serviceaccounts")]
}

struct World {
    kind: &'static Kind,
    object: Option<Object>,
}

impl World {
    fn write<'a>(&self, manager: &'a str, now: &'a str) -> Write<'a> {
        Write { kind: self.kind, release: Release::V1_35, manager, subresource: "", now }
    }

    fn printed(&self, object: &Object) -> Object {
        normalize(self.kind, Release::V1_35, object).expect("a good object").object
    }

    fn configuration(&self, step: &Step) -> Object {
        let mut configuration = step.configuration.as_object().cloned().expect("an object");
        configuration.insert("kind".to_owned(), json!(self.kind.kind));
        configuration.insert("apiVersion".to_owned(), json!(self.kind.api_version()));
        configuration
    }

    fn entries(&self) -> Vec<Entry> {
        let list = self.object.as_ref().map_or(&[][..], managed_fields);
        entry::read(list, false).expect("what was written can be read")
    }

    /// The fields of one applier.
    fn applied_by(&self, manager: &str) -> FieldSet {
        let mine = self.write(manager, "").entry(Operation::Apply, manager, Fields::default());
        self.entries()
            .iter()
            .find(|entry| entry.is_of(&mine))
            .map(|entry| entry.fields.set())
            .unwrap_or_default()
    }

    fn store(&mut self, mut object: Object, entries: Vec<Value>) {
        let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        metadata["managedFields"] = Value::Array(entries);
        self.object = Some(object);
    }

    fn step(&mut self, step: &Step, now: &str) -> Result<(), TestCaseError> {
        let write = self.write(step.manager, now);
        let configuration = self.configuration(step);
        if step.action == Action::Update {
            let mut submitted = self.printed(&configuration);
            if let Some(live) = &self.object {
                submitted["metadata"]["managedFields"] = live["metadata"]["managedFields"].clone();
            }
            let entries = after_update(&write, self.object.as_ref(), &submitted);
            self.store(submitted, entries);
            return Ok(());
        }
        let live = self.object.clone().unwrap_or_else(|| write.nothing());
        let before = self.entries();
        let mine = write.entry(Operation::Apply, step.manager, Fields::default());
        let unforced = apply(&write, self.object.as_ref(), &configuration, false);
        let forced =
            apply(&write, self.object.as_ref(), &configuration, true).expect("force leaves no conflict");

        // A conflict is reported exactly when somebody else owns a field that would change.
        let ignored = reset::ignored(self.kind, "");
        let change = Comparison::of(self.kind.message(), Release::V1_35, &live, &forced.object, &ignored)
            .expect("items with keys");
        let changed = change.set();
        let lost: Vec<FieldSet> = if before.is_empty() {
            // Nobody was followed so far: what there is has one owner.
            let there =
                Comparison::of(self.kind.message(), Release::V1_35, &write.nothing(), &live, &ignored)
                    .expect("items with keys");
            vec![there.set().intersection(&changed)]
        } else {
            let others = before.iter().filter(|entry| !entry.is_of(&mine));
            others.map(|entry| entry.fields.set().intersection(&changed)).collect()
        };
        let is_conflict = lost.iter().any(|lost| !lost.is_empty());
        match &unforced {
            Ok(applied) => {
                prop_assert!(!is_conflict);
                prop_assert_eq!(applied, &forced);
            }
            Err(ApplyError::Conflicts(conflicts)) => {
                prop_assert_eq!(conflicts.len(), lost.iter().map(|lost| lost.paths().len()).sum::<usize>());
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
        if unforced.is_err() && step.action == Action::Apply {
            return Ok(());
        }
        self.store(forced.object.clone(), forced.managed_fields.clone());

        // The configuration is there, and its manager owns it; others have lost what changed.
        let named = config::fields_of(self.kind.message(), Release::V1_35, &configuration);
        let present =
            config::fields_of(self.kind.message(), Release::V1_35, self.object.as_ref().expect("stored"));
        prop_assert_eq!(self.applied_by(step.manager).intersection(&named), self.applied_by(step.manager));
        for entry in self.entries() {
            if !entry.is_of(&mine) {
                prop_assert!(entry.fields.set().intersection(&changed).is_empty());
            }
        }
        // Nobody applies what is not there, but for empty things, which are not kept apart from nothing.
        let mut missing = self.applied_by(step.manager);
        missing.remove(&present);
        for path in missing.paths() {
            prop_assert!(!path.contains('='), "{} is applied and not there", path);
        }
        // The same again changes nothing but the time.
        let again = apply(&write, self.object.as_ref(), &configuration, false);
        let again = again.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(&again.managed_fields, &forced.managed_fields);
        let mut stored = self.object.clone().expect("stored");
        let mut object = again.object;
        for tree in [&mut stored, &mut object] {
            if let Some(metadata) = tree.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("managedFields");
            }
        }
        prop_assert_eq!(self.printed(&object), self.printed(&stored));
        Ok(())
    }

    /// Who makes an object owns what it has beyond one of which nothing was said.
    fn check_made(&self, configuration: &Value) -> Result<(), TestCaseError> {
        let object = self.printed(configuration.as_object().expect("an object"));
        let write = self.write("maker", "2026-03-01T12:00:00Z");
        let ignored = reset::ignored(self.kind, "");
        let found = Comparison::of(self.kind.message(), Release::V1_35, &write.nothing(), &object, &ignored)
            .map(|comparison| comparison.set())
            .unwrap_or_default();
        let entry = write.entry(Operation::Update, "maker", Fields::Read(found));
        prop_assert_eq!(after_update(&write, None, &object), entry::write(vec![entry]));
        Ok(())
    }

    /// Whatever is there, somebody owns: who set it.
    fn check_owned(&self) -> Result<(), TestCaseError> {
        let object = self.object.as_ref().expect("stored");
        if managed_fields(object).is_empty() {
            // An apply of nothing has left nobody to follow.
            return Ok(());
        }
        let nothing = self.write("", "").nothing();
        let ignored = reset::ignored(self.kind, "");
        let there = Comparison::of(self.kind.message(), Release::V1_35, &nothing, object, &ignored)
            .expect("items with keys");
        let mut orphans = there.set();
        for entry in self.entries() {
            orphans.remove(&entry.fields.set());
        }
        // An applier of a member does not own the map around it, nor what the server fills in.
        let filled_in = [
            ".resources",
            ".labels",
            ".finalizers",
            ".containers",
            ".ports",
            ".secrets",
            ".volumeLifecycleModes",
        ];
        let orphans: Vec<String> = orphans
            .paths()
            .into_iter()
            .filter(|path| !filled_in.iter().any(|suffix| path.ends_with(suffix)))
            .collect();
        prop_assert_eq!(orphans, Vec::<String>::new());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn ownership_keeps_its_promises((plural, steps) in all_kinds()) {
        let group = match plural {
            "csidrivers" => "storage.k8s.io",
            "daemonsets" => "apps",
            _ => "",
        };
        let kind = find_resource(group, "v1", plural).expect("a served resource");
        let mut world = World { kind, object: None };
        for (number, step) in steps.iter().enumerate() {
            let now = format!("2026-03-01T12:00:{number:02}Z");
            world.check_made(&step.configuration)?;
            world.step(step, &now)?;
            if world.object.is_some() {
                world.check_owned()?;
            }
        }
    }
}
