//! What stands before an author's Node service: one operation at a time for a volume, a log without secrets, clean status messages.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokenward_csi::v1::node_server::Node;
use tokenward_csi::v1::{
    NodeExpandVolumeRequest, NodeExpandVolumeResponse, NodeGetCapabilitiesRequest,
    NodeGetCapabilitiesResponse, NodeGetInfoRequest, NodeGetInfoResponse, NodeGetVolumeStatsRequest,
    NodeGetVolumeStatsResponse, NodePublishVolumeRequest, NodePublishVolumeResponse, NodeStageVolumeRequest,
    NodeStageVolumeResponse, NodeUnpublishVolumeRequest, NodeUnpublishVolumeResponse,
    NodeUnstageVolumeRequest, NodeUnstageVolumeResponse,
};
use tokio_util::task::TaskTracker;
use tonic::{Code, Request, Response, Status};

use crate::locks::{Held, VolumeLocks};
use crate::scrub::Scrubber;

/// An author's Node service with the guard before it.
#[derive(Debug)]
pub(crate) struct Guarded<N> {
    node: Arc<N>,
    locks: VolumeLocks,
    lock_wait: Duration,
    calls: TaskTracker,
}

/// What the guard has to know about a call.
struct Call {
    method: &'static str,
    /// Of a call that works on a volume.
    volume_id: Option<String>,
    scrubber: Scrubber,
}

impl<N: Node> Guarded<N> {
    pub(crate) fn new(node: N, lock_wait: Duration, calls: TaskTracker) -> Self {
        Self { node: Arc::new(node), locks: VolumeLocks::default(), lock_wait, calls }
    }

    /// Serves a call in a task of its own: a caller that goes away does not stop it halfway, and a panic stays inside.
    async fn serve<Q, A, F, W>(
        &self,
        call: Call,
        request: Request<Q>,
        handle: F,
    ) -> Result<Response<A>, Status>
    where
        Q: std::fmt::Debug,
        A: std::fmt::Debug + Send + 'static,
        F: FnOnce(Arc<N>, Request<Q>) -> W,
        W: Future<Output = Result<Response<A>, Status>> + Send + 'static,
    {
        let started = Instant::now();
        tracing::debug!(method = call.method, request = ?request.get_ref(), "called");
        let held = self.hold(&call).await?;
        let method = call.method;
        let work = handle(Arc::clone(&self.node), request);
        let served = self.calls.spawn(async move {
            let answer = work.await.map_err(|status| call.scrubber.clean(&status));
            drop(held);
            log(&call, started.elapsed(), &answer);
            answer
        });
        served.await.unwrap_or_else(|_| {
            tracing::error!(method, "the driver panicked");
            Err(Status::internal(format!(
                "the driver failed while it served {method}; its own output says why"
            )))
        })
    }

    async fn hold(&self, call: &Call) -> Result<Option<Held>, Status> {
        let Some(volume_id) = &call.volume_id else { return Ok(None) };
        match self.locks.hold(volume_id, self.lock_wait).await {
            Some(held) => Ok(Some(held)),
            None => {
                let status = Status::aborted(format!(
                    "an operation is in progress for volume `{volume_id}`; try again when it has ended"
                ));
                let status = call.scrubber.clean(&status);
                tracing::warn!(method = call.method, code = ?Code::Aborted, error = status.message(), "refused");
                Err(status)
            }
        }
    }
}

fn log<A: std::fmt::Debug>(call: &Call, elapsed: Duration, answer: &Result<Response<A>, Status>) {
    let latency_ms = elapsed.as_secs_f64() * 1e3;
    match answer {
        Ok(response) => {
            tracing::info!(method = call.method, code = ?Code::Ok, latency_ms, "served");
            tracing::trace!(method = call.method, response = ?response.get_ref(), "answered");
        }
        Err(status) => {
            tracing::warn!(method = call.method, code = ?status.code(), latency_ms, error = status.message(), "failed");
        }
    }
}

macro_rules! guarded {
    ($($name:ident = $method:literal, ($request:ident) -> $response:ident, $volume:expr, $scrubber:expr;)+) => {
        #[tonic::async_trait]
        impl<N: Node> Node for Guarded<N> {
            $(async fn $name(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                let volume: fn(&$request) -> Option<String> = $volume;
                let scrubber: fn(&$request) -> Scrubber = $scrubber;
                let call = Call {
                    method: $method,
                    volume_id: volume(request.get_ref()),
                    scrubber: scrubber(request.get_ref()),
                };
                self.serve(call, request, |node, request| async move { node.$name(request).await }).await
            })+
        }
    };
}

guarded! {
    node_stage_volume = "NodeStageVolume", (NodeStageVolumeRequest) -> NodeStageVolumeResponse,
        |request| Some(request.volume_id.clone()), |request| Scrubber::of(&request.secrets, &request.volume_context);
    node_unstage_volume = "NodeUnstageVolume", (NodeUnstageVolumeRequest) -> NodeUnstageVolumeResponse,
        |request| Some(request.volume_id.clone()), |_| Scrubber::default();
    node_publish_volume = "NodePublishVolume", (NodePublishVolumeRequest) -> NodePublishVolumeResponse,
        |request| Some(request.volume_id.clone()), |request| Scrubber::of(&request.secrets, &request.volume_context);
    node_unpublish_volume = "NodeUnpublishVolume", (NodeUnpublishVolumeRequest) -> NodeUnpublishVolumeResponse,
        |request| Some(request.volume_id.clone()), |_| Scrubber::default();
    node_get_volume_stats = "NodeGetVolumeStats", (NodeGetVolumeStatsRequest) -> NodeGetVolumeStatsResponse,
        |_| None, |_| Scrubber::default();
    node_expand_volume = "NodeExpandVolume", (NodeExpandVolumeRequest) -> NodeExpandVolumeResponse,
        |request| Some(request.volume_id.clone()), |request| Scrubber::of(&request.secrets, &std::collections::BTreeMap::new());
    node_get_capabilities = "NodeGetCapabilities", (NodeGetCapabilitiesRequest) -> NodeGetCapabilitiesResponse,
        |_| None, |_| Scrubber::default();
    node_get_info = "NodeGetInfo", (NodeGetInfoRequest) -> NodeGetInfoResponse,
        |_| None, |_| Scrubber::default();
}
