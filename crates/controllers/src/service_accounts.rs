//! Every namespace that is not terminating has the service account `default`, which pods use that name no other.

use jiff::Timestamp;
use serde_json::json;

use crate::api::{Document, Request, Resource, Target, WatchEvent};
use crate::mirror::Mirror;
use crate::objects::{Namespace, ServiceAccount};
use crate::runner::{Controller, Plan};

const NAME: &str = "default";

pub(crate) struct ServiceAccounts {
    namespaces: Mirror<Namespace>,
    accounts: Mirror<ServiceAccount>,
}

impl ServiceAccounts {
    pub(crate) fn new() -> Self {
        Self {
            namespaces: Mirror::new(Resource::NAMESPACES),
            accounts: Mirror::new(Resource::SERVICE_ACCOUNTS),
        }
    }
}

impl Controller for ServiceAccounts {
    const NAME: &'static str = "service-accounts";
    const WATCHES: &'static [Resource] = &[Resource::NAMESPACES, Resource::SERVICE_ACCOUNTS];

    fn observe(&mut self, resource: Resource, event: WatchEvent) -> bool {
        if resource == Resource::NAMESPACES {
            self.namespaces.observe(event)
        } else {
            self.accounts.observe(event)
        }
    }

    fn is_ready(&self) -> bool {
        self.namespaces.is_listed() && self.accounts.is_listed()
    }

    fn plan(&self, _now: Timestamp) -> Plan {
        let namespaces = self.namespaces.iter().filter(|namespace| !namespace.is_terminating());
        namespaces
            .map(|namespace| &*namespace.metadata.name)
            .filter(|namespace| self.accounts.get(namespace, NAME).is_none())
            .map(|namespace| {
                let body = json!({
                    "apiVersion": "v1",
                    "kind": "ServiceAccount",
                    "metadata": {"name": NAME, "namespace": namespace},
                });
                Request::create(Target::namespaced(Resource::SERVICE_ACCOUNTS, namespace, NAME), body)
            })
            .collect::<Vec<Request>>()
            .into()
    }

    fn accepted(&mut self, _request: &Request, answer: &Document) {
        self.accounts.learn(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_what_is_missing_where_it_may() {
        let mut controller = ServiceAccounts::new();
        assert!(!controller.is_ready());
        let namespaces = vec![
            json!({"metadata": {"name": "new"}, "status": {"phase": "Active"}}),
            json!({"metadata": {"name": "bare"}}),
            json!({"metadata": {"name": "served"}}),
            json!({"metadata": {"name": "going", "deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            json!({"metadata": {"name": "ending"}, "status": {"phase": "Terminating"}}),
        ];
        let accounts = vec![
            json!({"metadata": {"name": "default", "namespace": "served"}}),
            json!({"metadata": {"name": "other", "namespace": "new"}}),
        ];
        controller.observe(Resource::NAMESPACES, WatchEvent::listed(namespaces));
        assert!(!controller.is_ready());
        controller.observe(Resource::SERVICE_ACCOUNTS, WatchEvent::listed(accounts));
        assert!(controller.is_ready());

        let plan = controller.plan(Timestamp::UNIX_EPOCH).requests;
        let paths: Vec<String> = plan.iter().map(Request::path).collect();
        assert_eq!(
            paths,
            ["/api/v1/namespaces/bare/serviceaccounts", "/api/v1/namespaces/new/serviceaccounts"]
        );
        assert_eq!(
            plan[0].body,
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "bare"}})
        );
        for request in &plan {
            controller.accepted(request, &request.body.clone().into());
        }
        assert_eq!(controller.plan(Timestamp::UNIX_EPOCH).requests, []);
    }
}
