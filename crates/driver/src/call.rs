//! What a handler knows of the call that it serves: its id, how long the caller waits, and whether it still does.

use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};
use tracing::Span;
use uuid::Uuid;

use crate::locks::Held;

/// The metadata that carries a call's id, in the request and in the answer.
pub(crate) const REQUEST_ID: &str = "x-request-id";
/// Longest id of a caller that is taken over.
const LONGEST_ID: usize = 64;

/// What a handler knows of the call that it serves.
///
/// The plugin cancels it when the caller's deadline has passed, when the caller has gone, and when the plugin has to stop. A handler that
/// waits for others does so inside [`CallContext::run`], and changes files inside [`CallContext::blocking`]:
///
/// ```
/// use tokenward_driver::CallContext;
/// use tokenward_driver::csi::v1::{NodePublishVolumeRequest, NodePublishVolumeResponse};
/// use tonic::{Request, Response, Status};
///
/// # async fn fetch_credentials() -> Result<Vec<u8>, Status> { Ok(Vec::new()) }
/// async fn publish(
///     request: Request<NodePublishVolumeRequest>,
/// ) -> Result<Response<NodePublishVolumeResponse>, Status> {
///     let call = CallContext::of(&request);
///     let target = request.into_inner().target_path;
///     // Given up when nobody waits for it any more.
///     let credentials = call.run(fetch_credentials()).await??;
///     // Never given up halfway; the volume stays locked until it has ended.
///     call.blocking(move || {
///         std::fs::write(target, credentials).map_err(|error| Status::unavailable(error.to_string()))
///     })
///     .await?;
///     Ok(Response::new(NodePublishVolumeResponse {}))
/// }
/// ```
#[derive(Clone)]
pub struct CallContext {
    id: Arc<str>,
    deadline: Option<Instant>,
    ended: CancellationToken,
    span: Span,
    /// Places for blocking work, which all calls of the plugin share.
    blocking: Arc<Semaphore>,
    /// Keeps the volume locked as long as work of this call goes on.
    held: Option<Arc<Held>>,
}

impl fmt::Debug for CallContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallContext").field("id", &self.id).field("remaining", &self.remaining()).finish()
    }
}

impl CallContext {
    /// The context of a request that came through a [`Plugin`](crate::Plugin). Of any other request: one that nobody cancels, and whose
    /// blocking work waits for nobody.
    ///
    /// Shown at [`CallContext`].
    #[must_use]
    pub fn of<T>(request: &Request<T>) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_else(|| {
            let unlimited = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
            Self::begin(request.metadata(), &CancellationToken::new(), &unlimited)
        })
    }

    pub(crate) fn begin(
        metadata: &MetadataMap,
        stopping: &CancellationToken,
        blocking: &Arc<Semaphore>,
    ) -> Self {
        let timeout = metadata.get("grpc-timeout").and_then(|value| parse_timeout(value.as_bytes()));
        let id = metadata.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| is_harmless(id));
        Self {
            id: id.map_or_else(|| Uuid::new_v4().to_string().into(), Into::into),
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            ended: stopping.child_token(),
            span: Span::none(),
            blocking: Arc::clone(blocking),
            held: None,
        }
    }

    pub(crate) fn with_span(mut self, span: &Span) -> Self {
        self.span = span.clone();
        self
    }

    pub(crate) fn with_held(mut self, held: Option<Held>) -> Self {
        self.held = held.map(Arc::new);
        self
    }

    /// The id that all log lines of the call carry, and its answer as `x-request-id`. The caller's own, if it sent one.
    ///
    /// ```
    /// use tokenward_driver::CallContext;
    ///
    /// let mut request = tonic::Request::new(());
    /// request.set_timeout(std::time::Duration::from_secs(30));
    /// request.metadata_mut().insert("x-request-id", tonic::metadata::MetadataValue::from_static("req-7"));
    /// let call = CallContext::of(&request);
    /// assert_eq!(call.id(), "req-7");
    /// assert!(call.remaining().is_some_and(|left| left.as_secs() >= 29));
    /// assert!(!call.cancellation().is_cancelled());
    /// ```
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How long the caller still waits; `None` for as long as it takes.
    ///
    /// Shown at [`CallContext::id`].
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Cancelled when nobody waits for the answer any more.
    ///
    /// Shown at [`CallContext::id`].
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Waits until nobody waits for the answer any more.
    ///
    /// ```
    /// use tokenward_driver::CallContext;
    /// use tonic::Status;
    ///
    /// /// Gives up tidily, where [`CallContext::run`] would drop the work.
    /// async fn wait_for(ready: impl Future<Output = ()>, call: &CallContext) -> Result<(), Status> {
    ///     tokio::select! {
    ///         () = ready => Ok(()),
    ///         () = call.over() => Err(call.status()),
    ///     }
    /// }
    /// # let _ = wait_for(async {}, &CallContext::of(&tonic::Request::new(())));
    /// ```
    pub async fn over(&self) {
        let deadline = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.ended.cancelled() => {}
            () = deadline => self.ended.cancel(),
        }
    }

    /// Why nobody waits any more, as an answer: DEADLINE_EXCEEDED or CANCELLED. Neither is final.
    ///
    /// Shown at [`CallContext::over`].
    #[must_use]
    pub fn status(&self) -> Status {
        if self.remaining() == Some(Duration::ZERO) {
            Status::deadline_exceeded("the caller's deadline passed before the work was done; try again")
        } else {
            Status::cancelled("the caller, or the driver, stopped before the work was done; try again")
        }
    }

    /// Work that may be given up at each of its awaits: is, when nobody waits for it any more.
    ///
    /// Shown at [`CallContext`].
    ///
    /// # Errors
    /// [`CallContext::status`] when it was given up.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Status> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.over() => Err(self.status()),
        }
    }

    /// Work that may block its thread, such as system calls on files: runs on a thread for that, to its end, and the volume of this call
    /// stays locked until then, whatever becomes of the call. As much at once as [`Plugin::blocking_limit`](crate::Plugin::blocking_limit)
    /// says; work that waits for its turn is given up when nobody waits for it any more, and has done nothing then.
    ///
    /// Shown at [`CallContext`].
    ///
    /// # Errors
    /// Those of the work; [`CallContext::status`] when its turn did not come in time; UNAVAILABLE when the process ends first.
    ///
    /// # Panics
    /// When the work does; a plugin answers INTERNAL then.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let turn = self.run(Arc::clone(&self.blocking).acquire_owned()).await?;
        let turn = turn.expect("nobody closes the semaphore");
        let (span, held) = (self.span.clone(), self.held.clone());
        let done = tokio::task::spawn_blocking(move || {
            let done = span.in_scope(work);
            drop((held, turn));
            done
        });
        match done.await {
            Ok(done) => done,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => Err(Status::unavailable("the driver stops; try again when it is back")),
        }
    }
}

/// An id that can stand in a log: no blanks, no control characters, nothing that has the shape of a token.
fn is_harmless(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The header of the gRPC protocol: at most eight digits and a unit.
fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(count: usize) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(count))
    }

    #[test]
    fn timeouts_as_grpc_writes_them() {
        let table = [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("0n", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("1", None),
            ("-1S", None),
            ("1.5S", None),
            ("100000000S", None),
            ("1s", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_timeout(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn an_id_of_the_caller_is_taken_over_unless_it_could_harm() {
        let id_of = |sent: Option<&str>| {
            let mut request = Request::new(());
            if let Some(sent) = sent {
                request.metadata_mut().insert(REQUEST_ID, sent.parse().unwrap());
            }
            CallContext::of(&request).id().to_owned()
        };
        assert_eq!(id_of(Some("7f3a-1")), "7f3a-1");
        let long = "a".repeat(LONGEST_ID + 1);
        for refused in [None, Some(""), Some("a b"), Some("eyJhbGciOiJub25lIn0.e30."), Some(&long)] {
            let made = id_of(refused);
            assert_eq!(made.len(), 36, "{refused:?}");
            assert_ne!(made, id_of(refused));
        }
    }

    #[tokio::test]
    async fn work_is_given_up_when_nobody_waits() {
        let stopping = CancellationToken::new();
        let context = CallContext::begin(&MetadataMap::new(), &stopping, &places(1));
        assert_eq!(context.remaining(), None);
        assert_eq!(context.run(async { 1 }).await.unwrap(), 1);
        stopping.cancel();
        let status = context.run(std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Cancelled);
        // What is done is handed over, whoever waits.
        assert_eq!(context.run(async { 2 }).await.unwrap(), 2);

        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-timeout", "1m".parse().unwrap());
        let context = CallContext::begin(&metadata, &CancellationToken::new(), &places(1));
        let status = context.run(std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        assert!(context.cancellation().is_cancelled());
    }

    #[tokio::test]
    async fn blocking_work_waits_for_its_turn_as_long_as_its_caller_does() {
        let (stopping, places) = (CancellationToken::new(), places(2));
        let context =
            |stopping: &CancellationToken| CallContext::begin(&MetadataMap::new(), stopping, &places);
        let (entered, mut inside) = tokio::sync::mpsc::unbounded_channel();
        let (finish, wait) = std::sync::mpsc::channel::<()>();
        let wait = Arc::new(parking_lot::Mutex::new(wait));
        let working: Vec<_> = (0..2)
            .map(|number| {
                let (context, entered, wait) =
                    (context(&CancellationToken::new()), entered.clone(), wait.clone());
                tokio::spawn(async move {
                    let work = move || {
                        entered.send(number).map_err(|_| Status::internal("nobody hears it"))?;
                        let _ = wait.lock().recv();
                        Ok(number)
                    };
                    context.blocking(work).await
                })
            })
            .collect();
        for _ in 0..2 {
            inside.recv().await.unwrap();
        }

        // Both places are taken: a third one has not begun when its caller goes, and never does.
        let third = context(&stopping);
        let third =
            tokio::spawn(async move { third.blocking(|| -> Result<(), Status> { panic!("begun") }).await });
        tokio::task::yield_now().await;
        stopping.cancel();
        assert_eq!(third.await.unwrap().unwrap_err().code(), tonic::Code::Cancelled);

        drop(finish);
        for working in working {
            working.await.unwrap().unwrap();
        }
        // The places are free again.
        assert_eq!(context(&CancellationToken::new()).blocking(|| Ok(3)).await.unwrap(), 3);
    }
}
