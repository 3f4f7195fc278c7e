//! The reconcilers that a cluster needs beside its API server: scheduler, binder, DaemonSets, garbage collector, what keeps
//! namespaces, nodes and volumes in order, and so on.
//!
//! Each is a pure core, which makes a plan (writes wanted) from a view (objects seen), in a shell common to all, which
//! watches, sends, and paces what has to be repeated. The one invariant: *a plan is made from the whole view and nothing
//! else*, so that a controller may be interrupted between any two writes, and go on from what is stored.
//!
//! The cluster is seen through [`Api`], two methods that are one request each.
//!
//! ```
//! use futures_util::stream::{self, BoxStream, StreamExt};
//! use serde_json::json;
//! use tokenward_controllers::{Api, ApiError, Controllers, Document, Request, Resource, WatchEvent};
//! use tokenward_tokens::Clock;
//! use tokio_util::sync::CancellationToken;
//!
//! /// A cluster of one namespace, which ends when it is asked for anything.
//! struct Small(CancellationToken);
//!
//! impl Api for Small {
//!     fn watch(&self, resource: Resource) -> BoxStream<'static, Result<WatchEvent, ApiError>> {
//!         let namespace = json!({"metadata": {"name": "shop"}});
//!         let listed = if resource.plural == "namespaces" { vec![namespace] } else { vec![] };
//!         stream::iter([Ok(WatchEvent::listed(listed))]).chain(stream::pending()).boxed()
//!     }
//!
//!     async fn send(&self, request: &Request) -> Result<Document, ApiError> {
//!         assert_eq!(request.path(), "/api/v1/namespaces/shop/serviceaccounts");
//!         self.0.cancel();
//!         Ok(request.body.clone().into())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let cancelled = CancellationToken::new();
//! Controllers::new(Clock::system()).run(Small(cancelled.clone()), cancelled).await;
//! # }
//! ```

use std::sync::Arc;

use tokenward_kube_rules::{label_selector as selector, quantity};
use tokenward_tokens::Clock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

mod api;
mod attachments;
mod binder;
mod cluster_roles;
mod conditions;
mod daemon_sets;
mod disruption_budgets;
mod ephemeral_claims;
mod feed;
mod garbage;
mod mirror;
mod names;
mod namespaces;
mod news;
mod node_affinity;
mod node_lifecycle;
mod objects;
mod pace;
mod root_certificates;
mod runner;
mod scheduler;
mod service_accounts;
mod share;
mod stranded_pods;
mod taint_eviction;
mod volume_protection;
mod volume_user;
#[cfg(test)]
mod world;

pub use api::{Api, ApiError, Document, Request, Resource, Target, Verb, WatchEvent};

use attachments::Attachments;
use binder::Binder;
use cluster_roles::ClusterRoles;
use daemon_sets::DaemonSets;
use disruption_budgets::DisruptionBudgets;
use ephemeral_claims::EphemeralClaims;
use feed::Feeds;
use garbage::GarbageCollector;
use namespaces::Namespaces;
use node_lifecycle::NodeLifecycle;
use root_certificates::RootCertificates;
use runner::{Controller, drive};
use scheduler::Scheduler;
use service_accounts::ServiceAccounts;
use stranded_pods::StrandedPods;
use taint_eviction::TaintEviction;
use volume_protection::VolumeProtection;

/// All controllers.
#[derive(Clone, Debug)]
pub struct Controllers {
    clock: Clock,
    root_certificates: Option<String>,
}

impl Controllers {
    /// The controllers, with a clock for the times that they write.
    pub fn new(clock: Clock) -> Self {
        Self { clock, root_certificates: None }
    }

    /// Publishes this bundle of certificates (PEM) in every namespace, so that pods can verify the API server.
    #[must_use]
    pub fn publishing(self, root_certificates: impl Into<String>) -> Self {
        Self { root_certificates: Some(root_certificates.into()), ..self }
    }

    /// Runs the controllers until they are cancelled, each for itself: one that fails does not stop the others. A write
    /// that is under way when they are cancelled may or may not be carried out.
    pub async fn run<A: Api>(&self, api: A, cancelled: CancellationToken) {
        let api = Arc::new(api);
        let mut start = Start {
            running: JoinSet::new(),
            feeds: Feeds::default(),
            api,
            clock: self.clock.clone(),
            cancelled,
        };
        start.controller(ServiceAccounts::new());
        start.controller(Binder::new());
        start.controller(ClusterRoles::new());
        start.controller(Scheduler::new());
        start.controller(NodeLifecycle::new());
        start.controller(TaintEviction::new());
        start.controller(StrandedPods::new());
        start.controller(VolumeProtection::new());
        start.controller(DaemonSets::new(uuid::Uuid::new_v4().as_u128()));
        start.controller(DisruptionBudgets::new());
        start.controller(EphemeralClaims::new());
        start.controller(Attachments::new());
        start.controller(Namespaces::new());
        start.controller(GarbageCollector::new());
        if let Some(bundle) = &self.root_certificates {
            start.controller(RootCertificates::new(bundle.clone()));
        }
        let mut running = start.feeds();
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a controller stopped; the others go on");
            }
        }
    }
}

/// Controllers that are being started, and what they follow.
struct Start<A> {
    running: JoinSet<()>,
    feeds: Feeds,
    api: Arc<A>,
    clock: Clock,
    cancelled: CancellationToken,
}

impl<A: Api> Start<A> {
    fn controller<C: Controller>(&mut self, controller: C) {
        let events = self.feeds.follow(&controller.watches());
        let (api, clock, cancelled) = (self.api.clone(), self.clock.clone(), self.cancelled.clone());
        self.running.spawn(drive(api, controller, events, clock, cancelled));
    }

    fn feeds(mut self) -> JoinSet<()> {
        for feed in self.feeds.into_feeds(&self.api) {
            let cancelled = self.cancelled.clone();
            self.running.spawn(async move {
                cancelled.run_until_cancelled(feed).await;
            });
        }
        self.running
    }
}
