//! Validating webhooks: programs elsewhere that are asked before something is written, and may refuse it.
//!
//! Which ones are asked is a function of their configuration and of the request ([`configuration`], [`conditions`]); what they
//! are sent and what their answer means are functions too ([`review`]); [`call`] goes over the wire. All that fit are asked at the same
//! time. The one invariant: a request that no webhook is configured for costs nothing more.

mod call;
mod conditions;
mod configuration;
mod review;

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use parking_lot::Mutex;
use serde_json::Value;
use tokenward_kube_schema::Kind;
use tokenward_store::{Entry, Scope, Store, Watch};

use self::call::Caller;
pub(crate) use self::conditions::variables as condition_variables;
use self::conditions::{Asking, Verdict};
use self::configuration::{FailurePolicy, Hook};
pub(crate) use self::configuration::{Operation, Subject};
use crate::authentication::User;
use crate::cluster_view::ClusterView;
use crate::index::Index;
use crate::metrics::{AdmissionMetrics, Called};
use crate::object::Object;
use crate::status::ApiError;

const COLLECTION: &str = "admissionregistration.k8s.io/validatingwebhookconfigurations";

/// The configured webhooks.
pub(crate) struct Webhooks {
    configured: Mutex<Configured>,
    caller: Caller,
    metrics: AdmissionMetrics,
}

tokio::task_local! {
    /// How long a request has waited for webhooks.
    static WAITED: Cell<Duration>;
}

/// Lets a request go its way, and says how long it has waited for webhooks.
pub(crate) async fn noting_waits<T>(work: impl Future<Output = T>) -> (T, Duration) {
    WAITED.scope(Cell::default(), async { (work.await, WAITED.with(Cell::get)) }).await
}

/// What is configured. Brought up to date whenever it is asked, so that it never lags behind the store.
struct Configured {
    store: Store<Index>,
    watch: Watch<Index>,
    hooks: Arc<[Arc<Hook>]>,
}

/// Something that is about to be written.
pub(crate) struct Proposal<'a> {
    pub(crate) subject: Subject<'a>,
    /// The kind of the objects; not that of the resource where a subresource has its own.
    pub(crate) kind: &'static Kind,
    pub(crate) user: &'a User,
    /// What would be stored; none when something is deleted.
    pub(crate) object: Option<&'a Object>,
    /// What is stored; none when something is created.
    pub(crate) old: Option<&'a Object>,
    pub(crate) dry_run: bool,
    /// The request's own options, `CreateOptions` for instance.
    pub(crate) options: Value,
}

impl Webhooks {
    pub(crate) fn new(store: &Store<Index>, metrics: AdmissionMetrics) -> Self {
        Self { configured: Mutex::new(Configured::new(store)), caller: Caller::default(), metrics }
    }

    /// Whether nobody would be asked about anything.
    pub(crate) fn are_none(&self) -> bool {
        self.configured.lock().hooks().is_empty()
    }

    /// Asks every webhook that the proposal concerns. The first refusal counts, in the order of the configurations.
    pub(crate) async fn ask<'p>(
        &self,
        cluster: &ClusterView,
        warnings: &mut Vec<String>,
        proposal: impl FnOnce() -> Proposal<'p>,
    ) -> Result<(), ApiError> {
        let hooks = self.configured.lock().hooks();
        if hooks.is_empty() {
            return Ok(());
        }
        let proposal = &proposal();
        let namespace = configuration::namespace_labels(&proposal.subject, proposal.object, cluster);
        let is_concerned = |hook: &&Arc<Hook>| {
            hook.concerns(&proposal.subject, proposal.object, proposal.old, namespace.as_ref())
        };
        let asking = Asking { user: proposal.user, cluster };
        let mut concerned = Vec::new();
        for hook in hooks.iter().filter(is_concerned) {
            match hook.conditions.check(proposal, &asking) {
                Verdict::Met => concerned.push(hook),
                Verdict::NotMet => {}
                Verdict::Unknown(_) if hook.failure_policy == FailurePolicy::Ignore => {}
                Verdict::Unknown(why) => return Err(ApiError::forbidden(proposal.subject.named(), &why)),
            }
            // Expressions may take their time: others shall have their turn.
            tokio::task::consume_budget().await;
        }
        let began = Instant::now();
        let answers = join_all(concerned.into_iter().map(|hook| self.ask_one(hook, proposal, cluster))).await;
        // Whoever does not note it need not know.
        let _ = WAITED.try_with(|waited| waited.set(waited.get() + began.elapsed()));
        let mut first = Ok(());
        for answer in answers {
            match answer {
                Ok(told) => warnings.extend(told),
                Err(error) => first = first.and(Err(error)),
            }
        }
        first
    }

    async fn ask_one(
        &self,
        hook: &Hook,
        proposal: &Proposal<'_>,
        cluster: &ClusterView,
    ) -> Result<Vec<String>, ApiError> {
        let id = uuid::Uuid::new_v4().to_string();
        let body = review::request(&id, proposal).to_string();
        let began = Instant::now();
        let count = |outcome| {
            self.metrics.called(&hook.name, proposal.subject.operation.as_str(), began, outcome);
        };
        let answer = match self.caller.post(hook, body.into(), cluster).await {
            Ok(bytes) => review::read_answer(&id, &bytes).map_err(|error| error.to_string()),
            Err(error) => Err(format!("failed to call webhook: {error}")),
        };
        match answer {
            Ok(answer) => {
                let outcome = answer.into_result(&hook.name);
                count(match &outcome {
                    Ok(_) => Called::Allowed,
                    Err(error) => Called::Rejected(error.code().as_u16()),
                });
                outcome
            }
            Err(why) if hook.failure_policy == FailurePolicy::Ignore => {
                count(Called::PassedOver);
                tracing::warn!(webhook = hook.name, why, "a webhook could not be asked, and need not be");
                Ok(Vec::new())
            }
            Err(why) => {
                count(Called::Failed);
                let name = crate::status::go_quote(&hook.name);
                Err(ApiError::internal(&format!("failed calling webhook {name}: {why}")))
            }
        }
    }
}

impl std::fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhooks").finish_non_exhaustive()
    }
}

impl Configured {
    fn new(store: &Store<Index>) -> Self {
        let (listing, watch) = store.list_and_watch(&Scope::collection(COLLECTION));
        Self { store: store.clone(), watch, hooks: read(&listing.entries) }
    }

    fn hooks(&mut self) -> Arc<[Arc<Hook>]> {
        let mut has_changed = false;
        loop {
            match self.watch.ready() {
                Ok(Some(batch)) => has_changed |= !batch.events.is_empty(),
                Ok(None) => break,
                // More was written since the last question than history keeps.
                Err(_) => {
                    has_changed = true;
                    break;
                }
            }
        }
        if has_changed {
            *self = Self::new(&self.store.clone());
        }
        self.hooks.clone()
    }
}

/// Configurations in the order of their names, webhooks in the order of each.
fn read(entries: &[Arc<Entry<Index>>]) -> Arc<[Arc<Hook>]> {
    let objects = entries.iter().filter_map(|entry| tokenward_kube_schema::parse(&entry.value).ok());
    objects.flat_map(|object| configuration::read(&object)).map(Arc::new).collect()
}
