//! The other kinds of the core group that are no volumes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::column::{AGE, Layout, NAME, text};
use super::seen::{NONE, Seen, joined, text_in};

pub(super) static NODE: Layout = Layout {
    columns: &[
        NAME,
        text("Status", "Whether the node is ready, and whether it takes more pods."),
        text("Roles", "The roles that the node's labels give it."),
        AGE,
        text("Version", "The version of the kubelet."),
        text("Internal-IP", "The address within the cluster.").wide(),
        text("External-IP", "The address for the rest of the world.").wide(),
        text("OS-Image", "The operating system, as it calls itself.").wide(),
        text("Kernel-Version", "The version of the kernel.").wide(),
        text("Container-Runtime", "The container runtime and its version.").wide(),
    ],
    cells: |node| {
        vec![
            node.name().into(),
            node_status(node).into(),
            node_roles(node).into(),
            node.age(),
            node.text("/status/nodeInfo/kubeletVersion").into(),
            node_address(node, "InternalIP").into(),
            node_address(node, "ExternalIP").into(),
            node.text_or("/status/nodeInfo/osImage", "<unknown>").into(),
            node.text_or("/status/nodeInfo/kernelVersion", "<unknown>").into(),
            node.text_or("/status/nodeInfo/containerRuntimeVersion", "<unknown>").into(),
        ]
    },
};

fn node_status(node: &Seen<'_>) -> String {
    let ready =
        node.items("/status/conditions").iter().rfind(|condition| text_in(condition, "/type") == "Ready");
    let ready = match ready.map(|condition| text_in(condition, "/status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    joined([ready].into_iter().chain(node.is("/spec/unschedulable").then_some("SchedulingDisabled")))
}

fn node_roles(node: &Seen<'_>) -> String {
    let labels = node.at("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    let roles: BTreeSet<&str> = labels
        .filter_map(|(name, value)| match name.strip_prefix("node-role.kubernetes.io/") {
            None if name == "kubernetes.io/role" => value.as_str(),
            role => role,
        })
        .filter(|role| !role.is_empty())
        .collect();
    if roles.is_empty() { NONE.to_owned() } else { joined(roles) }
}

fn node_address<'a>(node: &Seen<'a>, address_type: &str) -> &'a str {
    let addresses = node.items("/status/addresses");
    let found = addresses.iter().find(|address| text_in(address, "/type") == address_type);
    found.map_or(NONE, |address| text_in(address, "/address"))
}

pub(super) static NAMESPACE: Layout = Layout {
    columns: &[NAME, text("Status", "Whether the namespace is there or going."), AGE],
    cells: |namespace| vec![namespace.name().into(), namespace.text("/status/phase").into(), namespace.age()],
};

pub(super) static SECRET: Layout = Layout {
    columns: &[
        NAME,
        text("Type", "What sort of secret it is, for programs."),
        text("Data", "How many entries there are."),
        AGE,
    ],
    cells: |secret| {
        vec![secret.name().into(), secret.text("/type").into(), secret.count("/data").into(), secret.age()]
    },
};

pub(super) static CONFIG_MAP: Layout = Layout {
    columns: &[NAME, text("Data", "How many entries there are."), AGE],
    cells: |map| vec![map.name().into(), (map.count("/data") + map.count("/binaryData")).into(), map.age()],
};

pub(super) static SERVICE_ACCOUNT: Layout =
    Layout { columns: &[NAME, AGE], cells: |account| vec![account.name().into(), account.age()] };

/// As 1.34 has it; nothing has put Secrets there since 1.24.
pub(super) static SERVICE_ACCOUNT_WITH_SECRETS: Layout = Layout {
    columns: &[NAME, text("Secrets", "How many Secrets the account's pods may use."), AGE],
    cells: |account| vec![account.name().into(), account.items("/secrets").len().into(), account.age()],
};

pub(super) static EVENT: Layout = Layout {
    columns: &[
        text("Last Seen", "How long ago it happened last."),
        text("Type", "Normal or Warning."),
        text("Reason", "What happened, in one word."),
        text("Object", "The object that it happened to."),
        text("Subobject", "The part of the object.").wide(),
        text("Source", "Who says so, and where.").wide(),
        text("Message", "What happened, in a sentence."),
        text("First Seen", "How long ago it happened first.").wide(),
        text("Count", "How often it happened.").wide(),
        NAME.wide(),
    ],
    cells: event,
};

fn event(event: &Seen<'_>) -> Vec<Value> {
    let or = |first: &'static str, second: &'static str| {
        Some(event.text(first)).filter(|text| !text.is_empty()).unwrap_or_else(|| event.text(second))
    };
    let first = event.since(or("/firstTimestamp", "/eventTime"));
    let (last, count) = match (event.at("/series"), event.text("/lastTimestamp")) {
        (Some(series), _) => {
            (event.since(text_in(series, "/lastObservedTime")), event.number("/series/count"))
        }
        // An event of its own is not counted.
        (None, last) => {
            (if last.is_empty() { first.clone() } else { event.since(last) }, event.number("/count").max(1))
        }
    };
    let kind = event.text("/involvedObject/kind").to_lowercase();
    let object = match event.text("/involvedObject/name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    let source =
        match (or("/source/component", "/reportingComponent"), or("/source/host", "/reportingInstance")) {
            (component, "") => component.to_owned(),
            (component, instance) => format!("{component}, {instance}"),
        };
    vec![
        last.into(),
        event.text("/type").into(),
        event.text("/reason").into(),
        object.into(),
        event.text("/involvedObject/fieldPath").into(),
        source.into(),
        event.text("/message").trim().into(),
        first.into(),
        count.into(),
        event.name().into(),
    ]
}
