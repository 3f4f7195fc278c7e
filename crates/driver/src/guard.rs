//! What stands before an author's services: one operation at a time for a volume, the caller's deadline, a log without secrets,
//! metrics, clean status messages, panics that stay inside.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokenward_sanitize::blank_tokens;
use tokenward_transport::code_name;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status};
use tracing::Instrument as _;

use crate::call::{CallContext, REQUEST_ID};
use crate::locks::{Held, Locks, Subject};
use crate::metrics::Metrics;
use crate::name::DriverName;
use crate::plugin::not_offered;
use crate::scrub::Scrubber;
use crate::token_set::ReadFrom;

/// What the generated services answer for a method that their author did not write.
const UNWRITTEN: &str = "Not yet implemented";

/// What all services of a plugin share.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) driver: DriverName,
    pub(crate) read: ReadFrom,
    pub(crate) metrics: Metrics,
    pub(crate) locks: Locks,
    /// How long a call waits for another one of its subject.
    pub(crate) lock_wait: Duration,
    /// How long a handler may go on after nobody waits for it any more.
    pub(crate) grace: Duration,
    /// How much blocking work goes on at once.
    pub(crate) blocking: Arc<Semaphore>,
    pub(crate) calls: TaskTracker,
    /// Cancels the calls that have not ended when the plugin must.
    pub(crate) stopping: CancellationToken,
}

/// An author's service with the guard before it.
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    service: Arc<S>,
    guard: Arc<Guard>,
}

/// What the guard has to know about a call.
struct Call {
    /// As in the request's path.
    path: &'static str,
    method: &'static str,
    /// Of a call that changes something.
    subject: Option<Subject>,
    scrubber: Scrubber,
    started: Instant,
}

impl<S: Send + Sync + 'static> Guarded<S> {
    pub(crate) fn new(service: S, guard: Arc<Guard>) -> Self {
        Self { service: Arc::new(service), guard }
    }

    /// Serves a call in a task of its own: a caller that goes away cancels its context and does not stop it halfway.
    async fn serve<Q, A, F, W>(
        &self,
        call: Call,
        mut request: Request<Q>,
        handle: F,
    ) -> Result<Response<A>, Status>
    where
        Q: std::fmt::Debug,
        A: std::fmt::Debug + Send + 'static,
        F: FnOnce(Arc<S>, Request<Q>) -> W,
        W: Future<Output = Result<Response<A>, Status>> + Send + 'static,
    {
        let guard = Arc::clone(&self.guard);
        let in_progress = guard.metrics.in_progress();
        let context = CallContext::begin(request.metadata(), &guard.stopping, &guard.blocking);
        let span = call.span(&context);
        let context = context.with_span(&span);
        // Dropped with this future, which is when the caller has gone.
        let _caller = context.cancellation().drop_guard();
        span.in_scope(|| tracing::debug!(request = ?request.get_ref(), "called"));

        let held = match guard.hold(&call, &context).await {
            Ok(held) => held,
            Err(status) => {
                let answer = Err::<Response<A>, _>(call.scrubber.clean(&status));
                return span.in_scope(|| guard.finish(&call, &context, answer));
            }
        };
        let context = context.with_held(held);
        request.extensions_mut().insert(context.clone());
        let work = handle(Arc::clone(&self.service), request);
        let path = call.path;
        let served = self.guard.calls.spawn(
            async move {
                let bounded = AssertUnwindSafe(guard.bounded(work, &context)).catch_unwind();
                let answer = bounded.await.unwrap_or_else(|_| {
                    guard.metrics.panicked();
                    tracing::error!("the driver panicked");
                    Err(panicked(call.method))
                });
                let answer = answer.map_err(|status| call.scrubber.clean(&guard.explained(&call, status)));
                let answer = guard.finish(&call, &context, answer);
                drop((context, in_progress));
                answer
            }
            .instrument(span),
        );
        // A task that was not run to its end: the runtime stops.
        served.await.unwrap_or_else(|_| Err(Status::unavailable(format!("the driver stopped during {path}"))))
    }
}

impl Call {
    fn span(&self, context: &CallContext) -> tracing::Span {
        let subject = self.subject.as_ref().map(|subject| {
            let shown = subject.to_string();
            blank_tokens(&shown).into_owned()
        });
        tracing::info_span!("call", method = self.method, id = context.id(), on = subject)
    }
}

impl Guard {
    async fn hold(&self, call: &Call, context: &CallContext) -> Result<Option<Held>, Status> {
        let Some(subject) = &call.subject else { return Ok(None) };
        match context.run(self.locks.hold(subject, self.lock_wait)).await? {
            Some(held) => Ok(Some(held)),
            None => Err(Status::aborted(format!(
                "an operation is in progress for {subject}; try again when it has ended"
            ))),
        }
    }

    /// The work, and a little more time for it when nobody waits any more: it may know how to end well.
    async fn bounded<A>(
        &self,
        work: impl Future<Output = Result<A, Status>>,
        context: &CallContext,
    ) -> Result<A, Status> {
        tokio::pin!(work);
        tokio::select! {
            biased;
            answer = &mut work => return answer,
            () = context.over() => tracing::debug!("nobody waits for the answer any more"),
        }
        tokio::time::timeout(self.grace, work).await.unwrap_or_else(|_| Err(context.status()))
    }

    /// A method that the author left out says so, and who left it out.
    fn explained(&self, call: &Call, status: Status) -> Status {
        if status.code() == Code::Unimplemented && status.message() == UNWRITTEN {
            return not_offered(&self.driver, call.method);
        }
        status
    }

    /// Counts, logs and marks an answer.
    fn finish<A: std::fmt::Debug>(
        &self,
        call: &Call,
        context: &CallContext,
        mut answer: Result<Response<A>, Status>,
    ) -> Result<Response<A>, Status> {
        let elapsed = call.started.elapsed();
        let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
        self.metrics.answered(call.path, code, elapsed);
        let latency_ms = elapsed.as_secs_f64() * 1e3;
        match &mut answer {
            Ok(response) => {
                tracing::info!(code = code_name(code), latency_ms, "served");
                tracing::trace!(response = ?response.get_ref(), "answered");
                mark(response.metadata_mut(), context);
            }
            Err(status) => {
                tracing::warn!(code = code_name(code), latency_ms, error = status.message(), "failed");
                mark(status.metadata_mut(), context);
            }
        }
        answer
    }
}

fn mark(metadata: &mut MetadataMap, context: &CallContext) {
    // Letters, digits and dashes: it always is a value of a header.
    if let Ok(id) = context.id().parse() {
        metadata.insert(REQUEST_ID, id);
    }
}

fn panicked(method: &str) -> Status {
    Status::internal(format!("the driver failed while it served {method}; its own output says why"))
}

/// A service whose methods all go through [`Guarded::serve`].
macro_rules! guarded {
    ($service:ident $service_path:literal {
        $($name:ident = $method:literal, ($request:ident) -> $response:ident,
            $subject:expr, $scrubber:expr $(, $tokens:expr)?;)+
    }) => {
        #[tonic::async_trait]
        impl<S: $service> $service for Guarded<S> {
            $(async fn $name(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                let subject: fn(&$request) -> Option<Subject> = $subject;
                let scrubber: fn(&$request) -> Scrubber = $scrubber;
                let call = Call {
                    path: concat!("/", $service_path, "/", $method),
                    method: $method,
                    subject: subject(request.get_ref()),
                    scrubber: scrubber(request.get_ref()),
                    started: Instant::now(),
                };
                // Counted before a handler takes them out.
                $(let tokens: fn(&$request) -> KeyPresence = $tokens;
                self.guard.metrics.published(tokens(request.get_ref()), self.guard.read);)?
                self.serve(call, request, |service, request| async move { service.$name(request).await }).await
            })+
        }
    };
}

mod controller;
mod identity;
mod node;
