//! Leases, endpoints, bindings of roles, webhooks, and any kind that has no table of its own.

use serde_json::Value;

use super::column::{AGE, Layout, NAME, boolean, integer, text};
use super::seen::{Seen, UNSET, items_in, joined, text_in};

/// A kind without a table of its own.
pub(super) static ANY: Layout = Layout {
    columns: &[NAME, text("Created At", "When the object was made.").of_type("date")],
    cells: |object| vec![object.name().into(), object.text("/metadata/creationTimestamp").into()],
};

pub(super) static LEASE: Layout = Layout {
    columns: &[NAME, text("Holder", "Who holds it."), AGE],
    cells: |lease| vec![lease.name().into(), lease.text("/spec/holderIdentity").into(), lease.age()],
};

pub(super) static DISRUPTION_BUDGET: Layout = Layout {
    columns: &[
        NAME,
        text("Min Available", "How many pods must be healthy after an eviction."),
        text("Max Unavailable", "How many pods may be missing or ill after an eviction."),
        integer("Allowed Disruptions", "How many pods may be evicted now."),
        AGE,
    ],
    cells: |budget| {
        let bound = |path: &str| match budget.at(path) {
            None => Value::from("N/A"),
            Some(Value::String(share)) => share.as_str().into(),
            Some(count) => count.to_string().into(),
        };
        vec![
            budget.name().into(),
            bound("/spec/minAvailable"),
            bound("/spec/maxUnavailable"),
            budget.number("/status/disruptionsAllowed").into(),
            budget.age(),
        ]
    },
};

pub(super) static PRIORITY_CLASS: Layout = Layout {
    columns: &[
        NAME,
        integer("Value", "The priority of its pods."),
        boolean("Global-Default", "Whether pods that name no class are of this one."),
        AGE,
        text("PreemptionPolicy", "Whether its pods push out others."),
    ],
    cells: |class| {
        vec![
            class.name().into(),
            class.number("/value").into(),
            class.is("/globalDefault").into(),
            class.age(),
            class.text_or("/preemptionPolicy", "PreemptLowerPriority").into(),
        ]
    },
};

pub(super) static WEBHOOK_CONFIGURATION: Layout = Layout {
    columns: &[NAME, integer("Webhooks", "How many webhooks there are."), AGE],
    cells: |configuration| {
        vec![configuration.name().into(), configuration.items("/webhooks").len().into(), configuration.age()]
    },
};

pub(super) static ENDPOINT_SLICE: Layout = Layout {
    columns: &[
        NAME,
        text("AddressType", "What the addresses are."),
        text("Ports", "The ports, or the first of them."),
        text("Endpoints", "The addresses, or the first of them."),
        AGE,
    ],
    cells: |slice| {
        let ports: Vec<String> = slice.items("/ports").iter().map(port).collect();
        let endpoints =
            slice.items("/endpoints").iter().flat_map(|endpoint| items_in(endpoint, "/addresses"));
        let addresses: Vec<String> = endpoints.filter_map(Value::as_str).map(str::to_owned).collect();
        vec![
            slice.name().into(),
            slice.text("/addressType").into(),
            first_three(&ports).into(),
            first_three(&addresses).into(),
            slice.age(),
        ]
    },
};

fn port(port: &Value) -> String {
    match (port.get("port").and_then(Value::as_i64), port.get("name").and_then(Value::as_str)) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "*".to_owned(),
    }
}

fn first_three(texts: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = joined(texts.iter().take(SHOWN).map(String::as_str));
    if texts.len() > SHOWN {
        return format!("{shown} + {} more...", texts.len() - SHOWN);
    }
    if shown.is_empty() { UNSET.to_owned() } else { shown }
}

pub(super) static ROLE_BINDING: Layout = Layout {
    columns: &[
        NAME,
        text("Role", "The role that is given."),
        AGE,
        text("Users", "The users that get it.").wide(),
        text("Groups", "The groups that get it.").wide(),
        text("ServiceAccounts", "The service accounts that get it.").wide(),
    ],
    cells: |binding| {
        vec![
            binding.name().into(),
            format!("{}/{}", binding.text("/roleRef/kind"), binding.text("/roleRef/name")).into(),
            binding.age(),
            subjects(binding, "User").into(),
            subjects(binding, "Group").into(),
            subjects(binding, "ServiceAccount").into(),
        ]
    },
};

fn subjects(binding: &Seen<'_>, kind: &str) -> String {
    let subjects = binding.items("/subjects").iter().filter(|subject| text_in(subject, "/kind") == kind);
    let names: Vec<String> = subjects
        .map(|subject| match (kind, text_in(subject, "/namespace"), text_in(subject, "/name")) {
            ("ServiceAccount", namespace, name) => format!("{namespace}/{name}"),
            (_, _, name) => name.to_owned(),
        })
        .collect();
    names.join(", ")
}
